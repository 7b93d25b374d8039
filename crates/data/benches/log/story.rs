//! What the benchmark's sessions say: one record per call, its outcome and the next intent, of one kilobyte each.

use std::sync::{Arc, LazyLock};

use data::record::Stamp;
use data::rows::Head;
use domain::budget::Amounts;
use domain::call::{CallOutcome, Settlement};
use domain::capability::Effect;
use domain::clock::Timestamp;
use domain::decision::DecidedAt;
use domain::event::{Event, Intent};
use domain::id::{CallId, Digest, Pos, SessionId, TraceId};
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use domain::principal::{Autonomy, Link, Mode, Principal};
use domain::session::Phase;

/// How many bytes of its own each outcome and each intent says.
pub(crate) const SAID: usize = 1024;

/// What is said: sentences, or letters that hardly compress.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Words {
    Sentences,
    Noise,
}

const LEXICON: &str = "invoice vendor amount total october ledger entry account payment due reference booked missing \
    company terms freight order approved rejected quantity price delivery warehouse customer the of and to in is that \
    was for on with as by at from this not are which between after before until because their there";

/// What is said comes from here: made once, so that making it costs no call anything.
static SENTENCES: LazyLock<String> = LazyLock::new(|| corpus(Words::Sentences));
static NOISE: LazyLock<String> = LazyLock::new(|| corpus(Words::Noise));
const CORPUS: usize = 4 << 20;

fn corpus(words: Words) -> String {
    const LETTERS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    let lexicon: Vec<&str> = LEXICON.split_whitespace().collect();
    let (mut draw, mut text) = (Said(1), String::with_capacity(CORPUS + 16));
    while text.len() < CORPUS {
        let drawn = draw.next();
        match words {
            Words::Noise => text.push(char::from(LETTERS[drawn % 64])),
            Words::Sentences if drawn.is_multiple_of(9) => text += &format!("{}.{:02} ", drawn % 9000, drawn % 100),
            Words::Sentences => {
                text += lexicon[drawn % lexicon.len()];
                text.push(' ');
            }
        }
    }
    text
}

/// Where one session is in what there is to say, from a seed.
pub(crate) struct Said(pub(crate) u64);

impl Said {
    pub(crate) fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default()
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, words: Words, bytes: usize) -> String {
        let from = if words == Words::Noise { &NOISE } else { &SENTENCES };
        let at = self.next() % (CORPUS - bytes);
        from[at..at + bytes].to_owned()
    }
}

/// The n-th session: spread like hashes, as names of sessions are.
pub(crate) fn session(n: u64) -> SessionId {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Digest::of(&n.to_be_bytes()).as_bytes()[..16]);
    SessionId::from_u128(u128::from_be_bytes(bytes))
}

pub(crate) fn stamp(session: SessionId) -> Stamp {
    let principal = Principal {
        link: Link {
            agent: "bench-agent".parse().expect("a name"),
            revision: Digest::of(b"revision"),
            session,
            call: None,
        },
        owner: "bench".parse().expect("a name"),
        on_behalf_of: Some("ana".parse().expect("a name")),
        parents: Vec::new(),
        autonomy: Autonomy::Supervised,
    };
    Stamp {
        principal: Arc::new(principal),
        trace: TraceId(session.as_u128()),
        parent: None,
        cause: format!("{session}.1"),
        control_pos: Pos(5),
        mode: Mode::Live,
        synthetic: false,
    }
}

pub(crate) fn head(phase: Phase) -> Head {
    Head {
        agent: "bench-agent".parse().expect("a name"),
        revision: Digest::of(b"revision"),
        key: "invoice-1234".to_owned(),
        phase,
        since: Timestamp(1_795_334_400_000),
        waits_on: String::new(),
        scripted: false,
        mode: Mode::Live,
        partition: None,
    }
}

/// What came of one call, and the next.
pub(crate) fn call(session: SessionId, ordinal: u32, said: &mut Said, words: Words, bytes: usize) -> Vec<Event> {
    vec![answer(session, ordinal, said, words, bytes), intent(session, ordinal + 1, said, words, bytes)]
}

pub(crate) fn answer(session: SessionId, ordinal: u32, said: &mut Said, words: Words, bytes: usize) -> Event {
    let text = said.bytes(words, bytes);
    let content =
        Content::Result { use_id: format!("toolu_{ordinal}"), text, structured: None, error: false, vouches: None };
    let part = Part { content, origin: Origin::Capability, labels: Vec::new(), trust: Trust::Untrusted };
    let message = Message { role: Role::Capability, parts: vec![part] };
    Event::CallAnswered {
        call: CallId { session, ordinal },
        attempt: 1,
        outcome: CallOutcome::Answered { message, stop: None },
        settlement: Settlement {
            amounts: Amounts { calls: 1, ..Amounts::default() },
            waited_ms: 3,
            ..Settlement::default()
        },
    }
}

fn intent(session: SessionId, ordinal: u32, said: &mut Said, words: Words, bytes: usize) -> Event {
    let call = CallId { session, ordinal };
    let arguments = serde_json::json!({ "note": said.bytes(words, bytes) });
    Event::CallRequested {
        intent: Intent {
            call,
            attempt: 1,
            arguments_hash: Digest::of(&ordinal.to_be_bytes()),
            schema_hash: Digest::of(b"schema"),
            decided: DecidedAt {
                control_pos: Pos(5),
                policy_set: Digest::of(b"[]"),
                policy_ids: vec!["tools-listed".parse().expect("a name")],
            },
            worst: Amounts { calls: 1, ..Amounts::default() },
            holds: Vec::new(),
            idempotency_key: call.to_string(),
        },
        capability: "mcp://gateway/lookup".parse().expect("a capability"),
        arguments,
        effect: Effect::Read,
        value_usd_micros: None,
        approval: None,
        provenance: None,
    }
}
