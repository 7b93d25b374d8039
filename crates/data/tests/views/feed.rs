//! The feed, from a real log.

use std::collections::BTreeSet;
use std::time::Duration;

use data::feed::{Content, Cursor, Feed, FeedError, FeedEvent, Filter};
use domain::control::ControlEvent;
use domain::id::{Pos, Shard};
use domain::principal::Autonomy;

use crate::audit::open;
use crate::story::{Story, name, reconciliation};

const SOON: Duration = Duration::from_secs(20);

async fn rest(feed: &mut Feed) -> Vec<FeedEvent> {
    let mut told = Vec::new();
    while let Some(page) = feed.page().await.unwrap() {
        told.extend(page);
    }
    told
}

async fn told(log: &data::commit::Log, after: Option<&str>, filter: Filter, content: Content) -> Vec<FeedEvent> {
    let after = after.map(|cursor| cursor.parse().unwrap());
    rest(&mut Feed::open(log, after, filter, content).await.unwrap()).await
}

fn kinds(events: &[FeedEvent]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

#[tokio::test]
async fn everything_is_told_from_the_beginning_in_order_and_without_content() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let story = reconciliation();
    let committed: Vec<_> = story.told.iter().flat_map(|(_, _, events)| events).map(|event| event.kind()).collect();
    story.commit(&log).await;
    log.commit_control(Pos(0), "ana", vec![ControlEvent::KeyRevoked { id: "k1".to_owned() }]).await.unwrap();
    let events = told(&log, None, Filter::default(), Content::None).await;
    let (control, session): (Vec<_>, Vec<_>) = events.iter().cloned().partition(|event| event.subject == "control");
    assert_eq!(kinds(&session), committed);
    assert_eq!((kinds(&control), control[0].cause.as_str()), (vec!["key_revoked"], "ana"));
    assert!(session.iter().all(|event| event.session == Some(story.session)
        && event.agent == Some(name("reconciliation-finance"))
        && event.person == Some(name("ana"))
        && event.data.content.is_none()));
    let ids: BTreeSet<_> = events.iter().map(|event| &event.id).collect();
    assert_eq!(ids.len(), events.len());
    let text = serde_json::to_string(&events).unwrap();
    assert!(!text.contains("Acme"), "content in {text}");
}

#[tokio::test]
async fn a_follower_goes_on_behind_any_event_and_misses_none() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    reconciliation().commit(&log).await;
    let all = told(&log, None, Filter::default(), Content::None).await;
    for (i, event) in all.iter().enumerate() {
        let rest = told(&log, Some(&event.cursor), Filter::default(), Content::None).await;
        // At least once: events of the same record may be told again, none is left out.
        assert!(rest.len() >= all.len() - i - 1, "{event:?}");
        assert!(all.ends_with(&rest), "{event:?}");
        assert!(rest.iter().all(|again| again.seq >= event.seq), "{event:?}");
    }
    let last = all.last().unwrap();
    assert!(told(&log, Some(&last.cursor), Filter::default(), Content::None).await.is_empty());
}

#[tokio::test]
async fn an_event_that_was_asked_for_is_not_told_again_to_whoever_goes_on_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    reconciliation().commit(&log).await;
    let only = |kind: &str| Filter { kinds: [kind.to_owned()].into(), ..Filter::default() };
    for kind in ["session_started", "model_requested", "call_requested", "finished"] {
        let events = told(&log, None, only(kind), Content::None).await;
        assert!(!events.is_empty() && events.iter().all(|event| event.kind == kind), "{kind}");
        let rest = told(&log, Some(&events.last().unwrap().cursor), only(kind), Content::None).await;
        assert_eq!(kinds(&rest), Vec::<&str>::new(), "{kind}");
    }
    let other = Filter { agent: Some(name("nobody")), ..Filter::default() };
    assert!(told(&log, None, other, Content::None).await.is_empty());
    let hidden = Filter { hidden: ["finished".to_owned()].into(), ..Filter::default() };
    assert!(!kinds(&told(&log, None, hidden, Content::None).await).contains(&"finished"));
}

#[tokio::test]
async fn content_is_told_where_it_is_asked_for_until_it_is_erased() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let story = reconciliation();
    story.commit(&log).await;
    let asked = told(&log, None, Filter::default(), Content::Sessions).await;
    assert_eq!(asked[0].data.content.as_ref().unwrap()["kind"], "session_started");
    assert!(serde_json::to_string(&asked).unwrap().contains("Acme"));
    log.erase(story.session).await.unwrap();
    let erased = told(&log, None, Filter::default(), Content::Sessions).await;
    assert_eq!(kinds(&erased), kinds(&asked));
    let gone = |event: &FeedEvent| event.data.without_content.as_deref() == Some("it was erased");
    assert!(erased.iter().all(|event| event.data.content.is_none() && gone(event)));
}

#[tokio::test]
async fn a_follower_at_the_end_is_woken_by_what_comes() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let mut feed = Feed::open(&log, None, Filter::default(), Content::None).await.unwrap();
    assert!(rest(&mut feed).await.is_empty());
    let later = async {
        tokio::task::yield_now().await;
        Story::begins("later", Autonomy::Autonomous).commit(&log).await;
    };
    let (woken, ()) = tokio::join!(tokio::time::timeout(SOON, feed.wait()), later);
    assert_eq!(woken, Ok(true));
    assert_eq!(kinds(&rest(&mut feed).await), ["session_started"]);
}

#[tokio::test]
async fn a_cursor_of_another_store_or_of_a_longer_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    reconciliation().commit(&log).await;
    let open = |cursor| Feed::open(&log, Some(cursor), Filter::default(), Content::None);
    let mine: Cursor = told(&log, None, Filter::default(), Content::None).await[0].cursor.parse().unwrap();
    assert!(open(mine.clone()).await.is_ok());
    assert_eq!(open(mine.clone().at([(Shard(0), Pos(900))])).await.err(), Some(FeedError::Ahead));
    assert_eq!(open(mine.at([(Shard(77), Pos(1))])).await.err(), Some(FeedError::Ahead));
    assert_eq!(open(Cursor::start(1)).await.err(), Some(FeedError::OtherStore));
}
