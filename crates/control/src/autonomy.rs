//! Autonomy: shadow, supervised, autonomous. In shadow the door writes down what the agent would have sent; here that
//! is put beside what people did in the same cases, and a person of the owner group may give a revision more room.
//! What must never be known here: how a write was kept from being sent.

use std::collections::{BTreeMap, BTreeSet};

use domain::control::{ControlEvent, HumanCase};
use domain::depth;
use domain::descriptor::Promote;
use domain::id::{Digest, Name, SessionId};
use domain::principal::{Autonomy, Caller};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::compare::{self, FieldDifference, ShadowCase};
use crate::error::ControlError;
use crate::gate::Gate;
use crate::identity::{must_be_person_of, named};
use crate::policy::rank;
use crate::registry::{AgentEntry, Cases, Registry};

/// What every text about a shadow-run says.
pub const NOTHING_IS_SENT: &str =
    "Shadow: nothing of this was sent, and nothing will be sent while the agent is in shadow.";

/// What a shadow-run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// That nothing was sent.
    pub note: String,
    /// The agent.
    pub agent: Name,
    /// Its current revision: cases that ran under another one are not compared.
    pub revision: Digest,
    /// Cases in which it would have done what the person did.
    pub matches: Vec<CaseMatch>,
    /// Cases in which it would not.
    pub differences: Vec<CaseDifference>,
    /// Cases that cannot be compared, and why.
    pub not_comparable: Vec<NotComparable>,
    /// Columns that no recorded write has an argument for.
    pub columns_not_compared: Vec<String>,
    /// Matches among what was compared, 0 to 1; `None` if nothing was.
    pub agreement: Option<f64>,
    /// Whether the report is enough to promote on.
    pub gate: GateOutcome,
}

/// A case in which the agent would have done what the person did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseMatch {
    /// The case.
    pub case: String,
    /// The session that worked on it.
    pub session: SessionId,
    /// What both did, in words.
    pub detail: String,
}

/// A case in which the agent would have done something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseDifference {
    /// The case.
    pub case: String,
    /// The session that worked on it.
    pub session: SessionId,
    /// Whether it would have sent a write that the person did not.
    pub critical: bool,
    /// What differs, in words.
    pub detail: String,
    /// The same, field by field.
    pub fields: Vec<FieldDifference>,
}

/// A case that cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotComparable {
    /// The case.
    pub case: String,
    /// Why.
    pub detail: String,
}

/// Whether a report is enough to promote on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateOutcome {
    /// Whether it is.
    pub met: bool,
    /// What it rests on, or what is missing.
    pub reasons: Vec<String>,
}

impl Report {
    /// The hash of its content, under which a promotion refers to it.
    pub fn digest(&self) -> Digest {
        Digest::of_json(&serde_json::to_value(self).unwrap_or(Value::Null))
    }

    /// How many cases were compared.
    pub fn compared(&self) -> usize {
        self.matches.len() + self.differences.len()
    }

    fn compare(&mut self, deeds: &[Value], ran: &ShadowCase, columns: &BTreeSet<String>) {
        let (case, session) = (ran.case.clone(), ran.session);
        let fields = compare::differences(deeds, ran, columns);
        if fields.is_empty() {
            let used: Vec<String> = ran.calls.iter().map(|call| format!("{} {}", call.tool, call.arguments)).collect();
            let detail = if used.is_empty() { "Neither wrote anything.".to_owned() } else { used.join("; ") };
            self.matches.push(CaseMatch { case, session, detail });
            return;
        }
        let critical = fields.iter().any(FieldDifference::is_critical);
        let each = fields.iter().map(|f| format!("{}: the person {}, the agent {}", f.field, f.person, f.agent));
        let detail = each.collect::<Vec<_>>().join("; ");
        self.differences.push(CaseDifference { case, session, critical, detail, fields });
    }

    /// Whether the descriptor's own gate is met. Where it sets none, any comparison is something to decide on.
    fn outcome(&self, gate: Option<&Promote>) -> GateOutcome {
        let Some(share) = self.agreement else {
            return GateOutcome { met: false, reasons: vec!["No case could be compared.".to_owned()] };
        };
        let compared = self.compared();
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let Some(Promote { agreement_gt, min_cases, critical: allowed }) = gate else {
            let reason = format!("The descriptor sets no gate; {} of {compared} cases agree.", percent(share));
            return GateOutcome { met: true, reasons: vec![reason] };
        };
        let critical = self.differences.iter().filter(|difference| difference.critical).count();
        let wanted = [
            (compared >= *min_cases as usize, format!("{compared} cases were compared, {min_cases} are wanted.")),
            (share > *agreement_gt, format!("{} agree, more than {} must.", percent(share), percent(*agreement_gt))),
            (critical <= *allowed as usize, format!("{critical} cases differ critically, {allowed} may.")),
        ];
        let met = wanted.iter().all(|(met, _)| *met);
        GateOutcome { met, reasons: wanted.into_iter().map(|(_, reason)| reason).collect() }
    }
}

/// Puts what the agent would have done beside what people did. `None` if there is no such agent.
pub fn report(registry: &Registry, agent: &Name, shadow: &[ShadowCase]) -> Option<Report> {
    let entry = registry.agent(agent)?;
    let human = registry.cases(agent);
    let of_revision: Vec<ShadowCase> = shadow.iter().filter(|case| case.revision == entry.revision).cloned().collect();
    // The latest run of a case counts, and of the current revision where there is one.
    let runs = shadow.iter().chain(&of_revision);
    let latest: BTreeMap<&str, &ShadowCase> = runs.map(|case| (case.case.as_str(), case)).collect();
    let rows = human.values().flatten().filter_map(Value::as_object);
    let all: BTreeSet<String> = rows.flat_map(|row| row.keys().filter(|key| *key != "case").cloned()).collect();
    let spec = &entry.descriptor.spec.autonomy;
    let asked = spec.human.as_ref().map(|human| human.compare.as_slice()).unwrap_or_default();
    let wanted = all.iter().filter(|column| asked.is_empty() || asked.contains(column));
    let columns = compare::comparable(wanted, &of_revision);
    let mut report = Report {
        note: NOTHING_IS_SENT.to_owned(),
        agent: agent.clone(),
        revision: entry.revision,
        matches: Vec::new(),
        differences: Vec::new(),
        not_comparable: Vec::new(),
        columns_not_compared: all.difference(&columns).cloned().collect(),
        agreement: None,
        gate: GateOutcome { met: false, reasons: Vec::new() },
    };
    for (case, deeds) in human.iter() {
        match comparable(entry, latest.get(case.as_str()).copied()) {
            Err(detail) => report.not_comparable.push(NotComparable { case: case.clone(), detail }),
            Ok(ran) => report.compare(deeds, ran, &columns),
        }
    }
    for case in latest.into_keys().filter(|case| !human.contains_key(*case)) {
        let detail = "Nobody has told what a person did.".to_owned();
        report.not_comparable.push(NotComparable { case: case.to_owned(), detail });
    }
    let compared = report.compared();
    report.agreement = (compared > 0).then(|| report.matches.len() as f64 / compared as f64);
    report.gate = report.outcome(spec.promote.as_ref());
    Some(report)
}

/// Takes what people did, case by case, for comparison. What is imported again replaces what was known of its cases.
pub async fn import_cases(
    gate: &Gate,
    caller: &Caller,
    agent: &Name,
    cases: Vec<HumanCase>,
) -> Result<usize, ControlError> {
    if let Caller::Agent { name } = caller {
        return Err(ControlError::Forbidden {
            reason: format!("The agent {name} may not say what people did."),
            next: "Use the key of a person or an administrator.".to_owned(),
        });
    }
    if let Some(deep) = cases.iter().find(|case| depth::is_too_deep(&case.did)) {
        return Err(ControlError::Invalid {
            reason: format!("What was done in the case {} nests deeper than {} levels.", deep.case, depth::MOST),
            next: "Write it as columns with plain values; nothing was imported.".to_owned(),
        });
    }
    let by = named(caller);
    gate.commit(&by, |registry| {
        let entry = known(registry, agent)?;
        if let Caller::Person { .. } = caller {
            must_be_person_of(caller, &entry.descriptor.metadata.owner, &format!("import cases of {agent}"))?;
        }
        let new = differs(&registry.cases(agent), &cases);
        let event = ControlEvent::CasesImported { agent: agent.clone(), cases: cases.clone(), by: by.clone() };
        Ok((new.then_some(event).into_iter().collect(), cases.len()))
    })
    .await
}

/// Gives the agent's current revision more, or less, autonomy: a person of the owner group does, on the strength of
/// a report where it is more.
pub async fn promote(
    gate: &Gate,
    caller: &Caller,
    agent: &Name,
    to: Autonomy,
    report: Option<&Report>,
) -> Result<(), ControlError> {
    let by = named(caller);
    gate.commit(&by, |registry| {
        let entry = known(registry, agent)?;
        may_promote(registry, entry, caller, (agent, to, report))?;
        if registry.autonomy(agent, entry.revision) == Some(to) {
            return Ok((Vec::new(), ()));
        }
        let event = ControlEvent::AutonomyGranted {
            agent: agent.clone(),
            revision: entry.revision,
            autonomy: to,
            report: report.map(Report::digest),
            by: by.clone(),
        };
        Ok((vec![event], ()))
    })
    .await
}

/// Whether this caller may give the current revision this much autonomy, on the strength of this report.
pub fn may_promote(
    registry: &Registry,
    entry: &AgentEntry,
    caller: &Caller,
    (agent, to, report): (&Name, Autonomy, Option<&Report>),
) -> Result<(), ControlError> {
    let owner = &entry.descriptor.metadata.owner;
    must_be_person_of(caller, owner, &format!("change the autonomy of {agent}"))?;
    let now = registry.autonomy(agent, entry.revision).unwrap_or(entry.rules.autonomy);
    if rank(to) <= rank(now) {
        return Ok(());
    }
    let conflict = |reason: String, next: String| {
        Err(ControlError::Conflict { reason: format!("{reason} {NOTHING_IS_SENT}"), next })
    };
    let Some(report) = report.filter(|report| report.compared() > 0) else {
        return conflict(
            format!("There is no report for {agent}: no case of this revision has been compared with a person's."),
            format!(
                "Run cases in shadow, `ostler shadow import {agent} FILE.csv`, then `ostler shadow report {agent}`."
            ),
        );
    };
    if report.agent != *agent || report.revision != entry.revision {
        return conflict(
            format!(
                "The report is of revision {} and {agent} is now at {}.",
                report.revision.short(),
                entry.revision.short()
            ),
            format!("Make a new one: `ostler shadow report {agent}`."),
        );
    }
    if !report.gate.met {
        return conflict(
            format!("The report does not meet the descriptor's gate: {}", report.gate.reasons.join(" ")),
            format!("See what differs: `ostler shadow report {agent}`."),
        );
    }
    Ok(())
}

fn known<'a>(registry: &'a Registry, agent: &Name) -> Result<&'a AgentEntry, ControlError> {
    registry.agent(agent).ok_or_else(|| ControlError::NotFound {
        reason: format!("There is no agent {agent}."),
        next: "List them: `ostler get Agent`.".to_owned(),
    })
}

fn comparable<'a>(entry: &AgentEntry, ran: Option<&'a ShadowCase>) -> Result<&'a ShadowCase, String> {
    let ran = ran.ok_or("The agent has not worked on it in shadow.")?;
    if ran.revision != entry.revision {
        let (old, new) = (ran.revision.short(), entry.revision.short());
        return Err(format!("It ran under revision {old}; the agent is now at {new}."));
    }
    match &ran.unfinished {
        Some(why) => Err(format!("It did not come to an end: {why}")),
        None => Ok(ran),
    }
}

fn differs(known: &Cases, cases: &[HumanCase]) -> bool {
    let mut new = Cases::new();
    for HumanCase { case, did } in cases {
        new.entry(case.clone()).or_default().push(did.clone());
    }
    new.iter().any(|(case, deeds)| known.get(case) != Some(deeds))
}
