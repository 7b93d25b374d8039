//! How long the whole decision takes (where the arguments come from, identity, kill switch, policy, budget, consent), with
//! 10, 100 and 1,000 rules in force, beside Cedar's own evaluation of all of those rules in the same run:
//! `cargo bench -p control --bench decide [CALLS]`.
//!
//! Of the rules a tenth bear on every tool, and the others each on a tool of their own: a slice holds what bears.

use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{Authorizer, Context, Entities, EntityUid, PolicySet, Request, RestrictedExpression};
use control::budget::{Balance, Holdings, limits};
use control::consent::Signer;
use control::decide::{Scene, decide};
use control::provenance;
use control::{Checks, Query, Registry, Verdict, Want};
use domain::budget::Amounts;
use domain::call::Facts;
use domain::capability::{CapabilityRef, Effect};
use domain::clock::{Clock, Stopwatch, SystemClock, Timestamp};
use domain::control::{Applied, ControlEvent, ControlRecord};
use domain::descriptor::parse_file;
use domain::heard::{Heard, Words};
use domain::id::{CallId, Digest, Name, Pos, SessionId, Shard};
use domain::message::{Message, Origin, Role};
use domain::principal::{Autonomy, Link, Principal};
use serde_json::json;

const HOUSE: &str = "
apiVersion: agent.os/v1
kind: McpServer
metadata: {name: mail, owner: it}
spec: {stdio: {command: mail}}
---
apiVersion: agent.os/v1
kind: Capability
metadata: {name: email-draft, owner: it}
spec: {server: mail, tool: draft_email, effect: write, value_usd: args.amount_usd}
---
apiVersion: agent.os/v1
kind: ModelProvider
metadata: {name: scripted, owner: it}
spec: {protocol: scripted, script: demo}
---
apiVersion: agent.os/v1
kind: Agent
metadata: {name: clerk, owner: finance}
spec:
  model: {provider: scripted, name: m}
  tools: [mcp://gateway/email-draft]
  budgets: {calls_per_hour: 1000000000, usd_per_day: 1000000}
  approval: {on_action_value_usd_gt: 1000}
";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let calls: usize = words.first().and_then(|word| word.parse().ok()).unwrap_or(20_000);
    let mut out = std::io::stdout();
    for rules in [10, 100, 1_000] {
        let cedar = rules_of(rules);
        let (full, raw) = (decisions(&cedar, calls), evaluations(&cedar, calls));
        let ratio = full.0 / raw.0.max(0.001);
        let line = format!(
            "{rules:>5} rules: decision p50 {:.1} us, p99 {:.1} us; Cedar over all of them p50 {:.1} us, p99 {:.1} us; ratio {ratio:.2}",
            full.0, full.1, raw.0, raw.1
        );
        writeln!(out, "{line}").expect("a standard output");
    }
}

fn rules_of(count: usize) -> String {
    let rule = |i: usize| {
        let head = if i.is_multiple_of(10) {
            "action in Action::\"Write\"".to_owned()
        } else {
            format!("action == Action::\"tool-{i}\"")
        };
        format!("forbid(principal, {head}, resource) when {{ context.value_usd_micros > {}000000 }};\n", 5_000 + i)
    };
    (0..count).map(rule).collect()
}

/// p50 and p99 in microseconds.
fn figures(mut each: Vec<i64>) -> (f64, f64) {
    each.sort_unstable();
    let at = |share: usize| each[(each.len() * share / 100).min(each.len() - 1)] as f64 / 1e3;
    (at(50), at(99))
}

fn registry(cedar: &str) -> Registry {
    let tools: String = (0..1000)
        .filter(|i| i % 10 != 0)
        .map(|i| format!("---\napiVersion: agent.os/v1\nkind: Capability\nmetadata: {{name: tool-{i}, owner: it}}\nspec: {{server: mail, tool: t{i}}}\n"))
        .collect();
    let lines: Vec<&str> = cedar.lines().collect();
    let policies = lines.chunks(250).enumerate().map(|(number, rules)| {
        let rules = rules.join("\n    ");
        format!("---\napiVersion: agent.os/v1\nkind: Policy\nmetadata: {{name: house-{number}, owner: it}}\nspec:\n  cedar: |\n    {rules}\n")
    });
    let policies: String = policies.collect();
    let descriptors = parse_file("house.yaml", &format!("{HOUSE}{tools}{policies}"), &|_| None).expect("well-formed");
    let each = descriptors.iter().map(|one| Applied {
        kind: one.kind(),
        name: one.name().clone(),
        revision: one.revision(),
        descriptor: one.canonical(),
    });
    let event = ControlEvent::Applied { resources: each.collect(), by: "admin".to_owned(), reason: String::new() };
    let record = ControlRecord { pos: Pos(1), at: Timestamp::default(), event };
    Registry::default().after(&[record]).expect("it folds")
}

fn decisions(cedar: &str, calls: usize) -> (f64, f64) {
    let registry = registry(cedar);
    let agent: Name = "clerk".parse().expect("a name");
    let revision = registry.agent(&agent).expect("applied").revision;
    let link = Link { agent, revision, session: SessionId::from_u128(7), call: None };
    let owner = "finance".parse().expect("a name");
    let principal = Principal { link, owner, on_behalf_of: None, parents: Vec::new(), autonomy: Autonomy::Autonomous };
    let checks = Checks { price: Arc::new(|_, _| Ok(())), pin: Arc::new(|_, _, _| Ok(())), secret: Arc::new(|_| true) };
    let (signer, now, mut holdings) = (Signer::new(b"bench"), SystemClock.now(), Holdings::default());
    for limit in limits(&registry, &principal, now) {
        holdings.drew(Shard(0), &limit, limit.cap, Balance { drawn: limit.cap, ..Balance::default() });
    }
    let capability: CapabilityRef = "mcp://gateway/email-draft".parse().expect("a tool");
    let arguments = json!({"to": "billing@acme.example", "amount_usd": 50});
    let schema = json!({"type": "object", "properties": {"to": {"type": "string"}, "amount_usd": {"type": "number"}}});
    let (arguments_hash, schema_hash) = (Digest::of_json(&arguments), Digest::of_json(&schema));
    let (facts, call) = (Facts::default(), CallId { session: SessionId::from_u128(7), ordinal: 1 });
    let (heard, instructions) = (heard(), Words::default());
    let spec = &registry.capability(capability.name()).expect("applied").descriptor.spec;
    let mut each = Vec::with_capacity(calls);
    for index in 0..=calls {
        let watch = Stopwatch::start();
        let provenance = provenance::of(&heard, &instructions, Some(spec), &arguments);
        let want = Want::Capability {
            capability: &capability,
            effect: Effect::Write,
            arguments: &arguments,
            arguments_hash,
            schema_hash,
            input_schema: Some(&schema),
            value_usd_micros: Some(50_000_000),
            provenance: Some(&provenance),
            worst: Amounts { calls: 1, external_actions: 1, ..Amounts::default() },
        };
        let query = Query { call, attempt: 1, principal: &principal, facts: &facts, want };
        let mut scene = Scene {
            registry: &registry,
            holdings: &mut holdings,
            shard: Shard(0),
            signer: &signer,
            checks: &checks,
            now,
        };
        let verdict = decide(&mut scene, &query);
        let took = watch.elapsed().as_nanos() as i64;
        assert!(matches!(verdict, Verdict::Allow { .. }), "{verdict:?}");
        // The first one makes the slice.
        if index > 0 {
            each.push(took);
        }
    }
    figures(each)
}

/// A session that was asked for two hundred things, this among them.
fn heard() -> Heard {
    let mut heard = Heard::default();
    for number in 0..200 {
        let text =
            format!("Tell billing@acme.example and clerk-{number}@globex.example that {number} USD are open, not 50.");
        heard.hear(&Message::text(Role::Person, Origin::Person, text));
    }
    heard
}

/// Cedar alone, its request made beforehand, over all rules.
fn evaluations(cedar: &str, calls: usize) -> (f64, f64) {
    let set = PolicySet::from_str(cedar).expect("it is Cedar");
    let uid = |text: &str| EntityUid::from_str(text).expect("an entity");
    let worth = ("value_usd_micros".to_owned(), RestrictedExpression::new_long(50_000_000));
    let context = Context::from_pairs([worth]).expect("a context");
    let (who, what) = (uid("Agent::\"clerk\""), uid("Tool::\"email-draft\""));
    let request = Request::new(who, uid("Action::\"email-draft\""), what, context, None).expect("a request");
    let (entities, authorizer) = (Entities::empty(), Authorizer::new());
    let each = (0..calls).map(|_| {
        let watch = Stopwatch::start();
        std::hint::black_box(authorizer.is_authorized(&request, &set, &entities));
        watch.elapsed().as_nanos() as i64
    });
    figures(each.collect())
}
