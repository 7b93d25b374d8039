//! Calls performed inside the runtime: memory, reasoning tools, delegation. The gate has been asked; nothing leaves, so intent
//! and outcome are one record. What must not be known here: anything outside the process.

mod calculate;
pub(crate) mod delegate;
mod memory;
mod timer;

use data::rows::Rows;
use domain::budget::Amounts;
use domain::call::{CallOutcome, Settlement};
use domain::decision::{Wait, WaitFor};
use domain::event::Event;
use domain::message::{Content, Message, Origin, Part, Role, Trust};
use domain::session::Session;
use gateway::LocalCall;

use crate::scheduler::Parts;

/// What a local call came to: the words for the model, or an error for it.
pub(crate) struct Said {
    pub text: Result<String, String>,
    pub origin: Origin,
    pub trust: Trust,
    pub rows: Rows,
}

impl Said {
    fn plain(text: Result<String, String>) -> Self {
        Said { text, origin: Origin::Runtime, trust: Trust::Trusted, rows: Rows::default() }
    }
}

/// Performs it and adds its outcome to the rows of its intent.
pub(crate) async fn perform(parts: &Parts, session: &Session, mut rows: Rows, local: LocalCall) -> Rows {
    if let Some(start) = local.delegates.as_deref().cloned() {
        return delegate::begin(parts, session, rows, &local, start);
    }
    let name = local.capability.name().as_str();
    let now = parts.log.clock().now();
    let said = match name {
        "remember" | "recall" | "forget" => memory::perform(parts, session, &local).await,
        "calculate" => Said::plain(calculate::perform(&local.arguments)),
        "now" => Said::plain(Ok(now.to_string())),
        "timer" => {
            let settled = session.open.get(&local.call.ordinal).and_then(|open| open.timer);
            match timer::perform(&local.arguments, settled, now) {
                timer::Told::Said(text) => Said::plain(text),
                timer::Told::Until(until) => {
                    // Nothing is done yet: what it held is given back, and the gate is asked again then.
                    parts.gateway.undo(&rows);
                    let wait = Wait { why: WaitFor::Timer, until: Some(until) };
                    return Rows::of(Event::CallWaits { call: local.call, model: false, wait });
                }
            }
        }
        other => Said::plain(Err(format!("there is no internal capability {other}"))),
    };
    let (text, error) = match said.text {
        Ok(text) => (text, false),
        Err(text) => (text, true),
    };
    let content = Content::Result { use_id: local.use_id.clone(), text, structured: None, error, vouches: None };
    let part = Part { content, origin: said.origin, labels: Vec::new(), trust: said.trust };
    let message = Message { role: Role::Capability, parts: vec![part] };
    rows.merge(said.rows);
    rows.events.push(Event::CallAnswered {
        call: local.call,
        attempt: local.attempt,
        outcome: CallOutcome::Answered { message, stop: None },
        settlement: Settlement::default(),
    });
    // It is no request through a door; where its uses are counted, it is one.
    let used = Amounts { calls: 1, ..Amounts::default() };
    rows.merge(parts.gateway.settle(local.call.session, &local.holds, &used));
    rows
}
