//! Proposals: which standing grant would have saved people most of their answers, and let through nothing that they
//! refused. Read off past answers alone; a person decides whether to give it.

use std::collections::BTreeMap;

use domain::capability::CapabilityRef;
use domain::clock::Timestamp;
use domain::expression::Expression;
use domain::id::Name;
use domain::money::UsdMicros;
use serde::Serialize;
use serde_json::Value;

/// Of fewer approvals nothing is concluded.
const FEWEST: usize = 3;

/// How long a proposed grant holds, in milliseconds: a week.
const HOLDS_MS: i64 = 7 * 86_400_000;

/// One request that people answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// Whose.
    pub agent: Name,
    /// For what.
    pub capability: CapabilityRef,
    /// The arguments that were asked for.
    pub arguments: Value,
    /// What it was worth, in micro-dollars.
    pub value_usd_micros: Option<i64>,
    /// Whether they said yes to exactly that: an edit is no such yes.
    pub as_asked: bool,
    /// When it was asked.
    pub at: Timestamp,
}

/// A grant that somebody may give.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proposal {
    /// To whom.
    pub agent: Name,
    /// For what.
    pub capability: CapabilityRef,
    /// Only calls of which this is true.
    pub when: Option<String>,
    /// Only calls worth no more than this, each, in micro-dollars.
    pub each_usd_micros: Option<i64>,
    /// As many in a week as it takes.
    pub times: i64,
    /// Worth as much in a week as it takes, in micro-dollars.
    pub usd_micros: Option<i64>,
    /// How many approvals it would have removed.
    pub removed: usize,
    /// Of how many.
    pub approvals: usize,
    /// How many were refused or edited; it would have let none of them through.
    pub refused: usize,
    /// The same in a sentence.
    pub text: String,
    /// How to give it.
    pub next: String,
}

/// The best grant for each agent and capability, where there is one that is worth it.
pub fn proposals(answered: &[Answered]) -> Vec<Proposal> {
    let mut by: BTreeMap<(&Name, &CapabilityRef), Vec<&Answered>> = BTreeMap::new();
    for one in answered {
        by.entry((&one.agent, &one.capability)).or_default().push(one);
    }
    let mut all: Vec<_> =
        by.into_iter().filter_map(|((agent, capability), past)| best(agent, capability, &past)).collect();
    all.sort_by_key(|proposal| std::cmp::Reverse(proposal.removed));
    all
}

fn best(agent: &Name, capability: &CapabilityRef, past: &[&Answered]) -> Option<Proposal> {
    let (approved, refused): (Vec<&Answered>, Vec<&Answered>) = past.iter().copied().partition(|one| one.as_asked);
    let mut found: Option<(Vec<&Answered>, Option<Expression>, Option<i64>)> = None;
    for when in conditions(&approved) {
        for each in bounds(&approved, &refused) {
            let is_of = |one: &&&Answered| covers(one, when.as_ref(), each);
            if refused.iter().any(|one| is_of(&one)) {
                continue;
            }
            let removed: Vec<_> = approved.iter().filter(is_of).copied().collect();
            if removed.len() > found.as_ref().map_or(FEWEST - 1, |(best, ..)| best.len()) {
                found = Some((removed, when.clone(), each));
            }
        }
    }
    let (removed, when, each_usd_micros) = found?;
    let weekly = |amount: i64| per_week(amount, past);
    let values: Option<Vec<i64>> = removed.iter().map(|one| one.value_usd_micros).collect();
    let usd_micros = values.map(|values| weekly(values.iter().sum())).filter(|sum| *sum > 0);
    let times = weekly(i64::try_from(removed.len()).unwrap_or(i64::MAX));
    let when = when.map(|when| when.source().to_owned());
    let none = if refused.is_empty() {
        "nothing was refused".to_owned()
    } else {
        format!("none of the {} that were not simply approved", refused.len())
    };
    let text =
        format!("this standing grant would have removed {} of {} approvals, and {none}", removed.len(), approved.len());
    let next = command(agent, capability, (when.as_deref(), each_usd_micros), (times, usd_micros));
    let (capability, removed, approvals, refused) = (capability.clone(), removed.len(), approved.len(), refused.len());
    Some(Proposal {
        agent: agent.clone(),
        capability,
        when,
        each_usd_micros,
        times,
        usd_micros,
        removed,
        approvals,
        refused,
        text,
        next,
    })
}

fn covers(one: &Answered, when: Option<&Expression>, each: Option<i64>) -> bool {
    let small = each.is_none_or(|most| one.value_usd_micros.is_some_and(|value| (0..=most).contains(&value)));
    small && when.is_none_or(|when| when.truth(&[("args", &one.arguments)]) == Ok(true))
}

/// What calls may have in common, the narrowest first: an argument, the domain of an address, nothing.
fn conditions(approved: &[&Answered]) -> Vec<Option<Expression>> {
    let mut often: BTreeMap<String, usize> = BTreeMap::new();
    for one in approved {
        for (name, value) in one.arguments.as_object().into_iter().flatten() {
            let Value::String(text) = value else { continue };
            let Ok(quoted) = serde_json::to_string(text) else { continue };
            *often.entry(format!("args.{name} == {quoted}")).or_default() += 1;
            if let Some((_, domain)) =
                text.split_once('@').filter(|(_, domain)| !domain.contains(['@', ' ', '"', '\\']))
            {
                *often.entry(format!("args.{name}.endsWith(\"@{domain}\")")).or_default() += 1;
            }
        }
    }
    let common = often.into_iter().filter(|(_, count)| *count >= FEWEST);
    let read = common.filter_map(|(text, _)| Expression::parse(&text, &["args"]).ok());
    read.map(Some).chain([None]).collect()
}

/// The most that each may be worth: what was approved, below whatever was refused.
fn bounds(approved: &[&Answered], refused: &[&Answered]) -> Vec<Option<i64>> {
    let known: Vec<i64> = approved.iter().filter_map(|one| one.value_usd_micros).filter(|value| *value >= 0).collect();
    if known.is_empty() {
        return vec![None];
    }
    let least_refused = refused.iter().filter_map(|one| one.value_usd_micros).min().unwrap_or(i64::MAX);
    let below = known.iter().copied().filter(|value| *value < least_refused).max();
    [below, known.iter().copied().max()].into_iter().flatten().map(Some).collect()
}

/// An amount of the time that is looked at, for a week; rounded up.
fn per_week(amount: i64, past: &[&Answered]) -> i64 {
    let first = past.iter().map(|one| one.at).min().unwrap_or_default();
    let last = past.iter().map(|one| one.at).max().unwrap_or_default();
    let weeks = last.since_ms(first).max(HOLDS_MS) as f64 / HOLDS_MS as f64;
    (amount as f64 / weeks).ceil() as i64
}

fn command(
    agent: &Name,
    capability: &CapabilityRef,
    (when, each): (Option<&str>, Option<i64>),
    (times, usd): (i64, Option<i64>),
) -> String {
    let dollars = |micros: i64| UsdMicros(micros).dollars();
    let mut words = vec![format!("ostler grant add {agent} {} --until 7d --times {times}", capability.name())];
    words.extend(usd.map(|usd| format!("--usd {}", dollars(usd))));
    words.extend(each.map(|each| format!("--each-usd {}", dollars(each))));
    words.extend(when.map(|when| format!("--when '{when}'")));
    words.push("--reason WHY --as PERSON".to_owned());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Answered, proposals};
    use domain::clock::Timestamp;

    fn one(to: &str, usd: i64, as_asked: bool) -> Answered {
        Answered {
            agent: "dunning".parse().unwrap(),
            capability: "mcp://gateway/email-draft".parse().unwrap(),
            arguments: json!({"to": to, "amount_usd": usd}),
            value_usd_micros: Some(usd * 1_000_000),
            as_asked,
            at: Timestamp(usd),
        }
    }

    #[test]
    fn it_would_have_removed_the_most_and_none_that_was_refused() {
        let mut past: Vec<_> = (0..41).map(|i| one("ap@acme.example", 100 + i, true)).collect();
        past.extend((0..16).map(|i| one(&format!("x@v{i}.example"), 5_000 + i, true)));
        past.extend((0..3).map(|_| one("eve@evil.example", 110, false)));
        let [proposal] = proposals(&past).try_into().unwrap();
        assert_eq!((proposal.removed, proposal.approvals, proposal.refused), (41, 57, 3));
        assert_eq!(proposal.when.as_deref(), Some("args.to == \"ap@acme.example\""));
        assert!(proposal.text.contains("removed 41 of 57 approvals"), "{}", proposal.text);
        assert!(
            proposal.next.starts_with("ostler grant add dunning email-draft --until 7d --times 41"),
            "{}",
            proposal.next
        );
    }

    #[test]
    fn values_below_what_was_refused_are_told_apart_from_it() {
        let mut past: Vec<_> = (0..5).map(|i| one(&format!("a{i}@v{i}.example"), 100 + i, true)).collect();
        past.extend([one("b@w.example", 900, false), one("c@w.example", 1_200, true)]);
        let [proposal] = proposals(&past).try_into().unwrap();
        assert_eq!((proposal.removed, proposal.each_usd_micros), (5, Some(104_000_000)));
    }

    #[test]
    fn of_too_few_or_mixed_answers_nothing_is_proposed() {
        assert!(proposals(&[one("a@b.c", 1, true), one("a@b.c", 1, true)]).is_empty());
        let mixed: Vec<_> = (0..10).map(|i| one("a@b.c", 1, i % 2 == 0)).collect();
        assert!(proposals(&mixed).is_empty());
    }
}
