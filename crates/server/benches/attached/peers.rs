//! Other gateways before models, measured beside Ostler: the same requests, in the same run, to the same model API of
//! this process. Whoever starts them says where they are: `OSTLER_BENCH_PEERS="NAME HOST:PORT PID KEY[ HEADER:VALUE]…;…"`.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use crate::client::{Client, Took};
use crate::{ALONE, CLIENTS, conversation, load, percentile};

/// Somebody who is asked.
pub(crate) struct Peer {
    /// What it is called.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) host: String,
    /// The key that it wants, and further headers: each line ends in `\r\n`.
    pub(crate) key: String,
    pub(crate) headers: String,
    /// Its process; 0: this one.
    pub(crate) pid: u32,
}

impl Peer {
    /// Those that the environment names.
    pub(crate) fn named(text: &str) -> anyhow::Result<Vec<Peer>> {
        let each = text.split(';').map(str::trim).filter(|one| !one.is_empty());
        each.map(|one| {
            let words: Vec<&str> = one.split_whitespace().collect();
            let [name, host, pid, key, headers @ ..] = &words[..] else {
                anyhow::bail!("{one:?} is not NAME HOST:PORT PID KEY")
            };
            let line = |header: &&str| header.split_once(':').map(|(name, value)| format!("{name}: {value}\r\n"));
            Ok(Peer {
                name: (*name).to_owned(),
                host: (*host).to_owned(),
                key: (*key).to_owned(),
                headers: headers.iter().filter_map(line).collect(),
                pid: pid.parse()?,
            })
        })
        .collect()
    }

    async fn connect(&self) -> anyhow::Result<Client> {
        Ok(Client::connect(&self.host, &self.key).await?.with(&self.headers))
    }
}

/// What one came to: alone, in milliseconds; at once, in requests per second; resident memory in megabytes.
struct Row {
    name: String,
    p50: f64,
    p99: f64,
    per_second: f64,
    mb: f64,
}

/// Asks all of them in turn, and then each with many clients: a table, the first is whom the others are beside.
pub(crate) async fn table(all: &[Peer], span: Duration, out: &mut impl Write) -> anyhow::Result<()> {
    let mut clients = Vec::new();
    for peer in all {
        clients.push(peer.connect().await?);
        load(peer.into(), (Duration::from_secs(2), 5_000_000)).await?;
    }
    let mut took: Vec<Vec<Took>> = all.iter().map(|_| Vec::new()).collect();
    for number in 0..ALONE as u64 {
        for (client, took) in clients.iter_mut().zip(&mut took) {
            took.push(client.ask(&conversation(6_000_000 + number, 1, false)).await?);
        }
    }
    let mut rows = Vec::new();
    for (peer, took) in all.iter().zip(&took) {
        let done = load(peer.into(), (span, 7_000_000)).await?;
        let (p50, p99) = (percentile(took, 50, |took| took.all), percentile(took, 99, |took| took.all));
        rows.push(Row { name: peer.name.clone(), p50, p99, per_second: done.per_second, mb: tree_mb(peer.pid) });
    }
    let Some(direct) = rows.first() else { return Ok(()) };
    writeln!(out, "| | p50 added at 1 | p99 added at 1 | requests/s at {CLIENTS} | RSS |\n|---|---|---|---|---|")?;
    for row in &rows {
        let Row { name, p50, p99, per_second, mb } = row;
        let (p50, p99) = (p50 - direct.p50, p99 - direct.p99);
        writeln!(out, "| {name} | {p50:.2} ms | {p99:.2} ms | {per_second:.0} | {mb:.0} MB |")?;
    }
    writeln!(out, "direct: p50 {:.3} ms, p99 {:.3} ms at 1", direct.p50, direct.p99)?;
    Ok(())
}

/// What a process and those that it started take, in megabytes.
fn tree_mb(root: u32) -> f64 {
    let mut parents: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        if let Some(parent) = parent {
            parents.entry(parent).or_default().push(pid);
        }
    }
    let (mut left, mut kb) = (vec![root], 0.0);
    while let Some(pid) = left.pop() {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let found =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
        kb += found.unwrap_or(0.0_f64);
        left.extend(parents.remove(&pid).unwrap_or_default());
    }
    kb / 1024.0
}
