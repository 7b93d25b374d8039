//! The control shard: no owner, optimistic on its position, in order.

use data::error::ControlError;
use data::rows::Rows;
use domain::control::{ControlEvent, Scope};
use domain::id::{Pos, SessionId, Shard};

use crate::world::{Fixture, commit, said, session};

fn frozen(reason: &str) -> ControlEvent {
    ControlEvent::Frozen { what: Scope::All, reason: reason.to_owned(), by: "admin".to_owned() }
}

pub(crate) async fn a_change_at_an_old_position_is_refused_and_says_where_it_moved(fixture: Fixture) {
    let log = fixture.log().await;
    assert_eq!(log.commit_control(Pos(0), "admin", vec![frozen("a"), frozen("b")]).await.unwrap(), Pos(1));
    let moved = log.commit_control(Pos(0), "admin", vec![frozen("c")]).await.unwrap_err();
    assert_eq!(moved, ControlError::Moved { now: Pos(1) });
    assert_eq!(log.commit_control(Pos(1), "admin", vec![frozen("c")]).await.unwrap(), Pos(2));
    assert_eq!(log.control_pos(), Pos(2));
}

pub(crate) async fn changes_read_back_in_order(fixture: Fixture) {
    let log = fixture.log().await;
    log.commit_control(Pos(0), "admin", vec![frozen("a"), frozen("b")]).await.unwrap();
    log.commit_control(Pos(1), "ana", vec![frozen("c")]).await.unwrap();
    let all = log.control_since(Pos(0)).await.unwrap();
    let read: Vec<_> = all.into_iter().map(|record| (record.pos.0, record.event)).collect();
    assert_eq!(read, [(1, frozen("a")), (1, frozen("b")), (2, frozen("c"))]);
    assert_eq!(log.control_since(Pos(1)).await.unwrap().len(), 1);
    let tail = log.tail(Shard::CONTROL, Pos(0), 10).await.unwrap();
    assert_eq!((tail[1].envelope.session, tail[1].envelope.prev), (SessionId::CONTROL, Pos(1)));
    assert_eq!(tail[1].envelope.headers[0].k, "frozen");
    assert_eq!(log.text(tail[1].envelope.principal).await.unwrap().as_deref(), Some("\"ana\""));
}

pub(crate) async fn many_changes_at_once_stay_dense(fixture: Fixture) {
    let log = fixture.log().await;
    let tasks = (0..8).map(|n| {
        let log = log.clone();
        tokio::spawn(async move {
            let mut expected = log.control_pos();
            loop {
                match log.commit_control(expected, "admin", vec![frozen(&n.to_string())]).await {
                    Ok(_) => break,
                    Err(ControlError::Moved { now }) => expected = now,
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let all = log.control_since(Pos(0)).await.unwrap();
    let positions: Vec<_> = all.iter().map(|record| record.pos.0).collect();
    assert_eq!(positions, (1..=8).collect::<Vec<_>>());
}

pub(crate) async fn every_commit_returns_the_control_position(fixture: Fixture) {
    let log = fixture.log().await;
    let other = fixture.log_on(fixture.store.clone(), "node-a").await;
    let mut writer = other.begin(session(1));
    assert_eq!(commit(&other, &mut writer, Rows::of(said("one"))).await.control_pos(), Pos(0));
    log.commit_control(Pos(0), "admin", vec![frozen("a")]).await.unwrap();
    let mut moved = other.control_moved();
    assert_eq!(other.control_pos(), Pos(0));
    assert_eq!(commit(&other, &mut writer, Rows::of(said("two"))).await.control_pos(), Pos(1));
    assert_eq!(*moved.wait_for(|pos| pos.0 > 0).await.unwrap(), Pos(1));
}

pub(crate) async fn what_was_changed_is_sealed(fixture: Fixture) {
    let log = fixture.log().await;
    log.commit_control(Pos(0), "admin", vec![frozen("a very private reason")]).await.unwrap();
    let rows = fixture.tail(Shard::CONTROL, Pos(0), 10).await.unwrap();
    let body = String::from_utf8_lossy(&rows[0].body).into_owned();
    assert!(!body.contains("private"), "{body}");
}
