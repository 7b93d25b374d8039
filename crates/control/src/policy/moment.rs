//! What is known of one call when a policy is asked, as values of Cedar. Only what some rule reads is worked out; what
//! a rule reads and nobody knows is a reason to refuse, never a default. Must not know what the rules say.

use std::collections::BTreeSet;

use cedar_policy::{Context, RestrictedExpression as Value};
use domain::capability::{CapabilityRef, Effect};
use domain::clock::Timestamp;
use domain::descriptor::CapabilitySpec;
use domain::id::Name;
use domain::principal::{Autonomy, Mode};
use domain::provenance::{Provenance, Source};
use serde_json::Value as Json;

use super::shape::{Fields, record};

/// What is known of one call.
#[derive(Debug, Clone)]
pub struct Moment<'a> {
    /// When.
    pub now: Timestamp,
    /// How much the agent may do on its own.
    pub autonomy: Autonomy,
    /// Live, or shadow.
    pub mode: Mode,
    /// How many delegated before.
    pub depth: usize,
    /// The person behind it.
    pub on_behalf_of: Option<&'a Name>,
    /// The groups of that person.
    pub groups: &'a [Name],
    /// What the agent spent today, in micro-dollars.
    pub spent_today: Spent<'a>,
    /// Where its arguments come from; `None`: nobody knows, and everything is the model's own, after untrusted text.
    pub provenance: Option<Provenance>,
    /// The use of a capability; `None`: a model is asked.
    pub using: Option<Using<'a>>,
}

/// What an agent spent today, in micro-dollars; `None`: nobody counts it.
#[derive(Clone, Copy)]
pub enum Spent<'a> {
    /// So much.
    Known(Option<i64>),
    /// What the books say: they are looked into where a rule reads it, and not before.
    Books(&'a dyn Fn() -> Option<i64>),
}

impl Spent<'_> {
    fn look(&self) -> Option<i64> {
        match self {
            Spent::Known(spent) => *spent,
            Spent::Books(look) => look(),
        }
    }
}

impl std::fmt::Debug for Spent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Spent::Known(spent) => f.debug_tuple("Known").field(spent).finish(),
            Spent::Books(_) => f.write_str("Books"),
        }
    }
}

/// The use of a capability.
#[derive(Debug, Clone)]
pub struct Using<'a> {
    /// Which.
    pub capability: &'a CapabilityRef,
    /// What it may change.
    pub effect: Effect,
    /// The effective arguments.
    pub arguments: &'a Json,
    /// What it is worth, in micro-dollars, where that is known.
    pub value: Option<i64>,
    /// Who consented to exactly this call.
    pub approvers: Vec<Name>,
    /// Its descriptor, where it has one.
    pub spec: Option<&'a CapabilitySpec>,
}

impl Using<'_> {
    /// Whether what it is worth is known and not negative.
    pub fn is_valued(&self) -> bool {
        self.value.is_some_and(|value| value >= 0)
    }

    /// What it is worth to a rule: a write that nobody can value is above every limit.
    pub fn worth(&self) -> i64 {
        match self.value.filter(|value| *value >= 0) {
            Some(value) => value,
            None if self.effect.changes_something() => i64::MAX,
            None => 0,
        }
    }

    /// Whether what it is given leaves the company.
    pub fn leaves(&self) -> bool {
        matches!(self.capability, CapabilityRef::External(_)) && self.spec.is_none_or(|spec| spec.egress)
    }

    /// The arguments that nobody vouches for.
    pub(crate) fn unvouched(&self, known: Option<&Provenance>) -> Vec<String> {
        match known {
            Some(known) => known.unvouched.iter().cloned().collect(),
            None => self.steering().map(str::to_owned).collect(),
        }
    }

    /// The arguments that steer its effect.
    fn steering(&self) -> impl Iterator<Item = &str> {
        let given = self.arguments.as_object().into_iter().flat_map(|map| map.keys());
        given.map(String::as_str).filter(|name| self.spec.is_none_or(|spec| spec.steers(name)))
    }
}

/// The attributes that rules read.
pub(crate) struct Reads(pub(crate) BTreeSet<String>);

impl Reads {
    fn any(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Whether a field of `input` or `provenance` is read, by its name or with the whole of it.
    fn field(&self, of: &str, name: &str) -> bool {
        self.any(name) || self.any(&format!("{of}.*"))
    }
}

/// What the rules read of this call.
///
/// # Errors
/// What they read and nobody knows, in one sentence.
pub(crate) fn context(moment: &Moment<'_>, input: &Fields, reads: &Reads) -> Result<Context, String> {
    let mut pairs: Vec<(String, Value)> = Vec::with_capacity(reads.0.len());
    let mut put = |name: &str, value: &dyn Fn() -> Result<Option<Value>, String>| -> Result<(), String> {
        if reads.any(name)
            && let Some(value) = value()?
        {
            pairs.push((name.to_owned(), value));
        }
        Ok(())
    };
    let known = moment.provenance.as_ref();
    put("now", &|| Ok(Some(Value::new_datetime(moment.now.to_string()))))?;
    put("depth", &|| Ok(Some(Value::new_long(moment.depth as i64))))?;
    put("autonomy", &|| Ok(Some(text(word(moment.autonomy)))))?;
    put("mode", &|| Ok(Some(text(if moment.mode == Mode::Shadow { "shadow" } else { "live" }))))?;
    put("on_behalf_of", &|| Ok(moment.on_behalf_of.map(|person| text(person.as_str()))))?;
    put("on_behalf_of_groups", &|| Ok(Some(texts(moment.groups.iter().map(Name::as_str)))))?;
    put("spent_today_usd_micros", &|| {
        let spent =
            moment.spent_today.look().ok_or("nobody counts what the agent spends a day (budgets.usd_per_day)")?;
        Ok(Some(Value::new_long(spent)))
    })?;
    put("labels", &|| {
        let known = known.ok_or("nobody knows the labels of what entered the session")?;
        Ok(Some(texts(known.labels.iter().map(String::as_str))))
    })?;
    put("tainted", &|| Ok(Some(Value::new_bool(known.is_none_or(|known| known.tainted)))))?;
    if let Some(using) = &moment.using {
        put("effect", &|| Ok(Some(text(&using.effect.to_string()))))?;
        put("egress", &|| Ok(Some(Value::new_bool(using.leaves()))))?;
        put("value_usd_micros", &|| Ok(Some(Value::new_long(using.worth()))))?;
        put("value_known", &|| Ok(Some(Value::new_bool(using.is_valued()))))?;
        put("unvouched", &|| Ok(Some(texts(using.unvouched(known).iter().map(String::as_str)))))?;
        put("requested", &|| Ok(Some(Value::new_bool(known.is_some_and(|known| known.requested)))))?;
        put("provenance", &|| provenance(using, known, input, reads).map(Some))?;
        put("approval", &|| approval(using))?;
        put("input", &|| {
            let arguments = using.arguments.as_object().ok_or("the arguments are no mapping")?;
            let input = record(input, arguments, &|name| reads.field("input", name));
            input.map(Some).map_err(|why| format!("the argument {why}"))
        })?;
    }
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}

fn provenance(using: &Using<'_>, known: Option<&Provenance>, input: &Fields, reads: &Reads) -> Result<Value, String> {
    let given = using.arguments.as_object().into_iter().flat_map(|map| map.keys());
    let read = given.filter(|name| input.contains_key(*name) && reads.field("provenance", name));
    let each = read.map(|name| {
        let sources = known.map(|known| known.of(name)).filter(|sources| !sources.is_empty());
        let sources = sources.unwrap_or_else(|| BTreeSet::from([Source::Model]));
        (name.clone(), texts(sources.into_iter().map(Source::name)))
    });
    Value::new_record(each.collect::<Vec<_>>()).map_err(|error| error.to_string())
}

fn approval(using: &Using<'_>) -> Result<Option<Value>, String> {
    if using.approvers.is_empty() {
        return Ok(None);
    }
    let approvers = texts(using.approvers.iter().map(Name::as_str));
    let count = Value::new_long(using.approvers.len() as i64);
    let both = [("count".to_owned(), count), ("approvers".to_owned(), approvers)];
    Value::new_record(both).map(Some).map_err(|error| error.to_string())
}

pub(crate) fn word(autonomy: Autonomy) -> &'static str {
    match autonomy {
        Autonomy::Shadow => "shadow",
        Autonomy::Supervised => "supervised",
        Autonomy::Autonomous => "autonomous",
    }
}

fn text(text: &str) -> Value {
    Value::new_string(text.to_owned())
}

fn texts<'a>(all: impl IntoIterator<Item = &'a str>) -> Value {
    Value::new_set(all.into_iter().map(text))
}
