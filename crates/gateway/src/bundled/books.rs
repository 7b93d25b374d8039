//! The books of the demo's companies, read from three CSV files. Nothing is kept: a file changed by hand shows up in
//! the next answer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rmcp::schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::day::{Cents, Day};
use super::tool::ToolError;

pub(super) const VENDORS_FILE: &str = "vendors.csv";
pub(super) const INVOICES_FILE: &str = "invoices.csv";
pub(super) const LEDGER_FILE: &str = "ledger.csv";

/// Who sends invoices.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Vendor {
    pub(super) vendor_id: String,
    pub(super) name: String,
    pub(super) city: String,
    pub(super) email: String,
    /// Days from an invoice's date to its due date.
    pub(super) terms_days: u32,
    /// The ledger account its invoices are booked on.
    pub(super) account: String,
}

/// How far the payment of an invoice has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Open,
    Paid,
    PartPaid,
    Disputed,
}

/// What a vendor billed.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Invoice {
    pub(super) invoice_id: String,
    pub(super) company: String,
    pub(super) vendor_id: String,
    pub(super) vendor_name: String,
    pub(super) invoice_date: Day,
    pub(super) due_date: Day,
    pub(super) currency: String,
    pub(super) amount: Cents,
    pub(super) po_number: Option<String>,
    pub(super) status: Status,
}

/// What the accountants booked.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[schemars(crate = "rmcp::schemars")]
pub(super) struct Entry {
    pub(super) entry_id: String,
    pub(super) company: String,
    pub(super) posting_date: Day,
    pub(super) vendor_id: String,
    pub(super) account: String,
    /// The invoice that was booked.
    pub(super) invoice_ref: String,
    pub(super) debit: Cents,
    pub(super) memo: String,
}

/// The folder with the files.
#[derive(Debug)]
pub(super) struct Books {
    folder: PathBuf,
}

impl Books {
    pub(super) fn open(folder: &Path) -> Self {
        Books { folder: folder.to_path_buf() }
    }

    /// Every vendor.
    pub(super) fn vendors(&self) -> Result<Vec<Vendor>, ToolError> {
        self.rows(VENDORS_FILE)
    }

    /// The invoices of one company, which must exist.
    pub(super) fn invoices(&self, company: &str) -> Result<Vec<Invoice>, ToolError> {
        let mut invoices: Vec<Invoice> = self.rows(INVOICES_FILE)?;
        let known: BTreeSet<&str> = invoices.iter().map(|invoice| invoice.company.as_str()).collect();
        if !known.contains(company) {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(ToolError::NotFound(format!("there is no company `{company}`; the books are of: {known}")));
        }
        invoices.retain(|invoice| invoice.company == company);
        Ok(invoices)
    }

    /// The ledger of one company, which must have invoices.
    pub(super) fn ledger(&self, company: &str) -> Result<Vec<Entry>, ToolError> {
        self.invoices(company)?;
        let mut entries: Vec<Entry> = self.rows(LEDGER_FILE)?;
        entries.retain(|entry| entry.company == company);
        Ok(entries)
    }

    /// The vendors with this id, or with this text in their names; at least one.
    pub(super) fn vendors_called(&self, text: &str) -> Result<Vec<Vendor>, ToolError> {
        let wanted = text.trim().to_lowercase();
        let mut vendors = self.vendors()?;
        vendors
            .retain(|vendor| vendor.vendor_id.to_lowercase() == wanted || vendor.name.to_lowercase().contains(&wanted));
        if wanted.is_empty() || vendors.is_empty() {
            return Err(ToolError::NotFound(format!(
                "there is no vendor `{text}`; give an id such as V-101, or a part of a name"
            )));
        }
        Ok(vendors)
    }

    fn rows<T: DeserializeOwned>(&self, file: &'static str) -> Result<Vec<T>, ToolError> {
        let text = std::fs::read(self.folder.join(file)).map_err(|error| ToolError::data(file, error))?;
        csv::Reader::from_reader(text.as_slice())
            .deserialize()
            .collect::<Result<_, _>>()
            .map_err(|error| ToolError::data(file, error))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::write_demo_data;
    use super::{Books, Entry, Invoice, Status};

    const README: &str = include_str!("../../../../examples/demo/data/README.md");

    /// What a careful accountant would call this invoice, given the lines booked for it.
    fn mismatch(invoice: &Invoice, lines: &[&Entry]) -> Option<&'static str> {
        let [first, rest @ ..] = lines else { return Some("missing") };
        let difference = first.debit.0 - invoice.amount.0;
        if !rest.is_empty() {
            return Some("duplicate");
        }
        if first.vendor_id != invoice.vendor_id {
            return Some("wrong_vendor");
        }
        match difference {
            0 => None,
            -2..=2 => Some("rounding"),
            _ if invoice.status == Status::PartPaid => Some("partial"),
            // Two neighbouring digits changed places: the difference is a multiple of nine.
            _ if difference % 9 == 0 => Some("transposed"),
            _ => Some("unexplained"),
        }
    }

    fn planted() -> BTreeMap<String, (String, String, String)> {
        let rows = README.lines().filter(|line| line.starts_with("| INV-"));
        rows.map(|row| {
            let mut cells = row.split('|').map(|cell| cell.trim().to_owned()).skip(1);
            let mut cell = || cells.next().unwrap();
            (cell(), (cell(), cell(), cell()))
        })
        .collect()
    }

    #[test]
    fn the_readme_lists_exactly_the_mismatches_of_the_data() {
        let dir = tempfile::tempdir().unwrap();
        write_demo_data(dir.path()).unwrap();
        let books = Books::open(dir.path());
        let mut found = BTreeMap::new();
        for company in ["acme", "globex"] {
            let ledger = books.ledger(company).unwrap();
            for invoice in books.invoices(company).unwrap() {
                let lines: Vec<&Entry> = ledger.iter().filter(|e| e.invoice_ref == invoice.invoice_id).collect();
                if let Some(kind) = mismatch(&invoice, &lines) {
                    let ids: Vec<&str> = lines.iter().map(|entry| entry.entry_id.as_str()).collect();
                    let ids = if ids.is_empty() { "none".to_owned() } else { ids.join(" ") };
                    found.insert(invoice.invoice_id, (company.to_owned(), kind.to_owned(), ids));
                }
            }
        }
        assert_eq!(found, planted());
        assert_eq!(found.len(), 22);
    }

    #[test]
    fn the_demo_has_a_large_and_a_small_unbooked_invoice_and_a_double_booking() {
        let dir = tempfile::tempdir().unwrap();
        write_demo_data(dir.path()).unwrap();
        let invoices = Books::open(dir.path()).invoices("acme").unwrap();
        let cents = |id: &str| invoices.iter().find(|invoice| invoice.invoice_id == id).unwrap().amount.0;
        assert_eq!([cents("INV-2041"), cents("INV-2087"), cents("INV-2063")], [418_000, 31_240, 127_550]);
        let kind = |id: &str| planted()[id].1.clone();
        assert_eq!([kind("INV-2041"), kind("INV-2087"), kind("INV-2063")], ["missing", "missing", "duplicate"]);
    }

    #[test]
    fn every_invoice_names_a_vendor_and_follows_its_terms() {
        let dir = tempfile::tempdir().unwrap();
        write_demo_data(dir.path()).unwrap();
        let books = Books::open(dir.path());
        let vendors = books.vendors().unwrap();
        for company in ["acme", "globex"] {
            for invoice in books.invoices(company).unwrap() {
                let vendor = vendors.iter().find(|vendor| vendor.vendor_id == invoice.vendor_id).unwrap();
                assert_eq!(vendor.name, invoice.vendor_name);
                assert_eq!(invoice.due_date.since(invoice.invoice_date), i64::from(vendor.terms_days));
            }
        }
    }
}
