//! An upgrade, rehearsed: a copy of an older data directory is brought to this build's format, every session that can
//! still go on is folded by this build, and what comes out is compared with what the older one left written. The
//! directory itself is not touched, also while another Ostler works on it.
//!
//! ```text
//! old directory ─▶ copy ─▶ migrate ─▶ registry ─▶ each session: fold ─▶ as its head says? wants nothing new? ─▶ audit
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use control::gate::Gate;
use data::audit::{self, Auditor};
use data::commit::Log;
use data::rows::Head;
use data::seal::Sealer;
use data::sqlite::SqliteStore;
use data::store::{HeadFilter, Store};
use domain::clock::{Clock, SystemClock};
use domain::id::{Name, SessionId};
use domain::session::Phase;
use execution::machine::{self, Look, Wanted};
use serde::Serialize;

use crate::boot;
use crate::config::Secrets;

/// How many sessions are listed at most.
const LISTED: usize = 1000;

/// What a rehearsal came to.
#[derive(Debug, Clone, Serialize)]
pub struct Rehearsal {
    /// Whether everything would go on as it is.
    pub ok: bool,
    /// Whether a server had the directory at the time.
    pub in_use: bool,
    /// The format that it is in.
    pub from_format: u32,
    /// This build's.
    pub to_format: u32,
    /// What would be done to the store, step by step.
    pub migrations: Vec<String>,
    /// Why the registry cannot be read, where it cannot.
    pub registry: Option<String>,
    /// How many sessions were folded.
    pub sessions: u64,
    /// How many of them wait, for a person, a timer or an upstream.
    pub waiting: u64,
    /// How many were erased: nothing is left of them to compare.
    pub erased: u64,
    /// Sessions that would be otherwise than they are, the first thousand of them.
    pub changed: Vec<Finding>,
    /// Sessions that this build cannot read, the first thousand of them.
    pub unreadable: Vec<Finding>,
    /// How many findings more there are.
    pub more: u64,
    /// What the audit of the copy says.
    pub audit: Audited,
    /// How long it took, in milliseconds: the copy, the migration, and all together.
    pub took_ms: Took,
}

/// A session that an upgrade would not leave as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which.
    pub session: SessionId,
    /// Its agent.
    pub agent: Name,
    /// Its phase, as the older build left it.
    pub phase: Phase,
    /// What would be otherwise.
    pub why: String,
}

/// What an audit came to, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audited {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// How many records were read.
    pub records: u64,
    /// What is wrong.
    pub problems: Vec<String>,
}

/// How long something took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Took {
    /// Copying.
    pub copy: i64,
    /// Bringing it to this build's format.
    pub migration: i64,
    /// Everything.
    pub all: i64,
}

/// Rehearses an upgrade of a data directory to this build. `progress` is told what is done, and how much of it.
///
/// # Errors
/// If there is no store, or it cannot be copied, or it cannot be opened at all by this build.
pub async fn rehearse(old: &Path, progress: &(dyn Fn(&str, u64, u64) + Sync)) -> anyhow::Result<Rehearsal> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let began = clock.monotonic_ms();
    let scratch = tempfile::Builder::new().prefix("ostler-rehearsal-").tempdir().context("no place for the copy")?;
    progress("copying", 0, 0);
    let in_use = copy(old, scratch.path()).await?;
    let before = data::sqlite::contents(&scratch.path().join("ostler.db"))?;
    let copied = clock.monotonic_ms();
    progress("migrating", 0, 0);
    let store = Arc::new(SqliteStore::open(scratch.path(), clock.clone())?);
    let to_format = store.about().format;
    let migrated = clock.monotonic_ms();
    let sealer = Sealer::open(scratch.path(), store.about(), clock.clone())?;
    let approvals = sealer.derive("approvals");
    let log = Log::open(store, sealer, clock.clone(), "rehearsal").await?;
    let registry = Gate::open(log.clone(), &approvals, boot::checks(&Secrets::default())).await.err();
    let mut rehearsal = Rehearsal {
        ok: false,
        in_use,
        from_format: before.format,
        to_format,
        migrations: data::sqlite::steps_from(before.format),
        registry: registry.map(|error| error.to_string()),
        sessions: 0,
        waiting: 0,
        erased: 0,
        changed: Vec::new(),
        unreadable: Vec::new(),
        more: 0,
        audit: Audited { ok: false, records: 0, problems: Vec::new() },
        took_ms: Took { copy: copied - began, migration: migrated - copied, all: 0 },
    };
    rehearsal.fold_all(&log, progress).await?;
    progress("verifying", 0, 0);
    rehearsal.audit = audited(&log, scratch.path()).await?;
    log.stop().await;
    let found = rehearsal.changed.len() + rehearsal.unreadable.len();
    rehearsal.ok = found == 0 && rehearsal.audit.ok && rehearsal.registry.is_none();
    rehearsal.took_ms.all = clock.monotonic_ms() - began;
    Ok(rehearsal)
}

/// The store and what reads it. Answers whether a server has the directory.
async fn copy(old: &Path, scratch: &Path) -> anyhow::Result<bool> {
    // Checkpoints first: none of them may vouch for more than the copy holds.
    for name in ["audit.checkpoints", "audit.key", "master.key"] {
        let (from, to) = (old.join(name), scratch.join(name));
        match fs::copy(&from, &to) {
            Ok(_) => fs::set_permissions(&to, fs::Permissions::from_mode(0o600))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{} could not be copied", from.display())),
        }
    }
    let (old, to) = (old.to_owned(), scratch.join("ostler.db"));
    let copied = tokio::task::spawn_blocking(move || data::sqlite::copy(&old, &to)).await;
    Ok(copied.context("the copy was cut short")??)
}

impl Rehearsal {
    /// Every session that can still go on: those that wait first.
    async fn fold_all(&mut self, log: &Log, progress: &(dyn Fn(&str, u64, u64) + Sync)) -> anyhow::Result<()> {
        for phases in [vec![Phase::Suspended], vec![Phase::Ready, Phase::Running], vec![Phase::Finished, Phase::Failed]]
        {
            let waiting = phases == [Phase::Suspended];
            let heads = log.heads(HeadFilter { phases, ..HeadFilter::default() }).await?;
            let all = heads.len() as u64;
            for (done, (session, head, _)) in (0..).zip(heads) {
                if done % 256 == 0 {
                    progress(if waiting { "folding sessions that wait" } else { "folding sessions" }, done, all);
                }
                self.sessions += 1;
                self.waiting += u64::from(waiting);
                self.fold(log, session, head).await;
            }
        }
        Ok(())
    }

    async fn fold(&mut self, log: &Log, session: SessionId, head: Head) {
        let past = match log.past(session).await {
            Ok(Some(past)) => past,
            Ok(None) => return self.cannot_read(session, head, "it has no records".to_owned()),
            Err(error) => return self.cannot_read(session, head, error.to_string()),
        };
        if past.records.iter().all(|record| record.events.is_none()) {
            self.erased += 1;
            return;
        }
        let Some(folded) = execution::fold(session, past.records) else {
            return self.cannot_read(session, head, "its records do not begin with its start".to_owned());
        };
        let now = execution::head(&folded);
        let mut otherwise = Vec::new();
        if now.phase != head.phase {
            otherwise.push(format!("it was {} and would be {}", head.phase, now.phase));
        }
        if now.waits_on != head.waits_on {
            otherwise.push(format!("it waited on {:?} and would wait on {:?}", head.waits_on, now.waits_on));
        }
        // What rests wanted nothing at the time; what it wants later, it wants by then.
        let rests = !matches!(head.phase, Phase::Ready | Phase::Running);
        let wanted = machine::wanted(&folded, Look { now: head.since, turns: u32::MAX, thawed: false });
        if rests && !wanted.is_empty() {
            let wants: BTreeSet<_> = wanted.iter().map(words).collect();
            let wants: Vec<_> = wants.into_iter().collect();
            otherwise.push(format!("it rested, and would at once {}", wants.join(" and ")));
        }
        if !otherwise.is_empty() {
            self.list(
                |all| &mut all.changed,
                Finding { session, agent: head.agent, phase: head.phase, why: otherwise.join("; ") },
            );
        }
    }

    fn cannot_read(&mut self, session: SessionId, head: Head, why: String) {
        self.list(|all| &mut all.unreadable, Finding { session, agent: head.agent, phase: head.phase, why });
    }

    fn list(&mut self, which: impl Fn(&mut Rehearsal) -> &mut Vec<Finding>, finding: Finding) {
        let list = which(self);
        if list.len() < LISTED {
            list.push(finding);
        } else {
            self.more += 1;
        }
    }
}

fn words(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Model { .. } => "ask its model".to_owned(),
        Wanted::Capability { call, .. } => format!("make call {}", call.id.ordinal),
    }
}

async fn audited(log: &Log, dir: &Path) -> anyhow::Result<Audited> {
    let auditor = Auditor::open(log, dir)?;
    let report = audit::verify(log, auditor.kept(), &auditor.verifier()).await?;
    Ok(Audited {
        ok: report.ok,
        records: report.shards.iter().map(|shard| shard.records).sum(),
        problems: report.problems.iter().map(ToString::to_string).collect(),
    })
}
