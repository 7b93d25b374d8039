//! Mail: once per id while it waits, in order, consumed with what it caused.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use data::commit::Log;
use data::rows::{Head, Rows};
use data::store::{DueBy, DueRow, HeadFilter, MailRow};
use domain::clock::{Clock, Timestamp};
use domain::id::{MailId, Pos, SessionId, Shard, TraceId};
use domain::mail::{Mail, MailBody, MailClass, Start, partition_number};
use domain::message::{Message, Origin, Role};
use domain::session::Phase;
use serde_json::json;

use crate::faulty::Faulty;
use crate::world::{Fixture, commit, head, name, principal, said, session, session_on, stamp};

const NOW: Timestamp = Timestamp(1_000);

fn mail(id: &str, session: SessionId, due: i64) -> Mail {
    Mail { id: id.parse().unwrap(), session, due: Timestamp(due), body: MailBody::Wake }
}

fn killed(id: &str, session: SessionId, reason: &str) -> Mail {
    let body = MailBody::Kill { by: "ana".to_owned(), reason: reason.to_owned() };
    Mail { body, ..mail(id, session, 0) }
}

/// What is due on shard 0, each with what it says.
async fn all(log: &Log, now: Timestamp) -> Vec<Mail> {
    let page = log.due(&[Shard(0)], now, None, 100).await.unwrap();
    assert_eq!(page.next_page, None);
    let mut mail = Vec::new();
    for row in page.rows {
        let of = log.mail(row.session, now, 100).await.unwrap().mail;
        mail.extend(of.into_iter().find(|mail| mail.id == row.id));
    }
    mail
}

async fn due(log: &Log) -> Vec<String> {
    ids(&log.due(&[Shard(0)], NOW, None, 100).await.unwrap().rows)
}

fn ids(rows: &[DueRow]) -> Vec<String> {
    rows.iter().map(|row| row.id.to_string()).collect()
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
    assert_eq!(next_due(&log, Shard(0)).await, None);
    for (id, time) in [("z", 500), ("late", 1_001), ("b", 500), ("a", 500), ("first", 499)] {
        log.post(vec![mail(id, session(1), time)]).await.unwrap();
    }
    assert_eq!(due(&log).await, ["first", "z", "b", "a"]);
    assert_eq!(log.due(&[Shard(0)], NOW, None, 2).await.unwrap().rows.len(), 2);
    assert_eq!(next_due(&log, Shard(0)).await, Some(Timestamp(1_001)));
    assert_eq!(next_due(&log, Shard(1)).await, None);
}

async fn next_due(log: &Log, shard: Shard) -> Option<Timestamp> {
    log.due(&[shard], NOW, None, 0).await.unwrap().next
}

pub(crate) async fn several_shards_are_looked_at_as_one(fixture: Fixture) {
    let log = fixture.log().await;
    let several = [(0, "c", 3), (3, "a", 1), (1, "later", 1_500), (1, "b", 2), (0, "d", 4), (2, "e", 0), (3, "f", 4)];
    let mail = several.map(|(shard, id, time)| mail(id, session_on(shard, 1), time));
    log.post(mail.to_vec()).await.unwrap();
    let shards = [Shard(0), Shard(1), Shard(3)];
    let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = log.due(&shards, NOW, after, 2).await.unwrap();
        assert_eq!(page.next, Some(Timestamp(1_500)));
        found.extend(ids(&page.rows));
        pages += 1;
        after = page.next_page;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((found.join(" "), pages), ("a b c d f".to_owned(), 3));
    assert_eq!(log.due(&[], NOW, None, 2).await.unwrap(), data::commit::DuePage::default());
}

pub(crate) async fn a_session_reads_its_own_mail_and_what_people_decided_first(fixture: Fixture) {
    let log = fixture.log().await;
    let (one, other, now) = (session(1), session(2), fixture.clock.now());
    let ago = |ms: i64| now.0 - ms;
    let later = Mail { due: Timestamp(ago(-1)), ..killed("later", one, "not yet") };
    let kill = Mail { due: Timestamp(ago(100)), ..killed("kill", one, "enough") };
    log.post(vec![mail("b", one, ago(200)), mail("a", one, ago(200)), mail("first", one, ago(300))]).await.unwrap();
    log.post(vec![later, kill, mail("x", other, 0)]).await.unwrap();
    let found = |mail: Vec<Mail>| mail.iter().map(|mail| mail.id.to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(found(log.mail(one, now, 9).await.unwrap().mail), "kill b a first", "in the order of posting");
    assert_eq!(found(log.mail(one, now, 2).await.unwrap().mail), "kill b");
    assert_eq!(found(log.mail(one, now.plus_ms(1), 9).await.unwrap().mail), "kill later b a first");
    assert_eq!(found(log.mail(session(9), now, 9).await.unwrap().mail), "");
}

pub(crate) async fn what_was_due_when_it_was_posted_is_due_whatever_the_clock_says_later(fixture: Fixture) {
    let log = fixture.log().await;
    let (id, posted) = (session(1), fixture.clock.now());
    log.post(vec![mail("at-once", id, posted.0), mail("timer", id, posted.0 + 1)]).await.unwrap();
    fixture.clock.move_ms(-600_000);
    // The last stamp is ahead of the clock: what is meant for later must not look as if it had been due.
    let now = fixture.clock.now();
    log.post(vec![mail("soon", id, now.0 + 60_000), mail("now", id, now.0)]).await.unwrap();
    let log = &log;
    let rows = |by: DueBy| async move { ids(&log.due(&[Shard(0)], by, None, 9).await.unwrap().rows).join(" ") };
    assert_eq!(rows(DueBy::all(now)).await, "now at-once");
    assert_eq!(rows(now.into()).await, "now", "a look at what falls due goes no further");
    let far = DueBy { now, ahead: posted };
    assert_eq!(rows(far).await, "now at-once");
    assert_eq!(log.due(&[Shard(0)], far, None, 1).await.unwrap().next, Some(now.plus_ms(60_000)));
    let first = log.due(&[Shard(0)], far, None, 1).await.unwrap();
    assert_eq!(ids(&log.due(&[Shard(0)], far, first.next_page, 1).await.unwrap().rows), ["at-once"]);
    let read = |now: Timestamp| async move {
        let mail = log.mail(id, now, 9).await.unwrap().mail;
        mail.iter().map(|mail| mail.id.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(read(now).await, "at-once now", "what was written first is read first");
    assert_eq!(read(now.plus_ms(60_000)).await, "soon at-once now");
    assert_eq!(read(posted.plus_ms(1)).await, "soon at-once now timer");
}

pub(crate) async fn what_is_posted_after_a_restart_with_the_clock_set_back_comes_after_what_waits(fixture: Fixture) {
    let (id, posted) = (session(1), fixture.clock.now());
    fixture.log().await.post(vec![mail("z-before", id, posted.0)]).await.unwrap();
    fixture.clock.move_ms(-600_000);
    let (log, now) = (fixture.log().await, fixture.clock.now());
    let first = log.due(&[Shard(0)], DueBy::all(now), None, 9).await.unwrap();
    assert_eq!(ids(&first.rows), ["z-before"], "whoever starts looks what waits");
    log.post(vec![mail("after", id, now.0)]).await.unwrap();
    let read = log.mail(id, now, 9).await.unwrap().mail;
    assert_eq!(read.iter().map(|mail| mail.id.to_string()).collect::<Vec<_>>(), ["z-before", "after"]);
}

/// A message to a session, and the class, agent and partition that it is queued by.
pub(crate) async fn mail_says_in_whose_turn_it_is(fixture: Fixture) {
    let log = fixture.log().await;
    let id = session(1);
    let message = |key: &str, partition: Option<&str>| {
        let partition = partition.map(str::to_owned);
        let start = Start {
            principal: principal(id),
            key: "k".to_owned(),
            trace: TraceId(1),
            case: None,
            partition,
            attached: false,
        };
        let message = Message::text(Role::Person, Origin::Person, "hello");
        let body = MailBody::Message { start: Box::new(start), from: None, message };
        Mail { id: key.parse().unwrap(), session: id, due: Timestamp(1), body }
    };
    log.post(vec![message("alone", None), message("of-ana", Some("ana")), mail("wake", id, 2)]).await.unwrap();
    log.post(vec![killed("kill", id, "enough")]).await.unwrap();
    let number = partition_number(&name("finance"), "ana");
    let mut writer = log.begin(id);
    let head = Head { partition: Some(number), ..head() };
    let own = Rows { mail: vec![mail("timer", id, 3), mail("other", session(2), 4)], ..Rows::of(said("one")) };
    log.commit(&mut writer, stamp(id), head.clone(), own).await.unwrap();
    let rows = log.due(&[Shard(0)], NOW, None, 9).await.unwrap().rows;
    let said = |row: &DueRow| (row.id.to_string(), row.class, row.agent.clone(), row.partition);
    let queued = |id: &str, class, agent: &str, partition| (id.to_owned(), class, agent.to_owned(), partition);
    let expected = [
        queued("kill", MailClass::Decision, "", None),
        queued("alone", MailClass::Message, "finance", None),
        queued("of-ana", MailClass::Message, "finance", Some(number)),
        queued("wake", MailClass::Wake, "", None),
        queued("timer", MailClass::Wake, "finance", Some(number)),
        queued("other", MailClass::Wake, "", None),
    ];
    assert_eq!(rows.iter().map(said).collect::<Vec<_>>(), expected);
    // Those who serve the mailboxes are told the same, without a look at the table.
    let mut posts = log.take_posts();
    posts.rows.sort_by_key(|row| (row.due, row.posted));
    assert_eq!((posts.rows, posts.missed), (rows, false));
    let told = log.take_posts();
    assert_eq!((told.rows.len(), told.missed), (0, false));
    // Who of a partition is unfinished.
    let of =
        |phase, partition| HeadFilter { phases: vec![phase], partitions: vec![7, partition], ..HeadFilter::default() };
    assert_eq!(log.heads(of(Phase::Running, number)).await.unwrap(), [(id, head, Pos(1))]);
    assert_eq!(log.heads(of(Phase::Suspended, number)).await.unwrap(), []);
    assert_eq!(log.heads(of(Phase::Running, 8)).await.unwrap(), []);
}

pub(crate) async fn a_post_that_may_have_failed_is_said_to_be_missed(fixture: Fixture) {
    let faulty = Arc::new(Faulty::around(fixture.store.clone()));
    let log = fixture.log_on(faulty.clone(), "node-a").await;
    faulty.no_posts.store(true, Ordering::SeqCst);
    log.post(vec![mail("a", session(1), 0)]).await.unwrap_err();
    log.mail_posted().notified().await;
    let posts = log.take_posts();
    assert_eq!((posts.rows.len(), posts.missed), (0, true));
    // Of more than can be kept it is said that there is more.
    faulty.no_posts.store(false, Ordering::SeqCst);
    let many = (0..20_000).map(|n| mail(&format!("m{n}"), session(1), 0)).collect();
    log.post(many).await.unwrap();
    assert!(log.take_posts().missed);
}

pub(crate) async fn due_mail_is_paged_to_its_end_and_none_of_it_hides_the_rest(fixture: Fixture) {
    let log = fixture.log().await;
    let several = [("d", 2, 500), ("a", 3, 500), ("b", 1, 500), ("e", 1, 499), ("c", 2, 500)];
    log.post(several.map(|(id, of, time)| mail(id, session(of), time)).to_vec()).await.unwrap();
    for limit in 1..=6 {
        let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = log.due(&[Shard(0)], NOW, after, limit).await.unwrap();
            found.extend(ids(&page.rows));
            pages += 1;
            after = page.next_page;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, ["e", "d", "a", "b", "c"], "{limit} at a time");
        assert_eq!(pages, 5 / limit + 1, "{limit} at a time");
    }
    // Where a look ended is behind what it saw, also once that is gone.
    let first = log.due(&[Shard(0)], NOW, None, 2).await.unwrap();
    log.discard(session(2), vec!["d".parse().unwrap()]).await.unwrap();
    assert_eq!(ids(&log.due(&[Shard(0)], NOW, first.next_page, 9).await.unwrap().rows), ["a", "b", "c"]);
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
        shown_at: None,
        by_link: None,
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
        class: MailClass::Message,
        agent: "finance".to_owned(),
        partition: None,
        body: b"not sealed".to_vec(),
    };
    fixture.post(vec![row("rubbish")]).await.unwrap();
    assert_eq!(due(&log).await, ["rubbish", "a", "deep", "b"]);
    // What cannot be read hides nothing, however little is asked for.
    for limit in [9, 1] {
        let found = log.mail(session(1), NOW, limit).await.unwrap();
        assert_eq!((found.mail, found.all), (vec![mail("a", session(1), 0)], true), "{limit} at a time");
    }
    // Once that is known, nobody is woken for it again; and a page of nothing else is not the end.
    assert_eq!(due(&log).await, ["a", "b"]);
    assert_eq!(fixture.due(&[Shard(0)], NOW.into(), None, 9).await.unwrap().rows.len(), 4);
    let page = log.due(&[Shard(0)], NOW, None, 1).await.unwrap();
    assert_eq!((page.rows.len(), page.next_page.is_some()), (0, true));
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
