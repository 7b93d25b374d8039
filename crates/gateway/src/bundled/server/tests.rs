//! The demo's servers as an MCP client sees them, over a pipe in memory.

use std::path::Path;
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, CallToolResult, ProtocolVersion, RequestMetaObject, RequestParamsMeta};
use rmcp::service::{RoleClient, RunningService, ServiceError};
use rmcp::{ClientLifecycleMode, ClientServiceExt, ServiceExt};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::super::drafts::DRAFTS_FILE;
use super::super::{IDEMPOTENCY_META_KEY, input, write_demo_data};
use super::{DemoServer, Desk};

/// Longer than any test may take.
const FOREVER: Duration = Duration::from_secs(24 * 3600);
/// Far longer than a quick answer takes, and shorter than rmcp's own draining of running calls.
const PROMPT: Duration = Duration::from_secs(4);

type Client = RunningService<RoleClient, ()>;

fn start(which: &str, folder: &Path, delay: Duration) -> (tokio::io::DuplexStream, JoinHandle<()>) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (reader, writer) = tokio::io::split(far);
    let (reader, open) = input::watch_end(reader);
    let server = DemoServer::new(Desk::open(which, folder).unwrap(), delay, open);
    let serving = tokio::spawn(async move {
        server.serve((reader, writer)).await.unwrap().waiting().await.unwrap();
    });
    (near, serving)
}

async fn connect(which: &str, folder: &Path) -> Client {
    ().serve(start(which, folder, Duration::ZERO).0).await.unwrap()
}

fn request(name: &'static str, arguments: Value) -> CallToolRequestParams {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    CallToolRequestParams::new(name).with_arguments(arguments)
}

fn with_meta(mut params: CallToolRequestParams, value: Value) -> CallToolRequestParams {
    let mut meta = RequestMetaObject::new();
    meta.insert(IDEMPOTENCY_META_KEY.to_owned(), value);
    *params.meta_mut() = Some(meta);
    params
}

fn draft() -> CallToolRequestParams {
    request("draft_email", json!({"to": "ap@acme.example", "subject": "s", "body": "b", "amount_usd": 312.40}))
}

fn text(result: &CallToolResult) -> &str {
    &result.content[0].as_text().unwrap().text
}

async fn wait_for_a_stored_line(folder: &Path) {
    let stored = async {
        while !std::fs::read_to_string(folder.join(DRAFTS_FILE)).is_ok_and(|text| text.ends_with('\n')) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PROMPT, stored).await.expect("the draft is stored");
}

async fn read_one_invoice(client: &Client) {
    let asked = request("read_invoices", json!({"company": "acme", "invoice_id": "INV-2041"}));
    let result = client.call_tool(asked).await.unwrap();
    assert_eq!(result.is_error, Some(false));
    let structured = result.structured_content.clone().unwrap();
    assert_eq!(structured["invoices"][0]["amount"], 4180.0);
    assert_eq!(serde_json::from_str::<Value>(text(&result)).unwrap(), structured);
}

#[tokio::test]
async fn a_legacy_client_lists_and_calls_tools() {
    let dir = tempfile::tempdir().unwrap();
    write_demo_data(dir.path()).unwrap();
    let client = connect("erp", dir.path()).await;
    let names: Vec<String> = client.list_all_tools().await.unwrap().into_iter().map(|t| t.name.into_owned()).collect();
    assert_eq!(names, ["read_invoices", "read_ledger", "lookup_vendor", "aging_report"]);
    read_one_invoice(&client).await;
    client.cancel().await.unwrap();
}

#[tokio::test]
async fn a_modern_client_lists_and_calls_tools_without_initialize() {
    let dir = tempfile::tempdir().unwrap();
    write_demo_data(dir.path()).unwrap();
    let lifecycle = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    let pipe = start("erp", dir.path(), Duration::ZERO).0;
    let client = ().serve_with_lifecycle(pipe, lifecycle).await.unwrap();
    assert_eq!(client.peer_info().unwrap().protocol_version, ProtocolVersion::V_2026_07_28);
    assert_eq!(client.list_all_tools().await.unwrap().len(), 4);
    read_one_invoice(&client).await;
    client.cancel().await.unwrap();
}

#[tokio::test]
async fn every_tool_says_what_it_takes_and_answers_and_whether_it_writes() {
    let dir = tempfile::tempdir().unwrap();
    let mut writing = Vec::new();
    for which in ["erp", "mail"] {
        for tool in connect(which, dir.path()).await.list_all_tools().await.unwrap() {
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
            assert_eq!(tool.input_schema["additionalProperties"], false, "{}", tool.name);
            assert!(tool.output_schema.is_some() && tool.description.is_some(), "{}", tool.name);
            let hints = tool.annotations.unwrap();
            if hints.read_only_hint != Some(true) {
                writing.push((tool.name.into_owned(), hints.is_destructive(), hints.is_idempotent()));
            }
        }
    }
    assert_eq!(writing, [("draft_email".to_owned(), false, false), ("delete_draft".to_owned(), true, false)]);
}

#[tokio::test]
async fn the_argument_schema_of_a_draft_is_as_documented() {
    let dir = tempfile::tempdir().unwrap();
    let tools = connect("mail", dir.path()).await.list_all_tools().await.unwrap();
    let schema = tools.into_iter().find(|tool| tool.name == "draft_email").unwrap().schema_as_json_value();
    assert_eq!(schema["required"], json!(["to", "subject", "body", "amount_usd"]));
    assert_eq!(schema["properties"]["amount_usd"]["type"], "number");
    assert_eq!(schema["properties"]["idempotency_key"]["type"], json!(["string", "null"]));
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_an_unknown_tool_a_protocol_error() {
    let dir = tempfile::tempdir().unwrap();
    write_demo_data(dir.path()).unwrap();
    let client = connect("erp", dir.path()).await;
    for arguments in [json!({"company": "initech"}), json!({"company": 7}), json!({})] {
        let refused = client.call_tool(request("read_ledger", arguments)).await.unwrap();
        assert_eq!((refused.is_error, &refused.structured_content), (Some(true), &None));
        assert!(text(&refused).contains("company") || text(&refused).contains("read_ledger"), "{}", text(&refused));
    }
    let unknown = client.call_tool(request("pay", json!({}))).await.unwrap_err();
    assert!(matches!(unknown, ServiceError::McpError(error) if error.message == "there is no tool `pay`"));
}

#[tokio::test]
async fn a_key_in_the_requests_meta_reaches_the_stored_line() {
    let dir = tempfile::tempdir().unwrap();
    let client = connect("mail", dir.path()).await;
    client.call_tool(with_meta(draft(), json!("call-7"))).await.unwrap();
    let stored = std::fs::read_to_string(dir.path().join(DRAFTS_FILE)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&stored).unwrap()["key"], "call-7");
    assert!(client.call_tool(with_meta(draft(), json!(7))).await.is_err());
}

#[tokio::test]
async fn a_delayed_draft_is_on_disk_before_it_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let (pipe, _serving) = start("mail", dir.path(), FOREVER);
    let client = ().serve(pipe).await.unwrap();
    let peer = client.peer().clone();
    let calling = tokio::spawn(async move { peer.call_tool_once(draft()).await });
    wait_for_a_stored_line(dir.path()).await;
    // Another call goes through while the draft's answer is held back.
    let listed = client.call_tool(request("list_drafts", json!({}))).await.unwrap();
    assert_eq!(listed.structured_content.unwrap()["total"], 1);
    assert!(!calling.is_finished());
}

#[tokio::test]
async fn the_server_ends_with_its_input_even_while_an_answer_is_held_back() {
    let dir = tempfile::tempdir().unwrap();
    let (pipe, serving) = start("mail", dir.path(), FOREVER);
    let client = ().serve(pipe).await.unwrap();
    let peer = client.peer().clone();
    let _calling = tokio::spawn(async move { peer.call_tool_once(draft()).await });
    wait_for_a_stored_line(dir.path()).await;
    client.cancel().await.unwrap();
    tokio::time::timeout(PROMPT, serving).await.expect("the server ends").unwrap();
}
