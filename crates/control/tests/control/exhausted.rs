//! What becomes of a call that no budget is left for: refused, waited out, or asked about. And who else than the agent
//! may set what is left: its owner group's caps, its session's, what people added for a window.

use control::Verdict;
use control::budget::change::{More, set, show, subject_of, topup};
use control::budget::limits;
use control::error::ControlError;
use domain::budget::{Amounts, BudgetKey, Meter, Subject, Window};
use domain::call::Raise;
use domain::clock::Timestamp;
use domain::control::{CapChange, ControlEvent};
use domain::decision::{RefusedBy, Wait, WaitFor};
use domain::event::Event;
use domain::id::{Name, Shard};
use domain::principal::Caller;

use crate::house::House;
use crate::world::{ARTICLE, NOW, World, name, person, requested};

const MODEL: &str = "claude-opus-4-7";
const FORTY: Amounts = usd(40_000_000);

const fn usd(usd_micros: i64) -> Amounts {
    Amounts { usd_micros, calls: 0, tokens: 0, external_actions: 0, compute_ms: 0 }
}

/// The article's agent with another word in its budgets.
fn saying(words: &str) -> String {
    ARTICLE.replace("usd_per_day: 40", &format!("usd_per_day: 40\n    {words}"))
}

/// An agent that has spent all of its day's money.
fn spent(words: &str) -> World {
    let mut world = World::with(&saying(words));
    let Verdict::Allow { holds, .. } = world.ask_model(MODEL, FORTY) else { panic!("there is room") };
    world.holdings.settle(Shard(0), &holds, &FORTY);
    world
}

fn agent() -> Name {
    name("reconciliation-finance")
}

fn day() -> BudgetKey {
    BudgetKey::of_agent(agent(), Meter::UsdMicros, Window::Day)
}

fn tonight() -> Timestamp {
    Window::Day.start(NOW).plus_ms(Window::Day.length_ms())
}

fn waits(verdict: Verdict) -> Wait {
    match verdict {
        Verdict::Wait { wait, .. } => wait,
        other => panic!("it should wait: {other:?}"),
    }
}

fn refused(verdict: Verdict) -> String {
    match verdict {
        Verdict::Deny { refusal, .. } => {
            assert_eq!(refusal.by, RefusedBy::Budget);
            format!("{} {}", refusal.reason, refusal.next)
        }
        other => panic!("it should be refused: {other:?}"),
    }
}

fn raise(world: &mut World, budget: BudgetKey, start: Timestamp, amount: i64) {
    let (reason, by) = ("more to do".to_owned(), "admin".to_owned());
    world.happened(ControlEvent::BudgetRaised { budget, window_start: start, amount, reason, by, approval: None });
    world.draw();
}

fn bound(world: &mut World, subject: Subject, meter: Meter, window: Window, cap: i64) {
    let caps = vec![CapChange { meter, window, cap: Some(cap) }];
    world.happened(ControlEvent::BudgetSet { subject, caps, timezone: None, by: "admin".to_owned() });
    world.draw();
}

#[test]
fn a_call_waits_until_the_window_ends_where_the_descriptor_says_so() {
    let mut world = spent("on_exhausted: wait");
    let wait = waits(world.ask_model(MODEL, usd(1)));
    assert_eq!(wait, Wait { why: WaitFor::Exhausted { budget: day().to_string() }, until: Some(tonight()) });
    assert!(refused(world.ask_model(MODEL, usd(40_000_001))).contains("Do not try again"), "no window is that wide");
    world.now = tonight();
    world.draw();
    assert!(matches!(world.ask_model(MODEL, usd(1)), Verdict::Allow { .. }), "the next window has begun");
}

#[test]
fn a_call_waits_for_no_more_than_two_windows() {
    let mut world = spent("on_exhausted: wait");
    world.facts.waiting_since = Some(Timestamp(NOW.0 - 2 * Window::Day.length_ms()));
    assert!(refused(world.ask_model(MODEL, usd(1))).contains("is used up"));
}

#[test]
fn a_person_is_asked_once_for_more_and_what_they_allow_is_used() {
    let mut world = spent("on_exhausted: ask");
    let Verdict::Wait { rows, wait } = world.ask_model(MODEL, usd(1_000_000)) else { panic!("it should ask") };
    let request = requested(&rows.events);
    assert!(matches!(rows.events[0], Event::CallWaits { model: true, .. }), "with it the call is open");
    assert_eq!(wait.why, WaitFor::Approval { approval: request.approval });
    assert_eq!(request.by, name("finance-platform"));
    assert_eq!(
        request.raise(),
        Some(Raise { budget: day(), window_start: Window::Day.start(NOW), amount: 10_000_000 })
    );
    assert!(request.expires_at <= tonight());

    world.facts = world.facts_of(&request, None);
    let Verdict::Wait { rows, wait: still } = world.ask_model(MODEL, usd(1_000_000)) else { panic!() };
    assert_eq!(still, wait);
    assert!(!rows.events.iter().any(|event| matches!(event, Event::ApprovalRequested { .. })), "nobody is asked twice");

    let verdict = world.verdict(&request, true);
    world.facts = world.facts_of(&request, Some(verdict.clone()));
    let unheard = waits(world.ask_model(MODEL, usd(1_000_000)));
    assert!(matches!(unheard.why, WaitFor::TiedUp { .. }), "what was granted is not heard of yet: {unheard:?}");
    let (reason, by) = (String::new(), "person/ana".to_owned());
    let Raise { budget, window_start, amount } = request.raise().unwrap();
    let approval = Some(request.approval);
    world.happened(ControlEvent::BudgetRaised { budget, window_start, amount, reason, by, approval });
    world.draw();
    let Verdict::Allow { holds, .. } = world.ask_model(MODEL, usd(10_000_000)) else { panic!("there is room") };
    world.holdings.settle(Shard(0), &holds, &usd(10_000_000));
    let Verdict::Wait { rows, .. } = world.ask_model(MODEL, usd(1)) else { panic!("it is used up again") };
    assert_eq!(requested(&rows.events).approval.round, 2, "a grant is used once: the next is asked for");
}

#[test]
fn a_no_to_more_refuses_and_so_does_silence() {
    let mut world = spent("on_exhausted: ask");
    let Verdict::Wait { rows, .. } = world.ask_model(MODEL, usd(1)) else { panic!("it should ask") };
    let request = requested(&rows.events);
    let verdict = world.verdict(&request, false);
    world.facts = world.facts_of(&request, Some(verdict));
    assert!(refused(world.ask_model(MODEL, usd(1))).contains("granted no more"));
    world.facts = world.facts_of(&request, None);
    world.now = request.expires_at;
    world.draw();
    if request.expires_at < tonight() {
        assert!(refused(world.ask_model(MODEL, usd(1))).contains("Nobody answered"));
    }
}

#[test]
fn a_request_for_more_is_withdrawn_when_there_is_room_without_it() {
    let mut world = spent("on_exhausted: ask");
    let Verdict::Wait { rows, .. } = world.ask_model(MODEL, usd(1)) else { panic!("it should ask") };
    let request = requested(&rows.events);
    world.facts = world.facts_of(&request, None);
    raise(&mut world, day(), Window::Day.start(NOW), 1_000_000);
    let Verdict::Allow { rows, .. } = world.ask_model(MODEL, usd(1)) else { panic!("there is room") };
    assert!(rows.events.iter().any(|event| matches!(event, Event::ApprovalWithdrawn { .. })));
    assert_eq!(rows.inbox.len(), 1, "and nobody is asked any more");
}

#[test]
fn an_owners_cap_binds_all_its_agents_and_is_not_theirs_to_raise() {
    let mut world = World::with(&saying("on_exhausted: ask"));
    bound(&mut world, Subject::Owner(name("finance-platform")), Meter::UsdMicros, Window::Day, 1_000_000);
    let said = refused(world.ask_model(MODEL, usd(1_000_001)));
    assert!(said.contains("owner/finance-platform/usd_micros_per_day"), "{said}");
    assert!(said.contains("ostler budget topup owner/finance-platform"), "{said}");
    let Verdict::Allow { holds, .. } = world.ask_model(MODEL, usd(1_000_000)) else { panic!("there is room") };
    assert_eq!(holds.len(), 2, "it is held of both: {holds:?}");
}

#[test]
fn a_cap_that_people_set_and_a_descriptors_hold_both() {
    let mut world = World::new();
    bound(&mut world, Subject::Agent(agent()), Meter::UsdMicros, Window::Day, 90_000_000);
    let cap = |world: &World| {
        let all = limits(&world.registry, &world.principal, NOW);
        all.iter().find(|limit| limit.budget == day()).unwrap().cap
    };
    assert_eq!(cap(&world), 40_000_000, "the lower one");
    bound(&mut world, Subject::Agent(agent()), Meter::UsdMicros, Window::Day, 5_000_000);
    assert_eq!(cap(&world), 5_000_000);
    raise(&mut world, day(), Window::Day.start(NOW), 2_000_000);
    assert_eq!(cap(&world), 7_000_000);
    world.now = tonight();
    let next = limits(&world.registry, &world.principal, world.now);
    assert_eq!(next.iter().find(|limit| limit.budget == day()).unwrap().cap, 5_000_000, "for that window alone");
}

#[test]
fn a_session_has_a_budget_of_its_own_that_no_window_renews() {
    let mut world = World::with(&saying("usd_per_session: 3"));
    let Verdict::Allow { holds, .. } = world.ask_model(MODEL, usd(3_000_000)) else { panic!("there is room") };
    world.holdings.settle(Shard(0), &holds, &usd(3_000_000));
    world.now = tonight().plus_ms(7 * Window::Day.length_ms());
    world.draw();
    let said = refused(world.ask_model(MODEL, usd(1)));
    assert!(said.contains("session/ses_") && said.contains("Nothing of it comes back."), "{said}");
    let other = domain::id::SessionId::from_u128(8);
    world.principal.parents = vec![world.principal.link.clone()];
    world.principal.link.session = other;
    assert!(refused(world.ask_model(MODEL, usd(1))).contains("session/ses_"), "what it delegates is its own");
    world.principal.parents.clear();
    world.draw();
    assert!(matches!(world.ask_model(MODEL, usd(1)), Verdict::Allow { .. }), "another session has its own");
}

#[test]
fn days_are_those_of_the_time_zone() {
    let world = World::with(&saying("timezone: Pacific/Auckland"));
    let limits = limits(&world.registry, &world.principal, NOW);
    let day = limits.iter().find(|limit| limit.budget == day()).unwrap();
    assert_eq!(day.start.0.rem_euclid(Window::Day.length_ms()) % 3_600_000, 0);
    assert_ne!(day.start, Window::Day.start(NOW));
    assert!(day.start <= NOW && NOW < day.ends);
}

fn more(amount: i64) -> More {
    More { meter: Meter::UsdMicros, window: None, amount, reason: "month's end".to_owned() }
}

#[tokio::test]
async fn more_is_allowed_with_a_reason_by_an_administrator_or_the_owners_people() {
    let house = House::new().await;
    let subject = Subject::Agent(agent());
    let ana = person("ana", &["finance-platform"]);
    let raises = topup(&house.gate, &ana, &subject, &more(5_000_000)).await.unwrap();
    assert_eq!(raises.len(), 1);
    let shown = show(&house.gate, Some(&subject)).await.unwrap();
    let day = shown.iter().find(|each| (each.meter, each.per) == (Meter::UsdMicros, Window::Day)).unwrap();
    assert_eq!((day.cap, day.added[0].amount, day.added[0].by.as_str()), (45_000_000, 5_000_000, "person/ana"));
    let eve = person("eve", &["sales"]);
    let silent = More { reason: " ".to_owned(), ..more(1) };
    let tokens = More { meter: Meter::Tokens, ..more(1) };
    for (caller, subject, more) in [
        (&eve, &subject, &more(1)),
        (&ana, &Subject::Owner(name("finance-platform")), &more(1)),
        (&Caller::Agent { name: agent() }, &subject, &more(1)),
    ] {
        let refused = topup(&house.gate, caller, subject, more).await;
        assert!(matches!(refused, Err(ControlError::Forbidden { .. })), "{caller:?}: {refused:?}");
    }
    assert!(matches!(topup(&house.gate, &ana, &subject, &silent).await, Err(ControlError::Invalid { .. })));
    assert!(matches!(topup(&house.gate, &ana, &subject, &tokens).await, Err(ControlError::Conflict { .. })));
}

#[tokio::test]
async fn caps_are_set_by_administrators_alone() {
    let house = House::new().await;
    let owner = subject_of(&house.gate.registry(), "finance-platform").unwrap();
    assert_eq!(owner, Subject::Owner(name("finance-platform")));
    let caps = || vec![CapChange { meter: Meter::UsdMicros, window: Window::Day, cap: Some(9_000_000) }];
    let zone = Some("Europe/Madrid".parse().unwrap());
    set(&house.gate, &Caller::Admin, &owner, (caps(), zone.clone())).await.unwrap();
    let shown = show(&house.gate, Some(&owner)).await.unwrap();
    assert_eq!((shown.len(), shown[0].cap), (1, 9_000_000));
    let ana = person("ana", &["finance-platform"]);
    assert!(matches!(set(&house.gate, &ana, &owner, (caps(), None)).await, Err(ControlError::Forbidden { .. })));
    let session = Subject::Session(house.principal().link.session);
    for (subject, change) in
        [(&session, (caps(), None)), (&owner, (Vec::new(), None)), (&Subject::Agent(agent()), (caps(), zone))]
    {
        let refused = set(&house.gate, &Caller::Admin, subject, change).await;
        assert!(matches!(refused, Err(ControlError::Invalid { .. })), "{subject}: {refused:?}");
    }
    let lift = vec![CapChange { meter: Meter::UsdMicros, window: Window::Day, cap: None }];
    set(&house.gate, &Caller::Admin, &owner, (lift, None)).await.unwrap();
    assert!(show(&house.gate, Some(&owner)).await.unwrap().is_empty());
    assert!(subject_of(&house.gate.registry(), "nobody").is_err());
}
