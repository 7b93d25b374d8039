//! Shadow: what the agent would have done, beside what people did; and what it takes to be given more room.

use control::autonomy::{NOTHING_IS_SENT, Report, may_promote, report};
use control::compare::{RecordedCall, ShadowCase};
use control::{ControlError, Registry};
use domain::control::{ControlEvent, HumanCase};
use domain::id::{Digest, SessionId};
use domain::principal::{Autonomy, Caller};
use serde_json::{Value, json};

use crate::world::{after, applied, article_with, name, person};

fn shadow() -> Registry {
    after(&Registry::default(), &[applied(&article_with("  autonomy: shadow"))])
}

fn gated() -> Registry {
    let gate = "  autonomy: {mode: shadow, promote: {agreement_gt: 0.5, min_cases: 2, critical: 0}}";
    after(&Registry::default(), &[applied(&article_with(gate))])
}

fn imported(registry: &Registry, cases: &[(&str, Value)]) -> Registry {
    let cases = cases.iter().map(|(case, did)| HumanCase { case: (*case).to_owned(), did: did.clone() }).collect();
    let agent = name("reconciliation-finance");
    after(registry, &[ControlEvent::CasesImported { agent, cases, by: "admin".to_owned() }])
}

fn ran(registry: &Registry, case: &str, drafts: &[Value]) -> ShadowCase {
    let call = |arguments: &Value| RecordedCall { tool: name("email-draft"), arguments: arguments.clone() };
    ShadowCase {
        case: case.to_owned(),
        session: SessionId::from_u128(1),
        revision: registry.agent(&name("reconciliation-finance")).unwrap().revision,
        calls: drafts.iter().map(call).collect(),
        answer: Some("Done.".to_owned()),
        unfinished: None,
    }
}

fn reported(registry: &Registry, cases: &[ShadowCase]) -> Report {
    report(registry, &name("reconciliation-finance"), cases).unwrap()
}

fn cases_of(report: &Report) -> Vec<&str> {
    report.matches.iter().map(|matched| matched.case.as_str()).collect()
}

fn did(to: &str, amount: &str) -> Value {
    json!({"tool": "email-draft", "to": to, "amount_usd": amount})
}

#[test]
fn the_same_deed_is_a_match_however_the_amount_is_written() {
    for amount in ["1234.5", "1,234.50", "1.234,50", "$ 1234.50", "1234,50"] {
        let registry = imported(&shadow(), &[("i-1", did("a@acme.example", amount))]);
        let case = ran(&registry, "i-1", &[json!({"to": "a@acme.example", "amount_usd": 1234.5})]);
        assert_eq!(cases_of(&reported(&registry, &[case])), ["i-1"], "{amount}");
    }
}

#[test]
fn differences_are_named_field_by_field() {
    let registry = imported(&shadow(), &[("i-1", did("a@acme.example", "100"))]);
    let case = ran(&registry, "i-1", &[json!({"to": "b@acme.example", "amount_usd": 100})]);
    let report = reported(&registry, &[case]);
    let field = &report.differences[0].fields[0];
    assert_eq!(
        (field.field.as_str(), field.person.as_str(), field.agent.as_str()),
        ("email-draft.to", "a@acme.example", "b@acme.example")
    );
    assert_eq!((report.differences[0].fields.len(), report.agreement), (1, Some(0.0)));
    assert!(!report.differences[0].critical);
}

#[test]
fn a_write_that_the_person_did_not_make_is_critical() {
    let registry = imported(&shadow(), &[("i-1", json!({"tool": "", "to": ""}))]);
    let case = ran(&registry, "i-1", &[json!({"to": "b@acme.example"})]);
    assert!(reported(&registry, &[case]).differences[0].critical);
}

#[test]
fn a_write_that_the_agent_left_out_differs() {
    let registry = imported(&shadow(), &[("i-1", did("a@acme.example", "100"))]);
    let report = reported(&registry, &[ran(&registry, "i-1", &[])]);
    assert_eq!((report.differences[0].fields[0].agent.as_str(), report.differences[0].critical), ("not used", false));
}

#[test]
fn several_deeds_of_one_case_compare_in_any_order() {
    let cases = [("i-1", did("a@acme.example", "1")), ("i-1", did("b@acme.example", "2"))];
    let registry = imported(&shadow(), &cases);
    let (a, b) = (json!({"to": "a@acme.example", "amount_usd": 1}), json!({"to": "b@acme.example", "amount_usd": 2}));
    assert_eq!(cases_of(&reported(&registry, &[ran(&registry, "i-1", &[b, a])])), ["i-1"]);
}

#[test]
fn what_cannot_be_compared_says_why() {
    let human = ["not-run", "failed", "old"].map(|case| (case, did("a@acme.example", "1")));
    let registry = imported(&shadow(), &human);
    let mut failed = ran(&registry, "failed", &[]);
    failed.unfinished = Some("the model refused".to_owned());
    let mut old = ran(&registry, "old", &[]);
    old.revision = Digest::of(b"old");
    let report = reported(&registry, &[failed, old, ran(&registry, "not-imported", &[])]);
    let why: Vec<_> = report.not_comparable.iter().map(|not| (not.case.as_str(), &not.detail[..12])).collect();
    let expected = [
        ("failed", "It did not c"),
        ("not-run", "The agent ha"),
        ("old", "It ran under"),
        ("not-imported", "Nobody has t"),
    ];
    assert_eq!((why.as_slice(), report.agreement, report.compared()), (&expected[..], None, 0));
}

#[test]
fn columns_that_no_write_has_are_left_out_and_listed() {
    let deed = json!({"tool": "email-draft", "to": "a@acme.example", "minutes": "12"});
    let registry = imported(&shadow(), &[("i-1", deed)]);
    let report = reported(&registry, &[ran(&registry, "i-1", &[json!({"to": "a@acme.example"})])]);
    assert_eq!((report.matches.len(), report.columns_not_compared), (1, vec!["minutes".to_owned()]));
}

#[test]
fn every_text_of_shadow_says_that_nothing_is_sent() {
    let registry = shadow();
    let report = reported(&registry, &[]);
    assert_eq!(report.note, NOTHING_IS_SENT);
    let entry = registry.agent(&report.agent).unwrap();
    let ana = person("ana", &["finance-platform"]);
    let refused = may_promote(&registry, entry, &ana, (&report.agent, Autonomy::Supervised, None)).unwrap_err();
    assert!(refused.to_string().contains("nothing will be sent"), "{refused}");
}

/// Whether `caller` may make the agent autonomous on the strength of what these cases show.
fn promotes(registry: &Registry, caller: &Caller, report: Option<&Report>) -> Result<(), ControlError> {
    let agent = name("reconciliation-finance");
    may_promote(registry, registry.agent(&agent).unwrap(), caller, (&agent, Autonomy::Autonomous, report))
}

#[test]
fn a_person_of_the_owner_group_promotes_on_a_report_and_nobody_else_does() {
    let registry = imported(&shadow(), &[("i-1", did("a@acme.example", "1"))]);
    let case = ran(&registry, "i-1", &[json!({"to": "a@acme.example", "amount_usd": 1})]);
    let report = reported(&registry, &[case]);
    let ana = person("ana", &["finance-platform"]);
    assert!(promotes(&registry, &ana, Some(&report)).is_ok());
    let agent = Caller::Agent { name: name("reconciliation-finance") };
    for caller in [Caller::Admin, agent, person("bob", &["sales"])] {
        let refused = promotes(&registry, &caller, Some(&report));
        assert!(matches!(refused, Err(ControlError::Forbidden { .. })), "{caller:?}");
    }
}

#[test]
fn nobody_promotes_without_a_report_of_the_current_revision() {
    let registry = shadow();
    let ana = person("ana", &["finance-platform"]);
    let empty = reported(&registry, &[]);
    assert!(matches!(promotes(&registry, &ana, None), Err(ControlError::Conflict { .. })));
    assert!(matches!(promotes(&registry, &ana, Some(&empty)), Err(ControlError::Conflict { .. })));

    let registry = imported(&registry, &[("i-1", did("a@acme.example", "1"))]);
    let case = ran(&registry, "i-1", &[json!({"to": "a@acme.example", "amount_usd": 1})]);
    let report = reported(&registry, &[case]);
    let changed = after(&registry, &[applied(&article_with("  autonomy: shadow\n  limits: {turns: 5}"))]);
    let refused = promotes(&changed, &ana, Some(&report)).unwrap_err();
    assert!(refused.to_string().contains("The report is of revision"), "{refused}");
}

#[test]
fn the_descriptors_gate_must_be_met() {
    let registry = imported(&gated(), &[("i-1", did("a@acme.example", "1")), ("i-2", did("b@acme.example", "2"))]);
    let ana = person("ana", &["finance-platform"]);
    let first = ran(&registry, "i-1", &[json!({"to": "a@acme.example", "amount_usd": 1})]);
    let few = reported(&registry, std::slice::from_ref(&first));
    assert!(!few.gate.met && promotes(&registry, &ana, Some(&few)).is_err());
    let second = ran(&registry, "i-2", &[json!({"to": "b@acme.example", "amount_usd": 2})]);
    let enough = reported(&registry, &[first, second]);
    assert!(enough.gate.met && promotes(&registry, &ana, Some(&enough)).is_ok(), "{:?}", enough.gate);
}

#[test]
fn less_autonomy_takes_no_report() {
    let registry = after(&Registry::default(), &[applied(&article_with("  autonomy: autonomous"))]);
    let agent = name("reconciliation-finance");
    let entry = registry.agent(&agent).unwrap();
    let ana = person("ana", &["finance-platform"]);
    assert!(may_promote(&registry, entry, &ana, (&agent, Autonomy::Shadow, None)).is_ok());
}
