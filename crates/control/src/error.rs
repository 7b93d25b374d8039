//! What the control plane says no to, for the surface to map: named for what the caller can do next.

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The request makes no sense as it is.
    #[error("{reason} {next}")]
    Invalid {
        /// What is wrong.
        reason: String,
        /// What to do next.
        next: String,
    },
    /// Policies that cannot come into force.
    #[error("{}", told(.0))]
    Policies(Vec<crate::policy::check::Wrong>),
    /// Whoever asks may not.
    #[error("{reason} {next}")]
    Forbidden {
        /// What is wrong.
        reason: String,
        /// What to do next.
        next: String,
    },
    /// There is no such thing.
    #[error("{reason} {next}")]
    NotFound {
        /// What is wrong.
        reason: String,
        /// What to do next.
        next: String,
    },
    /// It was done already, or what it rests on is not there.
    #[error("{reason} {next}")]
    Conflict {
        /// What is wrong.
        reason: String,
        /// What to do next.
        next: String,
    },
    /// Others change the control plane faster than this could be recorded; trying again helps.
    #[error("others keep changing the control plane at the same time; try again")]
    Busy,
    /// The control plane's record holds what this version cannot read.
    #[error("the control plane's record at {pos} cannot be read: {reason}")]
    Unreadable {
        /// Where.
        pos: domain::id::Pos,
        /// What is wrong.
        reason: String,
    },
    /// The log did not take it; nothing happened.
    #[error(transparent)]
    NotRecorded(data::error::Refused),
    /// The log could not be read, or did not take mail.
    #[error(transparent)]
    Log(#[from] data::error::DataError),
}

/// The first thing that is wrong with policies, and how many there are.
fn told(wrong: &[crate::policy::check::Wrong]) -> String {
    let Some(first) = wrong.first() else { return "a policy cannot come into force".to_owned() };
    let help = first.finding.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
    let more = if wrong.len() > 1 { format!("; and {} more", wrong.len() - 1) } else { String::new() };
    format!("the policy {}, at byte {}: {}{help}{more}", first.policy, first.finding.at.start, first.finding.message)
}
