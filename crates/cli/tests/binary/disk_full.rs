//! A disk that fills up while agents work, on a real file system of its own: the server says that it waits for room,
//! and once there is some it goes on, with nothing lost and nothing done twice.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::stage::{Said, Stage, until};

const WORDS: &str = "Reconcile acme for October.";

/// A file system in memory, of so many megabytes; gone when this is dropped.
struct Small(PathBuf);

impl Small {
    /// `None`: whoever runs the tests may not mount.
    fn at(stage: &Stage, mb: u32) -> Option<Small> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mb}m"), "tmpfs"]).arg(stage.dir());
        let mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        mounted.then(|| Small(stage.dir().to_owned()))
    }

    /// Leaves no room at all.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        let mut piece = vec![7; 1 << 16];
        while !piece.is_empty() {
            if file.write_all(&piece).is_err() {
                piece.truncate(piece.len() / 2);
            }
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().unwrap();
    }
}

fn metric(stage: &Stage, name: &str) -> String {
    let metrics = stage.get("/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned);
    line.unwrap_or_else(|| panic!("{name} in {metrics}"))
}

#[test]
fn a_disk_that_fills_up_is_said_to_be_full_and_what_waits_for_room_goes_on() {
    let mut stage = Stage::stopped_paced(10);
    let Some(disk) = Small::at(&stage, 24) else {
        println!("skipped: a file system can only be mounted by root");
        return;
    };
    stage.start();
    let mut stage = stage.with_demo();
    assert_eq!(stage.get("/readyz"), "ready\n");
    let mut run = stage.command(&["run", "reconciliation-finance", WORDS, "--session", "acme"]);
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("it runs", || (stage.json(&["ps"])[0]["phase"] == "running").then_some(()));
    disk.fill();

    let ready = until("it is not ready", || Some(stage.get("/readyz")).filter(|ready| ready.contains("outage")));
    assert!(ready.contains("no space left") && ready.contains("free some disk space"), "{ready}");
    assert!(ready.contains("sessions that wait for it: 1"), "{ready}");
    assert_eq!((metric(&stage, "ostler_log_outage"), metric(&stage, "ostler_log_waiting")), ("1".into(), "1".into()));
    let row = stage.json(&["ps"])[0].clone();
    assert!(row["waits_on"].as_str().unwrap().starts_with("the store: no space left"), "{row}");
    let top = stage.run(&["top", "--once"]).with_code(0).out;
    assert!(top.contains("the log takes nothing since") && top.contains("sessions that wait: 1"), "{top}");
    let refused = stage.run(&["run", "note-keeper", "Calculate 6 * 7", "--detach"]).with_code(1).err;
    assert!(refused.contains("no space left"), "{refused}");

    disk.free();
    until("it is ready again", || (stage.get("/readyz") == "ready\n").then_some(()));
    let said: Said = run.wait_with_output().unwrap().into();
    assert!(said.err.contains("it waits for the store: no space left"), "{said:?}");
    said.with_code(4);
    assert_eq!(metric(&stage, "ostler_log_outage"), "0");
    let drafts = stage.drafts();
    let row = stage.settle(stage.json(&["ps"])[0]["session"].as_str().unwrap());
    assert_eq!(row["phase"], "finished", "{row}");
    assert!(stage.drafts().starts_with(&drafts), "what was done before is not done again");
    assert_eq!(stage.drafts().len(), 3, "{:#?}", stage.drafts());
    assert_eq!(stage.json(&["audit", "verify"])["ok"], true);
    stage.kill();
}
