//! What headers repeat of the body, so that whoever stands between can route by them, must be what the body says
//! (MCP 2026-07-28, streamable HTTP, "Request Metadata"). A tool's own mirrored parameters are not among them: they
//! are taken out of what is shown, so that arguments stay out of proxies' logs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::frame::{Era, Headers};
use super::{Fault, Wrong};

/// How a value that is no plain header text is wrapped.
const WRAPPED: (&str, &str) = ("=?base64?", "?=");

pub(super) fn fault(id: &Value, why: String) -> Fault {
    Fault::new(Wrong::Headers, id, Era::Stateless, format!("header mismatch: {why}"))
}

/// The only value of a header.
pub(super) fn only<'a>(headers: Headers<'a>, name: &str) -> Result<Option<&'a str>, String> {
    match headers(name).as_slice() {
        [] => Ok(None),
        [one] => {
            let text = std::str::from_utf8(one).ok().filter(|text| text.bytes().all(plain));
            text.map(|text| Some(text.trim())).ok_or_else(|| format!("{name} has characters that no header may have"))
        }
        _ => Err(format!("{name} is there more than once")),
    }
}

/// Visible ASCII, space and tab (RFC 9110 §5.5).
fn plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t')
}

/// Compares the headers of a request with its body.
pub(super) fn check(id: &Value, method: &str, params: &Map<String, Value>, headers: Headers<'_>) -> Result<(), Fault> {
    let compared = same(headers, "mcp-method", method, false).and_then(|()| match named(method, params) {
        Some(name) => same(headers, "mcp-name", name, true),
        None => Ok(()),
    });
    compared.map_err(|why| fault(id, why))
}

/// What `Mcp-Name` repeats.
fn named<'a>(method: &str, params: &'a Map<String, Value>) -> Option<&'a str> {
    let field = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    };
    params.get(field).and_then(Value::as_str)
}

fn same(headers: Headers<'_>, header: &str, body: &str, may_be_wrapped: bool) -> Result<(), String> {
    let said = only(headers, header)?.ok_or_else(|| format!("{header} is missing"))?;
    let said = match unwrapped(said).filter(|_| may_be_wrapped) {
        Some(encoded) => decoded(encoded).ok_or_else(|| format!("{header} is no Base64 of UTF-8"))?,
        None => said.to_owned(),
    };
    if said == body { Ok(()) } else { Err(format!("{header} says {said:?}, the body says {body:?}")) }
}

fn unwrapped(said: &str) -> Option<&str> {
    said.strip_prefix(WRAPPED.0)?.strip_suffix(WRAPPED.1)
}

fn decoded(encoded: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}
