//! What rules say to people and to models: their own sentences (`@reason`, `@next`), with what is known of the call put
//! in, or plain ones where they have none. Must not know how it was decided.

use std::sync::Arc;

use domain::capability::Effect;
use domain::decision::{Refusal, RefusedBy};
use domain::expression::Expression;
use domain::id::Name;
use domain::money::UsdMicros;

use super::document::{Duty, Origin, Rule};
use super::moment::{Moment, Using};

/// Why people are asked, or why it is refused.
pub(crate) fn reason(agent: &Name, moment: &Moment<'_>, rules: &[Arc<Rule>]) -> String {
    let mut said: Vec<String> = Vec::new();
    for rule in rules {
        let sentence = of_rule(agent, moment, rule);
        if !said.contains(&sentence) {
            said.push(sentence);
        }
    }
    said.join(" ")
}

/// The refusal by rules of which at least one has no way out: those are told, first of all.
pub(crate) fn refusal(agent: &Name, moment: &Moment<'_>, rules: &[Arc<Rule>]) -> Refusal {
    let final_ones: Vec<Arc<Rule>> = rules.iter().filter(|rule| rule.duty == Duty::None).cloned().collect();
    let told = if final_ones.is_empty() { rules } else { &final_ones };
    let next = told.iter().find_map(|rule| rule.says("next")).map(str::to_owned);
    let next = next.unwrap_or_else(|| match told.first().map(|rule| &rule.origin) {
        Some(Origin::Applied(name)) => {
            format!("Do without it. A person may change the policy {name}: `ostler describe policy {name}` shows it.")
        }
        Some(Origin::Standard | Origin::Descriptor) | None => {
            format!("Do without it. `ostler policy show {agent}` shows the rules.")
        }
    });
    Refusal { by: RefusedBy::Policy, reason: reason(agent, moment, told), next }
}

/// The refusal of what several rules let pass with the consent of different groups: one request asks one group.
pub(crate) fn disagree(reason: &str, rules: &[Arc<Rule>]) -> Refusal {
    let names: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
    let reason =
        format!("{reason} The rules {} ask different groups, and nobody can answer for all.", names.join(", "));
    let next = "Do without it. A person may let these rules ask one group, and apply them again.".to_owned();
    Refusal { by: RefusedBy::Policy, reason, next }
}

/// The refusal of what cannot be judged.
pub(crate) fn unjudged(rule: &Option<String>, why: &str) -> Refusal {
    let what = rule.as_ref().map_or("The policies cannot judge this call".to_owned(), |rule| {
        format!("The policy rule {rule} cannot judge this call")
    });
    Refusal {
        by: RefusedBy::Policy,
        reason: format!("{what}, so it is refused: {}.", why.trim_end_matches('.')),
        next: "Do without it. A person may mend the policy, or the descriptor, and apply it again: `ostler apply -f \
               FILE`."
            .to_owned(),
    }
}

fn of_rule(agent: &Name, moment: &Moment<'_>, rule: &Rule) -> String {
    let unknown = moment.using.as_ref().is_some_and(|using| !using.is_valued());
    let final_one = moment.using.as_ref().is_some_and(|using| using.effect == Effect::Irreversible);
    let own = rule.says("reason_unknown").filter(|_| unknown);
    let own = own.or(rule.says("reason_irreversible").filter(|_| final_one)).or(rule.says("reason"));
    let Some(own) = own else {
        return match rule.duty {
            Duty::None => format!("The policy rule {} forbids it.", rule.id),
            Duty::Consent(_) | Duty::Record => format!("The policy rule {} asks for consent.", rule.id),
        };
    };
    let said = own.replace("{agent}", agent.as_str()).replace("{rule}", &rule.id);
    let Some(using) = &moment.using else { return said };
    let said = said.replace("{capability}", using.capability.name().as_str());
    let unvouched = using.unvouched(moment.provenance.as_ref()).join(", ");
    let said = said.replace("{unvouched}", &unvouched);
    let said = said.replace("{effect}", &using.effect.to_string()).replace("{unvalued}", unvalued(using));
    let said = said.replace("{value}", &using.value.map_or("unknown".to_owned(), |value| UsdMicros(value).to_string()));
    match rule.clause() {
        // Last, so that nothing of it is taken for a word to be replaced.
        Some(clause) => {
            said.replace("{found}", &found(&clause, using)).replace("{clause}", &format!("`{}`", clause.source()))
        }
        None => said,
    }
}

/// Why a clause does not hold.
fn found(clause: &Expression, using: &Using<'_>) -> String {
    match clause.truth(&[("args", using.arguments)]) {
        Ok(_) => "that is not so".to_owned(),
        Err(why) => format!("that cannot be told: {why}"),
    }
}

fn unvalued(using: &Using<'_>) -> &'static str {
    if using.value.is_some() { "Its value is negative" } else { "Nobody knows what it is worth" }
}
