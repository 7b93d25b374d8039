//! An answer, as Anthropic Messages has it: what `anthropic` and Claude Code read.

use domain::call::Stop;
use domain::message::Content;
use serde_json::{Value, json};

use crate::ingress::blocks::{Blocks, Kind, Said, Voice};
use crate::ingress::thought::{SHOWN, seal};
use crate::ingress::{Incoming, Stamp, event};
use crate::provider::{Answer, Delta, Usage};

/// Writes the stream.
#[derive(Debug)]
pub(in crate::ingress) struct Writer {
    blocks: Blocks,
    voice: Stream,
}

#[derive(Debug)]
struct Stream {
    stamp: Stamp,
    /// Whether the client asked to see the reasoning: to others the first block is the answer, as ever.
    thinks: bool,
    begun: bool,
    /// By block of the answer, its place in the client's list.
    places: Vec<Option<usize>>,
    next: usize,
    out: Vec<u8>,
}

impl Writer {
    pub(in crate::ingress) fn new(incoming: &Incoming, stamp: Stamp) -> Self {
        let thinks = wants_thinking(incoming);
        let voice = Stream { stamp, thinks, begun: false, places: Vec::new(), next: 0, out: Vec::new() };
        Writer { blocks: Blocks::default(), voice }
    }

    pub(in crate::ingress) fn delta(&mut self, delta: &Delta) -> Vec<u8> {
        self.voice.begin();
        self.blocks.delta(delta, &mut self.voice);
        std::mem::take(&mut self.voice.out)
    }

    pub(in crate::ingress) fn finish(&mut self, answer: &Answer) -> Vec<u8> {
        self.voice.begin();
        self.blocks.finish(answer, &mut self.voice);
        for block in sealed(answer) {
            let index = self.voice.next;
            self.voice.next += 1;
            self.voice.put(json!({"type": "content_block_start", "index": index, "content_block": block}));
            self.voice.put(json!({"type": "content_block_stop", "index": index}));
        }
        let delta = json!({"stop_reason": stop(answer.stop), "stop_sequence": null});
        self.voice.put(json!({"type": "message_delta", "delta": delta, "usage": usage(&answer.usage)}));
        self.voice.put(json!({"type": "message_stop"}));
        std::mem::take(&mut self.voice.out)
    }
}

impl Stream {
    fn put(&mut self, data: Value) {
        event::put(&mut self.out, data["type"].as_str(), &data);
    }

    fn begin(&mut self) {
        if !std::mem::replace(&mut self.begun, true) {
            let mut message = message(&self.stamp, Vec::new(), &Usage::default());
            message["stop_reason"] = Value::Null;
            self.put(json!({"type": "message_start", "message": message}));
        }
    }
}

impl Voice for Stream {
    fn open(&mut self, _: usize, block: &Said) {
        let start = match &block.kind {
            Kind::Text => json!({"type": "text", "text": ""}),
            Kind::Reasoning if self.thinks => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Kind::Reasoning => return self.places.push(None),
            Kind::Use { id, name } => json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
        };
        self.put(json!({"type": "content_block_start", "index": self.next, "content_block": start}));
        self.places.push(Some(self.next));
        self.next += 1;
    }

    fn more(&mut self, at: usize, block: &Said, piece: &str) {
        let Some(index) = self.places[at] else { return };
        let delta = match block.kind {
            Kind::Text => json!({"type": "text_delta", "text": piece}),
            Kind::Reasoning => json!({"type": "thinking_delta", "thinking": piece}),
            Kind::Use { .. } => json!({"type": "input_json_delta", "partial_json": piece}),
        };
        self.put(json!({"type": "content_block_delta", "index": index, "delta": delta}));
    }

    fn close(&mut self, at: usize, block: &Said) {
        let Some(index) = self.places[at] else { return };
        if block.kind == Kind::Reasoning {
            let delta = json!({"type": "signature_delta", "signature": SHOWN});
            self.put(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        self.put(json!({"type": "content_block_stop", "index": index}));
    }
}

/// The whole answer.
pub(in crate::ingress) fn whole(incoming: &Incoming, stamp: &Stamp, answer: &Answer) -> Value {
    let shown = |content: &Content| match content {
        Content::Text { text } if !text.is_empty() => Some(json!({"type": "text", "text": text})),
        Content::Reasoning { text, .. } if wants_thinking(incoming) && !text.is_empty() => {
            Some(json!({"type": "thinking", "thinking": text, "signature": SHOWN}))
        }
        Content::Use { use_id, capability, arguments, .. } => {
            Some(json!({"type": "tool_use", "id": use_id, "name": capability, "input": object(arguments)}))
        }
        Content::Text { .. } | Content::Reasoning { .. } | Content::Result { .. } | Content::Other { .. } => None,
    };
    let mut content: Vec<_> = answer.message.parts.iter().filter_map(|part| shown(&part.content)).collect();
    content.extend(sealed(answer));
    let mut message = message(stamp, content, &answer.usage);
    message["stop_reason"] = stop(answer.stop).into();
    message
}

fn wants_thinking(incoming: &Incoming) -> bool {
    let kind = &incoming.parsed["thinking"]["type"];
    kind == "enabled" || kind == "adaptive"
}

/// The reasoning, for the way back: at the end, where nobody takes it for the answer.
fn sealed(answer: &Answer) -> impl Iterator<Item = Value> {
    answer.message.parts.iter().enumerate().filter_map(|(at, part)| match &part.content {
        Content::Reasoning { text, raw } if !raw.is_null() => {
            Some(json!({"type": "redacted_thinking", "data": seal(at, text, raw)}))
        }
        _ => None,
    })
}

/// Arguments that are no object cannot be said.
fn object(arguments: &Value) -> Value {
    if arguments.is_object() { arguments.clone() } else { json!({}) }
}

fn message(stamp: &Stamp, content: Vec<Value>, used: &Usage) -> Value {
    json!({
        "id": format!("msg_{}", stamp.id), "type": "message", "role": "assistant", "model": stamp.model,
        "content": content, "stop_reason": null, "stop_sequence": null, "usage": usage(used),
    })
}

fn stop(stop: Stop) -> &'static str {
    match stop {
        Stop::Done => "end_turn",
        Stop::Use => "tool_use",
        Stop::Length => "max_tokens",
        Stop::Refused => "refusal",
    }
}

fn usage(usage: &Usage) -> Value {
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    let cached = usage.cache_read.saturating_add(written);
    json!({
        "input_tokens": usage.all_input().saturating_sub(cached),
        "output_tokens": usage.all_output(),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m, "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
    })
}
