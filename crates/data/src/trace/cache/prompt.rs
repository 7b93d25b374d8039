//! A prompt as blocks, in the order in which providers read it, and where two of them part. It must not know what a
//! cache is.

use std::collections::BTreeMap;

use domain::capability::Offer;
use domain::id::Digest;
use domain::message::{Content, Message, Role};
use domain::session::Session;
use serde_json::{Value, json};

use super::Broke;
use crate::trace::one_line;

/// How much of a block is shown, in characters.
const SHOWN: usize = 100;
/// How much is shown of what both begin with, in characters.
const BEFORE: usize = 24;

/// What one model was sent, as blocks.
pub(super) type Prompt = Vec<usize>;

/// One block: what it is, and what it says.
struct Block {
    what: What,
    hash: Digest,
    says: String,
}

enum What {
    Tool(String),
    Instructions,
    /// Which part of a message, and what it is; which message depends on the prompt.
    Part {
        part: usize,
        is: String,
        last: bool,
    },
}

/// All blocks of a session, and of what the next prompt consists beside messages.
pub(super) struct Prompts<'a> {
    texts: &'a BTreeMap<Digest, String>,
    blocks: Vec<Block>,
    tools: Vec<usize>,
    instructions: Option<usize>,
    /// By message of the session, its blocks.
    said: Vec<Vec<usize>>,
}

impl<'a> Prompts<'a> {
    pub(super) fn new(texts: &'a BTreeMap<Digest, String>) -> Self {
        Prompts { texts, blocks: Vec::new(), tools: Vec::new(), instructions: None, said: Vec::new() }
    }

    /// What the model is offered from now on, sorted by name as it is sent.
    pub(super) fn offered(&mut self, offers: Digest) {
        let text = self.texts.get(&offers);
        let known: Option<Vec<Offer>> = text.and_then(|text| serde_json::from_str(text).ok());
        let each = |offer: &Offer| {
            let tool = serde_json::to_value(offer).expect("an offer is plain JSON");
            (offer.capability.name().to_string(), tool)
        };
        let mut tools: Vec<_> = match known {
            Some(offers) => offers.iter().map(each).collect(),
            None => vec![("list".to_owned(), json!(offers.to_string()))],
        };
        tools.sort_by(|one, other| one.0.cmp(&other.0));
        self.tools = tools.iter().map(|(name, tool)| self.tool(name, tool)).collect();
    }

    /// What a client says anew of its model and its tools.
    pub(super) fn client_said(&mut self, instructions: Option<&str>, tools: Option<&Value>) {
        if let Some(said) = instructions {
            let block = || Block { what: What::Instructions, hash: Digest::of(said.as_bytes()), says: said.to_owned() };
            self.instructions = (!said.is_empty()).then(|| self.push(block()));
        }
        if let Some(tools) = tools {
            let list = tools.as_array().map(Vec::as_slice).unwrap_or_default();
            let name = |tool: &Value| {
                let name = tool["name"].as_str().or_else(|| tool["function"]["name"].as_str());
                name.or_else(|| tool["type"].as_str()).unwrap_or("without a name").to_owned()
            };
            self.tools = list.iter().map(|tool| self.tool(&name(tool), tool)).collect();
        }
    }

    /// What the model is sent now: the conversation of the client, or the first so many messages.
    pub(super) fn of(&mut self, session: &Session, messages: u32) -> Prompt {
        for message in &session.messages[self.said.len().min(session.messages.len())..] {
            let parts = message.parts.iter().enumerate();
            let last = message.parts.len().saturating_sub(1);
            let blocks = parts.map(|(at, part)| self.part(message, (at, &part.content), at == last)).collect();
            self.said.push(blocks);
        }
        let mut prompt = self.tools.clone();
        prompt.extend(self.instructions);
        let told = match &session.attached {
            Some(attached) => attached.indices().collect::<Vec<_>>(),
            None => (0..messages).collect(),
        };
        prompt.extend(told.into_iter().filter_map(|at| self.said.get(at as usize)).flatten());
        prompt
    }

    /// How many blocks two prompts begin with together.
    pub(super) fn shared(&self, one: &Prompt, other: &Prompt) -> usize {
        let same =
            |(one, other): &(&usize, &usize)| one == other || self.blocks[**one].hash == self.blocks[**other].hash;
        one.iter().zip(other).take_while(same).count()
    }

    /// Where the later prompt stopped being the earlier one; `None` where one goes on from the other.
    pub(super) fn broke(&self, (before, now): (&Prompt, &Prompt), kept: usize) -> Option<Broke> {
        let (was, is) = (*before.get(kept)?, *now.get(kept)?);
        let (old, new) = (&self.blocks[was].says, &self.blocks[is].says);
        let from = differs(old, new);
        let block = if self.is_tool(was) && !self.is_tool(is) { (before, was) } else { (now, is) };
        let added = self.is_tool(is) && now[kept..].iter().any(|at| self.blocks[*at].hash == self.blocks[was].hash);
        let gone = self.is_tool(was) && before[kept..].iter().any(|at| self.blocks[*at].hash == self.blocks[is].hash);
        if gone {
            let block = format!("{}, which is left out", self.name(before, kept, was));
            return Some(Broke { block, was: Some(excerpt(old, 0)), now: None });
        }
        if added {
            let block = format!("{}, which is new", self.name(now, kept, is));
            return Some(Broke { block, was: None, now: Some(excerpt(new, 0)) });
        }
        let block = self.name(block.0, kept, block.1);
        Some(Broke { block, was: Some(excerpt(old, from)), now: Some(excerpt(new, from)) })
    }

    fn is_tool(&self, block: usize) -> bool {
        matches!(self.blocks[block].what, What::Tool(_))
    }

    /// What a block is called that stands at this place of a prompt.
    fn name(&self, prompt: &Prompt, place: usize, block: usize) -> String {
        match &self.blocks[block].what {
            What::Tool(name) => format!("tool {name}"),
            What::Instructions => "the instructions".to_owned(),
            What::Part { part, is, .. } => {
                let ends = |at: &&usize| matches!(self.blocks[**at].what, What::Part { last: true, .. });
                let message = prompt[..place].iter().filter(ends).count() + 1;
                format!("message {message}, part {}: {is}", part + 1)
            }
        }
    }

    fn push(&mut self, block: Block) -> usize {
        self.blocks.push(block);
        self.blocks.len() - 1
    }

    fn tool(&mut self, name: &str, tool: &Value) -> usize {
        let says = domain::canonical::to_string(tool);
        self.push(Block { what: What::Tool(name.to_owned()), hash: Digest::of(says.as_bytes()), says })
    }

    fn part(&mut self, message: &Message, (part, content): (usize, &Content), last: bool) -> usize {
        let said = serde_json::to_value(content).expect("content is plain JSON");
        let hash = Digest::of_json(&json!([message.role, said]));
        let (is, says) = describe(message.role, content);
        self.push(Block { what: What::Part { part, is, last }, hash, says })
    }
}

fn describe(role: Role, content: &Content) -> (String, String) {
    match content {
        Content::Text { text } => {
            let whose = match role {
                Role::Person => "what the model is asked",
                Role::Agent => "what the model said",
                Role::Capability => "what a tool said",
            };
            (whose.to_owned(), text.clone())
        }
        Content::Reasoning { text, .. } => ("what the model thought".to_owned(), text.clone()),
        Content::Use { capability, arguments, .. } => (format!("a use of {capability}"), arguments.to_string()),
        Content::Result { use_id, text, .. } => (format!("the result of {use_id}"), text.clone()),
        Content::Other { raw } => {
            let kind = raw["type"].as_str().unwrap_or("its own kind");
            (format!("a block of {kind}"), raw.to_string())
        }
    }
}

/// From which character on two texts differ.
fn differs(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count()
}

/// Some of a text, from a little before a place in it.
fn excerpt(text: &str, from: usize) -> String {
    let skipped = from.saturating_sub(BEFORE);
    let rest: String = text.chars().skip(skipped).take(4 * SHOWN).collect();
    let dots = if skipped > 0 { "…" } else { "" };
    format!("{dots}{}", one_line(&rest, SHOWN))
}
