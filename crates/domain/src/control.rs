//! Everything that can happen to authority: the records of the control shard. The registry is their fold.
//! Persisted: kinds and fields are only ever added.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::{BudgetKey, Meter, Subject, Window, Zone};
use crate::capability::CapabilityRef;
use crate::change::{Closed, Proposal};
use crate::clock::Timestamp;
use crate::expression::Expression;
use crate::id::{ApprovalId, Digest, Name, SessionId};
use crate::principal::Autonomy;

/// A kind of descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// An agent.
    Agent,
    /// A capability.
    Capability,
    /// An upstream MCP server.
    McpServer,
    /// A model API.
    ModelProvider,
    /// Rules of Cedar.
    Policy,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Agent => "Agent",
            Kind::Capability => "Capability",
            Kind::McpServer => "McpServer",
            Kind::ModelProvider => "ModelProvider",
            Kind::Policy => "Policy",
        })
    }
}

/// One applied descriptor: its canonical JSON, addressed by the hash of its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// Its kind.
    pub kind: Kind,
    /// Its `metadata.name`.
    pub name: Name,
    /// The hash of its canonical JSON, referenced files included.
    pub revision: Digest,
    /// The descriptor, valid, with referenced files resolved into text.
    pub descriptor: Value,
}

/// What a freeze stops.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "snake_case")]
pub enum Scope {
    /// One session.
    Session {
        /// Which.
        session: SessionId,
    },
    /// Every session of an agent.
    Agent {
        /// Which.
        agent: Name,
    },
    /// Every session of one revision.
    Revision {
        /// Which.
        revision: Digest,
    },
    /// Everything on behalf of a person.
    Person {
        /// Who.
        person: Name,
    },
    /// Everything.
    All,
}

/// As people say it, and as it is read again: `all`, `agent NAME`, `session ID`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Session { session } => write!(f, "session {session}"),
            Scope::Agent { agent } => write!(f, "agent {agent}"),
            Scope::Revision { revision } => write!(f, "revision {revision}"),
            Scope::Person { person } => write!(f, "person {person}"),
            Scope::All => f.write_str("all"),
        }
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let (kind, which) = text.split_once(' ').unwrap_or((text, ""));
        let scope = match kind {
            "session" => which.parse().ok().map(|session| Scope::Session { session }),
            "agent" => which.parse().ok().map(|agent| Scope::Agent { agent }),
            "revision" => which.parse().ok().map(|revision| Scope::Revision { revision }),
            "person" => which.parse().ok().map(|person| Scope::Person { person }),
            "all" => which.is_empty().then_some(Scope::All),
            _ => None,
        };
        scope.ok_or(UnknownScope)
    }
}

/// A text that is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a scope is `all`, or `session`, `agent`, `revision` or `person` and which")]
pub struct UnknownScope;

/// Whose key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "holder", rename_all = "snake_case")]
pub enum KeyHolder {
    /// An administrator.
    Admin,
    /// A person.
    Person {
        /// Who.
        person: Name,
    },
    /// An agent.
    Agent {
        /// Which.
        agent: Name,
    },
}

/// One case that a person decided, imported for comparison with a shadow-run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HumanCase {
    /// The case's key.
    pub case: String,
    /// What the person did: the columns of the import, as text.
    pub did: Value,
}

/// Who is called when something happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where.
    pub url: String,
    /// The name of the secret that signs; the secret itself is not kept.
    pub secret: String,
    /// When events of these kinds happen; empty: of any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// When they are of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Name>,
    /// Whether the address may be a private one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_private: bool,
    /// The feed's cursor that it begins behind.
    pub after: String,
    /// Whether it is called for people who chose it as their channel, and for nothing else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub for_people: bool,
}

/// Where a person is told what waits for them, with a link to answer it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Channel {
    /// A webhook that an administrator added for people.
    Webhook {
        /// Its name.
        webhook: Name,
    },
    /// Mail.
    Mail {
        /// Their address.
        address: String,
    },
}

/// As people say it: `webhook desk`, `mail ana@example.com`.
impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Channel::Webhook { webhook } => write!(f, "webhook {webhook}"),
            Channel::Mail { address } => write!(f, "mail {address}"),
        }
    }
}

/// What people let an agent do without asking each time: one capability, until an end, up to a cap. It holds for the
/// revision that it was given to, and for no other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StandingGrant {
    /// The agent.
    pub agent: Name,
    /// Its revision when it was given.
    pub revision: Digest,
    /// The capability.
    pub capability: CapabilityRef,
    /// Only calls of which this is true, over `args`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expression>,
    /// Only calls worth no more than this, each, in micro-dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each_usd_micros: Option<i64>,
    /// What all of them together may be worth, in micro-dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_micros: Option<i64>,
    /// How many calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<i64>,
    /// When it ends.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
}

/// One thing that happened to authority.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ControlEvent {
    /// Descriptors were applied, all or none.
    Applied {
        /// In the order of the file.
        resources: Vec<Applied>,
        /// Who applied them.
        by: String,
        /// Why, where they said so.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// A descriptor was deleted; sessions that run finish or are killed apart.
    Deleted {
        /// Its kind.
        of: Kind,
        /// Its name.
        name: Name,
        /// Who deleted it.
        by: String,
    },
    /// A person was added, or their groups changed.
    PersonAdded {
        /// Who.
        person: Name,
        /// The groups they belong to.
        groups: Vec<Name>,
    },
    /// A key was made; only its hash is kept.
    KeyAdded {
        /// Its public id.
        id: String,
        /// Whose.
        key_of: KeyHolder,
        /// SHA-256 of the key.
        hash: Digest,
    },
    /// A key was revoked.
    KeyRevoked {
        /// Its public id.
        id: String,
    },
    /// Something was stopped.
    Frozen {
        /// What.
        what: Scope,
        /// Why.
        reason: String,
        /// Who stopped it.
        by: String,
    },
    /// Something was let go on.
    Unfrozen {
        /// What.
        what: Scope,
        /// Who let it.
        by: String,
    },
    /// What people did, for comparison with a shadow-run.
    CasesImported {
        /// The agent compared.
        agent: Name,
        /// The cases.
        cases: Vec<HumanCase>,
        /// Who imported them.
        by: String,
    },
    /// A person gave an agent's revision more, or less, autonomy.
    AutonomyGranted {
        /// The agent.
        agent: Name,
        /// The revision that it holds for.
        revision: Digest,
        /// How much.
        autonomy: Autonomy,
        /// The hash of the report that it rests on.
        report: Option<Digest>,
        /// Who gave it.
        by: String,
    },
    /// Somebody outside is to be called when something happens.
    WebhookAdded {
        /// Its name.
        name: Name,
        /// Who, and when.
        webhook: Webhook,
        /// Who added it.
        by: String,
    },
    /// A receiver said that it is gone: it is called no more.
    WebhookStopped {
        /// Its name.
        name: Name,
        /// What it said.
        reason: String,
    },
    /// It is not to be called any more.
    WebhookDeleted {
        /// Its name.
        name: Name,
        /// Who deleted it.
        by: String,
    },
    /// A person said where they are told what waits for them. Nobody says it for them.
    ChannelSet {
        /// Who.
        person: Name,
        /// Where.
        channel: Channel,
        /// The feed's cursor that it begins behind.
        after: String,
    },
    /// A person is told there no more.
    ChannelRemoved {
        /// Who.
        person: Name,
        /// Who removed it.
        by: String,
    },
    /// Somebody set what an agent or an owner group may spend, beside what descriptors say.
    BudgetSet {
        /// Whose.
        subject: Subject,
        /// What changed; the rest stays as it was.
        caps: Vec<CapChange>,
        /// Whose midnight and full hour begin a window, from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timezone: Option<Zone>,
        /// Who set it.
        by: String,
    },
    /// A person let an agent do something without asking each time.
    GrantGiven {
        /// Its name.
        name: Name,
        /// What.
        grant: StandingGrant,
        /// Who.
        person: Name,
    },
    /// Another person let it, too: where consent takes several, so does a grant.
    GrantSeconded {
        /// Its name.
        name: Name,
        /// Who.
        person: Name,
    },
    /// It holds no more.
    GrantRevoked {
        /// Its name.
        name: Name,
        /// Who revoked it.
        by: String,
        /// Why.
        reason: String,
    },
    /// A change waits for a second person; nothing of it is in force.
    ChangeProposed {
        /// Its name.
        name: Name,
        /// What.
        proposal: Proposal,
    },
    /// A person said yes or no to it. What comes into force with the last yes stands in the same record.
    ChangeDecided {
        /// Its name.
        name: Name,
        /// Who.
        person: Name,
        /// Yes or no.
        approved: bool,
        /// Why.
        reason: String,
        /// Whether it is in force with this.
        in_force: bool,
    },
    /// It is over without people's word.
    ChangeClosed {
        /// Its name.
        name: Name,
        /// How it ended.
        how: Closed,
        /// Who ended it.
        by: String,
        /// Why.
        reason: String,
    },
    /// Somebody allowed more in one window of a budget.
    BudgetRaised {
        /// Which.
        budget: BudgetKey,
        /// Which window: when it began.
        window_start: Timestamp,
        /// How much more, in the meter's unit.
        amount: i64,
        /// Why.
        reason: String,
        /// Who allowed it.
        by: String,
        /// The request that it answers, where a call asked for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approval: Option<ApprovalId>,
    },
}

/// A cap that was set or lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapChange {
    /// Of what.
    pub meter: Meter,
    /// Per what.
    pub window: Window,
    /// The most, in the meter's unit; `None`: not bounded any more.
    pub cap: Option<i64>,
}

impl ControlEvent {
    /// Every kind, as it is persisted.
    pub const KINDS: &[&str] = &[
        "applied",
        "deleted",
        "person_added",
        "key_added",
        "key_revoked",
        "frozen",
        "unfrozen",
        "cases_imported",
        "autonomy_granted",
        "webhook_added",
        "webhook_stopped",
        "webhook_deleted",
        "channel_set",
        "channel_removed",
        "budget_set",
        "budget_raised",
        "grant_given",
        "grant_seconded",
        "grant_revoked",
        "change_proposed",
        "change_decided",
        "change_closed",
    ];
}

/// A control event with where and when it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlRecord {
    /// Its position in the control shard.
    pub pos: crate::id::Pos,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: ControlEvent,
}
