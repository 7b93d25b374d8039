//! The published JSON Schema (draft 2020-12) of a descriptor, made of the same tables that read it.

use serde_json::{Value, json};

use super::agent::Agent;
use super::capability::Capability;
use super::field::Shape;
use super::mcp_server::McpServer;
use super::model_provider::ModelProvider;
use super::policy::Policy;
use super::resource::API_VERSION;

/// The schema of one document. A file holds one or more, each on its own.
pub fn schema() -> Value {
    let kinds = [
        ("Agent", Agent::schema()),
        ("Capability", Capability::schema()),
        ("McpServer", McpServer::schema()),
        ("ModelProvider", ModelProvider::schema()),
        ("Policy", Policy::schema()),
    ];
    let names: Vec<_> = kinds.iter().map(|(name, _)| *name).collect();
    let choose = |name: &str| {
        json!({
            "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
            "then": {"$ref": format!("#/$defs/{name}")},
        })
    };
    let chosen: Vec<_> = names.iter().map(|name| choose(name)).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Ostler descriptor",
        "description": "What `ostler apply` accepts.",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": API_VERSION, "description": "The version of the format."},
            "kind": {"enum": names, "description": "What is described."},
        },
        "allOf": chosen,
        "$defs": kinds.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect::<serde_json::Map<_, _>>(),
    })
}
