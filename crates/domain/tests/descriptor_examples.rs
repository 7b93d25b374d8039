//! What the shipped descriptors are read as, and that their canonical form reads back as the same.

use domain::budget::{Meter, Window};
use domain::capability::Effect;
use domain::control::Kind;
use domain::descriptor::{
    Agent, DEFAULT_INSTRUCTIONS, Descriptor, Memory, Prices, Protocol, parse_file, references, template,
};
use domain::id::Digest;
use domain::money::UsdMicros;
use domain::principal::Autonomy;
use serde_json::json;

const ARTICLE: &str = include_str!("../../../examples/reconciliation-finance.yaml");
const SHIPPED: [(&str, &str); 10] = [
    ("reconciliation-finance.yaml", ARTICLE),
    ("demo/parts.yaml", include_str!("../../../examples/demo/parts.yaml")),
    ("demo/vendor-helpdesk.yaml", include_str!("../../../examples/demo/vendor-helpdesk.yaml")),
    ("demo/dunning-drafts.yaml", include_str!("../../../examples/demo/dunning-drafts.yaml")),
    ("demo/aging-reporter.yaml", include_str!("../../../examples/demo/aging-reporter.yaml")),
    ("demo/note-keeper.yaml", include_str!("../../../examples/demo/note-keeper.yaml")),
    ("real/anthropic.yaml", include_str!("../../../examples/real/anthropic.yaml")),
    ("real/openai.yaml", include_str!("../../../examples/real/openai.yaml")),
    ("real/local.yaml", include_str!("../../../examples/real/local.yaml")),
    ("triggers.yaml", include_str!("../../../examples/triggers.yaml")),
];

fn read(path: &str, text: &str) -> Vec<Descriptor> {
    parse_file(path, text, &|_| None).unwrap_or_else(|wrong| {
        panic!("{}", wrong.iter().map(|one| one.render(text)).collect::<String>());
    })
}

fn agent(text: &str) -> Agent {
    match read("agent.yaml", text).pop() {
        Some(Descriptor::Agent(agent)) => *agent,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_articles_file_is_kept_byte_for_byte() {
    let hash = "43061adbbe8d6a840728776b491d45b0dff838fd7231f0245c60bdcebfda6895";
    assert_eq!(Digest::of(ARTICLE.as_bytes()).to_string(), hash);
}

#[test]
fn the_articles_file_means_what_it_says() {
    let Agent { metadata, spec } = agent(ARTICLE);
    assert_eq!((metadata.name.as_str(), metadata.owner.as_str()), ("reconciliation-finance", "finance-platform"));
    assert_eq!((spec.model.provider.as_str(), spec.model.name.as_str()), ("anthropic", "claude-opus-4-7"));
    assert_eq!(spec.model.pinned_revision.as_deref(), Some("2026-02-14"));
    assert_eq!(spec.memory, Memory::Persistent { retention_days: Some(90) });
    let tools: Vec<_> = spec.tools.iter().map(|used| used.tool.to_string()).collect();
    assert_eq!(tools, ["mcp://gateway/sap-invoice-read", "mcp://gateway/ledger-read", "mcp://gateway/email-draft"]);
    let caps: Vec<_> = spec.budgets.caps.into_iter().collect();
    assert_eq!(caps, [((Meter::UsdMicros, Window::Day), 40_000_000), ((Meter::Calls, Window::Hour), 200)]);
    assert_eq!(spec.approval.on_action_value_usd_gt, Some(UsdMicros(1_000_000_000)));
}

#[test]
fn what_the_articles_file_leaves_out_has_its_defaults() {
    let agent = agent(ARTICLE);
    assert_eq!(&**agent.spec.instructions.text(), DEFAULT_INSTRUCTIONS);
    assert_eq!(agent.spec.model.max_output_tokens, 4096);
    assert_eq!(agent.approvers().as_str(), "finance-platform");
    assert_eq!(agent.spec.approval.expires_after_ms, 4 * 3_600_000);
    assert_eq!(agent.spec.autonomy.mode, Autonomy::Autonomous);
    assert_eq!(agent.spec.limits.turns, 60);
    let names: Vec<_> = agent.capabilities().iter().map(|tool| tool.name().to_string()).collect();
    assert_eq!(names, ["email-draft", "forget", "ledger-read", "recall", "remember", "sap-invoice-read"]);
}

#[test]
fn the_articles_revision_does_not_change_from_build_to_build() {
    let descriptor = read("a.yaml", ARTICLE).remove(0);
    assert_eq!(descriptor.revision().to_string(), "528cbde2303667e9654094726e7d3f4005068ef9133740ff0dff886513d66878");
    assert_eq!(
        descriptor.canonical()["spec"]["budgets"],
        json!({"calls_per_hour": 200, "usd_per_day": 40, "on_exhausted": "refuse"})
    );
}

#[test]
fn a_revision_is_of_what_is_meant_and_not_of_how_it_is_written() {
    let plain = agent(ARTICLE);
    let spelt =
        format!("{ARTICLE}    expires: {{after: 240m}}\n  limits: {{turns: 60}}\n  autonomy: autonomous\n# end\n");
    let other = ARTICLE.replace("200", "201");
    let revision = |agent: Agent| Descriptor::Agent(Box::new(agent)).revision();
    assert_eq!(revision(agent(&spelt)), revision(plain.clone()));
    assert_ne!(revision(agent(&other)), revision(plain));
}

#[test]
fn every_shipped_descriptor_is_valid_and_its_canonical_form_reads_back() {
    for (path, text) in SHIPPED {
        for descriptor in read(path, text) {
            let canonical = descriptor.canonical();
            let back = Descriptor::from_canonical(descriptor.kind(), &canonical).unwrap();
            assert_eq!(back, descriptor, "{path}");
            assert_eq!(back.revision(), descriptor.revision(), "{path}");
            let as_file = read("canonical.json", &canonical.to_string());
            assert_eq!(as_file, [descriptor], "{path}");
        }
    }
}

#[test]
fn examples_are_short_enough_to_start_from() {
    for (path, text) in SHIPPED.iter().filter(|(path, _)| path.starts_with("demo/") && !path.ends_with("parts.yaml")) {
        assert!(text.lines().count() < 30, "{path}");
    }
}

#[test]
fn the_demos_parts_are_what_its_agents_ask_for() {
    let all: Vec<_> = SHIPPED[..6].iter().flat_map(|(path, text)| read(path, text)).collect();
    let has = |kind: Kind, name: &str| all.iter().any(|one| one.kind() == kind && one.name().as_str() == name);
    for descriptor in &all {
        if let Descriptor::Agent(agent) = descriptor {
            assert!(has(Kind::ModelProvider, agent.spec.model.provider.as_str()), "{}", agent.metadata.name);
            for tool in
                agent.spec.tools.iter().map(|used| &used.tool).filter(|tool| tool.to_string().starts_with("mcp:"))
            {
                assert!(has(Kind::Capability, tool.name().as_str()), "{tool}");
            }
        }
        if let Descriptor::Capability(capability) = descriptor {
            assert!(has(Kind::McpServer, capability.spec.server.as_str()), "{}", capability.metadata.name);
        }
    }
    let draft = all.iter().find_map(|one| match one {
        Descriptor::Capability(capability) if capability.metadata.name.as_str() == "email-draft" => {
            Some(&capability.spec)
        }
        _ => None,
    });
    let draft = draft.unwrap();
    assert_eq!((draft.effect, draft.cost_usd), (Effect::Write, UsdMicros(2000)));
    assert_eq!(draft.value_of(&json!({"amount_usd": 4180.0})), Some(UsdMicros(4_180_000_000)));
    assert_eq!(draft.value_of(&json!({"amount_usd": "4180"})), None);
}

#[test]
fn a_provider_knows_what_a_pinned_revision_is_sent_as() {
    let provider = read("parts.yaml", SHIPPED[1].1).into_iter().find_map(|one| match one {
        Descriptor::ModelProvider(provider) => Some(provider.spec),
        _ => None,
    });
    let provider = provider.unwrap();
    assert!(matches!(&provider.protocol, Protocol::Scripted { script } if script.as_str() == "demo"));
    assert!(matches!(&provider.prices, Prices::Table(table) if table.len() == 2));
    assert_eq!(provider.model_id("claude-opus-4-7", Some("2026-02-14")), Ok("claude-opus-4-7-20260416"));
    assert_eq!(provider.model_id("claude-opus-4-7", None), Ok("claude-opus-4-7"));
    assert_eq!(provider.model_id("claude-opus-4-7", Some("2020-01-01")), Err("2020-01-01"));
}

#[test]
fn what_init_writes_runs_and_is_harmless() {
    let agent = agent(&template(&"my-agent".parse().unwrap()));
    assert_eq!(agent.metadata.name.as_str(), "my-agent");
    assert_eq!(agent.spec.autonomy.mode, Autonomy::Shadow);
}

#[test]
fn texts_are_taken_as_they_are_written() {
    let text = ARTICLE
        .replace("\"2026-02-14\"", "2026-02-14")
        .replace("owner: finance-platform", "owner: no\n  labels: {tier: on, version: \"1.10\"}");
    let agent = agent(&text);
    assert_eq!(agent.spec.model.pinned_revision.as_deref(), Some("2026-02-14"));
    assert_eq!(agent.metadata.owner.as_str(), "no");
    let labels: Vec<_> = agent.metadata.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(labels, [("tier", "on"), ("version", "1.10")]);
}

#[test]
fn amounts_are_read_digit_by_digit() {
    for (written, micros) in [
        ("40", 40_000_000),
        ("0.002", 2000),
        ("4180.10", 4_180_100_000),
        ("0.000001", 1),
        ("1e3", 1_000_000_000),
        ("2.50e-1", 250_000),
        ("0", 0),
        ("0.1000000000", 100_000),
        ("1000000000", 1_000_000_000_000_000),
    ] {
        let agent = agent(&ARTICLE.replace("usd_per_day: 40", &format!("usd_per_day: {written}")));
        assert_eq!(agent.spec.budgets.caps[&(Meter::UsdMicros, Window::Day)], micros, "{written}");
        let descriptor = Descriptor::Agent(Box::new(agent));
        assert_eq!(Descriptor::from_canonical(Kind::Agent, &descriptor.canonical()), Ok(descriptor), "{written}");
    }
}

#[test]
fn a_referenced_file_becomes_part_of_the_revision() {
    let text = ARTICLE.replace("spec:\n", "spec:\n  instructions: {file: prompts/reconcile.md}\n");
    assert_eq!(references(&text), ["prompts/reconcile.md"]);
    let with = |said: &str| {
        let said = said.to_owned();
        let give = move |path: &str| (path == "prompts/reconcile.md").then(|| said.clone());
        parse_file("a.yaml", &text, &give).unwrap().remove(0)
    };
    let inline = agent(&ARTICLE.replace("spec:\n", "spec:\n  instructions: {text: Reconcile.}\n"));
    assert_eq!(with("Reconcile."), Descriptor::Agent(Box::new(inline)));
    assert_ne!(with("Reconcile.").revision(), with("Something else.").revision());
}

#[test]
fn aliases_are_read_where_they_stand() {
    let text = "apiVersion: agent.os/v1\nkind: ModelProvider\nmetadata: {name: p, owner: o}\nspec:\n  protocol: scripted\n  script: demo\n  prices: {a: &price {input: 1, output: 2}, b: *price}\n";
    let Some(Descriptor::ModelProvider(provider)) = read("p.yaml", text).pop() else { panic!() };
    assert!(matches!(&provider.spec.prices, Prices::Table(table) if table["a"] == table["b"]));
}
