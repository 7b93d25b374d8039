//! What a spent budget is called, to a person and to a model. What must never be known here: how it came to be spent.

use domain::budget::{BudgetKey, Meter, Subject, Window};
use domain::clock::Timestamp;
use domain::decision::{Refusal, RefusedBy};
use domain::money::UsdMicros;

/// A budget is spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// Which budget.
    pub budget: BudgetKey,
    /// When the window began.
    pub start: Timestamp,
    /// Its cap.
    pub cap: i64,
    /// What ended calls came to.
    pub spent: i64,
    /// What this call may come to.
    pub wanted: i64,
    /// When the window ends.
    pub ends: Timestamp,
}

impl Exhausted {
    /// In words that nobody mistakes for "try again".
    pub fn refusal(&self) -> Refusal {
        let until = match self.budget.window {
            Window::Session => "for the rest of this session",
            Window::Hour | Window::Day => "until then",
        };
        let next = match &self.budget.subject {
            Subject::Tool { tool, .. } => {
                format!("Do not use {tool} again: every further use is refused {until}. {}", self.remedy())
            }
            Subject::Agent(_) | Subject::Owner(_) | Subject::Session(_) | Subject::Grant(_) => format!(
                "Do not try again, and do not try another way: every further call is refused {until}. {}",
                self.remedy()
            ),
        };
        Refusal { by: RefusedBy::Budget, reason: self.reason(), next }
    }

    /// What is spent, and what of it comes back.
    pub fn reason(&self) -> String {
        let Exhausted { budget, cap, spent, wanted, ends, .. } = self;
        let amount = |amount: &i64| amount_text(budget.meter, *amount);
        let over = match budget.meter {
            Meter::ComputeMs => String::new(),
            Meter::Calls | Meter::ExternalActions => format!(", and this call is {} more", amount(wanted)),
            Meter::UsdMicros | Meter::Tokens => format!(", and this call could come to {}", amount(wanted)),
        };
        let back = match budget.window {
            Window::Session => "Nothing of it comes back.".to_owned(),
            Window::Hour | Window::Day => format!("Nothing of it comes back before the window ends at {ends}."),
        };
        let (spent, cap) = (amount(spent), amount(cap));
        format!("The budget {budget} is used up: {spent} of {cap} are spent{over}. {back}")
    }

    fn remedy(&self) -> String {
        let BudgetKey { subject, meter, window } = &self.budget;
        let field = field(*meter, *window);
        match subject {
            Subject::Agent(agent) => format!(
                "A person may raise spec.budgets.{field} and apply the descriptor, or allow more for this window with \
                 `ostler budget topup {agent}`."
            ),
            Subject::Owner(owner) => format!(
                "An administrator may raise it with `ostler budget set owner/{owner}`, or allow more for this window \
                 with `ostler budget topup owner/{owner}`."
            ),
            Subject::Grant(name) => format!("People are asked again; see what {name} allows with `ostler grant list`."),
            Subject::Tool { agent, tool } => format!(
                "A person may raise per_hour of {tool} under spec.tools of {agent} and apply the descriptor, or allow \
                 more for this window with `ostler budget topup {subject}`."
            ),
            Subject::Session(_) => format!(
                "A person may allow this session more with `ostler budget topup {subject}`, or raise \
                 spec.budgets.{field} and apply the descriptor."
            ),
        }
    }
}

/// An amount with its unit, as people read it.
pub fn amount_text(meter: Meter, amount: i64) -> String {
    match meter {
        Meter::UsdMicros => UsdMicros(amount).to_string(),
        Meter::Calls => format!("{amount} calls"),
        Meter::Tokens => format!("{amount} tokens"),
        Meter::ExternalActions => format!("{amount} external actions"),
        Meter::ComputeMs => format!("{:.1} minutes", amount as f64 / 60_000.0),
    }
}

/// What a cap is called in a descriptor.
pub(super) fn field(meter: Meter, window: Window) -> String {
    let meter = match meter {
        Meter::UsdMicros => "usd",
        Meter::Calls => "calls",
        Meter::Tokens => "tokens",
        Meter::ExternalActions => "external_actions",
        Meter::ComputeMs => "compute_minutes",
    };
    let window = match window {
        Window::Hour => "hour",
        Window::Day => "day",
        Window::Session => "session",
    };
    format!("{meter}_per_{window}")
}
