//! The demo's scripts, played against tools that answer from the demo's own files.

use std::path::Path;
use std::sync::{Arc, Mutex};

use domain::call::Stop;
use domain::capability::Offer;
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use models::provider::{self, Delta, Options, Provider, Request};
use models::scripted::Scripted;
use serde_json::{Map, Value, json};

type Tool<'a> = &'a dyn Fn(&str, &Value) -> Result<Value, String>;

/// A played session: every use in order, and the last answer.
struct Played {
    uses: Vec<(String, Value)>,
    rounds: Vec<usize>,
    answer: String,
    messages: Vec<Arc<Message>>,
}

fn offer(name: &str) -> Offer {
    let kind =
        if ["remember", "recall", "calculate", "now"].contains(&name) { "internal://" } else { "mcp://gateway/" };
    let description =
        if name == "ledger-read" { "Whose ledger: acme or globex." } else { "Whose invoices: acme or globex." };
    let input_schema = match name {
        "remember" => json!({"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}),
        "calculate" => json!({"type": "object", "required": ["expression"], "properties": {"expression": {}}}),
        _ => json!({"type": "object", "properties": {"company": {"type": "string", "description": description}}}),
    };
    let capability = format!("{kind}{name}").parse().expect("a capability");
    Offer { capability, description: name.to_owned(), input_schema }
}

async fn play(agent: &str, task: &str, offers: &[&str], tool: Tool<'_>) -> Played {
    let script = Scripted::demo();
    let mut request = Request {
        agent: agent.parse().expect("a name"),
        model: "claude-opus-4-7".to_owned(),
        instructions: "You work in a demo.".into(),
        messages: vec![Arc::new(Message::text(Role::Person, Origin::Person, task))],
        tools: offers.iter().map(|name| provider::Tool::from(&offer(name))).collect(),
        max_output_tokens: 4096,
        options: Options::default(),
        verbatim: None,
    };
    let (mut uses, mut rounds) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        let body = script.body(&request);
        let answer = script.send(&request, body, &|_| ()).await.expect("the demo always answers");
        assert!(answer.usage.input > 0 && answer.usage.output > 0);
        let words = answer.message.words();
        let asked: Vec<_> = answer.message.parts.iter().filter_map(|part| wanted(&part.content)).collect();
        request.messages.push(Arc::new(answer.message));
        if asked.is_empty() {
            assert_eq!(answer.stop, Stop::Done);
            return Played { uses, rounds, answer: words, messages: request.messages };
        }
        assert_eq!(answer.stop, Stop::Use);
        rounds.push(asked.len());
        let parts = asked.iter().map(|(id, name, arguments)| result(id, tool(name, arguments))).collect();
        request.messages.push(Arc::new(Message { role: Role::Capability, parts }));
        uses.extend(asked.into_iter().map(|(_, name, arguments)| (name, arguments)));
    }
    panic!("the script never ends");
}

fn wanted(content: &Content) -> Option<(String, String, Value)> {
    match content {
        Content::Use { use_id, capability, arguments, .. } => {
            Some((use_id.clone(), capability.clone(), arguments.clone()))
        }
        _ => None,
    }
}

fn result(use_id: &str, answer: Result<Value, String>) -> Part {
    let (text, error) = answer.map_or_else(|refused| (refused, true), |value| (value.to_string(), false));
    let content = Content::Result { use_id: use_id.to_owned(), text, structured: None, error, vouches: None };
    Part { content, origin: Origin::Capability, labels: Vec::new(), trust: Trust::Untrusted }
}

/// The rows of one of the demo's files, as its tools return them.
fn rows(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/demo/data").join(file);
    let text = std::fs::read_to_string(path).expect("the demo's data is in the repository");
    let mut lines = text.lines().map(cells);
    let names = lines.next().expect("a header");
    let typed = |(name, cell): (&String, String)| {
        let number = ["amount", "debit", "terms_days"].contains(&name.as_str());
        (name.clone(), if number { json!(cell.parse::<f64>().expect("a number")) } else { cell.into() })
    };
    lines.map(|line| Value::Object(names.iter().zip(line).map(typed).collect::<Map<_, _>>())).collect()
}

fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            _ => cells.last_mut().expect("there is one").push(c),
        }
    }
    cells
}

/// Stands for the demo's own servers: pages of 50, so that the script has to turn them.
fn books(name: &str, arguments: &Value) -> Result<Value, String> {
    let (file, list, id) = match name {
        "sap-invoice-read" => ("invoices.csv", "invoices", "invoice_id"),
        "ledger-read" => ("ledger.csv", "entries", "invoice_ref"),
        "email-draft" => {
            return Ok(json!({"id": "draft-0001", "to": arguments["to"], "amount_usd": arguments["amount_usd"]}));
        }
        other => return Err(format!("there is no tool {other}")),
    };
    let mut rows = rows(file);
    rows.retain(|row| row["company"] == arguments["company"]);
    rows.retain(|row| arguments["invoice_id"].is_null() || row[id] == arguments["invoice_id"]);
    let offset = arguments["offset"].as_u64().unwrap_or(0) as usize;
    let next = (offset + 50 < rows.len()).then_some(offset + 50);
    let page: Vec<Value> = rows.iter().skip(offset).take(50).cloned().collect();
    Ok(json!({"company": arguments["company"], "total": rows.len(), "next_offset": next, list: page}))
}

const FINANCE: [&str; 3] = ["sap-invoice-read", "ledger-read", "email-draft"];

#[tokio::test]
async fn one_invoice_that_was_never_booked_is_asked_for_with_its_own_amount() {
    let played = play("reconciliation-finance", "Reconcile invoice INV-2041 for acme.", &FINANCE, &books).await;
    let names: Vec<&str> = played.uses.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, FINANCE);
    assert_eq!(played.rounds, [2, 1], "both books are read at once");
    let (_, draft) = &played.uses[2];
    assert_eq!((&draft["amount_usd"], &draft["invoice_id"]), (&json!(4180.0), &json!("INV-2041")));
    assert!(played.answer.contains("INV-2041, 4180.00 USD: drafted as draft-0001"), "{}", played.answer);
}

#[tokio::test]
async fn reasoning_stands_before_every_action_and_says_that_it_is_made_up() {
    let played = play("reconciliation-finance", "Reconcile INV-2041 for acme", &FINANCE, &books).await;
    let agent: Vec<_> = played.messages.iter().filter(|message| message.role == Role::Agent).collect();
    for message in agent {
        let Content::Reasoning { raw, text } = &message.parts[0].content else { panic!("{message:?}") };
        assert!(raw["signature"].as_str().unwrap().starts_with("scripted:") && !text.is_empty());
    }
}

#[tokio::test]
async fn a_whole_company_is_read_page_by_page_and_every_planted_mismatch_is_found() {
    let played = play("reconciliation-finance", "Reconcile acme", &FINANCE, &books).await;
    for (id, kind) in [
        ("INV-2009", "rounded differently"),
        ("INV-2022", "booked on another vendor"),
        ("INV-2041", "never booked"),
        ("INV-2057", "booked with another amount"),
        ("INV-2063", "booked twice"),
        ("INV-2087", "never booked"),
        ("INV-2110", "booked in part"),
        ("INV-2198", "never booked"),
    ] {
        assert!(played.answer.contains(&format!("- {id} {kind}")), "{id}: {}", played.answer);
    }
    assert!(played.answer.contains("compared: 12 do not fit"), "{}", played.answer);
    let drafts: Vec<_> =
        played.uses.iter().filter(|(name, _)| name == "email-draft").map(|(_, draft)| &draft["amount_usd"]).collect();
    assert_eq!(drafts, [&json!(4180.0), &json!(1935.6), &json!(312.4)]);
}

#[tokio::test]
async fn an_invoice_without_a_company_is_looked_for_in_all_books() {
    let played = play("reconciliation-finance", "Reconcile invoice INV-2102, please.", &FINANCE, &books).await;
    assert_eq!(played.rounds, [4, 1]);
    assert_eq!(played.uses[4].1["amount_usd"], 12640.0);
}

#[tokio::test]
async fn a_request_that_was_denied_is_reported_with_the_reason() {
    let tool = |name: &str, arguments: &Value| match name {
        "email-draft" => Err("ana said no: it was paid by hand".to_owned()),
        _ => books(name, arguments),
    };
    let played = play("reconciliation-finance", "Reconcile INV-2041 for acme", &FINANCE, &tool).await;
    assert!(played.answer.contains("INV-2041, 4180.00 USD: not drafted. ana said no: it was paid by hand"));
}

#[tokio::test]
async fn books_that_cannot_be_read_end_the_reconciliation() {
    let tool = |_: &str, _: &Value| Err("the server is gone".to_owned());
    let played = play("reconciliation-finance", "Reconcile acme", &FINANCE, &tool).await;
    assert!(played.answer.contains("sap-invoice-read did not answer. the server is gone"), "{}", played.answer);
}

#[tokio::test]
async fn what_reconciles_is_said_to_reconcile() {
    let played = play("reconciliation-finance", "Reconcile INV-2002 for acme", &FINANCE, &books).await;
    assert_eq!(played.answer, "1 invoice and 1 ledger line compared: everything reconciles.");
    assert_eq!(played.rounds, [2]);
}

#[tokio::test]
async fn the_help_desk_looks_vendors_up_by_id_or_name_and_repeats_what_it_read() {
    let asked = Mutex::new(Vec::new());
    let tool = |_: &str, arguments: &Value| {
        asked.lock().unwrap().push(arguments.clone());
        Ok(json!({"vendors": rows("vendors.csv")[1..3]}))
    };
    let desk = |task: &'static str| play("vendor-helpdesk", task, &["vendor-lookup"], &tool);
    let played = desk("What are the payment terms of Northwind Tooling?").await;
    assert!(played.answer.starts_with("2 vendors fit:\n- Northwind Tooling LLC (V-102)"), "{}", played.answer);
    desk("Who is V-101?").await;
    assert!(desk("who is it").await.uses.is_empty());
    assert_eq!(*asked.lock().unwrap(), [json!({"name": "Northwind Tooling"}), json!({"vendor_id": "V-101"})]);
}

#[tokio::test]
async fn reminders_are_drafted_for_the_oldest_overdue_invoices() {
    let task = "Remind acme of what is overdue on 2026-10-31.";
    let played = play("dunning", task, &["sap-invoice-read", "email-draft"], &books).await;
    let drafts: Vec<_> = played.uses.iter().filter(|(name, _)| name == "email-draft").collect();
    assert_eq!(drafts.len(), 3);
    let invoices = rows("invoices.csv");
    for (_, draft) in drafts {
        let invoice = invoices.iter().find(|invoice| invoice["invoice_id"] == draft["invoice_id"]).unwrap();
        assert!(invoice["due_date"].as_str().unwrap() < "2026-10-31");
        assert_eq!((&invoice["amount"], &invoice["company"]), (&draft["amount_usd"], &json!("acme")));
        assert!(["open", "part_paid"].contains(&invoice["status"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn one_named_invoice_is_reminded_of_alone() {
    let open = rows("invoices.csv").into_iter().find(|invoice| invoice["status"] == "open").unwrap();
    let task = format!("Draft a reminder for invoice {}.", open["invoice_id"].as_str().unwrap());
    let played = play("dunning-drafts", &task, &["sap-invoice-read", "email-draft"], &books).await;
    assert_eq!(played.rounds, [2, 1]);
    assert_eq!(
        (&played.uses[2].1["invoice_id"], &played.uses[2].1["amount_usd"]),
        (&open["invoice_id"], &open["amount"])
    );
}

#[tokio::test]
async fn aging_goes_report_by_report_and_says_what_its_budget_did_not_allow() {
    let left = Mutex::new(2);
    let tool = |_: &str, arguments: &Value| {
        let mut left = left.lock().unwrap();
        if *left == 0 {
            return Err("The budget calls_per_hour is spent.".to_owned());
        }
        *left -= 1;
        let bucket = json!({"days_past_due": "1-30", "invoices": 1, "outstanding": 10.5});
        Ok(
            json!({"company": arguments["company"], "as_of": arguments["as_of"], "invoices": 1, "outstanding": 10.5, "buckets": [bucket]}),
        )
    };
    let played = play("aging-report", "Aging, please.", &["aging-report"], &tool).await;
    assert_eq!(played.rounds, [1, 1, 1]);
    assert!(
        played.answer.contains("- globex as of 2026-09-30: 1 unpaid invoice, 10.50 USD outstanding"),
        "{}",
        played.answer
    );
    assert!(played.answer.contains("4 of 6 reports are missing. I was told: The budget calls_per_hour is spent."));
}

#[tokio::test]
async fn notes_are_remembered_recalled_and_calculated_inside() {
    let tool = |name: &str, arguments: &Value| Ok(json!({"done": name, "with": arguments}));
    let offers = ["calculate", "recall", "remember"];
    let mut uses = Vec::new();
    for task in ["Remember that acme pays late", "What do you know?", "What is 12 * 7?"] {
        uses.extend(play("notes", task, &offers, &tool).await.uses);
    }
    let expected = [
        ("remember".to_owned(), json!({"text": "acme pays late"})),
        ("recall".to_owned(), json!({})),
        ("calculate".to_owned(), json!({"expression": "12 * 7"})),
    ];
    assert_eq!(uses, expected);
}

#[tokio::test]
async fn an_agent_without_a_script_is_told_that_no_model_was_asked() {
    let played = play("mine", "Hello", &[], &books).await;
    assert!(played.answer.starts_with("This answer is scripted"), "{}", played.answer);
}

#[tokio::test]
async fn words_come_a_few_at_a_time_and_add_up_to_the_answer() {
    let heard = Mutex::new(String::new());
    let script = Scripted::demo();
    let request = Request {
        agent: "mine".parse().unwrap(),
        model: "m".to_owned(),
        instructions: "".into(),
        messages: vec![Arc::new(Message::text(Role::Person, Origin::Person, "Hello"))],
        tools: [].into(),
        max_output_tokens: 10,
        options: Options::default(),
        verbatim: None,
    };
    let sink = |delta| {
        if let Delta::Text(words) = delta {
            heard.lock().unwrap().push_str(&words);
        }
    };
    let answer = script.send(&request, script.body(&request), &sink).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), answer.message.words());
    assert_eq!(script.body(&request), script.body(&request));
}
