//! The same in words: a line for each call, and below it why nothing, or less, was read.

use domain::money::UsdMicros;

use super::{CacheTrace, CachedCall};
use crate::trace::text::{count, duration};

/// How long a provider keeps a prefix at least, where nobody asked for longer, in milliseconds.
const KEPT_MS: i64 = 300_000;

/// What prompt caches did, as text.
pub fn render_cache(trace: &CacheTrace) -> String {
    let mut lines =
        vec![format!("{} · {} · {}", trace.agent, trace.session, count(trace.calls.len() as i64, "model call"))];
    for (at, call) in trace.calls.iter().enumerate() {
        let before = trace.calls[..at].iter().rfind(|before| Some(before.call) == call.compared_with);
        lines.push(heading(call));
        lines.extend(reasons(call, before).into_iter().map(|reason| format!("   {reason}")));
    }
    lines.join("\n") + "\n"
}

fn heading(call: &CachedCall) -> String {
    let attempt = if call.attempt > 1 { format!(", attempt {}", call.attempt) } else { String::new() };
    let mut words = vec![format!("{}{attempt}", call.call), format!("{} of {}", call.model, call.provider)];
    if let (Some(input), Some(read)) = (call.input_tokens, call.read_tokens) {
        let written = call.written_tokens.map_or("? written".to_owned(), |written| format!("{written} written"));
        words.push(format!("input {input}: {read} read, {written}"));
        let share = if input > 0 { read.saturating_mul(100) / input } else { 0 };
        words.push(format!("{share} %"));
    }
    if let Some(saved) = call.saved_usd_micros.filter(|saved| *saved != 0) {
        words.push(format!("saved {}", UsdMicros(saved)));
    }
    if let Some(whose) = call.marked_by {
        words.push(format!("marks: {}", whose.as_str()));
    }
    words.join(" · ")
}

fn reasons(call: &CachedCall, before: Option<&CachedCall>) -> Vec<String> {
    let mut lines = Vec::new();
    let (Some(before), Some(after_ms)) = (before, call.after_ms) else {
        return vec!["begins: there was no call before it".to_owned()];
    };
    if let Some(broke) = &call.broke {
        lines.push(format!(
            "BROKE at {} (block {} of {}), beside {}",
            broke.block,
            call.kept_blocks + 1,
            call.blocks,
            before.call
        ));
        lines.extend(broke.was.iter().map(|was| format!("   was: {was}")));
        lines.extend(broke.now.iter().map(|now| format!("   now: {now}")));
    } else {
        let after = duration(after_ms);
        lines.push(format!(
            "goes on from {} ({} the same), {after} after it",
            before.call,
            count(call.kept_blocks.into(), "block")
        ));
        lines.extend(less(call, before, after_ms));
    }
    lines
}

/// Why less was read than the call before left in the cache, though what was sent goes on from it.
fn less(call: &CachedCall, before: &CachedCall, after_ms: i64) -> Option<String> {
    if call.scripted {
        return Some("a script answered, which has no cache".to_owned());
    }
    let Some(read) = call.read_tokens else { return Some("the provider did not say what it read".to_owned()) };
    let left = before.read_tokens.unwrap_or(0).saturating_add(before.written_tokens.unwrap_or(0));
    if read >= left.max(1) {
        return None;
    }
    let why = if call.marked_by.is_none() && before.marked_by.is_none() {
        "no marks were set"
    } else if after_ms >= KEPT_MS {
        "a cache may be gone after 5 minutes"
    } else if left == 0 {
        "what came before may be shorter than the model keeps"
    } else {
        "the provider let go of it, or something changed that is not in the record: how to think, which tool to choose"
    };
    Some(format!("read {read} of {left} tokens that were kept: {why}"))
}
