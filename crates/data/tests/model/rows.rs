//! The rows that steps of the model stand for.

use data::record::Envelope;
use data::rows::{Head, HoldingDelta, InboxChange, InboxItem, InboxKey, frozen_words};
use data::store::{
    BatchPart, ControlRow, Draw, HeadRow, KeyRow, LeafRow, MailRow, MemoryRow, RecordRow, ResultRow, SnapshotRow,
    SpendRow, View, ViewBatch,
};
use domain::budget::{Amounts, BudgetKey, Meter, Window};
use domain::clock::Timestamp;
use domain::control::Scope;
use domain::event::Header;
use domain::id::{ApprovalId, CallId, Digest, Epoch, MailId, Name, Pos, Seq, SessionId, Shard, SpanId, TraceId};
use domain::mail::MailClass;
use domain::principal::Mode;
use domain::session::Phase;

use crate::SHARDS;
use crate::books::Drawing;
use crate::expect::{Believed, Known, Model, SUSPENDED, Work, posted};

/// The version of the fold that snapshots are of here.
pub(crate) const FOLD: u32 = 7;

const START: Timestamp = Timestamp(3_600_000);

pub(crate) fn shard_of(session: u8) -> u16 {
    u16::from(session) % SHARDS
}

pub(crate) fn session(n: u8) -> SessionId {
    SessionId::from_u128(u128::from(shard_of(n)) << 120 | u128::from(n) | 1 << 64)
}

pub(crate) fn mail_id(n: u8) -> MailId {
    format!("mail-{n}").parse().unwrap()
}

/// Agents whose names sort otherwise by bytes than by the rules of a language.
pub(crate) fn agent(n: u8) -> Name {
    ["a-b", "ab", "a1"][usize::from(n) % 3].parse().unwrap()
}

fn budget() -> BudgetKey {
    BudgetKey::of_agent(agent(0), Meter::UsdMicros, Window::Day)
}

fn phase(n: u8) -> Phase {
    [Phase::Ready, Phase::Suspended, Phase::Finished][usize::from(n) % 3]
}

pub(crate) fn mail(to: u8, id: u8) -> MailRow {
    MailRow {
        shard: Shard(shard_of(to)),
        session: session(to),
        id: mail_id(id),
        due: Timestamp(i64::from(id % 2) * 10),
        // Some of what is due at 10 ms was due when it was posted.
        posted: i64::from(id) * 4_000,
        class: [MailClass::Decision, MailClass::Message, MailClass::Wake][usize::from(id) % 3],
        agent: agent(to).to_string(),
        partition: to.is_multiple_of(2).then_some(u64::MAX - u64::from(to)),
        body: vec![to, id, 0],
    }
}

pub(crate) fn draw(model: &Model, drawing: &Drawing) -> Draw {
    // Of a shard that it never owned, a node believes something that never is.
    let epoch = |shard: u16| {
        let believed = model.nodes[drawing.node].get(&shard);
        Epoch(believed.map_or(1_000_000, |believed| believed.epoch))
    };
    let Drawing { shard, cap, need, ahead, share, .. } = *drawing;
    let back = drawing.back.iter().map(|(from, amount)| (Shard(*from), epoch(*from), *amount)).collect();
    let (epoch, shard) = (epoch(shard), Shard(shard));
    Draw { shard, epoch, budget: budget(), window_start: START, cap, need, ahead, share, back }
}

/// The window that is drawn from.
pub(crate) fn window() -> (BudgetKey, Timestamp) {
    (budget(), START)
}

/// What a node sends: by shard, what it believes there.
pub(crate) fn parts(model: &Model, node: usize, works: &[Work]) -> Vec<BatchPart> {
    let mut parts: Vec<BatchPart> = Vec::new();
    for work in works.iter().filter(|work| model.may_work(node, work)) {
        let shard = Shard(shard_of(work.session));
        let believed = model.nodes[node][&shard.0];
        let at = parts.iter().position(|part| part.shard == shard).unwrap_or_else(|| {
            parts.push(empty(shard, believed));
            parts.len() - 1
        });
        let known = model.sessions.get(&work.session).copied().unwrap_or_default();
        add(&mut parts[at], work, known, posted(works, work));
    }
    parts.sort_by_key(|part| part.shard);
    parts
}

fn empty(shard: Shard, believed: Believed) -> BatchPart {
    BatchPart {
        shard,
        epoch: Epoch(believed.epoch),
        pos: Pos(believed.pos),
        records: Vec::new(),
        heads: Vec::new(),
        keys: Vec::new(),
        snapshots: Vec::new(),
        mail: Vec::new(),
        consumed: Vec::new(),
        holdings: Vec::new(),
        inbox: Vec::new(),
        texts: Vec::new(),
        remembered: Vec::new(),
        forgotten: Vec::new(),
    }
}

fn add(part: &mut BatchPart, work: &Work, known: Known, posts: Option<(u8, u8)>) {
    let (id, seq) = (session(work.session), Seq(known.seq + 1));
    let pos = Pos(part.pos.0 + part.records.len() as u64 + 1);
    let call = CallId { session: id, ordinal: 1 };
    part.records.push(record(part.shard, pos, (id, seq, Pos(known.pos)), part.epoch));
    part.heads.push(head(part.shard, pos, seq, work));
    if known.seq == 0 {
        part.keys.push(KeyRow { session: id, generation: 1, wrapped: Some(vec![work.session; 3]) });
    }
    part.mail.extend(posts.map(|(to, id)| mail(to, id)));
    part.consumed.extend(work.consumes.map(|mail| (id, mail_id(mail))));
    match part.holdings.first_mut() {
        Some(sum) => sum.reserved += work.reserves,
        None => part.holdings.push(HoldingDelta {
            shard: part.shard,
            since: part.epoch,
            budget: budget(),
            window_start: START,
            reserved: work.reserves,
            spent: 1,
        }),
    }
    // A text that not every engine can hold as it is.
    let text = format!("said \0 by {}", work.session % 2);
    if !part.texts.iter().any(|(_, known)| *known == text) {
        part.texts.push((Digest::of(text.as_bytes()), text));
    }
    match work.rare {
        None => {}
        Some(true) => {
            let item = InboxItem {
                key: InboxKey::InDoubt { call },
                session: id,
                agent: agent(work.session),
                group: agent(1),
                since: Timestamp(i64::from(work.session % 2)),
                expires: (work.session > 2).then_some(Timestamp(9)),
            };
            part.inbox.push(InboxChange::Open(item));
            part.inbox.push(InboxChange::Close(InboxKey::Approval { approval: ApprovalId { call, round: 1 } }));
            let (at, expires) = (Timestamp(i64::from(work.phase)), (work.phase == 1).then_some(Timestamp(50)));
            part.remembered.push(MemoryRow { agent: agent(0), id: call, generation: 1, text: vec![7], at, expires });
            part.snapshots.push(SnapshotRow { session: id, seq, pos, fold: FOLD, key: 1, body: vec![8; 9] });
        }
        Some(false) => {
            part.inbox.push(InboxChange::Close(InboxKey::InDoubt { call }));
            part.forgotten.push((agent(0), call));
        }
    }
}

fn record(shard: Shard, pos: Pos, (session, seq, prev): (SessionId, Seq, Pos), epoch: Epoch) -> RecordRow {
    let header = Header { k: "message_received".to_owned(), v: 1, ..Header::default() };
    let envelope = Envelope {
        shard,
        pos,
        session,
        seq,
        prev,
        epoch,
        at: Timestamp(pos.0.cast_signed()),
        principal: Digest::of(b"principal"),
        trace: TraceId(u128::MAX - u128::from(pos.0)),
        span: SpanId(u64::MAX),
        parent: pos.0.is_multiple_of(2).then_some(SpanId(1)),
        cause: format!("mail \0 {}", seq.0),
        control_pos: Pos(0),
        mode: if pos.0.is_multiple_of(3) { Mode::Shadow } else { Mode::Live },
        synthetic: pos.0 % 2 == 1,
        key: 1,
        codec: 1,
        headers: vec![header],
    };
    RecordRow { envelope: envelope.unread(), body: vec![0, 1, 2, 255] }
}

fn head(shard: Shard, pos: Pos, seq: Seq, work: &Work) -> HeadRow {
    let head = Head {
        agent: agent(work.session),
        revision: Digest::of(&[work.phase]),
        key: format!("key\0{}", work.session),
        phase: phase(work.phase),
        since: Timestamp(i64::from(work.phase)),
        waits_on: if work.phase == SUSPENDED { frozen_words(&Scope::All) } else { String::new() },
        scripted: work.phase == 2,
        mode: Mode::Live,
        partition: work.session.is_multiple_of(2).then_some(u64::MAX - u64::from(work.session)),
    };
    HeadRow { session: session(work.session), shard, pos, seq, trace: TraceId(u128::from(work.session)), head }
}

/// A change of authority at a position.
pub(crate) fn control(pos: u64) -> ControlRow {
    let place = (SessionId::CONTROL, Seq(pos), Pos(pos - 1));
    let record = record(Shard::CONTROL, Pos(pos), place, Epoch(0));
    ControlRow { record, texts: vec![(Digest::of(b"admin"), "admin".to_owned())] }
}

/// What a view learns of one record.
pub(crate) fn view(view: View, shard: u16, from: u64) -> ViewBatch {
    let (of, n) = (session((shard % 6) as u8), (from % 3) as u8);
    let amounts = Amounts { calls: 1, tokens: 10, usd_micros: 3, ..Amounts::default() };
    let spend = SpendRow { agent: agent(n), session: of, hour: START, what: format!("model \0 {n}"), amounts };
    let result =
        ResultRow { session: of, seq: Seq(from + 1), pos: Pos(from + 1), agent: agent(n), at: Timestamp(n.into()) };
    let leaf = LeafRow { shard: Shard(shard), pos: Pos(from + 1), hash: Digest::of(&from.to_be_bytes()) };
    ViewBatch {
        view,
        shard: Shard(shard),
        from: Pos(from),
        to: Pos(from + 1),
        spend: if view == View::Spend { vec![spend.clone(), spend] } else { Vec::new() },
        results: if view == View::Results { vec![result] } else { Vec::new() },
        leaves: if view == View::Audit { vec![leaf] } else { Vec::new() },
    }
}
