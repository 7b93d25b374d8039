//! Tools used through `/mcp`: what each agent is shown, whose session a call is of, and how a call goes that a person
//! has to consent to. Effects are counted at the upstream.

use serde_json::{Value, json};

use crate::mcp::Client;
use crate::stage::Stage;

const READ: &str = "sap-invoice-read";

fn draft(subject: &str) -> Value {
    json!({"to": "ap@acme.example", "subject": subject, "amount_usd": 4180.0})
}

impl Client<'_> {
    async fn uses(&self, tool: &str, arguments: Value) -> Value {
        self.newer("tools/call", json!({"name": tool, "arguments": arguments})).await.ok()["result"].clone()
    }

    async fn task(&self, id: &str) -> Value {
        self.newer("tasks/get", json!({"taskId": id})).await.ok()["result"].clone()
    }
}

fn words(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"))
}

/// The one request for consent that there is.
async fn asked(stage: &Stage) -> Value {
    loop {
        let inbox = stage.get("/api/inbox").await.ok();
        let items = inbox.as_array().unwrap();
        assert!(items.len() <= 1, "{inbox}");
        if let Some(one) = items.first() {
            return one.clone();
        }
    }
}

async fn approve(stage: &Stage, person: &str) -> Value {
    let item = asked(stage).await;
    let path = format!("/api/inbox/{}/approve", item["id"].as_str().unwrap());
    stage.by(person, "POST", &path, "{}").await.ok();
    item
}

/// How a call stands in the trace.
async fn state(stage: &Stage, call: &str) -> Value {
    let session = call.split('.').next().unwrap();
    let trace = stage.get(&format!("/api/sessions/{session}/trace")).await.ok();
    let steps = trace["steps"].as_array().unwrap();
    steps.iter().find(|step| step["call"] == call).unwrap_or_else(|| panic!("{trace}"))["state"].clone()
}

#[tokio::test]
async fn each_agent_is_shown_exactly_what_it_may_use() {
    let stage = Stage::with_agents().await;
    let mut shown = Vec::new();
    for agent in ["dunning-live", "note-keeper"] {
        let newer = Client::new(&stage, agent).await.newer("tools/list", json!({})).await.ok()["result"].clone();
        assert_eq!((&newer["cacheScope"], &newer["resultType"]), (&json!("private"), &json!("complete")));
        let older = Client::with_session(&stage, agent).await.older("tools/list", json!({})).await.ok();
        assert_eq!(older["result"], json!({ "tools": newer["tools"] }), "{agent}");
        let names = newer["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned());
        shown.push(names.collect::<Vec<_>>());
    }
    assert_eq!(shown[0], ["email-draft", "sap-invoice-read"]);
    assert_eq!(shown[1], ["calculate", "forget", "now", "recall", "remember"]);
}

#[tokio::test]
async fn a_call_goes_down_the_one_call_path_and_is_traced() {
    let stage = Stage::with_agents().await;
    let client = Client::with_session(&stage, "dunning-live").await;
    let uses = |tool: &'static str| client.older("tools/call", json!({"name": tool, "arguments": {"company": "acme"}}));
    let read = uses(READ).await.ok()["result"].clone();
    assert!(words(&read).contains("Harborline <Freight>") && read["isError"] == false, "{read}");
    let unlisted = uses("ledger-read").await.ok()["result"].clone();
    assert!(unlisted["isError"] == true && words(&unlisted).contains("ledger-read"), "{unlisted}");
    let wrong = client.older("tools/call", json!({"name": READ, "arguments": {"company": 7}})).await.ok();
    assert_eq!(wrong["result"]["isError"], true, "{wrong}");
    let sessions = stage.get("/api/sessions").await.ok();
    assert_eq!(sessions.as_array().unwrap().len(), 1, "one session of MCP is one of ours: {sessions}");
    let trace = stage.get(&format!("/api/sessions/{}/trace", sessions[0]["session"].as_str().unwrap())).await.ok();
    let steps = trace["steps"].as_array().unwrap().iter();
    let calls: Vec<_> =
        steps.filter(|step| step["name"].is_string()).map(|step| (&step["name"], &step["state"])).collect();
    assert_eq!(calls.len(), 3, "{trace}");
    assert_eq!((calls[0].1, calls[1].1), (&json!("answered"), &json!("refused")), "{trace}");
}

#[tokio::test]
async fn the_session_is_the_one_that_a_client_names() {
    let stage = Stage::with_agents().await;
    let mut client = Client::new(&stage, "note-keeper").await;
    for key in ["one", "two", "one"] {
        client.beside = vec![("ostler-session", key.to_owned())];
        assert_eq!(words(&client.uses("calculate", json!({"expression": "6 * 7"})).await), "42");
    }
    client.beside.clear();
    client.uses("calculate", json!({"expression": "1"})).await;
    client.uses("calculate", json!({"expression": "2"})).await;
    let sessions = stage.get("/api/sessions").await.ok();
    let mut keys: Vec<_> = sessions.as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect();
    keys.sort_unstable();
    assert_eq!((keys.len(), keys[1], keys[2]), (3, "one", "two"));
    assert!(keys[0].starts_with("mcp new 20"), "{keys:?}");
}

#[tokio::test]
async fn a_call_that_waits_says_where_it_is_decided_and_made_again_is_the_same_call() {
    let mut stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    let key = stage.agent_key("dunning-live").await;
    let mut client = Client::of(&stage, &key);
    client.beside = vec![("prefer", "wait=0".to_owned())];
    let waits = client.uses("email-draft", draft("one")).await;
    let item = asked(&stage).await;
    let id = item["id"].as_str().unwrap();
    assert!(waits["isError"] == true && words(&waits).contains(&format!("/inbox/{id}")), "{waits}");
    assert_eq!(waits["structuredContent"]["ostler"]["approval"], id);
    assert_eq!(words(&client.uses("email-draft", draft("one")).await), words(&waits));
    assert_eq!(stage.upstream.drafts(), Vec::<Value>::new(), "nothing before the decision");
    // What waits is in the log: a server that comes back knows it.
    stage.restart().await;
    approve(&stage, &ana).await;
    let patient = Client::of(&stage, &key);
    let done = patient.uses("email-draft", draft("one")).await;
    assert!(done["isError"] == false && words(&done).contains("draft-1"), "{done}");
    assert_eq!(stage.upstream.drafts(), [draft("one")], "one yes, one effect");
    let mut hasty = Client::of(&stage, &key);
    hasty.beside = vec![("prefer", "respond-async, wait=0".to_owned())];
    let anew = hasty.uses("email-draft", draft("one")).await;
    assert!(anew["isError"] == true && !words(&anew).contains(id), "a call that was answered is over: {anew}");
    assert_eq!(stage.upstream.drafts().len(), 1);
}

#[tokio::test]
async fn a_decision_that_comes_while_a_client_waits_is_its_answer() {
    let stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    let client = Client::new(&stage, "dunning-live").await;
    let (done, _) = tokio::join!(client.uses("email-draft", draft("one")), approve(&stage, &ana));
    assert!(done["isError"] == false && words(&done).contains("draft-1"), "{done}");
    let denied = async {
        let item = asked(&stage).await;
        let path = format!("/api/inbox/{}/deny", item["id"].as_str().unwrap());
        stage.by(&ana, "POST", &path, r#"{"reason": "ask the vendor first"}"#).await.ok();
    };
    let (refused, ()) = tokio::join!(client.uses("email-draft", draft("two")), denied);
    assert!(refused["isError"] == true && words(&refused).contains("ask the vendor first"), "{refused}");
    assert_eq!(stage.upstream.drafts(), [draft("one")]);
}

#[tokio::test]
async fn where_a_client_takes_tasks_a_call_that_waits_is_one() {
    let stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    let mut client = Client::new(&stage, "dunning-live").await;
    client.takes_tasks = true;
    let read = client.uses(READ, json!({"company": "acme"})).await;
    assert_eq!(read["resultType"], "complete", "what does not wait is no task: {read}");
    let made = client.uses("email-draft", draft("one")).await;
    assert_eq!((&made["resultType"], &made["status"]), (&json!("task"), &json!("working")), "{made}");
    let id = made["taskId"].as_str().unwrap();
    let stands = client.task(id).await;
    assert_eq!((&stands["resultType"], &stands["status"]), (&json!("complete"), &json!("working")), "{stands}");
    let item = approve(&stage, &ana).await;
    assert_eq!(item["call"], id);
    let done = loop {
        let stands = client.task(id).await;
        if stands["status"] != "working" {
            break stands;
        }
    };
    assert_eq!(done["status"], "completed", "{done}");
    assert!(words(&done["result"]).contains("draft-1") && done["result"]["resultType"] == "complete", "{done}");
    assert_eq!(client.task(id).await["result"], done["result"], "it is told again, from the record");
    assert_eq!(stage.upstream.drafts(), [draft("one")]);
    let mut other = Client::new(&stage, "note-keeper").await;
    other.takes_tasks = true;
    for (client, task) in [(&other, id), (&client, "rubbish"), (&client, "ses_7118b9dzpa41qsdez6a7967f91.5")] {
        let unknown = client.newer("tasks/get", json!({ "taskId": task })).await;
        assert_eq!(unknown.json()["error"]["code"], -32602, "{unknown:?}");
    }
}

#[tokio::test]
async fn a_task_that_its_client_cancels_is_not_done_and_nobody_is_asked_any_more() {
    let stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    let mut client = Client::new(&stage, "dunning-live").await;
    client.takes_tasks = true;
    let made = client.uses("email-draft", draft("one")).await;
    let id = made["taskId"].as_str().unwrap();
    let item = asked(&stage).await;
    client.newer("tasks/cancel", json!({"taskId": id})).await.ok();
    assert_eq!(stage.get("/api/inbox").await.ok(), json!([]), "it is off the inbox once that is acknowledged");
    let stands = client.task(id).await;
    assert_eq!(
        (&stands["status"], stands["statusMessage"].as_str()),
        (&json!("cancelled"), Some("Its client took it back before it was made."))
    );
    let path = format!("/api/inbox/{}/approve", item["id"].as_str().unwrap());
    let late = stage.by(&ana, "POST", &path, "{}").await;
    assert!(late.status == 409 && late.body.contains("took it back"), "{late:?}");
    assert_eq!(state(&stage, id).await, "dropped");
    client.newer("tasks/cancel", json!({"taskId": id})).await.ok();
    let anew = client.uses("email-draft", draft("one")).await;
    assert_ne!(anew["taskId"], id, "made again, it is another call");
    approve(&stage, &ana).await;
    while stage.upstream.drafts().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.upstream.drafts(), [draft("one")]);
}

#[tokio::test]
async fn a_waiting_call_that_a_client_of_the_older_era_cancels_is_taken_back() {
    let stage = Stage::with_agents().await;
    let client = Client::with_session(&stage, "dunning-live").await;
    let call = json!({"name": "email-draft", "arguments": draft("one")});
    let cancels = async {
        let item = asked(&stage).await;
        let others = client.note("notifications/cancelled", json!({"requestId": "another"})).await;
        assert_eq!(others.status, 202);
        assert_eq!(asked(&stage).await["id"], item["id"], "of another request nothing is taken back");
        client.note("notifications/cancelled", json!({"requestId": 1})).await;
        while stage.get("/api/inbox").await.ok() != json!([]) {}
        item["call"].as_str().unwrap().to_owned()
    };
    let (_, id) = tokio::join!(client.older("tools/call", call), cancels);
    assert_eq!(state(&stage, &id).await, "dropped");
    assert_eq!(stage.upstream.drafts(), Vec::<Value>::new());
}

#[tokio::test]
async fn in_shadow_a_write_is_written_down_and_not_sent() {
    let stage = Stage::with_agents().await;
    let client = Client::new(&stage, "dunning-shadow").await;
    let told = client.uses("email-draft", draft("one")).await;
    assert!(words(&told).starts_with("Recorded, not sent: shadow."), "{told}");
    assert_eq!(stage.upstream.drafts(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_call_to_end_once() {
    let stage = Stage::with_agents().await;
    let client = Client::new(&stage, "dunning-live").await;
    stage.upstream.hang(true);
    let cheap = json!({"to": "ap@acme.example", "amount_usd": 10.0});
    tokio::select! {
        answer = client.uses("email-draft", cheap.clone()) => panic!("{answer}"),
        () = stage.upstream.drafted() => {}
    }
    assert_eq!(stage.upstream.drafts(), [cheap]);
    let sessions = stage.get("/api/sessions").await.ok();
    let trace = stage.get(&format!("/api/sessions/{}/trace", sessions[0]["session"].as_str().unwrap())).await.ok();
    let calls = trace["steps"].as_array().unwrap().iter().filter(|step| step["name"] == "email-draft");
    assert_eq!(calls.map(|step| &step["state"]).collect::<Vec<_>>(), ["in_flight"], "{trace}");
}

#[tokio::test]
async fn one_agent_cannot_bury_people_in_requests_and_what_is_worth_most_stands_first() {
    let stage = Stage::with_agents().await;
    let ana = stage.person("ana", "finance-platform").await;
    let mut client = Client::new(&stage, "dunning-live").await;
    let worth = |usd: f64| json!({"to": "ap@acme.example", "subject": format!("{usd}"), "amount_usd": usd});
    for at in 0..100_u32 {
        client.beside = vec![("prefer", "wait=0".to_owned()), ("ostler-session", format!("s{}", at % 10))];
        let waits = client.uses("email-draft", worth(600.0 + f64::from(at))).await;
        assert_eq!(waits["structuredContent"]["ostler"]["state"], "waiting", "{at}: {waits}");
    }
    client.beside = vec![("prefer", "wait=0".to_owned()), ("ostler-session", "another".to_owned())];
    let more = client.uses("email-draft", worth(700.0)).await;
    assert!(
        more["structuredContent"]["ostler"]["state"] == "full" && words(&more).contains("requests for consent"),
        "{more}"
    );
    let read = client.uses(READ, json!({"company": "acme"})).await;
    assert_eq!(read["isError"], false, "what asks nobody goes on: {read}");
    let inbox = stage.get("/api/inbox").await.ok();
    let items = inbox.as_array().unwrap();
    assert_eq!((items.len(), &items[0]["value_usd_micros"]), (100, &json!(699_000_000)), "what is worth most is first");
    let path = format!("/api/inbox/{}/deny", items[0]["id"].as_str().unwrap());
    stage.by(&ana, "POST", &path, r#"{"reason": "enough"}"#).await.ok();
    // The inbox is looked at once a second.
    loop {
        let again = client.uses("email-draft", worth(700.0)).await;
        if again["structuredContent"]["ostler"]["state"] == "waiting" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(stage.get("/api/inbox").await.ok()[0]["value_usd_micros"], json!(700_000_000));
}
