//! The description of the API against the routes that there are and the answers that they give.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use server::routes::ROUTES;

use crate::stage::Stage;

async fn described() -> (Stage, Value) {
    let stage = Stage::with_agents().await;
    let description = stage.get("/api/openapi.json").await.ok();
    (stage, description)
}

/// Every operation: method, path, what is said of it.
fn operations(description: &Value) -> Vec<(String, String, Value)> {
    let paths = description["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, operations)| {
        operations.as_object().unwrap().iter().map(|(method, said)| (method.to_uppercase(), path.clone(), said.clone()))
    });
    all.collect()
}

#[tokio::test]
async fn every_route_of_the_api_is_described_and_nothing_else_is() {
    let (_stage, description) = described().await;
    let said: BTreeSet<_> = operations(&description).into_iter().map(|(method, path, _)| (method, path)).collect();
    let described = |path: &str| path.starts_with("/api/") || path.starts_with("/hooks/");
    let routes = ROUTES.iter().filter(|route| described(route.path()));
    let there: BTreeSet<_> = routes.map(|route| (route.method().to_owned(), route.path().to_owned())).collect();
    assert_eq!(said, there);
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own_and_says_what_its_path_takes() {
    let (_stage, description) = described().await;
    let mut names = BTreeSet::new();
    for (method, path, said) in operations(&description) {
        assert!(names.insert(said["operationId"].to_string()), "{method} {path}");
        assert!(said["summary"].as_str().is_some_and(|summary| summary.len() > 5), "{method} {path}");
        let parameters = said["parameters"].as_array().cloned().unwrap_or_default();
        let named =
            parameters.iter().filter(|one| one["in"] == "path").map(|one| one["name"].as_str().unwrap().to_owned());
        let segments = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        assert_eq!(named.collect::<Vec<_>>(), segments.collect::<Vec<_>>(), "{method} {path}");
        assert_eq!(method == "POST", said["requestBody"].is_object(), "{method} {path}");
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let (_stage, description) = described().await;
    let mut references = Vec::new();
    collect(&description, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        assert!(description.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

/// Fails unless an answer is what the description says of this operation.
fn check(description: &Value, operation: &str, status: &str, answer: &Value) {
    let (_, _, said) =
        operations(description).into_iter().find(|(_, _, said)| said["operationId"] == operation).unwrap();
    let response = &said["responses"][status];
    let response = match response["$ref"].as_str() {
        Some(reference) => description.pointer(reference.trim_start_matches('#')).unwrap(),
        None => response,
    };
    let mut schema = response["content"]["application/json"]["schema"].clone();
    schema["components"] = description["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<_> =
        validator.iter_errors(answer).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{operation}: {wrong:?} in {answer:#}");
}

#[tokio::test]
async fn answers_are_what_the_description_says() {
    let (stage, description) = described().await;
    let ana = stage.person("ana", "finance-platform").await;
    let item = stage.consent_wanted().await;
    let standing = stage.work("note-keeper", "Calculate 6 * 7").await;
    check(&description, "waitForSession", "200", &standing);
    let (session, call) = (item["session"].as_str().unwrap(), item["call"].as_str().unwrap());
    for (operation, path) in [
        ("schema", "/api/schema".to_owned()),
        ("listResources", "/api/resources".to_owned()),
        ("listResources", "/api/resources?kind=Agent&name=note-keeper".to_owned()),
        ("listSessions", "/api/sessions".to_owned()),
        ("getSession", format!("/api/sessions/{session}")),
        ("waitForSession", format!("/api/sessions/{session}/wait")),
        ("traceSession", format!("/api/sessions/{session}/trace")),
        ("explainCall", format!("/api/calls/{call}/explain")),
        ("planUndo", format!("/api/sessions/{session}/undo")),
        ("listInbox", "/api/inbox".to_owned()),
        ("listResults", "/api/results".to_owned()),
        ("cost", "/api/cost?by=session".to_owned()),
        ("top", "/api/top".to_owned()),
        ("listWebhooks", "/api/webhooks".to_owned()),
        ("listChannels", "/api/channels".to_owned()),
        ("verifyAudit", "/api/audit/verify".to_owned()),
        ("listPeople", "/api/people".to_owned()),
        ("listKeys", "/api/keys".to_owned()),
        ("shadowReport", "/api/shadow/dunning-shadow/report".to_owned()),
    ] {
        check(&description, operation, "200", &stage.get(&path).await.ok());
    }
    let approve = format!("/api/inbox/{}/approve", item["id"].as_str().unwrap());
    check(&description, "approve", "200", &stage.by(&ana, "POST", &approve, "{}").await.ok());
    for (operation, wish) in [("suspendSession", "suspend"), ("resumeSession", "resume"), ("killSession", "kill")] {
        let path = format!("/api/sessions/{session}/{wish}");
        check(&description, operation, "200", &stage.post(&path, json!({})).await.ok());
    }
    for (operation, path, body) in [
        ("addPerson", "/api/people", json!({ "name": "ben", "groups": [] })),
        ("addKey", "/api/keys", json!({ "holder": "admin" })),
        ("addLogin", "/api/logins", json!({ "person": "ana" })),
        ("freeze", "/api/freeze", json!({ "what": { "scope": "all" } })),
        ("unfreeze", "/api/unfreeze", json!({ "what": { "scope": "all" } })),
        ("importCases", "/api/shadow/dunning-shadow/cases", json!({ "cases": [] })),
    ] {
        check(&description, operation, "200", &stage.post(path, body).await.ok());
    }
    let applied =
        "apiVersion: agent.os/v1\nkind: Agent\nmetadata: {name: a, owner: o}\nspec:\n  model: {provider: p, name: m}\n";
    check(&description, "apply", "200", &stage.apply(applied).await.ok());
}

#[tokio::test]
async fn what_is_said_of_changes_is_what_the_description_says() {
    let (stage, description) = described().await;
    let applied =
        "apiVersion: agent.os/v1\nkind: Agent\nmetadata: {name: a, owner: o}\nspec:\n  model: {provider: p, name: m}\n";
    stage.apply(applied).await.ok();
    let protected = applied.replace("owner: o", "owner: o, protected: true");
    check(&description, "apply", "200", &stage.apply(&protected).await.ok());
    check(&description, "apply", "200", &stage.apply(&protected.replace("name: m", "name: n")).await.ok());
    for (operation, path) in
        [("listInbox", "/api/inbox"), ("listChanges", "/api/changes"), ("listRevisions", "/api/agents/a/revisions")]
    {
        check(&description, operation, "200", &stage.get(path).await.ok());
    }
    check(
        &description,
        "rollback",
        "200",
        &stage.post("/api/agents/a/rollback", json!({ "dry_run": true })).await.ok(),
    );
}

#[tokio::test]
async fn refusals_are_what_the_description_says() {
    let (stage, description) = described().await;
    let not_ready = stage.post("/api/agents/not-there-yet/messages", json!({ "message": "x" })).await;
    check(&description, "sendMessage", "409", &not_ready.json());
    check(&description, "apply", "422", &stage.apply("kind: Agent\n").await.json());
    check(&description, "getSession", "default", &stage.get("/api/sessions/rubbish").await.json());
    check(&description, "listKeys", "default", &stage.ask("GET", "/api/keys", &[], "").await.json());
}
