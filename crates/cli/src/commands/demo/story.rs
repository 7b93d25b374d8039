//! What the demo shows, step by step.

use std::path::PathBuf;

use anyhow::Context;
use domain::id::Name;
use serde_json::{Value, json};

use super::runtime::Runtime;
use crate::client::{Client, Failure, Outcome, person_key};
use crate::commands::{people, run};
use crate::output::{self, Busy, items, text};

/// The article's own descriptor, byte for byte.
const ARTICLE: (&str, &str) =
    ("reconciliation-finance.yaml", include_str!("../../../../../examples/reconciliation-finance.yaml"));
/// What it needs, and four short agents.
const OTHERS: [(&str, &str); 5] = [
    ("parts.yaml", include_str!("../../../../../examples/demo/parts.yaml")),
    ("vendor-helpdesk.yaml", include_str!("../../../../../examples/demo/vendor-helpdesk.yaml")),
    ("dunning-drafts.yaml", include_str!("../../../../../examples/demo/dunning-drafts.yaml")),
    ("aging-reporter.yaml", include_str!("../../../../../examples/demo/aging-reporter.yaml")),
    ("note-keeper.yaml", include_str!("../../../../../examples/demo/note-keeper.yaml")),
];
/// The people of the demo, with their groups.
const PEOPLE: [(&str, &[&str]); 2] = [("ana", &["finance-platform"]), ("ben", &["procurement", "accounts-payable"])];
/// The session that the walk ends in.
const WORK: &str = "acme-october";
/// The longest sentence of an agent that a step quotes, in characters.
const QUOTED: usize = 160;

/// The demo so far.
pub(super) struct Story {
    pub client: Client,
    pub dir: PathBuf,
    /// Sessions by agent, as they stood when they came to rest.
    pub sessions: Vec<(&'static str, Value)>,
    /// What the budget said no to.
    pub refused: Vec<String>,
}

/// What waits for a person at the end of the walk.
pub(super) struct Waiting {
    pub session: String,
    pub approval: String,
}

impl Story {
    pub(super) fn begin(runtime: &Runtime, dir: PathBuf) -> Story {
        output::talk(&format!("ostler demo: all of this happens on this machine, in {}", dir.display()));
        output::talk("the model is *scripted*: it decides from what the tools really return; no key is used\n");
        Story { client: runtime.client.clone(), dir, sessions: Vec::new(), refused: Vec::new() }
    }

    /// Files, descriptors, people.
    pub(super) async fn set_up(&mut self) -> Outcome {
        server::boot::write_demo_data(&self.dir).context("the demo's files could not be written")?;
        step("files", "invoices, ledger and vendors of two companies, with the mismatches that occur in practice");
        let alone = self.apply(&[ARTICLE]).await?;
        let missing = items(&alone["applied"][0]["ready"]).iter().filter(|condition| condition["ok"] == false).count();
        step(
            "apply",
            &format!("the article's descriptor as it stands: accepted; Ready: False, {missing} things missing"),
        );
        let all = self.apply(&OTHERS).await?;
        let of = |kind: &str| items(&all["applied"]).iter().filter(|row| row["kind"] == kind).count();
        step(
            "apply",
            &format!(
                "{} MCP servers, {} capabilities, {} provider: now {} agents are Ready: True",
                of("McpServer"),
                of("Capability"),
                of("ModelProvider"),
                of("Agent") + 1
            ),
        );
        for (name, groups) in PEOPLE {
            let groups: Vec<Name> = groups.iter().filter_map(|group| group.parse().ok()).collect();
            let name: Name = name.parse().map_err(anyhow::Error::from)?;
            let added = people::add(&self.client, &name, &groups).await?;
            people::write_key(&person_key(&self.dir, &name), &text(&added, "key"))?;
        }
        step("people", "ana of finance-platform, ben of procurement; no agent can decide its own request");
        Ok(())
    }

    async fn apply(&self, files: &[(&str, &str)]) -> Outcome<Value> {
        let files: Vec<Value> = files.iter().map(|(path, text)| json!({ "path": path, "text": text })).collect();
        self.client.post("/api/apply", json!({ "files": files })).await
    }

    /// The four short agents, one after the other.
    pub(super) async fn four_short_agents(&mut self) -> Outcome {
        let question = "Which payment terms do we have with Harborline Freight?";
        let helped = self.work("vendor-helpdesk", question, None).await?;
        step("read", &format!("vendor-helpdesk looked it up: {}", quoted(last_line(&helped))));
        self.work("note-keeper", "Remember that acme closes its books on the third working day.", None).await?;
        let recalled = self.work("note-keeper", "When does acme close its books?", None).await?;
        // What was recalled comes with its id and when it was said.
        let noted = recalled.rsplit("): ").next().unwrap_or_default();
        step("memory", &format!("note-keeper was told in one session and knows in the next: {}", quoted(noted)));
        let dunning = "Draft reminders for what globex owes since September.";
        let dunned = self.work("dunning-drafts", dunning, Some("globex-september")).await?;
        let recorded = dunned.matches("Recorded, not sent").count();
        step("shadow", &format!("dunning-drafts wanted {recorded} reminders: recorded, none sent, and it was told so"));
        self.work("aging-reporter", "Report what is overdue, for all companies.", None).await?;
        self.refused = self.refusals().await?;
        let refusal = self.refused.first().ok_or_else(|| anyhow::anyhow!("no call was refused for its budget"))?;
        let refusal = refusal.split(": ").next().unwrap_or_default();
        step("budget", &format!("aging-reporter was refused a call before anything was spent on it. {refusal}"));
        Ok(())
    }

    /// What the budget said no to in the last session.
    async fn refusals(&self) -> Outcome<Vec<String>> {
        let session = self.sessions.last().map(|(_, standing)| text(standing, "session")).unwrap_or_default();
        let trace = self.client.get(&format!("/api/sessions/{session}/trace")).await?;
        let mut found = Vec::new();
        by_budget(&trace, &mut found);
        Ok(found)
    }

    /// The article's agent, until it wants something that needs consent.
    pub(super) async fn reconcile(&mut self) -> Outcome<Waiting> {
        let standing = self.ask("reconciliation-finance", "Reconcile acme for October.", (Some(WORK), None)).await?;
        let approval = items(&standing["waits"]).iter().find(|wait| wait["why"]["for"] == "approval");
        let approval = approval.map(|wait| text(&wait["why"], "approval"));
        let approval = approval
            .ok_or_else(|| Failure::Failed(anyhow::anyhow!("the finance agent did not ask for consent: {standing}")))?;
        let session = text(&standing, "session");
        step("work", "reconciliation-finance read invoices and ledger through the MCP gateway and compared them");
        let inbox = self.client.get("/api/inbox").await?;
        let item = items(&inbox).iter().find(|item| text(item, "id") == approval).cloned().unwrap_or(Value::Null);
        let worth = output::dollars(&item["value_usd_micros"]);
        step(
            "consent",
            &format!("it wants to request a payment of {worth}, above 1,000 USD: it sleeps until ana decides"),
        );
        self.sessions.push(("reconciliation-finance", standing));
        Ok(Waiting { session, approval })
    }

    /// Has an agent do something; its answer, or why it failed.
    async fn work(&mut self, agent: &'static str, message: &str, case: Option<&str>) -> Outcome<String> {
        let standing = self.ask(agent, message, (None, case)).await?;
        let said = if standing["answer"].is_null() { text(&standing, "failure") } else { text(&standing, "answer") };
        self.sessions.push((agent, standing));
        Ok(said)
    }

    async fn ask(&self, agent: &str, message: &str, (key, case): (Option<&str>, Option<&str>)) -> Outcome<Value> {
        let _busy = Busy::with(format!("{agent} is at work"));
        let body = json!({ "message": message, "key": key, "case": case });
        let sent = self.client.post(&format!("/api/agents/{agent}/messages"), body).await?;
        run::wait(&self.client, &text(&sent, "session"), Some(&text(&sent, "mail"))).await
    }

    /// A one-time address of the console, for ana.
    pub(super) async fn sign_in(&self) -> Outcome<String> {
        let ana = "ana".parse().map_err(anyhow::Error::from)?;
        Ok(text(&people::sign_in(&self.client, &ana).await?, "url"))
    }

    /// What a program goes on with.
    pub(super) fn as_value(&self, waiting: &Waiting, sign_in: &str, pid: Option<u32>) -> Value {
        json!({
            "data": self.dir, "url": self.client.url(), "console": sign_in, "pid": pid,
            "session": waiting.session, "approval": waiting.approval,
        })
    }

    /// What to try next.
    pub(super) fn menu(&self, waiting: &Waiting, sign_in: &str, pid: Option<u32>) -> String {
        let Waiting { session, approval } = waiting;
        let exe = std::env::current_exe().map_or_else(|_| "ostler".to_owned(), |exe| exe.display().to_string());
        let (dir, kill) = (self.dir.display(), pid.map_or_else(String::new, |pid| pid.to_string()));
        let lines = [
            ("console", format!("{sign_in}\n{:19}(signs you in as ana, once)\n\nTry, in another terminal:", "")),
            ("  first", format!("alias ostler='{exe}'; export OSTLER_DATA={dir}")),
            ("  look", format!("ostler ps; ostler inbox; ostler trace {session}; ostler cost")),
            ("  approve it", format!("ostler approve {approval} --as ana")),
            ("  deny one", format!("ostler deny {approval} --as ana --reason \"ask the vendor first\"")),
            ("  edit one", format!("ostler inbox -o json; ostler approve {approval} --as ana --edit '{{…}}'")),
            ("  kill -9 me", format!("kill -9 {kill}   (the runtime: it comes back, and nothing is lost)")),
            ("  make your own", "ostler init my-agent && ostler apply -f my-agent.yaml".to_owned()),
            ("", "ostler run my-agent \"What is 6 * 7?\"\n\nCtrl-C ends the demo.".to_owned()),
        ];
        lines.iter().fold(String::new(), |menu, (title, line)| format!("{menu}\n{title:<19}{line}"))
    }
}

/// Says that a step is done.
pub(super) fn step(what: &str, said: &str) {
    output::talk(&format!("  ✓ {what:<8} {said}"));
}

/// The reasons of all refusals by the budget, wherever they stand.
fn by_budget(trace: &Value, found: &mut Vec<String>) {
    match trace {
        Value::Object(fields) => {
            if fields.get("by").is_some_and(|by| by == "budget") {
                found.extend(fields.get("reason").and_then(Value::as_str).map(str::to_owned));
            }
            fields.values().for_each(|value| by_budget(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| by_budget(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn last_line(said: &str) -> &str {
    said.trim_end().rsplit('\n').next().unwrap_or_default().trim_start_matches("- ")
}

fn quoted(said: &str) -> String {
    let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if line.chars().count() <= QUOTED {
        line.to_owned()
    } else {
        line.chars().take(QUOTED - 1).chain(['…']).collect()
    }
}
