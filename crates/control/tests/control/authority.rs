//! What a change makes of authority, in words: every field, which way it goes, and whose it is.

use std::collections::BTreeSet;

use control::authority::{classified, compare, widened};
use control::policy::check::Definitions;
use control::policy::suppose::{self, Case, Decision};
use control::registry::Registry;
use domain::change::{Change, Direction};
use domain::control::{ControlEvent, Kind};
use domain::principal::Autonomy;
use serde_json::{Value, json};

use crate::world::{ARTICLE, NOW, PARTS, after, applied, article_with, name};

const MAIL_OUT: &str = "
apiVersion: agent.os/v1
kind: Capability
metadata: {name: email-send, owner: it-platform}
spec: {server: mail, tool: send_email, effect: write}
";

fn registry(texts: &[&str]) -> Registry {
    let events: Vec<ControlEvent> = texts.iter().map(|text| applied(text)).collect();
    after(&Registry::default(), &events)
}

/// What applying a text to the article's world changes.
fn changes(old: &str, new: &str) -> Vec<Change> {
    let before = registry(&[PARTS, MAIL_OUT, old]);
    compare(&before, &after(&before, &[applied(new)]))
}

fn said(changes: &[Change]) -> Vec<(Direction, &str)> {
    changes.iter().map(|change| (change.direction, change.text.as_str())).collect()
}

use Direction::{Narrows, Neither, Widens};

#[test]
fn a_change_of_an_agent_is_said_in_words_and_which_way_it_goes() {
    let with = |from: &str, to: &str| changes(ARTICLE, &ARTICLE.replace(from, to));
    let added = |lines: &str| changes(ARTICLE, &article_with(lines));
    let table: Vec<(Vec<Change>, Direction, &str)> = vec![
        (with("usd_per_day: 40", "usd_per_day: 400"), Widens, "most it can spend a day: 40 -> 400 USD"),
        (with("usd_per_day: 40", "usd_per_day: 4"), Narrows, "most it can spend a day: 40 -> 4 USD"),
        (with("    usd_per_day: 40\n", ""), Widens, "most it can spend a day: 40 USD -> no limit"),
        (with("usd_gt: 1000", "usd_gt: 10000"), Widens, "approval above: 1,000 -> 10,000 USD"),
        (
            with("    on_action_value_usd_gt: 1000", "    by: {quorum: 1}"),
            Widens,
            "approval above: 1,000 USD -> never, whatever it is worth",
        ),
        (
            with("    - mcp://gateway/email-draft", "    - mcp://gateway/email-draft\n    - mcp://gateway/email-send"),
            Widens,
            "may now use email-send (write, leaves the company)",
        ),
        (with("    - mcp://gateway/ledger-read\n", ""), Narrows, "may no longer use mcp://gateway/ledger-read"),
        (
            with("name: claude-opus-4-7", "name: claude-haiku-4-5"),
            Widens,
            "model claude-opus-4-7 of anthropic -> claude-haiku-4-5 of anthropic",
        ),
        (
            with("owner: finance-platform", "owner: sales"),
            Widens,
            "the group that answers for it: finance-platform -> sales",
        ),
        (added("  autonomy: supervised"), Narrows, "is supervised: every write asks a person"),
        (added("  limits: {turns: 61}"), Widens, "most turns of a session: 60 -> 61"),
        (added("  compute_usd_per_hour: 2"), Narrows, "what an hour of work is charged: 0 -> 2 USD"),
        (
            with("metadata:\n", "metadata:\n  protected: true\n"),
            Narrows,
            "a change that widens it waits for a second person: now true",
        ),
        (
            with("metadata:\n", "metadata:\n  labels: {tier: production}\n"),
            Neither,
            "labels: none -> {\"tier\":\"production\"}",
        ),
        (
            added("  triggers: [{name: nightly, cron: '0 2 * * *', input: {company: all}}]"),
            Widens,
            "now starts by itself: nightly, at 0 2 * * *",
        ),
    ];
    for (changes, direction, text) in table {
        assert_eq!(said(&changes), [(direction, text)], "{changes:#?}");
        assert_eq!(changes[0].agents, [name("reconciliation-finance")]);
    }
}

#[test]
fn fewer_approvals_widen_and_more_of_them_narrow() {
    let by = |by: &str| ARTICLE.replace("usd_gt: 1000", &format!("usd_gt: 1000\n    by: {by}"));
    let (two, one) = (by("{quorum: 2, not: [on_behalf_of]}"), by("{quorum: 1}"));
    let widens = changes(&two, &one);
    let texts = [
        (Widens, "may be asked for this many approvals: 2 -> 1"),
        (Widens, "may approve it themselves now: on_behalf_of"),
    ];
    assert_eq!(said(&widens), texts);
    assert!(changes(&one, &two).iter().all(|change| change.direction == Narrows));
    let group = changes(ARTICLE, &by("{group: cfo}"));
    assert_eq!(said(&group), [(Widens, "who approves: none -> cfo")]);
}

#[test]
fn what_a_person_granted_counts_and_not_only_what_the_descriptor_says() {
    let shadow = article_with("  autonomy: shadow");
    let before = registry(&[PARTS, &shadow]);
    let agent = name("reconciliation-finance");
    let revision = before.agent(&agent).unwrap().revision;
    let granted = ControlEvent::AutonomyGranted {
        agent,
        revision,
        autonomy: Autonomy::Autonomous,
        report: None,
        by: "person/ana".to_owned(),
    };
    let trusted = after(&before, &[granted]);
    let again = after(&trusted, &[applied(&article_with("  autonomy: shadow\n  limits: {turns: 10}"))]);
    let texts: Vec<_> = compare(&trusted, &again).into_iter().map(|change| (change.direction, change.text)).collect();
    assert!(
        texts.contains(&(Narrows, "goes to shadow: its writes are written down and not sent".to_owned())),
        "{texts:?}"
    );
    let back = compare(&again, &after(&again, &[applied(&shadow)]));
    let why = "no longer in shadow: its writes are sent under its own approval rules";
    assert!(said(&back).contains(&(Widens, why)), "what was granted to a revision comes back with it: {back:?}");
}

#[test]
fn a_change_of_what_agents_rest_on_names_them() {
    let before = registry(&[PARTS, ARTICLE]);
    let with = |from: &str, to: &str| {
        let changed = PARTS.replace(from, to);
        assert_ne!(changed, PARTS);
        compare(&before, &after(&before, &[applied(&changed)]))
    };
    let table = [
        (with("tool: draft_email, effect: write", "tool: draft_email, effect: read"), "counts as: write -> read"),
        (
            with(
                "effect: read}\n---\napiVersion: agent.os/v1\nkind: Capability",
                "effect: read, output_trust: trusted}\n---\napiVersion: agent.os/v1\nkind: Capability",
            ),
            "its answers are: untrusted -> trusted",
        ),
        (with("{command: mail}", "{command: other}"), "is reached at: the program mail -> the program other"),
        (
            with("prices: catalog", "prices: {claude-opus-4-7: {free: true}}"),
            "what its models cost: catalog -> {\"claude-opus-4-7\":{\"free\":true}}",
        ),
        (
            with("protocol: anthropic", "protocol: anthropic\n  base_url: https://elsewhere.example"),
            "the address that it is reached at: https://api.anthropic.com -> https://elsewhere.example",
        ),
    ];
    for (changes, text) in table {
        assert_eq!(said(&changes), [(Widens, text)]);
        assert_eq!(changes[0].agents, [name("reconciliation-finance")], "{text}");
    }
    let unused = compare(&before, &after(&before, &[applied(MAIL_OUT)]));
    assert_eq!(unused[0].agents, [], "nobody uses it");
}

#[test]
fn a_policy_that_goes_or_changes_widens_whom_it_covers_and_one_more_rule_narrows() {
    let policy = |rules: &str| {
        format!(
            "apiVersion: agent.os/v1\nkind: Policy\nmetadata: {{name: house, owner: it}}\nspec:\n  agents: [reconciliation-finance]\n  cedar: |\n{rules}"
        )
    };
    let rule = |id: &str, most: &str| {
        format!(
            "    @id(\"{id}\")\n    forbid(principal, action in Action::\"Write\", resource) when {{ context.value_usd_micros > {most} }};\n"
        )
    };
    let one = policy(&rule("most", "10000000000"));
    let before = registry(&[PARTS, ARTICLE, &one]);
    let agents = [name("reconciliation-finance")];
    let to = |text: &str| compare(&before, &after(&before, &[applied(text)]));
    let loosened = to(&policy(&rule("most", "90000000000")));
    assert_eq!(said(&loosened), [(Widens, "the rule house/most is another")]);
    assert_eq!(loosened[0].agents, agents);
    let more = to(&policy(&(rule("most", "10000000000") + &rule("also", "5"))));
    assert_eq!(said(&more), [(Narrows, "one more rule holds: house/also")]);
    let elsewhere = to(&one.replace("[reconciliation-finance]", "[somebody-else]"));
    assert_eq!(said(&elsewhere), [(Widens, "no longer covers reconciliation-finance")]);
    let deleted = ControlEvent::Deleted { of: Kind::Policy, name: name("house"), by: "admin".to_owned() };
    let gone = compare(&before, &after(&before, &[deleted]));
    assert_eq!((gone[0].direction, &gone[0].agents[..]), (Widens, &agents[..]));
}

#[test]
fn a_protected_agent_is_compared_with_what_it_was_though_it_was_deleted() {
    let protected = ARTICLE.replace("metadata:\n", "metadata:\n  protected: true\n");
    let before = registry(&[PARTS, &protected]);
    let agent = name("reconciliation-finance");
    let deleted = ControlEvent::Deleted { of: Kind::Agent, name: agent.clone(), by: "admin".to_owned() };
    let gone = after(&before, &[deleted]);
    let deletion = compare(&before, &gone);
    assert_eq!(said(&deletion), [(Narrows, "is deleted: nothing of it goes on")]);
    assert!(widened(&before, &deletion).is_empty(), "to delete it is to narrow it");
    let again = after(&gone, &[applied(&protected)]);
    assert!(compare(&gone, &again).is_empty(), "the same again is no more than it was");
    let free = compare(&gone, &after(&gone, &[applied(ARTICLE)]));
    assert_eq!(said(&free)[0].0, Widens);
    assert_eq!(widened(&gone, &free).len(), 1, "its protection outlives it: {free:?}");
}

/// Every path of a schema at which something is written, lists as one.
fn paths(schema: &Value, at: &str, out: &mut BTreeSet<String>) {
    let choices = ["oneOf", "anyOf"].into_iter().flat_map(|key| schema[key].as_array().into_iter().flatten());
    let mut inner = false;
    for choice in choices {
        if choice["properties"].is_object() {
            paths(choice, at, out);
            inner = true;
        }
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let dot = if at.is_empty() { "" } else { "." };
        paths(field, &format!("{at}{dot}{name}"), out);
        inner = true;
    }
    if !inner {
        out.insert(at.to_owned());
    }
}

#[test]
fn every_field_of_every_descriptor_is_classified() {
    let schema = domain::descriptor::schema();
    let kinds = [Kind::Agent, Kind::Capability, Kind::McpServer, Kind::ModelProvider];
    for kind in kinds {
        let mut found = BTreeSet::new();
        paths(&schema["$defs"][kind.to_string()], "", &mut found);
        found.retain(|path| !["apiVersion", "kind", "metadata.name"].contains(&path.as_str()));
        assert!(found.len() > 5, "{kind}: {found:?}");
        let known = classified(kind);
        let beneath = |path: &String| {
            known.iter().any(|at| path == at || path.strip_prefix(at).is_some_and(|rest| rest.starts_with('.')))
        };
        let unclassified: Vec<_> = found.iter().filter(|path| !beneath(path)).collect();
        assert!(unclassified.is_empty(), "say in authority/fields.rs which way these of {kind} go: {unclassified:?}");
    }
}

/// The agent with everything said that this build takes.
const FULL: &str = "
apiVersion: agent.os/v1
kind: Agent
metadata: {name: reconciliation-finance, owner: finance-platform, labels: {tier: production}, protected: true}
spec:
  instructions: Reconcile.
  model: {provider: anthropic, name: claude-opus-4-7, pinned_revision: '2026-02-14', max_output_tokens: 5000,
          fallbacks: [{provider: anthropic, name: claude-haiku-4-5}], allow: [claude-sonnet-4-5]}
  memory: {type: persistent, retention_days: 90, scope: agent}
  tools: [mcp://gateway/sap-invoice-read, mcp://gateway/email-draft, internal://calculate]
  triggers: [{name: nightly, cron: '0 2 * * *', input: {company: acme}}]
  concurrency: {one_per: partition, key: input.company, active: 20, queue: 1000}
  limits: {turns: 50}
  compute_usd_per_hour: 1
  budgets: {calls_per_hour: 200, calls_per_day: 2000, calls_per_session: 20, usd_per_hour: 4, usd_per_day: 40,
            usd_per_session: 2, tokens_per_hour: 5, tokens_per_day: 50, tokens_per_session: 3,
            external_actions_per_hour: 5, external_actions_per_day: 50, external_actions_per_session: 3,
            compute_minutes_per_hour: 6, compute_minutes_per_day: 60, compute_minutes_per_session: 2,
            timezone: Europe/Madrid, on_exhausted: wait}
  approval:
    on_action_value_usd_gt: 1000
    on_effect: [irreversible]
    by: {group: finance-leads, quorum: 2, not: [on_behalf_of]}
    expires: {after: 4h, escalate: {to: cfo, after: 2h}}
  autonomy: {mode: supervised, human: {source: csv, case: input.invoice_id}, promote: {agreement_gt: 0.9, min_cases: 100, critical: 1}}
";

#[test]
fn every_field_that_is_left_out_is_told_and_what_narrows_one_way_widens_the_other() {
    let whole = registry(&[PARTS, FULL]);
    let document: Value = written(&whole);
    let mut tried = 0;
    for path in optional(&document["spec"], "/spec") {
        let mut less = document.clone();
        let (parent, field) = path.rsplit_once('/').unwrap();
        less.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field);
        let Ok(descriptor) = domain::descriptor::Descriptor::from_canonical(Kind::Agent, &less) else { continue };
        if descriptor.canonical() == document {
            continue;
        }
        let resource = domain::control::Applied {
            kind: Kind::Agent,
            name: name("reconciliation-finance"),
            revision: descriptor.revision(),
            descriptor: descriptor.canonical(),
        };
        let event = ControlEvent::Applied { resources: vec![resource], by: "admin".to_owned(), reason: String::new() };
        let other = after(&whole, &[event]);
        let (there, back) = (compare(&whole, &other), compare(&other, &whole));
        assert!(!there.is_empty() && !back.is_empty(), "{path} is not told");
        assert!(!said(&there).iter().any(|(_, text)| text.contains("counts as widening")), "{path}: {there:?}");
        let widens = |changes: &[Change]| changes.iter().any(|change| change.direction == Widens);
        let neither = there.iter().chain(&back).all(|change| change.direction == Neither);
        assert!(widens(&there) || widens(&back) || neither, "{path} widens neither way: {there:?} {back:?}");
        tried += 1;
    }
    assert!(tried > 30, "only {tried} fields were left out");
}

fn written(registry: &Registry) -> Value {
    let agent = registry.agent(&name("reconciliation-finance")).unwrap();
    domain::descriptor::Descriptor::Agent(Box::new((*agent.descriptor).clone())).canonical()
}

/// The pointers to every field of a document, at any depth.
fn optional(value: &Value, at: &str) -> Vec<String> {
    let fields = value.as_object().into_iter().flatten();
    fields
        .flat_map(|(name, value)| {
            let path = format!("{at}/{name}");
            [vec![path.clone()], optional(value, &path)].concat()
        })
        .collect()
}

/// What a rule would say to calls over a range of values and tools.
fn allowed(registry: &Registry) -> BTreeSet<String> {
    let tools = ["email-draft", "email-send"];
    let mut all = BTreeSet::new();
    for tool in tools {
        for usd in [400.0, 1001.0] {
            for tainted in [false, true] {
                let case = json!({"agent": "reconciliation-finance", "tool": tool, "value_usd": usd,
                    "input": {"to": "a@acme.example"}, "at": NOW.to_string(),
                    "provenance": {"tainted": tainted, "unvouched": if tainted { json!(["to"]) } else { json!([]) }}});
                let case: Case = serde_json::from_value(case).unwrap();
                let answer = suppose::decision(registry, &Definitions::default(), &case, NOW).unwrap();
                if answer == Decision::Allow {
                    all.insert(format!("{tool} {usd} {tainted}"));
                }
            }
        }
    }
    all
}

#[test]
fn what_is_said_not_to_widen_allows_nothing_that_was_not_allowed() {
    let agent = |tools: &str, above: &str, mode: &str| {
        format!(
            "apiVersion: agent.os/v1\nkind: Agent\nmetadata: {{name: reconciliation-finance, owner: finance-platform}}\nspec:\n  model: {{provider: anthropic, name: claude-opus-4-7}}\n  tools: [{tools}]\n  approval: {{{above}}}\n  autonomy: {mode}\n"
        )
    };
    let mut worlds = Vec::new();
    for tools in
        ["mcp://gateway/email-draft", "mcp://gateway/email-draft, mcp://gateway/email-send, internal://calculate"]
    {
        for above in ["on_action_value_usd_gt: 500", "on_effect: [write]", ""] {
            for mode in ["shadow", "supervised", "autonomous"] {
                for parts in
                    [PARTS.to_owned(), PARTS.replace("effect: write, value_usd: args.amount_usd", "effect: read")]
                {
                    let text = agent(tools, above, mode);
                    worlds.push(registry(&[&parts, MAIL_OUT, &text]));
                }
            }
        }
    }
    let answers: Vec<_> = worlds.iter().map(allowed).collect();
    let (mut narrower, mut wider) = (0, 0);
    for (old, before) in worlds.iter().zip(&answers) {
        for (new, is) in worlds.iter().zip(&answers) {
            let changes = compare(old, new);
            if changes.iter().any(|change| change.direction == Widens) {
                wider += usize::from(!is.is_subset(before));
                continue;
            }
            narrower += usize::from(!changes.is_empty());
            assert!(is.is_subset(before), "{changes:?} lets through {:?}", is.difference(before).collect::<Vec<_>>());
        }
    }
    assert!(narrower > 100 && wider > 100, "{narrower} narrow, {wider} let something through");
}
