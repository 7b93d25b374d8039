//! Webhooks in, at the real server: whatever is sent to `/hooks/…`, only what is signed with the trigger's own secret, of
//! just this id, time and body, starts anything. An input is a request as text; what it should come to is worked out
//! beside the server, with the signature computed anew.
//!
//! ```text
//! METHOD PATH
//! name: value           with @NOW for the time, @MAC for the right signature, @OTHER for one by another secret
//!
//! body
//! ```

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::clock::{Clock, SystemClock};
use ring::hmac;
use server::boot::{self, Running};
use server::config::{self, Config, Secrets};

use crate::{Fate, corpus, run};

const SECRET: &str = "a secret of the trigger's own, long enough";
const OTHER: &str = "a secret of another trigger, as long as that";
const TOLERANCE_S: i64 = 300;

const AGENT: &str = "
apiVersion: agent.os/v1
kind: ModelProvider
metadata: {name: anthropic, owner: it}
spec:
  protocol: scripted
  script: demo
  prices: {claude-haiku-4-5: {input: 1, output: 5, cache_read: 0.1, cache_write: 1.25, cache_write_1h: 2}}
---
apiVersion: agent.os/v1
kind: Agent
metadata: {name: clerk, owner: finance}
spec:
  model: {provider: anthropic, name: claude-haiku-4-5, max_output_tokens: 64}
  tools: [internal://calculate]
  triggers:
    - {name: in, webhook: {secret: OWN}, session: body.company, input: body}
    - {name: other, webhook: {secret: OTHER}, session: body.company, input: body}
";

fn mac(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    STANDARD.encode(hmac::sign(&key, &signed))
}

/// A request, taken apart.
struct Sent {
    first: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Sent {
    /// What an input says, with the time and the signatures filled in; `None`: it is no request at all.
    fn of(input: &str) -> Option<Sent> {
        let now = SystemClock.now().0 / 1000;
        let (head, body) = input.split_once("\n\n")?;
        let mut lines = head.lines();
        let first = lines.next()?.to_owned();
        let mut headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.replace("@NOW", &now.to_string())))
            .collect();
        let body = body.to_owned();
        let said =
            |name: &str| headers.iter().find(|(is, _)| is.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim().to_owned());
        let (id, at) = (said("webhook-id").unwrap_or_default(), said("webhook-timestamp").unwrap_or_default());
        for (_, value) in &mut headers {
            *value = value.replace("@MAC", &mac(SECRET, &id, &at, body.as_bytes()));
            *value = value.replace("@OTHER", &mac(OTHER, &id, &at, body.as_bytes()));
        }
        let plain = |text: &str| text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        let named = headers.iter().all(|(name, value)| {
            let known = ["content-length", "transfer-encoding", "host", "connection", "expect", "upgrade"];
            !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !known.contains(&name.to_ascii_lowercase().as_str())
                && plain(value)
        });
        let is_request = first.split(' ').count() == 2 && plain(&first) && first.contains(" /");
        (named && is_request).then_some(Sent { first, headers, body })
    }

    fn said(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(is, _)| is.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Whether it may start anything: worked out here, by the specification.
    fn may(&self) -> bool {
        let Some((_, path)) = self.first.split_once(' ') else { return false };
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let decoded = path.replace("%69", "i").replace("%6E", "n").replace("%6e", "n");
        let secret = match decoded.as_str() {
            "/hooks/clerk/in" => SECRET,
            "/hooks/clerk/other" => OTHER,
            // Whatever else a path may be read as, it is not taken for a trigger by this test.
            _ => return false,
        };
        let (Some(id), Some(at)) = (self.said("webhook-id"), self.said("webhook-timestamp")) else { return false };
        let Some(signatures) = self.said("webhook-signature") else { return false };
        let Ok(seconds) = at.parse::<i64>() else { return false };
        let timely = (SystemClock.now().0 / 1000 - seconds).abs() <= TOLERANCE_S + 1;
        let right = format!("v1,{}", mac(secret, id, at, self.body.as_bytes()));
        timely && signatures.split(' ').any(|one| one == right)
    }

    fn send(&self, host: &str) -> Result<u16, String> {
        let mut stream = TcpStream::connect(host).map_err(|error| format!("the server is not there: {error}"))?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = self.body.len();
        let text = format!(
            "{} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{}",
            self.first, self.body
        );
        // The other side may refuse before it has read everything.
        let _ = stream.write_all(text.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.ok_or_else(|| format!("it did not answer: {answer:?}"))
    }
}

async fn start(dir: &std::path::Path) -> Running {
    let secrets = [("OWN".to_owned(), SECRET.to_owned()), ("OTHER".to_owned(), OTHER.to_owned())];
    let config = Config {
        data: dir.to_owned(),
        store: None,
        listen: "127.0.0.1:0".parse().unwrap(),
        public_url: None,
        secrets: Secrets(secrets.into()),
        mail: None,
        host: config::host(),
        scripted_pace: Duration::ZERO,
        drain: Duration::from_millis(100),
    };
    boot::start(config).await.unwrap()
}

fn apply(host: &str, key: &str) {
    let body = serde_json::json!({ "files": [{ "path": "fuzz.yaml", "text": AGENT }] }).to_string();
    let authorization = ("authorization".to_owned(), format!("Bearer {key}"));
    let json = ("content-type".to_owned(), "application/json".to_owned());
    let sent = Sent { first: "POST /api/apply".to_owned(), headers: vec![authorization, json], body };
    assert_eq!(sent.send(host), Ok(200));
}

#[test]
fn webhooks_hold() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let running = runtime.block_on(start(dir.path()));
    let host = running.url.trim_start_matches("http://").to_owned();
    apply(&host, &running.admin_key);
    let mut check = |input: &str| {
        let Some(sent) = Sent::of(input) else { return Ok(Fate::Refused) };
        let may = sent.may();
        match sent.send(&host)? {
            202 if !may => Err("it was taken, and is not signed".to_owned()),
            // A bound that is full is no fault: what was signed comes again.
            status if status >= 500 && status != 503 => Err(format!("it answered {status}")),
            202 => Ok(Fate::Taken),
            _ => Ok(Fate::Refused),
        }
    };
    run("webhooks", (300, corpus("webhooks")), &mut check);
    runtime.block_on(running.stop());
}
