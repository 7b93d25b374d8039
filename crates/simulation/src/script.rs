//! What the simulated model says: a person's message is its script. `look a & pay 1500 | file b` uses two tools at
//! once and then a third; when the script is over it says so. It looks at nothing but the conversation, so that a call
//! that is repeated gets the same answer.

use std::sync::Arc;

use domain::call::Stop;
use domain::message::{Content, Message, Role};
use models::provider::Request;
use models::scripted::Reply;
use serde_json::json;

use crate::upstream::STRANGERS;

/// What the model says to this request.
pub fn reply(request: &Request) -> Reply {
    let messages = &request.messages;
    let asked = messages.iter().rposition(|message| message.role == Role::Person).unwrap_or(0);
    let script = messages.get(asked).map(|message| message.words()).unwrap_or_default();
    let since = messages.iter().skip(asked);
    let round = since.filter(|message| message.role == Role::Agent).count();
    if script == "for ever" {
        return Reply::text(format!("round {round}")).using("look", json!({"item": format!("{round}")}));
    }
    if script == "count" {
        return count(messages.get(asked..).unwrap_or_default(), round);
    }
    if script.starts_with("The schedule ") {
        let files = Reply::text("It is time.").using("file", json!({"name": "hourly"}));
        return if round == 0 { files } else { Reply::text("Done: it is filed.") };
    }
    match script.split(" | ").nth(round) {
        Some("too long") => Reply::text("and so on").stopping(Stop::Length),
        Some("forward") => {
            let to = stranger(messages);
            Reply::text("It says so.").using("send", json!({ "to": to }))
        }
        Some(step) if !step.is_empty() => step.split(" & ").fold(because(step), using),
        Some(_) | None => Reply::text(format!("Done: {script}")),
    }
}

/// Whom the last letter names, where there is one.
fn stranger(messages: &[Arc<Message>]) -> String {
    let words = messages.iter().rev().flat_map(|message| message.parts.iter());
    let texts = words.filter_map(|part| match &part.content {
        Content::Result { text, .. } => Some(text.clone()),
        _ => None,
    });
    let found = texts.flat_map(|text| text.split([' ', '"']).map(str::to_owned).collect::<Vec<_>>());
    let mut addresses = found.filter(|word| word.ends_with(STRANGERS));
    addresses.next().unwrap_or_else(|| "nobody@acme.example".to_owned())
}

/// Reads a number that all its agent's sessions remember, and writes the next: another that does so meanwhile is lost.
fn count(since: &[Arc<Message>], round: usize) -> Reply {
    let counting = Reply::text("Counting.");
    match round {
        0 => counting.using("recall", json!({"query": "count"})),
        1 => {
            let recalled = since.last().map(|last| last.words()).unwrap_or_default();
            let items = recalled.lines().filter_map(|line| {
                let (id, number) = (line.split(' ').next()?, line.rsplit_once("count ")?.1);
                Some((id, number.parse::<u64>().ok()?))
            });
            let items: Vec<_> = items.collect();
            let next = items.iter().map(|(_, number)| number + 1).max().unwrap_or(1);
            let forgotten = items.iter().fold(counting, |reply, (id, _)| reply.using("forget", json!({"id": id})));
            forgotten.using("remember", json!({"text": format!("count {next}")}))
        }
        _ => Reply::text("Counted."),
    }
}

fn because(step: &str) -> Reply {
    Reply::text(format!("Next: {step}")).because(format!("The script says {step}."))
}

/// Asks another agent: `payer:look a ; pay 5` gives it a script of its own; `;;` is for whom that asks.
fn delegating(reply: &Reply, part: &str) -> Option<Reply> {
    let (agent, script) = part.split_once(':')?;
    Some(
        reply
            .clone()
            .using(agent, json!({"input": script.replace(" ; ", " | ").replace(" ;; ", " ; ").replace(" + ", " & ")})),
    )
}

fn using(reply: Reply, part: &str) -> Reply {
    if let Some(asks) = delegating(&reply, part) {
        return asks;
    }
    let (verb, rest) = part.split_once(' ').unwrap_or((part, ""));
    let amount = rest.parse::<i64>().unwrap_or(1);
    match verb {
        "look" => reply.using("look", json!({"item": rest})),
        "pay" => reply.using("pay", json!({"to": "acme", "amount_usd": amount})),
        "wire" => reply.using("wire", json!({"amount_usd": amount})),
        "file" => reply.using("file", json!({"name": rest})),
        "letter" => reply.using("letter", json!({"name": rest})),
        "send" => reply.using("send", json!({"to": rest})),
        "remember" => reply.using("remember", json!({"text": rest})),
        "recall" => reply.using("recall", json!({"query": rest})),
        "calculate" => reply.using("calculate", json!({"expression": rest})),
        "timer" => reply.using("timer", json!({"for": rest})),
        "now" => reply.using("now", json!({})),
        "garbled" => reply.using_malformed("look", "{\"item\": "),
        "unfit" => reply.using("look", json!({"item": 7})),
        other => reply.using(other, json!({})),
    }
}
