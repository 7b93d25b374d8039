//! The door over a scripted upstream, a real gate and a real log in memory.

#![expect(clippy::unwrap_used, reason = "what tests are set up with is known to be right")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

mod offers;
mod perform;
mod prepare;
mod real_servers;
mod stage;

use std::sync::Arc;

use gateway::{Host, Reply, ScriptedUpstream, Secrets, Upstreams};
use serde_json::json;
use stage::{Stage, Still, name};

pub(crate) const AGENT: &str = "
apiVersion: agent.os/v1
kind: Agent
metadata: {name: worker, owner: office}
spec:
  model: {provider: none, name: none}
  memory: {type: persistent, retention_days: 90}
  tools: [mcp://gateway/read-ledger, mcp://gateway/draft, mcp://gateway/upsert, internal://calculate]
  budgets: {usd_per_day: 1, external_actions_per_day: 10}
  approval: {on_action_value_usd_gt: 1000}
";

pub(crate) const PARTS: &str = "
---
apiVersion: agent.os/v1
kind: McpServer
metadata: {name: books, owner: office}
spec: {stdio: {command: nothing}, timeout: 5s}
---
apiVersion: agent.os/v1
kind: Capability
metadata: {name: read-ledger, owner: office}
spec: {server: books, tool: ledger, effect: read, output_trust: trusted, labels: [internal]}
---
apiVersion: agent.os/v1
kind: Capability
metadata: {name: upsert, owner: office}
spec: {server: books, tool: upsert, effect: idempotent, value_usd: '1'}
---
apiVersion: agent.os/v1
kind: Capability
metadata: {name: draft, owner: office}
spec: {server: books, tool: draft, effect: write, value_usd: args.amount_usd, cost_usd: 0.002}
";

/// A stage with a scripted server `books`.
pub(crate) async fn set(agent: &str) -> (Stage, ScriptedUpstream) {
    let draft = json!({
        "type": "object",
        "properties": {
            "to": {"type": "string"},
            "amount_usd": {"type": "number"},
            "currency": {"type": "string", "default": "USD"},
        },
        "required": ["to"],
        "additionalProperties": false,
    });
    let script = ScriptedUpstream::new()
        .tool("ledger", json!({"type": "object"}), |_| Reply::text("balance 7; token tok-123"))
        .tool("upsert", json!({"type": "object"}), |_| Reply::text("stored"))
        .tool("draft", draft, |call| Reply::json(json!({"drafted": call.arguments["to"]})));
    let clock = Arc::new(Still::default());
    let secrets = Secrets::new([("TOKEN".to_owned(), "tok-123".to_owned())]);
    let host = Host::new("/nowhere".into(), []);
    let upstreams = Upstreams::with_scripts(secrets, host, clock.clone(), [(name("books"), script.clone())]);
    (Stage::set(&format!("{agent}{PARTS}"), clock, upstreams).await, script)
}
