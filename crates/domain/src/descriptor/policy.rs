//! `kind: Policy`: rules of Cedar, and which agents they cover. What must not be known here: Cedar; whoever applies
//! reads it, and says with [`Source`] where in the person's file something is wrong.

use std::sync::Arc;

use serde_json::Value;

use super::diagnostic::{Diagnostic, Finding};
use super::field::{Field, Mapping, Reading, Shape, Writer};
use super::node::Node;
use super::resource::{Resource, Spec};
use super::shape::{Written, file_of};
use super::yaml;
use crate::control::Kind;
use crate::id::Name;

/// A valid policy, as far as can be said without reading its Cedar.
pub type Policy = Resource<PolicySpec>;

/// What a policy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySpec {
    /// The agents that it covers; empty: all.
    pub agents: Vec<Name>,
    /// The rules, in Cedar.
    pub cedar: Arc<str>,
}

impl PolicySpec {
    /// Whether it covers an agent.
    pub fn covers(&self, agent: &Name) -> bool {
        self.agents.is_empty() || self.agents.contains(agent)
    }
}

const AGENTS: Field<Vec<Name>> = Field::new("agents", "The agents that it covers. Absent: all.");
const CEDAR: Field<Written> =
    Field::required("cedar", "The rules, in Cedar: a text, or {file: PATH} beside this file.");
const FIELDS: Mapping = Mapping { rows: &[AGENTS.row(), CEDAR.row()], not_yet: &[] };

impl Shape for PolicySpec {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = FIELDS.open(node, reading)?;
        let agents = fields.optional(&AGENTS, reading);
        let cedar = fields.required(&CEDAR, reading);
        let agents = agents?;
        if agents.as_ref().is_some_and(Vec::is_empty) {
            // A list that lost its last name must not begin to cover everybody.
            let finding = Finding::new(&fields.at(&AGENTS), "`agents` lists none");
            reading.wrong(finding.help("name the agents that it covers, or leave `agents` out: then it covers all"));
            return None;
        }
        Some(PolicySpec { agents: agents.unwrap_or_default(), cedar: cedar?.0 })
    }

    fn write(&self) -> Value {
        Writer::default()
            .put_some(&AGENTS, (!self.agents.is_empty()).then_some(&self.agents))
            .put(&CEDAR, &Written(Arc::clone(&self.cedar)))
            .done()
    }

    fn schema() -> Value {
        let mut schema = FIELDS.schema();
        schema["properties"]["agents"]["minItems"] = 1.into();
        schema
    }
}

impl Spec for PolicySpec {
    const KIND: Kind = Kind::Policy;
}

/// Where a person wrote the Cedar of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file, as the caller names it.
    pub file: String,
    /// Its text.
    pub text: String,
    /// The byte of `text` at which each line of the Cedar begins.
    lines: Vec<usize>,
}

impl Source {
    /// Finds it: in the file of descriptors itself, or in the file that it refers to.
    pub fn find(
        (file, text): (&str, &str),
        policy: &Policy,
        attachments: &dyn Fn(&str) -> Option<String>,
    ) -> Option<Self> {
        let (documents, _) = yaml::documents(text);
        let named = |node: &&Node| {
            let word = |node: Option<&Node>, of: &str| node.and_then(|node| node.scalar()) == Some(of);
            let metadata = node.get("metadata");
            word(node.get("kind"), "Policy")
                && word(metadata.and_then(|metadata| metadata.get("name")), policy.metadata.name.as_str())
        };
        let spec = documents.iter().find(named)?.get("spec")?;
        let cedar = &*policy.spec.cedar;
        if let Some(path) = file_of(spec, "cedar") {
            let beside = file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
            let lines = starts(cedar).collect();
            let text = attachments(path).filter(|text| text == cedar)?;
            return Some(Source { file: format!("{beside}{path}"), text, lines });
        }
        let at = spec.get("cedar")?.at.start;
        Some(Source { file: file.to_owned(), text: text.to_owned(), lines: indented(text, at, cedar) })
    }

    /// Something that is wrong at a byte of the Cedar.
    pub fn diagnostic(&self, cedar: &str, offset: usize, length: usize, said: (String, Option<String>)) -> Diagnostic {
        let line = starts(cedar).take_while(|start| *start <= offset).count().saturating_sub(1);
        let within = offset - starts(cedar).nth(line).unwrap_or(0).min(offset);
        let first = self.lines.get(line).or(self.lines.last()).copied().unwrap_or(0);
        let start = (first + within).min(self.text.len());
        let (message, help) = said;
        let finding = Finding { help, ..Finding::new(&(start..(start + length).min(self.text.len())), message) };
        Diagnostic::new(&self.file, &self.text, finding)
    }
}

/// The byte at which each line begins.
fn starts(text: &str) -> impl Iterator<Item = usize> + '_ {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1))
}

/// The same of a text that stands in another, each of its lines indented: from the first place at or after `from`
/// where they all follow each other. Where there is none, everything is said to be at `from`.
fn indented(whole: &str, from: usize, text: &str) -> Vec<usize> {
    let wanted: Vec<&str> = text.trim_end().lines().collect();
    let first = whole[..from.min(whole.len())].rfind('\n').map_or(0, |at| at + 1);
    let lines: Vec<usize> = starts(whole).filter(|start| *start >= first).collect();
    let line = |start: usize| whole[start..].lines().next().unwrap_or("");
    let same = |(start, wanted): (&usize, &&str)| line(*start).trim() == wanted.trim();
    let Some(found) = lines.windows(wanted.len().max(1)).find(|part| part.iter().zip(&wanted).all(same)) else {
        return vec![from];
    };
    let indent = |start: usize| line(start).len() - line(start).trim_start().len();
    let own = |text: &str| text.len() - text.trim_start().len();
    found.iter().zip(&wanted).map(|(start, wanted)| start + indent(*start).saturating_sub(own(wanted))).collect()
}
