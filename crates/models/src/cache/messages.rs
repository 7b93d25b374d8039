//! Marks in Anthropic Messages: `cache_control` on a block. The order of a prompt is tools, instructions, conversation.
//! One mark stands after what does not change, one where the last call's prefix ended, one at the end, and between
//! those as many as there are left where much is new.

use serde_json::{Value, json};

use super::{BYTES_PER_TOKEN, EVERY_BLOCKS, MOST_MARKS, Worth, is_marked};

/// One block of the prompt.
struct Block {
    place: Place,
    /// The prompt up to its end, in tokens, about.
    tokens: u64,
    may_be_marked: bool,
}

#[derive(Clone, Copy)]
enum Place {
    Tool(usize),
    /// `None`: the whole text.
    Instructions(Option<usize>),
    /// A message, and its block; `None`: the whole text.
    Said(usize, Option<usize>),
}

/// The prompt, and where calls ended: how many blocks each sent.
struct Prompt {
    blocks: Vec<Block>,
    /// How many of them come before the conversation.
    fixed: usize,
    calls: Vec<usize>,
}

pub(super) fn mark(worth: &Worth, body: &mut Value) {
    if is_marked(body) {
        return;
    }
    let prompt = Prompt::of(body);
    let (kept, writes) = prompt.kept(worth);
    let mut marks = Vec::with_capacity(MOST_MARKS);
    marks.extend(prompt.last_markable(prompt.fixed));
    marks.extend(kept.filter(|blocks| *blocks > prompt.fixed).and_then(|blocks| prompt.last_markable(blocks)));
    if writes {
        let (end, since) = (prompt.blocks.len(), kept.unwrap_or(prompt.fixed));
        let new = (0..).map(|step| end.saturating_sub(step * EVERY_BLOCKS)).take_while(|at| *at > since);
        let left = MOST_MARKS - marks.len();
        marks.extend(new.take(left).filter_map(|blocks| prompt.last_markable(blocks)));
    }
    let places: Vec<Place> = marks.iter().map(|at| prompt.blocks[*at].place).collect();
    places.into_iter().for_each(|place| set(body, place));
}

impl Prompt {
    fn of(body: &Value) -> Self {
        let mut prompt = Prompt { blocks: Vec::new(), fixed: 0, calls: Vec::new() };
        for (at, tool) in items(&body["tools"]).iter().enumerate() {
            prompt.push(Place::Tool(at), tool);
        }
        match &body["system"] {
            Value::Array(blocks) => {
                blocks.iter().enumerate().for_each(|(at, block)| prompt.push(Place::Instructions(Some(at)), block));
            }
            Value::Null => {}
            text => prompt.push(Place::Instructions(None), text),
        }
        prompt.fixed = prompt.blocks.len();
        for (at, message) in items(&body["messages"]).iter().enumerate() {
            if message["role"] == "assistant" {
                prompt.calls.push(prompt.blocks.len());
            }
            match &message["content"] {
                Value::Array(blocks) => {
                    blocks.iter().enumerate().for_each(|(nth, block)| prompt.push(Place::Said(at, Some(nth)), block));
                }
                text => prompt.push(Place::Said(at, None), text),
            }
        }
        prompt.calls.push(prompt.blocks.len());
        prompt
    }

    fn push(&mut self, place: Place, block: &Value) {
        let before = self.blocks.last().map_or(0, |block| block.tokens);
        let tokens = before + weight(block).div_ceil(BYTES_PER_TOKEN);
        self.blocks.push(Block { place, tokens, may_be_marked: may_be_marked(block) });
    }

    /// Where the last call ended that marked its end, in blocks, and whether this one does.
    fn kept(&self, worth: &Worth) -> (Option<usize>, bool) {
        let tokens = |blocks: usize| blocks.checked_sub(1).map_or(0, |last| self.blocks[last].tokens);
        let (mut marked, mut kept, mut saved) = (None, 0, 0_u64);
        let mut writes = false;
        for (nth, end) in self.calls.iter().enumerate() {
            saved = saved.saturating_add(worth.saved(kept));
            let now = tokens(*end);
            let extra = worth.extra(now.saturating_sub(kept));
            // The first that is kept is a bet that one more call follows: of a conversation's first call, or of
            // one that had two. Too short a prefix costs nothing.
            let bets = nth != 1 || now < worth.min_tokens / 2;
            writes = if kept == 0 { bets } else { extra <= saved };
            if !writes || nth + 1 == self.calls.len() {
                continue;
            }
            marked = Some(*end);
            if now >= worth.surely_kept() {
                saved = saved.saturating_sub(extra);
                kept = now;
            }
        }
        (marked, writes)
    }

    /// The last of the first so many blocks that may be marked.
    fn last_markable(&self, blocks: usize) -> Option<usize> {
        self.blocks[..blocks].iter().rposition(|block| block.may_be_marked)
    }
}

/// How long a value is as JSON, about, in bytes.
fn weight(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64 + 2,
        Value::Array(items) => items.iter().map(|item| weight(item) + 1).sum::<u64>() + 2,
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| key.len() as u64 + 4 + weight(value)).sum::<u64>() + 2
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 4,
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Reasoning and empty text may not be marked.
fn may_be_marked(block: &Value) -> bool {
    match block {
        Value::String(text) => !text.trim().is_empty(),
        block => match block["type"].as_str() {
            Some("thinking" | "redacted_thinking") => false,
            Some("text") => block["text"].as_str().is_some_and(|text| !text.trim().is_empty()),
            _ => block.is_object(),
        },
    }
}

fn set(body: &mut Value, place: Place) {
    let block = match place {
        Place::Tool(at) => &mut body["tools"][at],
        Place::Instructions(Some(at)) => &mut body["system"][at],
        Place::Instructions(None) => as_block(&mut body["system"]),
        Place::Said(at, Some(nth)) => &mut body["messages"][at]["content"][nth],
        Place::Said(at, None) => as_block(&mut body["messages"][at]["content"]),
    };
    block["cache_control"] = json!({"type": "ephemeral"});
}

/// A text as a list of the one block that it is.
fn as_block(text: &mut Value) -> &mut Value {
    if !text.is_array() {
        *text = json!([{"type": "text", "text": text.take()}]);
    }
    &mut text[0]
}
