//! Webhooks out, taken by a receiver that nobody here wrote: the library `standardwebhooks` of npm.

use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::stage::{Stage, root, skips, told};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The receiver in node.
struct Receiver {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Receiver {
    /// `None`, and a word about it, where the library is not there.
    fn start(secret: &str) -> Option<Receiver> {
        let modules = told("OSTLER_TEST_NPM").unwrap_or_default();
        if modules.is_empty() || !std::path::Path::new(&modules).join("standardwebhooks").exists() {
            skips("webhooks: OSTLER_TEST_NPM names no directory with standardwebhooks");
            return None;
        }
        let script = root().join("crates/cli/tests/binary/receiver.cjs");
        let mut child = Command::new("node").arg(script).arg(secret).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        Some(Receiver { child, lines, port })
    }

    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server with the secret in its own file.
fn stage() -> Stage {
    let mut stage = Stage::empty();
    stage.stop();
    let file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(stage.path("secrets.env"));
    writeln!(file.unwrap(), "OFFICE_SECRET={SECRET}").unwrap();
    stage.start_with_secrets(&[]);
    stage.with_demo()
}

#[test]
fn a_receiver_that_nobody_here_wrote_takes_what_is_signed_and_nothing_else() {
    let Some(mut receiver) = Receiver::start(SECRET) else { return };
    let Some(mut other) = Receiver::start("whsec_c2VjcmV0IG9mIHNvbWVib2R5IGVsc2UgYWx0b2dldGhlcg==") else { return };
    let stage = stage();
    let add = |name: &str, port: u16| {
        let url = format!("http://127.0.0.1:{port}/hook");
        let options = ["--secret", "OFFICE_SECRET", "--kinds", "session_started,finished", "--allow-private"];
        stage.run(&[&["webhook", "add", name, &url][..], &options].concat()).with_code(0);
    };
    add("office", receiver.port);
    add("other", other.port);
    stage.run(&["webhook", "test", "office"]).with_code(0);
    assert_eq!((receiver.next()["type"].clone(), receiver.port > 0), ("ostler.test".into(), true));
    let refused = stage.run(&["webhook", "test", "other"]).with_code(1);
    assert!(refused.out.contains("it answered 400 Bad Request"), "{refused:?}");
    assert_eq!(other.next()["taken"], false);
    stage.run(&["run", "note-keeper", "Calculate 6 * 7"]).with_code(0);
    let told = [receiver.next(), receiver.next()];
    assert!(told.iter().all(|call| call["taken"] == true), "{told:?}");
    assert_eq!((&told[0]["kind"], &told[1]["kind"]), (&"session_started".into(), &"finished".into()));
    let list = stage.run(&["webhook", "list"]).with_code(0);
    assert!(list.out.contains("office") && list.out.contains("retrying"), "{}", list.out);
    stage.run(&["webhook", "delete", "other"]).with_code(0);
    assert_eq!(stage.json(&["webhook", "list"]).as_array().unwrap().len(), 1);
}
