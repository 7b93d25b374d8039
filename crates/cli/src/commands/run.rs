//! `run` and `send`: work for an agent. `run` shows the model's words as they come, waits, prints the answer, and ends
//! with the code that says how it ended.

use std::io::Read;

use domain::clock::{Clock, SystemClock, Timestamp};
use domain::id::{Name, SessionId};
use serde_json::{Value, json};

use crate::args::{Format, Global, Run, Send};
use crate::client::{Client, Failure, Heard, Outcome, Stream};
use crate::output::{self, Busy, items, text};

/// Sends an agent work and waits for its answer.
pub(crate) async fn run(global: &Global, run: Run) -> Outcome {
    let client = Client::find(global)?;
    let mut body = said(&run.message, run.input.as_deref())?;
    // A key of our own says which session it will be, so that it is watched before it begins; where an input says
    // which partition that is in, its words are only seen once the server named it.
    let key = run.session.unwrap_or_else(|| format!("{:032x}", SystemClock.random_u128()));
    let session = SessionId::for_key(&run.agent, &key);
    let watching = !run.detach && output::watched() && global.output == Format::Table;
    let stream = if watching { client.stream(&format!("/api/sessions/{session}/stream")).await.ok() } else { None };
    body["key"] = key.into();
    body["case"] = run.case.into();
    let sent = client.post(&format!("/api/agents/{}/messages", run.agent), body).await?;
    let session = text(&sent, "session");
    if run.detach {
        return output::print(global.output, &sent, |_| session.clone());
    }
    output::talk(&format!("session {session}"));
    let mut watched = Watched::of(&run.agent);
    let mail = text(&sent, "mail");
    let standing = tokio::select! {
        standing = wait(&client, &session, Some(&mail)) => standing?,
        never = watched.follow(stream) => match never {},
    };
    report(global, &standing, &watched.finish())
}

/// Sends a session a message, now or later.
pub(crate) async fn send(global: &Global, send: Send) -> Outcome {
    let client = Client::find(global)?;
    let mut body = said(&send.message, send.input.as_deref())?;
    body["key"] = send.session.into();
    body["at"] = send.at.into();
    body["in"] = send.after.into();
    let sent = client.post(&format!("/api/agents/{}/messages", send.agent), body).await?;
    if let Some(due) = sent["due"].as_str() {
        output::talk(&format!("it is delivered at {due}"));
    }
    output::print(global.output, &sent, |sent| text(sent, "session"))
}

/// What is said, as the API takes it: a message, or an input.
fn said(given: &str, input: Option<&str>) -> Outcome<Value> {
    let Some(input) = input else { return Ok(json!({ "message": message(given)? })) };
    let read = match input.strip_prefix('@') {
        None => input.to_owned(),
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| Failure::Usage(format!("--input: {file} cannot be read: {error}")))?,
    };
    match serde_json::from_str::<Value>(&read) {
        Ok(object @ Value::Object(_)) => Ok(json!({ "input": object })),
        Ok(_) => Err(Failure::Usage("--input: this is JSON, but not an object such as {\"a\": 1}".to_owned())),
        Err(error) => Err(Failure::Usage(format!("--input: this is not JSON: {error}"))),
    }
}

fn message(given: &str) -> Outcome<String> {
    if given != "-" {
        return Ok(given.to_owned());
    }
    if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        output::talk("write the message; Ctrl-D ends it");
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    if text.trim().is_empty() {
        return Err(Failure::Usage("there is no message: give one, or pipe it in".to_owned()));
    }
    Ok(text)
}

/// What the model said so far, for whoever watches.
struct Watched {
    /// Who is at work, in words.
    at_work: String,
    /// The words since the last step.
    words: String,
    /// Whether a step came since.
    over: bool,
    busy: Option<Busy>,
}

impl Watched {
    fn of(agent: &Name) -> Watched {
        Watched { at_work: format!("{agent} is at work"), words: String::new(), over: false, busy: None }
    }

    /// Shows words as they come. It never ends by itself: whoever waits for the session ends it.
    async fn follow(&mut self, stream: Option<Stream>) -> std::convert::Infallible {
        if let Some(mut stream) = stream {
            self.busy = Some(Busy::with(&self.at_work));
            while let Ok(Some(heard)) = stream.next().await {
                self.hear(heard);
            }
        }
        std::future::pending().await
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Words(words) => {
                self.busy = None;
                if std::mem::take(&mut self.over) {
                    self.words.clear();
                }
                output::words(&words);
                self.words.push_str(&words);
            }
            Heard::Step | Heard::Behind if self.words.is_empty() || self.over => {}
            Heard::Step | Heard::Behind => {
                self.over = true;
                self.end_line();
                self.busy = Some(Busy::with(&self.at_work));
            }
        }
    }

    fn end_line(&self) {
        if !self.words.is_empty() && !self.words.ends_with('\n') {
            output::words("\n");
        }
    }

    /// The words of the last step that had any.
    fn finish(mut self) -> String {
        self.busy = None;
        if !self.over {
            self.end_line();
        }
        self.words
    }
}

/// How long to wait before it is said that a session has not begun, in milliseconds.
const SOON_MS: u32 = 2_000;

/// How long to wait before the server is asked again, in milliseconds.
const LONGER_MS: u32 = 30_000;

/// Waits until the session has taken the mail and rests.
pub(crate) async fn wait(client: &Client, session: &str, mail: Option<&str>) -> Outcome<Value> {
    let filter = mail.map(|mail| format!("&mail={mail}")).unwrap_or_default();
    let (mut within_ms, mut told, mut failed) = (SOON_MS, String::new(), String::new());
    loop {
        match client.get(&format!("/api/sessions/{session}/wait?timeout_ms={within_ms}{filter}")).await {
            Ok(standing) if standing["rests"] == true => return Ok(standing),
            // Not at rest: the server waited as long as it was told to, and is asked again.
            Ok(standing) => {
                let outage = text(&standing, "outage");
                if !outage.is_empty() && outage != told {
                    output::talk(&format!("it waits for the store: {outage}"));
                }
                told = outage;
                let again = asked_again(&standing);
                if !again.is_empty() && again != failed {
                    output::talk(&again);
                }
                failed = again;
            }
            Err(Failure::NotFound(why)) if within_ms == SOON_MS => output::talk(&why),
            Err(Failure::NotFound(_)) => {}
            Err(failure) => return Err(failure),
        }
        within_ms = LONGER_MS;
    }
}

/// Until when something waits.
fn instant(wait: &Value) -> String {
    wait["until"].as_i64().map(|until| Timestamp(until).to_string()).unwrap_or_default()
}

/// That its model failed and is asked again by itself, where it is.
fn asked_again(standing: &Value) -> String {
    let is_model = |wait: &&Value| wait["why"]["for"] == "model";
    let Some(wait) = items(&standing["waits"]).iter().find(is_model) else { return String::new() };
    let times = match wait["why"]["failed"].as_u64() {
        Some(1) => "once".to_owned(),
        failed => format!("{} times", failed.unwrap_or_default()),
    };
    let (session, until) = (text(standing, "session"), instant(wait));
    format!("its model failed {times} and is asked again at {until}; why: ostler trace {session}")
}

/// Prints how a session stands, and ends as it did. `shown`: what whoever watches has read already.
fn report(global: &Global, standing: &Value, shown: &str) -> Outcome {
    let session = text(standing, "session");
    if global.output != Format::Table {
        output::print(global.output, standing, |_| String::new())?;
    }
    let failure = || format!("{}\nnext: ostler trace {session}", text(standing, "failure"));
    match (text(standing, "phase").as_str(), refused_by(standing)) {
        ("finished", _) => {
            let answer = text(standing, "answer");
            // Once is enough where words and answer are seen in the same place.
            if global.output == Format::Table && !(output::data_is_watched() && shown.trim() == answer.trim()) {
                output::data(&answer);
            }
            output::talk(&format!("{}finished; look at it with `ostler trace {session}`", marks(standing)));
            Ok(())
        }
        ("suspended", _) => Err(Failure::Waiting(waiting(standing, &session))),
        (_, Some("budget")) => Err(Failure::Exhausted(failure())),
        (_, Some("identity" | "policy" | "approval")) => Err(Failure::Denied(failure())),
        _ => Err(Failure::Failed(anyhow::anyhow!(failure()))),
    }
}

/// What refused, where a refusal ended the session: the word in `Refused (budget). …`.
fn refused_by(standing: &Value) -> Option<&str> {
    standing["failure"].as_str()?.strip_prefix("Refused (")?.split_once(')').map(|(by, _)| by)
}

fn marks(standing: &Value) -> String {
    let scripted = if standing["scripted"] == true { "[scripted] " } else { "" };
    let shadow =
        if standing["mode"] == "shadow" { "[shadow: what it would write is recorded, and never sent] " } else { "" };
    format!("{scripted}{shadow}")
}

fn waiting(standing: &Value, session: &str) -> String {
    let lines = items(&standing["waits"]).iter().map(|wait| match text(&wait["why"], "for").as_str() {
        "approval" => {
            let approval = text(&wait["why"], "approval");
            format!("  for approval {approval}\n    next: ostler inbox; ostler approve {approval} --as PERSON")
        }
        "in_doubt" => {
            let call = text(&wait["why"], "call");
            format!("  for somebody to say what came of {call}\n    next: ostler resolve {call} happened|did-not|abandon --as PERSON")
        }
        "frozen" => {
            let what = text(&wait["why"]["scope"], "scope");
            let which = ["agent", "session", "person", "revision"].map(|key| text(&wait["why"]["scope"], key));
            let which = which.into_iter().find(|which| !which.is_empty()).unwrap_or_default();
            let next = "next: an administrator lets it go on with `ostler unfreeze`";
            format!("  because it is frozen: {what} {which}\n    {next}")
        }
        "paused" => {
            let by = text(&wait["why"], "by");
            format!("  to be resumed: {by} suspended it\n    next: ostler resume {session}")
        }
        "timer" => format!("  for its timer, until {}", instant(wait)),
        "model" => format!("  {}", asked_again(standing)),
        "tied_up" => format!("  for calls in flight that tie up {}", text(&wait["why"], "budget")),
        _ => format!("  for {}", wait["why"]),
    });
    let marks = marks(standing);
    format!("{marks}session {session} sleeps at no cost, and waits\n{}", lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_ends_a_session_says_who_refused() {
        let failed = |why: &str| json!({ "failure": why });
        assert_eq!(refused_by(&failed("Refused (budget). It is used up.")), Some("budget"));
        assert_eq!(refused_by(&failed("The model gave no answer.")), None);
        assert_eq!(refused_by(&json!({ "failure": null })), None);
    }

    #[test]
    fn the_words_of_the_last_step_are_kept_to_know_what_was_read() {
        let mut watched = Watched::of(&"my-agent".parse().unwrap());
        let words = |text: &str| Heard::Words(text.to_owned());
        for heard in [Heard::Step, words("I read."), Heard::Step, Heard::Step, words("All "), words("well.")] {
            watched.hear(heard);
        }
        assert_eq!(watched.finish(), "All well.");
    }
}
