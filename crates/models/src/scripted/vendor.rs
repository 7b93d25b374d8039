//! The demo's vendor help desk: looks a vendor up and says what the books know of it.

use serde_json::{Value, json};

use super::Reply;
use super::conversation::{Conversation, is_id};

const LOOKUP: &str = "vendor-lookup";

pub(super) fn reply(talk: &Conversation<'_>) -> Reply {
    if !talk.may(LOOKUP) {
        return Reply::text(format!("I cannot look vendors up: {LOOKUP} is not among my tools."));
    }
    let Some(done) = talk.of(LOOKUP).next() else { return ask(talk) };
    if done.error {
        return Reply::text(format!("The vendor could not be looked up: {}", done.text));
    }
    let found = done.json();
    let lines: Vec<String> = found["vendors"].as_array().into_iter().flatten().map(line).collect();
    let head = match lines.len() {
        0 => "The books know no such vendor.".to_owned(),
        1 => "The books know this vendor:".to_owned(),
        count => format!("{count} vendors fit:"),
    };
    Reply::text(format!("{head}\n{}", lines.join("\n")).trim_end().to_owned())
        .because(format!("The lookup answered {} vendors; I repeat what it says and add nothing.", lines.len()))
}

fn ask(talk: &Conversation<'_>) -> Reply {
    if let Some(id) = talk.named(|word| is_id(word, "V-")).into_iter().next() {
        let because = format!("The question names the vendor {id}, so I look it up by its id.");
        return Reply::text("I look the vendor up.").because(because).using(LOOKUP, json!({"vendor_id": id}));
    }
    let Some(name) = name(talk) else {
        return Reply::text("Which vendor do you mean? Give me a name or an id such as V-101.");
    };
    let because = format!("The question names no id; \"{name}\" looks like a vendor's name.");
    Reply::text("I look the vendor up.").because(because).using(LOOKUP, json!({"name": name}))
}

/// The longest run of words with a capital letter, the first word of the question left out.
fn name(talk: &Conversation<'_>) -> Option<String> {
    let words = talk.named(|word| !word.is_empty());
    let is_name = |word: &String| word.chars().next().is_some_and(char::is_uppercase) || word == "&";
    let runs = words.get(1..)?.split(|word| !is_name(word)).map(|run| run.join(" "));
    let own = |run: String| run.trim_end_matches("'s").trim_end_matches("’s").to_owned();
    let longest = runs.map(own).rev().max_by_key(String::len).filter(|run| !run.is_empty());
    longest.or_else(|| (words.len() == 1).then(|| words[0].clone()))
}

fn line(vendor: &Value) -> String {
    let text = |field: &str| vendor[field].as_str().unwrap_or("unknown").to_owned();
    format!(
        "- {} ({}), {}: {}, terms {} days, account {}",
        text("name"),
        text("vendor_id"),
        text("city"),
        text("email"),
        vendor["terms_days"],
        text("account")
    )
}
