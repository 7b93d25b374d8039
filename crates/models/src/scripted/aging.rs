//! The demo's aging report: one report after the other, until it is done or its budget is. Its descriptor allows too
//! few calls on purpose.

use serde_json::{Value, json};

use super::Reply;
use super::conversation::{Conversation, Done, cents, count, dollars, is_day};

const REPORT: &str = "aging-report";
/// The days reported when the task names none: the ends of the months that the books cover.
const MONTH_ENDS: [&str; 3] = ["2026-09-30", "2026-10-31", "2026-11-30"];

pub(super) fn reply(talk: &Conversation<'_>) -> Reply {
    if !talk.may(REPORT) {
        return Reply::text(format!("I cannot report: {REPORT} is not among my tools."));
    }
    let wanted = wanted(talk);
    let done: Vec<&Done<'_>> = talk.of(REPORT).collect();
    let failed = done.iter().find(|done| done.error);
    match (failed, wanted.get(done.len())) {
        (None, Some((company, day))) => {
            let because = format!("Report {} of {}: {company} as of {day}.", done.len() + 1, wanted.len());
            let text = format!("I ask for {company} as of {day}.");
            Reply::text(text).because(because).using(REPORT, json!({"company": company, "as_of": day}))
        }
        (failed, _) => finish(&done, failed.map(|done| done.text), wanted.len()),
    }
}

fn wanted(talk: &Conversation<'_>) -> Vec<(String, String)> {
    let mut days = talk.named(is_day);
    if days.is_empty() {
        days = MONTH_ENDS.map(str::to_owned).to_vec();
    }
    let companies = talk.companies(REPORT);
    days.iter().flat_map(|day| companies.iter().map(|company| (company.clone(), day.clone()))).collect()
}

fn finish(done: &[&Done<'_>], failure: Option<&str>, wanted: usize) -> Reply {
    let reports: Vec<Value> = done.iter().filter(|done| !done.error).map(|done| done.json()).collect();
    let mut lines: Vec<String> = reports.iter().map(line).collect();
    if let Some(why) = failure {
        lines.push(format!("{} of {wanted} reports are missing. I was told: {why}", wanted - reports.len()));
    }
    if lines.is_empty() {
        lines.push("There is nothing to report: the tool's schema names no company.".to_owned());
    }
    Reply::text(lines.join("\n")).because(format!("{} of {wanted} reports are in.", reports.len()))
}

fn line(report: &Value) -> String {
    let bucket = |bucket: &Value| {
        format!("{} {}", bucket["days_past_due"].as_str().unwrap_or("?"), dollars(cents(&bucket["outstanding"])))
    };
    let late = report["buckets"].as_array().into_iter().flatten().filter(|bucket| cents(&bucket["outstanding"]) > 0);
    format!(
        "- {} as of {}: {}, {} outstanding ({})",
        report["company"].as_str().unwrap_or("?"),
        report["as_of"].as_str().unwrap_or("?"),
        count(report["invoices"].as_u64().unwrap_or(0) as usize, "unpaid invoice"),
        dollars(cents(&report["outstanding"])),
        late.map(bucket).collect::<Vec<_>>().join(", ")
    )
}
