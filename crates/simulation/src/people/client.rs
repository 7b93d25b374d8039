//! Clients of agents that keep their own loop: they ask their models, use what those want used, go away in the middle,
//! ask again, look how a call stands, and take calls back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use domain::id::CallId;
use domain::message::Content;
use execution::{AttachError, CallReply, ModelReply, Use, Whose};
use models::ingress::{self, Dialect, Incoming};
use serde_json::{Value, json};

use super::People;
use crate::node::{Node, name};

/// The agent whose clients they are.
const GUEST: &str = "guest";
/// What its clients' users want.
const WISHES: [&str; 5] = ["look a", "pay 20", "look a | pay 1500", "pay 1500 & pay 30", "pay 40 | pay 1200 & look b"];

/// A use that a model wants: its id, the tool, the arguments.
type Wanted = (String, String, Value);

/// One client and its conversation.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// As its dialect writes it.
    messages: Vec<Value>,
    wants: VecDeque<Wanted>,
    /// Results that its model was not told.
    results: Vec<Value>,
    /// Calls that it was told wait.
    waits: Vec<CallId>,
}

/// The clients, by the names of their sessions.
pub(super) type Clients = BTreeMap<String, Client>;

/// What a client asks its model.
pub fn asks(messages: &[Value]) -> Incoming {
    let body = json!({"model": "small", "max_tokens": 100, "messages": messages});
    ingress::read(Dialect::Messages, body.to_string().into(), &[])
        .expect("a client of the simulation speaks its dialect")
}

impl Client {
    /// Goes on with its conversation: with results, or with another wish.
    fn goes_on(&mut self, wish: &str) {
        let given_up = |(id, ..): Wanted| result(&id, "It was not done.");
        self.results.extend(self.wants.drain(..).map(given_up));
        if self.messages.last().is_none_or(|last| last["role"] == "assistant") {
            let content = match self.results.is_empty() {
                true => json!(wish),
                false => json!(std::mem::take(&mut self.results)),
            };
            self.messages.push(json!({"role": "user", "content": content}));
        }
    }

    fn hears(&mut self, reply: &ModelReply) {
        let mut content = Vec::new();
        for part in &reply.answer.message.parts {
            match &part.content {
                Content::Text { text } => content.push(json!({"type": "text", "text": text})),
                Content::Use { use_id, capability, arguments, malformed: None } => {
                    content.push(json!({"type": "tool_use", "id": use_id, "name": capability, "input": arguments}));
                    self.wants.push_back((use_id.clone(), capability.clone(), arguments.clone()));
                }
                _ => {}
            }
        }
        self.messages.push(json!({"role": "assistant", "content": content}));
    }

    /// What came of a use.
    fn told(&mut self, (id, ..): &Wanted, reply: &CallReply) {
        match reply {
            CallReply::Result { text, .. } | CallReply::Refused { text, .. } => self.results.push(result(id, text)),
            CallReply::Waits { call, .. } if !self.waits.contains(call) => self.waits.push(*call),
            CallReply::Waits { .. } => {}
        }
    }
}

fn result(id: &str, text: &str) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": text})
}

/// What came of something that was waited for for so long.
async fn within<T>(
    time: Duration,
    work: impl Future<Output = Result<T, AttachError>>,
) -> Option<Result<T, AttachError>> {
    tokio::time::timeout(time, work).await.ok()
}

impl People {
    /// A client does something.
    pub(super) async fn client(&mut self, node: &Node) -> String {
        let key = format!("client/{}", self.chance.below(2));
        let mut client = self.clients.remove(&key).unwrap_or_default();
        let patience = Duration::from_millis(self.chance.weighed(&[(3, 120_000), (1, 700)]));
        let said = match self.chance.weighed(&[(5, 0), (6, 1), (2, 2), (1, 3)]) {
            0 => self.client_asks(node, (&key, &mut client), patience).await,
            1 => self.client_uses(node, (&key, &mut client), patience).await,
            2 => self.client_takes_back(node, &mut client, patience).await,
            _ => self.client_looks(node, &mut client, patience).await,
        };
        let said = format!("{key} {said}");
        self.clients.insert(key, client);
        said
    }

    async fn client_asks(&mut self, node: &Node, (key, client): (&str, &mut Client), patience: Duration) -> String {
        let wish = *self.chance.pick(&WISHES);
        client.goes_on(wish);
        let incoming = Arc::new(asks(&client.messages));
        let quiet = Arc::new(|_: &models::Delta| {});
        let guest = name(GUEST);
        let answer = node.runtime.attach_model(&guest, Some(key.to_owned()), incoming, quiet);
        match within(patience, answer).await {
            Some(Ok(reply)) => {
                client.hears(&reply);
                format!("asks, and is answered in {}: it wants {} things used", reply.call, client.wants.len())
            }
            Some(Err(error)) => format!("asks: {error}"),
            None => "asks, and goes away".to_owned(),
        }
    }

    async fn client_uses(&mut self, node: &Node, (key, client): (&str, &mut Client), patience: Duration) -> String {
        let Some(wanted) = client.wants.front().cloned() else { return "has nothing to use".to_owned() };
        let whose = match self.chance.per_mille(500) {
            true => Whose::Key(key.to_owned()),
            false => Whose::Asked { otherwise: key.to_owned() },
        };
        let wait = Duration::from_secs(self.chance.weighed(&[(1, 0), (1, 25)]));
        let used = Use { name: wanted.1.clone(), arguments: wanted.2.clone() };
        match within(patience, node.runtime.attach_call(&name(GUEST), whose, used, wait)).await {
            Some(Ok(reply)) => {
                client.told(&wanted, &reply);
                if !matches!(reply, CallReply::Waits { .. }) || self.chance.per_mille(300) {
                    client.wants.pop_front();
                }
                format!("uses {wanted:?}: {reply:?}")
            }
            Some(Err(error)) => format!("uses {wanted:?}: {error}"),
            None => format!("uses {wanted:?}, and goes away"),
        }
    }

    async fn client_takes_back(&mut self, node: &Node, client: &mut Client, patience: Duration) -> String {
        if client.waits.is_empty() {
            return "has nothing to take back".to_owned();
        }
        let call = client.waits.swap_remove(self.chance.below(client.waits.len()));
        match within(patience, node.runtime.attach_withdraw(&name(GUEST), call)).await {
            Some(taken) => format!("takes {call} back: {taken:?}"),
            None => format!("takes {call} back, and goes away"),
        }
    }

    async fn client_looks(&mut self, node: &Node, client: &mut Client, patience: Duration) -> String {
        let Some(call) = client.waits.first().copied() else { return "has nothing to look at".to_owned() };
        match within(patience, node.runtime.attach_look(&name(GUEST), call, Duration::ZERO)).await {
            Some(looked) => format!("looks at {call}: {looked:?}"),
            None => format!("looks at {call}, and goes away"),
        }
    }
}
