//! What the scripted model and the scripted upstream of a measured node say. They count what they were asked, and tell
//! whoever waits that an agent has said its last.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use domain::message::{Content, Role};
use gateway::{Reply as Result, ScriptedUpstream};
use models::provider::{Provider, Request};
use models::scripted::{Reply, Scripted};
use serde_json::json;
use tokio::sync::mpsc;

use super::text::Words;
use super::walk::SAID;

/// What is said, and how often.
pub(super) struct Script {
    words: Mutex<Words>,
    /// How many uses the agent `marathon` makes of a message.
    pub(super) marathon: AtomicUsize,
    /// Calls that were sent so far, of the model and of the upstream.
    pub(super) calls: AtomicU64,
    /// Bytes that were said so far, by both.
    pub(super) said: AtomicU64,
    answered: mpsc::UnboundedSender<()>,
}

impl Script {
    /// A script, and word of every last answer.
    pub(super) fn of(words: Words) -> (Arc<Script>, mpsc::UnboundedReceiver<()>) {
        let (answered, last_answers) = mpsc::unbounded_channel();
        let (calls, said) = (AtomicU64::new(0), AtomicU64::new(0));
        let marathon = AtomicUsize::new(0);
        (Arc::new(Script { words: Mutex::new(words), marathon, calls, said, answered }), last_answers)
    }

    /// The model's part.
    pub(super) fn model(self: &Arc<Self>) -> Arc<dyn Provider> {
        let script = self.clone();
        Arc::new(Scripted::deciding(move |request| script.decide(request)))
    }

    /// The upstream's part.
    pub(super) fn upstream(self: &Arc<Self>) -> ScriptedUpstream {
        let script = self.clone();
        let schema = json!({"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]});
        ScriptedUpstream::new().tool("look", schema, move |_| Result::text(script.text()))
    }

    fn text(&self) -> String {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.said.fetch_add(SAID as u64, Ordering::Relaxed);
        self.words.lock().unwrap_or_else(PoisonError::into_inner).text(SAID).to_owned()
    }

    fn decide(&self, request: &Request) -> Reply {
        let uses = match request.agent.as_str() {
            "worker" => 8,
            "marathon" => self.marathon.load(Ordering::Relaxed),
            _ => 0,
        };
        let mut text = self.text();
        if uses_so_far(request) < uses {
            text.truncate(SAID - r#"{"item":""}"#.len());
            return Reply::default().using("look", json!({ "item": text }));
        }
        // Nobody may be waiting for it.
        self.answered.send(()).ok();
        Reply::text(text)
    }
}

/// How often something was used since a person last spoke.
fn uses_so_far(request: &Request) -> usize {
    let since = request.messages.iter().rev().take_while(|message| message.role != Role::Person);
    let parts = since.flat_map(|message| &message.parts);
    parts.filter(|part| matches!(part.content, Content::Result { .. })).count()
}
