//! The demo's reconciliation: reads invoices and ledger at once, compares them, asks for the payment of what was never
//! booked, and reports. Every number it says was read.

use serde_json::{Value, json};

use super::Reply;
use super::conversation::{Conversation, Done, amount, cents, count, dollars, is_id};
use super::dunning::drafted;
use super::findings::{Finding, Kind, compare, next_page, pages};

const INVOICES: &str = "sap-invoice-read";
const LEDGER: &str = "ledger-read";
const DRAFT: &str = "email-draft";
/// Payment requests of one task.
const REQUESTS_LIMIT: usize = 5;

pub(super) fn reply(talk: &Conversation<'_>) -> Reply {
    if !talk.may(INVOICES) || !talk.may(LEDGER) {
        return Reply::text(format!("I cannot reconcile: I need {INVOICES} and {LEDGER} among my tools."));
    }
    let unread = |done: &&Done<'_>| done.error && done.capability != DRAFT;
    if let Some(failed) = talk.done.iter().find(unread) {
        return Reply::text(format!("I stopped: {} did not answer. {}", failed.capability, failed.text));
    }
    let companies = talk.companies(INVOICES);
    let wanted = talk.named(|word| is_id(word, "INV-")).into_iter().next();
    if companies.is_empty() {
        return Reply::text("Which company's books shall I reconcile?");
    }
    if let Some(reply) = read(talk, &companies, wanted.as_deref()) {
        return reply;
    }
    let rows = |tool: &str, rows: &str| -> Vec<Value> {
        companies.iter().flat_map(|company| pages(talk, tool, company, rows)).collect()
    };
    let (invoices, entries) = (rows(INVOICES, "invoices"), rows(LEDGER, "entries"));
    if invoices.is_empty() {
        let what = wanted.unwrap_or_else(|| "any invoice".to_owned());
        return Reply::text(format!("The books of {} do not hold {what}.", companies.join(" and ")));
    }
    let findings = compare(&invoices, &entries);
    let drafted = talk.of(DRAFT).next().is_some();
    if !drafted && talk.may(DRAFT) && findings.iter().any(|finding| finding.kind == Kind::Missing) {
        return request(&findings, invoices.len());
    }
    report(talk, &findings, (invoices.len(), entries.len()))
}

/// Asks for what is still to be read, both books at once.
fn read(talk: &Conversation<'_>, companies: &[String], wanted: Option<&str>) -> Option<Reply> {
    let what = wanted.map_or_else(|| format!("the books of {}", companies.join(" and ")), str::to_owned);
    let because = match talk.done.len() {
        0 => format!("To reconcile {what} I need both sides: what vendors billed, and what was booked."),
        read => format!("{read} pages are read, and there are more."),
    };
    let mut reply = Reply::text(format!("I read both sides of {what}.")).because(because);
    let mut missing = false;
    for company in companies {
        for tool in [INVOICES, LEDGER] {
            if let Some(page) = next_page(talk, tool, company, wanted) {
                reply = reply.using(tool, page);
                missing = true;
            }
        }
    }
    missing.then_some(reply)
}

/// Drafts a payment request for each invoice that was never booked, the dearest first.
fn request(findings: &[Finding], invoices: usize) -> Reply {
    let mut missing: Vec<&Finding> = findings.iter().filter(|finding| finding.kind == Kind::Missing).collect();
    missing.sort_by_key(|finding| std::cmp::Reverse(cents(&finding.invoice["amount"])));
    missing.truncate(REQUESTS_LIMIT);
    let named: Vec<String> = missing
        .iter()
        .map(|finding| format!("{} over {}", name(&finding.invoice), dollars(cents(&finding.invoice["amount"]))))
        .collect();
    let because = format!(
        "Of {invoices} invoices these are in no ledger line: {}. Nobody will pay what was never booked, so I ask for it.",
        named.join(", ")
    );
    let reply = Reply::text(format!("Never booked: {}. I draft the payment requests.", named.join(", ")));
    missing.iter().fold(reply.because(because), |reply, finding| reply.using(DRAFT, mail(&finding.invoice)))
}

fn mail(invoice: &Value) -> Value {
    let text = |field: &str| invoice[field].as_str().unwrap_or("?").to_owned();
    let money = cents(&invoice["amount"]);
    let body = format!(
        "Invoice {} of {} ({}) over {} is dated {} and due on {}. It was never booked in the ledger of {}.\n\
         Please book it and release the payment.",
        name(invoice),
        text("vendor_name"),
        text("vendor_id"),
        dollars(money),
        text("invoice_date"),
        text("due_date"),
        text("company")
    );
    json!({
        "to": format!("accounts-payable@{}.example", text("company")),
        "subject": format!("Payment request: {} of {}", name(invoice), text("vendor_name")),
        "body": body,
        "amount_usd": amount(money),
        "invoice_id": name(invoice),
    })
}

fn report(talk: &Conversation<'_>, findings: &[Finding], (invoices, entries): (usize, usize)) -> Reply {
    let mut lines = vec![match findings.len() {
        0 => format!(
            "{} and {} compared: everything reconciles.",
            count(invoices, "invoice"),
            count(entries, "ledger line")
        ),
        found => format!(
            "{} and {} compared: {} not fit.",
            count(invoices, "invoice"),
            count(entries, "ledger line"),
            if found == 1 { "1 does".to_owned() } else { format!("{found} do") }
        ),
    }];
    for finding in findings {
        lines.push(format!("- {} {}: {}.", name(&finding.invoice), finding.kind.name(), finding.what));
    }
    let requests: Vec<String> = talk.of(DRAFT).map(drafted).collect();
    if !requests.is_empty() {
        lines.push("Payment requests:".to_owned());
        lines.extend(requests);
    }
    let because =
        format!("Everything is read and compared; {} do not fit. I report what came of each step.", findings.len());
    Reply::text(lines.join("\n")).because(because)
}

fn name(invoice: &Value) -> String {
    invoice["invoice_id"].as_str().unwrap_or("?").to_owned()
}
