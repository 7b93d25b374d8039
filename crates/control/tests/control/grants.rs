//! Standing grants: within what they say nobody is asked, and not once more.

use control::grants::{self, Wish};
use control::{ControlError, Verdict};
use domain::budget::{Amounts, Subject};
use domain::call::ApprovalVerdict;
use domain::control::{ControlEvent, Scope, StandingGrant};
use domain::event::Event;
use domain::expression::Expression;
use domain::id::{Name, Shard};
use domain::principal::Caller;

use crate::house::House;
use crate::quorum::agent_with;
use crate::world::{Draft, NOW, World, applied, article_with, name, person};

fn grant(world: &World) -> StandingGrant {
    StandingGrant {
        agent: world.principal.link.agent.clone(),
        revision: world.principal.link.revision,
        capability: "mcp://gateway/email-draft".parse().unwrap(),
        when: Some(Expression::parse("args.to.endsWith(\"@acme.example\")", &["args"]).unwrap()),
        each_usd_micros: Some(2_000_000_000),
        usd_micros: Some(4_000_000_000),
        times: Some(2),
        until: NOW.plus_ms(3_600_000),
        reason: "month's end".to_owned(),
    }
}

fn given(world: &mut World, grant: StandingGrant) {
    world.happened(ControlEvent::GrantGiven { name: name("month-end"), grant, person: name("ana") });
    world.draw_grants();
}

fn asks(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Wait { rows, .. } if rows.events.iter().any(|e| matches!(e, Event::ApprovalRequested { .. })))
}

fn with_grant() -> World {
    let mut world = World::new();
    let grant = grant(&world);
    given(&mut world, grant);
    world
}

#[test]
fn within_it_nobody_is_asked_and_the_decision_names_it() {
    let mut world = with_grant();
    let Verdict::Allow { decided, holds, approval, .. } = world.ask(&Draft::of(1500)) else { panic!() };
    assert_eq!((decided.policy_ids.last().unwrap().as_str(), approval), ("standing-grant/month-end", None));
    let of_grant = holds.iter().filter(|hold| hold.budget.subject == Subject::Grant(name("month-end")));
    assert_eq!(of_grant.map(|hold| hold.amount).collect::<Vec<_>>(), [1_500_000_000, 1]);
    assert!(world.still(&Draft::of(1500), &decided).is_ok());
}

#[test]
fn it_is_never_used_over_its_cap_and_what_was_not_sent_does_not_count() {
    let mut world = with_grant();
    let Verdict::Allow { holds, .. } = world.ask(&Draft::of(1500)) else { panic!() };
    let settled = world.holdings.settle(Shard(0), &holds, &Amounts::default());
    assert!(settled.iter().all(|delta| delta.spent == 0), "it was not sent: {settled:?}");
    for round in 0..2 {
        let Verdict::Allow { holds, .. } = world.ask(&Draft::of(1500)) else { panic!("{round}") };
        let sent = Amounts { usd_micros: 2000, calls: 1, external_actions: 1, ..Amounts::default() };
        world.holdings.settle(Shard(0), &holds, &sent);
    }
    assert!(asks(&world.ask(&Draft::of(1500))), "two calls were what it allowed");
}

#[test]
fn calls_in_flight_count_too() {
    let mut world = with_grant();
    assert!(matches!(world.ask(&Draft::of(2000)), Verdict::Allow { .. }));
    assert!(matches!(world.ask(&Draft::of(1500)), Verdict::Allow { .. }));
    assert!(asks(&world.ask(&Draft::of(1001))), "both are under way, and the third would be one too many");
}

#[test]
fn what_it_does_not_say_is_asked_for() {
    type Beyond = fn(&mut World, &mut Draft);
    let beyond: [(&str, Beyond); 9] = [
        ("another receiver", |_, draft| draft.arguments["to"] = "eve@evil.example".into()),
        ("no receiver", |_, draft| draft.arguments = serde_json::json!({"amount_usd": 1500})),
        ("worth more each", |_, draft| draft.value = Some(2_000_000_001)),
        ("of unknown worth", |_, draft| draft.value = None),
        ("after its end", |world, _| {
            world.now = NOW.plus_ms(3_600_000);
            world.draw();
        }),
        ("revoked", |world, _| {
            let (by, reason) = ("person/ana".to_owned(), String::new());
            world.happened(ControlEvent::GrantRevoked { name: name("month-end"), by, reason });
        }),
        ("whoever gave it left", |world, _| {
            world.happened(ControlEvent::PersonAdded { person: name("ana"), groups: Vec::new() });
        }),
        ("its agent was frozen once", |world, _| {
            let what = Scope::Agent { agent: world.principal.link.agent.clone() };
            world.happened(ControlEvent::Frozen { what: what.clone(), reason: String::new(), by: "admin".to_owned() });
            world.happened(ControlEvent::Unfrozen { what, by: "admin".to_owned() });
        }),
        ("another revision, and back", |world, _| {
            world.happened(applied(&article_with("  limits: {turns: 9}")));
            world.happened(applied(crate::world::ARTICLE));
        }),
    ];
    let all = beyond.len();
    let mut asked = 0;
    for (what, change) in beyond {
        let (mut world, mut draft) = (with_grant(), Draft::of(1500));
        assert!(matches!(world.ask(&draft), Verdict::Allow { .. }), "{what}");
        change(&mut world, &mut draft);
        assert!(asks(&world.ask(&draft)), "{what}");
        asked += 1;
    }
    assert_eq!(asked, all);
}

#[test]
fn revoked_between_decision_and_sending_nothing_is_sent() {
    let mut world = with_grant();
    let Verdict::Allow { decided, .. } = world.ask(&Draft::of(1500)) else { panic!() };
    let (by, reason) = ("admin".to_owned(), String::new());
    world.happened(ControlEvent::GrantRevoked { name: name("month-end"), by, reason });
    assert!(world.still(&Draft::of(1500), &decided).is_err());
}

#[test]
fn where_consent_takes_two_so_does_a_grant() {
    let two = agent_with("by: {group: finance-platform, quorum: 2, not: [on_behalf_of]}");
    let mut world = World::with(&two);
    world.happened(ControlEvent::PersonAdded { person: name("ben"), groups: vec![name("finance-platform")] });
    let grant = grant(&world);
    given(&mut world, grant);
    assert!(asks(&world.ask(&Draft::of(1500))), "one person gave it");
    world.happened(ControlEvent::GrantSeconded { name: name("month-end"), person: name("ben") });
    assert!(matches!(world.ask(&Draft::of(1500)), Verdict::Allow { .. }));
    world.principal.on_behalf_of = Some(name("ben"));
    assert!(asks(&world.ask(&Draft::of(1500))), "on ben's behalf, ben does not count");
}

#[test]
fn a_persons_no_still_counts() {
    let mut world = World::new();
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    let grant = grant(&world);
    given(&mut world, grant);
    let no = world.verdict(&request, false);
    world.facts.verdict = Some(ApprovalVerdict { ..no });
    assert!(matches!(world.ask(&draft), Verdict::Deny { .. }));
}

#[test]
fn a_request_that_waits_is_withdrawn_once_a_grant_lets_it_go() {
    let mut world = World::new();
    let draft = Draft::of(1500);
    let request = world.ask_for_consent(&draft);
    let grant = grant(&world);
    given(&mut world, grant);
    let Verdict::Allow { rows, .. } = world.ask(&draft) else { panic!() };
    assert!(matches!(&rows.events[0], Event::ApprovalWithdrawn { approval, .. } if *approval == request.approval));
}

async fn give(house: &House, who: &Caller, change: impl Fn(&mut StandingGrant)) -> Result<Name, ControlError> {
    let mut grant = grant(&World::new());
    change(&mut grant);
    grants::give(&house.gate, who, &Wish { grant, name: None }).await
}

#[tokio::test]
async fn a_person_of_the_group_gives_it_with_an_end_a_cap_and_a_reason() {
    let house = House::new().await;
    let ana = person("ana", &["finance-platform"]);
    type Wrong = fn(&mut StandingGrant);
    let wrong: [Wrong; 5] = [
        |grant| (grant.usd_micros, grant.times) = (None, None),
        |grant| grant.times = Some(0),
        |grant| grant.until = NOW,
        |grant| grant.until = NOW.plus_ms(grants::LONGEST_MS + 1),
        |grant| grant.reason.clear(),
    ];
    for change in wrong {
        assert!(matches!(give(&house, &ana, change).await, Err(ControlError::Invalid { .. })));
    }
    for caller in [Caller::Admin, person("eve", &["sales"])] {
        assert!(matches!(give(&house, &caller, |_| {}).await, Err(ControlError::Forbidden { .. })), "{caller:?}");
    }
    let given = give(&house, &ana, |_| {}).await.unwrap();
    let [listed] = grants::list(&house.gate).await.unwrap().try_into().unwrap();
    assert_eq!((&listed.name, &listed.lacks, listed.used.len()), (&given, &None, 2));
    grants::revoke(&house.gate, &Caller::Admin, &given, "enough").await.unwrap();
    let [listed] = grants::list(&house.gate).await.unwrap().try_into().unwrap();
    assert_eq!(listed.lacks.as_deref(), Some("admin revoked it: enough"));
    assert!(grants::second(&house.gate, &person("bob", &["finance-platform"]), &given).await.is_err());
}
