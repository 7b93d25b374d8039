//! What the books say of invoices, put together from the pages that the tools returned, and what does not fit.

use serde_json::{Value, json};

use super::conversation::{Conversation, cents, dollars};

/// Rows asked for in one page: the most that the tools give.
const PAGE: u64 = 200;
/// Cents by which a booking may differ from its invoice for rounding alone.
const ROUNDING: i64 = 2;

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) invoice: Value,
    pub(super) kind: Kind,
    /// One sentence with the numbers.
    pub(super) what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Missing,
    Duplicate,
    WrongVendor,
    Rounding,
    Partial,
    Different,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Missing => "never booked",
            Kind::Duplicate => "booked twice",
            Kind::WrongVendor => "booked on another vendor",
            Kind::Rounding => "rounded differently",
            Kind::Partial => "booked in part",
            Kind::Different => "booked with another amount",
        }
    }
}

/// The arguments of the next page of a company that is still to be read; `None` if all of them are there.
pub(super) fn next_page(talk: &Conversation<'_>, tool: &str, company: &str, invoice: Option<&str>) -> Option<Value> {
    let last = talk.of(tool).filter(|done| done.arguments["company"] == company).last();
    let offset = match last {
        None => 0,
        Some(done) => done.json()["next_offset"].as_u64()?,
    };
    let mut arguments = json!({"company": company});
    match invoice {
        Some(id) => arguments["invoice_id"] = id.into(),
        None => {
            arguments["limit"] = PAGE.into();
            arguments["offset"] = offset.into();
        }
    }
    Some(arguments)
}

/// All rows of a company that were read.
pub(super) fn pages(talk: &Conversation<'_>, tool: &str, company: &str, rows: &str) -> Vec<Value> {
    let of = talk.of(tool).filter(|done| done.arguments["company"] == company);
    of.flat_map(|done| done.json()[rows].as_array().cloned().unwrap_or_default()).collect()
}

/// Compares every invoice with what was booked for it.
pub(super) fn compare(invoices: &[Value], entries: &[Value]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = invoices
        .iter()
        .filter_map(|invoice| {
            let booked: Vec<&Value> =
                entries.iter().filter(|entry| entry["invoice_ref"] == invoice["invoice_id"]).collect();
            let (kind, what) = mismatch(invoice, &booked)?;
            Some(Finding { invoice: invoice.clone(), kind, what })
        })
        .collect();
    findings.sort_by_key(|finding| finding.kind);
    findings
}

fn mismatch(invoice: &Value, booked: &[&Value]) -> Option<(Kind, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let billed = cents(&invoice["amount"]);
    let [first, rest @ ..] = booked else {
        return Some((Kind::Missing, format!("{} is in no ledger line", dollars(billed))));
    };
    let debit = cents(&first["debit"]);
    let lines = || booked.iter().map(|entry| text(&entry["entry_id"])).collect::<Vec<_>>().join(", ");
    if !rest.is_empty() {
        return Some((Kind::Duplicate, format!("{} in the lines {}", dollars(debit), lines())));
    }
    if first["vendor_id"] != invoice["vendor_id"] {
        let (from, on) = (text(&invoice["vendor_id"]), text(&first["vendor_id"]));
        return Some((Kind::WrongVendor, format!("an invoice of {from}, booked on {on} in the line {}", lines())));
    }
    let difference = debit - billed;
    let both = format!("billed {}, booked {} in the line {}", dollars(billed), dollars(debit), lines());
    match difference {
        0 => None,
        _ if difference.abs() <= ROUNDING => Some((Kind::Rounding, both)),
        _ if difference < 0 && invoice["status"] == "part_paid" => Some((Kind::Partial, both)),
        // Two neighbouring digits that changed places make a difference that nine divides.
        _ if difference % 9 == 0 => Some((Kind::Different, format!("{both}: two digits may have changed places"))),
        _ => Some((Kind::Different, both)),
    }
}
