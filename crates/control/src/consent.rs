//! Consent: whether a call that needs people's word has it. A consent is bound to the exact call; whatever it was
//! bound to may change while people think, and then it is void and asked for anew, saying what changed.
//!
//! ```text
//! no request ─▶ ask ─▶ wait ─▶ answers ─▶ signed? enough? in time? bound to this very call? still of the group? fresh?
//!                 ▲                                               │                  │               │        └▶ granted
//!                 └────────── withdrawn, asked anew ◀─────────────┴──────────────────┴───────────────┘
//! a no, or silence: denied
//! ```
//!
//! All of it is pure. What must never be known here: how an answer got here.

use domain::approval::{Escalation, Poll, Terms};
use domain::call::{ApprovalRequest, ApprovalVerdict, Binding, Facts};
use domain::capability::CapabilityRef;
use domain::clock::Timestamp;
use domain::descriptor::Agent;
use domain::id::{ApprovalId, CallId, Digest, Name};
use domain::provenance::Provenance;
use ring::hmac;
use serde_json::{Value, json};

use crate::registry::Registry;

/// Signs what people say, so that only the control plane can put words in their mouths.
#[derive(Clone)]
pub struct Signer(hmac::Key);

impl Signer {
    /// A signer whose key is derived from the store's secret.
    pub fn new(secret: &[u8]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&root, b"ostler/control/verdict/v1");
        Signer(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    /// The verdict with its signature, over all of it and the request's binding.
    pub fn sign(&self, request: &ApprovalRequest, mut verdict: ApprovalVerdict) -> ApprovalVerdict {
        use base64::Engine;
        let tag = hmac::sign(&self.0, words(request, &verdict).as_bytes());
        verdict.signature = base64::engine::general_purpose::STANDARD.encode(tag.as_ref());
        verdict
    }

    /// Whether this verdict was signed here, for this very request.
    pub fn signed(&self, request: &ApprovalRequest, verdict: &ApprovalVerdict) -> bool {
        use base64::Engine;
        let tag = base64::engine::general_purpose::STANDARD.decode(&verdict.signature);
        tag.is_ok_and(|tag| hmac::verify(&self.0, words(request, verdict).as_bytes(), &tag).is_ok())
    }
}

/// What is signed: everything that was said, and what it is bound to.
fn words(request: &ApprovalRequest, verdict: &ApprovalVerdict) -> String {
    let Binding { arguments, schema, policy_set, revision } = request.binding;
    let mut said = json!({
        "approval": verdict.approval,
        "approved": verdict.approved,
        "person": verdict.person,
        "reason": verdict.reason,
        "edited": verdict.edited,
        "at": verdict.at,
        "binding": {"arguments": arguments, "schema": schema, "policy_set": policy_set, "revision": revision},
    });
    if let Some(shown_at) = verdict.shown_at {
        said["shown_at"] = json!(shown_at);
    }
    if let Some(link) = &verdict.by_link {
        said["by_link"] = json!(link);
    }
    domain::canonical::to_string(&said)
}

/// Who must consent, how many of them, and how long they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obligation {
    /// The group whose people decide.
    pub by: Name,
    /// How many different people must say yes.
    pub quorum: u16,
    /// Whether the person on whose behalf the call is may not be one of them.
    pub four_eyes: bool,
    /// How long they have, in milliseconds.
    pub expires_ms: i64,
    /// Which group may answer, too, after how many milliseconds.
    pub escalate: Option<(Name, i64)>,
}

impl Obligation {
    /// What an agent's descriptor says.
    pub fn of(agent: &Agent) -> Self {
        let approval = &agent.spec.approval;
        Obligation {
            by: agent.approvers().clone(),
            quorum: approval.quorum,
            four_eyes: approval.four_eyes,
            expires_ms: approval.expires_after_ms,
            escalate: approval.escalate.clone(),
        }
    }

    /// What satisfies both: the larger quorum, the shorter time; `None`: different groups are asked.
    #[must_use]
    pub fn and(self, other: &Obligation) -> Option<Obligation> {
        (self.by == other.by).then(|| Obligation {
            quorum: self.quorum.max(other.quorum),
            four_eyes: self.four_eyes || other.four_eyes,
            expires_ms: self.expires_ms.min(other.expires_ms),
            // Whoever one of them does not name may not answer for it.
            escalate: self.escalate.filter(|escalate| other.escalate.as_ref() == Some(escalate)),
            by: self.by,
        })
    }

    fn terms(&self, on_behalf_of: Option<&Name>, now: Timestamp) -> Terms {
        let not = on_behalf_of.filter(|_| self.four_eyes).cloned();
        let sooner = self.escalate.as_ref().filter(|(_, after_ms)| *after_ms < self.expires_ms);
        let escalate = sooner.map(|(to, after_ms)| Escalation { to: to.clone(), at: now.plus_ms(*after_ms) });
        Terms { quorum: self.quorum.max(1), not: not.into_iter().collect(), escalate }
    }
}

/// A call that needs consent, and why.
#[derive(Debug, Clone)]
pub struct Need<'a> {
    /// The call.
    pub call: CallId,
    /// Of which capability.
    pub capability: &'a CapabilityRef,
    /// The effective arguments.
    pub arguments: &'a Value,
    /// What a consent to it is bound to.
    pub binding: Binding,
    /// What it is worth, where that is known.
    pub value_usd_micros: Option<i64>,
    /// Why a person is asked.
    pub reason: String,
    /// Where the arguments came from.
    pub provenance: Option<&'a Provenance>,
    /// Who is asked.
    pub of: Obligation,
    /// The person on whose behalf it is.
    pub on_behalf_of: Option<&'a Name>,
}

/// Whether there is consent.
#[derive(Debug, Clone, PartialEq)]
pub enum Consent {
    /// A person said yes to exactly this.
    Granted(ApprovalId),
    /// Nobody was asked yet.
    Ask(ApprovalRequest),
    /// Somebody was asked and has not answered.
    Pending(ApprovalRequest),
    /// What they were asked is not what is wanted now.
    Anew {
        /// The request that is void.
        withdrawn: ApprovalId,
        /// What changed.
        changed: String,
        /// The next one.
        request: ApprovalRequest,
    },
    /// A person said no, nobody answered in time, or the answer is not genuine.
    Denied {
        /// Why.
        reason: String,
        /// What to do next.
        next: String,
    },
}

/// Whether a call has the consent that it needs.
pub fn consent(registry: &Registry, signer: &Signer, facts: &Facts, need: &Need<'_>, now: Timestamp) -> Consent {
    let Some(asked) = facts.approval.as_ref().filter(|asked| asked.approval.call == need.call) else {
        let round = facts.asked.saturating_add(1);
        return Consent::Ask(need.request(round, need.reason.clone(), now));
    };
    if facts.withdrawn {
        // That one is void and off the inbox: nobody would answer it.
        let round = asked.approval.round.saturating_add(1);
        return Consent::Ask(need.request(round, need.reason.clone(), now));
    }
    let poll = match answered(signer, asked, facts, now) {
        Ok(poll) => poll,
        Err(why) => return denied(why),
    };
    let edited = poll.edited().filter(|_| poll.is_enough());
    let bound = edited.map_or(asked.binding, |edited| Binding { arguments: Digest::of_json(edited), ..asked.binding });
    if bound != need.binding {
        return need.anew(asked, changes(&bound, edited.unwrap_or(&asked.arguments), need), now);
    }
    if let Some(more) = need.asks_more_than(asked, now) {
        return need.anew(asked, more, now);
    }
    if !poll.is_enough() {
        return Consent::Pending(asked.clone());
    }
    if let Some(left) = poll.yes.iter().find(|verdict| !may_answer(registry, asked, verdict)) {
        return need.anew(asked, format!("{} is not in the group {} any more", left.person, asked.by), now);
    }
    // A yes is good for as long as it was waited for.
    let good_for_ms = asked.expires_at.since_ms(asked.asked_at);
    if poll.yes.iter().any(|verdict| now >= verdict.at.plus_ms(good_for_ms)) {
        return need.anew(asked, format!("the consent is older than {}", period(good_for_ms)), now);
    }
    Consent::Granted(asked.approval)
}

/// What was said to a request; else why that is a no: it is one, or comes too late, or of somebody who may not.
fn answered<'a>(
    signer: &Signer,
    asked: &ApprovalRequest,
    facts: &'a Facts,
    now: Timestamp,
) -> Result<Poll<'a>, String> {
    let of_it = || facts.said().filter(|verdict| verdict.approval == asked.approval);
    if of_it().any(|verdict| !signer.signed(asked, verdict)) {
        return Err(format!("The answer to {} does not carry the control plane's signature.", asked.approval));
    }
    if let Some(verdict) = of_it().find(|verdict| asked.terms.not.contains(&verdict.person)) {
        let reason =
            format!("It is on behalf of {}, whose own answer to {} does not count.", verdict.person, asked.approval);
        return Err(reason);
    }
    let poll = Poll::of(asked, of_it());
    if let Some(no) = poll.no {
        let why = if no.reason.is_empty() { "without a reason".to_owned() } else { no.reason.clone() };
        return Err(format!("{} of {} said no: {why}", no.person, asked.by));
    }
    let answered_at = poll.yes.last().filter(|_| poll.is_enough()).map_or(now, |last| last.at);
    if answered_at < asked.expires_at {
        return Ok(poll);
    }
    let within = period(asked.expires_at.since_ms(asked.asked_at));
    Err(match (poll.needed, poll.is_enough()) {
        (0 | 1, _) | (_, true) => format!("Nobody answered {} within {within}.", asked.approval),
        (needed, false) => {
            format!("Of {needed} who must say yes to {}, {} did within {within}.", asked.approval, poll.yes.len())
        }
    })
}

/// Whether who answered was, when they did, and is still of a group that may.
fn may_answer(registry: &Registry, asked: &ApprovalRequest, verdict: &ApprovalVerdict) -> bool {
    let person = registry.person(&verdict.person);
    person.is_some_and(|person| asked.groups_at(verdict.at).any(|group| person.groups.contains(group)))
}

impl Need<'_> {
    fn request(&self, round: u16, reason: String, now: Timestamp) -> ApprovalRequest {
        ApprovalRequest {
            approval: ApprovalId { call: self.call, round },
            capability: self.capability.clone(),
            arguments: self.arguments.clone(),
            binding: self.binding,
            value_usd_micros: self.value_usd_micros,
            reason,
            provenance: self.provenance.cloned().map(Box::new),
            by: self.of.by.clone(),
            asked_at: now,
            expires_at: now.plus_ms(self.of.expires_ms),
            terms: self.of.terms(self.on_behalf_of, now),
        }
    }

    fn anew(&self, asked: &ApprovalRequest, changed: String, now: Timestamp) -> Consent {
        let reason = format!("{} Asked again, because {changed}.", self.reason);
        let request = self.request(asked.approval.round.saturating_add(1), reason, now);
        Consent::Anew { withdrawn: asked.approval, changed, request }
    }

    /// What is asked that was not when people were: others, or more of them.
    fn asks_more_than(&self, asked: &ApprovalRequest, now: Timestamp) -> Option<String> {
        let terms = self.of.terms(self.on_behalf_of, now);
        if self.of.by != asked.by {
            return Some(format!("it is for {} to decide now", self.of.by));
        }
        if terms.quorum > asked.terms.quorum.max(1) {
            return Some(format!("it takes {} people now", terms.quorum));
        }
        let more = terms.not.iter().find(|person| !asked.terms.not.contains(person));
        more.map(|person| format!("{person}, on whose behalf it is, may not be one of those who decide"))
    }
}

fn denied(reason: String) -> Consent {
    Consent::Denied { reason, next: "Do not try the same again; go on without it, or say what is needed.".to_owned() }
}

/// What changed between what was consented to and what is wanted, in words.
fn changes(bound: &Binding, before: &Value, need: &Need<'_>) -> String {
    let mut changed = Vec::new();
    if bound.arguments != need.binding.arguments {
        changed.push(format!("the arguments changed ({})", argument_changes(before, need.arguments)));
    }
    if bound.schema != need.binding.schema {
        changed.push(format!("the definition of {} changed", need.capability));
    }
    if bound.policy_set != need.binding.policy_set {
        changed.push("the policies changed".to_owned());
    }
    if bound.revision != need.binding.revision {
        let (old, new) = (bound.revision.short(), need.binding.revision.short());
        changed.push(format!("the agent's descriptor changed from revision {old} to {new}"));
    }
    changed.join(", and ")
}

fn argument_changes(before: &Value, after: &Value) -> String {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return format!("{before} became {after}");
    };
    let gone = old.iter().filter(|(key, _)| !new.contains_key(*key)).map(|(key, was)| format!("{key} {was} is gone"));
    let other = new.iter().filter_map(|(key, is)| match old.get(key) {
        Some(was) if was == is => None,
        Some(was) => Some(format!("{key} {was} became {is}")),
        None => Some(format!("{key} {is} is new")),
    });
    gone.chain(other).collect::<Vec<_>>().join(", ")
}

/// A length of time, as people say it: `4h`, `90m`, `45s`.
fn period(ms: i64) -> String {
    match ms / 1000 {
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}
