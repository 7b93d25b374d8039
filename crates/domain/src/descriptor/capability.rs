//! `kind: Capability`: one thing that can be done through an MCP server, what it changes and what it is worth.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::field::{Field, Mapping, Reading, Shape, Writer};
use super::node::Node;
use super::resource::{Resource, Spec};
use super::shape::{Choice, Chosen, Truth, Word, expression_schema, read_expression};
use crate::capability::Effect;
use crate::control::Kind;
use crate::expression::Expression;
use crate::id::Name;
use crate::message::Trust;
use crate::money::UsdMicros;
use crate::provenance::Vouches;

/// A valid capability.
pub type Capability = Resource<CapabilitySpec>;

/// What a capability is.
#[derive(Debug, Clone, PartialEq)]
pub struct CapabilitySpec {
    /// The `McpServer` that has the tool.
    pub server: Name,
    /// The tool, as the server calls it.
    pub tool: String,
    /// What a call changes; absent, the worst is taken: irreversible.
    pub effect: Effect,
    /// What a call is worth in dollars, over `args`; `None`: unknown, which counts as above every threshold.
    pub value_usd: Option<Expression>,
    /// What a call costs.
    pub cost_usd: UsdMicros,
    /// What its answers are marked with.
    pub labels: Vec<String>,
    /// How far its answers are trusted; absent, not at all.
    pub output_trust: Trust,
    /// Whether what it is given leaves the company; absent, it does for anything but a read.
    pub egress: bool,
    /// The arguments that steer the effect: to whom, where, how much, which. `None`: all of them.
    pub sensitive: Option<BTreeSet<String>>,
    /// What of its answers may be relied upon though the rest may not.
    pub vouches: Vouches,
    /// How what it did is undone; `None`: Ostler cannot.
    pub undo: Option<Undo>,
}

/// How a call is undone: by a call of another capability.
#[derive(Debug, Clone, PartialEq)]
pub struct Undo {
    /// The capability that undoes it. Whoever undoes it must be allowed to use it.
    pub by: Name,
    /// Its arguments, each an expression over `args` and `result`, those of the call that is undone.
    pub args: BTreeMap<String, Expression>,
}

impl CapabilitySpec {
    /// Whether an argument steers the effect: where nothing is declared, every one does.
    pub fn steers(&self, argument: &str) -> bool {
        self.sensitive.as_ref().is_none_or(|names| names.contains(argument))
    }

    /// What a call with these arguments is worth; `None`: unknown.
    pub fn value_of(&self, arguments: &Value) -> Option<UsdMicros> {
        self.value_usd.as_ref()?.usd(&[("args", arguments)]).ok()
    }
}

impl Choice for Effect {
    const ALL: &'static [(&'static str, Self)] = &[
        ("read", Self::Read),
        ("idempotent", Self::Idempotent),
        ("write", Self::Write),
        ("irreversible", Self::Irreversible),
    ];
}

impl Choice for Trust {
    const ALL: &'static [(&'static str, Self)] = &[("trusted", Self::Trusted), ("untrusted", Self::Untrusted)];
}

/// An expression over `args`: the arguments as they would be sent.
struct OverArguments(Expression);

impl Shape for OverArguments {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        read_expression(node, &["args"], reading).map(OverArguments)
    }

    fn write(&self) -> Value {
        self.0.source().into()
    }

    fn schema() -> Value {
        expression_schema()
    }
}

/// An expression over `args` and `result`.
struct OverCall(Expression);

impl Shape for OverCall {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        read_expression(node, &["args", "result"], reading).map(OverCall)
    }

    fn write(&self) -> Value {
        self.0.source().into()
    }

    fn schema() -> Value {
        expression_schema()
    }
}

const UNDO_USE: Field<Name> = Field::required("use", "The Capability that undoes it; the agent must list it, too.");
const UNDO_ARGS: Field<BTreeMap<String, OverCall>> =
    Field::required("args", "Its arguments: expressions over args and result of the call, such as {id: result.id}.");
const UNDO_FIELDS: Mapping = Mapping { rows: &[UNDO_USE.row(), UNDO_ARGS.row()], not_yet: &[] };

impl Shape for Undo {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = UNDO_FIELDS.open(node, reading)?;
        let (by, args) = (fields.required(&UNDO_USE, reading), fields.required(&UNDO_ARGS, reading));
        let args = args?.into_iter().map(|(name, OverCall(value))| (name, value)).collect();
        Some(Undo { by: by?, args })
    }

    fn write(&self) -> Value {
        let args: BTreeMap<_, _> =
            self.args.iter().map(|(name, value)| (name.clone(), OverCall(value.clone()))).collect();
        Writer::default().put(&UNDO_USE, &self.by).put(&UNDO_ARGS, &args).done()
    }

    fn schema() -> Value {
        UNDO_FIELDS.schema()
    }
}

const SERVER: Field<Name> = Field::required("server", "The McpServer that has the tool.");
const TOOL: Field<Word> = Field::required("tool", "The tool, as the server calls it.");
const EFFECT: Field<Chosen<Effect>> = Field::new("effect", "What a call changes outside. Absent: irreversible.");
const VALUE: Field<OverArguments> = Field::new(
    "value_usd",
    "An expression over args: what a call is worth in US dollars. No value counts as above every threshold.",
);
const COST: Field<UsdMicros> = Field::new("cost_usd", "What one call costs, in US dollars. Absent: nothing.");
const LABELS: Field<Vec<Word>> = Field::new("labels", "What its answers are marked with.");
const TRUST: Field<Chosen<Trust>> = Field::new("output_trust", "How far its answers are trusted. Absent: untrusted.");
const EGRESS: Field<Truth> =
    Field::new("egress", "Whether what it is given leaves the company. Absent: it does, unless it only reads.");
const SENSITIVE: Field<Vec<Word>> = Field::new(
    "sensitive",
    "The arguments that steer its effect: to whom, where, how much, which one. Absent: all; []: none.",
);
const VOUCHES: Field<BTreeMap<String, Vec<Word>>> = Field::new(
    "vouches",
    "Parts of its answers that may be relied upon though the rest may not: by path, the arguments that they may fill.",
);
const NAMED_BY: Field<Vec<Word>> =
    Field::new("named_by", "Paths of its answers by which a request names a record: a title, an author.");
const WHEN_NAMED: Field<BTreeMap<String, Vec<Word>>> =
    Field::new("vouches_when_named", "The same as vouches, for those records that the request names.");
const UNDO: Field<Undo> = Field::new("undo", "How what it did is undone. Absent: Ostler cannot.");
const FIELDS: Mapping = Mapping {
    rows: &[
        SERVER.row(),
        TOOL.row(),
        EFFECT.row(),
        VALUE.row(),
        COST.row(),
        LABELS.row(),
        TRUST.row(),
        EGRESS.row(),
        SENSITIVE.row(),
        VOUCHES.row(),
        NAMED_BY.row(),
        WHEN_NAMED.row(),
        UNDO.row(),
    ],
    not_yet: &[],
};

impl Shape for CapabilitySpec {
    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let fields = FIELDS.open(node, reading)?;
        let server = fields.required(&SERVER, reading);
        let tool = fields.required(&TOOL, reading);
        let effect = fields.optional(&EFFECT, reading);
        let value = fields.optional(&VALUE, reading);
        let cost = fields.optional(&COST, reading);
        let labels = fields.optional(&LABELS, reading);
        let trust = fields.optional(&TRUST, reading);
        let egress = fields.optional(&EGRESS, reading);
        let sensitive = fields.optional(&SENSITIVE, reading);
        let vouches = fields.optional(&VOUCHES, reading);
        let named_by = fields.optional(&NAMED_BY, reading);
        let when_named = fields.optional(&WHEN_NAMED, reading);
        let undo = fields.optional(&UNDO, reading);
        let effect = effect?.map_or(Effect::Irreversible, |Chosen(effect)| effect);
        Some(CapabilitySpec {
            server: server?,
            tool: tool?.0,
            effect,
            value_usd: value?.map(|OverArguments(value)| value),
            cost_usd: cost?.unwrap_or_default(),
            labels: labels?.unwrap_or_default().into_iter().map(|Word(label)| label).collect(),
            output_trust: trust?.map_or(Trust::Untrusted, |Chosen(trust)| trust),
            egress: egress?.map_or(effect.changes_something(), |Truth(egress)| egress),
            sensitive: sensitive?.map(|names| names.into_iter().map(|Word(name)| name).collect()),
            vouches: Vouches {
                fields: paths(vouches?),
                named_by: named_by?.unwrap_or_default().into_iter().map(|Word(path)| path).collect(),
                when_named: paths(when_named?),
            },
            undo: undo?,
        })
    }

    fn write(&self) -> Value {
        let labels: Vec<_> = self.labels.iter().cloned().map(Word).collect();
        let sensitive = self.sensitive.as_ref().map(|names| names.iter().cloned().map(Word).collect::<Vec<_>>());
        let named_by: Vec<_> = self.vouches.named_by.iter().cloned().map(Word).collect();
        // What follows from the effect is not written: a descriptor that says nothing of it stays the revision it is.
        let egress = (self.egress != self.effect.changes_something()).then_some(Truth(self.egress));
        Writer::default()
            .put(&SERVER, &self.server)
            .put(&TOOL, &Word(self.tool.clone()))
            .put(&EFFECT, &Chosen(self.effect))
            .put_some(&VALUE, self.value_usd.clone().map(OverArguments).as_ref())
            .put(&COST, &self.cost_usd)
            .put_some(&LABELS, (!labels.is_empty()).then_some(&labels))
            .put(&TRUST, &Chosen(self.output_trust))
            .put_some(&EGRESS, egress.as_ref())
            .put_some(&SENSITIVE, sensitive.as_ref())
            .put_some(&VOUCHES, written(&self.vouches.fields).as_ref())
            .put_some(&NAMED_BY, (!named_by.is_empty()).then_some(&named_by))
            .put_some(&WHEN_NAMED, written(&self.vouches.when_named).as_ref())
            .put_some(&UNDO, self.undo.as_ref())
            .done()
    }

    fn schema() -> Value {
        FIELDS.schema()
    }
}

fn paths(read: Option<BTreeMap<String, Vec<Word>>>) -> BTreeMap<String, BTreeSet<String>> {
    let names = |names: Vec<Word>| names.into_iter().map(|Word(name)| name).collect();
    read.unwrap_or_default().into_iter().map(|(path, arguments)| (path, names(arguments))).collect()
}

fn written(paths: &BTreeMap<String, BTreeSet<String>>) -> Option<BTreeMap<String, Vec<Word>>> {
    let names = |names: &BTreeSet<String>| names.iter().cloned().map(Word).collect();
    let written = paths.iter().map(|(path, arguments)| (path.clone(), names(arguments))).collect();
    (!paths.is_empty()).then_some(written)
}

impl Spec for CapabilitySpec {
    const KIND: Kind = Kind::Capability;
}

#[cfg(test)]
mod tests {
    use super::{Capability, CapabilitySpec};
    use crate::descriptor::{Descriptor, parse_file};

    fn read(fields: &str) -> Capability {
        let text = format!(
            "apiVersion: agent.os/v1\nkind: Capability\nmetadata: {{name: n, owner: o}}\nspec: {{server: s, tool: t{fields}}}\n"
        );
        match parse_file("c.yaml", &text, &|_| None).expect("it is well-formed").remove(0) {
            Descriptor::Capability(capability) => capability,
            other => panic!("a capability, not {other:?}"),
        }
    }

    fn spec(fields: &str) -> CapabilitySpec {
        read(fields).spec
    }

    #[test]
    fn what_is_not_said_of_a_capability_is_taken_at_its_worst() {
        let silent = spec("");
        assert!(silent.egress && silent.steers("anything"));
        assert!(!spec(", effect: read").egress, "a read that says nothing of it stays inside");
        assert!(spec(", effect: read, egress: true").egress && !spec(", effect: write, egress: false").egress);
        let declared = spec(", sensitive: [to]");
        assert!(declared.steers("to") && !declared.steers("body"));
        assert!(!spec(", sensitive: []").steers("to"));
    }
}
