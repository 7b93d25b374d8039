//! A server on a temporary directory, with people, agents and an upstream.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use server::boot::{self, Running};
use server::config::{self, Config, Secrets};
use tempfile::TempDir;

use crate::http::{self, Reply};
use crate::upstream::Upstream;

/// A server, and what a test needs to talk to it.
pub(crate) struct Stage {
    running: Option<Running>,
    pub dir: TempDir,
    pub host: String,
    /// The administrator's key.
    pub admin: String,
    pub upstream: Arc<Upstream>,
    upstream_url: String,
}

/// One agent that only uses what is inside the runtime, and one that needs a provider nobody applied.
const INSIDE: &str = "
apiVersion: agent.os/v1
kind: ModelProvider
metadata: {name: anthropic, owner: it-platform}
spec:
  protocol: scripted
  script: demo
  prices: {claude-haiku-4-5: {input: 1, output: 5, cache_read: 0.1, cache_write: 1.25, cache_write_1h: 2}}
---
apiVersion: agent.os/v1
kind: Agent
metadata: {name: note-keeper, owner: finance-platform}
spec:
  model: {provider: anthropic, name: claude-haiku-4-5, max_output_tokens: 1024}
  memory: {type: persistent, retention_days: 30}
  tools: [internal://calculate, internal://now]
  budgets: {calls_per_hour: 200, usd_per_day: 2}
---
apiVersion: agent.os/v1
kind: Agent
metadata: {name: not-there-yet, owner: finance-platform}
spec:
  model: {provider: nobody, name: some-model}
  tools: [mcp://gateway/nothing]
";

/// Two agents that draft mail through the upstream: one asks above 500 USD, one works in shadow.
const OUTSIDE: &str = "
apiVersion: agent.os/v1
kind: McpServer
metadata: {name: books, owner: it-platform}
spec: {http: {url: URL}}
---
apiVersion: agent.os/v1
kind: Capability
metadata: {name: sap-invoice-read, owner: it-platform}
spec: {server: books, tool: read_invoices, effect: read}
---
apiVersion: agent.os/v1
kind: Capability
metadata: {name: email-draft, owner: it-platform}
spec: {server: books, tool: draft_email, effect: write, value_usd: args.amount_usd, cost_usd: 0.002, egress: false}
---
apiVersion: agent.os/v1
kind: Agent
metadata: {name: dunning-live, owner: finance-platform}
spec:
  model: {provider: anthropic, name: claude-haiku-4-5}
  tools: [mcp://gateway/sap-invoice-read, mcp://gateway/email-draft]
  approval: {on_action_value_usd_gt: 500}
---
apiVersion: agent.os/v1
kind: Agent
metadata: {name: dunning-shadow, owner: finance-platform}
spec:
  model: {provider: anthropic, name: claude-haiku-4-5}
  tools: [mcp://gateway/sap-invoice-read, mcp://gateway/email-draft]
  autonomy: {mode: shadow}
";

/// A secret of this server, by the name of `OFFICE_SECRET`.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

impl Stage {
    /// A server with nothing in it.
    pub(crate) async fn bare() -> Stage {
        let dir = TempDir::new().unwrap();
        let upstream = Arc::new(Upstream::default());
        let upstream_url = upstream.clone().start().await;
        let running = boot::start(config_of(&dir)).await.unwrap();
        let (host, admin) = (host_of(&running), running.admin_key.clone());
        Stage { running: Some(running), dir, host, admin, upstream, upstream_url }
    }

    /// A server with agents.
    pub(crate) async fn with_agents() -> Stage {
        let stage = Stage::bare().await;
        stage.apply(INSIDE).await.ok();
        stage.apply(&OUTSIDE.replace("URL", &stage.upstream_url)).await.ok();
        stage
    }

    /// Stops the server.
    pub(crate) async fn stop(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    /// Stops it and starts one on the same directory.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        let running = boot::start(config_of(&self.dir)).await.unwrap();
        self.host = host_of(&running);
        self.running = Some(running);
    }

    /// The same, and has it told by which address others reach it.
    pub(crate) async fn restart_as(&mut self, public_url: &str) {
        self.stop().await;
        let config = Config { public_url: Some(public_url.parse().unwrap()), ..config_of(&self.dir) };
        let running = boot::start(config).await.unwrap();
        self.host = host_of(&running);
        self.running = Some(running);
    }

    /// Asks with exactly these headers.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        http::ask(&self.host, method, path, headers, body).await
    }

    /// Asks with a key.
    pub(crate) async fn by(&self, key: &str, method: &str, path: &str, body: &str) -> Reply {
        self.ask(method, path, &[("authorization", &format!("Bearer {key}"))], body).await
    }

    /// Reads with the administrator's key.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.by(&self.admin, "GET", path, "").await
    }

    /// Posts with the administrator's key.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.by(&self.admin, "POST", path, &body.to_string()).await
    }

    pub(crate) async fn apply(&self, text: &str) -> Reply {
        self.post("/api/apply", json!({ "files": [{ "path": "test.yaml", "text": text }] })).await
    }

    /// Adds a person of a group; their key.
    pub(crate) async fn person(&self, name: &str, group: &str) -> String {
        let added = self.post("/api/people", json!({ "name": name, "groups": [group] })).await.ok();
        added["key"].as_str().unwrap().to_owned()
    }

    /// A key of an agent.
    pub(crate) async fn agent_key(&self, agent: &str) -> String {
        let added = self.post("/api/keys", json!({ "holder": "agent", "agent": agent })).await.ok();
        added["key"].as_str().unwrap().to_owned()
    }

    /// Has an agent work until it rests; how it stands then.
    pub(crate) async fn work(&self, agent: &str, message: &str) -> Value {
        let sent = self.post(&format!("/api/agents/{agent}/messages"), json!({ "message": message })).await.ok();
        self.rests(&sent).await
    }

    /// How a session stands once it has taken the mail and rests.
    pub(crate) async fn rests(&self, sent: &Value) -> Value {
        let mail = sent["mail"].as_str().map(|mail| format!("?mail={mail}")).unwrap_or_default();
        let path = format!("/api/sessions/{}/wait{mail}", sent["session"].as_str().unwrap());
        let standing = self.get(&path).await.ok();
        assert_eq!(standing["rests"], true, "{standing}");
        standing
    }

    /// Waits until a session is in this phase.
    pub(crate) async fn becomes(&self, session: &str, phase: &str) {
        loop {
            let standing = self.get(&format!("/api/sessions/{session}/wait?timeout_ms=50")).await.ok();
            if standing["phase"] == phase {
                return;
            }
        }
    }

    /// Has the agent that asks wait for consent; the item in the inbox.
    pub(crate) async fn consent_wanted(&self) -> Value {
        let standing = self.work("dunning-live", "Remind acme of INV-2041.").await;
        assert_eq!(standing["phase"], "suspended", "{standing}");
        self.get("/api/inbox").await.ok()[0].clone()
    }
}

fn host_of(running: &Running) -> String {
    running.url.trim_start_matches("http://").to_owned()
}

pub(crate) fn config_of(dir: &TempDir) -> Config {
    Config {
        data: dir.path().to_owned(),
        store: None,
        listen: "127.0.0.1:0".parse().unwrap(),
        public_url: None,
        secrets: Secrets([("OFFICE_SECRET".to_owned(), SECRET.to_owned())].into()),
        mail: None,
        host: config::host(),
        scripted_pace: Duration::ZERO,
        drain: Duration::from_millis(100),
    }
}
