//! Servers over pipes that misbehave, each a few lines of `sh`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::Host;
use crate::secret::Secrets;
use crate::upstream::{At, Outcome, Spec, ToolCall, Upstream, connect};

/// A legacy MCP server in a few lines of shell; `$TOOL` is what it does when its tool is used.
const SERVER: &str = r#"
say() { printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$1" "$2"; }
while read -r line; do
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  case "$line" in
    *'"server/discover"'*) say "$id" '"error":{"code":-32601,"message":"no such method"}';;
    *'"initialize"'*) say "$id" '"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}';;
    *'"tools/list"'*) say "$id" '"result":{"tools":[{"name":"use","inputSchema":{"type":"object"}}]}';;
    *'"tools/call"'*) eval "$TOOL";;
  esac
done
"#;

fn sh(script: &str) -> Spec {
    Spec {
        name: "sh".parse().unwrap(),
        at: At::Stdio { command: "sh".into(), args: vec!["-c".into(), script.into()] },
        secrets: vec!["TOOL".into()],
        handshake: Duration::from_secs(20),
        timeout: Duration::from_secs(20),
    }
}

fn host() -> Host {
    let path = ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned());
    Host::new("/nowhere/ostler".into(), [path, ("LEAKED".to_owned(), "yes".to_owned())])
}

async fn server(tool: &str) -> Arc<dyn Upstream> {
    let secrets = Secrets::new([("TOOL".to_owned(), tool.to_owned()), ("OTHER".to_owned(), "hidden".to_owned())]);
    connect(&sh(SERVER), &secrets, &host()).await.unwrap()
}

async fn failure(spec: &Spec) -> String {
    connect(spec, &Secrets::default(), &host()).await.err().expect("it does not shake hands")
}

fn using() -> ToolCall {
    let serde_json::Value::Object(arguments) = json!({"x": 1}) else { panic!("an object") };
    let traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    ToolCall { tool: "use".into(), arguments, idempotency_key: "ses_x.7".into(), traceparent }
}

async fn text_of(tool: &str) -> String {
    match server(tool).await.call(using()).await {
        Outcome::Answered(answer) => answer.text,
        other => panic!("{other:?}"),
    }
}

/// What the server sends as the text of its answer.
fn answering(words: &str) -> String {
    format!(r#"say "$id" '"result":{{"content":[{{"type":"text","text":"'"{words}"'"}}]}}'"#)
}

#[tokio::test]
async fn a_legacy_server_is_spoken_to() {
    let server = server(&answering("hello")).await;
    assert_eq!(server.tools().await.unwrap()[0].name, "use");
    let Outcome::Answered(answer) = server.call(using()).await else { panic!("an answer") };
    assert_eq!((answer.text.as_str(), answer.error), ("hello", false));
    server.close().await;
    assert!(!server.is_alive());
    assert!(matches!(server.call(using()).await, Outcome::NotSent { .. }));
}

#[tokio::test]
async fn a_child_sees_its_own_secrets_and_nothing_of_our_environment() {
    let seen = text_of(&answering("$(env | cut -d= -f1 | sort | tr '\\n' ' ')")).await;
    let names: Vec<&str> =
        seen.split_whitespace().filter(|name| !["_", "PWD", "OLDPWD", "SHLVL"].contains(name)).collect();
    let own: Vec<&str> = names.iter().copied().filter(|name| name.chars().all(|c| c.is_ascii_uppercase())).collect();
    assert_eq!(own, ["PATH", "TOOL"]);
}

#[tokio::test]
async fn the_idempotency_key_and_the_trace_go_with_the_call() {
    let line = text_of(&answering("$(printf %s \"$line\" | tr -d '\\\\\"')")).await;
    assert!(line.contains("ostler/idempotencyKey:ses_x.7"), "{line}");
    assert!(line.contains("traceparent:00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), "{line}");
    assert!(line.contains("arguments:{x:1}"), "{line}");
}

#[tokio::test]
async fn a_server_that_dies_says_how_and_why() {
    let why = failure(&sh("echo 'no licence' >&2; exit 3")).await;
    assert!(why.contains("it ended with exit status: 3") && why.ends_with("no licence"), "{why}");
    let why = failure(&Spec { at: At::Stdio { command: "/no/such".into(), args: Vec::new() }, ..sh("") }).await;
    assert!(why.starts_with("`/no/such` cannot be started: "), "{why}");
}

#[tokio::test]
async fn a_server_that_talks_rubbish_is_quoted() {
    let spec = Spec { handshake: Duration::from_millis(300), ..sh("echo Listening on port 80; cat") };
    let why = failure(&spec).await;
    assert!(why.contains("it did not finish the handshake within 300ms"), "{why}");
    assert!(why.contains("not MCP: \"Listening on port 80\""), "{why}");
}

#[tokio::test]
async fn a_server_that_dies_in_a_call_leaves_it_unknown() {
    let server = server("echo 'out of memory' >&2; exit 9").await;
    let Outcome::Unknown { error } = server.call(using()).await else { panic!("nobody knows") };
    assert!(error.contains("exit status: 9") && error.contains("out of memory"), "{error}");
    assert!(!server.is_alive());
}

#[tokio::test]
async fn a_huge_line_is_dropped_and_the_next_call_works() {
    let huge = "if [ -z \"$done\" ]; then done=1; head -c 9000000 /dev/zero | tr '\\0' x; echo; fi; ";
    let server = server(&format!("{huge}{}", answering("after"))).await;
    assert!(matches!(server.call(using()).await, Outcome::Answered(answer) if answer.text == "after"));
    assert!(server.evidence().contains("a line of more than"), "{}", server.evidence());
}

#[tokio::test]
async fn an_answer_to_another_call_is_no_answer() {
    let server = server(r#"say 9999 '"result":{"content":[]}'; say '"nonsense"' '"result":{}'; say "$id" '"error":{"code":-32602,"message":"no such account"}'"#).await;
    let Outcome::Answered(answer) = server.call(using()).await else { panic!("an answer") };
    assert_eq!((answer.text.as_str(), answer.error), ("the server answered with error -32602: no such account", true));
}

#[tokio::test]
async fn an_error_from_inside_the_server_leaves_it_unknown() {
    for code in [-32603, -32000, 1] {
        let server = server(&format!(r#"say "$id" '"error":{{"code":{code},"message":"lost the database"}}'"#)).await;
        let outcome = server.call(using()).await;
        assert!(matches!(&outcome, Outcome::Unknown { error } if error.contains("lost the database")), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_child_and_all_it_started_end_with_its_connection() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let tool = format!("sleep 1000 & echo $$ $! > {}; {}", file.display(), answering("started"));
    let server = server(&tool).await;
    assert!(matches!(server.call(using()).await, Outcome::Answered(_)));
    let pids = std::fs::read_to_string(&file).unwrap();
    drop(server);
    for pid in pids.split_whitespace() {
        ended(pid).await;
    }
}

#[tokio::test]
async fn a_child_that_never_shakes_hands_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("trap '' TERM; echo $$ > {}; while :; do read -r line || sleep 1; done", file.display());
    failure(&Spec { handshake: Duration::from_millis(500), ..sh(&script) }).await;
    ended(std::fs::read_to_string(&file).unwrap().trim()).await;
}

/// Waits until the process is gone, or a zombie that nobody reaps.
async fn ended(pid: &str) {
    let stat = Path::new("/proc").join(pid).join("stat");
    let gone = async {
        let mut look = tokio::time::interval(Duration::from_millis(10));
        while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
            look.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), gone).await.expect("the process ends");
}
