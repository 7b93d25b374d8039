//! Turns, told step by step: nothing here has a clock or a task.

use data::store::DueRow;
use domain::clock::Timestamp;
use domain::id::{SessionId, Shard};
use domain::mail::MailClass;

use super::{Backlog, Bounds, Go, Rested};

const SMALL: Bounds = Bounds { awake: 4, kept: 2, backlog: 8, mailbox: 3 };

fn session(n: u128) -> SessionId {
    SessionId::from_u128(n)
}

fn row(n: u128, agent: &str, posted: i64) -> DueRow {
    DueRow {
        shard: Shard(0),
        session: session(n),
        id: format!("m{posted}").parse().unwrap(),
        due: Timestamp(1),
        posted,
        class: MailClass::Message,
        agent: agent.to_owned(),
        partition: None,
    }
}

fn of_partition(n: u128, posted: i64) -> DueRow {
    DueRow { partition: Some(7), ..row(n, "a", posted) }
}

fn decision(n: u128) -> DueRow {
    DueRow { class: MailClass::Decision, agent: String::new(), ..row(n, "", 0) }
}

fn go(backlog: &mut Backlog) -> Option<Go> {
    backlog.next(|_| 2)
}

/// Everybody whose turn it is.
fn all(backlog: &mut Backlog) -> Vec<u128> {
    std::iter::from_fn(|| go(backlog)).map(|go| go.session.as_u128()).collect()
}

fn rests(backlog: &mut Backlog, n: u128) {
    rests_as(backlog, n, false);
}

fn rests_as(backlog: &mut Backlog, n: u128, unfinished: bool) {
    let seen = backlog.sessions[&session(n)].poke.count();
    backlog.rested(session(n), Rested { seen, asked: 0, partition: None, unfinished });
}

#[test]
fn agents_take_turns_and_none_has_more_at_work_than_it_may() {
    let mut backlog = Backlog::new(SMALL);
    [1, 2, 3, 4].into_iter().for_each(|n| backlog.arrived(&row(n, "popular", 0), None));
    [11, 12].into_iter().for_each(|n| backlog.arrived(&row(n, "quiet", 0), None));
    // In turns, two at once of each agent; the last line waits for one of its own to end.
    assert_eq!(all(&mut backlog), [1, 11, 2, 12]);
    rests(&mut backlog, 11);
    assert_eq!(all(&mut backlog), [0; 0]);
    rests(&mut backlog, 2);
    assert_eq!(all(&mut backlog), [3]);
    rests(&mut backlog, 1);
    assert_eq!(all(&mut backlog), [4]);
    [3, 4, 12].into_iter().for_each(|n| rests(&mut backlog, n));
    assert!(backlog.sessions.is_empty() && backlog.agents.is_empty(), "{backlog:?}");
}

#[test]
fn what_people_decide_goes_first_and_finds_room() {
    let mut backlog = Backlog::new(SMALL);
    (1..=6).for_each(|n| backlog.arrived(&row(n, &format!("a{n}"), 0), None));
    backlog.arrived(&decision(6), None);
    assert_eq!(all(&mut backlog), [6, 1, 2, 3]);
    // Every place is taken, and two are kept.
    [21, 22, 23].into_iter().for_each(|n| backlog.arrived(&decision(n), None));
    assert_eq!(all(&mut backlog), [21, 22]);
    rests(&mut backlog, 21);
    assert_eq!(all(&mut backlog), [23]);
    rests(&mut backlog, 1);
    assert_eq!(all(&mut backlog), [4]);
}

#[test]
fn mail_that_comes_as_a_session_comes_to_rest_wakes_it_again() {
    let mut backlog = Backlog::new(SMALL);
    backlog.arrived(&row(1, "a", 0), None);
    let seen = go(&mut backlog).unwrap().poke.count();
    backlog.arrived(&row(1, "a", 1), None);
    backlog.rested(session(1), Rested { seen, asked: 0, partition: None, unfinished: false });
    assert_eq!(all(&mut backlog), [1]);
    rests(&mut backlog, 1);
    assert_eq!(all(&mut backlog), [0; 0]);
    // A decision, too; and it goes first.
    backlog.arrived(&row(1, "a", 2), None);
    let seen = go(&mut backlog).unwrap().poke.count();
    backlog.arrived(&row(2, "a", 3), None);
    backlog.arrived(&decision(1), None);
    backlog.rested(session(1), Rested { seen, asked: 0, partition: None, unfinished: false });
    assert_eq!(all(&mut backlog), [1, 2]);
}

#[test]
fn messages_are_counted_and_refused_at_their_bound() {
    let mut backlog = Backlog::new(SMALL);
    let reserve = |backlog: &mut Backlog, n| backlog.reserve(session(n), Shard(0), "a", 4);
    let first = reserve(&mut backlog, 1).unwrap();
    backlog.arrived(&row(1, "a", 0), None);
    backlog.give_back(&first);
    // Two more are on their way: none goes into the mailbox, and one more into the queue.
    let places = [reserve(&mut backlog, 1).unwrap(), reserve(&mut backlog, 1).unwrap()];
    assert_eq!(reserve(&mut backlog, 1).unwrap_err().bound, "the session's mailbox");
    let other = reserve(&mut backlog, 2).unwrap();
    assert_eq!(reserve(&mut backlog, 3).unwrap_err().bound, "the agent's queue");
    // What could not be posted gives its place back.
    places.iter().chain([&other]).for_each(|place| backlog.give_back(place));
    let queue = |backlog: &Backlog| backlog.gauges(|_| (2, 4)).pop().unwrap();
    assert_eq!((queue(&backlog).bound, queue(&backlog).now, queue(&backlog).limit), ("queue", 1, 4));
    // Timers and decisions never count.
    backlog.arrived(&decision(1), None);
    backlog.arrived(&DueRow { class: MailClass::Wake, ..row(1, "a", 3) }, None);
    assert_eq!(queue(&backlog).now, 1);
    assert_eq!(all(&mut backlog), [1]);
    backlog.taken(session(1), 1);
    assert_eq!(queue(&backlog).now, 0);
    rests(&mut backlog, 1);
    assert!(backlog.sessions.is_empty());
}

#[test]
fn a_look_at_the_table_counts_nothing_twice() {
    let mut backlog = Backlog::new(SMALL);
    backlog.arrived(&row(1, "a", 0), None);
    backlog.arrived(&row(1, "a", 1), None);
    for look in [1, 2] {
        (0..3).for_each(|posted| backlog.arrived(&row(1, "a", posted), Some(look)));
        assert_eq!(backlog.sessions[&session(1)].mail, 3, "another node posted one");
    }
    assert_eq!(backlog.agents["a"].mail, 3);
    assert_eq!(all(&mut backlog), [1]);
}

#[test]
fn what_does_not_fit_stays_in_the_table_and_is_looked_at_again() {
    let mut backlog = Backlog::new(SMALL);
    (1..=9).for_each(|n| backlog.arrived(&row(n, "a", 0), None));
    assert!(backlog.overflowed() && backlog.is_full() && !backlog.wants_a_look());
    assert_eq!(backlog.reserve(session(20), Shard(0), "b", 9).unwrap_err().bound, "the node's backlog");
    // A decision always fits.
    backlog.arrived(&decision(9), None);
    assert_eq!(go(&mut backlog).unwrap().session, session(9));
    rests(&mut backlog, 9);
    for n in 1..=4 {
        assert_eq!(go(&mut backlog).unwrap().session, session(n));
        rests(&mut backlog, n);
    }
    assert!(backlog.wants_a_look());
    backlog.looking();
    assert!(backlog.reserve(session(20), Shard(0), "b", 9).is_ok());
}

#[test]
fn one_session_of_a_partition_at_a_time_in_the_order_of_its_mail() {
    let mut backlog = Backlog::new(SMALL);
    [3, 1, 2].into_iter().for_each(|n| backlog.arrived(&of_partition(n, 10 * n as i64), None));
    assert_eq!(all(&mut backlog), [0; 0], "nobody knows who is unfinished");
    assert_eq!(backlog.partitions_to_ask(9), [7]);
    backlog.unfinished(&[7], &[]);
    assert_eq!(all(&mut backlog), [1]);
    assert_eq!(backlog.partitions_to_ask(9), [0; 0]);
    // It waits for a person, and goes on holding the key.
    rests_as(&mut backlog, 1, true);
    assert_eq!(all(&mut backlog), [0; 0]);
    backlog.arrived(&decision(1), None);
    assert_eq!(all(&mut backlog), [1]);
    backlog.rested(session(1), Rested { seen: 0, asked: 0, partition: Some(7), unfinished: false });
    assert_eq!(all(&mut backlog), [2]);
    rests(&mut backlog, 2);
    assert_eq!(all(&mut backlog), [3]);
    rests(&mut backlog, 3);
    assert!(backlog.sessions.is_empty() && backlog.turnstiles.is_empty(), "{backlog:?}");
}

#[test]
fn the_unfinished_session_of_a_partition_is_found_after_a_restart() {
    let mut backlog = Backlog::new(SMALL);
    [1, 2].into_iter().for_each(|n| backlog.arrived(&of_partition(n, n as i64), None));
    assert_eq!(backlog.partitions_to_ask(9), [7]);
    backlog.unfinished(&[7], &[(7, session(5))]);
    assert_eq!(all(&mut backlog), [0; 0]);
    // It is killed: whose partition it was is known to its task alone.
    backlog.arrived(&decision(5), None);
    assert_eq!(all(&mut backlog), [5]);
    backlog.rested(session(5), Rested { seen: 0, asked: 0, partition: Some(7), unfinished: false });
    assert_eq!(all(&mut backlog), [1]);
    // A message to the one that is unfinished is taken by it.
    rests_as(&mut backlog, 1, true);
    backlog.arrived(&of_partition(1, 9), None);
    assert_eq!(all(&mut backlog), [1]);
}

#[test]
fn one_that_lets_go_while_the_store_is_asked_holds_nothing() {
    let mut backlog = Backlog::new(SMALL);
    backlog.arrived(&decision(5), None);
    assert_eq!(all(&mut backlog), [5]);
    backlog.arrived(&of_partition(1, 1), None);
    assert_eq!(backlog.partitions_to_ask(9), [7]);
    backlog.rested(session(5), Rested { seen: 0, asked: 0, partition: Some(7), unfinished: false });
    // The answer is from before that.
    backlog.unfinished(&[7], &[(7, session(5))]);
    assert_eq!(all(&mut backlog), [0; 0]);
    assert_eq!(backlog.partitions_to_ask(9), [7]);
    backlog.unfinished(&[7], &[]);
    assert_eq!(all(&mut backlog), [1]);
}

#[test]
fn one_whose_partition_is_taken_hears_what_people_decide_and_takes_no_message() {
    let mut backlog = Backlog::new(SMALL);
    [1, 2].into_iter().for_each(|n| backlog.arrived(&of_partition(n, n as i64), None));
    backlog.partitions_to_ask(9);
    backlog.unfinished(&[7], &[]);
    backlog.arrived(&decision(2), None);
    let (second, first) = (go(&mut backlog).unwrap(), go(&mut backlog).unwrap());
    assert_eq!((first.session, first.poke.messages_allowed()), (session(1), true));
    assert_eq!((second.session, second.poke.messages_allowed()), (session(2), false));
    rests(&mut backlog, 2);
    assert_eq!(all(&mut backlog), [0; 0]);
    rests(&mut backlog, 1);
    let second = go(&mut backlog).unwrap();
    assert_eq!((second.session, second.poke.messages_allowed()), (session(2), true));
    // Let through while it hears a decision, it is told so.
    backlog.arrived(&of_partition(3, 3), None);
    backlog.arrived(&decision(3), None);
    let third = go(&mut backlog).unwrap();
    assert!(!third.poke.messages_allowed());
    let seen = third.poke.count();
    rests(&mut backlog, 2);
    assert!(third.poke.messages_allowed() && third.poke.count() > seen);
}

#[test]
fn what_could_not_be_worked_on_is_tried_again_in_time_and_keeps_its_mail() {
    let mut backlog = Backlog::new(SMALL);
    backlog.arrived(&row(1, "a", 0), None);
    assert_eq!(all(&mut backlog), [1]);
    backlog.failed(session(1), 500);
    backlog.arrived(&row(1, "a", 1), None);
    backlog.arrived(&decision(1), None);
    backlog.try_again(499);
    assert_eq!((all(&mut backlog), backlog.next_try_ms()), (vec![], Some(500)));
    backlog.try_again(500);
    assert_eq!((all(&mut backlog), backlog.sessions[&session(1)].mail), (vec![1], 2));
    backlog.leave_alone(session(1));
    backlog.arrived(&row(1, "a", 2), None);
    assert_eq!(all(&mut backlog), [0; 0]);
    assert_eq!(backlog.reserve(session(1), Shard(0), "a", 9).unwrap_err().bound, "the session's mailbox");
}

#[test]
fn what_waits_on_a_shard_that_is_lost_is_anothers() {
    let mut backlog = Backlog::new(SMALL);
    backlog.arrived(&row(1, "a", 0), None);
    assert_eq!(all(&mut backlog), [1]);
    backlog.arrived(&row(2, "a", 0), None);
    backlog.arrived(&of_partition(3, 0), None);
    backlog.arrived(&DueRow { shard: Shard(1), ..row(4, "a", 0) }, None);
    backlog.lose(&[Shard(0)]);
    assert_eq!((all(&mut backlog), backlog.awake()), (vec![4], vec![session(1), session(4)]));
    rests(&mut backlog, 1);
    rests(&mut backlog, 4);
    assert!(backlog.sessions.is_empty() && backlog.turnstiles.is_empty() && backlog.agents.is_empty(), "{backlog:?}");
}
