//! Each rule, asked of small trees that break it: a rule that finds nothing anywhere proves nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tidy::arrows::Lists;
use tidy::exceptions::{Exception, unexcused};
use tidy::function::{Function, functions};
use tidy::scan::scan;
use tidy::{File, Finding, Tree, arrows, names, rooms, sizes, weight, words};

fn tree(files: &[(&str, &str)]) -> Tree {
    let files = files.iter().map(|(path, text)| File::new(path, text.as_bytes())).collect();
    Tree { root: PathBuf::from("."), files }
}

fn lines(findings: &[Finding]) -> Vec<usize> {
    findings.iter().map(|finding| finding.line).collect()
}

fn only(text: &str) -> Function {
    let mut found = functions(&scan(text));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn code_keeps_its_lines_without_comments_and_literals() {
    let scanned = scan("let a = \"fn x() {\"; // }\n/* { /* } */ */ let b = '{'; let c: &'a str = r#\"\"}\"#;\n");
    assert_eq!(scanned.code.lines().count(), 2);
    assert!(!scanned.code.contains(['{', '}', '"']), "{}", scanned.code);
    assert!(scanned.code.contains("&'a str"));
    let texts: Vec<&str> = scanned.literals.iter().map(|literal| literal.text.as_str()).collect();
    assert_eq!(texts, ["fn x() {", "\"}"]);
}

#[test]
fn an_escaped_quote_ends_nothing() {
    let scanned = scan(r#"let a = "\"{\\"; let b = '\''; let c = b'"'; let d = '\u{7b}'; {}"#);
    assert_eq!(scanned.code.matches('{').count(), 1, "{}", scanned.code);
}

#[test]
fn parameters_are_counted_without_self_and_across_generics() {
    let one = only(
        "impl A { fn f<T: Fn(u8, u8) -> u8>(&'a mut self, a: Map<K, V>, (b, c): (u8, u8), d: &dyn Fn(A, B) -> C,) {} }",
    );
    assert_eq!((one.name.as_str(), one.parameters, one.body), ("f", 3, true));
    assert_eq!(only("trait A { fn f(self: Arc<Self>) -> [u8; 4]; }").parameters, 0);
    assert_eq!(only("struct A(fn(u8)); fn f(g: fn(u8, u8) -> u8) {}").parameters, 1);
}

#[test]
fn a_function_is_measured_from_its_first_line_to_its_brace() {
    let one = only("\nfn f(\n    a: u8,\n) -> bool {\n    // }\n    a < 3 && \"}\".len() > 1\n}\n");
    assert_eq!((one.line, one.lines), (2, 6));
}

#[test]
fn long_files_and_functions_are_found() {
    let long = format!("//! x\nfn f(a: A, b: B, c: C, d: D, e: E, f: F) {{\n{}}}\n", "    g();\n".repeat(600));
    let findings = sizes::check(&tree(&[("crates/a/src/b.rs", &long)]));
    assert_eq!(lines(&findings), [0, 0, 0, 2, 2], "{findings:?}");
}

#[test]
fn an_arrow_that_the_house_does_not_have_is_found() {
    let lists = |rooms: &[&str], outside: &[&str]| Lists {
        rooms: rooms.iter().map(ToString::to_string).collect(),
        outside: outside.iter().map(ToString::to_string).collect(),
    };
    let listed = BTreeMap::from([
        ("execution".to_owned(), lists(&["control", "data"], &["axum"])),
        ("cli".to_owned(), lists(&["simulation"], &[])),
        ("ninth".to_owned(), lists(&[], &[])),
    ]);
    let said: Vec<String> = arrows::check(&listed).into_iter().map(|finding| finding.said).collect();
    assert_eq!(said[0], "cli must not list simulation");
    assert_eq!(said[1], "execution must not list control");
    assert_eq!(said[2], "axum belongs to server, not to execution");
    assert!(said[3].starts_with("a new crate needs"));
    assert_eq!(said.len(), 4);
}

#[test]
fn empty_names_and_silent_files_are_found() {
    let files = [
        ("crates/a/src/util.rs", "//! x\n"),
        ("crates/a/src/b/mod.rs", "//! x\n"),
        ("crates/a/src/c.rs", "use d::E;\nmod helpers;\n"),
        ("crates/a/src/lib.rs", "//! x\nfn work() {}\n"),
    ];
    assert_eq!(lines(&names::check(&tree(&files))), [0, 0, 1, 2, 2]);
}

#[test]
fn banned_words_are_found_in_prose_and_not_in_data() {
    let marker = ["TO", "DO"].concat();
    let text = format!("//! x\n// {marker}: later\n// MAS{marker}S\n");
    let found = words::check(&tree(&[("crates/a/src/b.rs", &text), ("examples/demo/data/a.md", &text)]));
    assert_eq!(lines(&found), [2]);
    let lock = "{\n\"resolved\": \"https://example.test/a.tgz\"\n}\n";
    assert_eq!(lines(&words::check(&tree(&[("tests/npm/package-lock.json", lock)]))), [2]);
}

#[test]
fn what_belongs_to_one_room_is_found_in_the_others() {
    let text = "//! SELECT in a comment\nlet t = Instant::now();\nlet s = \"SELECT 1\";\nuse http::StatusCode;\n\
        #[allow(dead_code)]\n#[expect(dead_code)]\n#[expect(dead_code, reason = \"why\")]\nlet x = y.expect(\"why\");\n";
    assert_eq!(lines(&rooms::check(&tree(&[("crates/models/src/a.rs", text)]))), [2, 3, 4, 5, 6]);
    assert_eq!(lines(&rooms::check(&tree(&[("crates/data/src/a.rs", text)]))), [2, 4, 5, 6]);
}

#[test]
fn heavy_files_are_found() {
    let heavy = "x".repeat(5_000_001);
    assert_eq!(weight::check(&tree(&[("examples/a.csv", &heavy)])).len(), 2);
}

#[test]
fn an_exception_that_excuses_nothing_is_a_finding() {
    let finding = Finding::new("sizes", "a.rs", 3, "long");
    let exception = |path| Exception { rule: "sizes", path, reason: "measured" };
    assert!(unexcused(vec![finding.clone()], &[exception("a.rs")]).is_empty());
    assert_eq!(unexcused(vec![finding], &[exception("b.rs")]).len(), 2);
}
