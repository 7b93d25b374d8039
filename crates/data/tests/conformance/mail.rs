//! Mail: once per id while it waits, in order, consumed with what it caused.

use data::commit::Log;
use data::rows::Rows;
use domain::clock::Timestamp;
use domain::id::{MailId, SessionId, Shard};
use domain::mail::{Mail, MailBody};

use crate::world::{Fixture, commit, said, session};

const NOW: Timestamp = Timestamp(1_000);

fn mail(id: &str, session: SessionId, due: i64) -> Mail {
    Mail { id: id.parse().unwrap(), session, due: Timestamp(due), body: MailBody::Wake }
}

fn killed(id: &str, session: SessionId, reason: &str) -> Mail {
    let body = MailBody::Kill { by: "ana".to_owned(), reason: reason.to_owned() };
    Mail { body, ..mail(id, session, 0) }
}

async fn due(log: &Log) -> Vec<String> {
    let due = log.due(Shard(0), NOW, 100).await.unwrap();
    due.iter().map(|mail| mail.id.to_string()).collect()
}

fn consume(id: &str) -> Rows {
    let consumed: Vec<MailId> = vec![id.parse().unwrap()];
    Rows { consumed, ..Rows::of(said(id)) }
}

pub(crate) async fn mail_posted_twice_is_delivered_once(fixture: Fixture) {
    let log = fixture.log().await;
    log.post(vec![killed("a", session(1), "first"), killed("a", session(1), "second")]).await.unwrap();
    log.post(vec![killed("a", session(1), "third")]).await.unwrap();
    let due = log.due(Shard(0), NOW, 100).await.unwrap();
    assert_eq!(due, [killed("a", session(1), "first")]);
}

pub(crate) async fn the_same_id_to_two_sessions_reaches_both(fixture: Fixture) {
    let log = fixture.log().await;
    log.post(vec![mail("a", session(1), 0), mail("a", session(2), 0)]).await.unwrap();
    assert_eq!(due(&log).await, ["a", "a"]);
    let mut writer = log.begin(session(1));
    commit(&log, &mut writer, consume("a")).await;
    assert_eq!(log.due(Shard(0), NOW, 100).await.unwrap()[0].session, session(2));
}

pub(crate) async fn mail_posted_after_it_was_consumed_comes_again_for_the_session_to_know(fixture: Fixture) {
    let log = fixture.log().await;
    log.post(vec![mail("a", session(1), 0)]).await.unwrap();
    let mut writer = log.begin(session(1));
    commit(&log, &mut writer, consume("a")).await;
    assert_eq!(due(&log).await, [""; 0]);
    // The store keeps nothing of consumed mail: that it does nothing is known to the session's fold.
    log.post(vec![mail("a", session(1), 0)]).await.unwrap();
    assert_eq!(due(&log).await, ["a"]);
}

pub(crate) async fn due_mail_comes_in_the_order_of_its_time_and_then_of_posting(fixture: Fixture) {
    let log = fixture.log().await;
    assert_eq!(log.next_due(Shard(0), NOW).await.unwrap(), None);
    for (id, time) in [("z", 500), ("late", 1_001), ("b", 500), ("a", 500), ("first", 499)] {
        log.post(vec![mail(id, session(1), time)]).await.unwrap();
    }
    assert_eq!(due(&log).await, ["first", "z", "b", "a"]);
    assert_eq!(log.due(Shard(0), NOW, 2).await.unwrap().len(), 2);
    assert_eq!(log.next_due(Shard(0), NOW).await.unwrap(), Some(Timestamp(1_001)));
    assert_eq!(log.next_due(Shard(1), NOW).await.unwrap(), None);
}

pub(crate) async fn a_commit_posts_and_consumes_mail_with_its_record(fixture: Fixture) {
    let log = fixture.log().await;
    log.post(vec![mail("a", session(1), 0)]).await.unwrap();
    let mut writer = log.begin(session(1));
    let rows = Rows { mail: vec![mail("b", session(2), 0), mail("later", session(1), 2_000)], ..consume("a") };
    commit(&log, &mut writer, rows).await;
    assert_eq!(due(&log).await, ["b"]);
    let later = log.due(Shard(0), Timestamp(2_000), 100).await.unwrap();
    assert_eq!(later.last().unwrap(), &mail("later", session(1), 2_000));
}

pub(crate) async fn mail_that_says_nothing_is_thrown_away(fixture: Fixture) {
    let log = fixture.log().await;
    log.post(vec![mail("a", session(1), 0), mail("b", session(1), 0), mail("a", session(2), 0)]).await.unwrap();
    log.discard(session(1), vec!["a".parse().unwrap(), "unknown".parse().unwrap()]).await.unwrap();
    assert_eq!(due(&log).await, ["b", "a"]);
}

pub(crate) async fn a_post_wakes_whoever_waits_for_mail(fixture: Fixture) {
    let log = fixture.log().await;
    log.post(vec![mail("a", session(1), 0)]).await.unwrap();
    log.mail_posted().notified().await;
    let mut writer = log.begin(session(2));
    commit(&log, &mut writer, Rows { mail: vec![mail("b", session(1), 0)], ..Rows::of(said("one")) }).await;
    log.mail_posted().notified().await;
}
