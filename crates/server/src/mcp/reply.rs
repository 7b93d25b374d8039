//! How a call stands, in the words of MCP. A call that waits for a person is a task where the client takes tasks;
//! otherwise a result that says where they decide, and what to do then. It must not know how it came to stand so.

use std::time::Duration;

use data::trace::{CapabilityCall, State, Trace, What};
use domain::clock::Timestamp;
use domain::decision::WaitFor;
use domain::id::{CallId, Name};
use execution::{AttachError, CallReply};
use gateway::wire::{self, Era, Fault, Task, TaskState, Wrong};
use serde_json::{Value, json};

use crate::app::App;

/// The result of `tools/call`.
pub(super) fn told(app: &App, era: Era, tasks: bool, reply: Result<CallReply, AttachError>) -> Value {
    match reply {
        Ok(CallReply::Waits { call, why, until }) => {
            let waits = Waits { call, why: &why, until };
            if tasks {
                return waits.task(app).created();
            }
            wire::tool_result(era, &waits.words(app), Some(&json!({ "ostler": waits.fields(app) })), true)
        }
        Ok(reply) => ended(era, &reply).unwrap_or_else(|| wire::shown(era)),
        Err(error) => {
            let mut said = json!({ "state": "failed" });
            if let AttachError::Full(full) = &error {
                said = json!({ "state": "full", "retry_after_ms": full.retry_after_ms });
            }
            wire::tool_result(era, &error.to_string(), Some(&json!({ "ostler": said })), true)
        }
    }
}

/// The result of a call that ended.
fn ended(era: Era, reply: &CallReply) -> Option<Value> {
    match reply {
        CallReply::Result { text, structured, error, .. } => {
            Some(wire::tool_result(era, text, structured.as_ref(), *error))
        }
        CallReply::Refused { text, .. } => Some(wire::tool_result(era, text, None, true)),
        CallReply::Waits { .. } => None,
    }
}

/// A call that waits.
struct Waits<'a> {
    call: CallId,
    why: &'a WaitFor,
    until: Option<Timestamp>,
}

impl Waits<'_> {
    /// What it waits for, and what to do.
    fn words(&self, app: &App) -> String {
        let until = self.until.map(|until| format!(", at the latest at {until}")).unwrap_or_default();
        let waits = match self.why {
            WaitFor::Approval { approval } => format!(
                "Not done yet: this call waits for a person's consent. The request is {approval}; it is decided at \
                 {}/inbox/{approval}{until}.",
                app.url
            ),
            WaitFor::TiedUp { budget } => {
                format!("Not done yet: the budget {budget} is tied up by calls that are under way{until}.")
            }
            WaitFor::Exhausted { budget } => {
                format!("Not done yet: the budget {budget} is used up, and nothing of it comes back{until}.")
            }
            WaitFor::InDoubt { call } => format!(
                "It was sent, and nobody knows what came of it: a person looks and says so at {}/calls/{call}. Do not \
                 try it in another way.",
                app.url
            ),
            WaitFor::Frozen { scope } => format!("Not done yet: {scope} is frozen by an administrator."),
            WaitFor::Paused { by } => format!("Not done yet: {by} suspended this session."),
            WaitFor::Timer | WaitFor::Model { .. } => format!("Not done yet: it waits{until}."),
            WaitFor::Delegated { agent, session } => {
                format!("Not done yet: {agent} works on it, in {}/sessions/{session}.", app.url)
            }
        };
        format!(
            "{waits} Make the same call again after that, with the same arguments: it is this very call, {}. It stays \
             asked until it is decided, or taken back.",
            self.call
        )
    }

    fn fields(&self, app: &App) -> Value {
        let mut fields = json!({ "state": "waiting", "call": self.call, "until": self.until.map(|at| at.to_string()) });
        if let WaitFor::Approval { approval } = self.why {
            fields["approval"] = json!(approval);
            fields["url"] = json!(format!("{}/inbox/{approval}", app.url));
        }
        fields
    }

    fn task(&self, app: &App) -> Task {
        let now = app.clock.now();
        let message = self.words(app);
        Task { id: self.call.to_string(), state: TaskState::Working, message, created: now, updated: now }
    }
}

/// How a task of an agent stands. A result that was told once is told again from the record.
pub(super) async fn task(app: &App, agent: &Name, task: &str, id: &Value) -> Result<Task, Fault> {
    let unknown = || Fault::new(Wrong::Parameters, id, Era::Stateless, format!("there is no task {task} of {agent}"));
    let call: CallId = task.parse().map_err(|_| unknown())?;
    let records = app.records(call.session).await.map_err(|_| unknown())?;
    let trace = Trace::of(&records).filter(|trace| trace.agent == *agent).ok_or_else(unknown)?;
    let step = trace.steps.iter().find(|step| matches!(&step.what, What::Capability(is) if is.call == call));
    let (Some(step), Some(wanted)) = (step, trace.capability(call)) else { return Err(unknown()) };
    let stands = Task {
        id: call.to_string(),
        state: TaskState::Working,
        message: "It is under way.".to_owned(),
        created: step.at,
        updated: step.ended_at.unwrap_or(step.at),
    };
    let looked = app.runtime.attach_look(agent, call, Duration::ZERO).await;
    Ok(match looked {
        Ok(Some(CallReply::Waits { call, why, until })) => {
            Task { message: Waits { call, why: &why, until }.words(app), ..stands }
        }
        Ok(Some(reply)) => match ended(Era::Stateless, &reply) {
            Some(result) => completed(stands, result),
            None => stands,
        },
        Ok(None) | Err(_) => from_record(stands, wanted),
    })
}

fn completed(task: Task, result: Value) -> Task {
    Task { state: TaskState::Completed(result), message: "It is done.".to_owned(), ..task }
}

/// As the record has it.
fn from_record(task: Task, call: &CapabilityCall) -> Task {
    let failed = |text: &str| wire::tool_result(Era::Stateless, text, None, true);
    match call.state {
        State::Wanted | State::Waiting | State::InFlight | State::InDoubt => task,
        State::Dropped => {
            let message = call.error.clone().unwrap_or_else(|| "Its session was ended.".to_owned());
            Task { state: TaskState::Cancelled, message, ..task }
        }
        State::Answered | State::Failed | State::Refused | State::Recorded | State::Resolved | State::Abandoned => {
            let result = match (&call.result, &call.refusal, &call.error) {
                (Some(came), _, _) => {
                    wire::tool_result(Era::Stateless, &came.text, came.structured.as_ref(), came.error)
                }
                (None, Some(refusal), _) => failed(&format!("{} {}", refusal.reason, refusal.next)),
                (None, None, Some(error)) => failed(error),
                (None, None, None) => failed("It ended without a result."),
            };
            completed(task, result)
        }
    }
}
