//! The demo's note keeper: remembers, recalls and calculates, all inside the runtime.

use serde_json::{Value, json};

use super::Reply;
use super::conversation::Conversation;

pub(super) fn reply(talk: &Conversation<'_>) -> Reply {
    if let Some(done) = talk.done.last() {
        let because = format!("{} answered; that is all there is to say.", done.capability);
        let text = match (done.error, done.capability) {
            (true, capability) => format!("{capability} did not work: {}", done.text),
            (false, "remember") => format!("I will remember that. {}", done.text).trim_end().to_owned(),
            (false, _) => done.text.to_owned(),
        };
        return Reply::text(text).because(because);
    }
    let (capability, argument) = wanted(&talk.task);
    if !talk.may(capability) {
        return Reply::text(format!(
            "I am a script that stands in for a model, and decide only from what tools return. This would take \
             {capability}, which is not among my tools."
        ));
    }
    let arguments = match argument {
        Some(argument) => json!({ talk.first_argument(capability): argument }),
        None => json!({}),
    };
    let because = format!("This asks for {capability}.");
    Reply::text(String::new()).because(because).using(capability, arguments)
}

/// What the task asks for, and with what.
fn wanted(task: &str) -> (&'static str, Option<Value>) {
    let task = task.trim();
    let after = |word: &str| {
        let start = task.get(..word.len()).filter(|start| start.eq_ignore_ascii_case(word))?;
        Some(task[start.len()..].trim_start_matches([':', ',']).trim().to_owned())
    };
    if let Some(text) = after("remember that").or_else(|| after("remember")) {
        return ("remember", Some(text.into()));
    }
    if let Some(sum) =
        after("calculate").or_else(|| after("what is")).filter(|sum| sum.contains(|c: char| c.is_ascii_digit()))
    {
        return ("calculate", Some(sum.trim_end_matches(['?', '.', '=']).trim().into()));
    }
    ("recall", None)
}
