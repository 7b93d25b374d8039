//! The console's pages, as HTML: what a person sees before deciding, and what comes of it.

use crate::browser::Browser;
use crate::stage::Stage;

/// Fails unless all of it stands in the page, in this order.
#[track_caller]
fn in_order(page: &str, words: &[&str]) {
    let mut rest = page;
    for word in words {
        let found = rest.find(word);
        assert!(found.is_some(), "{word:?} is not there, or not in its place, in {page}");
        rest = &rest[found.unwrap_or_default() + word.len()..];
    }
}

async fn with_ana() -> Stage {
    let stage = Stage::with_agents().await;
    stage.person("ana", "finance-platform").await;
    stage
}

#[tokio::test]
async fn an_empty_server_says_what_to_do_first() {
    let stage = Stage::bare().await;
    stage.person("ana", "finance-platform").await;
    let ana = Browser::sign_in(&stage, "ana").await;
    assert!(ana.page("/").await.contains("ostler init my-agent"));
    assert!(ana.page("/sessions").await.contains("ostler run AGENT"));
    assert!(ana.page("/inbox").await.contains("Nothing waits for anybody"));
    assert!(ana.page("/cost").await.contains("Nothing was spent"));
}

#[tokio::test]
async fn the_inventory_says_who_can_run_what_is_missing_and_what_is_not_real() {
    let stage = with_ana().await;
    let ana = Browser::sign_in(&stage, "ana").await;
    let page = ana.page("/").await;
    in_order(
        &page,
        &["dunning-live", "scripted", "True", "dunning-shadow", "scripted", "shadow: nothing is sent", "True"],
    );
    in_order(&page, &["not-there-yet", "False", "nobody", "<code>"]);
    in_order(
        &page,
        &["Capability", "email-draft", "draft_email of books, write", "ModelProvider", "anthropic", "scripted"],
    );
    let freeze = serde_json::json!({ "what": { "scope": "agent", "agent": "note-keeper" }, "reason": "odd <sums>" });
    stage.post("/api/freeze", freeze).await.ok();
    in_order(&ana.page("/").await, &["note-keeper", "frozen", "odd &lt;sums&gt;"]);
}

#[tokio::test]
async fn the_inbox_shows_the_evidence_and_a_yes_there_is_what_happens() {
    let stage = with_ana().await;
    let item = stage.consent_wanted().await;
    let (id, session) = (item["id"].as_str().unwrap(), item["session"].as_str().unwrap());
    let ana = Browser::sign_in(&stage, "ana").await;
    in_order(&ana.page("/").await, &["1 call</a> waits for a person."]);
    let page = ana.page("/inbox").await;
    in_order(&page, &["dunning-live wants to use email-draft", "worth $4180.00", "scripted"]);
    in_order(
        &page,
        &[
            "above the $500.00",
            "It was asked",
            "Remind acme of INV-2041.",
            "Why it wants this",
            "1 invoice to remind of",
        ],
    );
    in_order(
        &page,
        &[
            "What will happen",
            "draft_email</code> of the server <code>books",
            "changes something outside",
            "amount_usd",
            "4180.0",
        ],
    );
    in_order(
        &page,
        &[
            "decided by finance-platform",
            "becomes no by itself",
            "in 3 h 59 min",
            id,
            "Approve",
            "Deny",
            "Edit, then approve",
        ],
    );
    assert!(page.contains("Harborline &lt;Freight&gt;") && !page.contains("<Freight>"), "{page}");
    assert_eq!(ana.page(&format!("/inbox/{id}")).await.matches("<article").count(), 1);

    let reply = ana.send(&format!("/inbox/{id}/approve"), &[("reason", "it is due")]).await;
    assert_eq!((reply.status, reply.header("location")), (303, Some(format!("/sessions/{session}").as_str())));
    stage.rests(&serde_json::json!({ "session": session })).await;
    let page = ana.page(&format!("/sessions/{session}")).await;
    in_order(&page, &["consent needed", "approved", "by ana", "it is due", "draft-1", "$0.002"]);
    assert_eq!(stage.upstream.drafts().len(), 1);
    let late = ana.send(&format!("/inbox/{id}/approve"), &[]).await;
    assert!((late.status, late.page().contains("said yes to")) == (409, true), "{late:?}");
    assert_eq!(ana.get(&format!("/inbox/{id}")).await.status, 404);
}

#[tokio::test]
async fn what_a_person_edits_is_what_is_sent() {
    let stage = with_ana().await;
    let item = stage.consent_wanted().await;
    let id = item["id"].as_str().unwrap();
    let ana = Browser::sign_in(&stage, "ana").await;
    let path = format!("/inbox/{id}/approve");
    let wrong = ana.send(&path, &[("edited", "{ no")]).await;
    assert!((wrong.status, wrong.page().contains("not JSON")) == (400, true), "{wrong:?}");
    let mut edited = item["arguments"].clone();
    edited["amount_usd"] = serde_json::json!(100);
    assert_eq!(ana.send(&path, &[("edited", &edited.to_string())]).await.status, 303);
    stage.rests(&serde_json::json!({ "session": item["session"] })).await;
    assert_eq!(stage.upstream.drafts()[0]["amount_usd"], 100);
    let page = ana.page(&format!("/sessions/{}", item["session"].as_str().unwrap())).await;
    in_order(&page, &["approved", "arguments edited", "100"]);
}

#[tokio::test]
async fn a_no_is_shown_with_its_reason() {
    let stage = with_ana().await;
    let item = stage.consent_wanted().await;
    let ana = Browser::sign_in(&stage, "ana").await;
    let id = item["id"].as_str().unwrap();
    assert_eq!(ana.send(&format!("/inbox/{id}/deny"), &[("reason", "ask <them> first")]).await.status, 303);
    stage.rests(&serde_json::json!({ "session": item["session"] })).await;
    let page = ana.page(&format!("/sessions/{}", item["session"].as_str().unwrap())).await;
    in_order(&page, &["refused, not sent", "denied", "by ana", "ask &lt;them&gt; first", "refused by approval"]);
    assert_eq!(stage.upstream.drafts().len(), 0);
}

#[tokio::test]
async fn whoever_may_not_answer_sees_who_may_and_no_form() {
    let stage = with_ana().await;
    stage.person("ben", "procurement").await;
    let item = stage.consent_wanted().await;
    let ben = Browser::sign_in(&stage, "ben").await;
    let page = ben.page("/inbox").await;
    assert!(page.contains("Only a person of finance-platform may answer; you are ben."), "{page}");
    assert!(!page.contains("Approve"), "{page}");
    let by_key = stage.get("/inbox").await;
    assert!(by_key.page().contains("you are admin."), "{by_key:?}");
    let reply = ben.send(&format!("/inbox/{}/approve", item["id"].as_str().unwrap()), &[]).await;
    assert!((reply.status, reply.page().contains("not in the group")) == (403, true), "{reply:?}");
}

#[tokio::test]
async fn a_write_in_doubt_is_resolved_in_the_inbox() {
    let mut stage = with_ana().await;
    let item = stage.consent_wanted().await;
    stage.upstream.hang(true);
    let ana = Browser::sign_in(&stage, "ana").await;
    assert_eq!(ana.send(&format!("/inbox/{}/approve", item["id"].as_str().unwrap()), &[]).await.status, 303);
    stage.upstream.drafted().await;
    stage.restart().await;
    stage.upstream.hang(false);
    stage.rests(&serde_json::json!({ "session": item["session"] })).await;
    let ana = Browser::sign_in(&stage, "ana").await;
    let page = ana.page("/inbox").await;
    in_order(
        &page,
        &[
            "dunning-live lost sight of email-draft",
            "nobody knows what came of it",
            "What was sent",
            "It happened",
            "send it again",
            "Let it be",
        ],
    );
    let path = format!("/inbox/{}/resolve", item["call"].as_str().unwrap());
    assert_eq!(ana.send(&path, &[]).await.status, 400);
    assert_eq!(ana.send(&path, &[("say", "happened"), ("reason", "draft-1, I saw it")]).await.status, 303);
    stage.rests(&serde_json::json!({ "session": item["session"] })).await;
    let page = ana.page(&format!("/sessions/{}", item["session"].as_str().unwrap())).await;
    in_order(&page, &["happened, as a person says", "ana", "it happened: draft-1, I saw it"]);
    assert_eq!(stage.upstream.drafts().len(), 1);
}

#[tokio::test]
async fn reasoning_stands_directly_above_the_action_it_led_to_and_only_there() {
    let stage = with_ana().await;
    let item = stage.consent_wanted().await;
    let ana = Browser::sign_in(&stage, "ana").await;
    let page = ana.page(&format!("/sessions/{}", item["session"].as_str().unwrap())).await;
    in_order(
        &page,
        &["suspended", "scripted", "A script stood in for the model", "on behalf of", "cost"]
            .map(|word| if word == "on behalf of" { "owner" } else { word }),
    );
    let because = "I need the invoice INV-2041 before I remind anybody of it.";
    in_order(
        &page,
        &[
            because,
            "sap-invoice-read",
            "answered",
            "invoice_id",
            "decided at control position",
            "I draft the reminders.",
            "email-draft",
            "waits for somebody of finance-platform",
        ],
    );
    in_order(&page, &["sleeps since", "at no cost", "consent to call"]);
    assert_eq!(page.matches(because).count(), 1, "{page}");
    assert!(!page.contains("http-equiv"), "{page}");
}

#[tokio::test]
async fn a_shadow_run_says_everywhere_that_nothing_is_sent() {
    let stage = with_ana().await;
    let standing = stage.work("dunning-shadow", "Remind acme of INV-2041.").await;
    let session = standing["session"].as_str().unwrap();
    let ana = Browser::sign_in(&stage, "ana").await;
    for path in ["/", "/sessions", &format!("/sessions/{session}")] {
        assert!(ana.page(path).await.contains("shadow: nothing is sent"), "{path}");
    }
    let page = ana.page(&format!("/sessions/{session}")).await;
    in_order(&page, &["never sent", "email-draft", "shadow: recorded, not sent", "Nothing was sent."]);
    assert_eq!(stage.upstream.drafts().len(), 0);
}

#[tokio::test]
async fn sessions_are_listed_with_what_they_wait_for_and_narrowed() {
    let stage = with_ana().await;
    let item = stage.consent_wanted().await;
    let standing = stage.work("note-keeper", "Calculate 6 * 7").await;
    let ana = Browser::sign_in(&stage, "ana").await;
    let page = ana.page("/sessions").await;
    in_order(&page, &["note-keeper", "finished", "dunning-live", "suspended", "consent to call"]);
    assert!(page.contains(&format!("/inbox/{}", item["id"].as_str().unwrap())), "{page}");
    let suspended = ana.page("/sessions?phase=suspended").await;
    assert!(suspended.contains(item["session"].as_str().unwrap()), "{suspended}");
    assert!(!suspended.contains(standing["session"].as_str().unwrap()), "{suspended}");
    assert!(ana.page("/sessions?agent=note-keeper&phase=failed").await.contains("There is no such session."));
    assert_eq!(ana.get("/sessions?phase=asleep").await.status, 400);
}

#[tokio::test]
async fn what_somebody_wrote_is_text_and_never_markup() {
    let stage = with_ana().await;
    let standing = stage.work("note-keeper", "Remember <script>alert(1)</script> & \"more\".").await;
    let ana = Browser::sign_in(&stage, "ana").await;
    let page = ana.page(&format!("/sessions/{}", standing["session"].as_str().unwrap())).await;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script"), "{page}");
}

#[tokio::test]
async fn cost_is_told_by_agent_model_and_tool_and_says_what_was_scripted() {
    let stage = with_ana().await;
    stage.work("note-keeper", "Calculate 6 * 7").await;
    let ana = Browser::sign_in(&stage, "ana").await;
    let page = ana.page("/cost").await;
    in_order(
        &page,
        &[
            "By agent",
            "note-keeper",
            "scripted",
            "<svg",
            "together",
            "By model",
            "claude-haiku-4-5",
            "scripted",
            "By tool",
            "internal://calculate",
            "nobody was billed",
        ],
    );
}

#[tokio::test]
async fn every_call_is_explained_on_a_page_of_its_own() {
    let stage = with_ana().await;
    let item = stage.consent_wanted().await;
    let ana = Browser::sign_in(&stage, "ana").await;
    let page = ana.page(&format!("/calls/{}", item["call"].as_str().unwrap())).await;
    in_order(
        &page,
        &["Why mcp://gateway/email-draft", "asked by", "Remind acme of INV-2041.", "where each argument came from"],
    );
    let unheard_of = ana.get("/calls/ses_7118b9dzpa41qsdez6a7967f91.9").await;
    assert_eq!(unheard_of.status, 404);
}
