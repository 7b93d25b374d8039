//! What a tool answered, as the conversation gets it: bounded, labelled, with its trust. Must not know where it came
//! from.

use domain::capability::CapabilityRef;
use domain::depth;
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use domain::provenance::Vouches;
use serde_json::Value;

use crate::upstream::ToolAnswer;

/// The longest text of one result that the conversation gets, in bytes.
pub(crate) const MAX_RESULT: usize = 50 * 1024;

/// How a result is marked.
pub(crate) struct Marks {
    /// Labels of the capability.
    pub(crate) labels: Vec<String>,
    /// How far its output is trusted.
    pub(crate) trust: Trust,
    /// What of it may be relied upon all the same.
    pub(crate) vouches: Option<Box<Vouches>>,
}

/// The message that answers the use `use_id`.
pub(crate) fn message(use_id: String, answer: ToolAnswer, marks: Marks) -> Message {
    let text = bounded(answer.text);
    let fits = |value: &Value| !depth::is_too_deep(value) && value.to_string().len() <= MAX_RESULT;
    let structured = answer.structured.filter(fits);
    let content = Content::Result { use_id, text, structured, error: answer.error, vouches: marks.vouches.clone() };
    one_part(content, Origin::Capability, marks)
}

/// The message of a call that was recorded and not sent.
pub(crate) fn recorded(use_id: String, capability: &CapabilityRef, arguments: &Value) -> Message {
    let (name, arguments) = (capability.name(), bounded(arguments.to_string()));
    let text = match capability {
        CapabilityRef::External(_) => format!(
            "Recorded, not sent: shadow. This agent works in shadow, so the call to {name} was written down as it would \
             have been sent and nothing was sent. Go on as if it had been accepted. It would have been sent: {arguments}"
        ),
        CapabilityRef::Internal(_) | CapabilityRef::Agent(_) => format!(
            "Recorded, not done: shadow. This agent works in shadow, so the call to {name} was written down and nothing \
             was changed. Go on as if it had been done. It would have been done with: {arguments}"
        ),
    };
    let marks = Marks { labels: Vec::new(), trust: Trust::Trusted, vouches: None };
    one_part(Content::Result { use_id, text, structured: None, error: false, vouches: None }, Origin::Runtime, marks)
}

fn one_part(content: Content, origin: Origin, marks: Marks) -> Message {
    let part = Part { content, origin, labels: marks.labels, trust: marks.trust };
    Message { role: Role::Capability, parts: vec![part] }
}

fn bounded(mut text: String) -> String {
    if text.len() <= MAX_RESULT {
        return text;
    }
    let whole = text.len();
    text.truncate(text.floor_char_boundary(MAX_RESULT));
    let kept = text.len();
    text + &format!("\n[cut here: these are the first {kept} of {whole} bytes; ask for less at a time]")
}

/// The text without characters that people do not see and models may obey: controls other than line break and tab,
/// bidirectional controls, zero-width characters, tags (UTR 36, §2.10; UTS 39).
pub(crate) fn visible(text: &str) -> String {
    text.chars().filter(|c| !is_hidden(*c)).collect()
}

/// The same for every key and string of a value.
pub(crate) fn visible_json(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(visible(text)),
        Value::Array(items) => items.iter().map(visible_json).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (visible(key), visible_json(item))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use domain::message::{Content, Trust};
    use serde_json::json;

    use super::{MAX_RESULT, Marks, message, visible};
    use crate::upstream::ToolAnswer;

    fn text_of(text: String) -> String {
        let answer = ToolAnswer { text, structured: Some(json!({"a": 1})), error: false };
        let marks = Marks { labels: vec!["internal".into()], trust: Trust::Untrusted, vouches: None };
        let part = message("use_1".into(), answer, marks).parts.remove(0);
        assert_eq!((part.labels, part.trust), (vec!["internal".to_owned()], Trust::Untrusted));
        match part.content {
            Content::Result { text, .. } => text,
            _ => panic!("a result"),
        }
    }

    #[test]
    fn a_result_that_is_too_long_is_cut_and_says_so() {
        assert_eq!(text_of("short".into()), "short");
        let cut = text_of("é".repeat(MAX_RESULT));
        assert!(cut.len() < MAX_RESULT + 200);
        assert!(
            cut.ends_with("[cut here: these are the first 51200 of 102400 bytes; ask for less at a time]"),
            "{cut}"
        );
    }

    #[test]
    fn a_value_that_could_not_be_read_again_is_left_out() {
        let structured = |levels: usize| {
            let value = (0..levels).fold(json!(1), |inner, _| json!({"a": inner}));
            let answer = ToolAnswer { text: String::new(), structured: Some(value), error: false };
            let marks = Marks { labels: Vec::new(), trust: Trust::Untrusted, vouches: None };
            match message("use_1".into(), answer, marks).parts.remove(0).content {
                Content::Result { structured, .. } => structured,
                _ => panic!("a result"),
            }
        };
        assert!(structured(64).is_some());
        assert_eq!(structured(65), None);
    }

    #[test]
    fn what_people_do_not_see_is_stripped() {
        assert_eq!(visible("a\u{e0041}\u{200b}b\u{202e}\u{7}\n\tc é 漢"), "ab\n\tc é 漢");
    }
}
