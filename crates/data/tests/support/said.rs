//! Sessions that say little, for tests of stores that are stopped, killed and taken away. Included by path.

use data::commit::{Log, Receipt, SessionWriter};
use data::error::CommitError;
use data::record::Stamp;
use data::rows::{Head, Rows};
use domain::clock::Timestamp;
use domain::event::Event;
use domain::id::{Digest, Pos, Seq, SessionId, Shard, TraceId};
use domain::message::{Message, Origin, Role};
use domain::principal::{Autonomy, Link, Mode, Principal};
use domain::session::Phase;

/// What was acknowledged: whose commit, its number, and where it is.
pub(crate) type Acknowledged = (SessionId, Seq, Pos);

/// Commits one message of a session.
pub(crate) async fn say(log: &Log, writer: &mut SessionWriter, text: &str) -> Result<Receipt, CommitError> {
    let (agent, session) = ("finance".parse::<domain::id::Name>().unwrap(), writer.session());
    let revision = Digest::of(b"revision");
    let principal = Principal {
        link: Link { agent: agent.clone(), revision, session, call: None },
        owner: agent.clone(),
        on_behalf_of: None,
        parents: Vec::new(),
        autonomy: Autonomy::Supervised,
    };
    let stamp = Stamp {
        principal: std::sync::Arc::new(principal),
        trace: TraceId(1),
        parent: None,
        cause: "test".to_owned(),
        control_pos: Pos(0),
        mode: Mode::Live,
        synthetic: false,
    };
    let (key, waits_on, mode) = ("k".to_owned(), String::new(), Mode::Live);
    let (phase, since, scripted, partition) = (Phase::Running, Timestamp(0), false, None);
    let head = Head { agent, revision, key, phase, since, waits_on, scripted, mode, partition };
    let message = Message::text(Role::Person, Origin::Person, text);
    let event = Event::MessageReceived { mail: "m".parse().unwrap(), from: None, message };
    log.commit(writer, stamp, head, Rows::of(event)).await
}

/// Every acknowledged commit is there, every shard is dense, and every session's chain opens from end to end.
pub(crate) async fn check(log: &Log, sessions: &[SessionId], acknowledged: &[Acknowledged]) {
    let mut records = 0;
    for shard in (0..log.shards()).map(Shard) {
        let tail = log.tail(shard, Pos(0), usize::MAX).await.unwrap();
        for (n, record) in tail.iter().enumerate() {
            assert_eq!(record.envelope.pos, Pos(n as u64 + 1));
        }
        for (session, seq, pos) in acknowledged.iter().filter(|(session, ..)| log.shard_of(*session) == shard) {
            let found = tail.get(usize::try_from(pos.0).unwrap() - 1).map(|record| &record.envelope);
            assert_eq!(found.map(|found| (found.session, found.seq)), Some((*session, *seq)), "lost");
        }
        records += tail.len();
    }
    let mut chained = 0;
    for session in sessions {
        let Some(past) = log.past(*session).await.unwrap() else { continue };
        assert!(past.records.iter().all(|record| record.events.is_some()));
        chained += past.records.len();
    }
    assert_eq!(chained, records);
}
