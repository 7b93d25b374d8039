//! Files that are not as they should be: one clear sentence each, and nothing damaged.
#![expect(clippy::unwrap_used, reason = "what tests are set up with is known to be right")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use data::commit::Log;
use data::error::{ControlError, Refused};
use data::seal::{SealError, Sealer};
use data::sqlite::{Options, SqliteStore};
use data::store::{About, Store, StoreError};
use domain::clock::{Clock, SystemClock};
use domain::control::{ControlEvent, Scope};
use domain::id::{Pos, SessionId};

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn open(dir: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(dir, clock())
}

fn refused(dir: &Path) -> StoreError {
    open(dir).err().expect("it must be refused")
}

/// A store with something in it, closed again.
async fn used(dir: &Path, said: &str) -> About {
    let store = open(dir).unwrap();
    let about = store.about().clone();
    let sealer = Sealer::open(dir, &about, clock()).unwrap();
    let log = Log::open(Arc::new(store), sealer, clock(), "embedded").await.unwrap();
    let event = ControlEvent::Frozen { what: Scope::All, reason: said.to_owned(), by: "admin".to_owned() };
    log.commit_control(Pos(0), "admin", vec![event]).await.unwrap();
    log.stop().await;
    about
}

fn sql(dir: &Path, statement: &str) {
    rusqlite::Connection::open(dir.join("ostler.db")).unwrap().execute_batch(statement).unwrap();
}

#[tokio::test]
async fn a_store_opens_again_with_its_id_and_what_was_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let about = used(dir.path(), "why").await;
    assert!(about.fresh);
    let again = open(dir.path()).unwrap();
    assert_eq!((again.about().store, again.about().fresh), (about.store, false));
    for private in ["ostler.db", "master.key", "lock"] {
        let mode = fs::metadata(dir.path().join(private)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{private}");
    }
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    for content in [&b"a diary"[..], b"", &[0; 4096]] {
        fs::write(dir.path().join("ostler.db"), content).unwrap();
        let error = refused(dir.path());
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains("not an Ostler store"), "{error}");
        assert_eq!(fs::read(dir.path().join("ostler.db")).unwrap(), content);
    }
}

#[test]
fn another_programs_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    sql(dir.path(), "PRAGMA journal_mode = WAL; CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
    let before = fs::read(dir.path().join("ostler.db")).unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert_eq!(fs::read(dir.path().join("ostler.db")).unwrap(), before);
    assert!(!dir.path().join("ostler.db-wal").exists());
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    used(dir.path(), "why").await;
    sql(dir.path(), "UPDATE meta SET format = 7, min_format = 6; PRAGMA wal_checkpoint(TRUNCATE)");
    let before = fs::read(dir.path().join("ostler.db")).unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, StoreError::Newer { found: 6, known: 2, .. }), "{error}");
    assert!(error.to_string().contains("upgrade Ostler"), "{error}");
    assert_eq!(fs::read(dir.path().join("ostler.db")).unwrap(), before);
}

#[tokio::test]
async fn a_newer_format_that_older_readers_may_use_opens() {
    let dir = tempfile::tempdir().unwrap();
    used(dir.path(), "why").await;
    sql(dir.path(), "UPDATE meta SET format = 7, min_format = 2");
    assert_eq!(open(dir.path()).unwrap().about().format, 7);
}

#[tokio::test]
async fn a_damaged_file_is_said_to_be_damaged() {
    let dir = tempfile::tempdir().unwrap();
    used(dir.path(), "why").await;
    let path = dir.path().join("ostler.db");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..8192].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[test]
fn a_directory_that_cannot_be_used_is_denied() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), b"").unwrap();
    let error = refused(&dir.path().join("file").join("data"));
    assert!(matches!(error, StoreError::Denied { .. }), "{error}");
    // Root may do anything: there is nothing to see as root.
    if rustix::process::geteuid().is_root() {
        return;
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let error = refused(&dir.path().join("data"));
    assert!(matches!(error, StoreError::Denied { .. }), "{error}");
}

#[tokio::test]
async fn a_full_disk_refuses_the_commit_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let about = used(dir.path(), "why").await;
    let options = Options { max_pages: Some(80), ..Options::default() };
    let store = SqliteStore::open_with(dir.path(), clock(), options).unwrap();
    let sealer = Sealer::open(dir.path(), &about, clock()).unwrap();
    let log = Log::open(Arc::new(store), sealer, clock(), "embedded").await.unwrap();
    let much = ControlEvent::Frozen { what: Scope::All, reason: "x".repeat(1 << 20), by: "admin".to_owned() };
    let error = log.commit_control(Pos(1), "admin", vec![much]).await.unwrap_err();
    assert!(matches!(error, ControlError::Refused(Refused::Full(_))), "{error}");
    assert!(error.to_string().contains("no space left"), "{error}");
    // That is said, and for how long; who waits is counted, and nobody else's success ends it.
    let outage = log.outage().unwrap();
    assert!(outage.why.contains("no space left") && outage.sessions.is_empty(), "{outage:?}");
    let waits = log.waits(SessionId::from_u128(1));
    log.commit_control(Pos(1), "admin", vec![ControlEvent::KeyRevoked { id: "first".to_owned() }]).await.unwrap();
    assert_eq!((log.outage().unwrap().sessions.len(), log.refusals()), (1, 1));
    drop(waits);
    assert_eq!(log.outage(), None);
    let much = ControlEvent::Frozen { what: Scope::All, reason: "x".repeat(1 << 20), by: "admin".to_owned() };
    log.commit_control(Pos(2), "admin", vec![much]).await.unwrap_err();
    // Nobody waits, so nobody tries: it is tried again by whoever asks, not at once.
    assert_eq!((log.outage_still().await.is_some(), log.refusals()), (true, 2));
    // What fits still goes in, and what was there is there.
    let little = ControlEvent::KeyRevoked { id: "key".to_owned() };
    assert_eq!(log.commit_control(Pos(2), "admin", vec![little]).await.unwrap(), Pos(3));
    assert_eq!(log.control_since(Pos(0)).await.unwrap().len(), 3);
    assert_eq!(log.outage(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_the_store_at_one_instant_while_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let about = used(dir.path(), "why").await;
    let sealer = || Sealer::open(dir.path(), &about, clock()).unwrap();
    let log = Log::open(Arc::new(open(dir.path()).unwrap()), sealer(), clock(), "embedded").await.unwrap();
    let big = |n: u64| ControlEvent::KeyRevoked { id: format!("{n}{}", "x".repeat(100_000)) };
    for n in 1..200 {
        log.commit_control(Pos(n), "admin", vec![big(n)]).await.unwrap();
    }
    let backup = tempfile::tempdir().unwrap();
    let to = backup.path().join("ostler.db");
    let copying = tokio::spawn({
        let (log, to) = (log.clone(), to.clone());
        async move { log.backup_to(&to).await.unwrap() }
    });
    let mut written = 200;
    while !copying.is_finished() {
        log.commit_control(Pos(written), "admin", vec![big(written)]).await.unwrap();
        written += 1;
    }
    assert_eq!(copying.await.unwrap(), fs::metadata(&to).unwrap().len());
    assert!(written > 200, "nothing was written while it was copied");
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(backup.path()).unwrap().count(), 1);

    let again = Log::open(Arc::new(open(backup.path()).unwrap()), sealer(), clock(), "embedded").await.unwrap();
    let copied = again.control_since(Pos(0)).await.unwrap();
    assert!((200..=written).contains(&(copied.len() as u64)), "{}", copied.len());
    assert!(log.control_since(Pos(0)).await.unwrap().starts_with(&copied));
    let refused = log.backup_to(&to).await.unwrap_err();
    assert!(refused.to_string().contains("a file of this name"), "{refused}");
}

#[tokio::test]
async fn nothing_that_was_said_can_be_read_in_the_files() {
    let dir = tempfile::tempdir().unwrap();
    used(dir.path(), "a-very-private-reason").await;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(12).any(|window| window == b"very-private"));
    }
}

#[tokio::test]
async fn a_missing_key_is_never_made_up_for_a_store_in_use() {
    let dir = tempfile::tempdir().unwrap();
    used(dir.path(), "why").await;
    let store = open(dir.path()).unwrap();
    let path = dir.path().join("master.key");
    let key = fs::read(&path).unwrap();

    fs::remove_file(&path).unwrap();
    let error = Sealer::open(dir.path(), store.about(), clock()).unwrap_err();
    assert_eq!(error, SealError::Missing { path: path.clone() });

    fs::write(&path, &key).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = Sealer::open(dir.path(), store.about(), clock()).unwrap_err();
    assert_eq!(error, SealError::Exposed { path: path.clone(), mode: 0o640 });

    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let other = About { store: 1, ..store.about().clone() };
    let error = Sealer::open(dir.path(), &other, clock()).unwrap_err();
    assert_eq!(error, SealError::Foreign { path: path.clone() });

    fs::write(&path, "a diary").unwrap();
    let error = Sealer::open(dir.path(), store.about(), clock()).unwrap_err();
    assert_eq!(error, SealError::Malformed { path });
}

#[tokio::test]
async fn what_another_key_sealed_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    used(dir.path(), "why").await;
    let sealer = Sealer::from_master(&[1; 32], clock());
    let log = Log::open(Arc::new(open(dir.path()).unwrap()), sealer, clock(), "embedded").await.unwrap();
    let error = log.control_since(Pos(0)).await.unwrap_err();
    assert!(error.to_string().contains("does not open with its key"), "{error}");
}
