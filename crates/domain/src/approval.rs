//! On what terms people consent: how many of them, who not, whom else after a while, when they are reminded; and what
//! their answers come to so far. Pure arithmetic over what was asked and what was said: whether an answer is genuine is
//! the control plane's to know.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::{ApprovalRequest, ApprovalVerdict};
use crate::clock::Timestamp;
use crate::id::{Digest, Name};

/// The terms of a request for consent. One without any takes one person of its group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How many different people must say yes.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub quorum: u16,
    /// People who may not answer: on whose behalf the call is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not: Vec<Name>,
    /// Who else may answer after a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalate: Option<Escalation>,
}

impl Default for Terms {
    fn default() -> Self {
        Terms { quorum: 1, not: Vec::new(), escalate: None }
    }
}

impl Terms {
    /// Whether they are those of a request that says nothing about them.
    pub fn are_plain(&self) -> bool {
        *self == Terms::default()
    }
}

fn one() -> u16 {
    1
}

fn is_one(quorum: &u16) -> bool {
    *quorum == 1
}

/// Another group whose people may answer, too, from an instant on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// The group.
    pub to: Name,
    /// From when on.
    pub at: Timestamp,
}

/// What people are told of a request that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reminder {
    /// Half of the time is over.
    HalfOver,
    /// Nine tenths of it are.
    NearlyOver,
    /// Another group may answer, too.
    Escalated,
}

impl ApprovalRequest {
    /// The groups whose people may answer at an instant.
    pub fn groups_at(&self, at: Timestamp) -> impl Iterator<Item = &Name> {
        let escalated = self.terms.escalate.iter().filter(move |escalation| at >= escalation.at);
        std::iter::once(&self.by).chain(escalated.map(|escalation| &escalation.to))
    }

    /// What its people are told, and when, in order.
    pub fn reminders(&self) -> Vec<(Timestamp, Reminder)> {
        let whole = self.expires_at.since_ms(self.asked_at);
        let mut all = vec![
            (self.asked_at.plus_ms(whole / 2), Reminder::HalfOver),
            (self.asked_at.plus_ms(whole / 10 * 9), Reminder::NearlyOver),
        ];
        all.extend(self.terms.escalate.iter().map(|escalation| (escalation.at, Reminder::Escalated)));
        all.sort_unstable();
        all.retain(|(at, _)| *at < self.expires_at);
        all
    }

    /// What is due to be told by now and was not told yet.
    pub fn reminders_due(&self, now: Timestamp, told: &[Reminder]) -> Vec<Reminder> {
        let due = self.reminders().into_iter().filter(|(at, reminder)| *at <= now && !told.contains(reminder));
        due.map(|(_, reminder)| reminder).collect()
    }

    /// The next instant at which something about it changes by itself.
    pub fn changes_after(&self, now: Timestamp) -> Timestamp {
        self.reminders().into_iter().map(|(at, _)| at).find(|at| *at > now).unwrap_or(self.expires_at)
    }

    /// The hash of the arguments that a yes is to.
    pub fn meant_by(&self, verdict: &ApprovalVerdict) -> Digest {
        verdict.edited.as_ref().map_or(self.binding.arguments, Digest::of_json)
    }
}

/// What was said to a request, so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Poll<'a> {
    /// How many must say yes.
    pub needed: u16,
    /// The yes of each person that counts: to the arguments that the last yes was to.
    pub yes: Vec<&'a ApprovalVerdict>,
    /// The first no: it ends the request.
    pub no: Option<&'a ApprovalVerdict>,
}

impl<'a> Poll<'a> {
    /// Counts answers, in the order in which the session took them. A yes to edited arguments voids each yes to others.
    pub fn of(request: &ApprovalRequest, said: impl IntoIterator<Item = &'a ApprovalVerdict>) -> Self {
        let mut poll = Poll { needed: request.terms.quorum.max(1), yes: Vec::new(), no: None };
        for verdict in said.into_iter().filter(|verdict| verdict.approval == request.approval) {
            if !verdict.approved {
                poll.no = Some(verdict);
                break;
            }
            let meant = request.meant_by(verdict);
            poll.yes.retain(|other| request.meant_by(other) == meant && other.person != verdict.person);
            poll.yes.push(verdict);
        }
        poll
    }

    /// Whether enough people said yes.
    pub fn is_enough(&self) -> bool {
        self.no.is_none() && self.yes.len() >= usize::from(self.needed)
    }

    /// Whether nothing more is waited for.
    pub fn is_over(&self) -> bool {
        self.no.is_some() || self.is_enough()
    }

    /// The arguments that a yes would be to now, where somebody edited them.
    pub fn edited(&self) -> Option<&'a Value> {
        self.yes.last().and_then(|last| last.edited.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Escalation, Poll, Reminder, Terms};
    use crate::call::{ApprovalRequest, ApprovalVerdict, Binding};
    use crate::clock::Timestamp;
    use crate::id::{ApprovalId, CallId, Digest, SessionId};

    fn request(quorum: u16) -> ApprovalRequest {
        let call = CallId { session: SessionId::from_u128(7), ordinal: 3 };
        let arguments = json!({"amount_usd": 1500});
        let hash = Digest::of_json(&arguments);
        ApprovalRequest {
            approval: ApprovalId { call, round: 1 },
            capability: "mcp://gateway/pay".parse().unwrap(),
            binding: Binding { arguments: hash, schema: hash, policy_set: hash, revision: hash },
            arguments,
            value_usd_micros: None,
            reason: String::new(),
            provenance: None,
            by: "finance".parse().unwrap(),
            asked_at: Timestamp(0),
            expires_at: Timestamp(1000),
            terms: Terms { quorum, ..Terms::default() },
        }
    }

    fn said(person: &str, approved: bool, amount: Option<i64>) -> ApprovalVerdict {
        ApprovalVerdict {
            approval: request(1).approval,
            approved,
            person: person.parse().unwrap(),
            reason: String::new(),
            edited: amount.map(|amount| json!({"amount_usd": amount})),
            at: Timestamp(1),
            shown_at: None,
            by_link: None,
            signature: String::new(),
        }
    }

    #[test]
    fn a_person_counts_once_and_the_first_no_ends_it() {
        let request = request(2);
        let twice = [said("ana", true, None), said("ana", true, None)];
        let poll = Poll::of(&request, &twice);
        assert_eq!((poll.yes.len(), poll.is_over()), (1, false));
        let two = [said("ana", true, None), said("ben", true, None)];
        assert!(Poll::of(&request, &two).is_enough());
        let no = [said("ana", true, None), said("ben", false, None), said("cho", true, None)];
        let poll = Poll::of(&request, &no);
        assert!(poll.is_over() && !poll.is_enough());
    }

    #[test]
    fn an_edit_voids_what_was_said_to_other_arguments() {
        let request = request(2);
        let edited = [said("ana", true, None), said("ben", true, Some(1200))];
        let poll = Poll::of(&request, &edited);
        assert_eq!((poll.yes.len(), poll.edited()), (1, Some(&json!({"amount_usd": 1200}))));
        let agreed = [edited[0].clone(), edited[1].clone(), said("ana", true, Some(1200))];
        assert!(Poll::of(&request, &agreed).is_enough());
        let back = [edited[1].clone(), said("ana", true, Some(1500)), said("ben", true, None)];
        assert!(Poll::of(&request, &back).is_enough(), "edited back to what was asked is what was asked");
    }

    #[test]
    fn reminders_come_in_order_and_each_once() {
        let mut request = request(1);
        let escalate = Escalation { to: "cfo".parse().unwrap(), at: Timestamp(700) };
        request.terms.escalate = Some(escalate);
        assert_eq!(request.changes_after(Timestamp(0)), Timestamp(500));
        assert_eq!(request.changes_after(Timestamp(500)), Timestamp(700));
        assert_eq!(request.changes_after(Timestamp(900)), Timestamp(1000));
        assert_eq!(request.reminders_due(Timestamp(499), &[]), []);
        assert_eq!(request.reminders_due(Timestamp(700), &[Reminder::HalfOver]), [Reminder::Escalated]);
        assert_eq!(request.groups_at(Timestamp(699)).count(), 1);
        assert_eq!(request.groups_at(Timestamp(700)).count(), 2);
    }
}
