//! Formats that were released: a store that was written in one of them opens, and everything in it is there. Each is
//! kept as its own binary left it behind, killed while a session waited for consent.
#![expect(clippy::unwrap_used, reason = "what tests are set up with is known to be right")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use data::audit::{Auditor, CheckpointKey, Kept, verify};
use data::commit::Log;
use data::record::Stamp;
use data::rows::Rows;
use data::seal::Sealer;
use data::sqlite::SqliteStore;
use data::store::Store;
use data::tail::Follower;
use domain::clock::{Clock, SystemClock, Timestamp};
use domain::event::Event;
use domain::id::{Pos, SessionId, Shard};
use domain::mail::{MailBody, MailClass, Start};
use domain::message::{Message, Origin, Role};
use domain::session::{CallState, Phase, Session};
use tempfile::TempDir;

/// The session that waits, in every kept store.
const WAITS: &str = "ses_7118b9dzpa41qsdez6a7967f91";

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// A copy of a kept store.
fn kept(format: &str) -> TempDir {
    let (dir, from) = (tempfile::tempdir().unwrap(), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(format));
    for file in ["ostler.db", "master.key"] {
        let to = dir.path().join(file);
        fs::copy(from.join(file), &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
    }
    dir
}

async fn open(dir: &Path) -> Log {
    let store = SqliteStore::open(dir, clock()).unwrap();
    let sealer = Sealer::open(dir, store.about(), clock()).unwrap();
    Log::open(Arc::new(store), sealer, clock(), "test").await.unwrap()
}

async fn session(log: &Log) -> Session {
    let id: SessionId = WAITS.parse().unwrap();
    let mut records = log.past(id).await.unwrap().unwrap().records.into_iter();
    let first = records.next().unwrap();
    let (at, mut events) = (first.envelope.at, first.events.unwrap().into_iter());
    let Some(Event::SessionStarted { principal, key, trace, .. }) = events.next() else { panic!("a start") };
    let mut session =
        Session::started(id, Start { principal, key, trace, case: None, partition: None, attached: false }, at);
    events.for_each(|event| session.apply(&event, at));
    for record in records {
        let at = record.envelope.at;
        record.events.unwrap().iter().for_each(|event| session.apply(event, at));
    }
    session
}

fn sql<T: rusqlite::types::FromSql>(dir: &Path, query: &str) -> T {
    let db = rusqlite::Connection::open(dir.join("ostler.db")).unwrap();
    db.query_row(query, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn the_first_format_is_brought_forward_whole() {
    let dir = kept("format1");
    assert_eq!(sql::<u32>(dir.path(), "SELECT format FROM meta"), 1);
    let log = open(dir.path()).await;
    assert_eq!(sql::<u32>(dir.path(), "SELECT format FROM meta WHERE migrated_from = 1 AND migrated > 0"), 2);

    let waiting = session(&log).await;
    assert_eq!((waiting.phase, waiting.open.len()), (Phase::Suspended, 5));
    let on_people = waiting.open.values().filter(|open| open.approval.is_some());
    assert!(on_people.clone().all(|open| matches!(open.state, CallState::Waiting { .. })));
    assert_eq!((on_people.count(), log.inbox().await.unwrap().len()), (5, 5));
    // How its mail is queued was not known: it goes first, and counts against nothing.
    let due = log.due(&[Shard(0)], Timestamp(i64::MAX), None, 10).await.unwrap().rows;
    assert!(matches!(due.as_slice(), [row] if row.class == MailClass::Decision && row.agent.is_empty()));
    let mail = log.mail(waiting.id, Timestamp(i64::MAX), 10).await.unwrap().mail;
    assert!(matches!(mail.as_slice(), [mail] if mail.body == MailBody::Wake && mail.id == due[0].id));
    let agent = "note-keeper".parse().unwrap();
    let noted = log.recall(&agent, Timestamp(0), 10).await.unwrap();
    assert!(noted[0].text.contains("third working day"), "{noted:?}");
    let (head, pos) = log.head(waiting.id).await.unwrap().unwrap();
    assert_eq!((head.phase, head.key.as_str(), pos), (Phase::Suspended, "acme-october", Pos(12)));
    log.stop().await;
}

#[tokio::test]
async fn what_the_first_format_sealed_verifies_and_goes_on() {
    let dir = kept("format1");
    let log = open(dir.path()).await;
    let auditor = Arc::new(Auditor::new(&log, CheckpointKey::from_seed([1; 32]), Kept::in_memory()));
    let waiting = session(&log).await;
    let mut writer = log.load(waiting.id).await.unwrap().unwrap().writer;
    let (head, _) = log.head(waiting.id).await.unwrap().unwrap();
    let message = Message::text(Role::Person, Origin::Person, "Go on.");
    let said = Event::MessageReceived { mail: "more".parse().unwrap(), from: None, message };
    let stamp = Stamp {
        principal: waiting.principal.clone(),
        trace: waiting.trace,
        parent: None,
        cause: "more".to_owned(),
        control_pos: log.control_pos(),
        mode: waiting.principal.mode(),
        synthetic: false,
    };
    let receipt = log.commit(&mut writer, stamp, head, Rows::of(said)).await.unwrap();
    assert_eq!((receipt.pos(), receipt.seq().0), (Pos(13), writer.seq().0));

    Follower::new(log.clone(), Some(auditor.clone())).catch_up().await.unwrap();
    let report = verify(&log, auditor.kept(), &auditor.verifier()).await.unwrap();
    assert!(report.ok, "{report:?}");
    assert_eq!(report.shards.iter().map(|shard| shard.records).sum::<u64>(), 16);
    log.stop().await;
}

#[tokio::test]
async fn a_store_is_brought_forward_once() {
    let dir = kept("format1");
    open(dir.path()).await.stop().await;
    let migrated: i64 = sql(dir.path(), "SELECT migrated FROM meta");
    open(dir.path()).await.stop().await;
    assert_eq!(sql::<i64>(dir.path(), "SELECT migrated FROM meta"), migrated);
}

#[test]
fn a_migration_that_fails_leaves_the_store_as_it_was() {
    let dir = kept("format1");
    let in_the_way = rusqlite::Connection::open(dir.path().join("ostler.db")).unwrap();
    in_the_way.execute_batch("CREATE TABLE phase_count (theirs TEXT)").unwrap();
    drop(in_the_way);
    assert!(SqliteStore::open(dir.path(), clock()).is_err());
    assert_eq!(sql::<u32>(dir.path(), "SELECT format FROM meta"), 1);
    assert_eq!(sql::<u32>(dir.path(), "SELECT count(*) FROM sqlite_schema WHERE name = 'snapshot'"), 0);
}
