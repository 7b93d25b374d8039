//! Agents that know nothing of Ostler, on the vendors' own SDKs: each does its task through it, streamed and not, with
//! its model at a provider of its own protocol and at one of another. Without a budget each hears so once.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::stage::{Said, Stage, root, skips, text, told};

/// The key that only Ostler has.
const UPSTREAM_KEY: &str = "the-upstream-key";
const PROVIDERS: [&str; 3] = ["anthropic", "openai-chat", "openai-responses"];

/// The scripted model API.
pub(crate) struct Upstream {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Upstream {
    fn start(stage: &Stage) -> Upstream {
        let (script, log) = (root().join("tests/clients/upstream.py"), stage.path("upstream.jsonl"));
        let mut command = Command::new("python3");
        command.arg(script).arg(&log).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Upstream { child, port: port.trim().parse().unwrap(), log }
    }

    /// What it was asked since somebody looked last.
    fn asked(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        std::fs::write(&self.log, "").unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What runs one agent's program.
struct Runner {
    program: PathBuf,
    script: PathBuf,
    argument: &'static str,
    vendor: &'static str,
}

/// The Python SDKs, if they are there.
fn python(script: &str, vendor: &'static str) -> Option<Runner> {
    let program = told("OSTLER_TEST_PYTHON").map(PathBuf::from).filter(|python| python.exists());
    if program.is_none() {
        skips(&format!("{script}: OSTLER_TEST_PYTHON names no interpreter with the SDKs of tests/clients"));
    }
    Some(Runner { program: program?, script: root().join("tests/clients").join(script), argument: "", vendor })
}

/// The SDKs of npm, if they are there: a script finds them beside itself.
fn node(stage: &Stage, (script, argument): (&str, &'static str), vendor: &'static str) -> Option<Runner> {
    let modules = told("OSTLER_TEST_NPM").map(PathBuf::from).filter(|npm| npm.join("@anthropic-ai/sdk").exists());
    let Some(modules) = modules else {
        skips(&format!("{script}: OSTLER_TEST_NPM names no directory with @anthropic-ai/sdk and openai"));
        return None;
    };
    let place = stage.path(script);
    std::fs::copy(root().join("tests/clients").join(script), &place).unwrap();
    if !stage.path("node_modules").exists() {
        std::os::unix::fs::symlink(modules, stage.path("node_modules")).unwrap();
    }
    Some(Runner { program: "node".into(), script: place, argument, vendor })
}

/// An agent's descriptor: who speaks for its model, and what it may spend.
fn agent(name: &str, provider: &str, usd_per_day: &str) -> String {
    format!(
        "---\napiVersion: agent.os/v1\nkind: Agent\nmetadata: {{name: {name}, owner: finance}}\nspec:\n  \
         model: {{provider: {provider}, name: a-model, max_output_tokens: 1000}}\n  \
         budgets: {{usd_per_day: {usd_per_day}}}\n"
    )
}

fn provider(protocol: &str, port: u16) -> String {
    let root = if protocol == "anthropic" { "" } else { "/v1" };
    format!(
        "---\napiVersion: agent.os/v1\nkind: ModelProvider\nmetadata: {{name: {protocol}, owner: it}}\nspec:\n  \
         protocol: {protocol}\n  base_url: http://127.0.0.1:{port}{root}\n  key: {{secret: UPSTREAM_KEY}}\n  \
         prices: {{a-model: {{input: 3, output: 15}}}}\n"
    )
}

/// A server, the model API behind it, and for each provider an agent that may spend and one that may not.
pub(crate) fn stage() -> (Stage, Upstream) {
    let mut stage = Stage::stopped(None);
    let upstream = Upstream::start(&stage);
    let file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(stage.path("secrets.env"));
    writeln!(file.unwrap(), "UPSTREAM_KEY={UPSTREAM_KEY}").unwrap();
    stage.start_with_secrets(&[]);
    let all = PROVIDERS.iter().map(|protocol| {
        let agents =
            agent(&format!("by-{protocol}"), protocol, "20") + &agent(&format!("poor-{protocol}"), protocol, "0.001");
        provider(protocol, upstream.port) + &agents
    });
    let file = stage.write("clients.yaml", &all.collect::<String>());
    stage.run(&["apply", "-f", &file]).with_code(0);
    (stage, upstream)
}

/// What an agent's program said in the end, run as it is with what `onboard` says to set.
fn run(stage: &Stage, runner: &Runner, agent: &str) -> Value {
    let printed = stage.json(&["onboard", agent, &format!("--{}", runner.vendor), "--print"]);
    let set = printed["environment"].as_object().unwrap();
    let mut command = Command::new(&runner.program);
    command.arg(&runner.script).arg(runner.argument).current_dir(stage.dir()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.envs(set.iter().map(|(name, value)| (name, value.as_str().unwrap())));
    let said = Said::from(command.output().unwrap()).with_code(0);
    serde_json::from_str(said.out.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// Its task through every provider, then with nothing to spend.
fn governs(stage: &Stage, upstream: &Upstream, (runner, ways): (&Runner, usize)) {
    let script = runner.script.display();
    for protocol in PROVIDERS {
        let told = run(stage, runner, &format!("by-{protocol}"));
        assert_eq!(told["error"], Value::Null, "{script} by {protocol}: {told}");
        assert_eq!(
            (text(&told, "answer"), &told["lookups"]),
            ("Invoice 7 is 120 EUR.", &json!(vec!["7"; ways])),
            "{script} by {protocol}"
        );
        let asked = upstream.asked();
        assert_eq!(asked.len(), 2 * ways, "{script} by {protocol}");
        for request in &asked {
            check_request(request, protocol);
        }
    }
    for protocol in PROVIDERS {
        let poor = format!("poor-{protocol}");
        let told = run(stage, runner, &poor);
        let error = text(&told, "error");
        assert!(error.contains("budget") && told["lookups"] == json!([]), "{script}: {told}");
        assert_eq!(upstream.asked(), [] as [Value; 0], "{script}");
    }
}

/// It goes to the provider's own path with the provider's own key, for the model and with the cap of the descriptor.
fn check_request(request: &Value, protocol: &str) {
    let (path, caps) = match protocol {
        "anthropic" => ("/v1/messages", ["max_tokens"; 2]),
        // Every compatible server reads the first, OpenAI's own models the second.
        "openai-chat" => ("/v1/chat/completions", ["max_tokens", "max_completion_tokens"]),
        _ => ("/v1/responses", ["max_output_tokens"; 2]),
    };
    let (headers, body) = (&request["headers"], &request["body"]);
    assert_eq!(text(request, "path"), path);
    let key = headers["x-api-key"].as_str().or(headers["authorization"].as_str()).unwrap();
    assert!(key.ends_with(UPSTREAM_KEY) && !request.to_string().contains("ostler_"), "{request}");
    let cap = caps.iter().find_map(|cap| body[cap].as_u64());
    assert_eq!((text(body, "model"), cap), ("a-model", Some(1000)), "{request}");
}

/// How often a call of this agent was refused.
fn refusals(stage: &Stage, agent: &str) -> usize {
    let sessions = stage.json(&["ps"]);
    let own = sessions.as_array().unwrap().iter().filter(|row| row["agent"] == agent);
    let refused = |row: &Value| {
        let trace = stage.json(&["trace", text(row, "session")]);
        let steps = trace["steps"].as_array().unwrap().iter();
        steps.filter(|step| step["state"] == "refused").count()
    };
    own.map(refused).sum()
}

fn governed(runner: impl Fn(&Stage) -> Option<(Runner, usize)>) {
    let (stage, upstream) = stage();
    let Some((runner, ways)) = runner(&stage) else { return };
    governs(&stage, &upstream, (&runner, ways));
    for protocol in PROVIDERS {
        // Whoever is told that a budget is spent asks no second time.
        assert_eq!(refusals(&stage, &format!("poor-{protocol}")), 1, "{}", runner.script.display());
    }
    let cost = stage.json(&["cost"]).to_string();
    assert!(PROVIDERS.iter().all(|protocol| cost.contains(&format!("by-{protocol}"))), "{cost}");
}

#[test]
fn anthropic_in_python() {
    governed(|_| Some((python("anthropic_agent.py", "anthropic")?, 2)));
}

#[test]
fn openai_in_python_on_chat_completions() {
    governed(|_| Some((python("openai_chat_agent.py", "openai")?, 2)));
}

#[test]
fn openai_in_python_on_responses() {
    governed(|_| Some((python("openai_responses_agent.py", "openai")?, 2)));
}

#[test]
fn anthropic_in_javascript() {
    governed(|stage| Some((node(stage, ("anthropic_agent.mjs", ""), "anthropic")?, 2)));
}

#[test]
fn openai_in_javascript_on_chat_completions() {
    governed(|stage| Some((node(stage, ("openai_agent.mjs", "chat"), "openai")?, 2)));
}

#[test]
fn openai_in_javascript_on_responses() {
    governed(|stage| Some((node(stage, ("openai_agent.mjs", "responses"), "openai")?, 2)));
}
