//! The gate over a log: what is recorded, what another node sees, what survives a restart.

use control::apply::{Change, apply, delete};
use control::autonomy::{import_cases, promote};
use control::identity::authenticate;
use control::people::{add_key, add_person, bootstrap, freeze, revoke_key, unfreeze};
use control::{ControlError, Overtaken, Query, Verdict, Want};
use domain::budget::{Amounts, BudgetKey, Meter, Window};
use domain::call::Facts;
use domain::clock::Clock;
use domain::control::{HumanCase, KeyHolder, Kind, Scope};
use domain::decision::DecidedAt;
use domain::id::{CallId, Name, Pos};
use domain::principal::{Autonomy, Caller, Principal};
use serde_json::json;

use crate::house::{House, parsed};
use crate::world::{ARTICLE, PARTS, article_with, name, person};

#[tokio::test]
async fn the_first_key_is_made_once() {
    let house = House::empty().await;
    assert_eq!(authenticate(&house.gate.registry(), &house.admin_key), Some(Caller::Admin));
    assert_eq!(bootstrap(&house.gate).await.unwrap(), None);
    assert_eq!(bootstrap(&*house.another_gate().await).await.unwrap(), None);
}

#[tokio::test]
async fn descriptors_are_applied_together_and_unchanged_ones_are_not_recorded_again() {
    let house = House::empty().await;
    let both = format!("{PARTS}---\n{ARTICLE}");
    let first = apply(&house.gate, &Caller::Admin, parsed(&both), false).await.unwrap();
    assert!(first.iter().all(|outcome| outcome.change == Change::Created));
    assert!(first.last().unwrap().ready.iter().all(|condition| condition.ok));
    let pos = house.gate.registry().pos();
    let again = apply(&house.gate, &Caller::Admin, parsed(&both), false).await.unwrap();
    assert!(again.iter().all(|outcome| outcome.change == Change::Unchanged));
    assert_eq!(house.gate.registry().pos(), pos);
    let changed = both.replace("usd_per_day: 40", "usd_per_day: 50");
    let third = apply(&house.gate, &Caller::Admin, parsed(&changed), false).await.unwrap();
    assert_eq!(third.iter().filter(|outcome| outcome.change == Change::Changed).count(), 1);
    assert_eq!(house.gate.registry().pos().0, pos.0 + 1);
}

#[tokio::test]
async fn the_articles_descriptor_alone_is_accepted_with_what_it_lacks() {
    let house = House::empty().await;
    let outcomes = apply(&house.gate, &Caller::Admin, parsed(ARTICLE), false).await.unwrap();
    assert_eq!((outcomes.len(), outcomes[0].change), (1, Change::Created));
    assert!(outcomes[0].ready.iter().all(|lacks| !lacks.ok && lacks.next.starts_with("ostler ")));
    assert_eq!(house.gate.ready(&name("reconciliation-finance")), outcomes[0].ready);
}

#[tokio::test]
async fn a_dry_run_answers_the_same_and_records_nothing() {
    let house = House::empty().await;
    let before = house.gate.registry().pos();
    let dry = apply(&house.gate, &Caller::Admin, parsed(ARTICLE), true).await.unwrap();
    assert_eq!(house.gate.registry().pos(), before);
    assert_eq!(apply(&house.gate, &Caller::Admin, parsed(ARTICLE), false).await.unwrap(), dry);
}

#[tokio::test]
async fn the_same_thing_twice_in_one_apply_applies_nothing() {
    let house = House::empty().await;
    let twice = [parsed(ARTICLE), parsed(ARTICLE)].concat();
    let refused = apply(&house.gate, &Caller::Admin, twice, false).await;
    assert!(matches!(refused, Err(ControlError::Invalid { .. })));
    assert!(house.gate.registry().agent(&name("reconciliation-finance")).is_none());
}

#[tokio::test]
async fn only_an_administrator_applies_deletes_freezes_and_makes_keys() {
    let house = House::new().await;
    let agent = name("reconciliation-finance");
    for caller in [person("ana", &["finance-platform"]), Caller::Agent { name: agent.clone() }] {
        let refused = [
            apply(&house.gate, &caller, parsed(ARTICLE), false).await.map(|_| ()),
            delete(&house.gate, &caller, Kind::Agent, &agent).await.map(|_| ()),
            freeze(&house.gate, &caller, &Scope::All, "").await,
            unfreeze(&house.gate, &caller, &Scope::All).await,
            add_person(&house.gate, &caller, &name("eve"), &[]).await.map(|_| ()),
            add_key(&house.gate, &caller, &KeyHolder::Admin).await.map(|_| ()),
            revoke_key(&house.gate, &caller, "k").await,
        ];
        assert!(refused.iter().all(|r| matches!(r, Err(ControlError::Forbidden { .. }))), "{refused:?}");
    }
}

#[tokio::test]
async fn nodes_that_did_not_see_each_others_changes_keep_both() {
    let house = House::new().await;
    let other = house.another_gate().await;
    add_person(&house.gate, &Caller::Admin, &name("carla"), &[]).await.unwrap();
    add_person(&other, &Caller::Admin, &name("dora"), &[]).await.unwrap();
    let registry = house.gate.refresh().await.unwrap();
    assert!(registry.person(&name("carla")).is_some() && registry.person(&name("dora")).is_some());
}

#[tokio::test]
async fn many_changes_at_once_are_all_recorded() {
    let house = House::new().await;
    let names: Vec<_> = (0..12).map(|i| name(&format!("person-{i}"))).collect();
    let gates = [house.gate.clone(), house.another_gate().await];
    let mut all = tokio::task::JoinSet::new();
    for (i, who) in names.iter().cloned().enumerate() {
        let gate = gates[i % 2].clone();
        all.spawn(async move { add_person(&gate, &Caller::Admin, &who, &[]).await.unwrap() });
    }
    assert!(all.join_all().await.into_iter().all(|minted| minted.is_some()));
    let registry = house.gate.refresh().await.unwrap();
    assert!(names.iter().all(|who| registry.person(who).is_some()));
}

#[tokio::test]
async fn what_was_frozen_on_another_node_is_not_sent_from_this_one() {
    let house = House::new().await;
    let (decided, other) = (allowed(&house).await, house.another_gate().await);
    let agent = house.principal().link.agent;
    freeze(&other, &Caller::Admin, &Scope::Agent { agent }, "odd drafts").await.unwrap();
    let moved = other.registry().pos();
    assert!(house.gate.registry().pos() < moved, "this node has not heard of it");
    assert_eq!(recheck(&house, decided.control_pos, &decided).await, Ok(()));
    let Err(Overtaken::Frozen(frozen)) = recheck(&house, moved, &decided).await else { panic!("it is frozen") };
    assert_eq!(frozen.freeze.reason, "odd drafts");
}

#[tokio::test]
async fn a_position_that_cannot_be_reached_refuses() {
    let house = House::new().await;
    let decided = allowed(&house).await;
    let ahead = Pos(decided.control_pos.0 + 9);
    assert!(recheck(&house, ahead, &decided).await.is_err());
}

#[tokio::test]
async fn a_person_gets_one_key_and_new_groups_without_another() {
    let house = House::empty().await;
    let (ana, groups) = (name("ana"), [name("finance-platform"), name("finance-leads")]);
    let minted = add_person(&house.gate, &Caller::Admin, &ana, &groups[..1]).await.unwrap().unwrap();
    assert!(minted.key.starts_with("ostler_person_"), "{}", minted.key);
    assert_eq!(add_person(&house.gate, &Caller::Admin, &ana, &groups).await.unwrap(), None);
    let caller = authenticate(&house.gate.registry(), &minted.key);
    assert_eq!(caller, Some(person("ana", &["finance-leads", "finance-platform"])));
    revoke_key(&house.gate, &Caller::Admin, &minted.id).await.unwrap();
    assert_eq!(authenticate(&house.gate.registry(), &minted.key), None);
}

#[tokio::test]
async fn keys_are_made_for_those_who_are_there_and_the_last_administrators_stays() {
    let house = House::new().await;
    let holder = KeyHolder::Agent { agent: name("reconciliation-finance") };
    let minted = add_key(&house.gate, &Caller::Admin, &holder).await.unwrap();
    let agent = name("reconciliation-finance");
    assert_eq!(authenticate(&house.gate.registry(), &minted.key), Some(Caller::Agent { name: agent }));
    let nobody = KeyHolder::Person { person: name("nobody") };
    assert!(matches!(add_key(&house.gate, &Caller::Admin, &nobody).await, Err(ControlError::NotFound { .. })));
    let id = house.admin_key.split('_').nth(2).unwrap();
    assert!(matches!(revoke_key(&house.gate, &Caller::Admin, id).await, Err(ControlError::Conflict { .. })));
    let second = add_key(&house.gate, &Caller::Admin, &KeyHolder::Admin).await.unwrap();
    revoke_key(&house.gate, &Caller::Admin, id).await.unwrap();
    assert_eq!(authenticate(&house.gate.registry(), &second.key), Some(Caller::Admin));
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_cannot_be_deleted_again() {
    let house = House::new().await;
    let mail = name("mail");
    delete(&house.gate, &Caller::Admin, Kind::McpServer, &mail).await.unwrap();
    assert!(house.gate.ready(&name("reconciliation-finance")).iter().any(|condition| !condition.ok));
    let again = delete(&house.gate, &Caller::Admin, Kind::McpServer, &mail).await;
    assert!(matches!(again, Err(ControlError::NotFound { .. })));
}

/// A call of the agent's model.
/// A model call of a tenth of a cent.
const ONE: Amounts = Amounts { usd_micros: 1000, calls: 1, tokens: 0, external_actions: 0, compute_ms: 0 };

struct Asking {
    principal: Principal,
    provider: Name,
    facts: Facts,
}

impl Asking {
    fn of(house: &House) -> Self {
        Asking { principal: house.principal(), provider: name("anthropic"), facts: Facts::default() }
    }

    fn query(&self, usd_micros: i64) -> Query<'_> {
        let Asking { principal, provider, facts } = self;
        let worst = Amounts { usd_micros, calls: 1, ..Amounts::default() };
        let want = Want::Model { provider, model: "claude-opus-4-7", worst };
        let call = CallId { session: principal.link.session, ordinal: 1 };
        Query { call, attempt: 1, principal, facts, want }
    }
}

fn ask_model(house: &House, usd_micros: i64) -> Verdict {
    house.gate.decide(&house.gate.registry(), &Asking::of(house).query(usd_micros))
}

/// Under what a call of the model is allowed.
async fn allowed(house: &House) -> DecidedAt {
    drop(house.gate.ready_budget(&house.gate.registry(), &house.principal(), &ONE).await.unwrap());
    let Verdict::Allow { decided, .. } = ask_model(house, 1000) else { panic!("it may") };
    decided
}

async fn recheck(house: &House, control_pos: Pos, decided: &DecidedAt) -> Result<(), Overtaken> {
    house.gate.recheck(control_pos, &Asking::of(house).query(1000), decided).await
}

#[tokio::test]
async fn a_budget_must_be_drawn_before_it_is_spent() {
    let house = House::new().await;
    assert!(matches!(ask_model(&house, 1000), Verdict::Wait { .. }));
    drop(house.gate.ready_budget(&house.gate.registry(), &house.principal(), &ONE).await.unwrap());
    assert!(matches!(ask_model(&house, 1000), Verdict::Allow { .. }));
}

#[tokio::test]
async fn what_calls_hold_and_spent_survives_a_restart() {
    let mut house = House::new().await;
    drop(house.gate.ready_budget(&house.gate.registry(), &house.principal(), &ONE).await.unwrap());
    let Verdict::Allow { rows, holds, .. } = ask_model(&house, 30_000_000) else { panic!() };
    house.begun(data::rows::Rows { holdings: rows.holdings, ..Default::default() }).await;
    house.restart().await;
    let worst = Amounts { usd_micros: 20_000_000, calls: 1, ..Amounts::default() };
    drop(house.gate.ready_budget(&house.gate.registry(), &house.principal(), &worst).await.unwrap());
    let mut writer = house.log.load(house.principal().link.session).await.unwrap().unwrap().writer;
    assert!(matches!(ask_model(&house, 20_000_000), Verdict::Wait { .. }), "the call in flight still holds its part");
    let spent = Amounts { usd_micros: 25_000_000, calls: 1, ..Amounts::default() };
    let settled = house.gate.settle(house.principal().link.session, &holds, &spent);
    house.commit(&mut writer, settled).await;
    house.restart().await;
    drop(house.gate.ready_budget(&house.gate.registry(), &house.principal(), &worst).await.unwrap());
    assert!(matches!(ask_model(&house, 20_000_000), Verdict::Deny { .. }), "and what it came to is spent");
    assert!(matches!(ask_model(&house, 15_000_000), Verdict::Allow { .. }));
    let budget = BudgetKey::of_agent(house.principal().link.agent, Meter::UsdMicros, Window::Day);
    let kept = house.log.holdings(domain::id::Shard(0)).await.unwrap();
    let day = kept.iter().find(|row| row.budget == budget).unwrap();
    assert_eq!((day.drawn, day.reserved, day.spent), (40_000_000, 0, 25_000_000));
}

#[tokio::test]
async fn rows_that_were_never_committed_are_taken_back() {
    let house = House::new().await;
    drop(house.gate.ready_budget(&house.gate.registry(), &house.principal(), &ONE).await.unwrap());
    let Verdict::Allow { rows, .. } = ask_model(&house, 40_000_000) else { panic!() };
    assert!(matches!(ask_model(&house, 1000), Verdict::Wait { .. }));
    house.gate.undo(&rows);
    assert!(matches!(ask_model(&house, 1000), Verdict::Allow { .. }));
}

#[tokio::test]
async fn a_new_window_is_drawn_anew() {
    let house = House::new().await;
    drop(house.gate.ready_budget(&house.gate.registry(), &house.principal(), &ONE).await.unwrap());
    let Verdict::Allow { holds, .. } = ask_model(&house, 40_000_000) else { panic!() };
    house.gate.settle(
        house.principal().link.session,
        &holds,
        &Amounts { usd_micros: 40_000_000, calls: 1, ..Amounts::default() },
    );
    assert!(matches!(ask_model(&house, 1000), Verdict::Deny { .. }));
    house.clock.pass(Window::Day.length_ms());
    drop(house.gate.ready_budget(&house.gate.registry(), &house.principal(), &ONE).await.unwrap());
    assert!(matches!(ask_model(&house, 1000), Verdict::Allow { .. }), "{}", house.clock.now());
}

#[tokio::test]
async fn cases_are_imported_once_and_by_those_who_may() {
    let house = House::new().await;
    let agent = name("reconciliation-finance");
    let cases = || vec![HumanCase { case: "i-1".to_owned(), did: json!({"tool": "email-draft"}) }];
    let ana = person("ana", &["finance-platform"]);
    assert_eq!(import_cases(&house.gate, &ana, &agent, cases()).await.unwrap(), 1);
    let pos = house.gate.registry().pos();
    import_cases(&house.gate, &Caller::Admin, &agent, cases()).await.unwrap();
    assert_eq!(house.gate.registry().pos(), pos, "nothing new is not recorded");
    for caller in [Caller::Agent { name: agent.clone() }, person("eve", &["sales"])] {
        let refused = import_cases(&house.gate, &caller, &agent, cases()).await;
        assert!(matches!(refused, Err(ControlError::Forbidden { .. })), "{caller:?}");
    }
}

#[tokio::test]
async fn cases_that_could_not_be_read_again_are_not_imported() {
    let house = House::new().await;
    let deep = (0..65).fold(json!(1), |inner, _| json!({"a": inner}));
    let cases = vec![HumanCase { case: "i-1".to_owned(), did: deep }];
    let refused = import_cases(&house.gate, &Caller::Admin, &name("reconciliation-finance"), cases).await;
    assert!(matches!(refused, Err(ControlError::Invalid { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_call_is_decided_by_the_registry_that_it_was_looked_up_in() {
    let house = House::new().await;
    drop(house.gate.ready_budget(&house.gate.registry(), &house.principal(), &ONE).await.unwrap());
    let looked_up_in = house.gate.registry();
    freeze(&house.gate, &Caller::Admin, &Scope::All, "odd drafts").await.unwrap();
    let asking = Asking::of(&house);
    let verdict = house.gate.decide(&looked_up_in, &asking.query(1000));
    let Verdict::Allow { decided, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(decided.control_pos, looked_up_in.pos(), "and is recorded as such");
    let still = house.gate.still(&asking.query(1000), &decided);
    assert!(matches!(still, Err(Overtaken::Frozen(_))), "so it is not sent: {still:?}");
}

#[tokio::test]
async fn a_promotion_is_recorded_for_the_current_revision() {
    let house = House::new().await;
    let agent = name("reconciliation-finance");
    let ana = person("ana", &["finance-platform"]);
    promote(&house.gate, &ana, &agent, Autonomy::Shadow, None).await.unwrap();
    let revision = house.principal().link.revision;
    assert_eq!(house.gate.registry().autonomy(&agent, revision), Some(Autonomy::Shadow));
    let back = promote(&house.gate, &ana, &agent, Autonomy::Autonomous, None).await;
    assert!(matches!(back, Err(ControlError::Conflict { .. })), "more takes a report");
    apply(&house.gate, &Caller::Admin, parsed(&article_with("  limits: {turns: 5}")), false).await.unwrap();
    let now = house.gate.registry().agent(&agent).unwrap().revision;
    assert_eq!(house.gate.registry().autonomy(&agent, now), Some(Autonomy::Autonomous));
}
