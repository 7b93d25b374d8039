//! Readiness: accepted is not yet runnable, and each thing that is missing comes with the next command.

use std::sync::Arc;

use control::readiness::{self, Condition};
use control::{Checks, Registry};

use crate::world::{ARTICLE, PARTS, after, applied, checks, name, pinned};

fn lacking(registry: &Registry, checks: &Checks) -> Vec<Condition> {
    let all = readiness::of(registry, checks, &name("reconciliation-finance"));
    all.into_iter().filter(|condition| !condition.ok).collect()
}

#[test]
fn the_articles_descriptor_alone_is_accepted_and_not_ready() {
    let registry = after(&Registry::default(), &[applied(ARTICLE)]);
    let reasons: Vec<_> = lacking(&registry, &checks()).into_iter().map(|lacks| lacks.reason).collect();
    assert_eq!(
        reasons,
        [
            "There is no ModelProvider named anthropic.",
            "There is no Capability named email-draft.",
            "There is no Capability named ledger-read.",
            "There is no Capability named sap-invoice-read.",
        ]
    );
}

#[test]
fn everything_that_is_missing_comes_with_the_next_command() {
    let registry = after(&Registry::default(), &[applied(ARTICLE)]);
    for lacks in lacking(&registry, &checks()) {
        assert!(lacks.next.starts_with("ostler "), "{lacks:?}");
    }
}

#[test]
fn with_all_its_parts_it_is_ready() {
    let registry = after(&Registry::default(), &[applied(ARTICLE), applied(PARTS)]);
    assert_eq!(lacking(&registry, &checks()), []);
    assert!(!readiness::of(&registry, &checks(), &name("reconciliation-finance")).is_empty());
}

#[test]
fn an_unknown_price_an_unknown_revision_and_missing_secrets_are_each_named() {
    let parts = PARTS.replace("2026-02-14", "2025-01-01");
    let registry = after(&Registry::default(), &[applied(ARTICLE), applied(&parts)]);
    let nothing = Checks {
        price: Arc::new(|_, _| Err("it is in no table.".to_owned())),
        pin: Arc::new(pinned),
        secret: Arc::new(|_| false),
    };
    let reasons: Vec<_> = lacking(&registry, &nothing).into_iter().map(|lacks| lacks.reason).collect();
    assert_eq!(
        reasons,
        [
            "The secret ANTHROPIC_API_KEY of the ModelProvider anthropic is not there.",
            "The ModelProvider anthropic does not know revision 2026-02-14 of claude-opus-4-7.",
            "The price of claude-opus-4-7 at anthropic is not known: it is in no table.",
            "The secret MAIL_TOKEN of the McpServer mail is not there.",
        ]
    );
}

#[test]
fn a_capability_without_its_server_is_not_enough() {
    let (_, without_server) = PARTS.split_once("---").unwrap();
    let registry = after(&Registry::default(), &[applied(ARTICLE), applied(without_server)]);
    let lacks = lacking(&registry, &checks());
    assert_eq!(lacks[0].reason, "There is no McpServer named mail, which email-draft is on.");
}
