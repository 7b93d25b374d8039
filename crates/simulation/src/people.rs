//! The people of the simulated world and what they do: write, answer, say what came of a write, end, freeze and let go
//! on. They tell the truth about what the upstream did, often do things twice, late, or without the right, and keep
//! notes of everything.

use std::time::Duration;

use control::approval::{self, Answer};
use data::rows::InboxKey;
use data::store::HeadFilter;
use domain::call::ApprovalVerdict;
use domain::clock::Clock;
use domain::control::Scope;
use domain::event::Resolution;
use domain::id::{ApprovalId, CallId, Name, SessionId};
use domain::mail::{Mail, MailBody, Start};
use domain::message::{Message, Origin, Role};
use domain::principal::Caller;
use serde_json::json;

use crate::chance::Chance;
use crate::node::{Node, name, person};
use crate::world::World;

mod administrator;
mod client;

use client::Clients;
pub use client::asks;

/// What a forged verdict is signed with.
pub const FORGED: &str = "trust me";

/// What people ask of an agent.
type Asked = (&'static str, &'static [&'static str]);

/// How often people write to each agent, and the scripts that they give it.
const SCRIPTS: [(u32, Asked); 10] = [
    (
        2,
        (
            "secretary",
            &[
                "letter a | forward",
                "letter a & look b | send bob@acme.example",
                "send bob@acme.example | letter b | forward",
            ],
        ),
    ),
    (
        1,
        (
            "reader",
            &["look a", "look a & look b | file c", "file x & file y & look z", "for ever", "garbled | look a", ""],
        ),
    ),
    (
        5,
        (
            "payer",
            &[
                "pay 20",
                "look a | pay 1500",
                "look a & pay 1500 & pay 30 | pay 2000",
                "wire 5",
                "pay 10 & pay 11 | look b",
                "unfit & garbled | unfit | garbled | look a",
                "garbled & garbled & garbled & garbled & pay 5000",
                "levitate | pay 3000",
            ],
        ),
    ),
    (2, ("couple", &["pay 1500", "look a | pay 2000 & pay 20", "pay 1200 & pay 1300 | look b"])),
    (4, ("careful", &["file a", "pay 5 & look a", "pay 5 & pay 6 & file b | file c"])),
    (
        2,
        (
            "tight",
            &["look a & look b & look c & look d", "pay 5 | pay 6", "look a | look b | look c | look d", "too long"],
        ),
    ),
    (2, ("teller", &["look a | look b", "pay 1500 | look a", "look a | pay 20"])),
    (
        4,
        (
            "chief",
            &[
                "payer:pay 20 | look a",
                "payer:look a ; pay 1500 | reader:look b",
                "payer:pay 21 & payer:pay 1700 & look c",
                "deputy:payer:pay 1600 | look d",
                "deputy:chief:payer:pay 5",
                "payer:wire 5 & reader:file a",
                "payer:for ever | payer:pay 22 + pay 1800",
            ],
        ),
    ),
    (1, ("shade", &["look a | pay 50", "pay 500 & file a | look b", "file a & file b"])),
    (
        1,
        (
            "keeper",
            &[
                "remember one & remember two | recall one",
                "calculate 2+3*4 & now",
                "recall two | remember three",
                "timer 90s & timer 20m | remember four",
            ],
        ),
    ),
];

/// One thing that somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Somebody writes, to a new session or an old one.
    Write,
    /// The same mail once more.
    WriteAgain,
    /// Somebody answers a request for consent.
    Answer,
    /// Two people answer at once.
    AnswerTwice,
    /// Somebody answers what was over long ago, or may not answer.
    AnswerWrongly,
    /// Somebody puts a yes into a person's mouth.
    Forge,
    /// Somebody says what came of a write.
    Resolve,
    /// Somebody ends a session.
    Kill,
    /// Somebody holds a session where it is.
    Suspend,
    /// Somebody lets a session go on, or all that were held.
    Resume,
    /// An administrator freezes something.
    Freeze,
    /// Somebody writes, and an administrator freezes something while a commit is on its way.
    FreezeMeanwhile,
    /// The same, and the administrator is on another node.
    FreezeElsewhere,
    /// An administrator lets everything go on.
    Thaw,
    /// An administrator applies an agent's descriptor with other instructions.
    Apply,
    /// The upstream goes away, or comes back.
    Unplug,
    /// The model's provider goes down, or is up again.
    Outage,
    /// Somebody lets an agent pay without asking each time, or ends that.
    Grant,
    /// A client of an agent that keeps its own loop does something.
    Client,
    /// Somebody sets the clock.
    SetClock,
}

/// How often people do what.
const DEEDS: [(u32, Deed); 20] = [
    (12, Deed::Write),
    (3, Deed::WriteAgain),
    (12, Deed::Answer),
    (3, Deed::AnswerTwice),
    (2, Deed::AnswerWrongly),
    (1, Deed::Forge),
    (9, Deed::Resolve),
    (1, Deed::Kill),
    (1, Deed::Suspend),
    (2, Deed::Resume),
    (1, Deed::Freeze),
    (2, Deed::FreezeMeanwhile),
    (2, Deed::FreezeElsewhere),
    (11, Deed::Thaw),
    (1, Deed::Apply),
    (1, Deed::Unplug),
    (1, Deed::Outage),
    (1, Deed::Grant),
    (6, Deed::Client),
    (1, Deed::SetClock),
];

/// The people, and what they remember.
pub struct People {
    chance: Chance,
    /// The one that all of them write to, in a world where they do.
    devoted: Option<Asked>,
    sessions: Vec<SessionId>,
    mails: Vec<Mail>,
    asked: Vec<ApprovalId>,
    frozen: Vec<Scope>,
    held: Vec<SessionId>,
    /// How often an administrator has told a session something.
    told: u32,
    unplugged: bool,
    /// Whether the model's provider is down.
    down: bool,
    /// The grant that somebody gave last.
    granted: Option<Name>,
    clients: Clients,
    notes: Vec<String>,
}

impl People {
    /// Of a seed.
    pub fn new(seed: u64) -> Self {
        let chance = Chance::new(seed, "people");
        let devoted = chance.per_mille(200).then(|| chance.weighed(&SCRIPTS));
        let (sessions, mails, asked) = (Vec::new(), Vec::new(), Vec::new());
        People {
            chance,
            devoted,
            sessions,
            mails,
            asked,
            frozen: Vec::new(),
            held: Vec::new(),
            told: 0,
            unplugged: false,
            down: false,
            granted: None,
            clients: Clients::new(),
            notes: Vec::new(),
        }
    }

    /// What they did, and how that went.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Every session that they wrote to.
    pub fn sessions(&self) -> &[SessionId] {
        &self.sessions
    }

    /// What they draw.
    pub(crate) fn chance(&self) -> &Chance {
        &self.chance
    }

    /// One deed, and a while.
    pub async fn act(&mut self, world: &World, node: &Node) {
        let deed = self.chance.weighed(&DEEDS);
        self.note(world, format!("{deed:?}"));
        let told = match deed {
            Deed::Write => self.write(world, node).await,
            Deed::WriteAgain => self.write_again(node).await,
            Deed::Answer => self.answer(node).await,
            Deed::AnswerTwice => self.answer_twice(node).await,
            Deed::AnswerWrongly => self.answer_wrongly(world, node).await,
            Deed::Forge => self.forge(node).await,
            Deed::Resolve => self.resolve(world, node).await,
            Deed::Kill => self.kill(node).await,
            Deed::Suspend => self.suspend(node).await,
            Deed::Resume => self.resume(node).await,
            Deed::Freeze => self.freeze(world, node).await,
            Deed::FreezeMeanwhile => self.freeze_meanwhile(world, node).await,
            Deed::FreezeElsewhere => self.freeze_elsewhere(world, node).await,
            Deed::Thaw => self.thaw(world, node).await,
            Deed::Apply => self.apply(node).await,
            Deed::Unplug => self.unplug(world),
            Deed::Outage => self.outage(world),
            Deed::Grant => self.grant(node).await,
            Deed::Client => self.client(node).await,
            Deed::SetClock => self.set_clock(world),
        };
        self.note(world, told);
        let longest = self.chance.weighed(&[(4, 0), (6, 50), (6, 5_000), (2, 120_000), (1, 3_000_000)]);
        tokio::time::sleep(Duration::from_millis(self.chance.below(longest) as u64)).await;
    }

    /// Notes something down.
    pub(crate) fn note(&mut self, world: &World, what: String) {
        self.notes.push(format!("{} {what}", world.clock.now()));
    }

    async fn write(&mut self, world: &World, node: &Node) -> String {
        let (agent, scripts) = self.devoted.unwrap_or_else(|| self.chance.weighed(&SCRIPTS));
        let keys = if self.devoted.is_some() { 1 } else { 3 };
        let (agent, key) = (name(agent), format!("k{}", self.chance.below(keys)));
        let words = *self.chance.pick(scripts);
        let mut start = node.start_of(&agent, &key);
        if agent.as_str() == "teller" {
            let company = if self.chance.per_mille(500) { "acme" } else { "umbra" };
            start = in_partition(start, company);
        }
        let session = start.principal.link.session;
        let id = format!("msg-{}", self.mails.len()).parse().expect("a short word is a mail id");
        let message = Message::text(Role::Person, Origin::Person, words);
        let body = MailBody::Message { start: Box::new(start), from: Some(name("ana")), message };
        let mail = Mail { id, session, due: node.log.clock().now(), body };
        self.mails.push(mail.clone());
        if !self.sessions.contains(&session) {
            self.sessions.push(session);
        }
        let id = mail.id.clone();
        let accepted = node.runtime.accept(mail).await;
        if accepted.is_ok() {
            world.watch.accepted(id, session);
        }
        format!("to {agent} {key} ({session}): {words:?}: {}", outcome(&accepted))
    }

    async fn write_again(&mut self, node: &Node) -> String {
        if self.mails.is_empty() {
            return "nothing was written".to_owned();
        }
        let mail = self.chance.pick(&self.mails).clone();
        let id = mail.id.clone();
        format!("{id}: {}", outcome(&node.runtime.accept(mail).await))
    }

    async fn waits(&mut self, node: &Node) -> (Vec<ApprovalId>, Vec<CallId>) {
        let (mut approvals, mut doubts) = (Vec::new(), Vec::new());
        for item in node.log.inbox().await.unwrap_or_default() {
            match item.key {
                InboxKey::Approval { approval } => approvals.push(approval),
                InboxKey::InDoubt { call } => doubts.push(call),
            }
        }
        let new: Vec<_> = approvals.iter().filter(|approval| !self.asked.contains(approval)).copied().collect();
        self.asked.extend(new);
        (approvals, doubts)
    }

    /// Yes, no, or yes to something else.
    async fn opinion(&self, node: &Node, approval: ApprovalId) -> Answer {
        let recorded = approval::recorded(&node.gate, approval).await.unwrap_or_default();
        // What somebody else made of it is seen before it is agreed to.
        let last = recorded.votes.last();
        let seen = recorded.request.as_ref().zip(last).map(|(request, last)| request.meant_by(last));
        let mut arguments = recorded.request.map(|request| request.arguments).unwrap_or_default();
        match self.chance.weighed(&[(6, 0), (2, 1), (2, 2)]) {
            2 if arguments.get("amount_usd").is_some() => {
                arguments["amount_usd"] = json!(1 + self.chance.below(2000));
                Answer { approved: true, edited: Some(arguments), ..Answer::default() }
            }
            1 => Answer { reason: "rather not".to_owned(), ..Answer::default() },
            _ => Answer { approved: true, seen, ..Answer::default() },
        }
    }

    async fn answer(&mut self, node: &Node) -> String {
        let (approvals, _) = self.waits(node).await;
        if approvals.is_empty() {
            return "nobody asks".to_owned();
        }
        let approval = *self.chance.pick(&approvals);
        let opinion = self.opinion(node, approval).await;
        let said = format!("{approval}: {opinion:?}");
        format!("{said}: {}", outcome(&approval::answer(&node.gate, &person("ana"), approval, opinion).await))
    }

    async fn answer_twice(&mut self, node: &Node) -> String {
        let (approvals, _) = self.waits(node).await;
        if approvals.is_empty() {
            return "nobody asks".to_owned();
        }
        let approval = *self.chance.pick(&approvals);
        let (one, other) = (self.opinion(node, approval).await, self.opinion(node, approval).await);
        let (ana, ben) = (person("ana"), person("ben"));
        let (first, second) = tokio::join!(
            approval::answer(&node.gate, &ana, approval, one),
            approval::answer(&node.gate, &ben, approval, other)
        );
        format!("{approval}: {}, {}", outcome(&first), outcome(&second))
    }

    async fn answer_wrongly(&mut self, world: &World, node: &Node) -> String {
        self.waits(node).await;
        if self.asked.is_empty() {
            return "nobody asked".to_owned();
        }
        let approval = *self.chance.pick(&self.asked);
        let yes = Answer { approved: true, ..Answer::default() };
        let eve = Caller::Person { name: name("eve"), groups: vec![name("elsewhere")] };
        for caller in [Caller::Admin, eve, Caller::Agent { name: name("payer") }] {
            if approval::answer(&node.gate, &caller, approval, yes.clone()).await.is_ok() {
                world.watch.note(format!("{caller:?} answered {approval}"));
            }
        }
        format!("{approval}: {}", outcome(&approval::answer(&node.gate, &person("ben"), approval, yes).await))
    }

    /// Mail that says yes, and that nobody who may say so has signed.
    async fn forge(&mut self, node: &Node) -> String {
        let (approvals, _) = self.waits(node).await;
        if approvals.is_empty() {
            return "nobody asks".to_owned();
        }
        let approval = *self.chance.pick(&approvals);
        let (session, due) = (approval.call.session, node.log.clock().now());
        let verdict = ApprovalVerdict {
            approval,
            approved: true,
            person: name("ana"),
            reason: String::new(),
            edited: None,
            at: due,
            shown_at: None,
            by_link: None,
            signature: FORGED.to_owned(),
        };
        let id = format!("forged:{approval}").parse().expect("a word and an id are a mail id");
        let forged = Mail { id, session, due, body: MailBody::Verdict { verdict } };
        format!("{approval}: {}", outcome(&node.runtime.accept(forged).await))
    }

    async fn resolve(&mut self, world: &World, node: &Node) -> String {
        let (_, doubts) = self.waits(node).await;
        if doubts.is_empty() {
            return "nothing is in doubt".to_owned();
        }
        let call = *self.chance.pick(&doubts);
        let say = self.truth(world, call);
        let said = format!("{call}: {say:?}");
        format!("{said}: {}", outcome(&approval::resolve(&node.gate, &person("ana"), call, say).await))
    }

    /// What the upstream's own ledger says; or that it does not matter.
    fn truth(&self, world: &World, call: CallId) -> Resolution {
        if self.chance.per_mille(150) {
            return Resolution::Abandon;
        }
        match world.watch.done(call) {
            0 => Resolution::DidNot,
            _ => Resolution::Happened { result: "it is in the ledger".to_owned() },
        }
    }

    async fn suspend(&mut self, node: &Node) -> String {
        if self.sessions.is_empty() {
            return "there is nobody".to_owned();
        }
        let session = *self.chance.pick(&self.sessions);
        self.held.push(session);
        let body = MailBody::Suspend { by: "admin".to_owned(), reason: "wait".to_owned() };
        self.tell(node, session, "suspend", body).await
    }

    /// Lets all sessions go on that somebody held.
    async fn resume(&mut self, node: &Node) -> String {
        let mut told = Vec::new();
        for session in self.held.clone() {
            let resumed = self.tell(node, session, "resume", MailBody::Resume { by: "admin".to_owned() }).await;
            if resumed.ends_with("done") {
                self.held.retain(|held| *held != session);
            }
            told.push(resumed);
        }
        told.join(", ")
    }

    /// Mail of an administrator.
    async fn tell(&mut self, node: &Node, session: SessionId, what: &str, body: MailBody) -> String {
        self.told += 1;
        let id = format!("{what}:{session}:{}", self.told).parse().expect("words and an id are a mail id");
        let accepted = node.runtime.accept(Mail { id, session, due: node.log.clock().now(), body }).await;
        format!("{session}: {}", outcome(&accepted))
    }

    async fn kill(&mut self, node: &Node) -> String {
        if self.sessions.is_empty() {
            return "there is nobody".to_owned();
        }
        let heads = node.log.heads(HeadFilter::default()).await.unwrap_or_default();
        let mut children: Vec<_> = heads
            .into_iter()
            .filter_map(|(session, head, _)| head.key.parse::<CallId>().ok().map(|_| session))
            .collect();
        children.sort();
        let of_children = !children.is_empty() && self.chance.below(2) == 0;
        let session = *self.chance.pick(if of_children { &children } else { &self.sessions });
        let body = MailBody::Kill { by: "admin".to_owned(), reason: "enough".to_owned() };
        let id = format!("kill:{session}").parse().expect("a word and an id are a mail id");
        let accepted = node.runtime.accept(Mail { id, session, due: node.log.clock().now(), body }).await;
        format!("{session}: {}", outcome(&accepted))
    }

    /// Everything goes on, and whatever waits for a person gets an answer. `false`: nothing waited.
    pub(crate) async fn settle(&mut self, world: &World, node: &Node) -> bool {
        let thawed = self.thaw(world, node).await;
        let resumed = self.resume(node).await;
        let went_on = !thawed.is_empty() || !resumed.is_empty();
        self.note(world, format!("at last: {thawed}, {resumed}"));
        world.upstream.unreachable(None);
        world.model.goes_down(false);
        let (approvals, doubts) = self.waits(node).await;
        let waited = went_on || !approvals.is_empty() || !doubts.is_empty();
        for approval in approvals {
            for who in ["ben", "cho"] {
                let opinion = self.opinion(node, approval).await;
                let answered = approval::answer(&node.gate, &person(who), approval, opinion).await;
                self.note(world, format!("at last {approval} by {who}: {}", outcome(&answered)));
            }
        }
        for call in doubts {
            let resolved = approval::resolve(&node.gate, &person("ben"), call, self.truth(world, call)).await;
            self.note(world, format!("at last {call}: {}", outcome(&resolved)));
        }
        waited
    }
}

/// The same start, of a partition.
fn in_partition(mut start: Start, partition: &str) -> Start {
    let agent = start.principal.link.agent.clone();
    start.principal.link.session = SessionId::in_partition(&agent, &start.key, partition);
    start.partition = Some(partition.to_owned());
    start
}

fn outcome<T, E: std::fmt::Display>(result: &Result<T, E>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(error) => error.to_string(),
    }
}
