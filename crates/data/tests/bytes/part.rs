//! Parts that examples share, and envelopes.

use data::record::Envelope;
use domain::approval::Terms;
use domain::budget::{Amounts, BudgetKey, Hold, Meter, Window};
use domain::call::{ApprovalRequest, ApprovalVerdict, Binding, SentLink, Settlement};
use domain::capability::CapabilityRef;
use domain::clock::Timestamp;
use domain::decision::{DecidedAt, Refusal, RefusedBy};
use domain::event::{Event, Header, Intent};
use domain::id::{ApprovalId, CallId, Digest, Epoch, Name, Pos, Seq, SessionId, Shard, SpanId, TraceId};
use domain::principal::{Autonomy, Link, Mode, Principal};
use serde_json::json;

/// The leaf of the first envelope with the body "sealed body".
pub(crate) const LEAF: &str = "40a29a1a5df554867836f45d0734e229223171a018ae39e7152c083957762def";

pub(crate) const AT: Timestamp = Timestamp(1_795_334_400_123);

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn session() -> SessionId {
    SessionId::for_key(&name("reconciliation-finance"), "invoice-7")
}

pub(crate) fn call() -> CallId {
    CallId { session: session(), ordinal: 12 }
}

pub(crate) fn approval() -> ApprovalId {
    ApprovalId { call: call(), round: 2 }
}

pub(crate) fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

pub(crate) fn email() -> CapabilityRef {
    CapabilityRef::External(name("email-draft"))
}

pub(crate) fn link(agent: &str) -> Link {
    Link { agent: name(agent), revision: digest(agent), session: session(), call: None }
}

pub(crate) fn principal() -> Principal {
    Principal {
        link: link("reconciliation-finance"),
        owner: name("finance-platform"),
        on_behalf_of: Some(name("ana")),
        parents: vec![link("root")],
        autonomy: Autonomy::Shadow,
    }
}

pub(crate) fn plain_principal() -> Principal {
    Principal { on_behalf_of: None, parents: Vec::new(), autonomy: Autonomy::Autonomous, ..principal() }
}

pub(crate) fn decided() -> DecidedAt {
    let policy_ids = vec!["payments".to_owned(), "hours".to_owned()];
    DecidedAt { control_pos: Pos(41), policy_set: digest("policies"), policy_ids }
}

pub(crate) fn holds() -> Vec<Hold> {
    let meters = [
        (Meter::UsdMicros, Window::Day),
        (Meter::Calls, Window::Hour),
        (Meter::Tokens, Window::Hour),
        (Meter::ExternalActions, Window::Day),
        (Meter::ComputeMs, Window::Day),
    ];
    let held = meters.into_iter().zip(1..).map(|((meter, window), amount)| Hold {
        budget: BudgetKey::of_agent(name("reconciliation-finance"), meter, window),
        window_start: window.start(AT),
        amount,
    });
    held.collect()
}

fn worst() -> Amounts {
    Amounts { usd_micros: 61_000, calls: 1, tokens: 4_100, external_actions: 0, compute_ms: 0 }
}

pub(crate) fn intent() -> Intent {
    Intent {
        call: call(),
        attempt: 2,
        arguments_hash: digest("arguments"),
        schema_hash: digest("schema"),
        decided: decided(),
        worst: worst(),
        holds: holds(),
        idempotency_key: call().to_string(),
    }
}

pub(crate) fn plain_intent() -> Intent {
    let decided = DecidedAt { policy_ids: Vec::new(), ..decided() };
    Intent { attempt: 1, decided, holds: Vec::new(), ..intent() }
}

pub(crate) fn settlement() -> Settlement {
    Settlement {
        amounts: Amounts { usd_micros: 2_300, calls: 1, tokens: 812, external_actions: 1, compute_ms: 17 },
        usage: Some(json!({"input_tokens": 800, "output_tokens": 12, "cost": 0.1})),
        served_model: Some("claude-sonnet-4-6".to_owned()),
        price_table: Some(digest("prices")),
        worst_case: true,
        waited_ms: 950,
        scripted: true,
        fallback: None,
        cache: None,
        delegated: None,
    }
}

pub(crate) fn refusal(by: RefusedBy) -> Refusal {
    Refusal { by, reason: "the budget of today is spent.".to_owned(), next: "Ask again tomorrow.".to_owned() }
}

pub(crate) fn request() -> ApprovalRequest {
    ApprovalRequest {
        approval: approval(),
        capability: email(),
        arguments: json!({"to": "vendor@example.com", "amount_usd": 4180.1}),
        binding: Binding {
            arguments: digest("arguments"),
            schema: digest("schema"),
            policy_set: digest("policies"),
            revision: digest("revision"),
        },
        value_usd_micros: Some(4_180_100_000),
        reason: "a write above 1,000 USD".to_owned(),
        provenance: None,
        by: name("finance-platform"),
        asked_at: AT,
        expires_at: AT.plus_ms(3_600_000),
        terms: Terms::default(),
    }
}

pub(crate) fn verdict() -> ApprovalVerdict {
    ApprovalVerdict {
        approval: approval(),
        approved: true,
        person: name("ana"),
        reason: "the amount was wrong".to_owned(),
        edited: Some(json!({"to": "vendor@example.com", "amount_usd": 418})),
        at: AT,
        shown_at: None,
        by_link: None,
        signature: "c2lnbmVk".to_owned(),
    }
}

pub(crate) fn linked_verdict() -> ApprovalVerdict {
    let link = SentLink { channel: "mail ana@example.com".to_owned(), pos: Pos(17) };
    ApprovalVerdict { by_link: Some(link), ..verdict() }
}

pub(crate) fn plain_verdict() -> ApprovalVerdict {
    ApprovalVerdict { approved: false, reason: String::new(), edited: None, ..verdict() }
}

pub(crate) fn envelopes() -> Vec<Envelope> {
    let started = Event::SessionStarted {
        principal: principal(),
        key: "k".to_owned(),
        trace: TraceId(1),
        case: None,
        partition: None,
        attached: false,
    };
    let live = Envelope {
        shard: Shard(0),
        pos: Pos(12),
        session: session(),
        seq: Seq(3),
        prev: Pos(7),
        epoch: Epoch(2),
        at: AT,
        principal: digest("principal"),
        trace: TraceId(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736),
        span: SpanId::of_session(session()),
        parent: None,
        cause: "mail-1".to_owned(),
        control_pos: Pos(41),
        mode: Mode::Live,
        synthetic: false,
        key: 1,
        codec: 1,
        headers: vec![started.header(), Event::Finished { compute_ms: 0 }.header()],
    };
    let full = Header {
        quorum: None,
        k: "model_answered".to_owned(),
        v: 1,
        call: Some(12),
        attempt: Some(2),
        what: Some(email().to_string()),
        args: Some(digest("arguments")),
        schema: Some(digest("schema")),
        decided: Some(decided()),
        holds: holds(),
        settled: Some(settlement()),
        end: Some("ok".to_owned()),
        approval: Some(approval()),
    };
    let shadow = Envelope {
        parent: Some(SpanId(0x00f0_67aa_0ba9_02b7)),
        mode: Mode::Shadow,
        synthetic: true,
        headers: vec![full],
        ..live.clone()
    };
    vec![live, shadow]
}
