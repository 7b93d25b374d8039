//! Erasure: the content goes, the proof stays.

use data::error::DataError;
use data::record::leaf;
use data::rows::{MemoryChange, MemoryItem, Rows};
use domain::clock::Timestamp;
use domain::id::{CallId, Pos, Shard};
use domain::mail::{Mail, MailBody};

use crate::world::{Fixture, commit, name, said, session};

pub(crate) async fn an_erased_sessions_envelopes_and_leaves_stay(fixture: Fixture) {
    let (log, id) = (fixture.log().await, session(1));
    let mut writer = log.begin(id);
    let fact = MemoryItem {
        agent: name("finance"),
        id: CallId { session: id, ordinal: 1 },
        text: "a fact".to_owned(),
        at: Timestamp(1),
        expires: None,
    };
    let memory = vec![MemoryChange::Remember(fact)];
    commit(&log, &mut writer, Rows { memory, ..Rows::of(said("secret")) }).await;
    let mut other = log.begin(session(2));
    commit(&log, &mut other, Rows::of(said("kept"))).await;
    log.post(vec![Mail { id: "m".parse().unwrap(), session: id, due: Timestamp(0), body: MailBody::Wake }])
        .await
        .unwrap();
    let before = log.tail(Shard(0), Pos(0), 10).await.unwrap();

    log.erase(id).await.unwrap();
    let after = log.tail(Shard(0), Pos(0), 10).await.unwrap();
    assert_eq!(before, after);
    let leaves = |tail: &[data::commit::Tailed]| -> Vec<_> {
        tail.iter().map(|record| leaf(&record.envelope, record.body_hash)).collect()
    };
    assert_eq!(leaves(&before), leaves(&after));
    let past = log.past(id).await.unwrap().unwrap();
    assert_eq!(past.records[0].events, None);
    assert_eq!(past.records[0].envelope.headers[0].k, "message_received");
    assert_eq!(past.head.key, "");
    assert_eq!(log.past(session(2)).await.unwrap().unwrap().records[0].events, Some(vec![said("kept")]));
    assert_eq!(log.recall(&name("finance"), Timestamp(1), 10).await.unwrap(), []);
    assert_eq!(log.due(&[Shard(0)], Timestamp(1), None, 10).await.unwrap().rows, []);
}

pub(crate) async fn an_erased_session_does_not_go_on(fixture: Fixture) {
    let (log, id) = (fixture.log().await, session(1));
    let mut writer = log.begin(id);
    commit(&log, &mut writer, Rows::of(said("secret"))).await;
    log.erase(id).await.unwrap();
    // Its writer would be a beginner's again, and one key that is there already fails all that commit with it.
    assert_eq!(log.load(id).await.unwrap_err(), DataError::Erased { session: id });
    let mut other = log.begin(session(2));
    commit(&log, &mut other, Rows::of(said("elsewhere"))).await;
}
