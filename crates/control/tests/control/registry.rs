//! The registry: a fold, and snapshots that never change.

use control::Registry;
use domain::control::{ControlEvent, HumanCase, Kind};
use domain::id::Pos;
use domain::principal::Autonomy;
use serde_json::json;

use crate::world::{ARTICLE, World, after, applied, article_with, grant, name};

#[test]
fn an_older_snapshot_never_changes() {
    let old = after(&Registry::default(), &[applied(ARTICLE)]);
    let new = after(&old, &[applied(&ARTICLE.replace("usd_per_day: 40", "usd_per_day: 50"))]);
    let agent = name("reconciliation-finance");
    assert_ne!(old.agent(&agent).unwrap().revision, new.agent(&agent).unwrap().revision);
    assert_eq!((old.pos(), new.pos()), (Pos(1), Pos(2)));
}

#[test]
fn every_revision_stays_known() {
    let old = after(&Registry::default(), &[applied(ARTICLE)]);
    let agent = name("reconciliation-finance");
    let first = old.agent(&agent).unwrap().revision;
    let new = after(&old, &[applied(&article_with("  autonomy: shadow"))]);
    assert!(new.revision(&agent, first).is_some());
    assert!(new.revision(&name("another"), first).is_none());
}

#[test]
fn a_grant_is_for_one_revision() {
    let mut world = World::with(&article_with("  autonomy: shadow"));
    grant(&mut world, Autonomy::Autonomous);
    let (agent, first) = (world.principal.link.agent.clone(), world.principal.link.revision);
    assert_eq!(world.registry.autonomy(&agent, first), Some(Autonomy::Autonomous));
    world.happened(applied(&article_with("  autonomy: shadow\n  limits: {turns: 5}")));
    let second = world.registry.agent(&agent).unwrap().revision;
    assert_eq!(world.registry.autonomy(&agent, second), Some(Autonomy::Shadow));
}

#[test]
fn trust_does_not_outlive_the_agent_that_it_was_given() {
    let text = article_with("  autonomy: shadow");
    let mut world = World::with(&text);
    grant(&mut world, Autonomy::Autonomous);
    let agent = world.principal.link.agent.clone();
    world.happened(ControlEvent::Deleted { of: Kind::Agent, name: agent.clone(), by: "admin".to_owned() });
    world.happened(applied(&text));
    let revision = world.registry.agent(&agent).unwrap().revision;
    assert_eq!(world.registry.autonomy(&agent, revision), Some(Autonomy::Shadow));
}

#[test]
fn cases_that_are_imported_again_replace_what_was_known_of_them() {
    let agent = name("reconciliation-finance");
    let import = |cases: &[(&str, u32)]| ControlEvent::CasesImported {
        agent: agent.clone(),
        cases: cases.iter().map(|(case, n)| HumanCase { case: (*case).to_owned(), did: json!({"n": n}) }).collect(),
        by: "admin".to_owned(),
    };
    let registry = after(&Registry::default(), &[import(&[("a", 1), ("a", 2), ("b", 3)]), import(&[("a", 4)])]);
    let cases = registry.cases(&agent);
    assert_eq!((&cases["a"], &cases["b"]), (&vec![json!({"n": 4})], &vec![json!({"n": 3})]));
}

#[test]
fn a_record_that_cannot_be_read_is_an_error_not_a_guess() {
    let mut event = applied(ARTICLE);
    let ControlEvent::Applied { resources, .. } = &mut event else { panic!() };
    resources[0].descriptor["spec"]["from_the_future"] = json!(true);
    let record = domain::control::ControlRecord { pos: Pos(1), at: domain::clock::Timestamp(0), event };
    let error = Registry::default().after(&[record]).unwrap_err();
    assert!(error.to_string().starts_with("the control plane's record at 1 cannot be read"), "{error}");
}
