//! An answer, as OpenAI Chat Completions has it.

use domain::call::Stop;
use domain::message::Content;
use serde_json::{Value, json};

use crate::ingress::blocks::{Blocks, Kind, Said, Voice};
use crate::ingress::{Incoming, Stamp, event, openai};
use crate::provider::{Answer, Delta, Usage};

/// Writes the stream.
#[derive(Debug)]
pub(in crate::ingress) struct Writer {
    blocks: Blocks,
    voice: Stream,
    /// Whether the client asked for the usage.
    tells_usage: bool,
}

#[derive(Debug)]
struct Stream {
    stamp: Stamp,
    begun: bool,
    out: Vec<u8>,
}

impl Writer {
    pub(in crate::ingress) fn new(incoming: &Incoming, stamp: Stamp) -> Self {
        let voice = Stream { stamp, begun: false, out: Vec::new() };
        Writer { blocks: Blocks::default(), voice, tells_usage: wants_usage(incoming) }
    }

    pub(in crate::ingress) fn delta(&mut self, delta: &Delta) -> Vec<u8> {
        self.voice.begin();
        self.blocks.delta(delta, &mut self.voice);
        std::mem::take(&mut self.voice.out)
    }

    pub(in crate::ingress) fn finish(&mut self, answer: &Answer) -> Vec<u8> {
        self.voice.begin();
        self.blocks.finish(answer, &mut self.voice);
        self.voice.put(&json!({}), Some(stop(answer.stop)));
        if self.tells_usage {
            let mut last = chunk(&self.voice.stamp);
            (last["choices"], last["usage"]) = (json!([]), usage(&answer.usage));
            event::put(&mut self.voice.out, None, &last);
        }
        self.voice.out.extend_from_slice(b"data: [DONE]\n\n");
        std::mem::take(&mut self.voice.out)
    }
}

impl Stream {
    fn put(&mut self, delta: &Value, finish: Option<&str>) {
        let mut chunk = chunk(&self.stamp);
        chunk["choices"] = json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
        event::put(&mut self.out, None, &chunk);
    }

    fn begin(&mut self) {
        if !std::mem::replace(&mut self.begun, true) {
            self.put(&json!({"role": "assistant", "content": ""}), None);
        }
    }
}

impl Voice for Stream {
    fn open(&mut self, _: usize, block: &Said) {
        if let Kind::Use { id, name } = &block.kind {
            let function = json!({"name": name, "arguments": ""});
            let call = json!({"index": block.nth_use, "id": id, "type": "function", "function": function});
            self.put(&json!({"tool_calls": [call]}), None);
        }
    }

    fn more(&mut self, _: usize, block: &Said, piece: &str) {
        let delta = match &block.kind {
            Kind::Text => json!({"content": piece}),
            // OpenAI has no field for it; this is what compatible servers call it, and what their clients read.
            Kind::Reasoning => json!({"reasoning_content": piece}),
            Kind::Use { .. } => json!({"tool_calls": [{"index": block.nth_use, "function": {"arguments": piece}}]}),
        };
        self.put(&delta, None);
    }

    fn close(&mut self, _: usize, _: &Said) {}
}

/// Whether the client asked a stream for its usage.
pub(in crate::ingress) fn wants_usage(incoming: &Incoming) -> bool {
    incoming.parsed["stream_options"]["include_usage"] == true
}

/// The whole answer.
pub(in crate::ingress) fn whole(stamp: &Stamp, answer: &Answer) -> Value {
    let parts = || answer.message.parts.iter().map(|part| &part.content);
    let text: String =
        parts().filter_map(|it| if let Content::Text { text } = it { Some(&**text) } else { None }).collect();
    let reasoning: Vec<_> =
        parts().filter_map(|it| if let Content::Reasoning { text, .. } = it { Some(&**text) } else { None }).collect();
    let calls: Vec<_> = parts().filter_map(call).collect();
    let mut message = json!({"role": "assistant", "content": text, "refusal": null, "annotations": []});
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
        if text.is_empty() {
            message["content"] = Value::Null;
        }
    }
    if reasoning.iter().any(|text| !text.is_empty()) {
        message["reasoning_content"] = reasoning.join("\n\n").into();
    }
    let mut whole = chunk(stamp);
    whole["object"] = "chat.completion".into();
    whole["choices"] = json!([{"index": 0, "message": message, "logprobs": null, "finish_reason": stop(answer.stop)}]);
    whole["usage"] = usage(&answer.usage);
    whole
}

fn call(content: &Content) -> Option<Value> {
    let Content::Use { use_id, capability, .. } = content else { return None };
    let function = json!({"name": capability, "arguments": openai::arguments(content)});
    Some(json!({"id": use_id, "type": "function", "function": function}))
}

fn chunk(stamp: &Stamp) -> Value {
    json!({
        "id": format!("chatcmpl-{}", stamp.id), "object": "chat.completion.chunk", "created": stamp.created,
        "model": stamp.model, "choices": [],
    })
}

fn stop(stop: Stop) -> &'static str {
    match stop {
        Stop::Done => "stop",
        Stop::Use => "tool_calls",
        Stop::Length => "length",
        Stop::Refused => "content_filter",
    }
}

fn usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.all_input(), "completion_tokens": usage.all_output(),
        "total_tokens": usage.all_input().saturating_add(usage.all_output()),
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": openai::reasoning_tokens(usage), "audio_tokens": 0},
    })
}
