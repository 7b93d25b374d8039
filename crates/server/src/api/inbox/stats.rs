//! What answering costs people, and how well they do it: minutes per agent and week, and how often a yes came faster
//! than anybody reads.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use domain::clock::Timestamp;
use domain::id::Name;
use serde::Serialize;

use super::past::{self, Decided, Outcome, Said};
use crate::app::App;
use crate::auth::Who;
use crate::error::ApiResult;

/// A yes that came sooner than this after it was shown was hardly read, in milliseconds.
const HARDLY_READ_MS: i64 = 2_000;

/// What one answer counts for at most, in milliseconds: a page may stay open.
const MOST_MS: i64 = 10 * 60_000;

const WEEK_MS: i64 = 7 * 86_400_000;

/// 1970-01-05 was a Monday.
const FIRST_MONDAY_MS: i64 = 4 * 86_400_000;

/// What answering came to.
#[derive(Serialize)]
pub(crate) struct Stats {
    /// By agent and week, the latest first.
    pub weeks: Vec<Week>,
    /// By whoever answered.
    pub people: Vec<Approver>,
}

/// One agent's week.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Week {
    pub agent: Name,
    /// The Monday that it began with, in UTC.
    pub week: String,
    pub asked: usize,
    pub approved: usize,
    pub edited: usize,
    pub denied: usize,
    pub lapsed: usize,
    /// How long people looked before they answered, where it is known when they began.
    pub minutes: f64,
    /// Of how many answers that is known.
    pub measured: usize,
    /// How long half of the answered ones waited at least, in milliseconds.
    pub median_wait_ms: Option<i64>,
}

/// One person's answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Approver {
    pub person: Name,
    pub answers: usize,
    pub yes: usize,
    /// Of how many yes it is known when they were shown.
    pub measured: usize,
    /// How many of those came within two seconds.
    pub hardly_read: usize,
    /// The share of them; nothing where none is measured.
    pub rubber_stamp_rate: Option<f64>,
}

/// `/api/inbox/stats`.
pub(crate) async fn show(State(app): State<App>, _: Who) -> ApiResult<Json<Stats>> {
    Ok(Json(of(&past::of(&app, None).await?)))
}

/// What past answers came to.
pub(crate) fn of(all: &[Decided]) -> Stats {
    let mut weeks: BTreeMap<(i64, &Name), Vec<&Decided>> = BTreeMap::new();
    let mut people: BTreeMap<&Name, Vec<&Said>> = BTreeMap::new();
    for one in all {
        weeks.entry((monday(one.asked_at), &one.agent)).or_default().push(one);
        for said in &one.answers {
            people.entry(&said.person).or_default().push(said);
        }
    }
    Stats {
        weeks: weeks.into_iter().rev().map(|((start, agent), all)| week(agent, start, &all)).collect(),
        people: people.into_iter().map(|(person, said)| approver(person, &said)).collect(),
    }
}

fn monday(at: Timestamp) -> i64 {
    at.0 - (at.0 - FIRST_MONDAY_MS).rem_euclid(WEEK_MS)
}

fn week(agent: &Name, start: i64, all: &[&Decided]) -> Week {
    let count = |outcome| all.iter().filter(|one| one.outcome == outcome).count();
    let looked: Vec<i64> = all.iter().flat_map(|one| &one.answers).filter_map(looked_ms).collect();
    let mut waits: Vec<i64> =
        all.iter().filter_map(|one| Some(one.answers.last()?.at.since_ms(one.asked_at))).collect();
    waits.sort_unstable();
    let minutes = looked.iter().map(|ms| (*ms).min(MOST_MS)).sum::<i64>() as f64 / 60_000.0;
    Week {
        agent: agent.clone(),
        week: Timestamp(start).to_string().chars().take("2026-11-16".len()).collect(),
        asked: all.len(),
        approved: count(Outcome::Approved),
        edited: count(Outcome::Edited),
        denied: count(Outcome::Denied),
        lapsed: count(Outcome::Lapsed),
        minutes: (minutes * 100.0).round() / 100.0,
        measured: looked.len(),
        median_wait_ms: waits.get(waits.len() / 2).copied(),
    }
}

fn looked_ms(said: &Said) -> Option<i64> {
    Some(said.at.since_ms(said.shown_at?).max(0))
}

fn approver(person: &Name, said: &[&Said]) -> Approver {
    let yes: Vec<_> = said.iter().filter(|said| said.approved).collect();
    let looked: Vec<i64> = yes.iter().filter_map(|said| looked_ms(said)).collect();
    let hardly_read = looked.iter().filter(|ms| **ms < HARDLY_READ_MS).count();
    let rate = (!looked.is_empty()).then(|| (hardly_read as f64 / looked.len() as f64 * 1000.0).round() / 1000.0);
    Approver {
        person: person.clone(),
        answers: said.len(),
        yes: yes.len(),
        measured: looked.len(),
        hardly_read,
        rubber_stamp_rate: rate,
    }
}

#[cfg(test)]
mod tests {
    use super::{Decided, Outcome, Said, of};
    use domain::clock::Timestamp;
    use domain::id::{ApprovalId, CallId, SessionId};
    use serde_json::json;

    fn decided(asked_at: i64, shown_ms: Option<i64>, outcome: Outcome) -> Decided {
        let session = SessionId::from_u128(7);
        let at = Timestamp(asked_at + 60_000);
        let answer = Said {
            person: "ana".parse().unwrap(),
            approved: outcome != Outcome::Denied,
            reason: String::new(),
            at,
            shown_at: shown_ms.map(|ms| at.plus_ms(-ms)),
        };
        Decided {
            approval: ApprovalId { call: CallId { session, ordinal: 1 }, round: 1 },
            session,
            agent: "dunning".parse().unwrap(),
            capability: "mcp://gateway/pay".parse().unwrap(),
            arguments: json!({}),
            value_usd_micros: None,
            asked_at: Timestamp(asked_at),
            outcome,
            answers: vec![answer],
        }
    }

    #[test]
    fn minutes_are_per_agent_and_week_and_what_is_not_known_is_not_guessed() {
        let tuesday = 1_795_478_400_000 + 86_400_000;
        let all = [
            decided(tuesday, Some(30_000), Outcome::Approved),
            decided(tuesday, Some(3_600_000), Outcome::Denied),
            decided(tuesday, None, Outcome::Edited),
            decided(tuesday - 7 * 86_400_000, Some(1_000), Outcome::Approved),
        ];
        let stats = of(&all);
        let [this, last] = stats.weeks.as_slice() else { panic!("{:?}", stats.weeks) };
        assert_eq!((this.asked, this.approved, this.edited, this.denied), (3, 1, 1, 1));
        assert_eq!((this.minutes, this.measured, this.median_wait_ms), (10.5, 2, Some(60_000)));
        assert!(last.week < this.week);
        let [ana] = stats.people.as_slice() else { panic!("{:?}", stats.people) };
        assert_eq!((ana.answers, ana.yes, ana.measured, ana.hardly_read), (4, 3, 2, 1));
        assert_eq!(ana.rubber_stamp_rate, Some(0.5));
    }
}
