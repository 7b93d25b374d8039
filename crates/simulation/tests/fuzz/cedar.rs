//! Policies of Cedar: whatever is applied beside what is in force, no call is judged more mildly than before. A policy
//! forbids or asks; it never permits, and what cannot be judged is refused.

use control::policy::check::{Definitions, policy};
use control::policy::suppose::{Answer, Case, Decision, ask};
use control::registry::Registry;
use domain::clock::Timestamp;
use domain::descriptor::Descriptor;
use serde_json::{Value, json};

use crate::descriptors::{applied, happened, read};
use crate::{Fate, corpus, run};

const NOW: Timestamp = Timestamp(1_795_305_600_000);

/// Who may do what before anybody adds a policy.
const BASE: &str = include_str!("base.yaml");

fn definitions() -> Definitions {
    let mail = json!({"type": "object", "required": ["to"], "properties": {"to": {"type": "string"}, "amount_usd": {"type": "number"}}});
    let pay = json!({"type": "object", "required": ["iban", "usd"], "properties": {"iban": {"type": "string"}, "usd": {"type": "number"}}});
    let of =
        |name: &str, schema: Value| (format!("mcp://gateway/{name}").parse().unwrap(), std::sync::Arc::new(schema));
    [of("mail", mail), of("pay", pay)].into()
}

/// Calls that differ in everything that a rule may read: plain ones, ones far from it, and ones after a stranger's text.
fn cases() -> Vec<Case> {
    let far = [
        ("at", json!("2026-12-05T03:00Z")),
        ("on_behalf_of", json!("ana")),
        ("depth", json!(2)),
        ("spent_today_usd", json!(400)),
        ("approved_by", json!(["ben", "cho"])),
    ];
    let stranger = [("provenance", json!({"tainted": true, "unvouched": ["to", "iban"]}))];
    let calls = [
        ("clerk", "mail", json!({"to": "ana@acme.example", "amount_usd": 20}), 20.0, &[][..]),
        ("clerk", "mail", json!({"to": "eve@evil.example"}), 9_000.0, &far[..]),
        ("clerk", "mail", json!({"to": "eve@evil.example"}), 20.0, &stranger[..]),
        ("clerk", "pay", json!({"iban": "NL91", "usd": 700}), 700.0, &far[..]),
        ("payer", "mail", json!({"to": "ana@acme.example"}), 7_000.0, &[][..]),
        ("payer", "pay", json!({"iban": "NL91", "usd": 100}), 100.0, &far[..]),
        ("payer", "pay", json!({"iban": "NL91", "usd": 700}), 700.0, &[][..]),
        ("payer", "pay", json!({"iban": "NL91", "usd": 700}), 700.0, &stranger[..]),
        ("payer", "pay", json!({"iban": "NL91", "usd": 12_000}), 12_000.0, &[][..]),
        ("payer", "look", json!({}), 0.0, &stranger[..]),
        ("payer", "internal://remember", json!({"text": "x"}), 0.0, &[][..]),
    ];
    let case = calls.map(|(agent, tool, input, usd, more)| {
        let mut case = json!({"agent": agent, "tool": tool, "input": input, "value_usd": usd});
        more.iter().for_each(|(key, value)| case[key] = value.clone());
        serde_json::from_value(case).unwrap()
    });
    case.into()
}

fn rank(decision: Decision) -> u8 {
    match decision {
        Decision::Allow => 0,
        Decision::Record => 1,
        Decision::Ask => 2,
        Decision::Deny => 3,
    }
}

fn judged(registry: &Registry, definitions: &Definitions, cases: &[Case]) -> Vec<Answer> {
    cases.iter().map(|case| ask(registry, definitions, case, NOW).unwrap()).collect()
}

fn wrapped(cedar: &str) -> String {
    let lines: String = cedar.lines().map(|line| format!("    {line}\n")).collect();
    format!("apiVersion: agent.os/v1\nkind: Policy\nmetadata: {{name: house, owner: risk}}\nspec:\n  cedar: |\n{lines}")
}

#[test]
fn policies_hold() {
    let (definitions, cases) = (definitions(), cases());
    let base = happened(&Registry::default(), applied(&read(BASE).unwrap())).unwrap();
    let before = judged(&base, &definitions, &cases);
    let decisions: std::collections::BTreeSet<u8> = before.iter().map(|answer| rank(answer.decision)).collect();
    assert!(decisions.contains(&0) && decisions.contains(&2) && decisions.contains(&3), "{decisions:?}");
    let mut check = |cedar: &str| {
        let Some(read) = read(&wrapped(cedar)) else { return Ok(Fate::Refused) };
        let [Descriptor::Policy(wanted)] = &read[..] else { return Ok(Fate::Refused) };
        if !policy(&base, &definitions, wanted).is_empty() {
            return Ok(Fate::Refused);
        }
        let after = judged(&happened(&base, applied(&read))?, &definitions, &cases);
        for ((case, before), after) in cases.iter().zip(&before).zip(&after) {
            if rank(after.decision) < rank(before.decision) {
                return Err(format!("{:?} became {:?}: {case:?}", before.decision, after.decision));
            }
            let fewer = after.quorum.unwrap_or(0) < before.quorum.unwrap_or(0);
            if before.decision == Decision::Ask && after.decision == Decision::Ask && (fewer || after.by != before.by) {
                return Err(format!(
                    "{:?} of {:?} became {:?} of {:?}: {case:?}",
                    before.quorum, before.by, after.quorum, after.by
                ));
            }
        }
        Ok(Fate::Taken)
    };
    run("cedar", (40, corpus("cedar")), &mut check);
}
