//! Memory that all sessions of an agent share. Remembering and forgetting are events of the session that did them;
//! items are never edited in place, so there is nothing to race for. What is recalled is data, not instruction.

use data::rows::{MemoryChange, MemoryItem, Rows};
use domain::id::CallId;
use domain::message::{Origin, Trust};
use domain::session::Session;
use gateway::LocalCall;

use super::Said;
use crate::scheduler::Parts;

/// How many items one recall looks at, newest first.
const LOOKED_AT: usize = 1000;
/// How many items one recall returns.
const RETURNED: usize = 20;
/// The longest item, in characters.
const LONGEST: usize = 8_000;
const DAY_MS: i64 = 86_400_000;

/// Performs `remember`, `recall` or `forget`.
pub(super) async fn perform(parts: &Parts, session: &Session, local: &LocalCall) -> Said {
    match local.capability.name().as_str() {
        "remember" => remember(parts, session, local),
        "forget" => forget(session, local),
        _ => recall(parts, session, local).await,
    }
}

fn text<'a>(local: &'a LocalCall, field: &str) -> Option<&'a str> {
    local.arguments.get(field).and_then(serde_json::Value::as_str)
}

fn remember(parts: &Parts, session: &Session, local: &LocalCall) -> Said {
    let Some(what) = text(local, "text").filter(|what| !what.trim().is_empty() && what.chars().count() <= LONGEST)
    else {
        return Said::plain(Err(format!("`text` must be 1 to {LONGEST} characters")));
    };
    let at = parts.log.clock().now();
    let item = MemoryItem {
        agent: session.principal.link.agent.clone(),
        id: local.call,
        text: what.to_owned(),
        at,
        expires: local.retention_days.map(|days| at.plus_ms(i64::from(days) * DAY_MS)),
    };
    let rows = Rows { memory: vec![MemoryChange::Remember(item)], ..Rows::default() };
    Said { rows, ..Said::plain(Ok(format!("Remembered as {}.", local.call))) }
}

fn forget(session: &Session, local: &LocalCall) -> Said {
    let Some(id) = text(local, "id").and_then(|id| id.parse::<CallId>().ok()) else {
        return Said::plain(Err("`id` must be the id of something remembered, as `recall` prints it".to_owned()));
    };
    let agent = session.principal.link.agent.clone();
    let rows = Rows { memory: vec![MemoryChange::Forget { agent, id }], ..Rows::default() };
    Said { rows, ..Said::plain(Ok(format!("Forgot {id}."))) }
}

async fn recall(parts: &Parts, session: &Session, local: &LocalCall) -> Said {
    let about = text(local, "query").unwrap_or("").to_lowercase();
    let agent = &session.principal.link.agent;
    let items = match parts.log.recall(agent, parts.log.clock().now(), LOOKED_AT).await {
        Ok(items) => items,
        Err(error) => return Said::plain(Err(format!("memory could not be read: {error}"))),
    };
    let found: Vec<String> =
        best(&about, items).into_iter().map(|item| format!("{} ({}): {}", item.id, item.at, item.text)).collect();
    let text = if found.is_empty() { "Nothing remembered fits.".to_owned() } else { found.join("\n") };
    Said { origin: Origin::Memory, trust: Trust::Untrusted, ..Said::plain(Ok(text)) }
}

/// The items that share most words with the query, newest first among equals; all, for an empty query.
fn best(about: &str, items: Vec<MemoryItem>) -> Vec<MemoryItem> {
    let words: Vec<&str> = about.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut scored: Vec<(usize, MemoryItem)> = items
        .into_iter()
        .map(|item| {
            let text = item.text.to_lowercase();
            (words.iter().filter(|word| text.contains(**word)).count(), item)
        })
        .filter(|(score, _)| words.is_empty() || *score > 0)
        .collect();
    scored.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.at.cmp(&a.1.at)).then(a.1.id.cmp(&b.1.id)));
    scored.into_iter().take(RETURNED).map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::clock::Timestamp;
    use domain::id::SessionId;

    fn item(ordinal: u32, text: &str) -> MemoryItem {
        MemoryItem {
            agent: "a".parse().unwrap(),
            id: CallId { session: SessionId::from_u128(1), ordinal },
            text: text.to_owned(),
            at: Timestamp(i64::from(ordinal)),
            expires: None,
        }
    }

    #[test]
    fn recall_prefers_more_shared_words_then_newer_items() {
        let items = vec![item(1, "Acme pays late"), item(2, "Acme's terms are 30 days"), item(3, "Globex")];
        let found: Vec<u32> = best("acme terms", items).iter().map(|item| item.id.ordinal).collect();
        assert_eq!(found, [2, 1]);
    }
}
