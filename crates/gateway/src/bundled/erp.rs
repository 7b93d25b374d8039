//! The demo's ERP: invoices, ledger and vendors of two companies, all read only.

use std::collections::BTreeSet;
use std::path::Path;

use rmcp::model::{Tool, ToolAnnotations};
use rmcp::schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::books::{Books, Entry, Invoice, Status, Vendor};
use super::day::{Cents, Day};
use super::tool::{ToolCall, ToolError, answer, define};

/// Rows of an answer when the caller names no limit.
const DEFAULT_ROWS: u32 = 50;
/// The most rows one answer holds.
const MAX_ROWS: u32 = 200;

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
struct ReadInvoices {
    /// Whose invoices: acme or globex.
    company: String,
    /// Only this invoice, such as INV-2041.
    invoice_id: Option<String>,
    /// The most invoices to answer; 50 if absent.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// How many invoices to skip.
    offset: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Invoices {
    company: String,
    /// How many invoices match, of which `invoices` may be a part.
    total: usize,
    /// The offset to go on with; null at the end.
    next_offset: Option<usize>,
    invoices: Vec<Invoice>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
struct ReadLedger {
    /// Whose ledger: acme or globex.
    company: String,
    /// Only lines that refer to this invoice, such as INV-2041. No lines means that it was not booked.
    invoice_id: Option<String>,
    /// Only lines of this vendor: an id such as V-101, or a part of its name.
    vendor: Option<String>,
    /// The most lines to answer; 50 if absent.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// How many lines to skip.
    offset: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Ledger {
    company: String,
    /// How many lines match, of which `entries` may be a part.
    total: usize,
    /// The offset to go on with; null at the end.
    next_offset: Option<usize>,
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
struct LookupVendor {
    /// The vendor's id, such as V-101. Give this or `name`.
    vendor_id: Option<String>,
    /// A part of the vendor's name. Give this or `vendor_id`.
    name: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Vendors {
    vendors: Vec<Vendor>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(deny_unknown_fields)]
struct AgingReport {
    /// Whose invoices: acme or globex.
    company: String,
    /// The day to look from, such as 2026-10-31. Invoices dated later are left out.
    as_of: Day,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Aging {
    company: String,
    as_of: Day,
    /// How many invoices are not fully paid.
    invoices: usize,
    /// What they still cost, in dollars.
    outstanding: Cents,
    buckets: Vec<Bucket>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
struct Bucket {
    /// Days past due: not_due, 1-30, 31-60, 61-90 or over_90.
    days_past_due: &'static str,
    invoices: usize,
    outstanding: Cents,
}

/// The ERP over one folder of files.
#[derive(Debug)]
pub(super) struct Erp {
    books: Books,
}

impl Erp {
    pub(super) fn open(folder: &Path) -> Self {
        Erp { books: Books::open(folder) }
    }

    /// What this server offers.
    pub(super) fn tools() -> Vec<Tool> {
        let reads = || ToolAnnotations::new().read_only(true).idempotent(true);
        vec![
            define::<ReadInvoices, Invoices>(
                "read_invoices",
                "Reads a company's vendor invoices: all of them page by page, or one by its id.",
                reads(),
            ),
            define::<ReadLedger, Ledger>(
                "read_ledger",
                "Reads what was booked in a company's ledger, by invoice, by vendor, or page by page.",
                reads(),
            ),
            define::<LookupVendor, Vendors>("lookup_vendor", "Finds vendors by id or by a part of the name.", reads()),
            define::<AgingReport, Aging>(
                "aging_report",
                "Sums a company's unpaid invoices by how many days they are past due.",
                reads(),
            ),
        ]
    }

    /// Runs one of [`Erp::tools`].
    pub(super) fn call(&self, call: &ToolCall) -> Result<Value, ToolError> {
        match call.name.as_str() {
            "read_invoices" => self.read_invoices(call).map(answer),
            "read_ledger" => self.read_ledger(call).map(answer),
            "lookup_vendor" => self.lookup_vendor(call).map(answer),
            "aging_report" => self.aging_report(call).map(answer),
            name => Err(ToolError::NoSuchTool(name.to_owned())),
        }
    }

    fn read_invoices(&self, call: &ToolCall) -> Result<Invoices, ToolError> {
        let asked: ReadInvoices = call.read()?;
        let mut invoices = self.books.invoices(&asked.company)?;
        if let Some(id) = &asked.invoice_id {
            invoices.retain(|invoice| invoice.invoice_id == *id);
        }
        let (total, next_offset, invoices) = page(call, invoices, asked.limit, asked.offset)?;
        Ok(Invoices { company: asked.company, total, next_offset, invoices })
    }

    fn read_ledger(&self, call: &ToolCall) -> Result<Ledger, ToolError> {
        let asked: ReadLedger = call.read()?;
        let mut entries = self.books.ledger(&asked.company)?;
        if let Some(id) = &asked.invoice_id {
            entries.retain(|entry| entry.invoice_ref == *id);
        }
        if let Some(vendor) = &asked.vendor {
            let ids: BTreeSet<_> = self.books.vendors_called(vendor)?.into_iter().map(|v| v.vendor_id).collect();
            entries.retain(|entry| ids.contains(&entry.vendor_id));
        }
        let (total, next_offset, entries) = page(call, entries, asked.limit, asked.offset)?;
        Ok(Ledger { company: asked.company, total, next_offset, entries })
    }

    fn lookup_vendor(&self, call: &ToolCall) -> Result<Vendors, ToolError> {
        let asked: LookupVendor = call.read()?;
        let mut vendors = match (&asked.vendor_id, &asked.name) {
            (Some(text), None) | (None, Some(text)) => self.books.vendors_called(text)?,
            (None, None) | (Some(_), Some(_)) => return Err(call.bad("give either vendor_id or name")),
        };
        if let Some(id) = &asked.vendor_id {
            vendors.retain(|vendor| vendor.vendor_id.eq_ignore_ascii_case(id.trim()));
            if vendors.is_empty() {
                return Err(ToolError::NotFound(format!("there is no vendor with the id `{id}`; look it up by name")));
            }
        }
        Ok(Vendors { vendors })
    }

    fn aging_report(&self, call: &ToolCall) -> Result<Aging, ToolError> {
        let AgingReport { company, as_of } = call.read()?;
        let ledger = self.books.ledger(&company)?;
        let mut buckets = ["not_due", "1-30", "31-60", "61-90", "over_90"].map(|days_past_due| Bucket {
            days_past_due,
            invoices: 0,
            outstanding: Cents(0),
        });
        for invoice in self.books.invoices(&company)?.iter().filter(|invoice| invoice.invoice_date <= as_of) {
            if let Some(outstanding) = outstanding(invoice, &ledger) {
                let late = as_of.since(invoice.due_date);
                let bucket = &mut buckets[[0, 30, 60, 90].iter().filter(|bound| late > **bound).count()];
                bucket.invoices += 1;
                bucket.outstanding = [bucket.outstanding, outstanding].into_iter().sum();
            }
        }
        Ok(Aging {
            company,
            as_of,
            invoices: buckets.iter().map(|bucket| bucket.invoices).sum(),
            outstanding: buckets.iter().map(|bucket| bucket.outstanding).sum(),
            buckets: buckets.into(),
        })
    }
}

/// What is still to be paid; `None` if nothing. What was booked for a part-paid invoice counts as paid.
fn outstanding(invoice: &Invoice, ledger: &[Entry]) -> Option<Cents> {
    match invoice.status {
        Status::Paid => None,
        Status::Open | Status::Disputed => Some(invoice.amount),
        Status::PartPaid => {
            let lines = ledger.iter().filter(|entry| entry.invoice_ref == invoice.invoice_id);
            let paid: Cents = lines.map(|entry| entry.debit).sum();
            Some(Cents(invoice.amount.0 - paid.0)).filter(|rest| rest.0 > 0)
        }
    }
}

/// How many rows there are, where the next page starts, and this page.
fn page<T>(
    call: &ToolCall,
    rows: Vec<T>,
    limit: Option<u32>,
    offset: Option<u32>,
) -> Result<(usize, Option<usize>, Vec<T>), ToolError> {
    let limit = limit.unwrap_or(DEFAULT_ROWS);
    if limit == 0 || limit > MAX_ROWS {
        return Err(call.bad(format!("limit is {limit}; it must lie between 1 and {MAX_ROWS}")));
    }
    let (total, offset) = (rows.len(), offset.unwrap_or(0) as usize);
    let end = offset.saturating_add(limit as usize);
    let next_offset = (end < total).then_some(end);
    Ok((total, next_offset, rows.into_iter().skip(offset).take(limit as usize).collect()))
}

#[cfg(test)]
mod tests;
