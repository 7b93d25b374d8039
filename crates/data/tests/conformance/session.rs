//! What the next decision needs: heads, the inbox, memory, shared texts.

use data::commit::Log;
use data::rows::{Head, InboxChange, InboxItem, InboxKey, MemoryChange, MemoryItem, Rows, frozen_words};
use data::store::{HeadFilter, PhaseCount};
use domain::clock::Timestamp;
use domain::control::Scope;
use domain::id::{ApprovalId, CallId, Digest, Pos, SessionId};
use domain::session::Phase;

use crate::world::{Fixture, commit, head, name, said, session, session_on, stamp};

async fn put(log: &Log, session: SessionId, head: Head) {
    let mut writer = log.begin(session);
    log.commit(&mut writer, stamp(session), head, Rows::of(said("one"))).await.unwrap();
}

async fn found(log: &Log, filter: HeadFilter) -> Vec<SessionId> {
    log.heads(filter).await.unwrap().into_iter().map(|(session, _, _)| session).collect()
}

pub(crate) async fn heads_are_found_by_agent_and_phase(fixture: Fixture) {
    let log = fixture.log().await;
    let other = Head { agent: name("other"), since: Timestamp(2), ..head() };
    put(&log, session(1), head()).await;
    put(&log, session(2), Head { phase: Phase::Suspended, since: Timestamp(5), ..other.clone() }).await;
    put(&log, session(3), Head { phase: Phase::Ready, ..other }).await;
    let [one, two, three] = [session(1), session(2), session(3)];
    assert_eq!(found(&log, HeadFilter::default()).await, [two, three, one]);
    let filter = HeadFilter { agent: Some(name("other")), ..HeadFilter::default() };
    assert_eq!(found(&log, filter.clone()).await, [two, three]);
    assert_eq!(found(&log, HeadFilter { phases: vec![Phase::Suspended], ..filter }).await, [two]);
    let awake = HeadFilter { phases: vec![Phase::Running, Phase::Ready], ..HeadFilter::default() };
    assert_eq!(found(&log, awake.clone()).await, [three, one]);
    assert_eq!(found(&log, HeadFilter { limit: Some(1), ..awake }).await, [three]);
    assert_eq!(log.head(one).await.unwrap(), Some((head(), Pos(1))));
    assert_eq!(log.head(session(9)).await.unwrap(), None);
}

pub(crate) async fn those_who_wait_for_a_freeze_to_end_are_found_page_by_page(fixture: Fixture) {
    let log = fixture.log().await;
    let of = |agent: &str| Scope::Agent { agent: name(agent) };
    let waits = |scope: &Scope| Head { phase: Phase::Suspended, waits_on: frozen_words(scope), ..head() };
    for (n, scope) in [(3, of("a")), (1, of("a")), (2, of("ab")), (4, Scope::All), (5, of("a"))] {
        put(&log, session(n), waits(&scope)).await;
    }
    put(&log, session(6), head()).await;
    let frozen = |scope, after, limit| HeadFilter { frozen: Some(scope), after, limit, ..HeadFilter::default() };
    assert_eq!(found(&log, frozen(of("a"), None, None)).await, [session(1), session(3), session(5)]);
    assert_eq!(found(&log, frozen(of("a"), None, Some(2))).await, [session(1), session(3)]);
    assert_eq!(found(&log, frozen(of("a"), Some(session(3)), Some(2))).await, [session(5)]);
    assert_eq!(found(&log, frozen(of("a"), Some(session(5)), None)).await, []);
    assert_eq!(found(&log, frozen(of("ab"), None, None)).await, [session(2)]);
    assert_eq!(found(&log, frozen(Scope::All, None, None)).await, [session(4)]);
    assert_eq!(found(&log, frozen(of("b"), None, None)).await, []);
    // It goes on: nothing of it waits any more.
    let mut writer = log.load(session(1)).await.unwrap().unwrap().writer;
    log.commit(&mut writer, stamp(session(1)), head(), Rows::of(said("two"))).await.unwrap();
    assert_eq!(found(&log, frozen(of("a"), None, None)).await, [session(3), session(5)]);
}

pub(crate) async fn sessions_are_counted_by_phase(fixture: Fixture) {
    let log = fixture.log().await;
    let other = Head { agent: name("other"), ..head() };
    let mut first = log.begin(session_on(1, 1));
    let suspended = Head { phase: Phase::Suspended, ..head() };
    for head in [head(), suspended.clone(), head(), suspended.clone(), suspended.clone()] {
        log.commit(&mut first, stamp(session_on(1, 1)), head, Rows::of(said("one"))).await.unwrap();
    }
    put(&log, session(2), suspended.clone()).await;
    put(&log, session(3), other.clone()).await;
    put(&log, session(4), head()).await;
    let mut counts = log.counts().await.unwrap();
    counts.sort_by_key(|count| (count.agent.to_string(), count.sessions));
    let count = |agent, phase, sessions| PhaseCount { agent, phase, sessions };
    let finance = || name("finance");
    let expected = [
        count(finance(), Phase::Running, 1),
        count(finance(), Phase::Suspended, 2),
        count(name("other"), Phase::Running, 1),
    ];
    assert_eq!(counts, expected);
    // Who is erased stays where it was in its life.
    log.erase(session(2)).await.unwrap();
    assert_eq!(log.counts().await.unwrap().iter().map(|count| count.sessions).sum::<u64>(), 4);
}

pub(crate) async fn the_inbox_shows_what_is_open(fixture: Fixture) {
    let (log, id) = (fixture.log().await, session(1));
    let call = CallId { session: id, ordinal: 4 };
    let approval = InboxKey::Approval { approval: ApprovalId { call, round: 1 } };
    let in_doubt = InboxKey::InDoubt { call };
    let item = |key, since| InboxItem {
        key,
        session: id,
        agent: name("finance"),
        group: name("finance-platform"),
        since: Timestamp(since),
        expires: (since == 1).then_some(Timestamp(9)),
    };
    let open = vec![InboxChange::Open(item(in_doubt, 2)), InboxChange::Open(item(approval, 1))];
    let mut writer = log.begin(id);
    commit(&log, &mut writer, Rows { inbox: open, ..Rows::of(said("one")) }).await;
    assert_eq!(log.inbox().await.unwrap(), [item(approval, 1), item(in_doubt, 2)]);
    let close = vec![InboxChange::Close(approval)];
    commit(&log, &mut writer, Rows { inbox: close, ..Rows::of(said("two")) }).await;
    assert_eq!(log.inbox().await.unwrap(), [item(in_doubt, 2)]);
}

fn item(session: SessionId, ordinal: u32, expires: Option<i64>) -> MemoryItem {
    MemoryItem {
        agent: name("finance"),
        id: CallId { session, ordinal },
        text: format!("fact {ordinal}"),
        at: Timestamp(i64::from(ordinal)),
        expires: expires.map(Timestamp),
    }
}

pub(crate) async fn memory_is_recalled_until_it_is_forgotten_or_expires(fixture: Fixture) {
    let log = fixture.log().await;
    let agent = name("finance");
    let (mut one, mut two) = (log.begin(session(1)), log.begin(session(2)));
    let facts = [item(session(1), 1, None), item(session(1), 2, Some(50))];
    let memory = facts.iter().cloned().map(MemoryChange::Remember).collect();
    commit(&log, &mut one, Rows { memory, ..Rows::of(said("one")) }).await;
    let memory = vec![MemoryChange::Remember(item(session(2), 3, None))];
    commit(&log, &mut two, Rows { memory, ..Rows::of(said("two")) }).await;

    let recalled = log.recall(&agent, Timestamp(10), 10).await.unwrap();
    assert_eq!(recalled, [item(session(2), 3, None), facts[1].clone(), facts[0].clone()]);
    assert_eq!(log.recall(&agent, Timestamp(50), 10).await.unwrap().len(), 2);
    assert_eq!(log.recall(&name("other"), Timestamp(10), 10).await.unwrap(), []);

    // Any session of the agent may forget what another remembered.
    let memory = vec![MemoryChange::Forget { agent: agent.clone(), id: facts[0].id }];
    commit(&log, &mut two, Rows { memory, ..Rows::of(said("three")) }).await;
    assert_eq!(log.recall(&agent, Timestamp(10), 10).await.unwrap().len(), 2);
    assert_eq!(log.forget_expired(Timestamp(50)).await.unwrap(), 1);
    assert_eq!(log.recall(&agent, Timestamp(10), 10).await.unwrap(), [item(session(2), 3, None)]);
}

pub(crate) async fn what_is_remembered_and_forgotten_in_one_commit_is_forgotten(fixture: Fixture) {
    let log = fixture.log().await;
    let fact = item(session(1), 1, None);
    let forget = MemoryChange::Forget { agent: fact.agent.clone(), id: fact.id };
    let memory = vec![MemoryChange::Remember(fact), forget];
    let mut writer = log.begin(session(1));
    commit(&log, &mut writer, Rows { memory, ..Rows::of(said("one")) }).await;
    assert_eq!(log.recall(&name("finance"), Timestamp(0), 10).await.unwrap(), []);
}

pub(crate) async fn a_shared_text_is_found_by_its_hash(fixture: Fixture) {
    let log = fixture.log().await;
    for n in 1..3 {
        let mut writer = log.begin(session(n));
        let texts = vec!["be kind".to_owned(), "be kind".to_owned()];
        commit(&log, &mut writer, Rows { texts, ..Rows::of(said("one")) }).await;
    }
    let text = log.text(Digest::of(b"be kind")).await.unwrap();
    assert_eq!(text.as_deref(), Some("be kind"));
    assert_eq!(log.text(Digest::of(b"nothing")).await.unwrap(), None);
}
