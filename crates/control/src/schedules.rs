//! Schedules of agents. The next instant at which each falls due is mail posted ahead, a tick; a tick that comes due
//! becomes the message that starts a session, and the next tick. Both have ids made of the trigger and its instant: a
//! tick that comes twice does nothing more. What must never be known here: how mail is delivered.
//!
//! ```text
//! apply ─▶ ticks ─▶ mail, due at the next instant ─▶ fire ─▶ message for a session, and the tick after it
//! ```

use std::collections::BTreeMap;

use domain::clock::Timestamp;
use domain::control::Scope;
use domain::descriptor::{On, Trigger};
use domain::id::{MailId, Name, SessionId};
use domain::mail::{Firing, Mail, MailBody};
use domain::message::{Message, Origin, Role};
use domain::schedule::Schedule;

use crate::error::ControlError;
use crate::gate::Gate;
use crate::registry::{AgentEntry, Registry};
use crate::start::{For, start};

/// Which schedule: its agent, and its name among the agent's triggers.
pub type Which = (Name, Name);

/// All schedules of the agents that there are.
fn all(registry: &Registry) -> impl Iterator<Item = (Which, &Schedule)> {
    registry.agents().flat_map(|(agent, entry)| {
        let schedules = entry.descriptor.spec.triggers.iter().filter_map(schedule_of);
        schedules.map(|(trigger, schedule)| ((agent.clone(), trigger.name.clone()), schedule))
    })
}

/// The mail that is due when a schedule is next: at this instant.
fn tick((agent, trigger): &Which, due: Timestamp) -> Mail {
    let id = mail_id(format!("tick:{agent}:{trigger}:{}", due.0));
    let body = MailBody::Tick { agent: agent.clone(), trigger: trigger.clone() };
    Mail { id, session: SessionId::for_trigger(agent, trigger), due, body }
}

/// Keeps the next tick of every schedule posted.
#[derive(Debug, Default)]
pub struct Keeper {
    posted: BTreeMap<Which, Timestamp>,
}

impl Keeper {
    /// Posts the ticks that it did not post yet. To be asked at start, whenever the control plane changed, and now and
    /// then, for a clock may be set back.
    ///
    /// # Errors
    /// When the control plane's record cannot be read, or the mail not be posted: it is asked again later.
    pub async fn look(&mut self, gate: &Gate) -> Result<(), ControlError> {
        let registry = gate.refresh().await?;
        let now = gate.log().clock().now();
        let due = all(&registry).filter_map(|(which, schedule)| Some((which, schedule.after(now)?)));
        let next: BTreeMap<Which, Timestamp> = due.collect();
        let new = next.iter().filter(|(which, due)| self.posted.get(*which) != Some(*due));
        gate.log().post(new.map(|(which, due)| tick(which, *due)).collect()).await?;
        self.posted = next;
        Ok(())
    }
}

/// What comes of a tick that was due at `due`. Nothing, where its schedule is gone or falls due at other instants now.
/// Instants between `due` and now are passed over: what was missed is made up for once.
///
/// # Errors
/// When the control plane's record cannot be read: whoever asks asks again.
pub async fn fire(gate: &Gate, which: &Which, due: Timestamp) -> Result<Firing, ControlError> {
    let registry = gate.refresh().await?;
    let now = gate.log().clock().now();
    let (agent, trigger) = which;
    let Some(entry) = registry.agent(agent) else { return Ok(Firing::default()) };
    let named = entry.descriptor.spec.triggers.iter().find(|one| one.name == *trigger);
    let Some((found, schedule)) = named.and_then(schedule_of) else { return Ok(Firing::default()) };
    if schedule.after(due.plus_ms(-1)) != Some(due) {
        return Ok(Firing::default());
    }
    let next = schedule.after(due.max(now)).map(|next| tick(which, next));
    let (message, skipped) = match held_up(gate, &registry, agent, entry) {
        Some(why) => (None, Some(why)),
        None => match message(&registry, agent, found, due, now) {
            Ok(message) => (Some(message), None),
            Err(why) => (None, Some(why)),
        },
    };
    Ok(Firing { mail: message.into_iter().chain(next).collect(), skipped })
}

/// The caller's name of the session that a firing starts.
pub fn session_key(trigger: &Name, due: Timestamp) -> String {
    format!("cron/{trigger}/{due}")
}

fn schedule_of(trigger: &Trigger) -> Option<(&Trigger, &Schedule)> {
    match &trigger.on {
        On::Cron { schedule, .. } => Some((trigger, schedule)),
        On::Webhook { .. } => None,
    }
}

/// Why an agent starts nothing by itself now, if so.
fn held_up(gate: &Gate, registry: &Registry, agent: &Name, entry: &AgentEntry) -> Option<String> {
    let scopes = [Scope::All, Scope::Agent { agent: agent.clone() }, Scope::Revision { revision: entry.revision }];
    if let Some(freeze) = scopes.iter().find_map(|scope| registry.frozen(scope)) {
        return Some(format!("{agent} is frozen since {}: {}", freeze.at, freeze.reason));
    }
    let lacks = gate.ready(agent).into_iter().find(|condition| !condition.ok)?;
    Some(format!("{agent} is not ready: {} Next: {}", lacks.reason, lacks.next))
}

fn message(
    registry: &Registry,
    agent: &Name,
    trigger: &Trigger,
    due: Timestamp,
    now: Timestamp,
) -> Result<Mail, String> {
    let On::Cron { input, .. } = &trigger.on else { return Err("it is no schedule".to_owned()) };
    let name = &trigger.name;
    let what = For { key: session_key(name, due), input: input.as_ref(), ..For::default() };
    let start = start(registry, agent, what).map_err(|why| why.to_string())?;
    let words = match input {
        Some(input) => input.to_string(),
        None => format!("The schedule {name} is due ({due}). Do what your instructions say."),
    };
    let session = start.principal.link.session;
    let message = Message::text(Role::Person, Origin::Descriptor, words);
    let body = MailBody::Message { start: Box::new(start), from: None, message };
    Ok(Mail { id: mail_id(format!("cron:{name}:{}", due.0)), session, due: now, body })
}

fn mail_id(text: String) -> MailId {
    text.parse().expect("two names and an instant are printable and short")
}
