//! Somebody who watches from outside and trusts nobody: what was durable when something left the node, what had been
//! frozen by then, and what was really done. Whatever must never happen is noted at the moment that it does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use data::rows::Head;
use data::store::Batch;
use domain::control::Scope;
use domain::id::{CallId, Digest, MailId, Name, SessionId};
use domain::principal::Mode;
use gateway::upstream::ToolCall;
use serde_json::Value;

use crate::node::EVERYBODYS;

/// What was seen.
#[derive(Debug, Default)]
pub struct Watch(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Grows with every durable commit and every freeze.
    tick: u64,
    /// Durable intents by call: what would be sent, and since when.
    calls: BTreeMap<CallId, Vec<Intended>>,
    /// Durable intents to ask a model, by what would be sent.
    models: BTreeMap<Digest, Vec<(SessionId, u64)>>,
    sessions: BTreeMap<SessionId, Head>,
    /// Sessions whose suspension is in the record, and their going on is not.
    suspended: BTreeSet<SessionId>,
    frozen: Vec<Frozen>,
    done: BTreeMap<CallId, u32>,
    /// What went wrong outside, by kind.
    faults: BTreeMap<&'static str, u64>,
    checks: u64,
    /// Snapshots that were compared with what they stand for.
    snapshots: u64,
    /// Messages that the node said it has.
    accepted: BTreeMap<MailId, SessionId>,
    wrong: Vec<String>,
}

/// A freeze that was acknowledged.
#[derive(Debug)]
struct Frozen {
    what: Scope,
    since: u64,
    /// Whether the node that works was told: then it sends nothing at all of it. Otherwise it sends nothing that was
    /// intended later.
    here: bool,
}

#[derive(Debug)]
struct Intended {
    arguments: Option<Digest>,
    since: u64,
}

impl Watch {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch became durable.
    pub(crate) fn committed(&self, batch: &Batch) {
        let mut seen = self.seen();
        seen.tick += 1;
        let since = seen.tick;
        for part in &batch.parts {
            for head in &part.heads {
                seen.sessions.insert(head.session, head.head.clone());
            }
            for record in &part.records {
                let session = record.envelope.session;
                let envelope = record.envelope.clone().read().expect("what was just written reads");
                for header in &envelope.headers {
                    let call = CallId { session, ordinal: header.call.unwrap_or(0) };
                    match (header.k.as_str(), header.args) {
                        ("call_requested", arguments) => {
                            seen.calls.entry(call).or_default().push(Intended { arguments, since });
                        }
                        ("model_requested", Some(request)) => {
                            seen.models.entry(request).or_default().push((session, since));
                        }
                        ("paused", _) => {
                            seen.suspended.insert(session);
                        }
                        ("resumed", _) => {
                            seen.suspended.remove(&session);
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// A freeze was acknowledged, by the node that works or by another.
    pub fn froze(&self, what: Scope, here: bool) {
        let mut seen = self.seen();
        seen.tick += 1;
        let since = seen.tick;
        seen.frozen.push(Frozen { what, since, here });
    }

    /// Somebody begins to let it go on.
    pub fn thaws(&self, what: &Scope) {
        self.seen().frozen.retain(|frozen| frozen.what != *what);
    }

    /// A model is asked with these bytes.
    pub(crate) fn asked(&self, agent: &Name, body: &[u8]) {
        let mut seen = self.seen();
        let intents = seen.models.get(&Digest::of(body)).cloned().unwrap_or_default();
        if intents.is_empty() {
            seen.wrong.push(format!("{agent} asked its model, and no record intends it"));
        } else if intents.iter().all(|(session, since)| seen.is_stopped(*session, *since)) {
            seen.wrong.push(format!("{agent} asked its model after a freeze was acknowledged"));
        } else if intents.iter().all(|(session, _)| seen.suspended.contains(session)) {
            seen.wrong.push(format!("{agent} asked its model after its session was suspended"));
        }
    }

    /// A tool is used; `writes` if that may be done once only, `does` if it does what it is asked.
    pub(crate) fn used(&self, used: &ToolCall, writes: bool, does: bool) {
        let mut seen = self.seen();
        let Ok(call) = used.idempotency_key.parse::<CallId>() else {
            seen.wrong.push(format!("{} was used with the key {:?}", used.tool, used.idempotency_key));
            return;
        };
        let arguments = Digest::of_json(&Value::Object(used.arguments.clone()));
        let latest = seen.calls.get(&call).and_then(|intents| intents.last());
        let wrong = match latest {
            None => Some("no record intends it"),
            Some(intended) if intended.arguments != Some(arguments) => Some("its record intends other arguments"),
            Some(intended) if seen.is_stopped(call.session, intended.since) => Some("a freeze was acknowledged before"),
            Some(_) if seen.suspended.contains(&call.session) => Some("its session was suspended before"),
            Some(_) if writes && seen.is_shadow(call.session) => Some("its session is in shadow"),
            Some(_) => None,
        };
        seen.wrong.extend(wrong.map(|why| format!("{call} used {}, and {why}", used.tool)));
        if does {
            let times = seen.done.entry(call).or_default();
            *times += 1;
            let doubled = (writes && *times > 1).then(|| format!("{call} did {} {times} times", used.tool));
            seen.wrong.extend(doubled);
        }
    }

    /// How often a call was really done.
    pub fn done(&self, call: CallId) -> u32 {
        self.seen().done.get(&call).copied().unwrap_or(0)
    }

    /// Every call that was really done.
    pub fn all_done(&self) -> Vec<CallId> {
        self.seen().done.keys().copied().collect()
    }

    /// Something went wrong outside, as it may.
    pub(crate) fn fault(&self, kind: &'static str) {
        *self.seen().faults.entry(kind).or_default() += 1;
    }

    /// What went wrong outside, by kind.
    pub fn faults(&self) -> BTreeMap<&'static str, u64> {
        self.seen().faults.clone()
    }

    /// The node said that it has a message.
    pub(crate) fn accepted(&self, mail: MailId, session: SessionId) {
        self.seen().accepted.insert(mail, session);
    }

    /// The messages that the node said it has, with whom they are to.
    pub(crate) fn all_accepted(&self) -> BTreeMap<MailId, SessionId> {
        self.seen().accepted.clone()
    }

    /// So many things were looked at that must hold.
    pub(crate) fn checked(&self, many: u64) {
        self.seen().checks += many;
    }

    /// So many snapshots were compared with what they stand for.
    pub(crate) fn saw_snapshots(&self, many: u64) {
        self.seen().snapshots += many;
    }

    /// How many were.
    pub fn snapshots(&self) -> u64 {
        self.seen().snapshots
    }

    /// How many things were looked at that must hold.
    pub fn checks(&self) -> u64 {
        self.seen().checks
    }

    /// Notes what must not be.
    pub fn note(&self, wrong: String) {
        self.seen().wrong.push(wrong);
    }

    /// What must not be and was.
    pub fn wrong(&self) -> Vec<String> {
        self.seen().wrong.clone()
    }
}

impl Seen {
    /// Whether a freeze of this session had been acknowledged: at all, or elsewhere before its intent was durable.
    fn is_stopped(&self, session: SessionId, since: u64) -> bool {
        self.frozen.iter().any(|frozen| (frozen.here || frozen.since < since) && self.covers(&frozen.what, session))
    }

    fn covers(&self, what: &Scope, session: SessionId) -> bool {
        match what {
            Scope::All => true,
            Scope::Session { session: frozen } => *frozen == session,
            Scope::Agent { agent } => self.sessions.get(&session).is_some_and(|head| head.agent == *agent),
            Scope::Revision { revision } => self.sessions.get(&session).is_some_and(|head| head.revision == *revision),
            // Whatever starts by itself is on nobody's behalf, and everything else on hers.
            Scope::Person { person } => {
                let of_somebody = |head: &Head| !head.key.starts_with("cron/") && !head.key.starts_with("client/");
                person.as_str() == EVERYBODYS && self.sessions.get(&session).is_some_and(of_somebody)
            }
        }
    }

    fn is_shadow(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|head| head.mode == Mode::Shadow)
    }
}
