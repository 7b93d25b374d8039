//! The order of the question, and what each step refuses.

use control::Verdict;
use data::rows::{InboxChange, InboxKey};
use domain::budget::{Amounts, Meter};
use domain::capability::Effect;
use domain::control::{ControlEvent, Kind, Scope};
use domain::decision::{DecidedAt, Refusal, RefusedBy, WaitFor};
use domain::event::Event;
use domain::id::{Digest, SessionId, Shard};
use domain::principal::{Autonomy, Link};

use crate::world::{ARTICLE, Draft, World, applied, article_with, grant, name};

fn refusal(verdict: &Verdict) -> &Refusal {
    let Verdict::Deny { rows, refusal } = verdict else { panic!("it should be refused: {verdict:?}") };
    let recorded = matches!(rows.events.last(), Some(Event::CallRefused { refusal: r, .. }) if r == refusal);
    assert!(recorded, "a refusal is recorded: {rows:?}");
    refusal
}

fn allowed(world: &mut World, draft: &Draft) -> DecidedAt {
    let Verdict::Allow { decided, .. } = world.ask(draft) else { panic!("it may") };
    decided
}

fn freeze(what: Scope) -> ControlEvent {
    ControlEvent::Frozen { what, reason: "odd drafts".to_owned(), by: "admin".to_owned() }
}

#[test]
fn a_small_write_is_allowed_and_holds_its_worst_case() {
    let mut world = World::new();
    let Verdict::Allow { rows, holds, decided, approval } = world.ask(&Draft::of(50)) else { panic!() };
    let meters: Vec<_> = holds.iter().map(|hold| (hold.budget.meter, hold.amount)).collect();
    assert_eq!(meters, [(Meter::UsdMicros, 2000), (Meter::Calls, 1)]);
    assert_eq!(rows.holdings.iter().map(|delta| delta.reserved).collect::<Vec<_>>(), [2000, 1]);
    assert_eq!(decided.control_pos, world.registry.pos());
    assert_eq!(decided.policy_set, world.registry.policy_set(&name("reconciliation-finance")));
    assert_eq!(approval, None);
}

#[test]
fn a_freeze_of_anything_in_the_chain_holds_the_call() {
    let link = World::new().principal.link;
    let parent = Link { session: SessionId::from_u128(9), ..link.clone() };
    let scopes = [
        Scope::All,
        Scope::Person { person: name("ana") },
        Scope::Agent { agent: link.agent.clone() },
        Scope::Revision { revision: link.revision },
        Scope::Session { session: link.session },
        Scope::Session { session: parent.session },
    ];
    for scope in scopes {
        let mut world = World::new();
        world.principal.on_behalf_of = Some(name("ana"));
        world.principal.parents = vec![parent.clone()];
        world.happened(freeze(scope.clone()));
        let verdict = world.ask(&Draft::of(50));
        let Verdict::Wait { rows, wait } = verdict else { panic!("{verdict:?}") };
        assert_eq!((wait.why, wait.until), (WaitFor::Frozen { scope: scope.clone() }, None));
        assert!(rows.holdings.is_empty() && rows.inbox.is_empty(), "nothing is held and nobody is asked");
        world.happened(ControlEvent::Unfrozen { what: scope, by: "admin".to_owned() });
        // It goes on to the rules: nobody passed anything on.
        assert_eq!(refusal(&world.ask(&Draft::of(50))).by, RefusedBy::Policy);
    }
}

#[test]
fn a_freeze_comes_before_everything_else() {
    let mut world = World::new();
    let all = Amounts { usd_micros: i64::MAX, ..Amounts::default() };
    world.happened(freeze(Scope::All));
    assert!(matches!(world.ask_model("claude-opus-4-7", all), Verdict::Wait { .. }));
}

#[test]
fn who_is_gone_is_refused_even_while_everything_is_frozen() {
    let mut world = World::new();
    world.principal.link.revision = Digest::of(b"never applied");
    world.happened(freeze(Scope::All));
    assert_eq!(refusal(&world.ask(&Draft::of(50))).by, RefusedBy::Identity);
}

#[test]
fn a_deleted_agent_and_an_unknown_revision_are_refused() {
    let mut world = World::new();
    world.principal.link.revision = Digest::of(b"never applied");
    assert_eq!(refusal(&world.ask(&Draft::of(50))).by, RefusedBy::Identity);

    let mut world = World::new();
    let agent = world.principal.link.agent.clone();
    world.happened(ControlEvent::Deleted { of: Kind::Agent, name: agent, by: "admin".to_owned() });
    let verdict = world.ask(&Draft::of(50));
    assert!(refusal(&verdict).reason.contains("does not exist any more"));
}

#[test]
fn what_the_descriptor_does_not_list_is_denied() {
    let mut world = World::new();
    let mut draft = Draft::of(50);
    for unlisted in ["mcp://gateway/wire-money", "internal://calculate", "internal://email-draft"] {
        draft.capability = unlisted.parse().unwrap();
        assert_eq!(refusal(&world.ask(&draft)).by, RefusedBy::Policy, "{unlisted}");
    }
    draft.capability = "internal://remember".parse().unwrap();
    assert!(matches!(world.ask(&draft), Verdict::Allow { .. }), "memory comes with `memory:`");
}

#[test]
fn a_tool_that_a_new_revision_takes_away_is_denied_at_once() {
    let mut world = World::new();
    world.happened(applied(&ARTICLE.replace("    - mcp://gateway/email-draft\n", "")));
    assert!(refusal(&world.ask(&Draft::of(50))).reason.contains("any more"));
}

#[test]
fn a_tool_that_a_new_revision_adds_takes_a_new_session() {
    let mut world = World::with(&ARTICLE.replace("    - mcp://gateway/email-draft\n", ""));
    world.happened(applied(ARTICLE));
    assert!(refusal(&world.ask(&Draft::of(50))).reason.contains("started under"));
}

#[test]
fn an_agent_has_its_own_model_and_no_other() {
    let mut world = World::new();
    for own in ["claude-opus-4-7", "claude-opus-4-7-20260214"] {
        assert!(matches!(world.ask_model(own, Amounts::default()), Verdict::Allow { .. }), "{own}");
    }
    assert_eq!(refusal(&world.ask_model("another", Amounts::default())).by, RefusedBy::Policy);
}

#[test]
fn what_is_not_ready_is_refused_with_the_next_command() {
    let mut world = World::new();
    world.happened(ControlEvent::Deleted { of: Kind::McpServer, name: name("mail"), by: "admin".to_owned() });
    let verdict = world.ask(&Draft::of(50));
    assert_eq!(refusal(&verdict).by, RefusedBy::Readiness);
    assert!(refusal(&verdict).next.starts_with("ostler apply"), "{}", refusal(&verdict).next);
}

#[test]
fn in_shadow_writes_are_recorded_and_reads_pass() {
    let mut world = World::with(&article_with("  autonomy: shadow"));
    for effect in [Effect::Idempotent, Effect::Write, Effect::Irreversible] {
        let draft = Draft { effect, ..Draft::of(5000) };
        let Verdict::Record { rows, decided } = world.ask(&draft) else { panic!("{effect}") };
        assert!(rows.is_empty(), "nothing is held, nobody is asked");
        assert_eq!(decided.policy_ids, ["shadow-records-writes"]);
    }
    let read = Draft { effect: Effect::Read, value: None, ..Draft::of(5000) };
    assert!(matches!(world.ask(&read), Verdict::Allow { .. }));
}

#[test]
fn supervised_agents_ask_before_every_write() {
    let mut world = World::with(&article_with("  autonomy: supervised"));
    let Verdict::Wait { wait, .. } = world.ask(&Draft::of(1)) else { panic!() };
    assert!(matches!(wait.why, WaitFor::Approval { .. }));
    let read = Draft { effect: Effect::Read, value: None, ..Draft::of(1) };
    assert!(matches!(world.ask(&read), Verdict::Allow { .. }));
}

#[test]
fn less_autonomy_holds_at_once_and_more_takes_a_new_session() {
    let mut world = World::new();
    grant(&mut world, Autonomy::Shadow);
    assert!(matches!(world.ask(&Draft::of(50)), Verdict::Record { .. }));

    let mut world = World::with(&article_with("  autonomy: shadow"));
    grant(&mut world, Autonomy::Autonomous);
    assert!(matches!(world.ask(&Draft::of(50)), Verdict::Record { .. }), "the session started in shadow");
    world.principal.autonomy = Autonomy::Autonomous;
    assert!(matches!(world.ask(&Draft::of(50)), Verdict::Allow { .. }), "a new one has the grant");
}

#[test]
fn a_spent_budget_is_refused_before_a_person_is_asked() {
    let mut world = World::new();
    let forty = Amounts { usd_micros: 40_000_000, ..Amounts::default() };
    let Verdict::Allow { holds, .. } = world.ask_model("claude-opus-4-7", forty) else { panic!() };
    world.holdings.settle(Shard(0), &holds, &forty);
    let verdict = world.ask(&Draft::of(5000));
    assert_eq!(refusal(&verdict).by, RefusedBy::Budget);
    let Verdict::Deny { rows, .. } = &verdict else { panic!() };
    assert!(rows.inbox.is_empty(), "nobody is asked: {rows:?}");
}

#[test]
fn a_held_budget_makes_calls_wait_but_people_are_asked_meanwhile() {
    let mut world = World::new();
    let forty = Amounts { usd_micros: 40_000_000, ..Amounts::default() };
    assert!(matches!(world.ask_model("claude-opus-4-7", forty), Verdict::Allow { .. }));
    let Verdict::Wait { rows, wait } = world.ask(&Draft::of(50)) else { panic!() };
    assert!(matches!(wait.why, WaitFor::TiedUp { .. }) && wait.until.is_some(), "{wait:?}");
    assert!(matches!(rows.events.as_slice(), [Event::CallWaits { .. }]));
    world.ask_for_consent(&Draft::of(5000));
}

#[test]
fn a_call_that_waits_for_its_budget_looks_ever_less_often() {
    let mut world = World::new();
    let forty = Amounts { usd_micros: 40_000_000, ..Amounts::default() };
    assert!(matches!(world.ask_model("claude-opus-4-7", forty), Verdict::Allow { .. }));
    for (waited_ms, next_ms) in [(0, 2_000), (60_000, 60_000), (3_600_000, 300_000)] {
        world.facts.waiting_since = Some(world.now.plus_ms(-waited_ms));
        let Verdict::Wait { wait, .. } = world.ask(&Draft::of(50)) else { panic!() };
        assert_eq!(wait.until, Some(world.now.plus_ms(next_ms)));
    }
}

#[test]
fn a_call_with_consent_that_waits_for_its_budget_is_off_the_inbox() {
    let mut world = World::new();
    let draft = Draft::of(5000);
    let key = InboxKey::Approval { approval: world.ask_for_consent(&draft).approval };
    let forty = Amounts { usd_micros: 40_000_000, ..Amounts::default() };
    let facts = std::mem::take(&mut world.facts);
    assert!(matches!(world.ask_model("claude-opus-4-7", forty), Verdict::Allow { .. }));
    world.facts = facts;
    let Verdict::Wait { rows, .. } = world.ask(&Draft { value: Some(1), ..draft.clone() }) else { panic!() };
    assert!(matches!(rows.events[0], Event::ApprovalWithdrawn { .. }), "it is not needed any more: {rows:?}");
    assert_eq!(rows.inbox, [InboxChange::Close(key)]);
    world.ana_says(true, "", None);
    let Verdict::Wait { rows, wait } = world.ask(&draft) else { panic!() };
    assert!(matches!(wait.why, WaitFor::TiedUp { .. }), "{wait:?}");
    assert_eq!(rows.inbox, [InboxChange::Close(key)]);
}

#[test]
fn what_was_decided_stands_while_nothing_of_it_changes() {
    let mut world = World::new();
    let decided = allowed(&mut world, &Draft::of(500));
    world.happened(ControlEvent::PersonAdded { person: name("carla"), groups: Vec::new() });
    world.happened(applied(&ARTICLE.replace("usd_per_day: 40", "usd_per_day: 50")));
    assert_eq!(world.still(&Draft::of(500), &decided), Ok(()));
}

#[test]
fn what_a_narrowing_revision_would_decide_otherwise_does_not_stand() {
    let narrower: [(&str, String, &str); 4] = [
        ("a tool less", ARTICLE.replace("    - mcp://gateway/email-draft\n", ""), "not among the tools"),
        ("shadow", article_with("  autonomy: shadow"), "may do on its own changed"),
        ("supervised", article_with("  autonomy: supervised"), "may do on its own changed"),
        (
            "a lower threshold",
            ARTICLE.replace("on_action_value_usd_gt: 1000", "on_action_value_usd_gt: 100"),
            "may do on its own changed",
        ),
    ];
    for (what, revision, why) in narrower {
        let mut world = World::new();
        let decided = allowed(&mut world, &Draft::of(500));
        world.happened(applied(&revision));
        let refused = world.still(&Draft::of(500), &decided).unwrap_err();
        assert!(refused.reason.contains(why), "{what}: {}", refused.reason);
    }
}

#[test]
fn a_consent_that_became_void_does_not_carry_a_call_that_was_allowed() {
    type Change = fn(&mut World);
    let changes: [(&str, Change); 3] = [
        ("the descriptor changed", |world| {
            world.happened(applied(&ARTICLE.replace("retention_days: 90", "retention_days: 91")));
        }),
        ("ana left", |world| {
            world.happened(ControlEvent::PersonAdded { person: name("ana"), groups: Vec::new() });
        }),
        ("it is old", |world| world.now = world.now.plus_ms(4 * 3_600_000)),
    ];
    for (what, change) in changes {
        let mut world = World::new();
        let draft = Draft::of(5000);
        world.ask_for_consent(&draft);
        world.ana_says(true, "", None);
        let decided = allowed(&mut world, &draft);
        assert_eq!(world.still(&draft, &decided), Ok(()));
        change(&mut world);
        assert_eq!(world.still(&draft, &decided).unwrap_err().by, RefusedBy::Approval, "{what}");
    }
}

#[test]
fn what_is_remembered_is_recorded_in_shadow_and_needs_no_consent_otherwise() {
    let memory = Draft { capability: "internal://remember".parse().unwrap(), value: None, ..Draft::of(1) };
    for (mode, asks_nobody) in [("shadow", false), ("supervised", true), ("autonomous", true)] {
        let mut world = World::with(&article_with(&format!("  autonomy: {mode}")));
        match world.ask(&memory) {
            Verdict::Allow { approval: None, .. } => assert!(asks_nobody, "{mode}"),
            Verdict::Record { rows, .. } => assert!(!asks_nobody && rows.is_empty(), "{mode}"),
            other => panic!("{mode}: {other:?}"),
        }
    }
}

#[test]
fn consent_does_not_help_where_the_budget_is_spent() {
    let mut world = World::new();
    let draft = Draft::of(5000);
    let request = world.ask_for_consent(&draft);
    world.ana_says(true, "", None);
    let forty = Amounts { usd_micros: 40_000_000, ..Amounts::default() };
    let facts = std::mem::take(&mut world.facts);
    let Verdict::Allow { holds, .. } = world.ask_model("claude-opus-4-7", forty) else { panic!() };
    world.holdings.settle(Shard(0), &holds, &forty);
    world.facts = facts;
    let verdict = world.ask(&draft);
    assert_eq!(refusal(&verdict).by, RefusedBy::Budget);
    let Verdict::Deny { rows, .. } = &verdict else { panic!() };
    let key = InboxKey::Approval { approval: request.approval };
    assert_eq!(rows.inbox, [InboxChange::Close(key)], "the request is off the inbox");
}

#[test]
fn a_raised_cap_lets_running_sessions_go_on() {
    let mut world = World::new();
    let forty = Amounts { usd_micros: 40_000_000, ..Amounts::default() };
    let Verdict::Allow { holds, .. } = world.ask_model("claude-opus-4-7", forty) else { panic!() };
    world.holdings.settle(Shard(0), &holds, &forty);
    assert_eq!(refusal(&world.ask(&Draft::of(50))).by, RefusedBy::Budget);
    world.happened(applied(&ARTICLE.replace("usd_per_day: 40", "usd_per_day: 50")));
    world.draw();
    assert!(matches!(world.ask(&Draft::of(50)), Verdict::Allow { .. }));
}

#[test]
fn the_hourly_count_of_calls_is_a_limit_too() {
    let mut world = World::with(&ARTICLE.replace("calls_per_hour: 200", "calls_per_hour: 1"));
    let Verdict::Allow { holds, .. } = world.ask(&Draft::of(50)) else { panic!() };
    world.holdings.settle(Shard(0), &holds, &Amounts { calls: 1, ..Amounts::default() });
    let verdict = world.ask(&Draft::of(50));
    assert!(refusal(&verdict).reason.contains("calls_per_hour"), "{}", refusal(&verdict).reason);
}
