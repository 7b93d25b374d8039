//! What each model call of a session read from the provider's prompt cache, and what broke the prefix where it did not
//! go on as before: a fold of the same records as the trace. It must not know how a provider caches, beyond that it
//! keeps what a prompt begins with: its tools, its instructions, then what was said.

mod prompt;
mod text;

use std::collections::BTreeMap;

use domain::call::{MarkedBy, Settlement};
use domain::clock::Timestamp;
use domain::event::Event;
use domain::id::{CallId, Digest, Name, SessionId};
use domain::mail::Start;
use domain::session::Session;
use serde::{Deserialize, Serialize};

use crate::record::Record;
use prompt::{Prompt, Prompts};

pub use text::render_cache;

/// How many calls before it a call is compared with: conversations take turns within one session.
const LOOKED_BACK: usize = 16;

/// What prompt caches did in one session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheTrace {
    /// The session.
    pub session: SessionId,
    /// Its agent.
    pub agent: Name,
    /// Whether a client keeps its loop.
    pub attached: bool,
    /// Each time the model was asked, in order.
    pub calls: Vec<CachedCall>,
}

/// What a prompt cache did in one model call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CachedCall {
    /// Which.
    pub call: CallId,
    /// Which attempt at it.
    pub attempt: u16,
    /// When it was asked.
    pub at: Timestamp,
    /// The provider that answered, or was asked.
    pub provider: Name,
    /// The model that answered, or was asked.
    pub model: String,
    /// Whether a script answered, which has no cache.
    pub scripted: bool,
    /// All input, in tokens, where the provider says so.
    pub input_tokens: Option<i64>,
    /// The part of it that was read from a cache.
    pub read_tokens: Option<i64>,
    /// The part of it that was written to a cache.
    pub written_tokens: Option<i64>,
    /// Whose doing it is that anything is kept.
    pub marked_by: Option<MarkedBy>,
    /// What caching saved against none, in micro-dollars; below zero where writing cost more.
    pub saved_usd_micros: Option<i64>,
    /// How many blocks its prompt has: tools, instructions, and the parts of what was said.
    pub blocks: u32,
    /// The call before whose prompt it goes on from, or went on from until it broke.
    pub compared_with: Option<CallId>,
    /// How long after that call ended it was asked, in milliseconds.
    pub after_ms: Option<i64>,
    /// How many blocks it has in common with it, from the first on.
    pub kept_blocks: u32,
    /// What broke the prefix; `None`: it goes on from all that was sent before.
    pub broke: Option<Broke>,
}

/// The block at which a prompt stopped being what was sent before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broke {
    /// Which block: `the model`, `tool NAME`, `the instructions`, or `message N, part M` and what it is.
    pub block: String,
    /// What stood there, in its first words, from where it differs.
    pub was: Option<String>,
    /// What stands there now.
    pub now: Option<String>,
}

/// One call that others are compared with.
struct Earlier {
    prompt: Prompt,
    /// Which of the calls.
    at: usize,
    ended: Timestamp,
}

struct Folding<'a> {
    session: Session,
    prompts: Prompts<'a>,
    trace: CacheTrace,
    earlier: Vec<Earlier>,
}

impl CacheTrace {
    /// Of a session's records, oldest first. `texts`: what its lists of offers say, by their hash. `None` if the records
    /// do not begin with its start, or if its content was erased.
    pub fn of(records: &[Record], texts: &BTreeMap<Digest, String>) -> Option<CacheTrace> {
        let mut folding: Option<Folding<'_>> = None;
        for record in records {
            for event in record.events.as_ref()? {
                match &mut folding {
                    Some(folding) => folding.add(event, record.envelope.at),
                    None => folding = Some(Folding::start((event, record), texts)?),
                }
            }
        }
        folding.map(|folding| folding.trace)
    }

    /// The lists of offers that the records name: what [`CacheTrace::of`] wants the texts of.
    pub fn offers(records: &[Record]) -> Vec<Digest> {
        let events = records.iter().filter_map(|record| record.events.as_ref()).flatten();
        let offered = events.filter_map(|event| match event {
            Event::CapabilitiesOffered { offers } => Some(*offers),
            _ => None,
        });
        offered.collect()
    }
}

impl<'a> Folding<'a> {
    fn start((event, record): (&Event, &Record), texts: &'a BTreeMap<Digest, String>) -> Option<Self> {
        let start = Start::of(event)?;
        let (id, agent, attached) = (record.envelope.session, start.principal.link.agent.clone(), start.attached);
        let session = Session::started(id, start, record.envelope.at);
        let trace = CacheTrace { session: id, agent, attached, calls: Vec::new() };
        Some(Folding { session, prompts: Prompts::new(texts), trace, earlier: Vec::new() })
    }

    fn add(&mut self, event: &Event, at: Timestamp) {
        self.session.apply(event, at);
        match event {
            Event::CapabilitiesOffered { offers } => self.prompts.offered(*offers),
            Event::ClientSaid { instructions, tools, .. } => {
                self.prompts.client_said(instructions.as_deref(), tools.as_ref());
            }
            Event::ModelRequested { .. } => self.asked(event, at),
            Event::ModelAnswered { call, attempt, settlement, .. } => self.answered((*call, *attempt), settlement, at),
            _ => {}
        }
    }

    fn asked(&mut self, event: &Event, at: Timestamp) {
        let Event::ModelRequested { intent, provider, model, messages, scripted, .. } = event else { return };
        let prompt = self.prompts.of(&self.session, *messages);
        let mut call = CachedCall {
            call: intent.call,
            attempt: intent.attempt,
            at,
            provider: provider.clone(),
            model: model.clone(),
            scripted: *scripted,
            input_tokens: None,
            read_tokens: None,
            written_tokens: None,
            marked_by: None,
            saved_usd_micros: None,
            blocks: u32::try_from(prompt.len()).unwrap_or(u32::MAX),
            compared_with: None,
            after_ms: None,
            kept_blocks: 0,
            broke: None,
        };
        self.compare(&mut call, &prompt);
        self.trace.calls.push(call);
        if self.earlier.len() >= LOOKED_BACK {
            self.earlier.remove(0);
        }
        self.earlier.push(Earlier { prompt, at: self.trace.calls.len() - 1, ended: at });
    }

    /// With the call before that it has most in common with; of several, with the latest.
    fn compare(&self, call: &mut CachedCall, prompt: &Prompt) {
        let shared = |earlier: &&Earlier| self.prompts.shared(&earlier.prompt, prompt);
        let Some(earlier) = self.earlier.iter().max_by_key(shared) else { return };
        let (before, kept) = (&self.trace.calls[earlier.at], shared(&earlier));
        call.compared_with = Some(before.call);
        call.after_ms = Some(call.at.since_ms(earlier.ended).max(0));
        call.kept_blocks = u32::try_from(kept).unwrap_or(u32::MAX);
        call.broke = if (&before.provider, &before.model) == (&call.provider, &call.model) {
            self.prompts.broke((&earlier.prompt, prompt), kept)
        } else {
            let of = |call: &CachedCall| Some(format!("{} of {}", call.model, call.provider));
            Some(Broke { block: "the model".to_owned(), was: of(before), now: of(call) })
        };
    }

    fn answered(&mut self, (call, attempt): (CallId, u16), settlement: &Settlement, at: Timestamp) {
        let same = |asked: &CachedCall| asked.call == call && asked.attempt == attempt;
        let Some(index) = self.trace.calls.iter().rposition(same) else { return };
        if let Some(earlier) = self.earlier.iter_mut().find(|earlier| earlier.at == index) {
            earlier.ended = at;
        }
        let asked = &mut self.trace.calls[index];
        asked.scripted |= settlement.scripted;
        if let Some(cache) = &settlement.cache {
            (asked.input_tokens, asked.read_tokens) = (Some(cache.input_tokens), Some(cache.read_tokens));
            (asked.written_tokens, asked.marked_by) = (cache.written_tokens, cache.marked_by);
            asked.saved_usd_micros = Some(cache.saved_usd_micros);
        }
        let Some(stood_in) = &settlement.fallback else { return };
        // Another model's cache: nothing of it was sent there by the call before, unless that was answered there, too.
        let was = Some(format!("{} of {}", asked.model, asked.provider));
        (asked.provider, asked.model) = (stood_in.provider.clone(), stood_in.model.clone());
        let now = Some(format!("{} of {}", asked.model, asked.provider));
        asked.broke = Some(Broke { block: "the model".to_owned(), was, now });
        let before = asked.compared_with;
        let (provider, model) = (asked.provider.clone(), asked.model.clone());
        let stayed = self.trace.calls[..index]
            .iter()
            .rfind(|other| Some(other.call) == before)
            .is_some_and(|other| (&other.provider, &other.model) == (&provider, &model));
        if stayed {
            self.trace.calls[index].broke = None;
        }
    }
}
