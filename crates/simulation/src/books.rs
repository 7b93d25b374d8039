//! The budgets' books, kept a second time from the log alone: what every intent held and what it was settled at. The
//! holdings must say the same, window by window.

use std::collections::BTreeMap;

use data::commit::Log;
use data::store::HoldingRow;
use domain::budget::{Amounts, BudgetKey, Hold, Meter, Subject};
use domain::call::CallOutcome;
use domain::clock::Timestamp;
use domain::event::{Event, Resolution};
use domain::id::{CallId, Shard};

use crate::invariant::Tale;

/// Reserved and spent, by budget and window.
type Books = BTreeMap<(BudgetKey, Timestamp), (i64, i64)>;

/// Where the holdings differ from the log.
pub async fn compare(log: &Log, tales: &[Tale]) -> Vec<String> {
    let mut books = Books::new();
    for tale in tales {
        keep(&mut books, tale);
    }
    let Ok(rows) = log.holdings(Shard(0)).await else { return Vec::new() };
    let mut wrong = Vec::new();
    for HoldingRow { budget, window_start: window, reserved, spent, .. } in rows {
        let (held, settled) = books.remove(&(budget.clone(), window)).unwrap_or_default();
        if reserved < 0 || spent < 0 {
            wrong.push(format!("{budget} since {window}: {spent} spent and {reserved} reserved"));
        }
        if budget.meter != Meter::ComputeMs && (reserved, spent) != (held, settled) {
            wrong.push(format!(
                "{budget} since {window}: reserved {reserved} and spent {spent}, and by the log {held} and {settled}"
            ));
        }
    }
    wrong.extend(books.into_keys().map(|(budget, window)| format!("{budget} since {window} is not in the holdings")));
    wrong
}

fn keep(books: &mut Books, tale: &Tale) {
    let mut held: BTreeMap<CallId, Vec<Hold>> = BTreeMap::new();
    for event in tale.events() {
        match event {
            Event::ModelRequested { intent, .. } | Event::CallRequested { intent, .. } => {
                for hold in &intent.holds {
                    books.entry((hold.budget.clone(), hold.window_start)).or_default().0 += hold.amount;
                }
                held.insert(intent.call, intent.holds.clone());
            }
            Event::ModelAnswered { call, settlement, .. } => settle(books, held.remove(call), &settlement.amounts),
            Event::CallAnswered { outcome: CallOutcome::Unknown { .. }, .. } => {}
            Event::CallAnswered { call, settlement, .. }
            | Event::CallInDoubt { call, settlement: Some(settlement), .. }
            | Event::CallResolved { call, settlement: Some(settlement), .. } => {
                settle(books, held.remove(call), &settlement.amounts);
            }
            Event::CallResolved { call, resolution: Resolution::DidNot, .. } => {
                settle(books, held.remove(call), &Amounts::default());
            }
            _ => {}
        }
    }
}

fn settle(books: &mut Books, holds: Option<Vec<Hold>>, amounts: &Amounts) {
    for hold in holds.unwrap_or_default() {
        let (reserved, spent) = books.entry((hold.budget.clone(), hold.window_start)).or_default();
        *reserved -= hold.amount;
        *spent += match &hold.budget.subject {
            // What a grant or a tool may do counts what was done, worth what it was held at.
            Subject::Grant(_) | Subject::Tool { .. } if amounts.calls > 0 => hold.amount,
            Subject::Grant(_) | Subject::Tool { .. } => 0,
            Subject::Agent(_) | Subject::Owner(_) | Subject::Session(_) => amounts.on(hold.budget.meter).max(0),
        };
    }
}
