//! What the policies say to a call: what is known of it, gathered from the registry, the books and the session's facts.
//! What must never be known here: what becomes of it then.

use domain::approval::Poll;
use domain::budget::{Meter, Window};
use domain::capability::CapabilityRef;
use domain::id::Name;

use super::{Query, Scene, Want, need};
use crate::budget::limits_of_agent;
use crate::consent::{Consent, Obligation, consent};
use crate::policy::{self, Defined, InForce, Moment, Ruled, Spent, Using, Whose};

/// What the rules say.
pub(super) fn ruled(scene: &Scene<'_>, query: &Query<'_>, in_force: &InForce<'_>) -> Ruled {
    let (registry, agent) = (scene.registry, &query.principal.link.agent);
    let whose = Whose { registry, agent, in_force };
    let spent = || spent_today(scene, agent);
    let mut moment = moment(scene, query, (in_force, Spent::Books(&spent)));
    match &query.want {
        Want::Model { provider, model, .. } => policy::rule_model(&whose, &moment, (provider, model)),
        Want::Capability { capability, effect, arguments, schema_hash, input_schema, value_usd_micros, .. } => {
            let approvers = consented_already(scene, query, in_force);
            let (effect, value) = (*effect, *value_usd_micros);
            let spec = match capability {
                CapabilityRef::External(name) => registry.capability(name).map(|entry| &entry.descriptor.spec),
                CapabilityRef::Internal(_) | CapabilityRef::Agent(_) => None,
            };
            let using = Using { capability, effect, arguments, value, approvers, spec };
            moment.using = Some(using.clone());
            policy::rule(&whose, &Defined { hash: *schema_hash, input_schema: *input_schema }, &moment, &using)
        }
    }
}

fn moment<'a>(
    scene: &'a Scene<'_>,
    query: &'a Query<'_>,
    (in_force, spent_today): (&InForce<'_>, Spent<'a>),
) -> Moment<'a> {
    let principal = query.principal;
    let on_behalf_of = principal.on_behalf_of.as_ref();
    let person = on_behalf_of.and_then(|person| scene.registry.person(person));
    Moment {
        now: scene.now,
        autonomy: in_force.autonomy,
        mode: principal.mode(),
        depth: principal.parents.len(),
        on_behalf_of,
        groups: person.map_or(&[][..], |person| &person.groups),
        spent_today,
        provenance: match &query.want {
            Want::Capability { provenance, .. } => provenance.cloned(),
            Want::Model { .. } => None,
        },
        using: None,
    }
}

/// What this node knows that the agent spent today, in flight included; `None` where no budget counts it.
fn spent_today(scene: &Scene<'_>, agent: &Name) -> Option<i64> {
    let all = limits_of_agent(scene.registry, agent, scene.now);
    let day =
        all.into_iter().find(|limit| limit.budget.meter == Meter::UsdMicros && limit.budget.window == Window::Day)?;
    let balance = scene.holdings.balance(&day.budget, day.start);
    Some(balance.spent.saturating_add(balance.reserved))
}

/// Who consented to exactly this call, if that still holds.
fn consented_already(scene: &Scene<'_>, query: &Query<'_>, in_force: &InForce<'_>) -> Vec<Name> {
    let facts = query.facts;
    let Some(asked) = facts.approval.as_ref().filter(|_| facts.verdict.is_some()) else { return Vec::new() };
    let obligation = Obligation {
        by: asked.by.clone(),
        quorum: asked.terms.quorum,
        four_eyes: !asked.terms.not.is_empty(),
        expires_ms: asked.expires_at.since_ms(asked.asked_at),
        escalate: None,
    };
    let set = scene.registry.policy_set(&query.principal.link.agent);
    let need = need(query, in_force, set, (asked.reason.clone(), obligation));
    match need.map(|need| consent(scene.registry, scene.signer, facts, &need, scene.now)) {
        Some(Consent::Granted(_)) => {
            Poll::of(asked, facts.said()).yes.iter().map(|verdict| verdict.person.clone()).collect()
        }
        Some(Consent::Ask(_) | Consent::Pending(_) | Consent::Anew { .. } | Consent::Denied { .. }) | None => {
            Vec::new()
        }
    }
}
