//! An answer as a client hears it, block by block, whatever its dialect: what was said already, and what is still to
//! be said once the answer is whole. It must not know how a dialect writes it.

use std::borrow::Cow;

use domain::message::Content;

use crate::provider::{Answer, Delta};

/// What a block is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Words.
    Text,
    /// Words of reasoning.
    Reasoning,
    /// A use of a tool: what is said of it is its arguments.
    Use { id: String, name: String },
}

/// A block, as far as it was said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) kind: Kind,
    /// Everything said of it.
    pub(super) text: String,
    /// Which use of the answer it is, from 0.
    pub(super) nth_use: usize,
    open: bool,
    /// It was found in the whole answer.
    found: bool,
}

/// How a dialect writes blocks. `at` is the place of the block in the answer, from 0.
pub(super) trait Voice {
    /// A block begins.
    fn open(&mut self, at: usize, block: &Said);
    /// It goes on.
    fn more(&mut self, at: usize, block: &Said, piece: &str);
    /// It ends.
    fn close(&mut self, at: usize, block: &Said);
}

/// The blocks of one answer.
#[derive(Debug, Default)]
pub(super) struct Blocks(Vec<Said>);

impl Blocks {
    /// Something was said.
    pub(super) fn delta(&mut self, delta: &Delta, voice: &mut dyn Voice) {
        match delta {
            Delta::Text(words) => self.words(&Kind::Text, words, voice),
            Delta::Reasoning(words) => self.words(&Kind::Reasoning, words, voice),
            Delta::UseStarted { index, id, name } => {
                self.close_words(voice);
                self.begin(Kind::Use { id: id.clone(), name: name.clone() }, *index as usize, voice);
            }
            Delta::Arguments { index, piece } => {
                let wanted = *index as usize;
                let is_it = |said: &Said| said.nth_use == wanted && matches!(said.kind, Kind::Use { .. });
                if let Some(at) = self.0.iter().position(is_it) {
                    self.more(at, piece, voice);
                }
            }
            Delta::Raw(_) => {}
        }
    }

    /// The answer is whole: what was not said yet is said, and every block ends.
    pub(super) fn finish(&mut self, answer: &Answer, voice: &mut dyn Voice) {
        for part in &answer.message.parts {
            let (kind, whole): (Kind, Cow<'_, str>) = match &part.content {
                Content::Text { text } => (Kind::Text, text.into()),
                Content::Reasoning { text, .. } => (Kind::Reasoning, text.into()),
                Content::Use { use_id, capability, arguments, malformed } => {
                    let kind = Kind::Use { id: use_id.clone(), name: capability.clone() };
                    (kind, malformed.as_deref().map_or_else(|| arguments.to_string().into(), Cow::from))
                }
                Content::Result { .. } | Content::Other { .. } => continue,
            };
            if !matches!(kind, Kind::Use { .. }) && whole.is_empty() {
                continue;
            }
            self.complete(kind, &whole, voice);
        }
        for at in 0..self.0.len() {
            self.close(at, voice);
        }
    }

    /// Every block, as it was said.
    pub(super) fn all(&self) -> &[Said] {
        &self.0
    }

    fn complete(&mut self, kind: Kind, whole: &str, voice: &mut dyn Voice) {
        let found = self.0.iter().position(|said| !said.found && said.kind == kind);
        let at = found.unwrap_or_else(|| {
            self.close_words(voice);
            let uses = self.0.iter().filter(|said| matches!(said.kind, Kind::Use { .. })).count();
            self.begin(kind, uses, voice)
        });
        self.0[at].found = true;
        if let Some(rest) = whole.strip_prefix(self.0[at].text.as_str()).map(str::to_owned).filter(|it| !it.is_empty())
        {
            self.more(at, &rest, voice);
        }
    }

    fn words(&mut self, kind: &Kind, words: &str, voice: &mut dyn Voice) {
        if words.is_empty() {
            return;
        }
        let at = match self.0.last().filter(|last| last.open && last.kind == *kind) {
            Some(_) => self.0.len() - 1,
            None => {
                self.close_words(voice);
                self.begin(kind.clone(), 0, voice)
            }
        };
        self.more(at, words, voice);
    }

    fn begin(&mut self, kind: Kind, nth_use: usize, voice: &mut dyn Voice) -> usize {
        let at = self.0.len();
        self.0.push(Said { kind, text: String::new(), nth_use, open: true, found: false });
        voice.open(at, &self.0[at]);
        at
    }

    fn more(&mut self, at: usize, piece: &str, voice: &mut dyn Voice) {
        if self.0[at].open && !piece.is_empty() {
            self.0[at].text.push_str(piece);
            voice.more(at, &self.0[at], piece);
        }
    }

    /// Words end where something else begins; uses stay open, since pieces of several may come in turn.
    fn close_words(&mut self, voice: &mut dyn Voice) {
        for at in 0..self.0.len() {
            if !matches!(self.0[at].kind, Kind::Use { .. }) {
                self.close(at, voice);
            }
        }
    }

    fn close(&mut self, at: usize, voice: &mut dyn Voice) {
        if self.0[at].open {
            self.0[at].open = false;
            voice.close(at, &self.0[at]);
        }
    }
}
