//! What is answered: each result in the shape of its era. An agent sees our own descriptions of what it may use, in
//! the order of their names, and nothing of where they come from.

use domain::capability::Offer;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::frame::Era;
use super::{TASKS, revisions};

/// For how long a client may believe a list, in milliseconds: as long as the catalog believes a server's.
const LIST_TTL_MS: u64 = 30_000;

/// What a client may tell the model about all of it.
const INSTRUCTIONS: &str = "These tools are used through Ostler, under this agent's own rules and budget. A call that \
                            needs a person's consent says so, with the address where they decide; made again after \
                            the decision, with the same arguments, it is the same call.";

fn server_info() -> Value {
    json!({"name": "ostler", "title": "Ostler", "version": env!("CARGO_PKG_VERSION")})
}

/// The answer to `id`.
pub fn complete(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// Marks a result as the newer era wants it.
fn marked(era: Era, mut result: Value) -> Value {
    if era == Era::Stateless {
        result["resultType"] = json!("complete");
        result["_meta"] = json!({"io.modelcontextprotocol/serverInfo": server_info()});
    }
    result
}

/// The answer to `initialize`.
pub fn initialized(revision: &str) -> Value {
    json!({
        "protocolVersion": revision,
        "capabilities": {"tools": {}},
        "serverInfo": server_info(),
        "instructions": INSTRUCTIONS,
    })
}

/// The answer to `server/discover`.
pub fn discovered() -> Value {
    let result = json!({
        "supportedVersions": revisions(),
        "capabilities": {"tools": {}, "extensions": {TASKS: {}}},
        "instructions": INSTRUCTIONS,
        "ttlMs": LIST_TTL_MS,
        "cacheScope": "private",
    });
    marked(Era::Stateless, result)
}

/// The answer to whatever is acknowledged: a sign of life, an update, a cancellation.
pub fn shown(era: Era) -> Value {
    marked(era, json!({}))
}

/// The answer to `tools/list`. One agent's list is no other's.
pub fn tools(era: Era, offers: &[Offer]) -> Value {
    let tools: Vec<Value> = offers.iter().map(tool).collect();
    let mut result = marked(era, json!({ "tools": tools }));
    if era == Era::Stateless {
        (result["ttlMs"], result["cacheScope"]) = (json!(LIST_TTL_MS), json!("private"));
    }
    result
}

fn tool(offer: &Offer) -> Value {
    let mut schema = unmirrored(&offer.input_schema);
    // A client refuses a list with a schema that is no object's (MCP, "Tool").
    if let Some(schema) = schema.as_object_mut().filter(|schema| !schema.contains_key("type")) {
        schema.insert("type".to_owned(), json!("object"));
    }
    json!({"name": offer.capability.name(), "description": offer.description, "inputSchema": schema})
}

/// A schema that asks for no argument in a header.
fn unmirrored(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| *key != "x-mcp-header");
            Value::Object(kept.map(|(key, value)| (key.clone(), within(key, value))).collect())
        }
        Value::Array(items) => items.iter().map(unmirrored).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}

/// What a keyword holds: where its keys are names, they are none of ours.
fn within(keyword: &str, value: &Value) -> Value {
    match (keyword, value) {
        ("properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas", Value::Object(named)) => {
            let each = named.iter().map(|(name, schema)| (name.clone(), unmirrored(schema)));
            Value::Object(each.collect::<Map<_, _>>())
        }
        ("const" | "enum" | "default" | "examples", data) => data.clone(),
        (_, schema) => unmirrored(schema),
    }
}

/// The answer to `tools/call`. Before 2026-07-28, structured content is an object or nothing.
pub fn tool_result(era: Era, text: &str, structured: Option<&Value>, is_error: bool) -> Value {
    let mut result = json!({"content": [{"type": "text", "text": text}], "isError": is_error});
    if let Some(structured) = structured.filter(|value| era == Era::Stateless || value.is_object()) {
        result["structuredContent"] = structured.clone();
    }
    marked(era, result)
}

/// A word on how a request goes, in the stream of its answer.
pub fn progress<T: Serialize>(token: &T, so_far: u64, message: &str) -> Value {
    let params = json!({"progressToken": token, "progress": so_far, "message": message});
    json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
}

#[cfg(test)]
mod tests {
    use domain::capability::Offer;
    use serde_json::json;

    use super::{Era, tool_result, tools};

    #[test]
    fn what_is_shown_asks_for_no_argument_in_a_header() {
        let property = json!({"type": "string", "x-mcp-header": "Region", "default": {"x-mcp-header": 1}});
        let schema = json!({"properties": {"x-mcp-header": property, "list": {"items": property}}});
        let offer = Offer {
            capability: "mcp://gateway/where".parse().unwrap(),
            description: "Where.".to_owned(),
            input_schema: schema,
        };
        let shown = tools(Era::Stateless, &[offer]);
        let plain = json!({"type": "string", "default": {"x-mcp-header": 1}});
        let expected = json!({"properties": {"x-mcp-header": plain, "list": {"items": plain}}, "type": "object"});
        assert_eq!(shown["tools"][0]["inputSchema"], expected);
        assert_eq!((&shown["cacheScope"], &shown["resultType"]), (&json!("private"), &json!("complete")));
    }

    #[test]
    fn structured_content_is_what_the_era_takes() {
        let list = json!([1]);
        assert_eq!(tool_result(Era::Stateless, "[1]", Some(&list), false)["structuredContent"], list);
        let older = tool_result(Era::Sessions, "[1]", Some(&list), false);
        assert_eq!(older, json!({"content": [{"type": "text", "text": "[1]"}], "isError": false}));
    }
}
