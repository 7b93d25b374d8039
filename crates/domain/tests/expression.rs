//! What expressions mean, what is refused, and that nothing makes them panic.

use domain::expression::{Evaluated, Expression, MAX_LENGTH};
use domain::money::UsdMicros;
use serde_json::{Value, json};

fn truth(text: &str, args: &Value) -> bool {
    let expression = Expression::parse(text, &["args"]).unwrap_or_else(|e| panic!("{text}: {e} at {}", e.offset));
    expression.truth(&[("args", args)]).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn fails(text: &str, args: &Value) -> String {
    let expression = Expression::parse(text, &["args"]).unwrap_or_else(|e| panic!("{text}: {e} at {}", e.offset));
    expression.evaluate(&[("args", args)]).expect_err(text).to_string()
}

fn refused(text: &str) -> (usize, String) {
    let error = Expression::parse(text, &["args"]).expect_err(text);
    (error.offset, error.message)
}

#[test]
fn comparisons_logic_and_text_tests_hold() {
    let args = json!({"to": "ana@acme.example", "n": 3, "tags": ["a", 2], "deep": {"x y": [10, 20]}, "none": null});
    for text in [
        "args.to.endsWith('@acme.example') && args.n == 3",
        "args.n < 4 && args.n <= 3 && args.n > 2 && args.n >= 3 && args.n != 4",
        "'a' in args.tags && 2.0 in args.tags && !('b' in args.tags)",
        "'n' in args && !('m' in args)",
        "args.deep[\"x y\"][1] == 20",
        "args.n * 2 + 1 - 4 == 3 && -args.n == -3 && 2 + 2 * 2 == 6",
        "args.n in [1, 2, 3] && args.to.startsWith(\"ana\") || false",
        "args.none == null && args.n != null && args.to != 3",
        "args.tags == ['a', 2] && args.deep == args.deep",
        "\"it's\" == 'it\\'s' && 'a' + 'b' == 'ab' && 'a' < 'b'",
        "true || false && false",
    ] {
        assert!(truth(text, &args), "{text}");
    }
}

#[test]
fn a_side_that_decides_does_so_even_if_the_other_is_an_error() {
    let args = json!({});
    assert!(truth("true || args.gone", &args) && truth("args.gone || true", &args));
    assert!(!truth("false && args.gone", &args) && !truth("args.gone && false", &args));
    assert!(fails("args.gone || false", &args).contains("`gone`"));
}

#[test]
fn what_is_not_there_or_does_not_fit_is_an_error_and_never_a_default() {
    let args = json!({"n": 3, "t": "4180.00", "l": [1]});
    for text in [
        "args.m",
        "args.n.m",
        "args.l[1]",
        "args.l[0.5]",
        "args.t + 1",
        "-args.t",
        "!args.n",
        "args.n < args.t",
        "args.n in args.t",
        "args.t.endsWith(3)",
        "args.n && true",
    ] {
        fails(text, &args);
    }
}

#[test]
fn money_is_exact_or_unknown() {
    let usd = |text: &str, args: &Value| {
        Expression::parse(text, &["args"]).unwrap().usd(&[("args", args)]).ok().map(|UsdMicros(micros)| micros)
    };
    let args = json!({"a": 0.1, "b": 0.2, "n": 4180.10, "t": "4180", "neg": -1, "big": 1e300, "id": 9_007_199_254_740_993_i64});
    assert_eq!(usd("args.a + args.b", &args), Some(300_000));
    assert_eq!(usd("args.n", &args), Some(4_180_100_000));
    assert_eq!(usd("args.n * 3", &args), Some(12_540_300_000));
    assert_eq!(usd("0", &args), Some(0));
    for unknown in ["args.t", "args.neg", "args.big", "args.big * args.big", "args.id", "args.gone", "args", "null"] {
        assert_eq!(usd(unknown, &args), None, "{unknown}");
    }
}

#[test]
fn a_key_is_a_text_or_a_whole_number() {
    // The last one is read as the number before it: two keys would be one.
    let args = json!({"s": "INV-1", "n": 7, "f": 0.5, "e": "", "id": 9_007_199_254_740_991_i64, "next": 9_007_199_254_740_993_i64});
    let text = |text: &str| Expression::parse(text, &["args"]).unwrap().text(&[("args", &args)]).ok();
    assert_eq!(text("args.s").as_deref(), Some("INV-1"));
    assert_eq!(text("args.n").as_deref(), Some("7"));
    assert_eq!(text("-0").as_deref(), Some("0"));
    assert_eq!((text("args.f"), text("args.e"), text("args")), (None, None, None));
    assert_eq!((text("args.id").as_deref(), text("args.next")), (Some("9007199254740991"), None));
}

#[test]
fn what_is_no_expression_is_refused_at_its_byte() {
    for (text, offset, why) in [
        ("", 0, "expected a value"),
        ("args.", 5, "a field's name"),
        ("args.a = 3", 7, "`==`"),
        ("args.a & args.b", 7, "`&&`"),
        ("args.a < 1 < 2", 11, "chain"),
        ("(args.a", 7, "`)`"),
        ("[1, 2", 5, "`]`"),
        ("args.a.contains('x')", 7, "startsWith"),
        ("size(args)", 0, "startsWith"),
        ("'abc", 0, "closing quote"),
        ("'a\\x'", 2, "only n, t"),
        ("1e999", 0, "exact"),
        ("12abc", 2, "letters"),
        ("args.a / 2", 7, "`/`"),
        ("args.a args.b", 7, "operator"),
        ("1 + input.x", 4, "`input`"),
        ("args.ä", 5, "`ä`"),
        ("in", 0, "expected a value"),
    ] {
        let (found, message) = refused(text);
        assert_eq!(found, offset, "{text}: {message}");
        assert!(message.contains(why), "{text}: {message}");
    }
}

#[test]
fn length_and_depth_are_bounded() {
    assert!(refused(&format!("args.{}", "a".repeat(MAX_LENGTH))).1.contains("1000"));
    for open in ["(", "[", "!", "-", "args["] {
        assert!(refused(&open.repeat(MAX_LENGTH / open.len())).1.contains("deeper"), "{open}");
    }
    let long = vec!["1"; MAX_LENGTH / 2].join("+");
    let sum = Expression::parse(&long, &[]).unwrap();
    assert_eq!(sum.evaluate(&[]), Ok(Evaluated::Number(500.0)));
}

#[test]
fn a_text_does_not_grow_without_end() {
    let args = json!({"t": "x".repeat(40_000)});
    assert!(fails("args.t + args.t", &args).contains("grows"));
}

#[test]
fn it_is_written_and_read_back_as_its_text() {
    let expression: Expression = "args.a > 1".parse().unwrap();
    let json = serde_json::to_string(&expression).unwrap();
    assert_eq!(json, "\"args.a > 1\"");
    assert_eq!(serde_json::from_str::<Expression>(&json).unwrap(), expression);
    assert!(serde_json::from_str::<Expression>("\"args.\"").is_err());
}

/// A small linear congruential generator (Knuth, MMIX): the same texts every time.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[test]
fn no_text_makes_it_panic() {
    let parts = [
        "args",
        ".",
        "a",
        "b",
        "[",
        "]",
        "(",
        ")",
        "!",
        "-",
        "+",
        "*",
        "==",
        "<",
        ">=",
        "&&",
        "||",
        " in ",
        "'x'",
        "\"",
        "'",
        "\\",
        "1",
        "0.5",
        "1e9",
        "9007199254740992",
        "true",
        "null",
        ".endsWith(",
        ".startsWith(",
        ",",
        " ",
        "é",
        "💸",
        "\0",
    ];
    let args = json!({"a": 1, "b": {"a": ["x", 2, null, true, {"a": 1e308}]}});
    let mut state = 7;
    let mut valid = 0;
    for _ in 0..30_000 {
        let count = 1 + next(&mut state) % 12;
        let text: String = (0..count).map(|_| parts[next(&mut state) % parts.len()]).collect();
        if let Ok(expression) = text.parse::<Expression>() {
            valid += 1;
            let _ = expression.evaluate(&[("args", &args)]);
            let _ = expression.usd(&[("args", &args)]);
            assert_eq!(expression.to_string().parse::<Expression>().unwrap(), expression);
        }
    }
    assert!(valid > 300, "only {valid} of the texts were expressions: the test tests little");
}
