//! A server of the test's own on a directory of its own, and `ostler` commands against it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

/// How often something that takes a while is looked at, and how often at most: half a minute.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS: usize = 1500;

/// The examples' descriptors of the demo, with the article's own.
const DESCRIPTORS: [&str; 2] = ["examples/demo", "examples/reconciliation-finance.yaml"];
/// The people of the demo.
const PEOPLE: [(&str, &str); 2] = [("ana", "finance-platform"), ("ben", "procurement")];

/// A binary's last words.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// It must have ended with this code; everything it said, if not.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Said {
        assert_eq!(self.code, code, "standard output:\n{}\nstandard error:\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// Looks until something shows; fails if it never does.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..LOOKS {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    panic!("it never came to this: {what}");
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The binary, with nothing of the tester's own environment that would steer it.
pub(crate) fn ostler() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ostler"));
    for name in ["OSTLER_DATA", "OSTLER_URL", "OSTLER_KEY", "OSTLER_STORE", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Whether a process is there and not merely unburied.
pub(crate) fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim_start().starts_with('Z'))
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// A data directory, and a server on it.
pub(crate) struct Stage {
    dir: TempDir,
    server: Option<Child>,
    pace_ms: u32,
    /// Where its log is, if not in the directory.
    store: Option<String>,
}

impl Stage {
    /// An empty server.
    pub(crate) fn empty() -> Stage {
        Stage::paced(0)
    }

    /// One whose scripted model takes its time over each word.
    pub(crate) fn paced(pace_ms: u32) -> Stage {
        Stage::paced_on(pace_ms, None)
    }

    /// The same, with its log elsewhere, where that is said.
    pub(crate) fn paced_on(pace_ms: u32, store: Option<String>) -> Stage {
        let mut stage = Stage::stopped(store);
        stage.pace_ms = pace_ms;
        stage.start();
        stage
    }

    /// An empty directory, with no server on it yet; its log may be elsewhere.
    pub(crate) fn stopped(store: Option<String>) -> Stage {
        Stage { dir: TempDir::new().unwrap(), server: None, pace_ms: 0, store }
    }

    /// The same, whose model will take its time over each word.
    pub(crate) fn stopped_paced(pace_ms: u32) -> Stage {
        let mut stage = Stage::stopped(None);
        stage.pace_ms = pace_ms;
        stage
    }

    /// An empty server whose log is elsewhere.
    pub(crate) fn on(store: String) -> Stage {
        Stage::paced_on(0, Some(store))
    }

    /// Another server on the same log, with the same key in a directory of its own.
    pub(crate) fn beside(first: &Stage) -> Stage {
        let dir = TempDir::new().unwrap();
        std::fs::copy(first.path("master.key"), dir.path().join("master.key")).unwrap();
        let mut stage = Stage { dir, server: None, pace_ms: 0, store: first.store.clone() };
        stage.start();
        stage
    }

    /// A server with the demo's agents, files and people.
    pub(crate) fn demo() -> Stage {
        Stage::empty().with_demo()
    }

    /// Puts the demo's files there.
    pub(crate) fn with_files(&self) {
        for entry in std::fs::read_dir(root().join("examples/demo/data")).unwrap() {
            let file = entry.unwrap().path();
            std::fs::copy(&file, self.path(file.file_name().unwrap().to_str().unwrap())).unwrap();
        }
    }

    pub(crate) fn with_demo(self) -> Stage {
        self.with_files();
        let files: Vec<String> = DESCRIPTORS.iter().map(|file| root().join(file).display().to_string()).collect();
        self.run(&["apply", "-f", &files[0], "-f", &files[1]]).with_code(0);
        for (person, group) in PEOPLE {
            self.run(&["person", "add", person, "--group", group]).with_code(0);
        }
        self
    }

    /// Starts the server and waits until it answers.
    pub(crate) fn start(&mut self) {
        self.start_as(self.up(&[]));
    }

    /// The same, with the secrets of its directory.
    pub(crate) fn start_with_secrets(&mut self, more: &[&str]) {
        let mut command = ostler();
        command.args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(self.dir()).args(more).current_dir(self.dir());
        command.stdout(Stdio::null());
        self.start_as(command);
    }

    /// Starts it as this command does, and waits until it answers.
    pub(crate) fn start_as(&mut self, mut command: Command) {
        let child = command.stderr(std::fs::File::create(self.path("up.log")).unwrap()).spawn().unwrap();
        let (pid, file) = (child.id(), self.path("context.json"));
        self.server = Some(child);
        until("the server is up", || {
            let context: Value = serde_json::from_str(&std::fs::read_to_string(&file).ok()?).ok()?;
            (context["pid"] == pid && self.run(&["get"]).code == 0).then_some(())
        });
    }

    /// `ostler up` on this directory, not started yet.
    pub(crate) fn up(&self, more: &[&str]) -> Command {
        let mut command = ostler();
        command.args(["up", "--scripted-only", "--listen", "127.0.0.1:0", "--scripted-pace-ms"]);
        command.arg(self.pace_ms.to_string()).arg("--data").arg(self.dir()).args(more).current_dir(self.dir());
        command.envs(self.store.iter().map(|store| ("OSTLER_STORE", store)));
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// SIGTERM; the exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let mut server = self.server.take().unwrap();
        signal(server.id(), Signal::TERM);
        server.wait().unwrap().code()
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Writes a file into the directory; its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// What the server answers there, with the administrator's key: the body.
    pub(crate) fn get(&self, path: &str) -> String {
        let context: Value =
            serde_json::from_str(&std::fs::read_to_string(self.path("context.json")).unwrap()).unwrap();
        let host = context["url"].as_str().unwrap().trim_start_matches("http://");
        let key = context["key"].as_str().unwrap();
        let mut stream = std::net::TcpStream::connect(host).unwrap();
        let asked = format!("GET {path} HTTP/1.0\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n\r\n");
        stream.write_all(asked.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// A command against the server, not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = ostler();
        command.args(args).arg("--data").arg(self.dir()).current_dir(self.dir());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.command(args).output().unwrap().into()
    }

    /// What a command that must succeed says, as JSON.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        self.run(&[args, &["-o", "json"]].concat()).with_code(0).json()
    }

    /// The mail tool's own file.
    pub(crate) fn drafts(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("drafts.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Has the article's agent work until it wants consent for the dearest payment request; that request.
    pub(crate) fn reconcile(&self) -> Value {
        self.run(&["run", "reconciliation-finance", "Reconcile acme for October.", "--session", "acme"]).with_code(4);
        self.dearest()
    }

    /// What waits in the inbox and is worth most.
    pub(crate) fn dearest(&self) -> Value {
        let inbox = self.json(&["inbox"]);
        let items = inbox.as_array().unwrap().iter().filter(|item| item["item"] == "approval");
        items.max_by_key(|item| item["value_usd_micros"].as_i64()).unwrap().clone()
    }

    /// Answers everything that comes up for a session as ana, until it rests: yes to requests, and what the mail
    /// tool's own file says to writes in doubt.
    pub(crate) fn settle(&self, session: &str) -> Value {
        until("the session rests", || {
            for item in self.json(&["inbox"]).as_array().unwrap() {
                self.answer(item);
            }
            let all = self.json(&["ps"]);
            let row = all.as_array().unwrap().iter().find(|row| row["session"] == session)?.clone();
            (row["phase"] == "finished" || row["phase"] == "failed").then_some(row)
        })
    }

    fn answer(&self, item: &Value) {
        let id = item["id"].as_str().unwrap();
        if item["item"] == "approval" {
            // Answered already and not taken yet is no error of the test.
            self.run(&["approve", id, "--as", "ana"]);
            return;
        }
        let drafted = self.drafts().into_iter().find(|draft| draft["key"] == *id);
        match drafted {
            Some(draft) => self.run(&["resolve", id, "happened", "--result", &draft.to_string(), "--as", "ana"]),
            None => self.run(&["resolve", id, "did-not", "--as", "ana"]),
        };
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// The text of a field.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}"))
}

/// What the environment tells a test.
#[expect(clippy::disallowed_methods, reason = "a test is told by its environment what it may use")]
pub(crate) fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Says that a test cannot run, and why.
pub(crate) fn skips(why: &str) {
    println!("skipped: {why}");
    if let Some(file) = told("OSTLER_TEST_SKIPS") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
        std::io::Write::write_all(&mut file, format!("skipped: {why}\n").as_bytes()).unwrap();
    }
}

/// Asks an agent's model as an SDK would, in a session of this name; an empty one: whichever it follows.
pub(crate) fn ask_model((url, key): (&str, &str), session: &str, body: &str) {
    let host = url.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let head = format!("POST /v1/messages HTTP/1.1\r\nhost: {host}\r\nx-api-key: {key}\r\nconnection: close\r\n");
    let session = if session.is_empty() { String::new() } else { format!("ostler-session: {session}\r\n") };
    let length = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all([&head, &session, &length, body].concat().as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
