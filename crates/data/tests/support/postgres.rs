//! A PostgreSQL server of the tests' own, from Debian's packages: one per test binary, on a free port, run by a user
//! without rights where the tests run as root, with a database for each test that wants one. It ends with the test
//! binary, however that ends. Included by path where it is needed.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A role's password with characters that a URL must escape, so that the escaping is tested too.
pub(crate) const PASSWORD: &str = "p@ss/w:rd%1";
pub(crate) const PASSWORD_IN_URL: &str = "p%40ss%2Fw%3Ard%251";

/// The oldest version that is supported.
const OLDEST: u32 = 15;

/// Starts the server in the background, waits for the end of its own input, which is the end of the test binary, and
/// cleans up. The server is stopped by its pid, at once: its files go with it.
const KEEPER: &str = r#"
"$@" & echo "pid $!"
cat >/dev/null
pid=$(head -n 1 "$PGHOME/data/postmaster.pid")
kill -QUIT "$pid"
while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
rm -rf "$PGHOME"
"#;

/// A running server.
pub(crate) struct Cluster {
    pub(crate) bin: PathBuf,
    pub(crate) home: PathBuf,
    pub(crate) port: u16,
    pub(crate) run_as: Option<(u32, u32)>,
    databases: AtomicU32,
    /// Held: the end of its input is the server's end.
    _keeper: Child,
}

/// The test binary's server, started when it is first asked for; `None` where there is none to be had, which is said.
pub(crate) fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::own).as_ref()
}

/// Debian's own place for the newest version that is installed.
fn installed() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let versions = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let newest = versions.filter(|version| *version >= OLDEST).max()?;
    let bin = PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"));
    bin.join("initdb").exists().then_some(bin)
}

fn skipped(why: &str) {
    let line = format!("skipped: PostgreSQL tests of {}: {why}", env!("CARGO_CRATE_NAME"));
    writeln!(std::io::stdout(), "{line}").expect("it is said");
    if let Some(file) = std::env::var_os("OSTLER_TEST_SKIPS") {
        let opened = std::fs::OpenOptions::new().append(true).create(true).open(file);
        writeln!(opened.expect("the list of skipped tests opens"), "{line}").expect("it is written");
    }
}

impl Cluster {
    /// One of the caller's own, which ends when it is dropped; `None` where there is none to be had, which is said.
    pub(crate) fn own() -> Option<Cluster> {
        let Some(bin) = installed() else {
            skipped(&format!("PostgreSQL {OLDEST} or later is not installed (Debian: apt-get install postgresql)"));
            return None;
        };
        let started = (0..5).find_map(|_| Cluster::start(bin.clone()));
        Some(started.expect("PostgreSQL starts"))
    }

    /// `None` where somebody else took the port meanwhile.
    fn start(bin: PathBuf) -> Option<Cluster> {
        let home = tempfile::Builder::new().prefix("ostler-pg").tempdir().expect("a directory is made").keep();
        let run_as = user_without_rights();
        if let Some((uid, gid)) = run_as {
            chown(&home, Some(uid), Some(gid)).expect("root may give a directory away");
        }
        let word = home.join("word");
        std::fs::write(&word, PASSWORD).expect("the password is written");
        if let Some((uid, gid)) = run_as {
            chown(&word, Some(uid), Some(gid)).expect("root may give a file away");
        }
        // Texts sort as people expect by default here, so that an order that must be by bytes is seen to be asked for.
        let made = command(run_as, &bin.join("initdb"))
            .args(["--username=ostler", "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync", "--no-instructions"])
            .args(["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"])
            .arg(format!("--pwfile={}", word.display()))
            .arg(home.join("data"))
            .current_dir(&home)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let (port, keeper) = serve(&bin, &home, run_as)?;
        Some(Cluster { bin, home, port, run_as, databases: AtomicU32::new(0), _keeper: keeper })
    }

    /// A new database's URL.
    pub(crate) fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://ostler:{PASSWORD_IN_URL}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Runs SQL in a database, as its owner; answers what it says, a line per row.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let said = command(self.run_as, &self.bin.join("psql"))
            .current_dir(&self.home)
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "ostler"])
            .args(["-p", &self.port.to_string(), "-d", database, "-c", sql])
            .env("PGPASSWORD", PASSWORD)
            .output()
            .expect("psql runs");
        assert!(said.status.success(), "{sql}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8_lossy(&said.stdout).trim_end().to_owned()
    }
}

pub(crate) fn settings(home: &Path, port: u16) -> Vec<String> {
    // Durable as a real one: a store refuses anything less.
    let settings = [
        format!("port={port}"),
        "listen_addresses=127.0.0.1".to_owned(),
        format!("unix_socket_directories={}", home.display()),
        "max_connections=300".to_owned(),
        "shared_buffers=64MB".to_owned(),
        "dynamic_shared_memory_type=posix".to_owned(),
        "log_min_messages=log".to_owned(),
        "deadlock_timeout=200ms".to_owned(),
    ];
    settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]).collect()
}

/// The server on a port that was free a moment ago; `None` if somebody else was faster.
fn serve(bin: &Path, home: &Path, run_as: Option<(u32, u32)>) -> Option<(u16, Child)> {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr().expect("it has one").port();
    let log = std::fs::OpenOptions::new().append(true).create(true).open(home.join("log")).expect("a log is made");
    let mut keeper: Child = command(run_as, Path::new("/bin/sh"))
        .args(["-c", KEEPER, "sh"])
        .arg(bin.join("postgres"))
        .arg("-D")
        .arg(home.join("data"))
        .args(settings(home, port))
        .env("PGHOME", home)
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("sh runs");
    let stdout = keeper.stdout.take().expect("piped");
    let mut first = String::new();
    BufReader::new(stdout).read_line(&mut first).expect("it says its pid");
    let pid = first.trim().strip_prefix("pid ").expect("it says its pid").to_owned();
    // Ready, gone, or not yet.
    for _ in 0..600 {
        let ready = Command::new(bin.join("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
            .status()
            .expect("pg_isready runs");
        if ready.success() {
            return Some((port, keeper));
        }
        if !Path::new("/proc").join(&pid).exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    drop(keeper.stdin.take());
    keeper.wait().expect("sh ends");
    None
}

/// PostgreSQL does not run as root.
fn user_without_rights() -> Option<(u32, u32)> {
    let me = std::fs::metadata("/proc/self").expect("there is /proc").uid();
    if me != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("there are users");
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody"))
}

pub(crate) fn command(run_as: Option<(u32, u32)>, program: &Path) -> Command {
    let Some((uid, gid)) = run_as else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]).arg(program);
    command
}
