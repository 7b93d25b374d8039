//! What malformed files get: file, line, column, the reason and the nearest valid word.

use domain::descriptor::{Diagnostic, parse_file};

const ARTICLE: &str = include_str!("../../../examples/reconciliation-finance.yaml");

fn wrong(text: &str) -> Vec<Diagnostic> {
    parse_file("agents/a.yaml", text, &|_| None).expect_err(text)
}

/// The one thing that is wrong with the article's file once this is replaced by that.
fn one(this: &str, that: &str) -> Diagnostic {
    assert!(ARTICLE.contains(this), "{this}");
    let mut found = wrong(&ARTICLE.replacen(this, that, 1));
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

fn check(this: &str, that: &str, place: (usize, usize), says: &str) {
    let found = one(this, that);
    assert_eq!((found.line, found.column), place, "{found}");
    assert!(found.to_string().contains(says), "{found}");
}

#[test]
fn an_unknown_field_names_the_nearest_known_one() {
    let found = one("calls_per_hour", "calls_per_huor");
    assert_eq!((found.file.as_str(), found.line, found.column), ("agents/a.yaml", 20, 5));
    assert_eq!(found.message, "spec.budgets: unknown field `calls_per_huor`");
    assert_eq!(found.nearest.as_deref(), Some("calls_per_hour"));
    assert!(found.help.unwrap().starts_with("did you mean `calls_per_hour`?"));
    for (this, that, near) in [
        ("owner:", "ower:", "owner"),
        ("metadata:", "meta_data:", "metadata"),
        ("pinned_revision", "pinnedRevision", "pinned_revision"),
        ("on_action_value_usd_gt", "on_action_value_gt", "on_action_value_usd_gt"),
        ("kind: Agent", "kind: agent", "Agent"),
        ("type: persistent", "type: persistant", "persistent"),
        ("agent.os/v1", "agent.os/v0", "agent.os/v1"),
    ] {
        let found = wrong(&ARTICLE.replacen(this, that, 1));
        assert!(found.iter().any(|one| one.nearest.as_deref() == Some(near)), "{that}: {found:#?}");
    }
}

#[test]
fn a_wrong_value_is_named_with_its_field_and_place() {
    check(
        "usd_per_day: 40",
        "usd_per_day: 40\n    timezone: Europe/Madird",
        (22, 15),
        "spec.budgets.timezone: `Europe/Madird` is not a time zone",
    );
    check("usd_per_day: 40", "usd_per_day: -4", (21, 18), "spec.budgets.usd_per_day: expected US dollars from 0");
    check("usd_per_day: 40", "usd_per_day: 0.0000001", (21, 18), "at most 6 decimals");
    check("usd_per_day: 40", "usd_per_day: .inf", (21, 18), "found `.inf`");
    check("usd_per_day: 40", "usd_per_day: 1e400", (21, 18), "expected US dollars");
    check("usd_per_day: 40", "usd_per_day: \"40\"", (21, 18), "without quotes: 40");
    check("usd_per_day: 40", "usd_per_day: 40 USD", (21, 18), "found `40 USD`");
    check("usd_per_day: 40", "usd_per_day:", (21, 5), "found nothing");
    check("calls_per_hour: 200", "calls_per_hour: 2.5", (20, 21), "a whole number");
    check("calls_per_hour: 200", "calls_per_hour: 99999999999999999999", (20, 21), "a whole number");
    check("calls_per_hour: 200", "calls_per_hour: [200]", (20, 21), "found a list");
    check("retention_days: 90", "retention_days: 0", (14, 21), "from 1 to 3650");
    check("name: reconciliation-finance", "name: Reconciliation_Finance", (5, 9), "such as `reconciliation-finance`");
    check("owner: finance-platform", "owner: 12", (6, 10), "put it in quotes: \"12\"");
    check("\"2026-02-14\"", "20260214", (11, 22), "put it in quotes");
    check("\"2026-02-14\"", "\"\"", (11, 22), "a word of 1 to 200");
    check("type: persistent", "type: none", (14, 5), "means nothing");
    check("mcp://gateway/ledger-read", "mcp://ledger-read", (17, 7), "write mcp://gateway/NAME");
    check("mcp://gateway/ledger-read", "mcp://gateway/email-draft", (18, 7), "a second tool named `email-draft`");
    check("mcp://gateway/ledger-read", "internal://calclate", (17, 7), "did you mean `calculate`");
}

#[test]
fn what_starts_an_agent_and_what_runs_side_by_side_is_checked_when_it_is_applied() {
    let tail = "    on_action_value_usd_gt: 1000";
    let with = |lines: &str| format!("{tail}\n  {lines}");
    let (cron, hook) = ("name: n, cron: \"0 2 * * *\"", "name: h, webhook: {secret: s}");
    for (line, column, says) in [
        (
            format!("triggers: [{{{cron}, timezone: Europe/Madird}}]"),
            53,
            "timezone: `Europe/Madird` is not a time zone",
        ),
        ("triggers: [{name: n, cron: \"0 25 * * *\"}]".to_owned(), 30, "cron: `0 25 * * *` is not a cron expression"),
        ("triggers: [{name: n, cron: \"0 2 30 2 *\"}]".to_owned(), 30, "never falls due"),
        ("triggers: [{name: n}]".to_owned(), 14, "expected either `cron` or `webhook`"),
        (format!("triggers: [{{{cron}, session: body.a}}]"), 43, "`session` means nothing with `cron`"),
        (format!("triggers: [{{{cron}, input: body.a}}]"), 43, "`input` must be a mapping with `cron`"),
        (format!("triggers: [{{{hook}, input: {{a: 1}}}}]"), 46, "`input` must be an expression over body"),
        (format!("triggers: [{{{hook}, timezone: UTC}}]"), 46, "`timezone` means nothing with `webhook`"),
        (format!("triggers: [{{{hook}, session: args.x}}]"), 55, "`args` is not known here; paths begin with `body`"),
        ("triggers: [{name: h, webhook: {secret: \"whsec_a/b=\"}}]".to_owned(), 42, "not the name of a secret"),
        (format!("triggers: [{{{hook}}}, {{{hook}}}]"), 47, "a second trigger named `h`"),
        ("concurrency: {one_per: partition}".to_owned(), 17, "`one_per` partition needs a `key`"),
        ("concurrency: {key: input.a}".to_owned(), 17, "`key` means nothing without `one_per: partition`"),
        ("concurrency: {one_per: partition, key: body.a}".to_owned(), 42, "paths begin with `input`"),
        (
            format!("triggers: [{{{cron}}}]\n  concurrency: {{one_per: partition, key: input.a}}"),
            14,
            "gives no `concurrency.key`",
        ),
        ("concurrency: {activ: 2}".to_owned(), 17, "did you mean `active`?"),
        ("concurrency: {queue: 0}".to_owned(), 24, "a whole number from 1"),
    ] {
        check(tail, &with(&line), (24, column), says);
    }
    let mistyped = wrong(&ARTICLE.replacen(tail, &with("triggers: [{name: n, corn: \"0 2 * * *\"}]"), 1));
    assert!(mistyped.iter().any(|one| one.nearest.as_deref() == Some("cron") && one.column == 24), "{mistyped:#?}");
}

#[test]
fn a_chain_of_fallbacks_ends() {
    let model = |fallbacks: &str| format!("    provider: anthropic\n    fallbacks: {fallbacks}\n");
    let twice = model("[{provider: b, name: small}, {provider: b, name: small}]");
    check("    provider: anthropic\n", &twice, (10, 5), "small of b is asked twice");
    let long: Vec<_> = (0..4).map(|i| format!("{{provider: p{i}, name: m}}")).collect();
    check("    provider: anthropic\n", &model(&format!("[{}]", long.join(", "))), (10, 16), "4 fallbacks; at most 3");
    check("    provider: anthropic\n", &model("[{name: m}]"), (10, 17), "`provider` is missing");
}

#[test]
fn a_missing_field_points_at_what_it_is_missing_from() {
    check("  owner: finance-platform\n", "", (4, 1), "metadata: `owner` is missing");
    check("    provider: anthropic\n", "", (8, 3), "spec.model: `provider` is missing");
    check("apiVersion: agent.os/v1\n", "", (2, 1), "`apiVersion` is missing");
    check("kind: Agent\n", "", (2, 1), "`kind` is missing");
    check("    type: persistent\n", "", (12, 3), "spec.memory: `type` is missing");
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = ARTICLE
        .replace("owner: finance-platform", "owner: Finance Platform")
        .replace("provider: anthropic", "provder: anthropic")
        .replace("usd_per_day: 40", "usd_per_day: lots");
    let found = wrong(&text);
    let lines: Vec<_> = found.iter().map(|one| one.line).collect();
    assert_eq!(lines, [6, 8, 9, 21], "{found:#?}");
}

#[test]
fn text_that_is_not_yaml_is_told_where() {
    check("  name: reconciliation-finance", "\tname: reconciliation-finance", (5, 1), "a tab cannot indent YAML");
    assert!(one("\"2026-02-14\"", "\"2026-02-14").message.contains("not YAML"));
    check(
        "    usd_per_day: 40",
        "    usd_per_day: 40\n    calls_per_hour: 1",
        (22, 5),
        "`calls_per_hour` is written twice; first on line 20",
    );
    check("name: reconciliation-finance", "name: !secret x", (5, 9), "a tag");
    check("name: reconciliation-finance", "name: *nobody", (5, 9), "");
    check("name: reconciliation-finance", "? [a]\n  : b", (5, 5), "a key must be a word");
    check("usd_per_day: 40", "usd_per_day: : 40", (21, 18), "not YAML");
}

#[test]
fn an_empty_file_and_an_empty_document_are_refused() {
    for (text, line, says) in [
        ("", 1, "no document"),
        ("# nothing\n", 1, "no document"),
        ("---\n", 1, "empty"),
        ("~\n", 1, "empty"),
        ("just words\n", 1, "a descriptor"),
        ("- a\n", 1, "a descriptor"),
    ] {
        let found = wrong(text);
        assert_eq!(found.len(), 1, "{text:?} {found:#?}");
        assert!(found[0].line == line && found[0].message.contains(says), "{text:?}: {}", found[0]);
    }
    let found = wrong(&format!("{ARTICLE}---\n# nothing\n"));
    assert!(found.len() == 1 && found[0].message.contains("empty") && found[0].line == 24, "{found:#?}");
}

#[test]
fn one_broken_document_does_not_hide_what_is_wrong_with_the_next() {
    let text = format!("a: [\n---\n{}", ARTICLE.replace("usd_per_day", "usd_per_dya"));
    let found = wrong(&text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[1].message.contains("usd_per_dya") && found[1].line == 23, "{}", found[1]);
    let twice = format!("{ARTICLE}---\n{ARTICLE}");
    assert!(wrong(&twice)[0].message.contains("a second Agent named `reconciliation-finance`"));
}

#[test]
fn a_file_cannot_grow_nest_or_go_on_without_end() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (this, next) in ["a", "b", "c", "d", "e", "f", "g", "h"].windows(2).map(|two| (two[0], two[1])) {
        bomb += &format!("{next}: &{next} [{}]\n", vec![format!("*{this}"); 9].join(", "));
    }
    assert!(wrong(&bomb)[0].message.contains("with aliases written out"));
    assert!(wrong("a: &a [*a]\n")[0].message.contains("alias"));
    assert!(wrong(&"[".repeat(100_000))[0].message.contains("deeper"));
    let nested: String = (0..400).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    assert!(wrong(&nested)[0].message.contains("deeper"));
    assert!(wrong(&"x".repeat(600_000))[0].message.contains("bytes"));
    assert!(wrong(&"- x\n".repeat(100_000))[0].message.contains("values"));
    assert_eq!(wrong(&"--- x\n".repeat(40_000)).len(), 100, "a person reads the first few");
    let keys: String = (0..20_000).map(|i| format!("k{}: {{a: [}}\n", i % 9_000)).collect();
    assert!(!wrong(&keys).is_empty());
    let twice: String = (0..20_000).map(|i| format!("k{}: x\n", i % 9_000)).collect();
    assert_eq!(wrong(&format!("kind: Agent\n{twice}")).len(), 100);
    let long = "x".repeat(250);
    check("name: claude-opus-4-7", &format!("name: {long}"), (10, 11), "1 to 200 characters");
    check("name: reconciliation-finance", &format!("name: {long}"), (5, 9), "1 to 63");
}

#[test]
fn a_file_that_is_referred_to_lies_beside_the_descriptor_and_is_there() {
    let with = |path: &str| one("spec:\n", &format!("spec:\n  instructions: {{file: {path}}}\n"));
    for path in ["/etc/passwd", "../secret", "a/../../b", "a//b", "./a", "'C:\\a'", "~root/../x"] {
        assert!(with(path).message.contains("does not lie beside"), "{path}");
        assert!(
            domain::descriptor::references(
                &ARTICLE.replace("spec:\n", &format!("spec:\n  instructions: {{file: {path}}}\n"))
            )
            .is_empty()
        );
    }
    let found = with("prompts/gone.md");
    assert_eq!((found.line, found.column), (8, 24));
    assert!(found.message.contains("`prompts/gone.md` was not found"), "{found}");
}

#[test]
fn a_secret_written_by_mistake_is_not_shown_back() {
    let provider = "apiVersion: agent.os/v1\nkind: ModelProvider\nmetadata: {name: p, owner: o}\nspec: {protocol: anthropic, KEY}\n";
    for key in ["key: sk-ant-12345", "key: {secret: sk-ant-12345}", "base_url: 'https://u:sk-ant-12345@h/'"] {
        let text = provider.replace("KEY", key);
        for found in wrong(&text) {
            assert!(!found.to_string().contains("12345"), "{found}");
        }
    }
}

#[test]
fn what_a_provider_or_server_cannot_be_is_refused() {
    let of = |kind: &str, spec: &str| {
        wrong(&format!("apiVersion: agent.os/v1\nkind: {kind}\nmetadata: {{name: p, owner: o}}\nspec: {spec}\n"))[0]
            .to_string()
    };
    for (kind, spec, says) in [
        ("ModelProvider", "{protocol: scripted}", "`script` is missing"),
        ("ModelProvider", "{protocol: scripted, script: demo, base_url: 'http://x'}", "never reached over a network"),
        ("ModelProvider", "{protocol: anthropic, script: demo}", "means nothing"),
        ("ModelProvider", "{protocol: gemini, script: demo}", "means nothing with `protocol: gemini`"),
        ("ModelProvider", "{protocol: openai-chat, tool_calls: {m: grammar}}", "not one of native, json"),
        ("ModelProvider", "{protocol: anthropic, base_url: ftp://x}", "begin it with https://"),
        ("ModelProvider", "{protocol: anthropic, prices: {m: {free: yes}}}", "expected true, found `yes`"),
        ("ModelProvider", "{protocol: anthropic, prices: {m: {input: 1}}}", "both `input` and `output`"),
        (
            "ModelProvider",
            "{protocol: anthropic, prices: {m: {free: true, input: 1, output: 1}}}",
            "either `free: true`",
        ),
        ("ModelProvider", "{protocol: anthropic, prices: list}", "not one of catalog"),
        ("McpServer", "{}", "either `stdio` or `http`"),
        ("McpServer", "{stdio: {command: a}, http: {url: 'http://x'}}", "either `stdio` or `http`"),
        ("McpServer", "{stdio: {command: a, args: a b}}", "expected a list"),
        ("McpServer", "{stdio: {command: a}, timeout: 30}", "such as 30s"),
        ("McpServer", "{stdio: {command: a}, timeout: 0s}", "such as 30s"),
        ("McpServer", "{stdio: {command: a}, secrets: [mail token]}", "not the name of a secret"),
        ("Capability", "{server: s, tool: t, effect: wirte}", "did you mean `write`"),
        (
            "Capability",
            "{server: s, tool: t, value_usd: amount}",
            "`amount` is not known here; paths begin with `args`",
        ),
        ("Capability", "{server: s, tool: t, value_usd: 'args.a +'}", "found the end (at byte 8"),
        ("Capability", "{server: s, tool: t, cost_usd: free}", "expected US dollars"),
        ("Agnt", "{}", "did you mean `Agent`"),
    ] {
        let found = of(kind, spec);
        assert!(found.contains(says), "{spec}: {found}");
    }
}

#[test]
fn a_report_points_at_the_line_without_colour_unless_asked() {
    let text = ARTICLE.replacen("calls_per_hour", "calls_per_huor", 1);
    let found = &wrong(&text)[0];
    let report = found.render(&text);
    for part in [
        "spec.budgets: unknown field `calls_per_huor`",
        "agents/a.yaml:20:5",
        "calls_per_huor: 200",
        "did you mean `calls_per_hour`?",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    assert!(!report.contains('\x1b'), "{report}");
    assert!(found.render_in_colour(&text).contains('\x1b'));
    assert!(!found.render("").is_empty(), "another text than it was found in");
}

#[test]
fn control_characters_are_not_printed_back() {
    let found = one("kind: Agent", "kind: \"A\\e[31mgent\"");
    assert!(!found.render(ARTICLE).contains('\x1b'), "{found}");
}

#[test]
fn known_keys_that_do_nothing_yet_are_refused_as_such() {
    let give = |path: &str| (path == "prompts/reconcile.md").then(|| "Reconcile.".to_owned());
    let found = parse_file("full.yaml", include_str!("fixtures/full.yaml"), &give).expect_err("some do nothing yet");
    for one in &found {
        assert!(one.message.ends_with("is not yet supported"), "{one}");
    }
    let said: Vec<_> = found.iter().map(|one| one.message.trim_end_matches(" is not yet supported")).collect();
    assert_eq!(found.len(), 7, "{said:#?}");
    assert!(
        parse_file("parts.yaml", include_str!("fixtures/parts.yaml"), &|_| None).is_ok(),
        "all of it does something"
    );
    check("type: persistent", "scope: session\n    type: persistent", (13, 12), "`session` is not yet supported");
    check(
        "mcp://gateway/ledger-read",
        "mcp://gateway/ledger-read@2",
        (17, 7),
        "`mcp://gateway/ledger-read@2` is not yet supported",
    );
}
