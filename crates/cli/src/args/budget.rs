//! `budget`: what it is called with.

use clap::{Args, Subcommand, ValueEnum};

/// What is done with budgets.
#[derive(Debug, Subcommand)]
pub(crate) enum Budget {
    /// How budgets stand in the windows that run.
    Show {
        /// agent/NAME, owner/NAME or session/ID; a name alone where only one of them has it. Absent: everybody.
        whose: Option<String>,
    },
    /// Set what an agent or an owner group may spend, beside what descriptors say: the lower one holds.
    Set {
        /// agent/NAME or owner/NAME, or the name alone.
        whose: String,
        /// As under spec.budgets: usd_per_day=40, tokens_per_hour=1000000; `none` lifts a cap.
        #[arg(value_name = "CAP=AMOUNT", value_parser = cap)]
        caps: Vec<(String, Option<f64>)>,
        /// Whose midnight and full hour begin an owner group's windows, such as Europe/Madrid.
        #[arg(long)]
        timezone: Option<String>,
    },
    /// Allow more in the window that runs, once, with a reason that is recorded.
    Topup(Topup),
    /// Prove the most that this fleet can spend today; exit 1 where nothing bounds it.
    Prove,
}

/// More of what, and why.
#[derive(Debug, Args)]
pub(crate) struct Topup {
    /// agent/NAME, owner/NAME or session/ID; a name alone where only one of them has it.
    pub whose: String,
    #[command(flatten)]
    pub what: What,
    /// In this window only; absent: in each that bounds it.
    #[arg(long, value_enum)]
    pub per: Option<Per>,
    /// Why: it is recorded.
    #[arg(long)]
    pub reason: String,
}

/// How much more, of one thing.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct What {
    /// US dollars.
    #[arg(long)]
    pub usd: Option<f64>,
    /// Requests to models and capabilities.
    #[arg(long)]
    pub calls: Option<f64>,
    /// Model tokens.
    #[arg(long)]
    pub tokens: Option<f64>,
    /// Requests through the MCP gateway.
    #[arg(long)]
    pub external_actions: Option<f64>,
    /// Minutes of the runtime's own work.
    #[arg(long)]
    pub compute_minutes: Option<f64>,
}

impl What {
    /// What, and how much.
    pub(crate) fn said(&self) -> (&'static str, f64) {
        let all = [
            ("usd", self.usd),
            ("calls", self.calls),
            ("tokens", self.tokens),
            ("external_actions", self.external_actions),
            ("compute_minutes", self.compute_minutes),
        ];
        all.into_iter().find_map(|(what, amount)| Some((what, amount?))).unwrap_or(("usd", 0.0))
    }
}

/// A window.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Per {
    /// The hour that runs.
    Hour,
    /// The day that runs.
    Day,
    /// The session.
    Session,
}

impl Per {
    /// As the server takes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Per::Hour => "hour",
            Per::Day => "day",
            Per::Session => "session",
        }
    }
}

fn cap(text: &str) -> Result<(String, Option<f64>), String> {
    let wrong = || "write CAP=AMOUNT, such as usd_per_day=40, or CAP=none".to_owned();
    let (cap, amount) = text.split_once('=').ok_or_else(wrong)?;
    let amount = if amount == "none" { None } else { Some(amount.parse().map_err(|_| wrong())?) };
    Ok((cap.to_owned(), amount))
}
