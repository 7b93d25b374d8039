//! Views that follow a real log.

use std::time::Duration;

use data::results::Outcome;
use data::spend::By;
use data::store::View;
use data::tail::Views;
use domain::clock::Timestamp;
use domain::event::Event;
use domain::id::{Pos, Shard};
use domain::principal::Autonomy;

use crate::audit::open;
use crate::story::{Story, name, reconciliation};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn cost_and_results_are_there_once_the_views_have_caught_up() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let views = Views::start(log.clone(), None);
    reconciliation().commit(&log).await;
    assert!(views.caught_up(SOON).await);
    let cost = views.cost(By::Agent, Timestamp(0)).await.unwrap();
    assert_eq!((cost.total.amounts.usd_micros, cost.total.amounts.calls), (6_900, 6));
    let results = views.results(Some(&name("reconciliation-finance")), None, 10).await.unwrap();
    let answer = "INV-7 was not posted; I asked Acme for 4,180.00 USD.".to_owned();
    assert_eq!(results.len(), 1);
    assert_eq!((&results[0].outcome, results[0].key.as_str()), (&Outcome::Answered { answer }, "invoice-7"));
    assert!(views.results(Some(&name("nobody")), None, 10).await.unwrap().is_empty());
    views.stop().await;
    log.stop().await;
}

#[tokio::test]
async fn views_follow_by_themselves_what_is_committed_later() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let views = Views::start(log.clone(), None);
    assert!(views.caught_up(SOON).await);
    reconciliation().commit(&log).await;
    assert!(views.caught_up_to(Shard(0), Pos(8), SOON).await);
    assert!(!views.caught_up_to(Shard(0), Pos(9), Duration::ZERO).await);
    assert_eq!(views.cost(By::Model, Timestamp(0)).await.unwrap().total.amounts.tokens, 3_702);
}

#[tokio::test]
async fn a_rebuilt_view_is_the_same_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let views = Views::start(log.clone(), None);
    reconciliation().commit(&log).await;
    assert!(views.caught_up(SOON).await);
    let before = views.cost(By::Tool, Timestamp(0)).await.unwrap();
    for view in [View::Spend, View::Results, View::Audit] {
        views.rebuild(view).await.unwrap();
    }
    assert_eq!(views.cost(By::Tool, Timestamp(0)).await.unwrap(), before);
    assert_eq!(views.results(None, None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_outcome_after_a_restart_is_counted_under_the_name_of_its_intent() {
    let dir = tempfile::tempdir().unwrap();
    let mut story = Story::begins("restart", Autonomy::Autonomous);
    story.and(story.thinks(1, 1));
    let log = open(dir.path()).await;
    let views = Views::start(log.clone(), None);
    story.commit(&log).await;
    views.stop().await;
    log.stop().await;
    drop((views, log));
    story.then(10, story.says(1, Vec::new()));
    story.and(Event::Failed { reason: "no words".to_owned(), refusal: None, compute_ms: 2 });
    let log = open(dir.path()).await;
    let views = Views::start(log.clone(), None);
    story.commit_from(&log, 1).await;
    assert!(views.caught_up(SOON).await);
    assert_eq!(views.cost(By::Model, Timestamp(0)).await.unwrap().lines[0].name, "claude-x");
    let results = views.results(None, Some(story.session), 10).await.unwrap();
    assert_eq!(results[0].outcome, Outcome::Failed { reason: "no words".to_owned() });
}

#[tokio::test]
async fn stopping_signs_what_was_not_signed_yet() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let views = Views::start(log.clone(), Some(data::audit::Auditor::open(&log, dir.path()).unwrap()));
    reconciliation().commit(&log).await;
    views.stop().await;
    let report = views.verify().await.unwrap().unwrap();
    assert!(report.ok, "{:#?}", report.problems);
    assert_eq!(report.shards[0].signed_to, Pos(8));
    assert!(dir.path().join("audit.checkpoints").exists());
}
