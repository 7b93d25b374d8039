//! An upstream that plays a script: for tests, simulation and rehearsals. Each tool is a closure; it may answer, do
//! its work and lose the answer, never get the call, hang or die. Every use is counted, and what was really done can be
//! written to a file of its own, so that a test asks the other side and not our log.

use std::collections::{BTreeMap, VecDeque};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::upstream::{Outcome, ToolAnswer, ToolCall, ToolDefinition, Upstream};

/// What a scripted tool does with a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Does it and answers.
    Answer(ToolAnswer),
    /// Does it; the answer is lost on the way.
    DoneAndLost,
    /// Does nothing, and nobody can know that.
    LostBefore,
    /// Never gets the call, surely.
    NotSent,
    /// Does it and never answers: the caller's timeout ends it.
    DoneAndHangs,
    /// Does it; then the connection is gone.
    DoneAndDies,
}

impl Reply {
    /// An answer of words.
    pub fn text(text: impl Into<String>) -> Self {
        Reply::Answer(ToolAnswer { text: text.into(), structured: None, error: false })
    }

    /// An answer of a value, in words as well.
    pub fn json(value: Value) -> Self {
        Reply::Answer(ToolAnswer { text: value.to_string(), structured: Some(value), error: false })
    }

    /// The tool says that it failed.
    pub fn error(text: impl Into<String>) -> Self {
        Reply::Answer(ToolAnswer { text: text.into(), structured: None, error: true })
    }

    fn does_it(&self) -> bool {
        match self {
            Reply::Answer(answer) => !answer.error,
            Reply::DoneAndLost | Reply::DoneAndHangs | Reply::DoneAndDies => true,
            Reply::LostBefore | Reply::NotSent => false,
        }
    }
}

type Script = Arc<dyn Fn(&ToolCall) -> Reply + Send + Sync>;

#[derive(Default)]
struct Book {
    tools: BTreeMap<String, (ToolDefinition, Script)>,
    next: VecDeque<Reply>,
    calls: Vec<ToolCall>,
    done: Vec<ToolCall>,
    unreachable: Option<String>,
    connections: u64,
    file: Option<PathBuf>,
}

/// A scripted server. Clones share it, and what was done survives a connection.
#[derive(Clone, Default)]
pub struct ScriptedUpstream {
    book: Arc<Mutex<Book>>,
    tools_changed: Arc<AtomicU64>,
}

impl ScriptedUpstream {
    /// A server without tools.
    pub fn new() -> Self {
        Self::default()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With a tool of this name, whose arguments must fit `input_schema`.
    #[must_use]
    pub fn tool(
        self,
        name: &str,
        input_schema: Value,
        script: impl Fn(&ToolCall) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let definition = ToolDefinition {
            name: name.to_owned(),
            title: None,
            description: Some(format!("The scripted tool {name}.")),
            input_schema,
            output_schema: None,
            annotations: None,
        };
        self.book().tools.insert(name.to_owned(), (definition, Arc::new(script)));
        self
    }

    /// Appends one JSON line to `file` for each call that was done: its tool, arguments and idempotency key.
    #[must_use]
    pub fn keeping(self, file: PathBuf) -> Self {
        self.book().file = Some(file);
        self
    }

    /// Changes a tool's definition under way, and tells the other side that something changed.
    pub fn redefine(&self, name: &str, change: impl FnOnce(&mut ToolDefinition)) {
        if let Some((definition, _)) = self.book().tools.get_mut(name) {
            change(definition);
        }
        self.tools_changed.fetch_add(1, Ordering::Relaxed);
    }

    /// What the next calls get instead of their script, one each, in order.
    pub fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.book().next.extend(replies);
    }

    /// Refuses every connection with this reason, until told otherwise with `None`.
    pub fn unreachable(&self, why: Option<&str>) {
        self.book().unreachable = why.map(str::to_owned);
    }

    /// Every call that arrived, in order.
    pub fn calls(&self) -> Vec<ToolCall> {
        self.book().calls.clone()
    }

    /// Every call that was done, whatever its caller learnt, in order.
    pub fn done(&self) -> Vec<ToolCall> {
        self.book().done.clone()
    }

    /// How often somebody tried to connect.
    pub fn connections(&self) -> u64 {
        self.book().connections
    }

    pub(crate) fn connect(&self) -> Result<Arc<dyn Upstream>, String> {
        let mut book = self.book();
        book.connections += 1;
        match &book.unreachable {
            Some(why) => Err(why.clone()),
            None => Ok(Arc::new(Connection { server: self.clone(), alive: Mutex::new(true) })),
        }
    }

    fn play(&self, call: &ToolCall) -> Reply {
        let mut book = self.book();
        let scripted = book.tools.get(&call.tool).map(|(_, script)| Arc::clone(script));
        let unscripted = book.next.pop_front();
        drop(book);
        let reply = match (unscripted, scripted) {
            (Some(reply), _) => reply,
            (None, Some(script)) => script(call),
            (None, None) => Reply::error(format!("there is no tool {:?}", call.tool)),
        };
        book = self.book();
        if reply != Reply::NotSent {
            book.calls.push(call.clone());
        }
        if reply.does_it() {
            book.done.push(call.clone());
            if let Some(file) = &book.file {
                let line = json!({"tool": call.tool, "arguments": call.arguments, "key": call.idempotency_key});
                let opened = OpenOptions::new().create(true).append(true).open(file);
                opened.and_then(|mut file| writeln!(file, "{line}")).expect("the script's file can be written");
            }
        }
        reply
    }
}

struct Connection {
    server: ScriptedUpstream,
    alive: Mutex<bool>,
}

impl Connection {
    fn alive(&self) -> MutexGuard<'_, bool> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Upstream for Connection {
    async fn tools(&self) -> Result<Vec<ToolDefinition>, String> {
        Ok(self.server.book().tools.values().map(|(definition, _)| definition.clone()).collect())
    }

    async fn call(&self, call: ToolCall) -> Outcome {
        let lost = || Outcome::Unknown { error: "the call was sent and its answer was lost".to_owned() };
        match self.server.play(&call) {
            Reply::Answer(answer) => Outcome::Answered(answer),
            Reply::DoneAndLost | Reply::LostBefore => lost(),
            Reply::NotSent => {
                Outcome::NotSent { error: "the call could not be sent: scripted".to_owned(), retryable: true }
            }
            Reply::DoneAndHangs => std::future::pending().await,
            Reply::DoneAndDies => {
                *self.alive() = false;
                lost()
            }
        }
    }

    fn is_alive(&self) -> bool {
        *self.alive()
    }

    fn tools_changed(&self) -> u64 {
        self.server.tools_changed.load(Ordering::Relaxed)
    }

    fn evidence(&self) -> String {
        String::new()
    }

    async fn close(&self) {
        *self.alive() = false;
    }
}
