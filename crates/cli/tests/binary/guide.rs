//! The guide's commands, run as they stand and in their order, in one shell. A line that ends with `# exit N` must end
//! with that code, any other with 0; a line that ends with `&` is a server, which is waited for.

use std::fmt::Write;
use std::process::Command;

use crate::stage::{Said, ostler, root};

/// A fenced block: what stands behind its fence, where it begins, its lines.
struct Block<'a> {
    info: &'a str,
    line: usize,
    lines: Vec<&'a str>,
}

fn blocks(guide: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut open = false;
    for (number, line) in guide.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(info) => {
                open = true;
                blocks.push(Block { info, line: number + 1, lines: Vec::new() });
            }
            None if open => blocks.last_mut().unwrap().lines.push(line),
            None => {}
        }
    }
    blocks
}

/// What the shell runs for one line.
fn step(script: &mut String, number: usize, line: &str) {
    let (command, comment) = line.split_once(" #").unwrap_or((line, ""));
    let code = comment.trim().strip_prefix("exit ").map_or("0", |rest| &rest[..1]);
    if let Some(server) = command.trim_end().strip_suffix('&') {
        // Any free port: the guide's own may be taken where tests run.
        writeln!(script, "rm -f data/context.json; {server} --listen 127.0.0.1:0 2>>up.log & server=$!").unwrap();
        writeln!(script, "for i in $(seq 300); do ostler get --data data >/dev/null 2>&1 && break; sleep 0.05; done")
            .unwrap();
        return;
    }
    let command = command.replace("$!", "$server");
    writeln!(script, "{command}\ncode=$?").unwrap();
    writeln!(script, "[ $code = {code} ] || fail {number} $code {code}").unwrap();
}

/// A block that needs a PostgreSQL server.
const ON_POSTGRES: &str = "sh postgres";

/// The server and database that the guide names.
const IN_GUIDE: &str = "postgres://ostler:secret@127.0.0.1:5432/ostler";

#[test]
fn the_commands_for_postgresql_work_as_they_stand() {
    let Some(cluster) = crate::server::cluster() else { return };
    let guide = std::fs::read_to_string(root().join("docs/guide.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut script = "fail() { echo \"docs/guide.md:$1: ended with $2\" >&2; kill $server; exit 1; }\n".to_owned();
    for Block { line, lines, .. } in blocks(&guide).into_iter().filter(|block| block.info == ON_POSTGRES) {
        // A database of PostgreSQL's own tool is made here already.
        for (at, command) in lines.iter().enumerate().filter(|(_, line)| **line != "createdb ostler") {
            step(&mut script, line + at + 1, command);
        }
    }
    let script = script.replace(IN_GUIDE, &format!("'{}'", cluster.database()));
    assert!(script.contains("export OSTLER_STORE='postgres://"), "{script}");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_ostler"));
    let script = format!("PATH={}:$PATH\n{script}kill $server; wait\n", program.parent().unwrap().display());
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(dir.path()).env("HOME", dir.path()).env_remove("OSTLER_DATA");
    Said::from(shell.output().unwrap()).with_code(0);
}

#[test]
fn every_command_of_the_guide_works_as_it_stands() {
    let guide = std::fs::read_to_string(root().join("docs/guide.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut script =
        "fail() { echo \"docs/guide.md:$1: ended with $2, not with $3\" >&2; kill $server; exit 1; }\n".to_owned();
    let mut commands = 0;
    for Block { info, line, lines } in blocks(&guide) {
        if let Some((_, file)) = info.split_once(" file=") {
            std::fs::write(dir.path().join(file), lines.join("\n") + "\n").unwrap();
            continue;
        }
        if info == ON_POSTGRES {
            continue;
        }
        assert_eq!(info, "sh run", "docs/guide.md:{line}: a block is `sh run`, or a file");
        for (at, command) in lines.iter().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            step(&mut script, line + at + 1, command);
            commands += 1;
        }
    }
    script.push_str("kill $server; wait\n");
    assert!(commands > 40, "{commands} commands");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_ostler"));
    let script = format!("PATH={}:$PATH\n{script}", program.parent().unwrap().display());
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(dir.path()).env("HOME", dir.path());
    for (name, _) in ostler().get_envs().filter(|(_, value)| value.is_none()) {
        shell.env_remove(name);
    }
    Said::from(shell.output().unwrap()).with_code(0);
}
