//! A small world: the article's agent with everything it needs, ana of its owner group, and a clock that stands still.

use control::budget::{Balance, Holdings, limit_of_tool, limits};
use control::consent::Signer;
use control::decide::{Overtaken, Scene, decide, still};
use control::{Checks, Query, Registry, Verdict, Want};
use domain::budget::Amounts;
use domain::call::{ApprovalRequest, ApprovalVerdict, Facts, RaiseAsked};
use domain::capability::{CapabilityRef, Effect};
use domain::clock::Timestamp;
use domain::control::{Applied, ControlEvent, ControlRecord};
use domain::decision::{DecidedAt, Refusal};
use domain::descriptor::{ModelProvider, parse_file};
use domain::event::Event;
use domain::id::{ApprovalId, CallId, Digest, Name, Pos, SessionId, Shard};
use domain::principal::{Autonomy, Caller, Link, Principal};
use domain::provenance::Provenance;
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) const ARTICLE: &str = include_str!("../../../../examples/reconciliation-finance.yaml");

pub(crate) const PARTS: &str = "
apiVersion: agent.os/v1
kind: McpServer
metadata: {name: mail, owner: it-platform}
spec: {stdio: {command: mail}, secrets: [MAIL_TOKEN]}
---
apiVersion: agent.os/v1
kind: Capability
metadata: {name: email-draft, owner: it-platform}
spec: {server: mail, tool: draft_email, effect: write, value_usd: args.amount_usd}
---
apiVersion: agent.os/v1
kind: Capability
metadata: {name: ledger-read, owner: it-platform}
spec: {server: mail, tool: read_ledger, effect: read}
---
apiVersion: agent.os/v1
kind: Capability
metadata: {name: sap-invoice-read, owner: it-platform}
spec: {server: mail, tool: read_invoice, effect: read}
---
apiVersion: agent.os/v1
kind: ModelProvider
metadata: {name: anthropic, owner: it-platform}
spec:
  protocol: anthropic
  key: {secret: ANTHROPIC_API_KEY}
  prices: catalog
  revisions: {claude-opus-4-7: {'2026-02-14': claude-opus-4-7-20260214}}
";

pub(crate) const NOW: Timestamp = Timestamp(1_790_000_000_000);

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn applied(text: &str) -> ControlEvent {
    let descriptors = parse_file("test.yaml", text, &|_| None).unwrap();
    let each = descriptors.iter().map(|descriptor| Applied {
        kind: descriptor.kind(),
        name: descriptor.name().clone(),
        revision: descriptor.revision(),
        descriptor: descriptor.canonical(),
    });
    ControlEvent::Applied { resources: each.collect(), by: "admin".to_owned(), reason: String::new() }
}

/// A provider knows the revisions that its own descriptor maps.
pub(crate) fn pinned(provider: &ModelProvider, model: &str, pinned: Option<&str>) -> Result<(), String> {
    let name = &provider.metadata.name;
    let unknown = |pinned| format!("The ModelProvider {name} does not know revision {pinned} of {model}.");
    provider.spec.model_id(model, pinned).map(|_| ()).map_err(unknown)
}

pub(crate) fn checks() -> Checks {
    Checks { price: Arc::new(|_, _| Ok(())), pin: Arc::new(pinned), secret: Arc::new(|_| true) }
}

pub(crate) fn person(person: &str, groups: &[&str]) -> Caller {
    Caller::Person { name: name(person), groups: groups.iter().map(|group| name(group)).collect() }
}

/// What is wanted of `email-draft`.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) arguments: Value,
    pub(crate) value: Option<i64>,
    pub(crate) schema: Digest,
    pub(crate) input_schema: Value,
    pub(crate) effect: Effect,
    pub(crate) capability: CapabilityRef,
    pub(crate) provenance: Option<Provenance>,
}

impl Draft {
    pub(crate) fn of(usd: i64) -> Self {
        Draft {
            arguments: json!({"to": "billing@acme.example", "amount_usd": usd}),
            value: Some(usd * 1_000_000),
            schema: Digest::of(b"schema"),
            input_schema: json!({"type": "object", "required": ["to"], "properties": {
                "to": {"type": "string"}, "amount_usd": {"type": "number"}, "copies": {"type": "integer"}}}),
            effect: Effect::Write,
            capability: "mcp://gateway/email-draft".parse().unwrap(),
            provenance: Some(Provenance::default()),
        }
    }

    fn want(&self) -> Want<'_> {
        Want::Capability {
            capability: &self.capability,
            effect: self.effect,
            arguments: &self.arguments,
            arguments_hash: Digest::of_json(&self.arguments),
            schema_hash: self.schema,
            input_schema: Some(&self.input_schema),
            value_usd_micros: self.value,
            worst: Amounts { usd_micros: 2000, calls: 1, external_actions: 1, ..Amounts::default() },
            provenance: self.provenance.as_ref(),
        }
    }
}

pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) holdings: Holdings,
    pub(crate) signer: Signer,
    pub(crate) checks: Checks,
    pub(crate) now: Timestamp,
    pub(crate) principal: Principal,
    pub(crate) facts: Facts,
    pub(crate) attempt: u16,
}

impl World {
    /// The article's agent, ready, with every budget drawn.
    pub(crate) fn new() -> Self {
        Self::with(ARTICLE)
    }

    /// Another agent of the same name, and the parts.
    pub(crate) fn with(agent: &str) -> Self {
        let empty = Registry::default();
        let groups = vec![name("finance-platform")];
        let events = [applied(PARTS), applied(agent), ControlEvent::PersonAdded { person: name("ana"), groups }];
        let registry = after(&empty, &events);
        let revision = registry.agent(&name("reconciliation-finance")).unwrap().revision;
        let session = SessionId::from_u128(7);
        let link = Link { agent: name("reconciliation-finance"), revision, session, call: None };
        let owner = name("finance-platform");
        let autonomy = registry.autonomy(&link.agent, revision).unwrap();
        let mut world = World {
            registry,
            holdings: Holdings::default(),
            signer: Signer::new(b"secret"),
            checks: checks(),
            now: NOW,
            principal: Principal { link, owner, on_behalf_of: None, parents: Vec::new(), autonomy },
            facts: Facts::default(),
            attempt: 1,
        };
        world.draw();
        world
    }

    pub(crate) fn draw(&mut self) {
        let agent = &self.principal.link.agent;
        let tool = limit_of_tool(&self.registry, agent, &Draft::of(1).capability, self.now);
        for limit in limits(&self.registry, &self.principal, self.now).into_iter().chain(tool) {
            let drawn = self.holdings.balance(&limit.budget, limit.start).drawn;
            let all = Balance { drawn: limit.cap, ..Balance::default() };
            self.holdings.drew(Shard(0), &limit, limit.cap - drawn, all);
        }
    }

    /// Draws all that every standing grant allows.
    pub(crate) fn draw_grants(&mut self) {
        for (name, standing) in self.registry.all_standing() {
            for limit in control::grants::limits(name, &standing.grant) {
                let drawn = Balance { drawn: limit.cap, ..Balance::default() };
                self.holdings.drew(Shard(0), &limit, limit.cap, drawn);
            }
        }
    }

    pub(crate) fn happened(&mut self, event: ControlEvent) {
        self.registry = after(&self.registry, &[event]);
    }

    pub(crate) fn call(&self) -> CallId {
        CallId { session: self.principal.link.session, ordinal: 3 }
    }

    pub(crate) fn ask(&mut self, draft: &Draft) -> Verdict {
        self.question(draft.want(), decide)
    }

    /// Whether what was decided of a draft would be decided again.
    pub(crate) fn still(&mut self, draft: &Draft, decided: &DecidedAt) -> Result<(), Refusal> {
        self.question(draft.want(), |scene, query| still(scene, query, decided)).map_err(|overtaken| match overtaken {
            Overtaken::Refused(refusal) => refusal,
            Overtaken::Frozen(frozen) => panic!("{frozen}"),
        })
    }

    pub(crate) fn ask_model(&mut self, model: &str, worst: Amounts) -> Verdict {
        self.question(Want::Model { provider: &name("anthropic"), model, worst }, decide)
    }

    fn question<T>(&mut self, want: Want<'_>, ask: impl FnOnce(&mut Scene<'_>, &Query<'_>) -> T) -> T {
        let (call, attempt, facts) = (self.call(), self.attempt, self.facts.clone());
        let query = Query { call, attempt, principal: &self.principal, facts: &facts, want };
        let World { registry, holdings, signer, checks, now, .. } = self;
        ask(&mut Scene { registry, holdings, shard: Shard(0), signer, checks, now: *now }, &query)
    }

    /// Asks, and remembers the request for consent that must come of it.
    pub(crate) fn ask_for_consent(&mut self, draft: &Draft) -> ApprovalRequest {
        let Verdict::Wait { rows, .. } = self.ask(draft) else {
            panic!("it should ask a person");
        };
        let request = requested(&rows.events);
        self.facts.approval = Some(request.clone());
        self.facts.verdict = None;
        request
    }

    /// What ana says to the latest request.
    pub(crate) fn ana_says(&mut self, approved: bool, reason: &str, edited: Option<Value>) {
        let request = self.facts.approval.clone().unwrap();
        let verdict = ApprovalVerdict {
            approval: request.approval,
            approved,
            person: name("ana"),
            reason: reason.to_owned(),
            edited,
            at: self.now,
            shown_at: None,
            by_link: None,
            signature: String::new(),
        };
        self.facts.verdict = Some(self.signer.sign(&request, verdict));
    }

    /// What a session knows that asked for more.
    pub(crate) fn facts_of(&self, request: &ApprovalRequest, verdict: Option<ApprovalVerdict>) -> Facts {
        let raise = RaiseAsked { request: request.clone(), withdrawn: false, verdict };
        Facts { raise: Some(raise), asked: request.approval.round, ..Facts::default() }
    }

    /// What ana says to a request, signed.
    pub(crate) fn verdict(&self, request: &ApprovalRequest, approved: bool) -> ApprovalVerdict {
        let (approval, at) = (request.approval, self.now);
        let (person, reason) = (name("ana"), String::new());
        let said = ApprovalVerdict {
            approval,
            approved,
            person,
            reason,
            edited: None,
            at,
            shown_at: None,
            by_link: None,
            signature: String::new(),
        };
        self.signer.sign(request, said)
    }

    pub(crate) fn approval(&self, round: u16) -> ApprovalId {
        ApprovalId { call: self.call(), round }
    }
}

pub(crate) fn requested(events: &[Event]) -> ApprovalRequest {
    let found = events.iter().find_map(|event| match event {
        Event::ApprovalRequested { request, .. } => Some(request.clone()),
        _ => None,
    });
    found.expect("a person is asked")
}

pub(crate) fn after(registry: &Registry, events: &[ControlEvent]) -> Registry {
    let records: Vec<_> = (1..).zip(events).map(|(i, event)| record(registry.pos().0 + i, event)).collect();
    registry.after(&records).unwrap()
}

fn record(pos: u64, event: &ControlEvent) -> ControlRecord {
    ControlRecord { pos: Pos(pos), at: NOW, event: event.clone() }
}

/// The article's agent with another line under `spec`.
pub(crate) fn article_with(lines: &str) -> String {
    format!("{ARTICLE}\n{lines}\n")
}

pub(crate) fn grant(world: &mut World, autonomy: Autonomy) {
    let (agent, revision) = (world.principal.link.agent.clone(), world.principal.link.revision);
    let by = "person/ana".to_owned();
    world.happened(ControlEvent::AutonomyGranted { agent, revision, autonomy, report: None, by });
}
