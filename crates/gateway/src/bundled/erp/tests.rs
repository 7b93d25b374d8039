//! The ERP's tools over the demo's own files.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::tool::ToolCall;
use super::super::write_demo_data;
use super::Erp;

struct Desk {
    dir: TempDir,
    erp: Erp,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_demo_data(dir.path()).unwrap();
        Desk { erp: Erp::open(dir.path()), dir }
    }

    fn call(&self, name: &str, arguments: Value) -> Result<Value, String> {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        let call = ToolCall { name: name.to_owned(), arguments, idempotency_key: None };
        self.erp.call(&call).map_err(|error| error.to_string())
    }

    fn refusal(&self, name: &str, arguments: Value) -> String {
        self.call(name, arguments).unwrap_err()
    }
}

#[test]
fn one_invoice_is_read_by_its_id() {
    let read = Desk::new().call("read_invoices", json!({"company": "acme", "invoice_id": "INV-2041"})).unwrap();
    let expected = json!({
        "company": "acme", "total": 1, "next_offset": null,
        "invoices": [{
            "invoice_id": "INV-2041", "company": "acme", "vendor_id": "V-101", "vendor_name": "Harborline Freight Inc",
            "invoice_date": "2026-09-06", "due_date": "2026-10-06", "currency": "USD", "amount": 4180.0,
            "po_number": read["invoices"][0]["po_number"], "status": "open",
        }],
    });
    assert_eq!(read, expected);
}

#[test]
fn pages_join_into_all_invoices_of_the_company() {
    let desk = Desk::new();
    let (mut ids, mut offset) = (Vec::new(), json!(0));
    while !offset.is_null() {
        let read = desk.call("read_invoices", json!({"company": "globex", "limit": 50, "offset": offset})).unwrap();
        ids.extend(read["invoices"].as_array().unwrap().iter().map(|row| row["invoice_id"].to_string()));
        assert_eq!(read["total"], 122);
        offset = read["next_offset"].clone();
    }
    ids.dedup();
    assert_eq!(ids.len(), 122);
}

#[test]
fn an_answer_without_a_limit_is_one_page_of_fifty() {
    let read = Desk::new().call("read_ledger", json!({"company": "acme"})).unwrap();
    assert_eq!(read["entries"].as_array().unwrap().len(), 50);
    assert_eq!(read["next_offset"], 50);
}

#[test]
fn an_invoice_that_was_not_booked_has_no_ledger_lines() {
    let read = Desk::new().call("read_ledger", json!({"company": "acme", "invoice_id": "INV-2041"})).unwrap();
    assert_eq!(read, json!({"company": "acme", "total": 0, "next_offset": null, "entries": []}));
}

#[test]
fn an_invoice_that_was_booked_twice_has_two_ledger_lines() {
    let read = Desk::new().call("read_ledger", json!({"company": "acme", "invoice_id": "INV-2063"})).unwrap();
    assert_eq!(read["total"], 2);
    assert_eq!([&read["entries"][0]["debit"], &read["entries"][1]["debit"]], [1275.5, 1275.5]);
}

#[test]
fn the_ledger_is_filtered_by_a_vendors_id_or_name() {
    let desk = Desk::new();
    let by_id = desk.call("read_ledger", json!({"company": "acme", "vendor": "V-111", "limit": 200})).unwrap();
    let by_name = desk.call("read_ledger", json!({"company": "acme", "vendor": "ironbridge", "limit": 200})).unwrap();
    assert_eq!(by_id, by_name);
    assert!(by_id["entries"].as_array().unwrap().iter().all(|entry| entry["vendor_id"] == "V-111"));
    assert!(desk.refusal("read_ledger", json!({"company": "acme", "vendor": "Nobody"})).contains("no vendor `Nobody`"));
}

#[test]
fn an_unknown_company_is_refused_with_the_known_ones() {
    let desk = Desk::new();
    for (tool, arguments) in [
        ("read_invoices", json!({"company": "initech"})),
        ("read_ledger", json!({"company": "initech"})),
        ("aging_report", json!({"company": "initech", "as_of": "2026-10-31"})),
    ] {
        let expected = "there is no company `initech`; the books are of: acme, globex";
        assert_eq!(desk.refusal(tool, arguments), expected);
    }
}

#[test]
fn bad_arguments_are_named() {
    let desk = Desk::new();
    for (tool, arguments, expected) in [
        ("read_invoices", json!({}), "bad arguments for read_invoices: missing field `company`"),
        ("read_invoices", json!({"company": "acme", "limit": 0}), "limit is 0"),
        ("read_invoices", json!({"company": "acme", "limit": 201}), "limit is 201"),
        ("read_invoices", json!({"company": "acme", "offset": -1}), "invalid value: integer `-1`"),
        ("read_invoices", json!({"company": "acme", "colour": 1}), "unknown field `colour`"),
        ("read_ledger", json!({"company": 7}), "invalid type: integer `7`"),
        ("lookup_vendor", json!({}), "give either vendor_id or name"),
        ("lookup_vendor", json!({"vendor_id": "V-101", "name": "Harbor"}), "give either vendor_id or name"),
        ("aging_report", json!({"company": "acme", "as_of": "2026-02-30"}), "`2026-02-30` is not a day"),
        ("pay", json!({}), "there is no tool `pay`"),
    ] {
        let refusal = desk.refusal(tool, arguments);
        assert!(refusal.contains(expected), "{refusal}");
    }
}

#[test]
fn vendors_are_found_by_id_and_by_part_of_the_name() {
    let desk = Desk::new();
    let names = |arguments: Value| -> Vec<String> {
        let found = desk.call("lookup_vendor", arguments).unwrap();
        found["vendors"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(json!({"vendor_id": "v-104"})), ["Baker, Lowe & Partners LLP"]);
    assert_eq!(names(json!({"name": "northwind"})), ["Northwind Tooling LLC", "Northwind Trading Co"]);
    assert!(desk.refusal("lookup_vendor", json!({"vendor_id": "Harborline"})).contains("no vendor with the id"));
    assert!(desk.refusal("lookup_vendor", json!({"vendor_id": "V-999"})).contains("no vendor `V-999`"));
    assert!(desk.refusal("lookup_vendor", json!({"name": " "})).contains("no vendor"));
}

#[test]
fn the_aging_report_sorts_unpaid_amounts_by_days_past_due() {
    let desk = Desk::new();
    let invoices = "invoice_id,company,vendor_id,vendor_name,invoice_date,due_date,currency,amount,po_number,status\n\
        INV-1,acme,V-101,H,2026-09-01,2026-10-31,USD,1.00,,open\n\
        INV-2,acme,V-101,H,2026-09-01,2026-10-30,USD,2.00,,open\n\
        INV-3,acme,V-101,H,2026-09-01,2026-10-01,USD,4.00,,disputed\n\
        INV-4,acme,V-101,H,2026-09-01,2026-09-30,USD,8.10,,part_paid\n\
        INV-5,acme,V-101,H,2026-05-01,2026-06-01,USD,16.00,,open\n\
        INV-6,acme,V-101,H,2026-09-01,2026-09-30,USD,32.00,,paid\n\
        INV-7,acme,V-101,H,2026-11-01,2026-11-30,USD,64.00,,open\n";
    let ledger = "entry_id,company,posting_date,vendor_id,account,invoice_ref,debit,memo\n\
        L-1,acme,2026-09-02,V-101,5400,INV-4,3.05,part\n";
    std::fs::write(desk.dir.path().join("invoices.csv"), invoices).unwrap();
    std::fs::write(desk.dir.path().join("ledger.csv"), ledger).unwrap();
    let report = desk.call("aging_report", json!({"company": "acme", "as_of": "2026-10-31"})).unwrap();
    let bucket = |days: &str, invoices: u32, outstanding: f64| json!({"days_past_due": days, "invoices": invoices, "outstanding": outstanding});
    let expected = json!({
        "company": "acme", "as_of": "2026-10-31", "invoices": 5, "outstanding": 28.05,
        "buckets": [
            bucket("not_due", 1, 1.0), bucket("1-30", 2, 6.0), bucket("31-60", 1, 5.05), bucket("61-90", 0, 0.0),
            bucket("over_90", 1, 16.0),
        ],
    });
    assert_eq!(report, expected);
}

#[test]
fn a_changed_file_shows_in_the_next_answer() {
    let desk = Desk::new();
    let path = desk.dir.path().join("ledger.csv");
    let line = "L-9999,acme,2026-10-09,V-101,5400,INV-2041,4180.00,late\n";
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + line).unwrap();
    let read = desk.call("read_ledger", json!({"company": "acme", "invoice_id": "INV-2041"})).unwrap();
    assert_eq!(read["entries"][0]["entry_id"], "L-9999");
}

#[test]
fn a_missing_or_damaged_file_is_reported_by_name() {
    let desk = Desk::new();
    std::fs::write(desk.dir.path().join("ledger.csv"), "entry_id,company\nL-1\n").unwrap();
    assert!(desk.refusal("read_ledger", json!({"company": "acme"})).starts_with("ledger.csv: "));
    std::fs::remove_file(desk.dir.path().join("invoices.csv")).unwrap();
    assert!(desk.refusal("read_invoices", json!({"company": "acme"})).starts_with("invoices.csv: "));
}
