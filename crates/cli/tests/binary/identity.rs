//! Who may do what: administrators apply and never decide, people decide for their groups, agents do neither.

use crate::stage::{Stage, text};

#[test]
fn an_agents_key_neither_decides_nor_reads() {
    let stage = Stage::demo();
    let request = stage.reconcile();
    let key = stage.json(&["key", "add", "agent", "reconciliation-finance"]);
    let (id, session) = (text(&request, "id"), text(&request, "session"));
    let lines: [&[&str]; 8] = [
        &["approve", id],
        &["deny", id, "--reason", "no"],
        &["inbox"],
        &["ps"],
        &["trace", session],
        &["run", "note-keeper", "Hello"],
        &["person", "add", "eve", "--group", "finance-platform"],
        &["login", "ana"],
    ];
    for line in lines {
        let said = stage.run(&[line, &["--key", text(&key, "key")]].concat()).with_code(3);
        assert!(said.err.contains("an agent's key opens the ingress and /mcp and nothing else"), "{line:?}: {said:?}");
    }
    stage.run(&["key", "revoke", text(&key, "id")]).with_code(0);
    let said = stage.run(&["ps", "--key", text(&key, "key")]).with_code(3);
    assert!(said.err.contains("this key is not known here"), "{said:?}");
}

#[test]
fn only_a_person_of_the_group_decides_and_only_once() {
    let stage = Stage::demo();
    let request = stage.reconcile();
    let id = text(&request, "id");
    let admin = stage.run(&["approve", id]).with_code(3);
    assert!(admin.err.contains("An administrator's key may not"), "{}", admin.err);
    let ben = stage.run(&["approve", id, "--as", "ben"]).with_code(3);
    assert!(ben.err.contains("ben is not in the group finance-platform"), "{}", ben.err);
    let eve = stage.run(&["approve", id, "--as", "eve"]).with_code(2);
    assert!(eve.err.contains("no key of eve is kept here"), "{}", eve.err);
    assert_eq!(stage.drafts().len(), 1, "nothing was sent on anybody else's word");
    let said = stage.run(&["approve", id, "--as", "ana", "--reason", "agrees"]).with_code(0);
    assert!(said.out.contains(&format!("approved {id}")) && said.err.contains("the session goes on"), "{said:?}");
    let again = stage.run(&["approve", id, "--as", "ana"]).with_code(1);
    assert!(again.err.contains("already") || again.err.contains("over"), "{}", again.err);
    stage.settle(text(&request, "session"));
    let of_this = stage.drafts().iter().filter(|draft| draft["invoice_id"] == "INV-2041").count();
    assert_eq!(of_this, 1, "one yes, one effect");
    assert!(stage.run(&["deny", id, "--as", "ana", "--reason", "late"]).with_code(1).err.contains("ana"));
}

#[test]
fn a_no_and_its_reason_reach_the_agent() {
    let stage = Stage::demo();
    let request = stage.reconcile();
    let session = text(&request, "session");
    let id = text(&request, "id");
    stage.run(&["deny", id, "--as", "ana", "--reason", "ask the vendor first"]).with_code(0);
    stage.settle(session);
    let transcript = stage.run(&["trace", session, "--transcript"]).with_code(0).out;
    assert!(transcript.contains("ask the vendor first"), "{transcript}");
    let answer = stage.json(&["get", "results", "reconciliation-finance"]);
    let told = text(&answer[0], "text").lines().find(|line| line.contains("INV-2041, 4180.00 USD")).unwrap().to_owned();
    assert!(told.contains("not drafted") && told.contains("ask the vendor first"), "{told}");
    assert!(stage.drafts().iter().all(|draft| draft["invoice_id"] != "INV-2041"));
    let call = id.split('-').next().unwrap();
    assert!(stage.run(&["explain", call]).with_code(0).out.contains("ana"), "who said no is explained");
}

#[test]
fn an_edited_yes_is_for_the_new_arguments() {
    let stage = Stage::demo();
    let request = stage.reconcile();
    let mut arguments = request["arguments"].clone();
    arguments["amount_usd"] = 900.into();
    let edit = arguments.to_string();
    stage.run(&["approve", text(&request, "id"), "--as", "ana", "--edit", "{"]).with_code(2);
    stage.run(&["approve", text(&request, "id"), "--as", "ana", "--edit", "[]"]).with_code(1);
    stage.run(&["approve", text(&request, "id"), "--as", "ana", "--edit", &edit]).with_code(0);
    stage.settle(text(&request, "session"));
    let drafts = stage.drafts();
    let sent: Vec<_> = drafts.iter().filter(|draft| draft["invoice_id"] == "INV-2041").collect();
    assert_eq!(sent.len(), 1, "{drafts:#?}");
    assert_eq!(sent[0]["amount_usd"], 900.0);
}

#[test]
fn people_read_and_sign_in_and_administer_nothing() {
    let stage = Stage::demo();
    stage.run(&["ps", "--as", "ana"]).with_code(0);
    let login = stage.run(&["login", "ana", "--as", "ana"]).with_code(0);
    assert!(login.out.starts_with("http://127.0.0.1:") && login.out.contains("/login?code="), "{login:?}");
    let lines: [&[&str]; 4] = [
        &["login", "ben"],
        &["key", "list"],
        &["person", "add", "ana", "--group", "treasury"],
        &["apply", "-f", "a.yaml"],
    ];
    stage.write("a.yaml", &crate::apply::agent("my-agent", ""));
    for line in lines {
        stage.run(&[line, &["--as", "ana"]].concat()).with_code(3);
    }
    stage.run(&["login", "nobody"]).with_code(1);
}
