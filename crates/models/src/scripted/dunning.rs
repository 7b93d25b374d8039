//! The demo's reminders: finds the invoices that are overdue and drafts one mail for each of the oldest.

use serde_json::{Value, json};

use super::Reply;
use super::conversation::{Conversation, Done, amount, cents, count, dollars, is_day, is_id};
use super::findings::{next_page, pages};

const READ: &str = "sap-invoice-read";
const DRAFT: &str = "email-draft";
const NOW: &str = "now";
/// Drafts of one task.
const DRAFTS_LIMIT: usize = 3;

pub(super) fn reply(talk: &Conversation<'_>) -> Reply {
    if talk.of(DRAFT).next().is_some() {
        return finish(talk);
    }
    if let Some(failed) = talk.done.iter().find(|done| done.error) {
        return Reply::text(format!("I could not read the invoices: {}", failed.text));
    }
    let wanted = talk.named(|word| is_id(word, "INV-")).into_iter().next();
    let Some(today) = today(talk, wanted.is_some()) else {
        return Reply::text("I ask what day it is.").because("Overdue depends on today.").using(NOW, json!({}));
    };
    let companies = talk.companies(READ);
    let because = match &wanted {
        Some(id) => format!("I need the invoice {id} before I remind anybody of it."),
        None => "I need every invoice before I call one overdue.".to_owned(),
    };
    let mut reply = Reply::text("I read the invoices.").because(because);
    let mut missing = false;
    for company in &companies {
        if let Some(page) = next_page(talk, READ, company, wanted.as_deref()) {
            reply = reply.using(READ, page);
            missing = true;
        }
    }
    if missing { reply } else { draft(talk, &companies, &today) }
}

/// The day to look from.
enum Today {
    Day(String),
    /// Nobody says: the newest invoice's.
    Newest,
    /// It does not matter: the task names the invoice.
    Any,
}

/// The day of the task, or of the clock where it may be asked; `None`: ask it.
fn today(talk: &Conversation<'_>, names_an_invoice: bool) -> Option<Today> {
    if let Some(day) = talk.named(is_day).into_iter().next() {
        return Some(Today::Day(day));
    }
    if names_an_invoice {
        return Some(Today::Any);
    }
    if let Some(now) = talk.of(NOW).next() {
        let day: String = now.text.trim_start_matches(|c: char| !c.is_ascii_digit()).chars().take(10).collect();
        return Some(if is_day(&day) { Today::Day(day) } else { Today::Newest });
    }
    (!talk.may(NOW)).then_some(Today::Newest)
}

fn draft(talk: &Conversation<'_>, companies: &[String], today: &Today) -> Reply {
    let mut invoices: Vec<Value> =
        companies.iter().flat_map(|company| pages(talk, READ, company, "invoices")).collect();
    let newest = invoices.iter().filter_map(|invoice| invoice["invoice_date"].as_str()).max().unwrap_or_default();
    let today = match today {
        Today::Day(day) => Some(day.clone()),
        Today::Newest => Some(newest.to_owned()),
        Today::Any => None,
    };
    invoices.retain(|invoice| {
        let due = invoice["due_date"].as_str().unwrap_or_default();
        let is_open = matches!(invoice["status"].as_str(), Some("open" | "part_paid"));
        is_open && today.as_deref().is_none_or(|today| due < today)
    });
    invoices.sort_by_key(|invoice| invoice["due_date"].as_str().unwrap_or_default().to_owned());
    let when = today.map_or_else(String::new, |today| format!(" on {today}"));
    if invoices.is_empty() {
        return Reply::text(format!("There is nothing to remind of{when}."));
    }
    let because = format!("{} to remind of{when}; I take the oldest.", count(invoices.len(), "invoice"));
    let reply = Reply::text("I draft the reminders.").because(because);
    invoices.iter().take(DRAFTS_LIMIT).fold(reply, |reply, invoice| reply.using(DRAFT, mail(invoice)))
}

fn mail(invoice: &Value) -> Value {
    let text = |field: &str| invoice[field].as_str().unwrap_or("?").to_owned();
    let money = cents(&invoice["amount"]);
    json!({
        "to": format!("accounts-payable@{}.example", text("company")),
        "subject": format!("Overdue: {} of {}", text("invoice_id"), text("vendor_name")),
        "body": format!(
            "Invoice {} of {} over {} was due on {} and is {}. Please pay it or say why not.",
            text("invoice_id"), text("vendor_name"), dollars(money), text("due_date"), text("status").replace('_', " ")
        ),
        "amount_usd": amount(money),
        "invoice_id": text("invoice_id"),
    })
}

fn finish(talk: &Conversation<'_>) -> Reply {
    let lines: Vec<String> = talk.of(DRAFT).map(drafted).collect();
    Reply::text(format!("Reminders:\n{}", lines.join("\n")))
        .because("Every draft has an answer; I report them as they are.")
}

/// One draft and what came of it, in the tool's own words.
pub(super) fn drafted(done: &Done<'_>) -> String {
    let invoice = done.arguments["invoice_id"].as_str().unwrap_or("?");
    let money = dollars(cents(&done.arguments["amount_usd"]));
    let answer = done.json();
    match answer["id"].as_str() {
        _ if done.error => format!("- {invoice}, {money}: not drafted. {}", done.text),
        Some(id) => format!("- {invoice}, {money}: drafted as {id}"),
        None => format!("- {invoice}, {money}: {}", done.text.chars().take(200).collect::<String>()),
    }
}
