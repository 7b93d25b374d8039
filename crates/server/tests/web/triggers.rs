//! What starts an agent without a key or a person: signed webhooks; and messages that are due later or carry an input.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::clock::{Clock, SystemClock};
use ring::hmac;
use serde_json::{Value, json};

use crate::http::Reply;
use crate::stage::{SECRET, Stage};

const AGENT: &str = "
apiVersion: agent.os/v1
kind: Agent
metadata: {name: clerk, owner: finance-platform}
spec:
  model: {provider: anthropic, name: claude-haiku-4-5, max_output_tokens: 1024}
  tools: [internal://calculate]
  triggers:
    - {name: invoice-in, webhook: {secret: OFFICE_SECRET}, session: body.company, input: body.invoice}
    - {name: plain, webhook: {secret: OFFICE_SECRET}}
    - {name: no-secret, webhook: {secret: no-such-secret}}
    - {name: nightly, cron: '0 2 * * *', timezone: Europe/Madrid, input: {company: all}}
";

fn signature(secret: &str, id: &str, at: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap());
    format!("v1,{}", STANDARD.encode(hmac::sign(&key, format!("{id}.{at}.{body}").as_bytes())))
}

/// Sends it signed with this secret, as of so many seconds from now.
async fn deliver(stage: &Stage, to: &str, id: &str, body: &str, (secret, off_s): (&str, i64)) -> Reply {
    let at = SystemClock.now().0 / 1000 + off_s;
    let (signature, at) = (signature(secret, id, at, body), at.to_string());
    let headers = [
        ("content-type", "application/json"),
        ("webhook-id", id),
        ("webhook-timestamp", at.as_str()),
        ("webhook-signature", signature.as_str()),
    ];
    stage.ask("POST", &format!("/hooks/{to}"), &headers, body).await
}

const WELL: (&str, i64) = (SECRET, 0);

/// A server on which the agent can run: the trigger without a secret is another agent's.
async fn stage() -> Stage {
    let stage = Stage::with_agents().await;
    let lame = AGENT.replace("name: clerk", "name: lame");
    let well = AGENT.lines().filter(|line| !line.contains("no-secret")).collect::<Vec<_>>().join("\n");
    stage.apply(&well).await.ok();
    stage.apply(&lame).await.ok();
    stage
}

#[tokio::test]
async fn a_signed_request_starts_an_agent_once_however_often_it_is_delivered() {
    let stage = stage().await;
    let body = json!({"company": "acme", "invoice": {"id": "INV-7"}}).to_string();
    let first = deliver(&stage, "clerk/invoice-in", "evt-1", &body, WELL).await;
    assert_eq!(first.status, 202, "{first:?}");
    let standing = stage.rests(&first.ok()).await;
    assert_eq!(standing["phase"], "finished", "{standing}");
    let again = deliver(&stage, "clerk/invoice-in", "evt-1", &body, (SECRET, 60)).await;
    assert_eq!((again.status, again.ok()), (202, first.ok()), "a redelivery, after it was worked on");
    let more = deliver(&stage, "clerk/invoice-in", "evt-2", &body, WELL).await.ok();
    assert_eq!(more, first.ok(), "the same company, the same session");
    stage.rests(&json!({"session": more["session"], "mail": format!("hook:invoice-in:{}", domain::id::Digest::of(b"evt-2"))})).await;
    let path = format!("/api/sessions/{}/trace", more["session"].as_str().unwrap());
    let trace = stage.get(&path).await.ok();
    assert_eq!((&trace["key"], &trace["on_behalf_of"]), (&json!("hook/invoice-in/acme"), &Value::Null));
    let told: Vec<_> = trace["steps"].as_array().unwrap().iter().filter(|step| step["step"] == "message").collect();
    assert_eq!(told.len(), 2, "{trace}");
    for step in told {
        assert_eq!(
            (&step["from"], &step["origin"], &step["trust"]),
            (&Value::Null, &json!("webhook"), &json!("untrusted"))
        );
        assert!(step["text"].as_str().unwrap().contains(r#"{"id":"INV-7"}"#), "{step}");
    }
    let tree = stage.get(&format!("{path}?as=tree")).await;
    assert!(tree.body.contains("a webhook (untrusted): "), "{tree:?}");
    let plain = deliver(&stage, "clerk/plain", "evt-1", &body, WELL).await.ok();
    assert_ne!(plain["session"], more["session"]);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_signature_the_answer_is_the_same() {
    let stage = stage().await;
    let body = r#"{"company": "acme", "invoice": {}}"#;
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let mut answers = vec![stage.ask("POST", "/hooks/clerk/invoice-in", &[], body).await];
    for (to, how) in [
        ("clerk/invoice-in", (other, 0)),
        ("clerk/invoice-in", (SECRET, 400)),
        ("clerk/invoice-in", (SECRET, -400)),
        ("clerk/nightly", WELL),
        ("clerk/nothing", WELL),
        ("nobody/invoice-in", WELL),
        ("Not%20a%20name/x", WELL),
        ("lame/no-secret", WELL),
    ] {
        answers.push(deliver(&stage, to, "evt-1", body, how).await);
    }
    let key = format!("Bearer {}", stage.admin);
    answers.push(stage.ask("POST", "/hooks/clerk/invoice-in", &[("authorization", &key)], body).await);
    for answer in &answers {
        assert_eq!((answer.refusal(), &answer.body), ("401 bad_signature".to_owned(), &answers[0].body), "{answer:?}");
    }
    assert_eq!(stage.get("/api/sessions?agent=clerk").await.ok(), json!([]));
}

#[tokio::test]
async fn a_signed_request_that_makes_no_sense_says_why() {
    let stage = stage().await;
    let to = "clerk/invoice-in";
    for (body, says) in [
        ("nonsense", "is not JSON"),
        (r#"{"invoice": {}}"#, "there is no `company`"),
        (r#"{"company": "acme", "invoice": [1]}"#, "not a JSON object"),
        (r#"{"company": {}, "invoice": {}}"#, "not a text"),
        (&format!(r#"{{"company": "{}", "invoice": {{}}}}"#, "x".repeat(129)), "at most 128 bytes"),
        (&format!("{}{}", "[".repeat(70), "]".repeat(70)), "deeper than 64"),
    ] {
        let reply = deliver(&stage, to, "evt-1", body, WELL).await;
        assert!(reply.refusal() == "400 bad_request" && reply.body.contains(says), "{says}: {reply:?}");
    }
    let large = format!(r#"{{"company": "{}"}}"#, "x".repeat(300_000));
    assert_eq!(deliver(&stage, to, "evt-1", &large, WELL).await.refusal(), "413 too_large");
    let lame = deliver(&stage, "lame/invoice-in", "evt-1", r#"{"company": "a", "invoice": {}}"#, WELL).await;
    assert_eq!(lame.refusal(), "503 unavailable", "not ready: its sender tries again");
    assert!(!lame.body.contains("no-such-secret"), "{lame:?}");
}

#[tokio::test]
async fn triggers_are_shown_with_what_comes_next_and_what_is_missing() {
    let stage = stage().await;
    let shown = stage.get("/api/resources?kind=Agent&name=clerk").await.ok()[0].clone();
    let triggers = shown["triggers"].as_array().unwrap();
    let nightly = triggers.iter().find(|trigger| trigger["name"] == "nightly").unwrap();
    assert_eq!(nightly["on"], "0 2 * * * Europe/Madrid");
    let next: Vec<_> = nightly["next"].as_array().unwrap().iter().map(|at| at.as_str().unwrap()).collect();
    assert!(next.len() == 3 && next.windows(2).all(|two| two[0] < two[1]), "{next:?}");
    assert!(next.iter().all(|at| at.contains("T00:00") || at.contains("T01:00")), "{next:?}");
    assert_eq!(triggers[0]["on"], "POST /hooks/clerk/invoice-in");
    assert_eq!(triggers[0].get("last"), None);
    let sent = deliver(&stage, "clerk/invoice-in", "e", r#"{"company": "a", "invoice": {}}"#, WELL).await.ok();
    stage.rests(&sent).await;
    let shown = stage.get("/api/resources?kind=Agent&name=clerk").await.ok();
    assert_eq!(shown[0]["triggers"][0]["last"]["session"], sent["session"], "{shown}");
    let lame = stage.get("/api/resources?kind=Agent&name=lame").await.ok();
    let missing =
        lame[0]["ready"].as_array().unwrap().iter().find(|condition| condition["ok"] == false).unwrap().clone();
    assert!(missing["reason"].as_str().unwrap().contains("no-such-secret of the webhook no-secret"), "{missing}");
    assert!(missing["next"].as_str().unwrap().contains("secrets.env"), "{missing}");
}

#[tokio::test]
async fn a_message_can_carry_an_input_and_be_due_later() {
    let stage = Stage::with_agents().await;
    let path = "/api/agents/note-keeper/messages";
    let sent = stage.post(path, json!({"input": {"calculate": "6 * 7"}})).await.ok();
    let standing = stage.rests(&sent).await;
    let trace = stage.get(&format!("/api/sessions/{}/trace", standing["session"].as_str().unwrap())).await.ok();
    assert_eq!(trace["steps"][0]["text"], r#"{"calculate":"6 * 7"}"#);
    let later = stage.post(path, json!({"message": "Calculate 1 + 1", "in": "2h"})).await.ok();
    assert!(later["due"].as_str().is_some_and(|due| due.ends_with('Z')), "{later}");
    let session = format!("/api/sessions/{}", later["session"].as_str().unwrap());
    assert_eq!(stage.get(&session).await.status, 404, "it begins then");
    let soon = stage.post(path, json!({"message": "Calculate 1 + 1", "in": "1s", "key": "soon"})).await.ok();
    loop {
        let wait = stage.get(&format!("/api/sessions/{}/wait", soon["session"].as_str().unwrap())).await;
        if wait.status == 200 && wait.ok()["rests"] == true {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for (body, says) in [
        (json!({}), "neither a message nor an input"),
        (json!({"message": "a", "input": {}}), "both a message and an input"),
        (json!({"input": [1]}), "not a JSON object"),
        (json!({"message": "a", "at": "tomorrow"}), "is not an instant"),
        (json!({"message": "a", "at": "2020-01-01T00:00Z"}), "lies in the past"),
        (json!({"message": "a", "in": "soon"}), "not a length of time"),
        (json!({"message": "a", "in": "400d"}), "more than a year ahead"),
        (json!({"message": "a", "in": "1h", "at": "2099-01-01T00:00Z"}), "both `at` and `in`"),
    ] {
        let reply = stage.post(path, body).await;
        assert!(reply.refusal() == "400 bad_request" && reply.body.contains(says), "{says}: {reply:?}");
    }
}

#[tokio::test]
async fn an_agent_with_partitions_needs_to_know_which() {
    let stage = Stage::with_agents().await;
    let text = AGENT.split("  triggers:").next().unwrap().to_owned();
    stage.apply(&format!("{text}  concurrency: {{one_per: partition, key: input.company}}\n")).await.ok();
    let path = "/api/agents/clerk/messages";
    for body in [json!({"message": "hello"}), json!({"input": {"firm": "acme"}})] {
        let reply = stage.post(path, body).await;
        assert!(reply.refusal() == "400 bad_request" && reply.body.contains("input.company"), "{reply:?}");
    }
    let sent = stage.post(path, json!({"input": {"company": "acme"}})).await.ok();
    assert_eq!(stage.rests(&sent).await["phase"], "finished");
}
