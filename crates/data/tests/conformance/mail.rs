//! Mail: once per id while it waits, in order, consumed with what it caused.

use data::commit::Log;
use data::rows::Rows;
use data::store::MailRow;
use domain::clock::Timestamp;
use domain::id::{MailId, SessionId, Shard};
use domain::mail::{Mail, MailBody};
use serde_json::json;

use crate::world::{Fixture, commit, name, said, session};

const NOW: Timestamp = Timestamp(1_000);

fn mail(id: &str, session: SessionId, due: i64) -> Mail {
    Mail { id: id.parse().unwrap(), session, due: Timestamp(due), body: MailBody::Wake }
}

fn killed(id: &str, session: SessionId, reason: &str) -> Mail {
    let body = MailBody::Kill { by: "ana".to_owned(), reason: reason.to_owned() };
    Mail { body, ..mail(id, session, 0) }
}

async fn all(log: &Log, now: Timestamp) -> Vec<Mail> {
    let page = log.due(Shard(0), now, None, 100).await.unwrap();
    assert_eq!(page.next, None);
    page.mail
}

async fn due(log: &Log) -> Vec<String> {
    ids(&all(log, NOW).await)
}

fn ids(mail: &[Mail]) -> Vec<String> {
    mail.iter().map(|mail| mail.id.to_string()).collect()
}

fn consume(id: &str) -> Rows {
    let consumed: Vec<MailId> = vec![id.parse().unwrap()];
    Rows { consumed, ..Rows::of(said(id)) }
}

pub(crate) async fn mail_posted_twice_is_delivered_once(fixture: Fixture) {
    let log = fixture.log().await;
    log.post(vec![killed("a", session(1), "first"), killed("a", session(1), "second")]).await.unwrap();
    log.post(vec![killed("a", session(1), "third")]).await.unwrap();
    assert_eq!(all(&log, NOW).await, [killed("a", session(1), "first")]);
}

pub(crate) async fn the_same_id_to_two_sessions_reaches_both(fixture: Fixture) {
    let log = fixture.log().await;
    log.post(vec![mail("a", session(1), 0), mail("a", session(2), 0)]).await.unwrap();
    assert_eq!(due(&log).await, ["a", "a"]);
    let mut writer = log.begin(session(1));
    commit(&log, &mut writer, consume("a")).await;
    assert_eq!(all(&log, NOW).await[0].session, session(2));
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
    assert_eq!(log.due(Shard(0), NOW, None, 2).await.unwrap().mail.len(), 2);
    assert_eq!(log.next_due(Shard(0), NOW).await.unwrap(), Some(Timestamp(1_001)));
    assert_eq!(log.next_due(Shard(1), NOW).await.unwrap(), None);
}

pub(crate) async fn due_mail_is_paged_to_its_end_and_none_of_it_hides_the_rest(fixture: Fixture) {
    let log = fixture.log().await;
    let several = [("d", 2, 500), ("a", 3, 500), ("b", 1, 500), ("e", 1, 499), ("c", 2, 500)];
    log.post(several.map(|(id, of, time)| mail(id, session(of), time)).to_vec()).await.unwrap();
    for limit in 1..=6 {
        let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = log.due(Shard(0), NOW, after, limit).await.unwrap();
            found.extend(ids(&page.mail));
            pages += 1;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, ["e", "d", "a", "b", "c"], "{limit} at a time");
        assert_eq!(pages, 5 / limit + 1, "{limit} at a time");
    }
    // Where a look ended is behind what it saw, also once that is gone.
    let first = log.due(Shard(0), NOW, None, 2).await.unwrap();
    log.discard(session(2), vec!["d".parse().unwrap()]).await.unwrap();
    assert_eq!(ids(&log.due(Shard(0), NOW, first.next, 9).await.unwrap().mail), ["a", "b", "c"]);
}

pub(crate) async fn mail_that_cannot_be_read_is_left_out_and_stays(fixture: Fixture) {
    let log = fixture.log().await;
    // Deeper than what is read, and no deeper than what is written.
    let edited = (0..200).fold(json!({}), |inner, _| json!({ "in": inner }));
    let verdict = domain::call::ApprovalVerdict {
        approval: "ses_00000000000000000000000001.1-1".parse().unwrap(),
        approved: true,
        person: name("ana"),
        reason: String::new(),
        edited: Some(edited),
        at: NOW,
        signature: String::new(),
    };
    let deep = Mail { body: MailBody::Verdict { verdict }, ..mail("deep", session(1), 0) };
    log.post(vec![mail("a", session(1), 0), deep, mail("b", session(2), 0)]).await.unwrap();
    let row = |id: &str| MailRow {
        shard: Shard(0),
        session: session(1),
        id: id.parse().unwrap(),
        due: Timestamp(0),
        posted: 0,
        body: b"not sealed".to_vec(),
    };
    fixture.post(vec![row("rubbish")]).await.unwrap();
    for _ in 0..2 {
        assert_eq!(due(&log).await, ["a", "b"]);
    }
    assert_eq!(fixture.due(Shard(0), NOW, None, 9).await.unwrap().mail.len(), 4);
    // A page of nothing else is not the end.
    let page = log.due(Shard(0), NOW, None, 1).await.unwrap();
    assert_eq!((page.mail.len(), page.next.is_some()), (0, true));
}

pub(crate) async fn mail_may_be_posted_under_the_id_that_its_commit_consumes(fixture: Fixture) {
    let log = fixture.log().await;
    log.post(vec![mail("timer", session(1), 0)]).await.unwrap();
    let mut writer = log.begin(session(1));
    commit(&log, &mut writer, Rows { mail: vec![mail("timer", session(1), 900)], ..consume("timer") }).await;
    assert_eq!(all(&log, NOW).await, [mail("timer", session(1), 900)]);
}

pub(crate) async fn a_commit_posts_and_consumes_mail_with_its_record(fixture: Fixture) {
    let log = fixture.log().await;
    log.post(vec![mail("a", session(1), 0)]).await.unwrap();
    let mut writer = log.begin(session(1));
    let rows = Rows { mail: vec![mail("b", session(2), 0), mail("later", session(1), 2_000)], ..consume("a") };
    commit(&log, &mut writer, rows).await;
    assert_eq!(due(&log).await, ["b"]);
    let later = all(&log, Timestamp(2_000)).await;
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
