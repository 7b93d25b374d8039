//! An answer, as OpenAI Responses has it: what `openai` and `openai-agents` read. Every item begins, goes on and ends
//! as an event; the last event repeats them all.

use domain::call::Stop;
use domain::message::Content;
use serde_json::{Map, Value, json};

use crate::ingress::blocks::{Blocks, Kind, Said, Voice};
use crate::ingress::thought::seal;
use crate::ingress::{Incoming, Stamp, event, openai};
use crate::provider::{Answer, Delta, Usage};

/// What the request says and the answer repeats, and what it says where the request does not.
const REPEATED: [(&str, &str); 15] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("store", "false"),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_p", "null"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
    ("prompt_cache_key", "null"),
];

/// Writes the stream.
#[derive(Debug)]
pub(in crate::ingress) struct Writer {
    blocks: Blocks,
    voice: Stream,
}

#[derive(Debug)]
struct Stream {
    stamp: Stamp,
    repeated: Map<String, Value>,
    begun: bool,
    sequence: u64,
    out: Vec<u8>,
}

impl Writer {
    pub(in crate::ingress) fn new(incoming: &Incoming, stamp: Stamp) -> Self {
        let voice = Stream { stamp, repeated: repeated(incoming), begun: false, sequence: 0, out: Vec::new() };
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
        let output = self.output(answer);
        let response = response(&self.voice.stamp, self.voice.repeated.clone(), (answer, output));
        let kind = if response["status"] == "completed" { "response.completed" } else { "response.incomplete" };
        self.voice.put(kind, json!({"response": response}));
        std::mem::take(&mut self.voice.out)
    }

    /// The items as they were streamed, in their places, with the reasoning sealed into its own.
    fn output(&self, answer: &Answer) -> Vec<Value> {
        let mut thoughts = thoughts(answer, &self.voice.stamp);
        let mut output: Vec<_> = self
            .blocks
            .all()
            .iter()
            .enumerate()
            .map(|(at, said)| {
                if said.kind == Kind::Reasoning && !thoughts.is_empty() {
                    let mut thought = thoughts.remove(0).1;
                    thought["id"] = self.voice.id(at, said).into();
                    return thought;
                }
                self.voice.item(at, said, "completed")
            })
            .collect();
        // What was reasoned and never shown goes to its place all the same.
        for (at, thought) in thoughts {
            output.insert(at.min(output.len()), thought);
        }
        output
    }
}

impl Stream {
    fn put(&mut self, kind: &str, mut data: Value) {
        data["type"] = kind.into();
        data["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        event::put(&mut self.out, Some(kind), &data);
    }

    fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let mut response = blank(&self.stamp, self.repeated.clone());
        response["status"] = "in_progress".into();
        self.put("response.created", json!({"response": response}));
        self.put("response.in_progress", json!({"response": response}));
    }

    fn id(&self, at: usize, said: &Said) -> String {
        let prefix = match said.kind {
            Kind::Text => "msg",
            Kind::Reasoning => "rs",
            Kind::Use { .. } => "fc",
        };
        format!("{prefix}_{}_{at}", self.stamp.id)
    }

    fn item(&self, at: usize, said: &Said, status: &str) -> Value {
        let id = self.id(at, said);
        match &said.kind {
            Kind::Text => message(&id, &said.text, status),
            Kind::Reasoning => reasoning(&id, &said.text),
            Kind::Use { id: call_id, name } => function_call((&id, call_id, name), &said.text, status),
        }
    }
}

impl Voice for Stream {
    fn open(&mut self, at: usize, said: &Said) {
        let mut item = self.item(at, said, "in_progress");
        match said.kind {
            Kind::Text => item["content"] = json!([]),
            Kind::Reasoning => item["summary"] = json!([]),
            Kind::Use { .. } => {}
        }
        self.put("response.output_item.added", json!({"output_index": at, "item": item}));
        let id = self.id(at, said);
        match said.kind {
            Kind::Text => {
                let place = json!({"item_id": id, "output_index": at, "content_index": 0, "part": output_text("")});
                self.put("response.content_part.added", place);
            }
            Kind::Reasoning => {
                let place = json!({"item_id": id, "output_index": at, "summary_index": 0, "part": summary_text("")});
                self.put("response.reasoning_summary_part.added", place);
            }
            Kind::Use { .. } => {}
        }
    }

    fn more(&mut self, at: usize, said: &Said, piece: &str) {
        let mut data = json!({"item_id": self.id(at, said), "output_index": at, "delta": piece});
        let kind = match said.kind {
            Kind::Text => {
                (data["content_index"], data["logprobs"]) = (0.into(), json!([]));
                "response.output_text.delta"
            }
            Kind::Reasoning => {
                data["summary_index"] = 0.into();
                "response.reasoning_summary_text.delta"
            }
            Kind::Use { .. } => "response.function_call_arguments.delta",
        };
        self.put(kind, data);
    }

    fn close(&mut self, at: usize, said: &Said) {
        let place = json!({"item_id": self.id(at, said), "output_index": at});
        let with = |more: Value| {
            let mut data = place.clone();
            more.as_object().into_iter().flatten().for_each(|(key, value)| data[key] = value.clone());
            data
        };
        let text = said.text.as_str();
        match &said.kind {
            Kind::Text => {
                let done = with(json!({"content_index": 0, "text": text, "logprobs": []}));
                self.put("response.output_text.done", done);
                let done = with(json!({"content_index": 0, "part": output_text(text)}));
                self.put("response.content_part.done", done);
            }
            Kind::Reasoning => {
                self.put("response.reasoning_summary_text.done", with(json!({"summary_index": 0, "text": text})));
                let done = with(json!({"summary_index": 0, "part": summary_text(text)}));
                self.put("response.reasoning_summary_part.done", done);
            }
            Kind::Use { name, .. } => {
                self.put("response.function_call_arguments.done", with(json!({"name": name, "arguments": text})));
            }
        }
        let item = self.item(at, said, "completed");
        self.put("response.output_item.done", json!({"output_index": at, "item": item}));
    }
}

/// The whole answer.
pub(in crate::ingress) fn whole(incoming: &Incoming, stamp: &Stamp, answer: &Answer) -> Value {
    let mut thoughts = thoughts(answer, stamp);
    let mut output = Vec::new();
    for (at, part) in answer.message.parts.iter().enumerate() {
        match &part.content {
            Content::Text { text } if !text.is_empty() => {
                output.push(message(&format!("msg_{}_{at}", stamp.id), text, "completed"));
            }
            Content::Reasoning { .. } if !thoughts.is_empty() => output.push(thoughts.remove(0).1),
            Content::Use { use_id, capability, .. } => {
                let id = format!("fc_{}_{at}", stamp.id);
                output.push(function_call((&id, use_id, capability), &openai::arguments(&part.content), "completed"));
            }
            Content::Text { .. } | Content::Reasoning { .. } | Content::Result { .. } | Content::Other { .. } => {}
        }
    }
    response(stamp, repeated(incoming), (answer, output))
}

/// The reasoning of an answer, each with its place among the parts.
fn thoughts(answer: &Answer, stamp: &Stamp) -> Vec<(usize, Value)> {
    let thought = |(at, part): (usize, &domain::message::Part)| match &part.content {
        Content::Reasoning { text, raw } => {
            let mut item = reasoning(&format!("rs_{}_{at}", stamp.id), text);
            if !raw.is_null() {
                item["encrypted_content"] = seal(at, text, raw).into();
            }
            Some((at, item))
        }
        _ => None,
    };
    answer.message.parts.iter().enumerate().filter_map(thought).collect()
}

fn response(stamp: &Stamp, repeated: Map<String, Value>, (answer, output): (&Answer, Vec<Value>)) -> Value {
    let mut response = blank(stamp, repeated);
    (response["output"], response["usage"]) = (output.into(), usage(&answer.usage));
    let incomplete = match answer.stop {
        Stop::Done | Stop::Use => None,
        Stop::Length => Some("max_output_tokens"),
        Stop::Refused => Some("content_filter"),
    };
    match incomplete {
        None => response["status"] = "completed".into(),
        Some(reason) => {
            response["status"] = "incomplete".into();
            response["incomplete_details"] = json!({"reason": reason});
        }
    }
    response
}

fn blank(stamp: &Stamp, repeated: Map<String, Value>) -> Value {
    let mut response = json!({
        "id": format!("resp_{}", stamp.id), "object": "response", "created_at": stamp.created, "model": stamp.model,
        "status": null, "error": null, "incomplete_details": null, "output": [], "usage": null,
    });
    repeated.into_iter().for_each(|(key, value)| response[&key] = value);
    response
}

fn repeated(incoming: &Incoming) -> Map<String, Value> {
    let said = |(field, otherwise): &(&str, &str)| {
        let said = incoming.parsed.get(*field).filter(|value| !value.is_null()).cloned();
        let value = said.unwrap_or_else(|| serde_json::from_str(otherwise).unwrap_or_default());
        ((*field).to_owned(), value)
    };
    REPEATED.iter().map(said).collect()
}

fn output_text(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn summary_text(text: &str) -> Value {
    json!({"type": "summary_text", "text": text})
}

fn message(id: &str, text: &str, status: &str) -> Value {
    json!({"id": id, "type": "message", "role": "assistant", "status": status, "content": [output_text(text)]})
}

fn reasoning(id: &str, text: &str) -> Value {
    let summary: Vec<_> = Some(text).filter(|text| !text.is_empty()).map(summary_text).into_iter().collect();
    json!({"id": id, "type": "reasoning", "summary": summary})
}

fn function_call((id, call_id, name): (&str, &str, &str), arguments: &str, status: &str) -> Value {
    json!({
        "id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name, "arguments": arguments,
    })
}

fn usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.all_input(), "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write_5m.saturating_add(usage.cache_write_1h),
        },
        "output_tokens": usage.all_output(),
        "output_tokens_details": {"reasoning_tokens": openai::reasoning_tokens(usage)},
        "total_tokens": usage.all_input().saturating_add(usage.all_output()),
    })
}
