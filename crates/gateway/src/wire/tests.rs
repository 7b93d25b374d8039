//! Frames as clients send them, whole and broken.

use serde_json::{Value, json};

use super::{Era, Fault, Frame, Method, Notification, Request, Wrong, read};

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn frame(body: &Value, headers: Pairs<'_>) -> Result<Frame, Fault> {
    let of = |name: &str| headers.iter().filter(|(is, _)| *is == name).map(|(_, value)| value.as_bytes()).collect();
    read(body.to_string().as_bytes(), &of)
}

fn request(body: &Value, headers: Pairs<'_>) -> Request {
    match frame(body, headers) {
        Ok(Frame::Request(request)) => *request,
        other => panic!("{body}: {other:?}"),
    }
}

fn wrong(body: &Value, headers: Pairs<'_>) -> (Wrong, Value) {
    match frame(body, headers) {
        Err(fault) => (fault.wrong, fault.body()["id"].clone()),
        Ok(other) => panic!("{body}: {other:?}"),
    }
}

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "a client", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
    })
}

fn modern(method: &str, mut params: Value) -> Value {
    params["_meta"] = meta();
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

const VERSION: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
const CALL: (&str, &str) = ("mcp-method", "tools/call");
const LIST: (&str, &str) = ("mcp-method", "tools/list");

#[test]
fn a_call_of_the_newer_era_says_everything_about_itself() {
    let mut body = modern("tools/call", json!({"name": "email-draft", "arguments": {"to": "acme"}}));
    body["params"]["_meta"]["ostler/wait"] = json!(0.25);
    body["params"]["_meta"]["progressToken"] = json!("p");
    let read = request(&body, &[VERSION, CALL, ("mcp-name", " email-draft\t")]);
    assert_eq!((read.era, &read.id, read.client.takes_tasks), (Era::Stateless, &json!(7), true));
    assert_eq!((read.client.name.as_str(), read.progress), ("a client", Some(json!("p"))));
    let Method::CallTool(call) = read.method else { panic!("{:?}", read.method) };
    assert_eq!((call.name.as_str(), call.arguments), ("email-draft", json!({"to": "acme"})));
    assert_eq!(call.wait, Some(std::time::Duration::from_millis(250)));
}

#[test]
fn a_call_of_the_older_era_says_what_it_wants_and_no_more() {
    let body = json!({"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": {"name": "now"}});
    for headers in [&[][..], &[("mcp-protocol-version", "2025-11-25")], &[("mcp-protocol-version", "2025-06-18")]] {
        let read = request(&body, headers);
        assert_eq!((read.era, read.client.takes_tasks), (Era::Sessions, false));
        let Method::CallTool(call) = read.method else { panic!("{:?}", read.method) };
        assert_eq!((call.name.as_str(), call.arguments, call.wait), ("now", json!({}), None));
    }
}

#[test]
fn a_session_begins_in_the_clients_revision_or_in_the_newest() {
    for (said, gets) in [("2025-11-25", "2025-11-25"), ("2025-03-26", "2025-03-26"), ("2024-11-05", "2025-11-25")] {
        let params = json!({"protocolVersion": said, "capabilities": {}, "clientInfo": {"name": "c"}});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
        assert_eq!(request(&body, &[]).method, Method::Initialize(gets));
    }
    let newer = modern("initialize", json!({"protocolVersion": "2026-07-28"}));
    assert_eq!(wrong(&newer, &[VERSION, ("mcp-method", "initialize")]), (Wrong::Method, json!(7)));
}

#[test]
fn headers_say_what_the_body_says() {
    let call = modern("tools/call", json!({"name": "email-draft"}));
    let name = |value| ("mcp-name", value);
    for fits in ["email-draft", "=?base64?ZW1haWwtZHJhZnQ=?="] {
        request(&call, &[VERSION, CALL, name(fits)]);
    }
    for headers in [
        &[VERSION, CALL][..],
        &[VERSION, name("email-draft")],
        &[VERSION, LIST, name("email-draft")],
        &[VERSION, ("mcp-method", "Tools/Call"), name("email-draft")],
        &[VERSION, CALL, name("email-send")],
        &[VERSION, CALL, name("=?base64?!?=")],
        &[VERSION, CALL, name("email-draft"), name("email-draft")],
        &[VERSION, CALL, name("email-drafté")],
        &[CALL, name("email-draft")],
        &[("mcp-protocol-version", "2025-11-25"), CALL, name("email-draft")],
    ] {
        assert_eq!(wrong(&call, headers), (Wrong::Headers, json!(7)), "{headers:?}");
    }
    let task = modern("tasks/get", json!({"taskId": "ses_1.2"}));
    assert_eq!(wrong(&task, &[VERSION, ("mcp-method", "tasks/get")]).0, Wrong::Headers);
}

#[test]
fn metadata_is_whole_and_of_a_revision_that_is_spoken() {
    for lacks in ["protocolVersion", "clientCapabilities"] {
        let mut body = modern("tools/list", json!({}));
        body["params"]["_meta"].as_object_mut().unwrap().remove(&format!("io.modelcontextprotocol/{lacks}"));
        assert_eq!(wrong(&body, &[VERSION, LIST]), (Wrong::Metadata, json!(7)), "{lacks}");
    }
    let bare = json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover"});
    assert_eq!(wrong(&bare, &[]).0, Wrong::Metadata);
    let mut later = modern("server/discover", json!({}));
    later["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2031-01-01");
    let fault =
        frame(&later, &[("mcp-protocol-version", "2031-01-01"), ("mcp-method", "server/discover")]).unwrap_err();
    assert_eq!(fault.wrong, Wrong::Revision);
    let said = fault.body();
    assert_eq!((&said["error"]["code"], &said["error"]["data"]["requested"]), (&json!(-32022), &json!("2031-01-01")));
    assert_eq!(said["error"]["data"]["supported"][0], "2026-07-28");
}

#[test]
fn tasks_are_for_clients_that_take_them() {
    let mut body = modern("tasks/get", json!({"taskId": "ses_1.2"}));
    let headers = [VERSION, ("mcp-method", "tasks/get"), ("mcp-name", "ses_1.2")];
    assert_eq!(request(&body, &headers).method, Method::GetTask("ses_1.2".to_owned()));
    body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    let fault = frame(&body, &headers).unwrap_err();
    let needs = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    assert_eq!((fault.wrong, &fault.body()["error"]["data"]["requiredCapabilities"]), (Wrong::Capability, &needs));
}

#[test]
fn what_is_no_frame_is_refused_and_what_wants_no_answer_gets_none() {
    let of = |_: &str| Vec::new();
    assert_eq!(read(b"{", &of).unwrap_err().wrong, Wrong::Json);
    for body in [
        json!([]),
        json!("x"),
        json!({"id": 1, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": 1}),
        json!({"jsonrpc": "2.0", "id": true, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": []}),
    ] {
        assert_eq!(wrong(&body, &[]).0, Wrong::Frame, "{body}");
    }
    for (method, params) in [
        ("tools/call", json!({})),
        ("tools/call", json!({"name": "now", "arguments": []})),
        ("tools/list", json!({"cursor": "2"})),
    ] {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        assert_eq!(wrong(&body, &[]), (Wrong::Parameters, json!(1)), "{body}");
    }
    let resources = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/list"});
    assert_eq!(wrong(&resources, &[]).0, Wrong::Method);
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    assert!(matches!(frame(&answer, &[]), Ok(Frame::Response)));
    let note = |method, params| json!({"jsonrpc": "2.0", "method": method, "params": params});
    let cancelled = frame(&note("notifications/cancelled", json!({"requestId": 3})), &[]);
    assert!(matches!(cancelled, Ok(Frame::Notification(Notification::Cancelled { request })) if request == 3));
    let ready = frame(&note("notifications/initialized", json!({})), &[]);
    assert!(matches!(ready, Ok(Frame::Notification(Notification::Other))));
}
