//! A freeze cuts off what is under way and says when it is over; what was let go on is woken, and more than once harms
//! nobody.

use std::sync::Arc;

use control::dispatch::Cut;
use control::people::{freeze, unfreeze};
use control::thaw::wake_since;
use data::record::Stamp;
use data::rows::{Head, Rows, frozen_words};
use domain::control::Scope;
use domain::event::Event;
use domain::id::{Digest, Pos, SessionId, TraceId};
use domain::principal::{Caller, Link, Principal};
use domain::session::Phase;

use crate::house::House;
use crate::world::name;

/// A call of some agent's session, on behalf of ana.
fn principal(agent: &str, session: u128) -> Arc<Principal> {
    let link = Link {
        agent: name(agent),
        revision: Digest::of(b"revision"),
        session: SessionId::from_u128(session),
        call: None,
    };
    let (owner, autonomy) = (name("finance-platform"), domain::principal::Autonomy::Autonomous);
    Arc::new(Principal { link, owner, on_behalf_of: Some(name("ana")), parents: Vec::new(), autonomy })
}

/// A child of that.
fn child(agent: &str, of: &Principal) -> Arc<Principal> {
    let child = principal(agent, 99);
    Arc::new(Principal { parents: vec![of.link.clone()], ..(*child).clone() })
}

#[tokio::test]
async fn a_freeze_cuts_off_everything_of_its_scope_and_nothing_else() {
    let house = House::new().await;
    let (one, other) = (principal("note-keeper", 1), principal("helpdesk", 2));
    let (mine, theirs) = (house.gate.dispatch(&one), house.gate.dispatch(&other));
    let delegated = house.gate.dispatch(&child("helper", &one));
    let agent = Scope::Agent { agent: name("note-keeper") };
    freeze(&house.gate, &Caller::Admin, &agent, "odd sums").await.unwrap();
    for cut in [mine.cut().await, delegated.cut().await] {
        let Cut::Frozen(frozen) = cut else { panic!("{cut:?}") };
        assert_eq!((frozen.scope, frozen.freeze.reason.as_str()), (agent.clone(), "odd sums"));
    }
    assert_eq!(house.gate.quiet(std::future::ready(())).await, 2, "they were told and have not ended");
    drop((mine, delegated));
    assert_eq!(house.gate.quiet(std::future::pending()).await, 0);
    freeze(&house.gate, &Caller::Admin, &Scope::Person { person: name("ana") }, "gone").await.unwrap();
    assert!(matches!(theirs.cut().await, Cut::Frozen(_)), "it works on behalf of ana");
}

#[tokio::test]
async fn a_freeze_of_another_node_cuts_off_once_it_is_heard_of() {
    let house = House::new().await;
    let other = house.another_gate().await;
    let call = house.gate.dispatch(&principal("note-keeper", 1));
    let following = tokio::spawn(control::thaw::follow(house.gate.clone()));
    freeze(&other, &Caller::Admin, &Scope::All, "drill").await.unwrap();
    assert!(matches!(call.cut().await, Cut::Frozen(_)));
    following.abort();
}

#[tokio::test]
async fn a_suspension_cuts_off_its_own_session_only() {
    let house = House::new().await;
    let (one, other) = (house.gate.dispatch(&principal("a", 1)), house.gate.dispatch(&principal("a", 2)));
    let why = Cut::Suspended { by: "person/ana".to_owned() };
    house.gate.cut(SessionId::from_u128(1), &why);
    assert_eq!(one.cut().await, why);
    drop(one);
    assert_eq!(house.gate.quiet(std::future::pending()).await, 0, "the other goes on");
    drop(other);
}

/// Sessions that wait for a freeze to end.
async fn waiting(house: &House, scope: &Scope, sessions: std::ops::Range<u128>) {
    for id in sessions {
        let session = SessionId::from_u128(id << 100);
        let principal = Principal { link: Link { session, ..house.principal().link }, ..house.principal() };
        let started = Event::SessionStarted {
            principal: principal.clone(),
            key: id.to_string(),
            trace: TraceId(1),
            case: None,
            partition: None,
            attached: false,
        };
        let head = Head {
            agent: principal.link.agent.clone(),
            revision: principal.link.revision,
            key: id.to_string(),
            phase: Phase::Suspended,
            since: domain::clock::Timestamp(0),
            waits_on: frozen_words(scope),
            scripted: false,
            mode: principal.mode(),
            partition: None,
        };
        let stamp = Stamp {
            mode: principal.mode(),
            principal: Arc::new(principal),
            trace: TraceId(1),
            parent: None,
            cause: "test".to_owned(),
            control_pos: house.gate.registry().pos(),
            synthetic: false,
        };
        let mut writer = house.log.begin(session);
        house.log.commit(&mut writer, stamp, head, Rows::of(started)).await.unwrap();
    }
}

/// Whom mail waits for.
async fn woken(house: &House) -> Vec<SessionId> {
    use domain::clock::Clock;
    let page = house.log.due(&[domain::id::Shard(0)], house.clock.now(), None, 10_000).await.unwrap();
    page.rows.into_iter().map(|row| row.session).collect()
}

#[tokio::test]
async fn what_was_let_go_on_is_woken_once_and_what_is_frozen_still_is_not() {
    let house = House::new().await;
    let (agent, all) = (Scope::Agent { agent: name("note-keeper") }, Scope::All);
    for scope in [&agent, &all] {
        freeze(&house.gate, &Caller::Admin, scope, "drill").await.unwrap();
    }
    waiting(&house, &agent, 1..1_102).await;
    waiting(&house, &all, 2_000..2_010).await;
    let before = house.gate.registry().pos();
    unfreeze(&house.gate, &Caller::Admin, &agent).await.unwrap();
    assert!(woken(&house).await.is_empty(), "as if the node had died right after the record");
    let pos = wake_since(&house.gate, before).await.unwrap();
    let first = woken(&house).await;
    assert_eq!(first.len(), 1_101, "more than one page");
    assert_eq!(wake_since(&house.gate, Pos(0)).await.unwrap(), pos);
    assert_eq!(woken(&house).await, first, "again, as after a restart, it posts nothing new");
    unfreeze(&house.gate, &Caller::Admin, &all).await.unwrap();
    wake_since(&house.gate, pos).await.unwrap();
    assert_eq!(woken(&house).await.len(), first.len() + 10);
}
