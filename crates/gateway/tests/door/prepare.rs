//! What the door answers before anything leaves.

use std::sync::Arc;

use domain::call::CallOutcome;
use domain::capability::Effect;
use domain::decision::{Refusal, RefusedBy, WaitFor};
use domain::event::Event;
use gateway::{Host, Prepared, Reply, Secrets, Upstreams};
use serde_json::{Value, json};

use crate::stage::{Stage, Still, apply};
use crate::{AGENT, PARTS, set};

/// A legacy MCP server with one tool, in a few lines of shell.
const SERVER: &str = r#"
say() { printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$1" "$2"; }
while read -r line; do
  id=${line#*'"id":'}; id=${id%%[,\}]*}
  case "$line" in
    *'"server/discover"'*) say "$id" '"error":{"code":-32601,"message":"no such method"}';;
    *'"initialize"'*) say "$id" '"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}';;
    *'"tools/list"'*) say "$id" '"result":{"tools":[{"name":"draft","inputSchema":{"type":"object"}}]}';;
  esac
done
"#;

async fn refusal(agent: &str, capability: &str, arguments: Value) -> Refusal {
    let (mut stage, script) = set(agent).await;
    let ask = stage.ask(capability, arguments);
    let prepared = stage.door.prepare(&ask).await;
    let Prepared::Refuse(rows, refusal) = prepared else { panic!("{prepared:?}") };
    assert!(matches!(rows.events.last(), Some(Event::CallRefused { refusal: r, .. }) if *r == refusal));
    assert!(rows.holdings.is_empty());
    assert!(script.calls().is_empty());
    refusal
}

#[tokio::test]
async fn defaults_are_part_of_what_is_asked_and_sent() {
    let (mut stage, script) = set(AGENT).await;
    let ask = stage.ask("mcp://gateway/draft", json!({"to": "ana", "amount_usd": 12.5}));
    let Prepared::Go(rows, ticket) = stage.door.prepare(&ask).await else { panic!() };
    let Some(Event::CallRequested { arguments, value_usd_micros, intent, .. }) = rows.events.last() else { panic!() };
    assert_eq!(*arguments, json!({"to": "ana", "amount_usd": 12.5, "currency": "USD"}));
    assert_eq!(*value_usd_micros, Some(12_500_000));
    assert_eq!(intent.idempotency_key, ask.call.to_string());
    assert_eq!(intent.holds.len(), 2, "money and external actions: {:?}", intent.holds);
    assert!(script.calls().is_empty(), "nothing leaves before the intent is durable");
    let receipt = stage.commit(rows).await;
    stage.door.perform(ticket, &receipt).await;
    assert_eq!(Value::Object(script.calls()[0].arguments.clone())["currency"], "USD");
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_refused_with_what_is_wrong_where() {
    let refused = refusal(AGENT, "mcp://gateway/draft", json!({"amount_usd": "12", "cc": "bo"})).await;
    assert_eq!(refused.by, RefusedBy::Arguments);
    for told in
        ["at /amount_usd: \"12\" is not of type \"number\"", "\"to\" is a required property", "'cc' was unexpected"]
    {
        assert!(refused.reason.contains(told), "{}", refused.reason);
    }
}

#[tokio::test]
async fn arguments_that_are_not_json_are_refused() {
    let (mut stage, _) = set(AGENT).await;
    let mut ask = stage.ask("mcp://gateway/draft", Value::Null);
    ask.act.malformed = Some("{\"to\": ".to_owned());
    let Prepared::Refuse(_, refused) = stage.door.prepare(&ask).await else { panic!() };
    assert_eq!(refused.by, RefusedBy::Arguments);
    assert!(refused.reason.contains("not valid JSON") && refused.reason.ends_with("{\"to\": "), "{}", refused.reason);
}

#[tokio::test]
async fn arguments_that_nest_too_deep_are_told_so() {
    let deep = (0..65).fold(json!(1), |inner, _| json!({"a": inner}));
    let refused = refusal(AGENT, "mcp://gateway/read-ledger", deep.clone()).await;
    assert!(refused.reason.contains("nest deeper than 64 levels"), "{}", refused.reason);
    let (mut stage, _) = set(AGENT).await;
    let mut ask = stage.ask("mcp://gateway/read-ledger", Value::Null);
    ask.act.malformed = Some(deep.to_string());
    let Prepared::Refuse(_, refused) = stage.door.prepare(&ask).await else { panic!() };
    assert!(refused.reason.contains("nest deeper than 64 levels"), "{}", refused.reason);
}

#[tokio::test]
async fn what_is_not_listed_is_refused_and_its_server_not_started() {
    for unlisted in ["mcp://gateway/wire-money", "no such name", "internal://now"] {
        assert_eq!(refusal(AGENT, unlisted, json!({})).await.by, RefusedBy::Policy, "{unlisted}");
    }
    let (mut stage, script) = set(AGENT).await;
    let ask = stage.ask("mcp://gateway/wire-money", json!({}));
    stage.door.prepare(&ask).await;
    assert_eq!(script.connections(), 0);
}

#[tokio::test]
async fn a_name_that_was_not_offered_is_refused_with_those_that_were() {
    let refused = refusal(AGENT, "Draft", json!({})).await;
    assert!(refused.next.contains("calculate, draft, forget"), "{}", refused.next);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_refuses_and_holds_nothing() {
    let (mut stage, script) = set(AGENT).await;
    script.unreachable(Some("no route"));
    let ask = stage.ask("mcp://gateway/read-ledger", json!({}));
    let Prepared::Refuse(rows, refused) = stage.door.prepare(&ask).await else { panic!() };
    assert_eq!((refused.by, rows.holdings.len()), (RefusedBy::Readiness, 0));
    assert!(refused.reason.contains("no route"), "{}", refused.reason);
}

#[tokio::test]
async fn an_unknown_value_asks_a_person_and_a_small_one_does_not() {
    for (arguments, asks) in [
        (json!({"to": "ana"}), true),
        (json!({"to": "ana", "amount_usd": -5}), true),
        (json!({"to": "ana", "amount_usd": 1000.01}), true),
        (json!({"to": "ana", "amount_usd": 1000}), false),
    ] {
        let (mut stage, _) = set(AGENT).await;
        let ask = stage.ask("mcp://gateway/draft", arguments.clone());
        let prepared = stage.door.prepare(&ask).await;
        let waits = matches!(&prepared, Prepared::Wait(_, wait) if matches!(wait.why, WaitFor::Approval { .. }));
        assert_eq!(waits, asks, "{arguments}: {prepared:?}");
    }
}

#[tokio::test]
async fn a_definition_that_changed_is_another_call() {
    let (mut stage, script) = set(AGENT).await;
    let arguments = json!({"to": "ana", "amount_usd": 5000});
    let schema_of = |rows: &data::rows::Rows| {
        rows.events.iter().find_map(|event| match event {
            Event::ApprovalRequested { request, .. } => Some(request.binding.schema),
            _ => None,
        })
    };
    let mut seen = Vec::new();
    for change in ["", "", "Sends at once, whatever you say."] {
        if !change.is_empty() {
            script.redefine("draft", |tool| tool.description = Some(change.to_owned()));
        }
        let ask = stage.ask("mcp://gateway/draft", arguments.clone());
        let Prepared::Wait(rows, _) = stage.door.prepare(&ask).await else { panic!() };
        seen.push(schema_of(&rows).unwrap());
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[1], seen[2]);
}

#[tokio::test]
async fn a_server_that_goes_away_does_not_withdraw_what_a_person_is_asked() {
    let (mut stage, script) = set(AGENT).await;
    let mut ask = stage.ask("mcp://gateway/draft", json!({"to": "ana", "amount_usd": 5000}));
    let Prepared::Wait(rows, first) = stage.door.prepare(&ask).await else { panic!() };
    ask.facts.approval = rows.events.iter().find_map(|event| match event {
        Event::ApprovalRequested { request, .. } => Some(request.clone()),
        _ => None,
    });
    let other = stage.ask("mcp://gateway/read-ledger", json!({}));
    script.next([Reply::DoneAndDies]);
    script.unreachable(Some("down for a minute"));
    let Prepared::Go(rows, ticket) = stage.door.prepare(&other).await else { panic!() };
    let receipt = stage.commit(rows).await;
    stage.door.perform(ticket, &receipt).await;
    let prepared = stage.door.prepare(&ask).await;
    let Prepared::Wait(rows, still) = prepared else { panic!("{prepared:?}") };
    assert_eq!((still, rows.inbox.len()), (first, 0));
}

#[tokio::test]
async fn in_shadow_a_write_is_recorded_and_a_read_passes() {
    let (mut stage, script) = set(&format!("{AGENT}  autonomy: shadow\n")).await;
    let ask = stage.ask("mcp://gateway/draft", json!({"to": "ana", "amount_usd": 5}));
    let prepared = stage.door.prepare(&ask).await;
    let Prepared::Record(rows, CallOutcome::Answered { message, .. }) = prepared else { panic!("{prepared:?}") };
    assert!(message.words().starts_with("Recorded, not sent: shadow."), "{}", message.words());
    let Some(Event::CallRecorded { arguments, .. }) = rows.events.last() else { panic!() };
    assert_eq!(arguments["currency"], "USD");
    assert!(script.calls().is_empty() && rows.holdings.is_empty());
    stage.call("mcp://gateway/read-ledger", json!({})).await;
    assert_eq!(script.calls().len(), 1);
}

#[tokio::test]
async fn in_shadow_nothing_is_remembered_or_forgotten_and_memory_is_read() {
    let (mut stage, _) = set(&format!("{AGENT}  autonomy: shadow\n")).await;
    for (capability, arguments) in
        [("internal://remember", json!({"text": "acme pays late"})), ("internal://forget", json!({"id": "7"}))]
    {
        let ask = stage.ask(capability, arguments.clone());
        let prepared = stage.door.prepare(&ask).await;
        let Prepared::Record(rows, CallOutcome::Answered { message, .. }) = prepared else { panic!("{prepared:?}") };
        assert!(message.words().starts_with("Recorded, not done: shadow."), "{}", message.words());
        let Some(Event::CallRecorded { arguments: recorded, effect, .. }) = rows.events.last() else { panic!() };
        assert_eq!((recorded, *effect), (&arguments, Effect::Write));
    }
    let ask = stage.ask("internal://recall", json!({}));
    assert!(matches!(stage.door.prepare(&ask).await, Prepared::Local(..)));
}

#[tokio::test]
async fn what_is_remembered_needs_no_consent_and_is_no_external_action() {
    for mode in ["supervised", "autonomous"] {
        let (mut stage, _) = set(&format!("{AGENT}  autonomy: {mode}\n")).await;
        let ask = stage.ask("internal://remember", json!({"text": "acme pays late"}));
        let prepared = stage.door.prepare(&ask).await;
        let Prepared::Local(rows, local) = prepared else { panic!("{mode}: {prepared:?}") };
        assert!(local.holds.is_empty() && rows.holdings.is_empty());
    }
}

#[tokio::test]
async fn what_is_looked_up_in_one_registry_while_a_server_starts_is_decided_by_it() {
    let shell = json!({"command": "/bin/sh", "args": ["-c", SERVER]}).to_string();
    let parts = PARTS.replace("{command: nothing}", &shell);
    let clock = Arc::new(Still::default());
    let host = Host::new("/nowhere".into(), []);
    let upstreams = Upstreams::with_scripts(Secrets::default(), host, clock.clone(), []);
    let mut stage = Stage::set(&format!("{AGENT}{parts}"), clock, upstreams).await;
    let ask = stage.ask("mcp://gateway/draft", json!({"to": "ana", "amount_usd": 1}));
    let (before, door) = (stage.door.control_pos(), stage.door.clone());
    let mut preparing = Box::pin(door.prepare(&ask));
    assert!(futures::poll!(&mut preparing).is_pending(), "the server starts");
    apply(&stage.gate, &parts.replace("effect: write", "effect: read")).await;
    let prepared = preparing.await;
    let Prepared::Go(rows, ticket) = prepared else { panic!("{prepared:?}") };
    assert_eq!((ticket.control_pos(), ticket.effect()), (before, Effect::Write));
    let receipt = stage.commit(rows).await;
    let (event, _) = stage.door.perform(ticket, &receipt).await;
    let Event::CallAnswered { outcome: CallOutcome::Failed { error, .. }, .. } = event else { panic!("{event:?}") };
    assert!(error.contains("the descriptor of draft changed"), "it is not sent: {error}");
}

#[tokio::test]
async fn an_internal_capability_comes_back_to_be_performed_inside() {
    let (mut stage, _) = set(AGENT).await;
    let ask = stage.ask("internal://remember", json!({"text": "acme pays late"}));
    let Prepared::Local(rows, local) = stage.door.prepare(&ask).await else { panic!() };
    assert!(matches!(rows.events.last(), Some(Event::CallRequested { .. })));
    assert_eq!(local.arguments, json!({"text": "acme pays late"}));
    assert_eq!((local.retention_days, local.use_id.as_str()), (Some(90), "use_1"));
    assert_eq!(refusal(AGENT, "internal://remember", json!({"words": 1})).await.by, RefusedBy::Arguments);
}

#[tokio::test]
async fn a_budget_that_is_spent_refuses() {
    let (mut stage, script) = set(&AGENT.replace("external_actions_per_day: 10", "external_actions_per_day: 2")).await;
    for _ in 0..2 {
        stage.call("mcp://gateway/read-ledger", json!({})).await;
    }
    let ask = stage.ask("mcp://gateway/read-ledger", json!({}));
    let Prepared::Refuse(_, refused) = stage.door.prepare(&ask).await else { panic!() };
    assert_eq!((refused.by, script.calls().len()), (RefusedBy::Budget, 2));
}
