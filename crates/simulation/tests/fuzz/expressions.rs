//! Expressions: whatever is written, what a value of it comes to is right or unknown, and unknown asks. Random trees are
//! evaluated beside a second evaluator, which knows nothing of texts; and a gate whose capability is worth what the
//! expression says lets pass exactly what is known to be small.

use control::policy::suppose::{Case, Decision, ask};
use control::registry::Registry;
use domain::clock::Timestamp;
use domain::descriptor::Descriptor;
use domain::expression::{Evaluated, Expression};
use serde_json::{Value, json};

use crate::descriptors::{applied, happened, read};
use crate::mutate::Mutator;
use crate::{Fate, corpus, run};

/// Whole numbers beyond this are not exact.
const EXACT: f64 = 9_007_199_254_740_991.0;

fn args() -> Value {
    json!({
        "amount_usd": 120.5, "n": 3, "big": 9_007_199_254_740_993_i64, "minus": -4, "to": "ana@acme.example", "yes": true,
        "none": null, "tags": ["a", 2, [1]], "deep": {"x y": [10, 20], "usd": 4180.10}, "text": "4180.00",
    })
}

fn check(text: &str) -> Result<Fate, String> {
    let Ok(expression) = Expression::parse(text, &["args"]) else { return Ok(Fate::Refused) };
    let again: Expression = expression.to_string().parse().map_err(|error| format!("it reads once only: {error}"))?;
    if again != expression {
        return Err("it is another when it is read again".to_owned());
    }
    for args in [args(), json!({}), json!({"amount_usd": "120.5"}), json!({"amount_usd": -1, "n": 1e300}), Value::Null]
    {
        let roots = [("args", &args)];
        match (expression.evaluate(&roots), expression.usd(&roots)) {
            (Ok(Evaluated::Number(number)), _) if !number.is_finite() || number.abs() > EXACT => {
                return Err(format!("it comes to {number}"));
            }
            (Ok(Evaluated::Number(number)), Ok(usd))
                if number < 0.0 || usd.0 < 0 || (usd.dollars() - number).abs() > 1e-3 =>
            {
                return Err(format!("{number} dollars are {usd:?}"));
            }
            (Ok(Evaluated::Number(_)), _) | (_, Err(_)) => {}
            (value, Ok(usd)) => return Err(format!("{value:?} is worth {usd:?}")),
        }
    }
    Ok(Fate::Taken)
}

#[test]
fn expressions_hold() {
    run("expressions", (5_000, corpus("expressions")), &mut check);
}

/// A tree of random shape, as it is written, and what it comes to: `None` is unknown.
#[derive(Debug, Clone, PartialEq)]
enum Known {
    Number(f64),
    Truth(bool),
    Other,
}

type Answer = Option<Known>;

fn exact(number: f64) -> Answer {
    (number.is_finite() && number.abs() <= EXACT).then_some(Known::Number(number))
}

fn leaf(with: &mut Mutator) -> (String, Answer) {
    let all: [(&str, Answer); 16] = [
        ("args.amount_usd", exact(120.5)),
        ("args.n", exact(3.0)),
        ("args.minus", exact(-4.0)),
        ("args.big", None),
        ("args.gone", None),
        ("args.deep.gone.more", None),
        ("args.deep[\"x y\"][1]", exact(20.0)),
        ("args.deep[\"x y\"][2]", None),
        ("args.text", Some(Known::Other)),
        ("args.yes", Some(Known::Truth(true))),
        ("args.none", Some(Known::Other)),
        ("false", Some(Known::Truth(false))),
        ("500", exact(500.0)),
        ("0.25", exact(0.25)),
        ("9007199254740991", exact(EXACT)),
        ("'a'", Some(Known::Other)),
    ];
    let (text, answer) = all[with.below(all.len())].clone();
    (text.to_owned(), answer)
}

fn number(of: &Answer) -> Option<f64> {
    match of {
        Some(Known::Number(number)) => Some(*number),
        Some(Known::Truth(_) | Known::Other) | None => None,
    }
}

fn truth(of: &Answer) -> Option<bool> {
    match of {
        Some(Known::Truth(truth)) => Some(*truth),
        Some(Known::Number(_) | Known::Other) | None => None,
    }
}

fn tree(with: &mut Mutator, depth: usize) -> (String, Answer) {
    if depth == 0 || with.below(5) == 0 {
        return leaf(with);
    }
    let (left, right) = (tree(with, depth - 1), tree(with, depth - 1));
    let both = number(&left.1).zip(number(&right.1));
    let of = |word: &str, answer: Answer| (format!("({} {word} {})", left.0, right.0), answer);
    match with.below(10) {
        0 => of("+", both.and_then(|(l, r)| exact(l + r)).or_else(|| joined(&left, &right))),
        1 => of("-", both.and_then(|(l, r)| exact(l - r))),
        2 => of("*", both.and_then(|(l, r)| exact(l * r))),
        3 => of("<", both.map(|(l, r)| Known::Truth(l < r)).or_else(|| in_order(&left, &right))),
        4 => of(">=", both.map(|(l, r)| Known::Truth(l >= r)).or_else(|| in_order(&left, &right))),
        5 => of("&&", decided(truth(&left.1), truth(&right.1), false)),
        6 => of("||", decided(truth(&left.1), truth(&right.1), true)),
        7 => (format!("!({})", left.0), truth(&left.1).map(|truth| Known::Truth(!truth))),
        8 => (format!("-({})", left.0), number(&left.1).and_then(|number| exact(-number))),
        _ => left,
    }
}

/// Two texts have an order and a sum; which, this evaluator does not know, so trees with one are left out.
fn joined((left, _): &(String, Answer), (right, _): &(String, Answer)) -> Answer {
    let is_text = |text: &str| text.contains('\'') || text.contains("args.text");
    (is_text(left) && is_text(right)).then_some(Known::Other)
}

fn in_order(left: &(String, Answer), right: &(String, Answer)) -> Answer {
    joined(left, right)
}

fn decided(left: Option<bool>, right: Option<bool>, decides: bool) -> Answer {
    if left == Some(decides) || right == Some(decides) {
        return Some(Known::Truth(decides));
    }
    left.and(right).map(|_| Known::Truth(!decides))
}

/// A capability that is worth what an expression says, and an agent that asks above 500 USD.
fn gate(expression: &str) -> Option<Registry> {
    let text = format!(
        "apiVersion: agent.os/v1\nkind: Capability\nmetadata: {{name: pay, owner: it}}\n\
         spec: {{server: bank, tool: pay, effect: write, egress: false, value_usd: {}}}\n---\n\
         apiVersion: agent.os/v1\nkind: Agent\nmetadata: {{name: payer, owner: finance}}\n\
         spec:\n  model: {{provider: p, name: m}}\n  tools: [mcp://gateway/pay]\n  approval: {{on_action_value_usd_gt: 500}}\n",
        serde_json::to_string(expression).unwrap()
    );
    let read: Vec<Descriptor> = read(&text)?;
    Some(happened(&Registry::default(), applied(&read)).unwrap())
}

#[test]
fn what_an_expression_comes_to_is_right_or_unknown_and_unknown_asks() {
    let (rounds, gated) = (3_000, 150);
    let mut with = Mutator::new(7, &[]);
    let (args, mut seen) = (args(), [0_usize; 3]);
    for round in 0..rounds {
        let (text, expected) = tree(&mut with, 3);
        if text.contains('\'') || text.contains("args.text") {
            continue;
        }
        let expression = Expression::parse(&text, &["args"]).unwrap_or_else(|error| panic!("{text}: {error}"));
        let answer = expression.evaluate(&[("args", &args)]);
        let same = match (&answer, &expected) {
            (Ok(Evaluated::Number(is)), Some(Known::Number(number))) => is == number,
            (Ok(Evaluated::Bool(is)), Some(Known::Truth(truth))) => is == truth,
            (Ok(Evaluated::Null), Some(Known::Other)) | (Err(_), None) => true,
            (Ok(_), _) | (Err(_), Some(_)) => false,
        };
        assert!(same, "{text} is {answer:?}, not {expected:?}");
        if round < gated
            && let Some(registry) = gate(&text)
        {
            let case = json!({"agent": "payer", "tool": "pay", "input": args});
            let case: Case = serde_json::from_value(case).unwrap();
            let said = ask(&registry, &Default::default(), &case, Timestamp(1_795_305_600_000)).unwrap().decision;
            let small = number(&expected).is_some_and(|usd| (0.0..=500.0).contains(&usd));
            assert_eq!(said == Decision::Allow, small, "{text} is {expected:?}, and the gate says {said:?}");
            seen[if small {
                0
            } else if expected.is_none() {
                1
            } else {
                2
            }] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 0), "small, unknown and large were all asked: {seen:?}");
}

/// An agent that may use a capability when an expression holds.
fn narrowed(when: &str) -> Option<Registry> {
    let text = format!(
        "apiVersion: agent.os/v1\nkind: Capability\nmetadata: {{name: look, owner: it}}\n\
         spec: {{server: bank, tool: look, effect: read}}\n---\n\
         apiVersion: agent.os/v1\nkind: Agent\nmetadata: {{name: looker, owner: finance}}\n\
         spec:\n  model: {{provider: p, name: m}}\n  tools: [{{use: mcp://gateway/look, when: {}}}]\n",
        serde_json::to_string(when).unwrap()
    );
    Some(happened(&Registry::default(), applied(&read(&text)?)).unwrap())
}

#[test]
fn what_is_allowed_when_an_expression_holds_is_refused_where_it_is_false_or_unknown() {
    let schema = json!({"type": "object", "properties": {
        "amount_usd": {"type": "number"}, "n": {"type": "integer"}, "big": {"type": "integer"}, "minus": {"type": "integer"},
        "to": {"type": "string"}, "text": {"type": "string"}, "yes": {"type": "boolean"}, "gone": {"type": "number"},
        "deep": {"type": "object", "properties": {"usd": {"type": "number"}}},
    }});
    let definitions = [("mcp://gateway/look".parse().unwrap(), std::sync::Arc::new(schema))].into();
    let (args, mut with, mut seen) = (args(), Mutator::new(11, &[]), [0_usize; 2]);
    for _ in 0..1_000 {
        let (text, expected) = tree(&mut with, 2);
        // Texts this test's evaluator does not know; large whole numbers Cedar knows exactly, and an expression does not.
        if ["'", "args.text", "args.big"].iter().any(|left_out| text.contains(left_out)) {
            continue;
        }
        let Some(registry) = narrowed(&text) else { continue };
        let case: Case = serde_json::from_value(json!({"agent": "looker", "tool": "look", "input": args})).unwrap();
        let said = ask(&registry, &definitions, &case, Timestamp(1_795_305_600_000)).unwrap().decision;
        let holds = truth(&expected) == Some(true);
        assert!(holds || said == Decision::Deny, "{text} is {expected:?}, and the gate says {said:?}");
        seen[usize::from(said == Decision::Allow)] += 1;
    }
    assert!(seen[0] > 10 && seen[1] > 3, "refused and allowed: {seen:?}");
}
