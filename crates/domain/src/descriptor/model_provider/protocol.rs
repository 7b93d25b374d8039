//! `spec.protocol` of a model API: which language it speaks, and where. What must not be known here: the language.

use crate::descriptor::diagnostic::Finding;
use crate::descriptor::field::{Fields, Reading, Writer};
use crate::descriptor::mcp_server::Url;
use crate::descriptor::shape::{Choice, Chosen};
use crate::id::Name;

use super::{BASE_URL, KEY, Key, PROTOCOL, SCRIPT};

/// Where Anthropic's API is.
pub const ANTHROPIC_BASE_URL: &str = "https://api.anthropic.com";
/// Where OpenAI's API is.
pub const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";
/// Where Gemini's API is.
pub const GEMINI_BASE_URL: &str = "https://generativelanguage.googleapis.com/v1beta";

/// The protocol of a model API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// Anthropic Messages.
    Anthropic {
        /// Where it is, without `/v1/messages`; no `/` at its end.
        base_url: String,
        /// The name of the secret that holds its key; `None`: it wants none.
        key: Option<String>,
    },
    /// OpenAI Chat Completions: OpenAI's own, and every server that is compatible with it.
    OpenaiChat {
        /// Where it is, without `/chat/completions`; no `/` at its end.
        base_url: String,
        /// The name of the secret that holds its key; `None`: it wants none.
        key: Option<String>,
    },
    /// OpenAI Responses.
    OpenaiResponses {
        /// Where it is, without `/responses`; no `/` at its end.
        base_url: String,
        /// The name of the secret that holds its key; `None`: it wants none.
        key: Option<String>,
    },
    /// Gemini `generateContent`.
    Gemini {
        /// Where it is, without `/models/…`; no `/` at its end.
        base_url: String,
        /// The name of the secret that holds its key; `None`: it wants none.
        key: Option<String>,
    },
    /// A script that plays a model's part: no key, no network.
    Scripted {
        /// Which.
        script: Name,
    },
}

impl Protocol {
    /// Its word in a descriptor.
    pub fn word(&self) -> &'static str {
        let word = Word::of(self);
        Word::ALL.iter().find(|(_, one)| *one == word).map_or("", |(word, _)| word)
    }

    /// Where it is; `None` of a script.
    pub fn base_url(&self) -> Option<&str> {
        self.address().map(|(base_url, _)| base_url)
    }

    /// The name of the secret that holds its key.
    pub fn secret(&self) -> Option<&str> {
        self.address().and_then(|(_, key)| key)
    }

    /// Whether its answers are made up.
    pub fn is_scripted(&self) -> bool {
        self.address().is_none()
    }

    fn address(&self) -> Option<(&str, Option<&str>)> {
        match self {
            Protocol::Anthropic { base_url, key }
            | Protocol::OpenaiChat { base_url, key }
            | Protocol::OpenaiResponses { base_url, key }
            | Protocol::Gemini { base_url, key } => Some((base_url, key.as_deref())),
            Protocol::Scripted { .. } => None,
        }
    }
}

/// A protocol's word.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Word {
    Anthropic,
    OpenaiChat,
    OpenaiResponses,
    Gemini,
    Scripted,
}

impl Choice for Word {
    const ALL: &'static [(&'static str, Self)] = &[
        ("anthropic", Self::Anthropic),
        ("openai-chat", Self::OpenaiChat),
        ("openai-responses", Self::OpenaiResponses),
        ("gemini", Self::Gemini),
        ("scripted", Self::Scripted),
    ];
}

impl Word {
    fn of(protocol: &Protocol) -> Self {
        match protocol {
            Protocol::Anthropic { .. } => Word::Anthropic,
            Protocol::OpenaiChat { .. } => Word::OpenaiChat,
            Protocol::OpenaiResponses { .. } => Word::OpenaiResponses,
            Protocol::Gemini { .. } => Word::Gemini,
            Protocol::Scripted { .. } => Word::Scripted,
        }
    }

    /// Where it is where the descriptor does not tell; `None` of a script.
    fn at_home(self) -> Option<&'static str> {
        match self {
            Word::Anthropic => Some(ANTHROPIC_BASE_URL),
            Word::OpenaiChat | Word::OpenaiResponses => Some(OPENAI_BASE_URL),
            Word::Gemini => Some(GEMINI_BASE_URL),
            Word::Scripted => None,
        }
    }
}

pub(super) fn read(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Option<Protocol> {
    let protocol = fields.required(&PROTOCOL, reading);
    let base_url = fields.optional(&BASE_URL, reading);
    let key = fields.optional(&KEY, reading);
    let script = fields.optional(&SCRIPT, reading);
    let (Chosen(word), base_url, key, script) = (protocol?, base_url?, key?, script?);
    let wrong = |reading: &mut Reading<'_>, finding: Finding, help: &str| {
        reading.wrong(finding.help(help));
        None
    };
    let Some(home) = word.at_home() else {
        let Some(script) = script else {
            let finding = Finding::new(&fields.at(&PROTOCOL), "`script` is missing");
            return wrong(reading, finding, "name the script that plays the model's part: script: NAME");
        };
        if base_url.is_none() && key.is_none() {
            return Some(Protocol::Scripted { script });
        }
        let at = if base_url.is_some() { fields.at(&BASE_URL) } else { fields.at(&KEY) };
        let finding = Finding::new(&at, "a scripted provider is never reached over a network");
        return wrong(reading, finding, "leave out `base_url` and `key`, or say another `protocol`");
    };
    let base_url = base_url.map_or(home.to_owned(), |Url(url)| url).trim_end_matches('/').to_owned();
    let key = key.map(|Key(secret)| secret);
    let protocol = match word {
        Word::Anthropic => Protocol::Anthropic { base_url, key },
        Word::OpenaiChat => Protocol::OpenaiChat { base_url, key },
        Word::OpenaiResponses => Protocol::OpenaiResponses { base_url, key },
        Word::Gemini => Protocol::Gemini { base_url, key },
        Word::Scripted => return None,
    };
    if script.is_some() {
        let finding = format!("`script` means nothing with `protocol: {}`", protocol.word());
        let finding = Finding::new(&fields.at(&SCRIPT), finding);
        return wrong(reading, finding, "leave it out, or say `protocol: scripted`");
    }
    Some(protocol)
}

pub(super) fn write(protocol: &Protocol) -> Writer {
    let writer = Writer::default().put(&PROTOCOL, &Chosen(Word::of(protocol)));
    match protocol {
        Protocol::Scripted { script } => writer.put(&SCRIPT, script),
        Protocol::Anthropic { base_url, key }
        | Protocol::OpenaiChat { base_url, key }
        | Protocol::OpenaiResponses { base_url, key }
        | Protocol::Gemini { base_url, key } => {
            writer.put(&BASE_URL, &Url(base_url.clone())).put_some(&KEY, key.clone().map(Key).as_ref())
        }
    }
}
