//! Policies of Cedar: what they read, what they answer, and that whatever cannot be judged is refused.

use control::Verdict;
use control::policy::{check, show, suppose};
use domain::control::{ControlEvent, Kind};
use domain::decision::{Refusal, RefusedBy};
use domain::descriptor::{Descriptor, parse_file};
use serde_json::json;

use crate::world::{Draft, World, after, applied, name};

const AGENT: &str = "reconciliation-finance";

fn policy(cedar: &str) -> String {
    let lines: String = cedar.lines().map(|line| format!("    {line}\n")).collect();
    format!("apiVersion: agent.os/v1\nkind: Policy\nmetadata: {{name: house, owner: risk}}\nspec:\n  cedar: |\n{lines}")
}

fn under(cedar: &str) -> World {
    let mut world = World::new();
    world.happened(applied(&policy(cedar)));
    world
}

fn refusal(verdict: Verdict) -> Refusal {
    let Verdict::Deny { refusal, .. } = verdict else { panic!("it should be refused: {verdict:?}") };
    refusal
}

#[test]
fn a_rule_reads_the_arguments_by_their_own_types() {
    let mut world = under(
        "@id(\"inside-only\") @reason(\"{agent} mails acme alone.\") @next(\"Ask a person to send it.\")
forbid(principal, action == Action::\"email-draft\", resource) unless { context.input.to like \"*@acme.example\" };",
    );
    assert!(matches!(world.ask(&Draft::of(50)), Verdict::Allow { .. }));
    let outside = Draft { arguments: json!({"to": "eve@evil.example", "amount_usd": 50}), ..Draft::of(50) };
    let refusal = refusal(world.ask(&outside));
    assert_eq!(refusal.by, RefusedBy::Policy);
    assert_eq!(refusal.reason, "reconciliation-finance mails acme alone.");
    assert_eq!(refusal.next, "Ask a person to send it.");
}

#[test]
fn what_a_rule_asks_for_is_asked_of_its_own_group_and_joined_with_what_the_descriptor_asks() {
    let mut world = under(
        "@id(\"drafts-ask\") @obligation(\"approval:legal:quorum=2:ttl=1h\")
forbid(principal, action == Action::\"email-draft\", resource);",
    );
    let request = world.ask_for_consent(&Draft::of(50));
    assert_eq!((request.by, request.terms.quorum), (name("legal"), 2));
    assert_eq!(request.expires_at.since_ms(request.asked_at), 3_600_000);
    assert_eq!(request.reason, "The policy rule house/drafts-ask asks for consent.");
    // Above the descriptor's own limit the owner group is asked, and nobody can answer for both.
    let other = refusal(world.ask(&Draft::of(5000)));
    assert!(other.reason.contains("ask different groups"), "{other:?}");

    let mut same = under(
        "@obligation(\"approval:approvers:quorum=2:ttl=1h\")\nforbid(principal, action == Action::\"email-draft\", resource);",
    );
    let request = same.ask_for_consent(&Draft::of(5000));
    assert_eq!((request.by, request.terms.quorum), (name("finance-platform"), 2), "the larger quorum");
    assert!(request.reason.contains("It is worth $5000.00"), "{}", request.reason);
}

#[test]
fn one_rule_without_a_way_out_refuses_whatever_the_others_ask() {
    let mut world = under(
        "@obligation(\"approval:legal\")\nforbid(principal, action in Action::\"Use\", resource);
@id(\"never\")\nforbid(principal, action in Action::\"Write\", resource) when { context.value_usd_micros > 5000000 };",
    );
    assert!(refusal(world.ask(&Draft::of(50))).reason.contains("house/never"));
}

#[test]
fn a_policy_that_is_applied_while_people_think_voids_their_consent_with_a_sentence() {
    let mut world = World::new();
    let asked = world.ask_for_consent(&Draft::of(5000));
    world.happened(applied(&policy("forbid(principal, action == Action::\"Think\", resource);")));
    world.ana_says(true, "", None);
    let again = world.ask_for_consent(&Draft::of(5000));
    assert_eq!(again.approval.round, asked.approval.round + 1);
    assert!(again.reason.contains("because the policies changed"), "{}", again.reason);
    assert_ne!(again.binding.policy_set, asked.binding.policy_set);
}

#[test]
fn what_covers_another_agent_changes_nothing_here() {
    let mut world = World::new();
    let before = world.registry.policy_set(&name(AGENT));
    let other = policy("forbid(principal, action, resource);").replace("spec:\n", "spec:\n  agents: [somebody-else]\n");
    world.happened(applied(&other));
    assert_eq!(world.registry.policy_set(&name(AGENT)), before);
    assert!(matches!(world.ask(&Draft::of(50)), Verdict::Allow { .. }));
    assert_ne!(world.registry.policy_set(&name("somebody-else")), before);
}

#[test]
fn whatever_a_rule_reads_and_nobody_knows_is_refused() {
    for (cedar, said) in [
        // No label is known until the session's provenance is.
        (
            "forbid(principal, action in Action::\"Use\", resource) when { context.labels.contains(\"secret\") };",
            "labels",
        ),
        (
            "forbid(principal, action in Action::\"Use\", resource) when { context.input has nonsense && context.input.nonsense };",
            "",
        ),
        (
            "forbid(principal, action == Action::\"email-draft\", resource) when { context.input.nonsense == \"x\" };",
            "nonsense",
        ),
        (
            "forbid(principal, action in Action::\"Use\", resource) when { context.value_usd_micros + 9223372036854775807 > 0 };",
            "overflow",
        ),
        ("forbid(principal, action in Action::\"Use\", resource) when { context.tainted };", "house/rule-1"),
        (
            "forbid(principal, action in Action::\"Use\", resource) when { context.unvouched.contains(\"to\") };",
            "house/rule-1",
        ),
    ] {
        let known = if said.is_empty() { Draft::of(50).provenance } else { None };
        let verdict = under(cedar).ask(&Draft { provenance: known, ..Draft::of(50) });
        if said.is_empty() {
            assert!(matches!(verdict, Verdict::Allow { .. }), "no tool has such an argument: {cedar}: {verdict:?}");
        } else {
            let refusal = refusal(verdict);
            assert!(refusal.reason.contains(said), "{cedar}: {refusal:?}");
        }
    }
}

#[test]
fn a_value_that_nobody_knows_is_above_every_limit_of_a_policy() {
    let rule =
        "forbid(principal, action in Action::\"Write\", resource) when { context.value_usd_micros > 100000000 };";
    let mut world = under(rule);
    assert!(matches!(world.ask(&Draft::of(50)), Verdict::Allow { .. }));
    for value in [None, Some(-1), Some(i64::MAX)] {
        let draft = Draft { value, ..Draft::of(50) };
        assert!(refusal(world.ask(&draft)).reason.contains("house/rule-1"), "{value:?}");
    }
}

#[test]
fn an_argument_that_a_rule_reads_and_cedar_cannot_hold_is_refused() {
    let mut world = under(
        "forbid(principal, action == Action::\"email-draft\", resource)
when { context.input has amount_usd && context.input.amount_usd.greaterThan(decimal(\"100.0\")) };",
    );
    let draft = |amount: serde_json::Value| {
        let arguments = json!({"to": "a@acme.example", "amount_usd": amount});
        Draft { arguments, ..Draft::of(50) }
    };
    assert!(matches!(world.ask(&draft(json!(99.99))), Verdict::Allow { .. }));
    assert!(refusal(world.ask(&draft(json!(100.01)))).reason.contains("house/rule-1"));
    assert!(refusal(world.ask(&draft(json!(0.123_456)))).reason.contains("`amount_usd` is not a number"));
}

#[test]
fn a_deleted_policy_covers_nobody() {
    let mut world = under("forbid(principal, action in Action::\"Use\", resource);");
    assert!(matches!(world.ask(&Draft::of(50)), Verdict::Deny { .. }));
    world.happened(ControlEvent::Deleted { of: Kind::Policy, name: name("house"), by: "admin".to_owned() });
    assert!(matches!(world.ask(&Draft::of(50)), Verdict::Allow { .. }));
}

#[test]
fn what_does_not_fit_the_tools_is_found_when_it_is_applied_with_its_place() {
    let world = World::new();
    let schema = std::sync::Arc::new(Draft::of(1).input_schema);
    let known = check::Definitions::from([("mcp://gateway/email-draft".parse().unwrap(), schema)]);
    for (cedar, at, message) in [
        ("forbid(principal, action == Action::\"email-drift\", resource);", 27, "email-drift"),
        (
            "forbid(principal, action == Action::\"email-draft\", resource) when { context.input.too == \"x\" };",
            69,
            "too",
        ),
        ("forbid(principal, action == Action::\"email-draft\", resource) when { context.input.to > 5 };", 69, "type"),
        ("forbid(principal, action, resource) when { context.input has to };", 43, "input"),
    ] {
        let read = parse_file("p.yaml", &policy(cedar), &|_| None).unwrap().remove(0);
        let Descriptor::Policy(read) = read else { panic!() };
        let wrong = check::policy(&world.registry, &known, &read);
        let first = wrong.first().unwrap_or_else(|| panic!("{cedar} should be refused"));
        assert!(first.finding.message.contains(message), "{cedar}: {first:?}");
        assert!(first.finding.help.is_some() && first.finding.at.start.abs_diff(at) < 12, "{cedar}: {first:?}");
    }
}

#[test]
fn a_capability_that_goes_or_changes_breaks_the_policy_that_reads_it_and_that_is_found_before() {
    let reads = "forbid(principal, action == Action::\"email-draft\", resource) when { context.input.to == \"x\" };";
    let world = under(reads);
    let of = |schema: serde_json::Value| {
        let inside = ["remember", "recall", "forget", "calculate", "now", "timer"];
        let inside =
            inside.map(|name| (format!("internal://{name}").parse().unwrap(), json!({"type": "object"}).into()));
        let outside = ["email-draft", "ledger-read", "sap-invoice-read"];
        let outside = outside.map(|name| (format!("mcp://gateway/{name}").parse().unwrap(), schema.clone().into()));
        inside.into_iter().chain(outside).collect::<check::Definitions>()
    };
    let known = of(Draft::of(1).input_schema);
    let gone = ControlEvent::Deleted { of: Kind::Capability, name: name("email-draft"), by: "admin".to_owned() };
    let next = after(&world.registry, &[gone]);
    let broken = check::broken(&world.registry, &next, [&known, &known]);
    assert!(broken[0].policy == name("house") && broken[0].finding.message.contains("email-draft"), "{broken:?}");
    let other = ControlEvent::Deleted { of: Kind::Capability, name: name("ledger-read"), by: "admin".to_owned() };
    assert!(check::broken(&world.registry, &after(&world.registry, &[other]), [&known, &known]).is_empty());
    let house = world.registry.policy(&name("house")).unwrap();
    assert!(check::conditions(&world.registry, &known, house).iter().all(|condition| condition.ok));
    // Its server takes other arguments now.
    let conditions = check::conditions(&world.registry, &of(json!({"properties": {"too": {"type": "string"}}})), house);
    assert!(conditions.iter().any(|one| !one.ok && one.reason.contains("does not fit")), "{conditions:?}");
}

#[test]
fn a_rule_that_bears_on_nothing_yet_and_reads_what_nobody_knows_says_so() {
    let idle = policy(
        "@id(\"x\")\nforbid(principal, action in Action::\"Outside\", resource) when { context.input.nonsense };",
    );
    let registry = after(&control::Registry::default(), &[applied(&idle)]);
    let house = registry.policy(&name("house")).unwrap();
    let conditions = check::conditions(&registry, &check::Definitions::new(), house);
    let told = conditions.iter().find(|one| !one.ok).expect("it says so");
    assert!(told.reason.contains("house/x reads `nonsense`") && told.next.contains("policy schema"), "{told:?}");
    // Where it can bear on something, or reads what every call has, there is nothing to say.
    let world =
        under("forbid(principal, action in Action::\"Outside\", resource) when { context.value_usd_micros > 5 };");
    let house = world.registry.policy(&name("house")).unwrap();
    assert!(check::conditions(&world.registry, &check::Definitions::new(), house).iter().all(|one| one.ok));
}

#[test]
fn a_supposed_call_says_the_rule_and_what_would_let_it_pass() {
    let world = World::new();
    let case = |usd: f64| -> suppose::Case {
        let input = json!({"to": "a@acme.example", "amount_usd": usd});
        serde_json::from_value(json!({"agent": AGENT, "tool": "email-draft", "input": input})).unwrap()
    };
    let ask = |usd: f64| suppose::ask(&world.registry, &check::Definitions::new(), &case(usd), world.now).unwrap();
    assert_eq!(ask(50.0).decision, suppose::Decision::Allow);
    let asked = ask(5000.0);
    assert_eq!(asked.decision, suppose::Decision::Ask);
    assert_eq!(asked.rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["value-above-threshold"]);
    assert!(asked.rules[0].text.contains("context.value_usd_micros > 1000000000"), "{:?}", asked.rules[0]);
    assert_eq!(asked.because["value_usd_micros"], "$5000.00");
    let would: Vec<&str> = asked.would.iter().map(String::as_str).collect();
    assert_eq!(would, ["with the consent of one of finance-platform", "with a value of at most $1000.00"]);
}

#[test]
fn everything_in_force_is_shown_as_cedar_that_can_be_read_again() {
    let world = under("@id(\"x\")\nforbid(principal, action == Action::\"Think\", resource);");
    let shown = show::in_force(&world.registry, &check::Definitions::new(), &name(AGENT)).unwrap();
    let from: Vec<&str> = shown.texts.iter().map(|text| text.from.as_str()).collect();
    assert_eq!(from, ["default", "house", "descriptor"]);
    let ids: Vec<&str> = shown.texts[2].rules.iter().map(|rule| rule.id.as_str()).collect();
    assert!(ids.contains(&"tools-listed") && ids.contains(&"value-above-threshold"), "{ids:?}");
    assert!(shown.texts.iter().all(|text| text.broken.is_none()), "{shown:?}");
}

/// Texts made of pieces of policies and noise: none makes the reader or the gate panic, and none lets a call pass that
/// the descriptor alone would not.
#[test]
fn no_text_of_cedar_makes_the_gate_fail_open() {
    let pieces = [
        "forbid(",
        "permit(",
        "principal",
        ", action",
        " == Action::\"email-draft\"",
        ", resource)",
        " when { ",
        " unless { ",
        "context.input.to",
        " like \"*\"",
        "context.value_usd_micros",
        " > 5",
        " };",
        "@id(\"a\")",
        "@obligation(\"approval:legal\")",
        "(((((",
        "\"\\u{0}\"",
        "principal == ?principal",
        "//",
        "\n",
        "[",
        "9223372036854775808",
        "decimal(\"1.0\")",
        "🦀",
    ];
    let mut state: u64 = 0x5eed;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let unlisted = Draft { capability: "mcp://gateway/wire-money".parse().unwrap(), ..Draft::of(50) };
    let mut refused = 0;
    for _ in 0..400 {
        let cedar: String = (0..1 + next(24)).map(|_| pieces[next(pieces.len())]).collect();
        let Ok(read) = parse_file("p.yaml", &policy(&cedar), &|_| None) else { continue };
        let mut world = World::new();
        world.happened(applied(&policy(&cedar)));
        assert!(matches!(world.ask(&unlisted), Verdict::Deny { .. }), "{cedar}");
        let Descriptor::Policy(one) = &read[0] else { panic!() };
        let wrong = check::policy(&world.registry, &check::Definitions::new(), one);
        if wrong.iter().any(|wrong| wrong.finding.at.end > one.spec.cedar.len()) {
            panic!("a place beyond the text: {cedar}");
        }
        if !wrong.is_empty() && matches!(world.ask(&Draft::of(50)), Verdict::Allow { .. }) {
            panic!("what cannot be read must not pass: {cedar}: {wrong:?}");
        }
        refused += usize::from(!wrong.is_empty());
    }
    assert!(refused > 50, "only {refused} texts were broken");
}
