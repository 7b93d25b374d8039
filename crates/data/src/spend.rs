//! What things cost: a view of what stays readable of the records, so it never opens a sealed body. What a budget
//! allows is none of its business.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use domain::budget::{Amounts, Window};
use domain::call::{MarkedBy, Settlement};
use domain::clock::Timestamp;
use domain::event::Header;
use domain::id::{CallId, Name};
use serde::{Deserialize, Serialize};

use crate::record::Envelope;
use crate::store::SpendRow;

/// What calls came to, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// On every meter.
    #[serde(flatten)]
    pub amounts: Amounts,
    /// The part of the money that was settled at its worst case, because nobody knows ("possibly billed").
    pub possibly_billed_usd_micros: i64,
    /// How many of the calls a scripted provider answered.
    pub scripted_calls: i64,
    /// The part of the tokens that is scripted.
    pub scripted_tokens: i64,
    /// The part of the money that is scripted: nobody was billed for it.
    pub scripted_usd_micros: i64,
    /// The input of models that say what they cache, in tokens.
    #[serde(default)]
    pub input_tokens: i64,
    /// The part of it that was read from a prompt cache.
    #[serde(default)]
    pub cached_tokens: i64,
    /// What that saved against no caches at all, in micro-dollars; below zero where writing cost more.
    #[serde(default)]
    pub saved_usd_micros: i64,
    /// The input and the saving by whose doing it was that anything was kept.
    #[serde(default)]
    pub marked: Marked,
}

/// Input and savings of prompt caches, by whose doing it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marked {
    /// Ostler's marks.
    pub ostler: Cached,
    /// Marks that clients set.
    pub client: Cached,
    /// Nobody's: the provider keeps prefixes by itself.
    pub provider: Cached,
}

/// What prompt caches came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cached {
    /// All input, in tokens, cached or not.
    pub input_tokens: i64,
    /// What was saved against no caches at all, in micro-dollars.
    pub saved_usd_micros: i64,
}

impl Marked {
    /// Of one of them.
    pub fn by(&self, whose: MarkedBy) -> Cached {
        match whose {
            MarkedBy::Ostler => self.ostler,
            MarkedBy::Client => self.client,
            MarkedBy::Provider => self.provider,
        }
    }

    fn one(whose: Option<MarkedBy>, cached: Cached) -> Self {
        let mut marked = Marked::default();
        match whose {
            Some(MarkedBy::Ostler) => marked.ostler = cached,
            Some(MarkedBy::Client) => marked.client = cached,
            Some(MarkedBy::Provider) => marked.provider = cached,
            None => {}
        }
        marked
    }

    fn plus(&self, other: &Marked) -> Marked {
        let sum = |one: Cached, other: Cached| Cached {
            input_tokens: one.input_tokens.saturating_add(other.input_tokens),
            saved_usd_micros: one.saved_usd_micros.saturating_add(other.saved_usd_micros),
        };
        Marked {
            ostler: sum(self.ostler, other.ostler),
            client: sum(self.client, other.client),
            provider: sum(self.provider, other.provider),
        }
    }
}

impl Tally {
    /// One settlement as a tally.
    pub fn of(settlement: &Settlement) -> Self {
        Self::of_amounts(settlement.amounts, settlement.scripted, settlement.worst_case)
    }

    fn of_amounts(amounts: Amounts, scripted: bool, possibly_billed: bool) -> Self {
        let part = |yes: bool, amount: i64| if yes { amount } else { 0 };
        Tally {
            amounts,
            possibly_billed_usd_micros: part(possibly_billed, amounts.usd_micros),
            scripted_calls: part(scripted, amounts.calls),
            scripted_tokens: part(scripted, amounts.tokens),
            scripted_usd_micros: part(scripted, amounts.usd_micros),
            ..Tally::default()
        }
    }

    /// What a row of the view adds.
    fn of_row(spent: &Spent, amounts: Amounts) -> Self {
        match &spent.on {
            SpentOn::Input(_) => {
                let cached = Cached { input_tokens: amounts.tokens, ..Cached::default() };
                let marked = Marked::one(spent.marked_by, cached);
                Tally { input_tokens: amounts.tokens, marked, ..Tally::default() }
            }
            SpentOn::Cached(_) => {
                let saved_usd_micros = amounts.usd_micros;
                let marked = Marked::one(spent.marked_by, Cached { saved_usd_micros, ..Cached::default() });
                Tally { cached_tokens: amounts.tokens, saved_usd_micros, marked, ..Tally::default() }
            }
            SpentOn::Model(_) | SpentOn::Capability(_) | SpentOn::Compute => {
                Self::of_amounts(amounts, spent.scripted, spent.possibly_billed)
            }
        }
    }

    /// The share of the input that was read from a prompt cache, in thousandths, where any is known.
    pub fn hit_rate(&self) -> Option<i64> {
        (self.input_tokens > 0).then(|| self.cached_tokens.saturating_mul(1000) / self.input_tokens)
    }

    /// Compute time as a tally.
    pub fn compute(compute_ms: i64) -> Self {
        Tally { amounts: Amounts { compute_ms, ..Amounts::default() }, ..Tally::default() }
    }

    /// Meter by meter, the sum; saturates.
    #[must_use]
    pub fn plus(&self, other: &Tally) -> Tally {
        Tally {
            amounts: self.amounts.plus(&other.amounts),
            possibly_billed_usd_micros: self
                .possibly_billed_usd_micros
                .saturating_add(other.possibly_billed_usd_micros),
            scripted_calls: self.scripted_calls.saturating_add(other.scripted_calls),
            scripted_tokens: self.scripted_tokens.saturating_add(other.scripted_tokens),
            scripted_usd_micros: self.scripted_usd_micros.saturating_add(other.scripted_usd_micros),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            cached_tokens: self.cached_tokens.saturating_add(other.cached_tokens),
            saved_usd_micros: self.saved_usd_micros.saturating_add(other.saved_usd_micros),
            marked: self.marked.plus(&other.marked),
        }
    }
}

/// On what something was spent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "on", content = "name", rename_all = "snake_case")]
pub enum SpentOn {
    /// A model, as it was asked for.
    Model(String),
    /// A capability, as `mcp://gateway/NAME` or `internal://NAME`.
    Capability(String),
    /// The runtime's own work.
    Compute,
    /// Nothing: the input of a model that says what it caches.
    Input(String),
    /// Nothing: what a model's prompt cache was read for, and what that saved.
    Cached(String),
}

/// What a row of the view is about. Prints as `model:NAME`, `capability:NAME`, `compute`, `input:NAME` or `cached:NAME`,
/// with `+scripted`, `+possibly-billed` and `+by-WHOM` (whose cache marks) after the first word where that is so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// On what.
    pub on: SpentOn,
    /// Whether a scripted provider answered.
    pub scripted: bool,
    /// Whether it was settled at its worst case, because nobody knows.
    pub possibly_billed: bool,
    /// Of caches: whose doing it was.
    pub marked_by: Option<MarkedBy>,
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, name) = match &self.on {
            SpentOn::Model(name) => ("model", Some(name)),
            SpentOn::Capability(name) => ("capability", Some(name)),
            SpentOn::Compute => ("compute", None),
            SpentOn::Input(name) => ("input", Some(name)),
            SpentOn::Cached(name) => ("cached", Some(name)),
        };
        f.write_str(word)?;
        f.write_str(if self.scripted { "+scripted" } else { "" })?;
        f.write_str(if self.possibly_billed { "+possibly-billed" } else { "" })?;
        if let Some(whose) = self.marked_by {
            write!(f, "+by-{}", whose.as_str())?;
        }
        name.map_or(Ok(()), |name| write!(f, ":{name}"))
    }
}

impl FromStr for Spent {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (head, name) = text.split_once(':').unwrap_or((text, ""));
        let mut words = head.split('+');
        let on = match words.next() {
            Some("model") => SpentOn::Model(name.to_owned()),
            Some("capability") => SpentOn::Capability(name.to_owned()),
            Some("compute") => SpentOn::Compute,
            Some("input") => SpentOn::Input(name.to_owned()),
            Some("cached") => SpentOn::Cached(name.to_owned()),
            _ => return Err(format!("{text:?} is nothing that money is spent on")),
        };
        let mut spent = Spent { on, scripted: false, possibly_billed: false, marked_by: None };
        for word in words {
            let whose =
                word.strip_prefix("by-").and_then(|name| MarkedBy::ALL.into_iter().find(|m| m.as_str() == name));
            match word {
                "scripted" => spent.scripted = true,
                "possibly-billed" => spent.possibly_billed = true,
                _ if whose.is_some() => spent.marked_by = whose,
                other => return Err(format!("{other:?} says nothing about spending")),
            }
        }
        Ok(spent)
    }
}

/// What the calls in flight are of: an outcome's header does not say it again.
pub type Named = HashMap<CallId, SpentOn>;

/// What a header names, where it is the header of an intent.
pub fn named_by(header: &Header) -> Option<SpentOn> {
    let what = header.what.clone()?;
    match header.k.as_str() {
        "model_requested" => Some(SpentOn::Model(what)),
        "call_requested" => Some(SpentOn::Capability(what)),
        _ => None,
    }
}

/// The calls whose outcome is in this record and whose intent is in an earlier one: what `named` must know before
/// [`rows_of`] can attribute them.
pub fn unnamed(envelope: &Envelope, named: &Named) -> Vec<CallId> {
    let mut here = Vec::new();
    let mut missing = Vec::new();
    for header in &envelope.headers {
        let Some(ordinal) = header.call else { continue };
        let call = CallId { session: envelope.session, ordinal };
        if named_by(header).is_some() {
            here.push(call);
        } else if settles(header).is_some() && !here.contains(&call) && !named.contains_key(&call) {
            missing.push(call);
        }
    }
    missing
}

/// What one record adds to the spend of its agent. Names of intents are added to `named`, those of ended calls
/// taken out. A call that nobody named is counted under `unknown`, so that no dollar is ever left out.
pub fn rows_of(envelope: &Envelope, agent: &Name, named: &mut Named) -> Vec<SpendRow> {
    let mut rows: Vec<SpendRow> = Vec::new();
    for header in &envelope.headers {
        let call = header.call.map(|ordinal| CallId { session: envelope.session, ordinal });
        if let (Some(call), Some(on)) = (call, named_by(header)) {
            named.insert(call, on);
        }
        let Some(settlement) = settles(header) else { continue };
        let on = match (call, header.k.as_str()) {
            (None, _) => SpentOn::Compute,
            (Some(call), "model_answered") => match &settlement.fallback {
                Some(stood_in) => SpentOn::Model(stood_in.model.clone()),
                None => named.get(&call).cloned().unwrap_or_else(|| SpentOn::Model("unknown".to_owned())),
            },
            (Some(call), _) => named.get(&call).cloned().unwrap_or_else(|| SpentOn::Capability("unknown".to_owned())),
        };
        // A write that nobody knows the end of is settled later, under the same name.
        if let Some(call) = call.filter(|_| header.end.as_deref() != Some("unknown")) {
            named.remove(&call);
        }
        let (session, hour) = (envelope.session, Window::Hour.start(envelope.at));
        let mut put = |spent: Spent, amounts: Amounts| {
            add(&mut rows, SpendRow { agent: agent.clone(), session, hour, what: spent.to_string(), amounts });
        };
        for (on, amounts) in of_cache(&on, settlement) {
            let marked_by = settlement.cache.and_then(|cache| cache.marked_by);
            put(Spent { on, scripted: false, possibly_billed: false, marked_by }, amounts);
        }
        let (scripted, possibly_billed) = (settlement.scripted, settlement.worst_case);
        put(Spent { on, scripted, possibly_billed, marked_by: None }, settlement.amounts);
    }
    rows
}

/// What a model call says of its prompt cache, as rows of their own.
fn of_cache(on: &SpentOn, settlement: &Settlement) -> Vec<(SpentOn, Amounts)> {
    let (SpentOn::Model(model), Some(cache)) = (on, &settlement.cache) else { return Vec::new() };
    let input = Amounts { tokens: cache.input_tokens, ..Amounts::default() };
    let cached = Amounts { tokens: cache.read_tokens, usd_micros: cache.saved_usd_micros, ..Amounts::default() };
    vec![(SpentOn::Input(model.clone()), input), (SpentOn::Cached(model.clone()), cached)]
}

fn settles(header: &Header) -> Option<&Settlement> {
    header.settled.as_ref()
}

fn add(rows: &mut Vec<SpendRow>, row: SpendRow) {
    let key = |row: &SpendRow| (row.agent.clone(), row.session, row.hour, row.what.clone());
    match rows.iter_mut().find(|held| key(held) == key(&row)) {
        Some(held) => held.amounts = held.amounts.plus(&row.amounts),
        None => rows.push(row),
    }
}

/// By what cost is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// By agent: everything.
    Agent,
    /// By model: model calls only.
    Model,
    /// By capability: calls through the gateway and internal ones only.
    Tool,
    /// By session: everything.
    Session,
    /// By the group or person that owns the agent now: everything.
    Owner,
}

impl FromStr for By {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "agent" => Ok(By::Agent),
            "model" => Ok(By::Model),
            "tool" => Ok(By::Tool),
            "session" => Ok(By::Session),
            "owner" => Ok(By::Owner),
            other => Err(format!("cost is known by agent, model, tool, owner or session, not by {other:?}")),
        }
    }
}

/// The answer to "what did it cost": one line per thing asked by, dearest first, and their sum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// By what it is broken down.
    pub by: By,
    /// From when it counts: the start of an hour.
    pub since: Timestamp,
    /// The lines.
    pub lines: Vec<CostLine>,
    /// Their sum.
    pub total: Tally,
}

/// One line of a [`Cost`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostLine {
    /// The agent, model, capability or session.
    pub name: String,
    /// What it came to.
    #[serde(flatten)]
    pub tally: Tally,
}

/// Adds rows up. Rows of hours before the one that holds `since` are left out. `owner` knows whose an agent is.
pub fn cost<'a>(
    rows: impl IntoIterator<Item = &'a SpendRow>,
    by: By,
    since: Timestamp,
    owner: impl Fn(&Name) -> Option<String>,
) -> Cost {
    let since = Window::Hour.start(since);
    let mut groups: BTreeMap<String, Tally> = BTreeMap::new();
    for row in rows.into_iter().filter(|row| row.hour >= since) {
        let Ok(spent) = row.what.parse::<Spent>() else { continue };
        let name = match (by, &spent.on) {
            (By::Agent, _) => row.agent.to_string(),
            (By::Session, _) => row.session.to_string(),
            (By::Owner, _) => owner(&row.agent).unwrap_or_else(|| "unknown".to_owned()),
            (By::Model, SpentOn::Model(name) | SpentOn::Input(name) | SpentOn::Cached(name))
            | (By::Tool, SpentOn::Capability(name)) => name.clone(),
            (By::Model | By::Tool, _) => continue,
        };
        let held = groups.entry(name).or_default();
        *held = held.plus(&Tally::of_row(&spent, row.amounts));
    }
    let mut lines: Vec<_> = groups.into_iter().map(|(name, tally)| CostLine { name, tally }).collect();
    lines.sort_by_key(|line| std::cmp::Reverse((line.tally.amounts.usd_micros, line.tally.amounts.tokens)));
    let total = lines.iter().fold(Tally::default(), |sum, line| sum.plus(&line.tally));
    Cost { by, since, lines, total }
}

/// Money by the hour and by what `name` says of a row, dearest name first: the amounts of `hours` hours from `since` on.
pub fn by_hour<'a>(
    rows: impl IntoIterator<Item = &'a SpendRow>,
    (since, hours): (Timestamp, usize),
    name: impl Fn(&SpendRow, &Spent) -> Option<String>,
) -> Vec<(String, Vec<i64>)> {
    let start = Window::Hour.start(since);
    let mut series: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for row in rows {
        let Ok(spent) = row.what.parse::<Spent>() else { continue };
        let at = usize::try_from(row.hour.since_ms(start) / Window::Hour.length_ms()).unwrap_or(usize::MAX);
        let (Some(name), true) = (name(row, &spent), at < hours) else { continue };
        let held = &mut series.entry(name).or_insert_with(|| vec![0; hours])[at];
        *held = held.saturating_add(Tally::of_row(&spent, row.amounts).amounts.usd_micros);
    }
    let mut series: Vec<_> = series.into_iter().collect();
    series.sort_by_key(|(_, amounts)| std::cmp::Reverse(amounts.iter().copied().fold(0, i64::saturating_add)));
    series
}
