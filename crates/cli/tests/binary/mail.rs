//! Mail to people, taken by a relay that nobody here wrote: PyPI `aiosmtpd`. What it says, that its link answers, and
//! what becomes of it where the relay refuses, is dead, or wants to know who it is.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::stage::{Said, Stage, root, skips, text, told, until};

/// The relay.
struct Sink {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Sink {
    /// `None`, and a word about it, where the library is not there.
    fn start(mode: &[&str]) -> Option<Sink> {
        let python = told("OSTLER_TEST_PYTHON").unwrap_or_default();
        let there = Command::new(&python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            skips("mail: OSTLER_TEST_PYTHON names no interpreter with aiosmtpd");
            return None;
        }
        let script = root().join("crates/cli/tests/binary/sink.py");
        let mut child = Command::new(python).arg(script).args(mode).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        Some(Sink { child, lines, port })
    }

    /// The next mail, once it was handed in.
    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An agent of ana's group that asks for consent above 500 USD.
const CLERK: &str = "apiVersion: agent.os/v1
kind: Agent
metadata: {name: dunning-clerk, owner: finance-platform}
spec:
  model: {provider: anthropic, name: claude-haiku-4-5}
  tools: [mcp://gateway/sap-invoice-read, mcp://gateway/email-draft]
  approval: {on_action_value_usd_gt: 500}
";

/// A server with the demo that hands mail in there; ana is told by mail.
fn stage(relay: &str, more: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::stopped(None);
    let mut command = stage.up(&["--smtp", relay, "--mail-from", "ostler@example.org"]);
    command.envs(more.iter().copied());
    stage.start_as(command);
    let stage = stage.with_demo();
    told_by_mail(&stage);
    stage
}

fn told_by_mail(stage: &Stage) {
    let clerk = stage.write("clerk.yaml", CLERK);
    stage.run(&["apply", "-f", &clerk]).with_code(0);
    stage.run(&["channel", "set", "--mail", "ana@example.com", "--as", "ana"]).with_code(0);
}

fn asks(stage: &Stage, session: &str) {
    stage.run(&["run", "dunning-clerk", "Remind globex of INV-2034.", "--session", session]).with_code(4);
}

/// The link in a mail's text.
fn link(mail: &Value) -> String {
    let found = text(mail, "text").lines().find(|line| line.starts_with("http://"));
    found.unwrap_or_else(|| panic!("{mail}")).to_owned()
}

/// What a browser is told there.
fn browse(link: &str, form: Option<&str>) -> String {
    let (host, path) = link.trim_start_matches("http://").split_once('/').unwrap();
    let (method, body) = form.map_or(("GET", ""), |form| ("POST", form));
    let mut stream = TcpStream::connect(host).unwrap();
    let head = format!("{method} /{path} HTTP/1.0\r\nhost: {host}\r\norigin: http://{host}\r\n");
    let kind = "content-type: application/x-www-form-urlencoded\r\n";
    let asked = format!("{head}{kind}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(asked.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_person_is_mailed_and_answers_by_the_link_that_came() {
    let Some(mut sink) = Sink::start(&[]) else { return };
    let stage = stage(&format!("smtp://127.0.0.1:{}", sink.port), &[]);
    asks(&stage, "one");
    let mail = sink.next();
    assert_eq!((&mail["sender"], &mail["to"][0]), (&"ostler@example.org".into(), &"ana@example.com".into()));
    assert_eq!((&mail["auto"], &mail["defects"]), (&"auto-generated".into(), &Value::Array(Vec::new())), "{mail}");
    assert!(text(&mail, "subject").starts_with("dunning-clerk asks for consent: email-draft, worth $"), "{mail}");
    assert!(text(&mail, "id").ends_with(".ana@example.org>"), "{mail}");
    assert!(!text(&mail, "text").contains("INV-2034"), "what it is about in full is behind the link: {mail}");
    let link = link(&mail);
    assert!(text(&mail, "html").contains(&link), "{mail}");
    let page = browse(&link, None);
    assert!(page.starts_with("HTTP/1.0 200") && page.contains("INV-2034"), "{page}");
    assert_eq!(stage.json(&["inbox"]).as_array().unwrap().len(), 1, "looking decides nothing");
    let done = browse(&link, Some("say=approve&reason=overdue+indeed"));
    assert!(done.starts_with("HTTP/1.0 200") && done.contains("used up"), "{done}");
    until("the session rests", || stage.json(&["inbox"]).as_array().unwrap().is_empty().then_some(()));
    let again = browse(&link, Some("say=deny"));
    assert!(again.starts_with("HTTP/1.0 410") && again.contains("ana said yes"), "{again}");
    let session = stage.json(&["ps"])[0]["session"].as_str().unwrap().to_owned();
    let trace = stage.run(&["trace", &session]).with_code(0).out;
    assert!(trace.contains("approved by ana, by the link sent to mail ana@example.com"), "{trace}");
    assert_eq!(stage.drafts().len(), 1);
    let log = std::fs::read_to_string(stage.path("up.log")).unwrap();
    assert!(!log.contains(link.rsplit('~').next().unwrap()), "no link in the log: {log}");
}

#[test]
fn what_a_relay_does_not_take_now_comes_again_as_the_same_mail() {
    let Some(mut sink) = Sink::start(&["later"]) else { return };
    let stage = stage(&format!("smtp://127.0.0.1:{}", sink.port), &[]);
    asks(&stage, "one");
    let (first, again) = (sink.next(), sink.next());
    assert_eq!((&first["taken"], &again["taken"]), (&false.into(), &true.into()));
    assert_eq!((&first["id"], &first["text"]), (&again["id"], &again["text"]));
    let listed = until("it is taken", || {
        let listed = stage.json(&["channel", "list", "--as", "ana"]);
        (listed[0]["told"] == 1).then_some(listed)
    });
    assert_eq!(listed[0]["failed"], 0, "{listed}");
    assert!(listed.to_string().contains("451"), "what went wrong last is still said: {listed}");
}

#[test]
fn what_a_relay_will_never_take_is_said_and_not_sent_again() {
    let Some(mut sink) = Sink::start(&["never"]) else { return };
    let stage = stage(&format!("smtp://127.0.0.1:{}", sink.port), &[]);
    asks(&stage, "one");
    assert_eq!(sink.next()["refused"], "ana@example.com");
    let listed = until("it is said", || {
        let listed = stage.run(&["channel", "list"]).with_code(0).out;
        listed.contains("550").then_some(listed)
    });
    assert!(listed.contains("failing (1)") && listed.contains("ana"), "{listed}");
    // The next request is the next thing that comes: the first was not tried again.
    asks(&stage, "two");
    assert_eq!(sink.next()["refused"], "ana@example.com");
    assert!(stage.get("/metrics").contains("ostler_channels{state=\"failing\"} 1"));
}

#[test]
fn a_dead_relay_holds_nothing_up_and_one_that_comes_back_gets_what_still_waits() {
    // A port where nobody listens: it was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let stage = stage(&format!("smtp://127.0.0.1:{port}"), &[]);
    asks(&stage, "one");
    until("it is said", || stage.get("/readyz").contains("1 of the channels").then_some(()));
    let ready = stage.get("/readyz");
    assert!(ready.starts_with("ready\n"), "{ready}");
    stage.run(&["approve", "4-1", "--as", "ana"]).with_code(0);
    until("the session rests", || (stage.json(&["ps"])[0]["phase"] == "finished").then_some(()));
    assert_eq!(stage.drafts().len(), 1);
}

#[test]
fn a_relay_is_told_who_it_is_and_spoken_to_under_cover() {
    let Some(mut sink) = Sink::start(&["login", "desk", "the word"]) else { return };
    let mut stage = Stage::stopped(None);
    let relay = format!("smtp://desk@127.0.0.1:{}", sink.port);
    let refused = Said::from(stage.up(&["--smtp", &relay, "--mail-from", "ostler@example.org"]).output().unwrap());
    assert!(refused.code == 1 && refused.err.contains("SMTP_PASSWORD"), "{refused:?}");
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(stage.path("secrets.env"));
    writeln!(file.unwrap(), "SMTP_PASSWORD=the word").unwrap();
    stage.start_with_secrets(&["--smtp", &relay, "--mail-from", "ostler@example.org"]);
    let stage = stage.with_demo();
    told_by_mail(&stage);
    asks(&stage, "one");
    assert_eq!(sink.next()["login"], true);
}

#[test]
fn a_relay_over_tls_is_believed_by_its_certificate_only() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]).arg(&key);
    if !openssl.arg("-out").arg(&cert).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return skips("mail: openssl makes no certificate here");
    }
    let (cert, key) = (cert.display().to_string(), key.display().to_string());
    let Some(mut sink) = Sink::start(&["tls", &cert, &key]) else { return };
    let relay = format!("smtps://localhost:{}", sink.port);
    let stranger = stage(&relay, &[]);
    asks(&stranger, "one");
    until("it is not believed", || {
        let listed = stranger.run(&["channel", "list"]).with_code(0).out;
        listed.contains("ertificate").then_some(())
    });
    drop(stranger);
    let known = stage(&relay, &[("SSL_CERT_FILE", &cert)]);
    asks(&known, "one");
    // This relay speaks nothing but TLS.
    assert_eq!(sink.next()["taken"], true);
}
