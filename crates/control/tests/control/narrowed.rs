//! What a descriptor says beside a tool: `when` of its arguments, `per_hour` of its use.

use control::Verdict;
use control::policy::{check, show, suppose};
use domain::budget::{Amounts, BudgetKey, Meter, Subject, Window};
use domain::decision::{Refusal, RefusedBy, WaitFor};
use domain::expression::Expression;
use domain::id::{Digest, Shard};
use serde_json::{Value, json};

use crate::world::{ARTICLE, Draft, NOW, World, applied, name};

const INSIDE: &str = "when: \"args.to.endsWith('@acme.example') && (!('copies' in args) || args.copies <= 3)\"";

/// The article's agent with something said beside `email-draft`.
fn article(words: &str) -> String {
    ARTICLE.replace("- mcp://gateway/email-draft", &format!("- {{use: mcp://gateway/email-draft, {words}}}"))
}

fn saying(words: &str) -> World {
    World::with(&article(words))
}

fn with(arguments: Value) -> Draft {
    Draft { arguments, ..Draft::of(50) }
}

fn refusal(verdict: Verdict) -> Refusal {
    let Verdict::Deny { refusal, .. } = verdict else { panic!("it should be refused: {verdict:?}") };
    refusal
}

#[test]
fn what_a_clause_is_not_true_of_is_refused_by_the_clause() {
    let mut world = saying(INSIDE);
    assert!(matches!(world.ask(&Draft::of(50)), Verdict::Allow { .. }));
    let few = with(json!({"to": "a@acme.example", "copies": 3}));
    assert!(matches!(world.ask(&few), Verdict::Allow { .. }));
    let told = |verdict| {
        let Refusal { by, reason, next } = refusal(verdict);
        assert_eq!(by, RefusedBy::Policy);
        assert!(next.contains("change `when` of mcp://gateway/email-draft under spec.tools"), "{next}");
        reason
    };
    assert_eq!(
        told(world.ask(&with(json!({"to": "eve@evil.example"})))),
        "reconciliation-finance may use email-draft only when `args.to.endsWith('@acme.example')`, and here that is not so."
    );
    let many = told(world.ask(&with(json!({"to": "a@acme.example", "copies": 4}))));
    assert!(many.contains("only when `!('copies' in args) || args.copies <= 3`, and here"), "{many}");
    let missing = refusal(world.ask(&with(json!({"copies": 1})))).reason;
    assert!(missing.contains("cannot judge this call") && missing.contains("`to` is missing"), "{missing}");
}

#[test]
fn an_argument_that_may_be_missing_and_is_makes_a_clause_untrue() {
    let mut world = saying("when: args.copies != 7");
    let said = refusal(world.ask(&Draft::of(50))).reason;
    assert!(said.contains("cannot be told: there is no `copies`"), "{said}");
    assert!(matches!(world.ask(&with(json!({"to": "a", "copies": 1}))), Verdict::Allow { .. }));
    let mut unless = saying("when: \"!(args.copies == 7)\"");
    assert!(matches!(unless.ask(&Draft::of(50)), Verdict::Deny { .. }), "not even where it is denied");
}

#[test]
fn a_clause_that_no_rule_can_be_made_of_refuses_every_use_and_says_why() {
    for (clause, why) in [
        ("args.too == 'x'", "is called `too`; there are `amount_usd`, `copies`, `to`"),
        ("args.to > 'a'", "Cedar knows no order of a text"),
        ("args.amount_usd * 2 < 10", "Cedar reckons with whole numbers only"),
        ("args.to.startsWith(args.to)", "not written out"),
        ("args.to", "neither true nor false"),
        ("args.copies == 'x'", "compares a whole number with a text"),
        ("args.copies < 2.5", "compares a whole number with a number"),
        ("args.to == null", "`'NAME' in args`"),
    ] {
        let mut world = saying(&format!("when: {clause:?}"));
        let said = refusal(world.ask(&Draft::of(50)));
        assert!(said.reason.contains(why), "{clause}: {said:?}");
        assert!(said.reason.contains("tool-when.email-draft") && said.next.contains("descriptor"), "{said:?}");
        let read = Draft { capability: "mcp://gateway/ledger-read".parse().unwrap(), ..Draft::of(50) };
        assert!(matches!(world.ask(&read), Verdict::Allow { .. }), "other tools are as they were");
    }
}

#[test]
fn a_session_is_bound_by_what_it_began_under_and_by_what_holds_now() {
    let mut world = saying("when: args.to.endsWith('example')");
    world.happened(applied(&article("when: args.to.startsWith('billing@')")));
    assert!(matches!(world.ask(&Draft::of(50)), Verdict::Allow { .. }));
    for (to, clause) in [("eve@acme.example", "startsWith"), ("billing@acme.test", "endsWith")] {
        let reason = refusal(world.ask(&with(json!({"to": to})))).reason;
        assert!(reason.contains(clause), "{to}: {reason}");
    }
}

#[test]
fn the_rules_of_a_clause_are_shown_with_the_others() {
    let world = saying(&format!("{INSIDE}, per_hour: 20"));
    let schema = std::sync::Arc::new(Draft::of(1).input_schema);
    let known = check::Definitions::from([("mcp://gateway/email-draft".parse().unwrap(), schema)]);
    let shown = show::in_force(&world.registry, &known, &name("reconciliation-finance")).unwrap();
    let own = shown.texts.last().unwrap();
    let ids: Vec<&str> = own.rules.iter().map(|rule| rule.id.as_str()).filter(|id| id.contains("when")).collect();
    assert_eq!(ids, ["tool-when.email-draft", "tool-when.email-draft.2"], "{}", own.cedar);
    assert!(own.cedar.contains("unless { (context.input.to like \"*@acme.example\") };"), "{}", own.cedar);
    assert!(own.cedar.contains("per_hour 20"), "{}", own.cedar);
    let unknown = show::in_force(&world.registry, &check::Definitions::new(), &name("reconciliation-finance")).unwrap();
    let own = unknown.texts.last().unwrap();
    assert!(own.cedar.contains("// tool-when.email-draft refuses every use") && own.broken.is_none(), "{}", own.cedar);
}

const ATOMS: [&str; 22] = [
    "args.to == 'a*b'",
    "args.to.startsWith('a*')",
    "args.to != args.cc",
    "args.cc.endsWith('\u{e9}\"')",
    "args.n <= 2",
    "args.n * 2 - 1 == args.m + 2",
    "-args.n < 0",
    "args.usd > 1.25",
    "args.usd == 2",
    "args.flag",
    "args.flag == false",
    "'a' in args.list",
    "args.cc in args.list",
    "args.to in ['a*b', 'x']",
    "args.n in [1, 2]",
    "'cc' in args",
    "args['to'] == 'x' + 'y'",
    "args.deep.x == 1",
    "'x' in args.deep",
    "true",
    "args.usd in [1.5]",
    "args.n in []",
];

fn of_every_type() -> Value {
    json!({"type": "object", "required": ["to"], "properties": {
        "to": {"type": "string"}, "cc": {"type": "string"}, "n": {"type": "integer"}, "m": {"type": "integer"},
        "usd": {"type": "number"}, "flag": {"type": "boolean"}, "list": {"type": "array", "items": {"type": "string"}},
        "deep": {"type": "object", "properties": {"x": {"type": "integer"}}}}})
}

/// Arguments made of pieces; any but `to` may be missing.
fn pieces(next: &mut impl FnMut(usize) -> usize) -> Value {
    let values = json!({
        "to": ["a*b", "aab", "xy", ""], "cc": ["a*b", "\u{e9}\"", "a"], "n": [1, 2, 3, -1], "m": [-1, 1, 0],
        "usd": [1.25, 1.5, 2], "flag": [true, false], "list": [[], ["a"], ["a", "a*b"]],
        "deep": [{}, {"x": 1}, {"x": 2}],
    });
    let mut arguments = json!({});
    for (name, all) in values.as_object().unwrap() {
        if name == "to" || next(3) > 0 {
            arguments[name] = all[next(all.as_array().unwrap().len())].clone();
        }
    }
    arguments
}

#[test]
fn a_supposed_call_says_which_clauses_would_have_to_be_true() {
    let world = saying("when: args.to.endsWith('.example')");
    let input = json!({"to": "a@globex.test", "amount_usd": 50});
    let case = json!({"agent": "reconciliation-finance", "tool": "email-draft", "input": input});
    let case: suppose::Case = serde_json::from_value(case).unwrap();
    let answer = suppose::ask(&world.registry, &check::Definitions::new(), &case, world.now).unwrap();
    assert_eq!(answer.decision, suppose::Decision::Deny);
    assert_eq!(answer.rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["tool-when.email-draft"]);
    assert_eq!(answer.would, ["with arguments of which `args.to.endsWith('.example')` is true"]);
    assert_eq!(answer.because["input.to"], "a@globex.test");
}

/// Clauses made of pieces, over arguments made of pieces: the gate lets through exactly what the clause is true of.
#[test]
fn cedar_says_of_a_clause_what_the_expression_says() {
    let mut state: u64 = 0x5eed;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (mut let_through, mut refused, mut untold) = (0, 0, 0);
    for round in 0..150 {
        let mut clause = ATOMS[round % ATOMS.len()].to_owned();
        for _ in 0..next(4) {
            let other = ATOMS[next(ATOMS.len())];
            clause = match next(4) {
                0 => format!("({clause}) && {other}"),
                1 => format!("({clause}) || {other}"),
                2 => format!("!({clause})"),
                _ => format!("!({other}) || ({clause})"),
            };
        }
        let expression: Expression = clause.parse().unwrap();
        let mut world = saying(&format!("when: {}", json!(clause)));
        for _ in 0..8 {
            let arguments = pieces(&mut next);
            let (input_schema, schema) = (of_every_type(), Digest::of(b"pieces"));
            let draft = Draft { input_schema, schema, ..with(arguments.clone()) };
            let says = expression.truth(&[("args", &arguments)]);
            let verdict = world.ask(&draft);
            if let Verdict::Allow { rows, .. } = &verdict {
                world.holdings.undo(&rows.holdings);
            }
            let passes = matches!(verdict, Verdict::Allow { .. });
            assert_eq!(passes, says == Ok(true), "{clause} of {arguments}: {says:?}, {verdict:?}");
            match (passes, says.is_err()) {
                (true, _) => let_through += 1,
                (false, false) => refused += 1,
                (false, true) => untold += 1,
            }
        }
    }
    assert!(let_through > 200 && refused > 200 && untold > 100, "{let_through} {refused} {untold}");
}

#[test]
fn the_uses_of_a_tool_are_held_and_counted_in_their_hour() {
    let mut world = saying("per_hour: 2");
    let tool = Subject::Tool { agent: name("reconciliation-finance"), tool: name("email-draft") };
    let budget = BudgetKey { subject: tool, meter: Meter::Calls, window: Window::Hour };
    let Verdict::Allow { holds: first, .. } = world.ask(&Draft::of(50)) else { panic!("there is room") };
    assert_eq!(first.iter().filter(|hold| hold.budget == budget).map(|hold| hold.amount).sum::<i64>(), 1);
    let Verdict::Allow { holds: second, .. } = world.ask(&Draft::of(50)) else { panic!("there is room") };
    let Verdict::Wait { wait, .. } = world.ask(&Draft::of(50)) else { panic!("both are in flight") };
    assert!(matches!(wait.why, WaitFor::TiedUp { budget } if budget.starts_with("tool/")));
    // One was never sent and counts nothing; the other was.
    world.holdings.settle(Shard(0), &second, &Amounts::default());
    let sent = Amounts { calls: 1, external_actions: 1, usd_micros: 5000, ..Amounts::default() };
    world.holdings.settle(Shard(0), &first, &sent);
    assert_eq!(world.holdings.balance(&budget, Window::Hour.start(NOW)).spent, 1);
    let Verdict::Allow { holds: third, .. } = world.ask(&Draft::of(50)) else { panic!("one is left") };
    world.holdings.settle(Shard(0), &third, &sent);
    let over = refusal(world.ask(&Draft::of(50)));
    assert_eq!(over.by, RefusedBy::Budget);
    assert!(over.reason.contains("tool/reconciliation-finance/email-draft/calls_per_hour is used up: 2 calls of 2"));
    assert!(
        over.next.contains("Do not use email-draft again") && over.next.contains("raise per_hour"),
        "{}",
        over.next
    );
    let read = Draft { capability: "mcp://gateway/ledger-read".parse().unwrap(), ..Draft::of(50) };
    assert!(matches!(world.ask(&read), Verdict::Allow { .. }), "other tools go on");
    world.now = world.now.plus_ms(Window::Hour.length_ms());
    world.draw();
    assert!(matches!(world.ask(&Draft::of(50)), Verdict::Allow { .. }), "the next hour has its own");
}

#[test]
fn more_of_an_hour_can_be_allowed_once() {
    use domain::control::ControlEvent;
    let mut world = saying("per_hour: 0");
    assert_eq!(refusal(world.ask(&Draft::of(50))).by, RefusedBy::Budget);
    let budget: BudgetKey = "tool/reconciliation-finance/email-draft/calls_per_hour".parse().unwrap();
    let (reason, by) = ("once".to_owned(), "admin".to_owned());
    let window_start = Window::Hour.start(NOW);
    world.happened(ControlEvent::BudgetRaised { budget, window_start, amount: 1, reason, by, approval: None });
    world.draw();
    assert!(matches!(world.ask(&Draft::of(50)), Verdict::Allow { .. }));
}
