//! The door over servers that nobody here wrote: npm `@modelcontextprotocol/server-filesystem` over stdio and
//! `server-everything` over HTTP and stdio. `OSTLER_TEST_NPM` names the `node_modules` directory that holds them;
//! where it is unset, these tests say so and do nothing.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use domain::clock::SystemClock;
use domain::event::Event;
use gateway::supervise::Condition;
use gateway::{Host, Secrets, Upstreams};
use serde_json::json;
use tokio::process::{Child, Command};

use crate::stage::{Stage, Still, words};

fn agent(capabilities: &[(&str, &str, &str)], server: &str) -> String {
    let tools: Vec<String> = capabilities.iter().map(|(name, ..)| format!("mcp://gateway/{name}")).collect();
    let header = |kind: &str, name: &str| {
        format!("---\napiVersion: agent.os/v1\nkind: {kind}\nmetadata: {{name: {name}, owner: office}}\n")
    };
    let mut text = header("Agent", "worker");
    text += &format!("spec: {{model: {{provider: none, name: none}}, tools: [{}]}}\n", tools.join(", "));
    text += &format!("{}spec: {server}\n", header("McpServer", "real"));
    for (name, tool, effect) in capabilities {
        let spec = format!("spec: {{server: real, tool: {tool}, effect: {effect}}}\n");
        text += &(header("Capability", name) + &spec);
    }
    text
}

/// The script of a server, or `None` and a word about it.
fn script(server: &str) -> Option<PathBuf> {
    let Some(modules) = std::env::var_os("OSTLER_TEST_NPM") else {
        println!("skipped: OSTLER_TEST_NPM does not name a node_modules directory");
        return None;
    };
    let script = Path::new(&modules).join("@modelcontextprotocol").join(server).join("dist/index.js");
    assert!(script.exists(), "{} is missing: npm i @modelcontextprotocol/{server}", script.display());
    Some(script)
}

async fn stage(descriptors: &str) -> Stage {
    let path = std::env::var_os("PATH").and_then(|path| path.into_string().ok()).unwrap_or_default();
    let variables = [("PATH".to_owned(), path), ("OSTLER_TEST_LEAK".to_owned(), "leaked".to_owned())];
    let secrets = Secrets::new([("API_TOKEN".to_owned(), "tok-5e1f".to_owned())]);
    let upstreams = Upstreams::new(secrets, Host::new("/nowhere".into(), variables), Arc::new(SystemClock));
    Stage::set(descriptors, Arc::new(Still::default()), upstreams).await
}

async fn said(stage: &mut Stage, capability: &str, arguments: serde_json::Value) -> (String, bool) {
    let (event, _) = stage.call(&format!("mcp://gateway/{capability}"), arguments).await;
    assert!(matches!(event, Event::CallAnswered { .. }));
    let (text, error) = words(&event);
    println!("{capability}: {}", text.chars().take(200).collect::<String>());
    (text.to_owned(), error)
}

#[tokio::test]
async fn a_file_is_written_and_read_through_server_filesystem_over_stdio() {
    let Some(script) = script("server-filesystem") else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let server = format!("{{stdio: {{command: node, args: ['{}', '{}']}}}}", script.display(), root.display());
    let capabilities = [("files-read", "read_text_file", "read"), ("files-write", "write_file", "write")];
    let mut stage = stage(&agent(&capabilities, &server)).await;

    let offers = stage.door.offers(&stage.principal).await;
    assert_eq!(offers.len(), 2, "an agent sees what it lists: {offers:?}");
    assert!(offers[1].description.contains("Create a new file"), "{}", offers[1].description);
    assert_eq!(offers[1].input_schema["required"], json!(["path", "content"]));

    let path = root.join("note.txt");
    said(&mut stage, "files-write", json!({"path": path, "content": "two drafts"})).await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "two drafts");
    assert_eq!(said(&mut stage, "files-read", json!({"path": path})).await, ("two drafts".to_owned(), false));
    let (denied, error) = said(&mut stage, "files-read", json!({"path": "/etc/passwd"})).await;
    assert!(error && denied.contains("Access denied"), "{denied}");
    let up = |stage: &Stage| stage.door.servers().iter().any(|(_, condition)| *condition == Condition::Up);
    assert!(up(&stage));
    stage.door.stop().await;
    assert!(!up(&stage));
}

const EVERYTHING: [(&str, &str, &str); 4] = [
    ("echo", "echo", "read"),
    ("sum", "get-sum", "read"),
    ("environment", "get-env", "read"),
    ("slow", "trigger-long-running-operation", "write"),
];

#[tokio::test]
async fn server_everything_answers_over_http() {
    let Some(script) = script("server-everything") else { return };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _server = listening(&script, port).await;
    let server = format!("{{http: {{url: 'http://127.0.0.1:{port}/mcp'}}, timeout: 5s}}");
    let mut stage = stage(&agent(&EVERYTHING, &server)).await;
    assert_eq!(said(&mut stage, "echo", json!({"message": "hello"})).await.0, "Echo: hello");
    assert_eq!(said(&mut stage, "sum", json!({"a": 2, "b": 40})).await.0, "The sum of 2 and 40 is 42.");
    stage.door.stop().await;
}

#[tokio::test]
async fn server_everything_sees_its_secret_and_the_agent_does_not() {
    let Some(script) = script("server-everything") else { return };
    let stdio = format!("stdio: {{command: node, args: ['{}', stdio]}}", script.display());
    let server = format!("{{{stdio}, secrets: [API_TOKEN], timeout: 2s}}");
    let mut stage = stage(&agent(&EVERYTHING, &server)).await;
    let (environment, _) = said(&mut stage, "environment", json!({})).await;
    assert!(environment.contains("[secret API_TOKEN]") && !environment.contains("tok-5e1f"), "{environment}");
    assert!(!environment.contains("OSTLER_TEST_LEAK"), "{environment}");
    stage.door.stop().await;
}

#[tokio::test]
async fn a_write_that_takes_longer_than_its_timeout_is_in_doubt_and_the_server_goes_on() {
    let Some(script) = script("server-everything") else { return };
    let stdio = format!("stdio: {{command: node, args: ['{}', stdio]}}", script.display());
    let mut stage = stage(&agent(&EVERYTHING, &format!("{{{stdio}, timeout: 2s}}"))).await;
    let (event, _) = stage.call("mcp://gateway/slow", json!({"duration": 60, "steps": 2})).await;
    let Event::CallAnswered { outcome, .. } = &event else { panic!("{event:?}") };
    assert!(matches!(outcome, domain::call::CallOutcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(said(&mut stage, "echo", json!({"message": "still here"})).await.0, "Echo: still here");
    stage.door.stop().await;
}

async fn listening(script: &Path, port: u16) -> Child {
    let mut command = Command::new("node");
    command.arg(script).arg("streamableHttp").env("PORT", port.to_string());
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let reached = async {
        let mut again = tokio::time::interval(Duration::from_millis(50));
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            again.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reached).await.expect("the server listens");
    child
}
