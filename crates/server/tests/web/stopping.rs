//! Starting and stopping: who hangs is let go, what was there is there again.

use server::boot;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use crate::http;
use crate::stage::{Stage, config_of};

#[tokio::test]
async fn a_stop_lets_go_of_streams_and_waits_that_are_open() {
    let mut stage = Stage::with_agents().await;
    let key = format!("Bearer {}", stage.admin);
    let session = "ses_7118b9dzpa41qsdez6a7967f91";
    let mut open = Vec::new();
    for what in ["stream", "wait"] {
        let path = format!("/api/sessions/{session}/{what}");
        open.push(http::send(&stage.host, "GET", &path, &[("authorization", &key)], "").await);
    }
    let mut head = [0; 15];
    open[0].read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    // A request that was not read yet when the stop comes may find nobody: this answer says that the others are in.
    assert_eq!(stage.get("/readyz").await.body, "ready\n");
    stage.stop().await;
    let mut said = Vec::new();
    for mut stream in open {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        said.push(text);
    }
    assert!(said[0].ends_with("0\r\n\r\n"), "the stream was cut off: {said:?}");
    assert!(said[1].starts_with("HTTP/1.1 404"), "{said:?}");
}

#[tokio::test]
async fn what_was_there_is_there_again_after_a_restart() {
    let mut stage = Stage::with_agents().await;
    let item = stage.consent_wanted().await;
    let sessions = stage.get("/api/sessions").await.ok();
    stage.restart().await;
    assert_eq!(stage.get("/api/sessions").await.ok(), sessions);
    assert_eq!(stage.get("/api/inbox").await.ok()[0]["id"], item["id"]);
}

#[tokio::test]
async fn a_directory_has_one_server_and_an_address_too() {
    let stage = Stage::bare().await;
    let held = boot::start(config_of(&stage.dir)).await.err().unwrap().to_string();
    assert!(held.contains(&format!("pid {}", std::process::id())), "{held}");
    let other = TempDir::new().unwrap();
    let mut config = config_of(&other);
    config.listen = stage.host.parse().unwrap();
    let taken = boot::start(config).await.err().unwrap().to_string();
    assert!(taken.contains(&stage.host) && taken.contains("--listen"), "{taken}");
}

#[tokio::test]
async fn the_directory_says_where_the_server_is_to_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::bare().await;
    for name in ["context.json", "admin.key"] {
        let mode = std::fs::metadata(stage.dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let context: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(stage.dir.path().join("context.json")).unwrap()).unwrap();
    assert_eq!(context["url"], format!("http://{}", stage.host));
    assert_eq!(context["key"], stage.admin.as_str());
}

#[tokio::test]
async fn an_administrators_key_that_was_lost_is_made_anew() {
    let mut stage = Stage::bare().await;
    std::fs::remove_file(stage.dir.path().join("admin.key")).unwrap();
    stage.restart().await;
    let key = std::fs::read_to_string(stage.dir.path().join("admin.key")).unwrap();
    assert_ne!(key.trim(), stage.admin);
    assert_eq!(stage.by(key.trim(), "GET", "/api/keys", "").await.status, 200);
}
