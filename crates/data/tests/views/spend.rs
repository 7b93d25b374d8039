//! What things cost, from what stays readable of the records.

use data::record::Record;
use data::spend::{By, Named, SpentOn, by_hour, cost, rows_of, unnamed};
use data::store::SpendRow;
use domain::call::{CacheUse, CallOutcome, MarkedBy, Settlement, StoodIn};
use domain::clock::Timestamp;
use domain::event::Event;
use domain::id::Digest;
use domain::principal::Autonomy;

use crate::story::{START, Story, model_settlement, name, reconciliation};

fn rows(records: &[Record]) -> Vec<SpendRow> {
    let (agent, mut named) = (name("reconciliation-finance"), Named::new());
    records.iter().flat_map(|record| rows_of(&record.envelope, &agent, &mut named)).collect()
}

#[test]
fn cost_is_known_by_agent_model_tool_and_session() {
    let story = reconciliation();
    let rows = rows(&story.records());
    let total = |by| cost(&rows, by, Timestamp(START), |_| None);
    let agent = total(By::Agent);
    assert_eq!(agent.lines.len(), 1);
    assert_eq!((agent.total.amounts.usd_micros, agent.total.amounts.calls), (6_900, 6));
    assert_eq!((agent.total.amounts.external_actions, agent.total.amounts.compute_ms), (3, 21));
    assert_eq!((agent.total.scripted_calls, agent.total.scripted_usd_micros), (3, 6_900));
    let model = total(By::Model);
    assert_eq!((model.lines[0].name.as_str(), model.lines[0].tally.amounts.tokens), ("claude-x", 3_702));
    let tools: Vec<_> = total(By::Tool).lines.into_iter().map(|line| line.name).collect();
    assert_eq!(tools, ["mcp://gateway/email-draft", "mcp://gateway/erp-read", "mcp://gateway/vendor-read"]);
    assert_eq!(total(By::Session).lines[0].name, story.session.to_string());
}

#[test]
fn what_was_possibly_billed_is_told_apart() {
    let mut s = Story::begins("lost", Autonomy::Autonomous);
    s.and(s.thinks(1, 1));
    let settlement = Settlement { worst_case: true, scripted: false, ..model_settlement() };
    let outcome = CallOutcome::Unknown { error: "lost".to_owned() };
    s.then(10, Event::ModelAnswered { call: s.call(1), attempt: 1, outcome, settlement });
    s.and(s.thinks(1, 2));
    s.then(10, s.says(1, Vec::new()));
    let found = cost(&rows(&s.records()), By::Model, Timestamp(START), |_| None);
    assert_eq!((found.total.amounts.usd_micros, found.total.possibly_billed_usd_micros), (4_600, 2_300));
    assert_eq!(found.lines[0].name, "claude-x");
}

#[test]
fn what_a_cache_came_to_is_counted_beside_what_was_spent() {
    let mut s = Story::begins("cached", Autonomy::Autonomous);
    let marked_by = Some(MarkedBy::Client);
    let cache =
        CacheUse { input_tokens: 1000, read_tokens: 750, saved_usd_micros: 3_100, marked_by, ..CacheUse::default() };
    let cache = Some(cache);
    let settlement = Settlement { scripted: false, cache, ..model_settlement() };
    let outcome = CallOutcome::Unknown { error: "lost".to_owned() };
    s.and(s.thinks(1, 1));
    s.then(10, Event::ModelAnswered { call: s.call(1), attempt: 1, outcome, settlement });
    let rows = rows(&s.records());
    for by in [By::Agent, By::Model, By::Session, By::Owner] {
        let total = cost(&rows, by, Timestamp(START), |_| Some("finance".to_owned())).total;
        assert_eq!((total.amounts.usd_micros, total.amounts.tokens, total.amounts.calls), (2_300, 1_234, 1));
        assert_eq!((total.input_tokens, total.cached_tokens, total.saved_usd_micros), (1000, 750, 3_100));
        assert_eq!(total.hit_rate(), Some(750));
        let whose =
            MarkedBy::ALL.map(|whose| (total.marked.by(whose).input_tokens, total.marked.by(whose).saved_usd_micros));
        assert_eq!(whose, [(0, 0), (1000, 3_100), (0, 0)]);
    }
    let owners = cost(&rows, By::Owner, Timestamp(START), |_| Some("finance".to_owned()));
    assert_eq!(owners.lines[0].name, "finance");
    let hours = by_hour(&rows, (Timestamp(START), 2), |row, _| Some(row.agent.to_string()));
    assert_eq!(hours, [("reconciliation-finance".to_owned(), vec![2_300, 0])]);
}

#[test]
fn an_answer_of_a_fallback_is_charged_to_the_model_that_gave_it() {
    let mut s = Story::begins("fallback", Autonomy::Autonomous);
    let stood_in = StoodIn { provider: name("other"), model: "gpt-x".to_owned(), arguments_hash: Digest::of(b"body") };
    let cache = Some(CacheUse { input_tokens: 9, ..CacheUse::default() });
    let settlement = Settlement { scripted: false, fallback: Some(stood_in), cache, ..model_settlement() };
    let outcome = CallOutcome::Failed { error: "no".to_owned(), retryable: false, retry_after_ms: None };
    s.and(s.thinks(1, 1));
    s.then(10, Event::ModelAnswered { call: s.call(1), attempt: 1, outcome, settlement });
    let found = cost(&rows(&s.records()), By::Model, Timestamp(START), |_| None);
    let lines: Vec<_> = found.lines.iter().map(|line| (line.name.as_str(), line.tally.amounts.usd_micros)).collect();
    assert_eq!((lines, found.total.input_tokens), (vec![("gpt-x", 2_300)], 9));
}

#[test]
fn hours_before_the_one_asked_for_are_left_out() {
    let rows = rows(&reconciliation().records());
    assert_eq!(cost(&rows, By::Agent, Timestamp(START + 3_599_999), |_| None).total.amounts.calls, 6);
    assert!(cost(&rows, By::Agent, Timestamp(START + 3_600_000), |_| None).lines.is_empty());
}

#[test]
fn an_outcome_whose_intent_was_not_seen_asks_for_its_name() {
    let story = reconciliation();
    let records = story.records();
    let mut named = Named::new();
    assert_eq!(unnamed(&records[1].envelope, &named), [story.call(1)]);
    named.insert(story.call(1), SpentOn::Model("claude-x".to_owned()));
    assert!(unnamed(&records[1].envelope, &named).is_empty());
    assert!(unnamed(&records[0].envelope, &Named::new()).is_empty());
}
