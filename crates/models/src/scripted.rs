//! A provider that plays a script: for tests one that is told what to say, for the demo one that decides from what the
//! capabilities really returned. Whoever shows its answers says *scripted*. It reads no environment and no clock.
//!
//! ```text
//! Request ──▶ Step | demo ──▶ Reply ──▶ words, a few at a time ──▶ Answer, with usage counted from the text
//! ```

mod aging;
mod conversation;
mod demo;
mod desk;
mod dunning;
mod findings;
mod notes;
mod reconcile;
mod vendor;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::call::Stop;
use domain::descriptor::ANTHROPIC_BASE_URL;
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use serde_json::{Value, json};

use crate::provider::{Answer, Delta, Provider, ProviderError, Request, Sink, Usage};
use crate::wire::Wire;
use crate::wire::anthropic::SCRIPTED_SIGNATURE;

/// Characters that one token stands for in made-up usage.
const CHARACTERS_PER_TOKEN: u64 = 4;
/// Words of one delta.
const WORDS_PER_DELTA: usize = 3;

/// What a script says in one answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    reasoning: Option<String>,
    text: String,
    uses: Vec<Wanted>,
    stop: Option<Stop>,
}

/// One use of a capability that a script wants.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    capability: String,
    arguments: Value,
    malformed: Option<String>,
}

impl Reply {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Reply { text: text.into(), ..Reply::default() }
    }

    /// Reasoning, said before anything else.
    #[must_use]
    pub fn because(mut self, reasoning: impl Into<String>) -> Self {
        self.reasoning = Some(reasoning.into());
        self
    }

    /// One more use of a capability; several are asked for at once.
    #[must_use]
    pub fn using(mut self, capability: &str, arguments: Value) -> Self {
        self.uses.push(Wanted { capability: capability.to_owned(), arguments, malformed: None });
        self
    }

    /// One more use, with arguments that are not JSON.
    #[must_use]
    pub fn using_malformed(mut self, capability: &str, written: &str) -> Self {
        let malformed = Some(written.to_owned());
        self.uses.push(Wanted { capability: capability.to_owned(), arguments: Value::Null, malformed });
        self
    }

    /// Why it stops, where that is not plain from what it says.
    #[must_use]
    pub fn stopping(mut self, stop: Stop) -> Self {
        self.stop = Some(stop);
        self
    }
}

/// What a script does when it is asked.
pub enum Step {
    /// It says this.
    Say(Reply),
    /// It says what this function makes of the request.
    Decide(Box<dyn FnOnce(&Request) -> Reply + Send>),
    /// It fails.
    Fail(ProviderError),
    /// It says so many words of a reply and loses the connection.
    BreakOff(Reply),
    /// It never answers.
    Hang,
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Say(reply) => f.debug_tuple("Say").field(reply).finish(),
            Step::Decide(_) => f.write_str("Decide"),
            Step::Fail(error) => f.debug_tuple("Fail").field(error).finish(),
            Step::BreakOff(reply) => f.debug_tuple("BreakOff").field(reply).finish(),
            Step::Hang => f.write_str("Hang"),
        }
    }
}

type Decide = dyn Fn(&Request) -> Reply + Send + Sync;

enum Script {
    Steps(Mutex<VecDeque<Step>>),
    Always(Arc<Decide>),
}

/// A provider whose answers are made up.
pub struct Scripted {
    script: Script,
    pace: Duration,
    seen: Mutex<Vec<Request>>,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripted").field("pace", &self.pace).finish_non_exhaustive()
    }
}

impl Scripted {
    /// Plays these steps, one a request; when they are over it refuses.
    pub fn play(steps: Vec<Step>) -> Self {
        Self::of(Script::Steps(Mutex::new(steps.into())))
    }

    /// Says what this function makes of each request.
    pub fn deciding(decide: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::of(Script::Always(Arc::new(decide)))
    }

    /// The demo's scripts, chosen by the agent that asks.
    pub fn demo() -> Self {
        Self::deciding(demo::reply)
    }

    /// Waits so long before every few words, so that people can watch.
    #[must_use]
    pub fn paced(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// Every request that was sent, oldest first. Only for scripts of steps: the others keep nothing.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn of(script: Script) -> Self {
        Scripted { script, pace: Duration::ZERO, seen: Mutex::new(Vec::new()) }
    }

    fn next(&self, request: &Request) -> Step {
        let steps = match &self.script {
            Script::Always(decide) => return Step::Say(decide(request)),
            Script::Steps(steps) => steps,
        };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        let over = || ProviderError::Rejected {
            status: 400,
            reason: "the script has ended".to_owned(),
            retryable: false,
            retry_after_ms: None,
        };
        steps.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or_else(|| Step::Fail(over()))
    }

    async fn say(&self, kind: fn(String) -> Delta, text: &str, sink: Sink<'_>) {
        let words: Vec<&str> = text.split_inclusive(char::is_whitespace).collect();
        for few in words.chunks(WORDS_PER_DELTA) {
            if !self.pace.is_zero() {
                tokio::time::sleep(self.pace).await;
            }
            sink(kind(few.concat()));
        }
    }

    async fn stream(&self, message: &Message, sink: Sink<'_>) {
        let mut uses = 0;
        for part in &message.parts {
            match &part.content {
                Content::Reasoning { text, .. } => self.say(Delta::Reasoning, text, sink).await,
                Content::Text { text } => self.say(Delta::Text, text, sink).await,
                Content::Use { use_id, capability, arguments, malformed } => {
                    sink(Delta::UseStarted { index: uses, id: use_id.clone(), name: capability.clone() });
                    let piece = malformed.clone().unwrap_or_else(|| arguments.to_string());
                    sink(Delta::Arguments { index: uses, piece });
                    uses += 1;
                }
                Content::Result { .. } | Content::Other { .. } => {}
            }
        }
    }
}

#[async_trait]
impl Provider for Scripted {
    fn body(&self, request: &Request) -> Bytes {
        Wire::Anthropic.encode(request, ANTHROPIC_BASE_URL).into()
    }

    async fn send(&self, request: &Request, body: Bytes, sink: Sink<'_>) -> Result<Answer, ProviderError> {
        let reply = match self.next(request) {
            Step::Say(reply) => reply,
            Step::Decide(decide) => decide(request),
            Step::Fail(error) => return Err(error),
            Step::Hang => std::future::pending().await,
            Step::BreakOff(reply) => {
                self.stream(&answer(request, &body, reply).message, sink).await;
                return Err(ProviderError::Unknown { reason: "the script broke off".to_owned() });
            }
        };
        let answer = answer(request, &body, reply);
        self.stream(&answer.message, sink).await;
        Ok(answer)
    }

    fn is_scripted(&self) -> bool {
        true
    }
}

fn answer(request: &Request, body: &[u8], reply: Reply) -> Answer {
    let usage = usage(body, &reply);
    let stop = reply.stop.unwrap_or(if reply.uses.is_empty() { Stop::Done } else { Stop::Use });
    let said_before = request.messages.iter().flat_map(|message| &message.parts);
    let used = said_before.filter(|part| matches!(part.content, Content::Use { .. })).count();
    let mut contents = Vec::new();
    if let Some(text) = reply.reasoning {
        let signature = format!("{SCRIPTED_SIGNATURE} made up, worth nothing");
        let raw = json!({"type": "thinking", "thinking": text, "signature": signature});
        contents.push(Content::Reasoning { text, raw });
    }
    if !reply.text.is_empty() {
        contents.push(Content::Text { text: reply.text });
    }
    for (i, Wanted { capability, arguments, malformed }) in reply.uses.into_iter().enumerate() {
        let use_id = format!("toolu_scripted_{}", used + i + 1);
        contents.push(Content::Use { use_id, capability, arguments, malformed });
    }
    let part = |content| Part { content, origin: Origin::Model, labels: Vec::new(), trust: Trust::Trusted };
    let message = Message { role: Role::Agent, parts: contents.into_iter().map(part).collect() };
    Answer { message, stop, usage, served_model: Some(request.model.clone()), tail: Bytes::new() }
}

/// Made up, but always the same for the same conversation, so that budgets and prices have something to do.
fn usage(body: &[u8], reply: &Reply) -> Usage {
    let uses = reply.uses.iter().map(|wanted| wanted.capability.len() + wanted.arguments.to_string().len());
    let said = reply.reasoning.as_ref().map_or(0, String::len) + reply.text.len() + uses.sum::<usize>();
    let tokens = |bytes: usize| (bytes as u64).div_ceil(CHARACTERS_PER_TOKEN);
    let (input, output) = (tokens(body.len()), tokens(said));
    let raw = json!({"input_tokens": input, "output_tokens": output, "scripted": true});
    Usage { input, output, raw, ..Usage::default() }
}
