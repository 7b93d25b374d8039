//! The demo's front desk: hands what it is asked on to the clerk, and says what the clerk said.

use serde_json::json;

use super::Reply;
use super::conversation::Conversation;

/// The agent that it hands everything on to.
pub(super) const CLERK: &str = "narrow-clerk";

pub(super) fn reply(talk: &Conversation<'_>) -> Reply {
    match talk.of(CLERK).next() {
        None => Reply::text("I hand it on.")
            .because("Whoever asks wants something done that the clerk does.")
            .using(CLERK, json!({"input": talk.task})),
        Some(done) if done.error => Reply::text(format!("The clerk could not do it. {}", done.text)),
        Some(done) => Reply::text(format!("The clerk says: {}", done.text)),
    }
}
