//! Every way in, walked from the one table that the router is made of.

use serde_json::Value;
use server::routes::ROUTES;

use crate::browser::{Browser, origin};
use crate::stage::Stage;

/// A path with something in the place of each parameter.
fn filled(path: &str) -> String {
    let call = "ses_7118b9dzpa41qsdez6a7967f91.5";
    let segments = path.split('/').map(|segment| match segment {
        "{call}" => call.to_owned(),
        "{id}" if path.starts_with("/api/sessions") || path.starts_with("/sessions") => call[..30].to_owned(),
        "{id}" if path.ends_with("/resolve") => call.to_owned(),
        "{id}" => format!("{call}-1"),
        "{kind}" => "Agent".to_owned(),
        "{name}" | "{agent}" => "note-keeper".to_owned(),
        other => other.to_owned(),
    });
    segments.collect::<Vec<_>>().join("/")
}

fn is_page(path: &str) -> bool {
    !["/api/", "/healthz", "/readyz", "/metrics", "/hooks/", "/v1/", "/mcp"].iter().any(|start| path.starts_with(start))
}

#[tokio::test]
async fn only_the_listed_ways_in_are_open() {
    let open: Vec<&str> = ROUTES.iter().filter(|route| route.is_open()).map(|route| route.path()).collect();
    assert_eq!(
        open,
        [
            "/healthz",
            "/readyz",
            "/hooks/{agent}/{trigger}",
            "/answer/{token}",
            "/answer/{token}",
            "/login",
            "/login",
            "/static/style.css",
            "/static/icon.svg"
        ]
    );
}

#[tokio::test]
async fn every_way_in_is_refused_without_a_key_but_for_those_that_are_open() {
    let stage = Stage::bare().await;
    for route in ROUTES {
        let (method, path) = (route.method(), filled(route.path()));
        let reply = stage.ask(method, &path, &[], "").await;
        let signs_in = (reply.status, reply.header("location")) == (303, Some("/login"));
        match (route.is_open(), is_page(&path), method) {
            (true, false, "POST") => assert_eq!(reply.refusal(), "401 bad_signature", "{method} {path}"),
            // Signing in without a code is refused by the page itself.
            (true, _, "POST") => assert_eq!(reply.status, 403, "{method} {path}: {reply:?}"),
            // What is no link is told so, whoever looks.
            (true, true, _) if path.starts_with("/answer/") => assert_eq!(reply.status, 403, "{path}: {reply:?}"),
            (true, ..) => assert_eq!(reply.status, 200, "{method} {path}: {reply:?}"),
            (false, true, "GET") => assert!(signs_in, "{method} {path}: {reply:?}"),
            (false, true, _) => assert_eq!(reply.status, 401, "{method} {path}: {reply:?}"),
            // In the words of the clients' own SDKs.
            (false, false, _) if path.starts_with("/v1/") => {
                assert_eq!(reply.status, 401, "{method} {path}: {reply:?}")
            }
            (false, false, _) => assert_eq!(reply.refusal(), "401 no_key", "{method} {path}"),
        }
    }
}

#[tokio::test]
async fn a_key_that_is_none_opens_nothing_even_beside_a_console_session() {
    let stage = Stage::bare().await;
    stage.person("ana", "finance-platform").await;
    let ana = Browser::sign_in(&stage, "ana").await;
    let made_up = format!("{}0", stage.admin);
    let bearer = format!("Bearer {made_up}");
    for shown in ["Bearer ", "Basic YWRtaW46", made_up.as_str(), bearer.as_str()] {
        for route in ROUTES.iter().filter(|route| !route.is_open()) {
            let headers = [("authorization", shown), ("cookie", ana.cookie.as_str())];
            let reply = stage.ask(route.method(), &filled(route.path()), &headers, "").await;
            assert_eq!(reply.status, 401, "{shown} {} {}: {reply:?}", route.method(), route.path());
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn an_agents_key_opens_nothing_but_what_agents_speak_to() {
    let stage = Stage::with_agents().await;
    let key = stage.agent_key("note-keeper").await;
    let theirs = |path: &str| path == "/mcp" || path.starts_with("/v1/");
    for route in ROUTES.iter().filter(|route| !route.is_open() && !theirs(route.path())) {
        let path = filled(route.path());
        let reply = stage.by(&key, route.method(), &path, "").await;
        assert_eq!(reply.status, 403, "{} {path}: {reply:?}", route.method());
        if !is_page(&path) {
            assert_eq!(reply.refusal(), "403 forbidden");
        }
    }
}

#[tokio::test]
async fn a_console_session_reads_the_api_and_never_writes_it() {
    let stage = Stage::with_agents().await;
    stage.person("ana", "finance-platform").await;
    let ana = Browser::sign_in(&stage, "ana").await;
    assert_eq!(ana.get("/api/sessions").await.ok(), Value::Array(Vec::new()));
    let (cookie, origin) = (ana.cookie.as_str(), origin(&stage));
    for route in ROUTES.iter().filter(|route| route.path().starts_with("/api/") && route.method() != "GET") {
        let headers = [("cookie", cookie), ("origin", origin.as_str())];
        let reply = stage.ask(route.method(), &filled(route.path()), &headers, "{}").await;
        assert_eq!(reply.refusal(), "403 forbidden", "{} {}", route.method(), route.path());
    }
}

#[tokio::test]
async fn looking_changes_nothing() {
    let stage = Stage::with_agents().await;
    let item = stage.consent_wanted().await;
    stage.person("ana", "finance-platform").await;
    let ana = Browser::sign_in(&stage, "ana").await;
    let (session, call, id) =
        (item["session"].as_str().unwrap(), item["call"].as_str().unwrap(), item["id"].as_str().unwrap());
    let before = counted(&stage).await;
    assert!(before.contains("ostler_commits_total{shard=\"0\"}"), "{before}");
    let looks = |path: &str| !path.ends_with("/stream") && !path.starts_with("/v1/") && !path.starts_with("/answer/");
    for route in ROUTES.iter().filter(|route| route.method() == "GET" && looks(route.path())) {
        let path = match route.path() {
            sessions if sessions.contains("/sessions/{id}") => sessions.replace("{id}", session),
            "/api/events" => "/api/events?follow=false".to_owned(),
            "/api/agents/{name}/revisions" => "/api/agents/note-keeper/revisions".to_owned(),
            other => other.replace("{call}", call).replace("{id}", id).replace("{agent}", "note-keeper"),
        };
        for method in ["GET", "HEAD"] {
            let by_key = [("authorization", format!("Bearer {}", stage.admin))];
            let by_cookie = [("cookie", ana.cookie.clone())];
            let [(name, value)] = if is_page(&path) { &by_cookie } else { &by_key };
            let reply = stage.ask(method, &path, &[(name, value)], "").await;
            assert_eq!(reply.status, 200, "{method} {path}: {reply:?}");
            assert!(method == "GET" || reply.body.is_empty(), "{path}: {reply:?}");
        }
    }
    assert_eq!(counted(&stage).await, before);
}

/// What is counted, but for sessions in memory: one that suspended itself is let go of a moment later.
async fn counted(stage: &Stage) -> String {
    let page = stage.get("/metrics").await.body;
    page.lines().filter(|line| !line.contains("awake")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_path_that_is_not_there_and_a_method_that_it_does_not_take_are_refused_in_the_same_shape() {
    let stage = Stage::bare().await;
    assert_eq!(stage.ask("GET", "/api/nothing", &[], "").await.refusal(), "401 no_key");
    assert_eq!(stage.get("/api/nothing").await.refusal(), "404 no_such_path");
    for (method, path) in [("PUT", "/api/people"), ("DELETE", "/api/apply"), ("HEAD", "/api/logins")] {
        let reply = stage.by(&stage.admin, method, path, "").await;
        assert_eq!(reply.status, 405, "{method} {path}: {reply:?}");
        assert!(reply.header("allow").is_some(), "{reply:?}");
    }
    assert_eq!(stage.by(&stage.admin, "PUT", "/api/people", "").await.refusal(), "405 method_not_allowed");
    for sneaky in ["/static/../api/people", "/static/%2e%2e/api/people", "/.well-known/../api/keys", "//api/people"] {
        assert_ne!(stage.ask("GET", sneaky, &[], "").await.status, 200, "{sneaky}");
    }
}

#[tokio::test]
async fn a_page_that_is_not_there_says_so_as_a_page() {
    let stage = Stage::bare().await;
    stage.person("ana", "finance-platform").await;
    let ana = Browser::sign_in(&stage, "ana").await;
    let reply = ana.get("/nothing").await;
    assert_eq!(reply.status, 404);
    assert!(reply.page().contains("there is nothing at /nothing"), "{reply:?}");
    assert!(reply.page().contains("Sign out"), "{reply:?}");
    let unheard_of = ana.get("/sessions/ses_7118b9dzpa41qsdez6a7967f91").await;
    assert!((unheard_of.status, unheard_of.page().contains("there is no session")) == (404, true), "{unheard_of:?}");
    let malformed = ana.get("/sessions/rubbish").await;
    assert!((malformed.status, malformed.page().contains("That did not work")) == (400, true), "{malformed:?}");
}
