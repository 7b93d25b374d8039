//! Delegation: what is passed on and what is not, how deep it goes, whose budgets bind; and that it fails closed.

use control::budget::limits;
use control::decide::Verdict;
use control::delegate::start;
use domain::control::ControlEvent;
use domain::decision::{Refusal, RefusedBy};
use domain::event::Event;
use domain::id::{CallId, SessionId};
use domain::principal::{Autonomy, Link, Principal};

use crate::world::{ARTICLE, Draft, World, applied, name};

const CHILD: &str = "reconciliation-finance";

/// An agent with these tools and these further lines.
fn agent(who: &str, tools: &str, more: &str) -> ControlEvent {
    applied(&format!(
        "apiVersion: agent.os/v1\nkind: Agent\nmetadata: {{name: {who}, owner: finance-platform}}\nspec:\n  \
         model: {{provider: anthropic, name: claude-opus-4-7}}\n  tools: {tools}\n{more}"
    ))
}

fn root_of(world: &World, who: &str) -> Principal {
    let revision = world.registry.agent(&name(who)).unwrap().revision;
    let link = Link { agent: name(who), revision, session: SessionId::from_u128(70), call: None };
    let (owner, on_behalf_of) = (name("finance-platform"), Some(name("ana")));
    Principal { link, owner, on_behalf_of, parents: Vec::new(), autonomy: Autonomy::Autonomous }
}

fn delegated(world: &World, by: &Principal, to: &str) -> Principal {
    let call = CallId { session: by.link.session, ordinal: 2 };
    start(&world.registry, by, (call, &name(to))).unwrap().principal
}

/// A world in which the article's agent works for a coordinator with these tools.
fn under(tools: &str) -> World {
    let mut world = World::new();
    world.happened(agent("coordinator", tools, ""));
    let root = root_of(&world, "coordinator");
    world.principal = delegated(&world, &root, CHILD);
    world.draw();
    world
}

fn refusal(verdict: &Verdict) -> &Refusal {
    let Verdict::Deny { refusal, .. } = verdict else { panic!("{verdict:?}") };
    refusal
}

/// The rules that refused it; nothing, where it passed.
fn refused_by(verdict: &Verdict) -> Vec<String> {
    let Verdict::Deny { rows, .. } = verdict else { return Vec::new() };
    let found = rows.events.iter().find_map(|event| match event {
        Event::CallRefused { decided, .. } => Some(decided.policy_ids.clone()),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn a_child_may_what_is_its_own_and_passed_on() {
    let child = format!("agent://{CHILD}");
    for (tools, rule) in [
        // What the coordinator may use it passes on; what it may not, it does not.
        (format!("[{child}, mcp://gateway/email-draft]"), None),
        (format!("[{child}]"), Some("not-passed-on")),
        // What it may pass on it need not hold; and what it holds it need not pass on.
        (format!("[{{use: {child}, may: [email-draft]}}]"), None),
        (format!("[{{use: {child}, may: [ledger-read]}}, mcp://gateway/email-draft]"), Some("not-passed-on")),
        (format!("[{{use: {child}, may: []}}]"), Some("not-passed-on")),
        // What it may use only so, it passes on only so.
        (
            format!("[{child}, {{use: mcp://gateway/email-draft, when: \"args.to == 'nobody'\"}}]"),
            Some("tool-when.email-draft"),
        ),
        // It does not delegate to it any more.
        ("[mcp://gateway/email-draft]".to_owned(), Some("not-passed-on")),
    ] {
        let mut world = under(&tools);
        let verdict = world.ask(&Draft::of(50));
        assert_eq!(refused_by(&verdict).first().map(String::as_str), rule, "{tools}: {verdict:?}");
    }
    let mut world = under(&format!("[{child}]"));
    let said = refusal(&world.ask(&Draft::of(50))).clone();
    assert!(said.reason.contains("works for coordinator here") && said.by == RefusedBy::Policy, "{said:?}");
}

#[test]
fn what_changes_meanwhile_narrows_at_once_and_widens_nothing() {
    let passes = format!("[{{use: agent://{CHILD}, may: [email-draft]}}]");
    let mut world = under(&passes);
    assert!(matches!(world.ask(&Draft::of(50)), Verdict::Allow { .. }));
    world.happened(agent("coordinator", "[]", ""));
    assert_eq!(refused_by(&world.ask(&Draft::of(50))), ["not-passed-on"]);
    // What was not passed on when it began is not passed on later.
    let mut world = under(&format!("[{{use: agent://{CHILD}, may: []}}]"));
    world.happened(agent("coordinator", &passes, ""));
    assert_eq!(refused_by(&world.ask(&Draft::of(50))), ["not-passed-on"]);
    // The child's own descriptor changed, and a parent is gone.
    let mut world = under(&passes);
    world.happened(applied(&ARTICLE.replace("    - mcp://gateway/email-draft\n", "")));
    assert_eq!(refused_by(&world.ask(&Draft::of(50))), ["tools-listed"]);
    let mut world = under(&passes);
    let (of, gone) = (domain::control::Kind::Agent, name("coordinator"));
    world.happened(ControlEvent::Deleted { of, name: gone, by: "admin".to_owned() });
    assert_eq!(refusal(&world.ask(&Draft::of(50))).by, RefusedBy::Identity);
}

#[test]
fn nobody_passes_on_what_was_not_passed_on_to_them() {
    for (root, may) in [("[email-draft, agent://reconciliation-finance]", true), ("[ledger-read]", false)] {
        let mut world = World::new();
        let tools = format!("[{{use: agent://{CHILD}, may: [email-draft]}}]");
        world.happened(agent("middle", &tools, ""));
        world.happened(agent("coordinator", &format!("[{{use: agent://middle, may: {root}}}]"), ""));
        let above = root_of(&world, "coordinator");
        let middle = delegated(&world, &above, "middle");
        world.principal = delegated(&world, &middle, CHILD);
        world.draw();
        let verdict = world.ask(&Draft::of(50));
        assert_eq!(matches!(verdict, Verdict::Allow { .. }), may, "{verdict:?}");
        assert_eq!(world.principal.on_behalf_of, Some(name("ana")), "four eyes count who asked the root");
    }
}

#[test]
fn a_shadow_above_is_a_shadow_below() {
    let mut world = under(&format!("[{{use: agent://{CHILD}, may: [email-draft]}}]"));
    world.happened(agent(
        "coordinator",
        &format!("[agent://{CHILD}, mcp://gateway/email-draft]"),
        "  autonomy: shadow\n",
    ));
    assert!(matches!(world.ask(&Draft::of(50)), Verdict::Record { .. }));
    let root = root_of(&world, "coordinator");
    assert_eq!(delegated(&world, &root, CHILD).autonomy, Autonomy::Shadow);
}

#[test]
fn it_goes_no_deeper_than_anybody_above_allows() {
    let mut world = World::new();
    world.happened(agent("loop", "[agent://loop]", "  limits: {depth: 2}\n"));
    let first = root_of(&world, "loop");
    let second = delegated(&world, &first, "loop");
    let third = delegated(&world, &second, "loop");
    assert_eq!((third.parents.len(), third.root().session), (2, first.link.session));
    let call = CallId { session: third.link.session, ordinal: 1 };
    let no = start(&world.registry, &third, (call, &name("loop"))).unwrap_err();
    assert!(no.by == RefusedBy::Policy && no.reason.contains("loop > loop > loop > loop"), "{no:?}");
    let missing = start(&world.registry, &first, (call, &name("nobody"))).unwrap_err();
    assert!(missing.by == RefusedBy::Readiness && missing.reason.contains("no agent nobody"), "{missing:?}");
}

#[test]
fn what_is_spent_below_counts_on_everybody_above_and_on_each_once() {
    let mut world = World::new();
    let more = "  budgets: {usd_per_day: 8, usd_per_session: 2}\n";
    world.happened(agent("coordinator", &format!("[{{use: agent://{CHILD}, budget_share: 0.25}}]"), more));
    let root = root_of(&world, "coordinator");
    world.principal = delegated(&world, &root, CHILD);
    let all = limits(&world.registry, &world.principal, world.now);
    let said: Vec<String> = all.iter().map(|limit| format!("{} {}", limit.budget, limit.cap)).collect();
    for wanted in [
        "agent/coordinator/usd_micros_per_day 8000000".to_owned(),
        format!("session/{}/usd_micros_per_session 2000000", root.link.session),
        format!("session/{}/usd_micros_per_session 500000", world.principal.link.session),
    ] {
        assert!(said.contains(&wanted), "{wanted}: {said:#?}");
    }
    assert!(said.iter().any(|one| one.starts_with(&format!("agent/{CHILD}/"))), "{said:#?}");
    let mut each: Vec<_> = all.iter().map(|limit| &limit.budget).collect();
    each.sort();
    each.dedup();
    assert_eq!(each.len(), all.len(), "{said:#?}");
    // An agent that delegates to itself counts once.
    world.happened(agent("loop", "[agent://loop]", "  budgets: {usd_per_day: 1}\n"));
    let again = root_of(&world, "loop");
    world.principal = delegated(&world, &again, "loop");
    assert_eq!(limits(&world.registry, &world.principal, world.now).len(), 1);
}
