//! The registry: who and what there is, folded from the control shard. A snapshot never changes; the gate puts the
//! next one in its place. What must never be known here: sessions, money spent.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use domain::budget::{BudgetKey, Subject, Zone};
use domain::clock::Timestamp;
use domain::control::{Applied, CapChange, ControlEvent, ControlRecord, HumanCase, KeyHolder, Kind, Scope, Webhook};
use domain::descriptor::{Agent, Capability, Descriptor, McpServer, ModelProvider, NotCanonical};
use domain::heard::Words;
use domain::id::{ApprovalId, Digest, Name, Pos};
use domain::principal::Autonomy;
use serde_json::Value;

use crate::budget::Caps;
use crate::change::Changes;
use crate::channels::{ChannelEntry, Channels};
use crate::error::ControlError;
use crate::grants::Standing;
use crate::identity::scope_text;
use crate::policy::Rules;
use crate::policy::applied::{Policies, PolicyEntry};

/// One revision of an agent. The agent's entry is its current one.
#[derive(Debug, Clone)]
pub struct AgentEntry {
    /// The hash of its descriptor.
    pub revision: Digest,
    /// The descriptor.
    pub descriptor: Arc<Agent>,
    /// What it allows.
    pub rules: Arc<Rules>,
    /// When it was applied.
    pub at: Timestamp,
    /// Who applied it.
    pub by: String,
    said: Arc<OnceLock<Words>>,
}

impl AgentEntry {
    /// What its instructions say, taken apart once.
    pub fn words(&self) -> &Words {
        self.said.get_or_init(|| Words::of(self.descriptor.spec.instructions.text()))
    }
}

/// Another applied descriptor, at its latest revision.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    /// The hash of its content.
    pub revision: Digest,
    /// The descriptor.
    pub descriptor: Arc<T>,
    /// When it was applied.
    pub at: Timestamp,
    /// Who applied it.
    pub by: String,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The groups they belong to.
    pub groups: Vec<Name>,
}

/// A key; the key itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Whose.
    pub holder: KeyHolder,
    /// SHA-256 of the key.
    pub hash: Digest,
    /// When it was made.
    pub at: Timestamp,
    /// Whether it is void.
    pub revoked: bool,
}

/// Something that was stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// Why.
    pub reason: String,
    /// Who stopped it.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
}

/// A person's word on how much one revision may do on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// How much.
    pub autonomy: Autonomy,
    /// The hash of the report that it rests on.
    pub report: Option<Digest>,
    /// Who gave it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Somebody outside who is called when something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEntry {
    /// Who, and when.
    pub webhook: Webhook,
    /// Where it was recorded: one that is added again under the same name is another.
    pub pos: Pos,
    /// When it was added.
    pub at: Timestamp,
    /// Who added it.
    pub by: String,
    /// Why it is called no more.
    pub stopped: Option<String>,
}

/// What people set that an agent or an owner group may spend, beside what descriptors say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapsSet {
    /// The most, by meter and window.
    pub caps: Caps,
    /// Whose midnight and full hour begin a window.
    pub zone: Zone,
    /// Who set any of it last.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// More that somebody allowed in one window of a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// How much, in the meter's unit.
    pub amount: i64,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// The request that it answers, where a call asked for it.
    pub approval: Option<ApprovalId>,
}

/// What a person did, case by case; one case may hold several deeds.
pub type Cases = BTreeMap<String, Vec<Value>>;

/// Everything there is, at one position of the control shard.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    pos: Pos,
    agents: BTreeMap<Name, AgentEntry>,
    revisions: BTreeMap<(Name, Digest), AgentEntry>,
    capabilities: BTreeMap<Name, Entry<Capability>>,
    servers: BTreeMap<Name, Entry<McpServer>>,
    providers: BTreeMap<Name, Entry<ModelProvider>>,
    policies: Policies,
    people: BTreeMap<Name, Person>,
    keys: BTreeMap<String, Key>,
    freezes: BTreeMap<Scope, Freeze>,
    /// What was let go on, and where that is recorded.
    thawed: BTreeMap<Scope, Pos>,
    grants: BTreeMap<(Name, Digest), Grant>,
    cases: BTreeMap<Name, Arc<Cases>>,
    webhooks: BTreeMap<Name, WebhookEntry>,
    channels: Channels,
    caps: BTreeMap<Subject, CapsSet>,
    raises: BTreeMap<(BudgetKey, Timestamp), Vec<Raised>>,
    /// The most that an hour of compute time has ever cost of any agent, in micro-dollars.
    dearest_compute: i64,
    standing: BTreeMap<Name, Standing>,
    changes: Changes,
}

impl Registry {
    /// This registry and what happened since.
    pub fn after(&self, records: &[ControlRecord]) -> Result<Registry, ControlError> {
        let mut next = self.clone();
        for record in records {
            next.fold(record)?;
            next.pos = next.pos.max(record.pos);
        }
        Ok(next)
    }

    /// The most that an hour of compute time has ever cost of any agent, in micro-dollars.
    pub fn dearest_compute(&self) -> i64 {
        self.dearest_compute
    }

    /// The position of the last record folded.
    pub fn pos(&self) -> Pos {
        self.pos
    }

    /// An agent at its current revision; `None` if it was never applied or was deleted.
    pub fn agent(&self, name: &Name) -> Option<&AgentEntry> {
        self.agents.get(name)
    }

    /// The changes that were proposed, and the revisions that there were.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// A protected agent, deleted or not, as it is or was last.
    pub fn protected(&self, name: &Name) -> Option<(&Name, &AgentEntry)> {
        let found = self.agents.get_key_value(name).or_else(|| self.changes.gone(name));
        found.filter(|(_, entry)| entry.descriptor.metadata.protected)
    }

    /// All agents, by name.
    pub fn agents(&self) -> impl Iterator<Item = (&Name, &AgentEntry)> {
        self.agents.iter()
    }

    /// Any revision that an agent ever had.
    pub fn revision(&self, agent: &Name, revision: Digest) -> Option<&AgentEntry> {
        self.revisions.get(&(agent.clone(), revision))
    }

    /// All revisions that agents ever had.
    pub fn revisions(&self) -> impl Iterator<Item = (&Name, &AgentEntry)> {
        self.revisions.iter().map(|((name, _), entry)| (name, entry))
    }

    /// A capability.
    pub fn capability(&self, name: &Name) -> Option<&Entry<Capability>> {
        self.capabilities.get(name)
    }

    /// All capabilities, by name.
    pub fn capabilities(&self) -> impl Iterator<Item = (&Name, &Entry<Capability>)> {
        self.capabilities.iter()
    }

    /// An upstream MCP server.
    pub fn server(&self, name: &Name) -> Option<&Entry<McpServer>> {
        self.servers.get(name)
    }

    /// All upstream MCP servers, by name.
    pub fn servers(&self) -> impl Iterator<Item = (&Name, &Entry<McpServer>)> {
        self.servers.iter()
    }

    /// A model API.
    pub fn provider(&self, name: &Name) -> Option<&Entry<ModelProvider>> {
        self.providers.get(name)
    }

    /// All model APIs, by name.
    pub fn providers(&self) -> impl Iterator<Item = (&Name, &Entry<ModelProvider>)> {
        self.providers.iter()
    }

    /// A policy.
    pub fn policy(&self, name: &Name) -> Option<&PolicyEntry> {
        self.policies.get(name)
    }

    /// All policies that were applied, by name.
    pub fn policies(&self) -> impl Iterator<Item = (&Name, &PolicyEntry)> {
        self.policies.all()
    }

    /// The policies that cover an agent, by name.
    pub fn covering<'a>(&'a self, agent: &'a Name) -> impl Iterator<Item = (&'a Name, &'a PolicyEntry)> {
        self.policies.covering(agent)
    }

    /// The hash of the policies that cover an agent, the product's own included.
    pub fn policy_set(&self, agent: &Name) -> Digest {
        self.policies.set(agent)
    }

    /// A person.
    pub fn person(&self, name: &Name) -> Option<&Person> {
        self.people.get(name)
    }

    /// All people, by name.
    pub fn people(&self) -> impl Iterator<Item = (&Name, &Person)> {
        self.people.iter()
    }

    /// A key by its public id, revoked ones included.
    pub fn key(&self, id: &str) -> Option<&Key> {
        self.keys.get(id)
    }

    /// All keys by their public ids, revoked ones included.
    pub fn keys(&self) -> impl Iterator<Item = (&String, &Key)> {
        self.keys.iter()
    }

    /// Whether exactly this is frozen.
    pub fn frozen(&self, scope: &Scope) -> Option<&Freeze> {
        self.freezes.get(scope)
    }

    /// All that is frozen.
    pub fn freezes(&self) -> impl Iterator<Item = (&Scope, &Freeze)> {
        self.freezes.iter()
    }

    /// What was frozen and is no more, of what was let go on after a position.
    pub fn thawed_since(&self, pos: Pos) -> impl Iterator<Item = &Scope> {
        self.thawed.iter().filter(move |(_, at)| **at > pos).map(|(scope, _)| scope)
    }

    /// How much a revision may do on its own: what a person granted it, else what its descriptor says.
    pub fn autonomy(&self, agent: &Name, revision: Digest) -> Option<Autonomy> {
        let granted = self.grant(agent, revision).map(|grant| grant.autonomy);
        granted.or_else(|| self.revision(agent, revision).map(|entry| entry.rules.autonomy))
    }

    /// What a person granted a revision.
    pub fn grant(&self, agent: &Name, revision: Digest) -> Option<&Grant> {
        self.grants.get(&(agent.clone(), revision))
    }

    /// Who outside is called, by name.
    pub fn webhooks(&self) -> impl Iterator<Item = (&Name, &WebhookEntry)> {
        self.webhooks.iter()
    }

    /// One of them.
    pub fn webhook(&self, name: &Name) -> Option<&WebhookEntry> {
        self.webhooks.get(name)
    }

    /// Where a person is told what waits for them.
    pub fn channel(&self, person: &Name) -> Option<&ChannelEntry> {
        self.channels.of(person)
    }

    /// Everybody's channel, by person.
    pub fn channels(&self) -> impl Iterator<Item = (&Name, &ChannelEntry)> {
        self.channels.all()
    }

    /// What people set that somebody may spend.
    pub fn caps_set(&self, subject: &Subject) -> Option<&CapsSet> {
        self.caps.get(subject)
    }

    /// Everybody of whom something is set.
    pub fn all_caps_set(&self) -> impl Iterator<Item = (&Subject, &CapsSet)> {
        self.caps.iter()
    }

    /// How much more was allowed in one window of a budget.
    pub fn raised(&self, budget: &BudgetKey, window_start: Timestamp) -> i64 {
        self.raises(budget, window_start).iter().fold(0, |sum, raise| sum.saturating_add(raise.amount))
    }

    /// Each time that more was allowed in one window of a budget.
    pub fn raises(&self, budget: &BudgetKey, window_start: Timestamp) -> &[Raised] {
        // Nobody raises most budgets: no key is made to look in an empty table.
        if self.raises.is_empty() {
            return &[];
        }
        self.raises.get(&(budget.clone(), window_start)).map_or(&[], Vec::as_slice)
    }

    /// A standing grant, whether it holds or not.
    pub fn standing(&self, name: &Name) -> Option<&Standing> {
        self.standing.get(name)
    }

    /// Every standing grant, by name.
    pub fn all_standing(&self) -> impl Iterator<Item = (&Name, &Standing)> {
        self.standing.iter()
    }

    /// The standing grants of an agent that nobody ended.
    pub fn standing_of(&self, agent: &Name) -> impl Iterator<Item = (&Name, &Standing)> {
        self.standing.iter().filter(move |(_, standing)| standing.over.is_none() && standing.grant.agent == *agent)
    }

    /// What people did in the cases of an agent.
    pub fn cases(&self, agent: &Name) -> Arc<Cases> {
        self.cases.get(agent).cloned().unwrap_or_default()
    }

    /// The revision in force of any resource.
    pub fn current(&self, kind: Kind, name: &Name) -> Option<Digest> {
        match kind {
            Kind::Agent => self.agents.get(name).map(|entry| entry.revision),
            Kind::Capability => self.capabilities.get(name).map(|entry| entry.revision),
            Kind::McpServer => self.servers.get(name).map(|entry| entry.revision),
            Kind::ModelProvider => self.providers.get(name).map(|entry| entry.revision),
            Kind::Policy => self.policies.get(name).map(|policy| policy.entry.revision),
        }
    }

    fn fold(&mut self, record: &ControlRecord) -> Result<(), ControlError> {
        let at = record.at;
        match &record.event {
            ControlEvent::Applied { resources, by, reason } => {
                let unreadable = |reason: String| ControlError::Unreadable { pos: record.pos, reason };
                for applied in resources {
                    self.applied(applied, (by, reason), at)
                        .map_err(|e| unreadable(format!("{} {}: {e}", applied.kind, applied.name)))?;
                }
                self.supersede(by, at);
            }
            ControlEvent::Deleted { of, name, by } => {
                self.deleted(*of, name);
                self.supersede(by, at);
            }
            ControlEvent::PersonAdded { person, groups } => {
                self.people.insert(person.clone(), Person { groups: groups.clone() });
            }
            ControlEvent::KeyAdded { id, key_of, hash } => {
                let key = Key { holder: key_of.clone(), hash: *hash, at, revoked: false };
                self.keys.insert(id.clone(), key);
            }
            ControlEvent::KeyRevoked { id } => {
                if let Some(key) = self.keys.get_mut(id) {
                    key.revoked = true;
                    if let KeyHolder::Person { person } = &key.holder {
                        self.channels.forget(person);
                    }
                }
            }
            ControlEvent::Frozen { what, reason, by } => {
                self.end_standing(&format!("{} froze {}", by, scope_text(what)), |standing| standing.ends_with(what));
                self.thawed.remove(what);
                self.freezes.insert(what.clone(), Freeze { reason: reason.clone(), by: by.clone(), at });
            }
            ControlEvent::Unfrozen { what, .. } => {
                self.freezes.remove(what);
                self.thawed.insert(what.clone(), record.pos);
            }
            ControlEvent::CasesImported { agent, cases, .. } => self.imported(agent, cases),
            ControlEvent::AutonomyGranted { agent, revision, autonomy, report, by } => {
                let grant = Grant { autonomy: *autonomy, report: *report, by: by.clone(), at };
                self.grants.insert((agent.clone(), *revision), grant);
            }
            ControlEvent::WebhookAdded { .. }
            | ControlEvent::WebhookStopped { .. }
            | ControlEvent::WebhookDeleted { .. }
            | ControlEvent::ChannelSet { .. }
            | ControlEvent::ChannelRemoved { .. } => self.told_outside(&record.event, (record.pos, at)),
            ControlEvent::BudgetSet { .. } | ControlEvent::BudgetRaised { .. } => self.budget(&record.event, at),
            ControlEvent::GrantGiven { .. }
            | ControlEvent::GrantSeconded { .. }
            | ControlEvent::GrantRevoked { .. } => self.stands(&record.event, at),
            ControlEvent::ChangeProposed { .. }
            | ControlEvent::ChangeDecided { .. }
            | ControlEvent::ChangeClosed { .. } => self.changes.fold(&record.event, at),
        }
        Ok(())
    }

    /// Who outside is told something, programs and people.
    fn told_outside(&mut self, event: &ControlEvent, (pos, at): (Pos, Timestamp)) {
        self.channels.fold(event, (pos, at));
        if let ControlEvent::WebhookAdded { name, webhook, by } = event {
            let entry = WebhookEntry { webhook: webhook.clone(), pos, at, by: by.clone(), stopped: None };
            self.webhooks.insert(name.clone(), entry);
        } else if let ControlEvent::WebhookStopped { name, reason } = event {
            if let Some(entry) = self.webhooks.get_mut(name) {
                entry.stopped = Some(reason.clone());
            }
        } else if let ControlEvent::WebhookDeleted { name, .. } = event {
            self.webhooks.remove(name);
        }
    }

    fn stands(&mut self, event: &ControlEvent, at: Timestamp) {
        if let ControlEvent::GrantGiven { name, grant, person } = event {
            let standing = Standing { grant: grant.clone(), by: vec![person.clone()], at, over: None };
            self.standing.insert(name.clone(), standing);
        } else if let ControlEvent::GrantSeconded { name, person } = event {
            if let Some(standing) = self.standing.get_mut(name) {
                standing.by.push(person.clone());
            }
        } else if let ControlEvent::GrantRevoked { name: revoked, by, reason } = event {
            let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            if let Some(standing) = self.standing.get_mut(revoked) {
                standing.over = Some(format!("{by} revoked it{why}"));
            }
        }
    }

    fn end_standing(&mut self, why: &str, of: impl Fn(&Standing) -> bool) {
        for standing in self.standing.values_mut().filter(|standing| standing.over.is_none() && of(standing)) {
            standing.over = Some(why.to_owned());
        }
    }

    fn budget(&mut self, event: &ControlEvent, at: Timestamp) {
        if let ControlEvent::BudgetSet { subject, caps, timezone, by } = event {
            let set = self.caps.entry(subject.clone()).or_default();
            set.change(caps, timezone.as_ref());
            (set.by, set.at) = (by.clone(), at);
        } else if let ControlEvent::BudgetRaised { budget, window_start, amount, reason, by, approval } = event {
            let (reason, by) = (reason.clone(), by.clone());
            let raised = Raised { amount: *amount, reason, by, at, approval: *approval };
            self.raises.entry((budget.clone(), *window_start)).or_default().push(raised);
        }
    }

    /// Ends the proposals that were made from what is not so any more.
    fn supersede(&mut self, by: &str, at: Timestamp) {
        let mut changes = std::mem::take(&mut self.changes);
        changes.supersede(|target| self.current(target.of, &target.name), by, at);
        self.changes = changes;
    }

    fn applied(&mut self, applied: &Applied, (by, reason): (&str, &str), at: Timestamp) -> Result<(), NotCanonical> {
        let Applied { kind, name, revision, descriptor } = applied;
        match Descriptor::from_canonical(*kind, descriptor)? {
            Descriptor::Agent(agent) => {
                let rules = Arc::new(Rules::of(&agent));
                self.dearest_compute = self.dearest_compute.max(agent.spec.compute_usd_per_hour.0);
                let Entry { revision, descriptor, at, by } = entry(*agent, *revision, by, at);
                let entry = AgentEntry { revision, descriptor, rules, at, by, said: Arc::default() };
                self.end_standing("the agent's descriptor changed", |standing| {
                    standing.grant.agent == *name && standing.grant.revision != revision
                });
                self.revisions.entry((name.clone(), revision)).or_insert_with(|| entry.clone());
                self.changes.applied(name, &entry, reason);
                self.agents.insert(name.clone(), entry);
            }
            Descriptor::Capability(capability) => {
                if self.current(Kind::Capability, name).is_some_and(|current| current != *revision) {
                    self.end_standing("its capability changed", |standing| standing.grant.capability.name() == name);
                }
                self.capabilities.insert(name.clone(), entry(capability, *revision, by, at));
            }
            Descriptor::McpServer(server) => {
                self.servers.insert(name.clone(), entry(server, *revision, by, at));
            }
            Descriptor::ModelProvider(provider) => {
                self.providers.insert(name.clone(), entry(provider, *revision, by, at));
            }
            Descriptor::Policy(policy) => self.policies.insert(name, entry(policy, *revision, by, at)),
        }
        Ok(())
    }

    fn deleted(&mut self, kind: Kind, name: &Name) {
        match kind {
            Kind::Agent => {
                // Trust that was given is not inherited by whoever gets the name next.
                self.grants.retain(|(agent, _), _| agent != name);
                self.end_standing("the agent was deleted", |standing| standing.grant.agent == *name);
                self.agents.remove(name).into_iter().for_each(|entry| self.changes.deleted(name, entry));
            }
            Kind::Capability => {
                self.capabilities.remove(name);
            }
            Kind::McpServer => {
                self.servers.remove(name);
            }
            Kind::ModelProvider => {
                self.providers.remove(name);
            }
            Kind::Policy => self.policies.remove(name),
        }
    }

    /// What is imported again replaces what was known of the same cases.
    fn imported(&mut self, agent: &Name, cases: &[HumanCase]) {
        let known = Arc::make_mut(self.cases.entry(agent.clone()).or_default());
        for HumanCase { case, .. } in cases {
            known.insert(case.clone(), Vec::new());
        }
        for HumanCase { case, did } in cases {
            known.entry(case.clone()).or_default().push(did.clone());
        }
    }
}

impl CapsSet {
    fn change(&mut self, changes: &[CapChange], timezone: Option<&Zone>) {
        for CapChange { meter, window, cap } in changes {
            match cap {
                Some(cap) => self.caps.insert((*meter, *window), *cap),
                None => self.caps.remove(&(*meter, *window)),
            };
        }
        if let Some(zone) = timezone {
            self.zone = zone.clone();
        }
    }
}

fn entry<T>(descriptor: T, revision: Digest, by: &str, at: Timestamp) -> Entry<T> {
    Entry { revision, descriptor: Arc::new(descriptor), at, by: by.to_owned() }
}
