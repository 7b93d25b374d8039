//! The way into the console: one-time codes, strict cookies, tokens, origins.

use serde_json::json;

use crate::browser::{Browser, code, origin, use_code};
use crate::http::form;
use crate::stage::Stage;

#[tokio::test]
async fn opening_the_one_time_address_signs_nobody_in_and_its_button_does_once() {
    let stage = Stage::bare().await;
    stage.person("ana", "finance-platform").await;
    let code = code(&stage, "ana").await;
    for method in ["GET", "HEAD", "GET"] {
        let reply = stage.ask(method, &format!("/login?code={code}"), &[], "").await;
        assert_eq!((reply.status, reply.header("set-cookie")), (200, None));
    }
    let first = use_code(&stage, &code, &origin(&stage)).await;
    let cookie = first.header("set-cookie").unwrap().to_owned();
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200"), "{cookie}");
    let second = use_code(&stage, &code, &origin(&stage)).await;
    assert_eq!((second.status, second.header("set-cookie")), (403, None));
    assert!(second.page().contains("used already"));
}

#[tokio::test]
async fn another_site_can_neither_sign_in_nor_use_a_code_up() {
    let stage = Stage::bare().await;
    stage.person("ana", "finance-platform").await;
    let code = code(&stage, "ana").await;
    for foreign in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        assert_eq!(use_code(&stage, &code, foreign).await.status, 403, "{foreign}");
    }
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let nowhere = stage.ask("POST", "/login", &headers, &form(&[("code", &code)])).await;
    assert_eq!(nowhere.status, 403);
    assert_eq!(use_code(&stage, &code, &origin(&stage)).await.status, 303);
}

#[tokio::test]
async fn only_an_administrator_or_a_person_themselves_gets_a_one_time_address() {
    let stage = Stage::bare().await;
    let ana = stage.person("ana", "finance-platform").await;
    stage.person("ben", "procurement").await;
    let ask = async |key: &str, person: &str| {
        stage.by(key, "POST", "/api/logins", &json!({ "person": person }).to_string()).await
    };
    assert_eq!(ask(&ana, "ana").await.status, 200);
    assert_eq!(ask(&ana, "ben").await.refusal(), "403 forbidden");
    assert_eq!(ask(&stage.admin, "ben").await.status, 200);
    assert_eq!(ask(&stage.admin, "nobody").await.refusal(), "404 not_found");
}

#[tokio::test]
async fn a_form_needs_its_token_and_our_own_origin() {
    let stage = Stage::with_agents().await;
    stage.person("ana", "finance-platform").await;
    let item = stage.consent_wanted().await;
    let ana = Browser::sign_in(&stage, "ana").await;
    let other = Browser::sign_in(&stage, "ana").await;
    let path = format!("/inbox/{}/approve", item["id"].as_str().unwrap());
    let (token, foreign_token, ours) = (ana.token().await, other.token().await, origin(&stage));
    assert_ne!(token, foreign_token);
    let own = ("origin", ours.as_str());
    for (fields, headers) in [
        (vec![("reason", "x")], vec![own]),
        (vec![("csrf", ""), ("reason", "x")], vec![own]),
        (vec![("csrf", foreign_token.as_str())], vec![own]),
        (vec![("csrf", token.as_str())], vec![]),
        (vec![("csrf", token.as_str())], vec![("origin", "http://evil.example")]),
        (vec![("csrf", token.as_str())], vec![("sec-fetch-site", "cross-site")]),
    ] {
        let reply = ana.send_from(&path, &fields, &headers).await;
        assert_eq!(reply.status, 403, "{fields:?} {headers:?}: {reply:?}");
        assert!(reply.page().contains("That did not work"));
    }
    let by_key = [("authorization", format!("Bearer {}", stage.admin))];
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("authorization", by_key[0].1.as_str())];
    assert_eq!(stage.ask("POST", &path, &headers, &form(&[("csrf", &token)])).await.status, 403);
    assert_eq!(stage.get("/api/inbox").await.ok()[0]["id"], item["id"]);
    assert_eq!(stage.upstream.drafts().len(), 0);
    let reply = ana.send_from(&path, &[("csrf", &token)], &[own]).await;
    assert_eq!(reply.status, 303, "{reply:?}");
}

#[tokio::test]
async fn a_page_may_load_nothing_of_others_be_framed_by_nobody_and_kept_nowhere() {
    let stage = Stage::bare().await;
    stage.person("ana", "finance-platform").await;
    let ana = Browser::sign_in(&stage, "ana").await;
    let open = stage.ask("GET", "/login", &[], "").await;
    for reply in [ana.get("/").await, ana.get("/inbox").await, ana.get("/nothing").await, open] {
        let policy = reply.header("content-security-policy").unwrap();
        for rule in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(rule) && !policy.contains("unsafe"), "{policy}");
        }
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("referrer-policy"), Some("same-origin"));
        assert!(!reply.page().contains("<script") && !reply.page().contains("style=\""), "{reply:?}");
    }
    let api = ana.get("/api/people").await;
    assert_eq!(
        (api.header("cache-control"), api.header("x-content-type-options")),
        (Some("no-store"), Some("nosniff"))
    );
}

#[tokio::test]
async fn signing_out_and_losing_ones_key_end_the_console_session() {
    let stage = Stage::bare().await;
    stage.person("ana", "finance-platform").await;
    let ana = Browser::sign_in(&stage, "ana").await;
    let out = ana.send("/logout", &[]).await;
    assert_eq!((out.status, out.header("location")), (303, Some("/login")));
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"), "{out:?}");
    assert_eq!(ana.get("/").await.header("location"), Some("/login"));

    let again = Browser::sign_in(&stage, "ana").await;
    let unused = code(&stage, "ana").await;
    let keys = stage.get("/api/keys").await.ok();
    let key = keys.as_array().unwrap().iter().find(|key| key["name"] == "ana").unwrap();
    let revoked = stage.by(&stage.admin, "DELETE", &format!("/api/keys/{}", key["id"].as_str().unwrap()), "").await;
    assert_eq!(revoked.status, 204);
    assert_eq!(again.get("/").await.header("location"), Some("/login"));
    assert_eq!(use_code(&stage, &unused, &origin(&stage)).await.status, 403);
}

#[tokio::test]
async fn a_restart_signs_everybody_out() {
    let mut stage = Stage::bare().await;
    stage.person("ana", "finance-platform").await;
    let cookie = Browser::sign_in(&stage, "ana").await.cookie;
    stage.restart().await;
    let reply = stage.ask("GET", "/", &[("cookie", &cookie)], "").await;
    assert_eq!((reply.status, reply.header("location")), (303, Some("/login")));
}
