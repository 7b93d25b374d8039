//! A browser, spoken to over WebDriver (W3C, <https://www.w3.org/TR/webdriver2/>). JavaScript is switched off for pages.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long something may take to show.
const SHOWS_WITHIN_MS: u64 = 30_000;
/// What a headless Chromium needs in a container, and what keeps it from talking to anybody but us.
const ARGUMENTS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1120,920",
];
/// The key of an element's reference (WebDriver §12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window.
pub(crate) struct Browser {
    http: reqwest::Client,
    session: String,
    _profile: tempfile::TempDir,
    _driver: Child,
}

impl Browser {
    /// Starts a driver and a browser with a profile of its own.
    pub(crate) async fn start(driver: &Path, chromium: &Path) -> Browser {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(90)).tls_backend_rustls();
        let http = http.build().unwrap();
        let (driver, url) = start_driver(driver).await;
        let profile = tempfile::tempdir().unwrap();
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        // 2: blocked.
        let settings = json!({ "profile.managed_default_content_settings.javascript": 2 });
        let capabilities = json!({ "alwaysMatch": {
            "goog:chromeOptions": { "binary": chromium, "args": arguments, "prefs": settings },
            "timeouts": { "implicit": SHOWS_WITHIN_MS },
        } });
        let mut browser = Browser { http, session: url, _profile: profile, _driver: driver };
        let made = browser.ask(Method::POST, "/session", json!({ "capabilities": capabilities })).await;
        browser.session = format!("{}/session/{}", browser.session, made["sessionId"].as_str().unwrap());
        browser
    }

    /// Opens an address.
    pub(crate) async fn open(&self, url: &str) {
        self.ask(Method::POST, "/url", json!({ "url": url })).await;
    }

    /// Where it is.
    pub(crate) async fn address(&self) -> String {
        self.ask(Method::GET, "/url", Value::Null).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until there is such an element (XPath).
    pub(crate) async fn see(&self, xpath: &str) -> String {
        let found = self.ask(Method::POST, "/element", json!({ "using": "xpath", "value": xpath })).await;
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("{xpath}: {found}")).to_owned()
    }

    /// Waits until there is such an element, and clicks it. A page that looks again by itself may take it away in
    /// between: then it is found anew.
    pub(crate) async fn click(&self, xpath: &str) {
        for _ in 0..5 {
            let element = self.see(xpath).await;
            let clicked = self.answer(Method::POST, &format!("/element/{element}/click"), json!({})).await;
            if clicked["error"] != "stale element reference" {
                return assert!(clicked["error"].is_null(), "{xpath}: {clicked}");
            }
        }
        panic!("{xpath} never stays long enough");
    }

    /// Types into a field.
    pub(crate) async fn fill(&self, xpath: &str, text: &str) {
        let element = self.see(xpath).await;
        self.ask(Method::POST, &format!("/element/{element}/value"), json!({ "text": text })).await;
    }

    /// What is seen, as PNG.
    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        let picture = self.ask(Method::GET, "/screenshot", Value::Null).await;
        decode(picture.as_str().unwrap())
    }

    /// Closes the window and ends the browser.
    pub(crate) async fn stop(self) {
        self.ask(Method::DELETE, "", Value::Null).await;
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let what = format!("{path} {body}");
        let answer = self.answer(method, path, body).await;
        assert!(answer["error"].is_null(), "{what}: {}", answer["message"]);
        answer
    }

    async fn answer(&self, method: Method, path: &str, body: Value) -> Value {
        let mut request = self.http.request(method, format!("{}{path}", self.session));
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["value"].clone()
    }
}

/// A driver on a port of its own choice.
async fn start_driver(driver: &Path) -> (Child, String) {
    let mut child = Command::new(driver)
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = said.next_line().await.unwrap() {
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            let url = format!("http://127.0.0.1:{}", port.trim_end_matches('.'));
            // Whatever else it says is read, so that it never waits for a reader.
            tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
            return (child, url);
        }
    }
    panic!("{} did not start", driver.display())
}

/// Base64 (RFC 4648 §4).
fn decode(text: &str) -> Vec<u8> {
    let sixtet = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for value in text.bytes().filter_map(sixtet) {
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    bytes
}
