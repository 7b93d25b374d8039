//! `ostler demo`, as a person starts it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long the demo may take to tell its story.
const TOLD_WITHIN: Duration = Duration::from_secs(120);
/// How long it may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// A demo that runs. Dropped, it is asked to end: it takes the runtime it started with it.
pub(crate) struct Demo {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Demo {
    pub(crate) async fn start(dir: &Path) -> Demo {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ostler"))
            .arg("demo")
            .arg("--data")
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Demo { child, said }
    }

    /// The one-time address that it prints.
    pub(crate) async fn sign_in(&mut self) -> String {
        let told = async {
            while let Some(line) = self.said.next_line().await.unwrap() {
                if let Some(url) = line.split_whitespace().find(|word| word.contains("/login?code=")) {
                    return url.to_owned();
                }
            }
            panic!("the demo ended without an address: run `ostler demo` to see why")
        };
        tokio::time::timeout(TOLD_WITHIN, told).await.expect("the demo takes too long")
    }

    /// Ctrl-C, and waits.
    pub(crate) async fn stop(mut self) {
        self.interrupt();
        let status =
            tokio::time::timeout(ENDS_WITHIN, self.child.wait()).await.expect("the demo does not end").unwrap();
        assert!(status.success(), "{status}");
    }

    fn interrupt(&self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.interrupt();
    }
}
