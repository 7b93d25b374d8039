//! What the rules would say to a call that nobody makes: for tables of tests, and for people who ask why, and what
//! would let it pass. It asks the same slices as the gate, and only the policy's part of the question. Must not record
//! anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::capability::{CapabilityRef, Effect};
use domain::clock::Timestamp;
use domain::descriptor::{CapabilitySpec, INTERNAL_WRITES};
use domain::id::{Digest, Name};
use domain::money::UsdMicros;
use domain::principal::{Autonomy, Mode};
use domain::provenance::Provenance;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::check::Definitions;
use super::show::{Told, told};
use super::{Defined, InForce, Moment, Ruled, Ruling, Spent, Using, Whose, document, rule};
use crate::error::ControlError;
use crate::registry::Registry;

/// A call, as a person describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Whose it would be.
    pub agent: Name,
    /// Of which tool: `email-draft`, or `internal://remember`.
    pub tool: String,
    /// With which arguments.
    #[serde(default)]
    pub input: Map<String, Value>,
    /// What it is worth, in dollars, where that is not what the capability's descriptor makes of its arguments.
    #[serde(default)]
    pub value_usd: Option<f64>,
    /// When; absent: now.
    #[serde(default)]
    pub at: Option<String>,
    /// How much the agent may do on its own; absent: as it is.
    #[serde(default)]
    pub autonomy: Option<Autonomy>,
    /// The person behind it.
    #[serde(default)]
    pub on_behalf_of: Option<Name>,
    /// How many delegated before.
    #[serde(default)]
    pub depth: usize,
    /// What the agent spent today, in dollars; absent: nothing.
    #[serde(default)]
    pub spent_today_usd: f64,
    /// Who consented to exactly this.
    #[serde(default)]
    pub approved_by: Vec<Name>,
    /// Where its arguments come from; absent: nothing untrusted was heard, and all are vouched for.
    #[serde(default)]
    pub provenance: Provenance,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It may go.
    Allow,
    /// It waits for consent.
    Ask,
    /// It is written down, and not sent.
    Record,
    /// It is refused.
    Deny,
}

impl Decision {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Decision::Allow => "allow",
            Decision::Ask => "ask",
            Decision::Record => "record",
            Decision::Deny => "deny",
        }
    }
}

/// What the rules would say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// What becomes of it.
    pub decision: Decision,
    /// The rules that say so, with their texts.
    pub rules: Vec<Told>,
    /// Why.
    pub reason: String,
    /// What to do next.
    pub next: String,
    /// Whose consent it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Name>,
    /// How many of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quorum: Option<u16>,
    /// The values that the rules which say so read.
    pub because: Map<String, Value>,
    /// The nearest changes that would let it pass.
    pub would: Vec<String>,
}

/// Under which rules a call is supposed, and when.
pub(crate) struct Circumstance<'a> {
    pub(crate) in_force: InForce<'a>,
    pub(crate) now: Timestamp,
    /// What the agent spent that day, in micro-dollars; `None`: nobody knows.
    pub(crate) spent_today: Option<i64>,
}

/// A call that is supposed, with everything that the rules may read of it.
pub(crate) struct Supposed<'a> {
    registry: &'a Registry,
    under: Circumstance<'a>,
    case: &'a Case,
    capability: CapabilityRef,
    effect: Effect,
    spec: Option<&'a CapabilitySpec>,
    schema: Arc<Value>,
    arguments: Value,
    value: Option<i64>,
}

fn not_found<T>(reason: String, next: &str) -> Result<T, ControlError> {
    Err(ControlError::NotFound { reason, next: next.to_owned() })
}

/// What the rules would say to a call.
///
/// # Errors
/// When it names an agent or a tool that is not there.
pub fn ask(
    registry: &Registry,
    definitions: &Definitions,
    case: &Case,
    now: Timestamp,
) -> Result<Answer, ControlError> {
    let Some(in_force) = InForce::newest(registry, &case.agent) else {
        return not_found(
            format!("There is no agent named {}.", case.agent),
            "List what there is: `ostler get agents`.",
        );
    };
    let now = match case.at.as_ref().map(|at| at.parse::<Timestamp>()).transpose() {
        Ok(at) => at.unwrap_or(now),
        Err(error) => {
            let next = "Such as 2026-12-01T09:00Z.".to_owned();
            return Err(ControlError::Invalid { reason: format!("{error}."), next });
        }
    };
    let spent_today = UsdMicros::from_dollars(case.spent_today_usd).map(|usd| usd.0);
    Ok(suppose(registry, definitions, case, Circumstance { in_force, now, spent_today })?.explained())
}

/// What would become of a call now, and nothing else.
///
/// # Errors
/// When it names an agent or a tool that is not there.
pub fn decision(
    registry: &Registry,
    definitions: &Definitions,
    case: &Case,
    now: Timestamp,
) -> Result<Decision, ControlError> {
    let Some(in_force) = InForce::newest(registry, &case.agent) else {
        return not_found(format!("There is no agent named {}.", case.agent), "List them: `ostler get agents`.");
    };
    let under = Circumstance { in_force, now, spent_today: Some(0) };
    Ok(suppose(registry, definitions, case, under)?.answered().decision)
}

/// A call, under these circumstances.
pub(crate) fn suppose<'a>(
    registry: &'a Registry,
    definitions: &Definitions,
    case: &'a Case,
    under: Circumstance<'a>,
) -> Result<Supposed<'a>, ControlError> {
    let capability = tool_of(case)?;
    let (effect, spec) = match &capability {
        CapabilityRef::Internal(name) if INTERNAL_WRITES.contains(&name.as_str()) => (Effect::Write, None),
        CapabilityRef::Internal(_) | CapabilityRef::Agent(_) => (Effect::Read, None),
        CapabilityRef::External(name) => {
            let spec = registry.capability(name).map(|entry| &entry.descriptor.spec);
            (spec.map_or(Effect::Irreversible, |spec| spec.effect), spec)
        }
    };
    let arguments = Value::Object(case.input.clone());
    let known = definitions.get(&capability).cloned();
    let schema = known.clone().unwrap_or_else(|| Arc::new(looks(&arguments, false)));
    let value = match case.value_usd {
        Some(usd) => UsdMicros::from_dollars(usd).map(|usd| usd.0),
        None => spec.and_then(|spec| spec.value_of(&arguments)).map(|usd| usd.0),
    };
    let mut supposed = Supposed { registry, under, case, capability, effect, spec, schema, arguments, value };
    if known.is_none() && !supposed.fits() {
        supposed.schema = Arc::new(looks(&supposed.arguments, true));
    }
    Ok(supposed)
}

/// The types of arguments whose definition nobody has: as they look in all of these calls. Numbers are `whole` where all
/// of them are, if that is wanted.
pub fn looked_like(cases: &[Case], whole: bool) -> Definitions {
    let mut all: BTreeMap<CapabilityRef, Vec<&Map<String, Value>>> = BTreeMap::new();
    for case in cases {
        if let Ok(tool) = tool_of(case) {
            all.entry(tool).or_default().push(&case.input);
        }
    }
    let each = all.into_iter().map(|(tool, inputs)| (tool, Arc::new(together(&inputs, whole))));
    each.collect()
}

/// Whether every rule that bears on a call can be read against what is known of its tool.
pub fn fits(registry: &Registry, definitions: &Definitions, case: &Case) -> bool {
    let Some(in_force) = InForce::newest(registry, &case.agent) else { return false };
    let under = Circumstance { in_force, now: Timestamp::default(), spent_today: None };
    suppose(registry, definitions, case, under).is_ok_and(|supposed| supposed.fits())
}

fn together(inputs: &[&Map<String, Value>], whole: bool) -> Value {
    let names: BTreeSet<&String> = inputs.iter().flat_map(|input| input.keys()).collect();
    let required: Vec<&String> =
        names.iter().copied().filter(|name| inputs.iter().all(|input| input.contains_key(*name))).collect();
    let properties = names.iter().map(|name| {
        let values: Vec<&Value> = inputs.iter().filter_map(|input| input.get(*name)).collect();
        let first = values.first().map_or(json!({}), |first| looks(first, whole && values.iter().all(|v| v.is_i64())));
        ((*name).clone(), first)
    });
    json!({"type": "object", "required": required, "properties": properties.collect::<Map<_, _>>()})
}

fn looks(value: &Value, whole: bool) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(_) if whole => json!({"type": "integer"}),
        Value::Number(_) => json!({"type": "number"}),
        Value::String(_) => json!({"type": "string"}),
        Value::Array(items) => {
            json!({"type": "array", "items": items.first().map_or(json!({"type": "string"}), |item| looks(item, whole))})
        }
        Value::Object(map) => together(&[map], whole),
    }
}

fn tool_of(case: &Case) -> Result<CapabilityRef, ControlError> {
    match (case.tool.parse::<CapabilityRef>(), case.tool.parse::<Name>()) {
        (Ok(capability), _) => Ok(capability),
        (Err(_), Ok(name)) => Ok(CapabilityRef::External(name)),
        (Err(why), Err(_)) => not_found(format!("{why}."), "Name a tool of the agent."),
    }
}

/// What rules say, without their texts.
pub(crate) fn answer(ruled: &Ruled) -> Answer {
    let (decision, reason, next, of) = match &ruled.ruling {
        Ruling::Allow => (Decision::Allow, "It may go.".to_owned(), String::new(), None),
        Ruling::Record => {
            let reason = "The agent is in shadow: it would be written down, and not sent.".to_owned();
            (Decision::Record, reason, String::new(), None)
        }
        Ruling::Consent { reason, obligation } => {
            let next = format!("It waits for {} of {} to consent.", obligation.quorum.max(1), obligation.by);
            (Decision::Ask, reason.clone(), next, Some(obligation))
        }
        Ruling::Deny(refusal) => (Decision::Deny, refusal.reason.clone(), refusal.next.clone(), None),
    };
    let (by, quorum) = (of.map(|of| of.by.clone()), of.map(|of| of.quorum));
    let (rules, because, would) = (Vec::new(), Map::new(), Vec::new());
    Answer { decision, rules, reason, next, by, quorum, because, would }
}

impl Supposed<'_> {
    /// What the rules say, which, why, and what would let it pass.
    pub(crate) fn explained(&self) -> Answer {
        let mut answer = self.answered();
        answer.because = self.because(&answer.rules);
        answer.would = match answer.decision {
            Decision::Allow => Vec::new(),
            Decision::Ask | Decision::Record | Decision::Deny => self.would(&answer),
        };
        answer
    }

    /// What the rules say, and which.
    pub(crate) fn answered(&self) -> Answer {
        let ruled = self.ruled(&self.moment());
        let mut answer = answer(&ruled);
        answer.rules = self.told(&ruled);
        answer
    }

    fn whose(&self) -> Whose<'_> {
        Whose { registry: self.registry, agent: &self.case.agent, in_force: &self.under.in_force }
    }

    fn moment(&self) -> Moment<'_> {
        let autonomy = self.case.autonomy.unwrap_or(self.under.in_force.autonomy);
        let on_behalf_of = self.case.on_behalf_of.as_ref();
        let person = on_behalf_of.and_then(|person| self.registry.person(person));
        let (arguments, approvers) = (&self.arguments, self.case.approved_by.clone());
        let (capability, effect, value, spec) = (&self.capability, self.effect, self.value, self.spec);
        Moment {
            now: self.under.now,
            autonomy,
            mode: if autonomy == Autonomy::Shadow { Mode::Shadow } else { Mode::Live },
            depth: self.case.depth,
            on_behalf_of,
            groups: person.map_or(&[][..], |person| &person.groups),
            spent_today: Spent::Known(self.under.spent_today),
            provenance: Some(self.case.provenance.clone()),
            using: Some(Using { capability, effect, arguments, value, approvers, spec }),
        }
    }

    fn defined(&self) -> Defined<'_> {
        Defined { hash: Digest::of_json(&self.schema), input_schema: Some(&self.schema) }
    }

    fn fits(&self) -> bool {
        super::slice_of_tool(&self.whose(), &self.defined(), (&self.capability, self.effect)).is_ok()
    }

    fn ruled(&self, moment: &Moment<'_>) -> Ruled {
        let defined = self.defined();
        match &moment.using {
            Some(using) => rule(&self.whose(), &defined, moment, using),
            None => Ruled { ruling: Ruling::Allow, ids: Vec::new() },
        }
    }

    fn decides(&self, moment: &Moment<'_>) -> Decision {
        answer(&self.ruled(moment)).decision
    }

    /// The rules that say so, by their ids.
    fn told(&self, ruled: &Ruled) -> Vec<Told> {
        let all = self.rules();
        let of = |id: &String| all.iter().find(|rule| rule.id == *id).map(|rule| told(rule));
        ruled.ids.iter().filter_map(of).collect()
    }

    fn rules(&self) -> Vec<Arc<document::Rule>> {
        super::documents(&self.whose(), &self.capability, &self.schema)
            .into_iter()
            .flat_map(|document| document.rules)
            .collect()
    }

    /// What the rules read of this call, as a person reads it.
    fn because(&self, rules: &[Told]) -> Map<String, Value> {
        let all = self.rules();
        let ids: BTreeSet<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
        let reads: BTreeSet<&str> = all
            .iter()
            .filter(|rule| ids.contains(rule.id.as_str()))
            .flat_map(|rule| rule.reads.iter().map(String::as_str))
            .collect();
        let moment = self.moment();
        let known = &self.case.provenance;
        let value = self.value.map_or(json!("unknown"), |value| json!(UsdMicros(value).to_string()));
        let facts = [
            ("autonomy", json!(super::moment::word(moment.autonomy))),
            ("value_usd_micros", value.clone()),
            ("value_known", json!(self.value.is_some())),
            ("effect", json!(self.effect.to_string())),
            ("now", json!(self.under.now.to_string())),
            ("depth", json!(self.case.depth)),
            ("on_behalf_of", json!(self.case.on_behalf_of)),
            ("spent_today_usd_micros", json!(self.under.spent_today.map(|spent| UsdMicros(spent).to_string()))),
            ("tainted", json!(known.tainted)),
            ("unvouched", json!(known.unvouched)),
            ("labels", json!(known.labels)),
        ];
        let mut out: Map<String, Value> = facts
            .into_iter()
            .filter(|(name, _)| reads.contains(name))
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let read = self.case.input.iter().filter(|(name, _)| reads.contains(name.as_str()) && reads.contains("input"));
        out.extend(read.map(|(name, value)| (format!("input.{name}"), value.clone())));
        out
    }

    /// The nearest changes that would let it pass, each tried.
    fn would(&self, answer: &Answer) -> Vec<String> {
        let mut would = Vec::new();
        if let Some(by) = &answer.by {
            let people = answer.quorum.unwrap_or(1).max(1);
            let who = if people == 1 { format!("one of {by}") } else { format!("{people} of {by}") };
            would.push(format!("with the consent of {who}"));
        }
        would.extend(self.where_told(answer));
        would.extend(self.with_less());
        let moment = self.moment();
        let tries = [
            (
                "if no untrusted text had entered the session",
                Moment { provenance: Some(self.untainted()), ..moment.clone() },
            ),
            (
                "if its arguments came from the request or a trusted capability",
                Moment { provenance: Some(self.vouched()), ..moment.clone() },
            ),
            (
                "if the agent were autonomous",
                Moment { autonomy: Autonomy::Autonomous, mode: Mode::Live, ..moment.clone() },
            ),
        ];
        let passes = tries.into_iter().filter(|(_, other)| self.decides(other) == Decision::Allow);
        would.extend(passes.map(|(how, _)| how.to_owned()));
        would.extend(self.at_other_hours());
        would
    }

    /// What must hold of its arguments, where nothing else is in its way.
    fn where_told(&self, answer: &Answer) -> Option<String> {
        let all = self.rules();
        let of = |told: &Told| all.iter().find(|rule| rule.id == told.id).and_then(|rule| rule.clause());
        let clauses: Vec<_> = answer.rules.iter().map(of).collect::<Option<_>>()?;
        let clauses: Vec<String> = clauses.iter().map(|clause| format!("`{clause}`")).collect();
        (!clauses.is_empty()).then(|| format!("with arguments of which {} is true", clauses.join(" and ")))
    }

    fn untainted(&self) -> Provenance {
        Provenance { tainted: false, ..self.case.provenance.clone() }
    }

    fn vouched(&self) -> Provenance {
        Provenance { unvouched: BTreeSet::new(), ..self.case.provenance.clone() }
    }

    /// The largest value that would pass, where less is what it takes.
    fn with_less(&self) -> Option<String> {
        let passes = |value: i64| {
            let mut moment = self.moment();
            moment.using.iter_mut().for_each(|using| using.value = Some(value));
            self.decides(&moment) == Decision::Allow
        };
        if !passes(0) {
            return None;
        }
        let (mut low, mut high) = (0, self.value.filter(|value| *value >= 0).unwrap_or(i64::MAX / 2));
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if passes(middle) { low = middle } else { high = middle }
        }
        Some(format!("with a value of at most {}", UsdMicros(low)))
    }

    /// The hours of the same day at which it would pass.
    fn at_other_hours(&self) -> Option<String> {
        const HOUR: i64 = 3_600_000;
        let now = self.under.now;
        let midnight = now.0 - now.0.rem_euclid(24 * HOUR);
        let passes = |hour: i64| {
            let moment = Moment { now: Timestamp(midnight + hour * HOUR), ..self.moment() };
            self.decides(&moment) == Decision::Allow
        };
        let hours: Vec<i64> = (0..24).filter(|hour| passes(*hour)).collect();
        let (first, last) = (hours.first()?, hours.last()?);
        Some(format!("between {first:02}:00 and {:02}:59 UTC", last))
    }
}
