//! One agent's cost page, as a person sees it: a picture by the hour, and what prompt caches came to beside what the same
//! calls would have cost without any, told apart by whose doing it was.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::webdriver::Browser;
use crate::{picture, skipped, told};

const OFFICE: &str = "
apiVersion: agent.os/v1
kind: ModelProvider
metadata: {name: vendor, owner: it}
spec:
  protocol: anthropic
  base_url: http://127.0.0.1:PORT
  prices: {a-model: {input: 3, output: 15, cache_read: 0.3, cache_write: 3.75}}
---
apiVersion: agent.os/v1
kind: Agent
metadata: {name: invoice-clerk, owner: finance}
spec:
  model: {provider: vendor, name: a-model, max_output_tokens: 1000}
  budgets: {usd_per_day: 5, calls_per_hour: 100}
  compute_usd_per_hour: 0.36
";

/// A process and the first line that it said.
async fn begin(command: &mut Command) -> (Child, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    (child, line.trim().to_owned())
}

/// A directory, and `ostler` on it.
struct Office {
    dir: PathBuf,
}

impl Office {
    async fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ostler"));
        let said = command.args(arguments).arg("--data").arg(&self.dir).output().await.unwrap();
        assert!(said.status.success(), "{arguments:?}: {said:?}");
        String::from_utf8(said.stdout).unwrap()
    }

    /// A client that sets its own marks asks, as its SDK would.
    async fn client_asks(&self, words: &str) {
        let set: Value = serde_json::from_str(
            &self.run(&["onboard", "invoice-clerk", "--anthropic", "--print", "-o", "json"]).await,
        )
        .unwrap();
        let block = json!({"type": "text", "text": words, "cache_control": {"type": "ephemeral"}});
        let body = json!({"model": "a-model", "max_tokens": 100, "messages": [{"role": "user", "content": [block]}]});
        let url = format!("{}/v1/messages", set["url"].as_str().unwrap());
        let http = reqwest::Client::builder().no_proxy().tls_backend_rustls().build().unwrap();
        let asked = http.post(url).header("x-api-key", set["key"].as_str().unwrap()).body(body.to_string());
        assert_eq!(asked.send().await.unwrap().status().as_u16(), 200);
    }
}

#[tokio::test]
async fn what_an_agent_cost_is_shown_beside_what_it_would_have_cost() {
    let name = "what_an_agent_cost_is_shown_beside_what_it_would_have_cost";
    let (Some(chromium), Some(driver)) = (told("OSTLER_TEST_CHROMIUM"), told("OSTLER_TEST_CHROMEDRIVER")) else {
        return skipped(name, "OSTLER_TEST_CHROMIUM or OSTLER_TEST_CHROMEDRIVER is not set");
    };
    // Whoever opens a browser first says how HTTPS is done.
    let browser = Browser::start(&driver, &chromium).await;
    let place = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/upstream.py");
    let mut upstream = Command::new("python3");
    let (_upstream, port) = begin(upstream.arg(script).arg(place.path().join("log")).stdin(Stdio::piped())).await;
    let office = Office { dir: place.path().join("data") };
    let mut up = Command::new(env!("CARGO_BIN_EXE_ostler"));
    let up = up.args(["up", "--listen", "127.0.0.1:0", "-o", "json", "--data"]).arg(&office.dir).stdin(Stdio::null());
    let (_server, _) = begin(up).await;
    let file = place.path().join("office.yaml");
    std::fs::write(&file, OFFICE.replace("PORT", &port)).unwrap();
    office.run(&["apply", "-f", file.to_str().unwrap()]).await;
    office.run(&["person", "add", "ana", "--group", "finance"]).await;
    for session in ["acme", "globex", "initech"] {
        for words in ["What is open?", "And overdue?", "Thank you."] {
            office.run(&["run", "invoice-clerk", words, "--session", session]).await;
        }
        office.client_asks(session).await;
    }
    office.run(&["budget", "topup", "invoice-clerk", "--usd", "2", "--reason", "the month's end"]).await;

    browser.open(office.run(&["login", "ana"]).await.trim()).await;
    browser.click("//button[text()='Sign in']").await;
    browser.click("//header//a[text()='Cost']").await;
    browser.click("//a[text()='invoice-clerk']").await;
    browser.see("//h2[text()='Prompt caches']").await;
    for baseline in ["uncached", "provider-cached", "client-cached", "marks that Ostler set", "as billed"] {
        browser.see(&format!("//td[contains(., '{baseline}')]")).await;
    }
    picture(&browser, "console-cost.png").await;
    browser.click("//header//a[text()='Budgets']").await;
    browser.see("//tr[td/a[text()='invoice-clerk']][td[text()='money per day']]").await;
    browser.see("//tr[td[text()='admin']][td[contains(., 'month')]]").await;
    browser.stop().await;
}
