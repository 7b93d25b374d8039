#!/usr/bin/env python3
"""Writes examples/demo/data: vendors, invoices, the ledger, and the list of mismatches planted in it.

Usage: python3 scripts/make-demo-data.py [--check] [DIR]

The same seed always gives the same bytes. `--check` writes nothing and fails if a file differs from what
would be written. Amounts are counted in cents; only `money` turns them into text.
"""

import csv
import datetime
import io
import pathlib
import random
import sys

SEED = 20260915
FIRST_INVOICE, INVOICE_COUNT = 2001, 240
FIRST_DAY = datetime.date(2026, 9, 1)
COMPANIES = ("acme", "globex")

# name, terms in days, account its invoices are booked on, typical amount in cents
VENDORS = [
    ("Harborline Freight Inc", 30, "5400", 185000),
    ("Northwind Tooling LLC", 30, "5100", 240000),
    ("Northwind Trading Co", 21, "5200", 96000),
    ("Baker, Lowe & Partners LLP", 30, "6500", 420000),
    ("Cobalt Cloud Services", 14, "6300", 310000),
    ("Delmar Office Supply", 14, "6100", 18500),
    ("Evergreen Facilities Group", 30, "6200", 135000),
    ("Fairmont Catering", 10, "6150", 42000),
    ("Granite State Electric", 21, "6250", 88000),
    ("Hollis & Sons Plumbing", 14, "6200", 36000),
    ("Ironbridge Steel Supply", 30, "5100", 560000),
    ("Juniper Staffing Partners", 14, "6400", 275000),
    ("Kestrel Courier", 10, "5400", 9500),
    ("Lakeshore Packaging", 21, "5200", 74000),
    ("Lakeside Packaging Corp", 21, "5200", 68000),
    ("Meridian Insurance Brokers", 30, "6600", 390000),
    ("Nimbus Telecom", 21, "6350", 52000),
    ("Orchard Print & Copy", 14, "6100", 14500),
    ("Pinecrest Security", 30, "6200", 112000),
    ("Quarry Road Concrete", 30, "5100", 330000),
    ("Ridgeway Equipment Rental", 21, "5300", 158000),
    ("Solano Legal Translations", 14, "6500", 31000),
    ("Tidewater Chemicals Ltd", 30, "5150", 470000),
    ("Union Square Travel", 14, "6700", 83000),
    ("Westbrook Calibration", 30, "5300", 47000),
]
CITIES = ("Boston MA", "Portland OR", "Cleveland OH", "Austin TX", "Richmond VA", "Tacoma WA", "Reno NV", "Mobile AL")
APPROVERS = ("m.ortiz", "j.hale", "p.novak", "s.ito")

# Invoices whose company, vendor or amount the demo relies on: number -> (company, vendor, cents)
FIXED = {
    2041: ("acme", "V-101", 418000),
    2087: ("acme", "V-106", 31240),
    2063: ("acme", "V-111", 127550),
    2009: ("acme", "V-105", None), 2035: ("acme", "V-116", None), 2187: ("acme", "V-123", None),
    2198: ("acme", "V-121", 193560), 2118: ("acme", "V-113", None), 2022: ("acme", "V-102", None),
    2095: ("acme", "V-114", None), 2057: ("acme", "V-120", 546317), 2110: ("acme", "V-104", 860000),
    2102: ("globex", "V-123", 1264000), 2149: ("globex", "V-117", 76825), 2154: ("globex", "V-112", None),
    2209: ("globex", "V-108", None), 2076: ("globex", "V-119", None), 2131: ("globex", "V-107", None),
    2166: ("globex", "V-115", None), 2223: ("globex", "V-103", None), 2178: ("globex", "V-109", 138926),
    2201: ("globex", "V-111", 1492000),
}

# What is wrong in the ledger, by invoice number.
DUPLICATE = (2063, 2118, 2154, 2209)
ROUNDING = {2009: 1, 2035: -1, 2076: 2, 2131: -2, 2187: 1}  # cents booked too much or too little
MISSING = (2041, 2087, 2102, 2149, 2198)
WRONG_VENDOR = {2022: "V-103", 2095: "V-115", 2166: "V-114", 2223: "V-102"}
TRANSPOSED = {2057: 564317, 2178: 183926}  # cents booked
PARTIAL = {2110: 430000, 2201: 500000}  # cents booked

VENDOR_FIELDS = ["vendor_id", "name", "city", "email", "terms_days", "account"]
INVOICE_FIELDS = ["invoice_id", "company", "vendor_id", "vendor_name", "invoice_date", "due_date",
                  "currency", "amount", "po_number", "status"]
LEDGER_FIELDS = ["entry_id", "company", "posting_date", "vendor_id", "account", "invoice_ref", "debit", "memo"]


class Dice:
    """Random choices built on `random()` alone, whose sequence Python promises to keep."""

    def __init__(self, seed):
        self.source = random.Random(seed)

    def below(self, bound):
        return int(self.source.random() * bound)

    def choose(self, options):
        return options[self.below(len(options))]

    def chance(self, probability):
        return self.source.random() < probability


def money(cents):
    return f"{cents // 100}.{cents % 100:02d}"


def make_vendors():
    vendors = []
    for index, (name, terms, account, typical) in enumerate(VENDORS):
        host = "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-")
        while "--" in host:
            host = host.replace("--", "-")
        vendors.append({
            "vendor_id": f"V-{101 + index}", "name": name, "city": CITIES[index % len(CITIES)],
            "email": f"billing@{host}.example", "terms_days": terms, "account": account, "typical": typical,
        })
    return vendors


def choose_status(dice, number):
    if number in MISSING:
        return "open"
    if number in PARTIAL:
        return "part_paid"
    roll = dice.below(100)
    return "paid" if roll < 58 else "disputed" if roll > 96 else "open"


def make_invoices(dice, vendors):
    by_id = {vendor["vendor_id"]: vendor for vendor in vendors}
    invoices = []
    for number in range(FIRST_INVOICE, FIRST_INVOICE + INVOICE_COUNT):
        company, vendor_id, cents = FIXED.get(number, (None, None, None))
        company = company or dice.choose(COMPANIES)
        vendor = by_id[vendor_id] if vendor_id else dice.choose(vendors)
        spread = 25 + dice.below(176)  # a quarter to double of what this vendor usually bills
        cents = cents or vendor["typical"] * spread // 100 + dice.below(100)
        day = FIRST_DAY + datetime.timedelta(days=(number - FIRST_INVOICE) * 30 // INVOICE_COUNT)
        invoices.append({
            "number": number, "invoice_id": f"INV-{number}", "company": company,
            "vendor_id": vendor["vendor_id"], "vendor_name": vendor["name"],
            "invoice_date": day, "due_date": day + datetime.timedelta(days=vendor["terms_days"]),
            "currency": "USD", "amount": money(cents), "cents": cents, "account": vendor["account"],
            "po_number": f"PO-{7000 + dice.below(900)}" if dice.chance(0.85) else "",
            "status": choose_status(dice, number),
        })
    return invoices


def booked(dice, invoice):
    """The one line a careful clerk, or a careless one, writes for this invoice."""
    number = invoice["number"]
    cents = invoice["cents"] + ROUNDING.get(number, 0)
    cents = TRANSPOSED.get(number, PARTIAL.get(number, cents))
    memo = f"{invoice['vendor_name']} {invoice['invoice_id']}"
    if number in PARTIAL:
        memo = f"Part payment 1 of 2, {invoice['invoice_id']}"
    elif dice.chance(0.3):
        memo += f", approved {dice.choose(APPROVERS)}"
    return {
        "company": invoice["company"], "vendor_id": WRONG_VENDOR.get(number, invoice["vendor_id"]),
        "posting_date": invoice["invoice_date"] + datetime.timedelta(days=1 + dice.below(6)),
        "account": invoice["account"], "invoice_ref": invoice["invoice_id"], "debit": money(cents),
        "memo": memo, "number": number,
    }


def make_ledger(dice, invoices):
    entries = []
    for invoice in invoices:
        if invoice["number"] in MISSING:
            continue
        entry = booked(dice, invoice)
        entries.append(entry)
        if invoice["number"] in DUPLICATE:
            later = entry["posting_date"] + datetime.timedelta(days=2 + dice.below(9))
            entries.append(entry | {"posting_date": later, "memo": f"{entry['invoice_ref']} re-keyed from scan"})
    entries.sort(key=lambda entry: (entry["posting_date"], entry["number"]))
    for position, entry in enumerate(entries):
        entry["entry_id"] = f"L-{5001 + position}"
    return entries


def describe(invoice, entries):
    """The kind and the explanation of what was planted at this invoice, or None."""
    number, amount = invoice["number"], invoice["amount"]
    if number in DUPLICATE:
        return "duplicate", f"{amount} booked twice"
    if number in ROUNDING:
        return "rounding", f"invoice {amount}, booked {entries[0]['debit']}"
    if number in MISSING:
        return "missing", f"{amount} not booked"
    if number in WRONG_VENDOR:
        return "wrong_vendor", f"invoice of {invoice['vendor_id']}, booked on {entries[0]['vendor_id']}"
    if number in TRANSPOSED:
        return "transposed", f"invoice {amount}, booked {entries[0]['debit']}"
    if number in PARTIAL:
        return "partial", f"invoice {amount}, booked {entries[0]['debit']}"
    return None


README = """# Demo data

Two companies, {vendors} vendors, {invoices} invoices and {entries} ledger lines, all invented. `scripts/make-demo-data.py` writes this
folder from a fixed seed (`--check` tells whether it still matches); do not edit the files by hand.

- `vendors.csv`: who bills us, on what terms, and on which account the invoices are booked.
- `invoices.csv`: what vendors billed, in USD. `status` is open, paid, part_paid or disputed.
- `ledger.csv`: what the accountants booked. Apart from the mismatches below, each invoice has exactly one line, with
  the invoice's company, vendor and amount; `invoice_ref` names the invoice.

## Planted mismatches

Everything else reconciles. A test compares this table with the data.

| invoice | company | kind | ledger lines | what is wrong |
|---|---|---|---|---|
{rows}

For a demo: `INV-2041` (acme, 4180.00, never booked) needs a payment request above 1,000 USD; `INV-2087` (acme, 312.40,
never booked) needs one below; `INV-2063` (acme, 1275.50) was booked twice.
"""


def make_readme(vendors, invoices, entries):
    rows = []
    for invoice in invoices:
        own = [entry for entry in entries if entry["invoice_ref"] == invoice["invoice_id"]]
        planted = describe(invoice, own)
        if planted:
            lines = " ".join(entry["entry_id"] for entry in own) or "none"
            rows.append(f"| {invoice['invoice_id']} | {invoice['company']} | {planted[0]} | {lines} | {planted[1]} |")
    return README.format(vendors=len(vendors), invoices=len(invoices), entries=len(entries), rows="\n".join(rows))


def table(fields, rows):
    out = io.StringIO()
    writer = csv.DictWriter(out, fields, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def make_files():
    dice = Dice(SEED)
    vendors = make_vendors()
    invoices = make_invoices(dice, vendors)
    entries = make_ledger(dice, invoices)
    return {
        "vendors.csv": table(VENDOR_FIELDS, vendors),
        "invoices.csv": table(INVOICE_FIELDS, invoices),
        "ledger.csv": table(LEDGER_FIELDS, entries),
        "README.md": make_readme(vendors, invoices, entries),
    }


def main(arguments):
    check = "--check" in arguments
    rest = [argument for argument in arguments if argument != "--check"]
    default = pathlib.Path(__file__).resolve().parent.parent / "examples" / "demo" / "data"
    folder = pathlib.Path(rest[0]) if rest else default
    stale = []
    for name, text in make_files().items():
        path = folder / name
        if not check:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        elif not path.is_file() or path.read_bytes() != text.encode():
            stale.append(name)
    if stale:
        sys.exit(f"differs from what this script writes: {', '.join(stale)}. Run it without --check.")


if __name__ == "__main__":
    main(sys.argv[1:])
