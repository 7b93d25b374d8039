//! One slice: the rules that bear on one agent's use of one tool or model, read, validated against the types of that
//! tool's own arguments, with the entities that they speak of. Made once, asked often. It fails closed: a rule that
//! cannot be read, validated or evaluated refuses the call, and says so.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use cedar_policy::{
    ActionConstraint, Authorizer, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicySet,
    PrincipalConstraint, Request, ResourceConstraint, RestrictedExpression, Schema, ValidationMode, Validator,
};
use domain::capability::{CapabilityRef, Effect};
use domain::id::{Digest, Name};
use serde_json::json;

use super::compile::{self, Terms};
use super::document::{Document, Duty, Finding, Origin, Rule};
use super::moment::{Moment, Reads, context};
use super::schema::{self, THINK, Tool};
use super::shape::Fields;

static AUTHORIZER: LazyLock<Authorizer> = LazyLock::new(Authorizer::new);

/// What is wished for.
#[derive(Debug, Clone)]
pub(crate) enum Wish<'a> {
    /// The use of a capability.
    Tool {
        capability: &'a CapabilityRef,
        effect: Effect,
        /// Its arguments' types.
        input: Arc<Fields>,
        /// The server that it is on, what its answers are marked with, and whether they are trusted.
        server: Option<(&'a Name, &'a [String], bool)>,
    },
    /// The answer of a model: `PROVIDER/MODEL`.
    Model { provider: &'a Name, id: &'a str },
}

/// What a slice is made of.
pub(crate) struct Parts<'a> {
    pub(crate) terms: &'a Terms,
    pub(crate) owner: &'a Name,
    pub(crate) revision: Digest,
    /// The texts that cover the agent, besides its descriptor.
    pub(crate) documents: Vec<Result<&'a Document, (&'a str, &'a [Finding])>>,
    pub(crate) wish: Wish<'a>,
}

/// The rules that bear on one agent's use of one thing.
pub(crate) struct Slice {
    set: PolicySet,
    entities: Entities,
    rules: HashMap<String, (usize, Arc<Rule>)>,
    reads: Reads,
    input: Arc<Fields>,
    asks: [EntityUid; 3],
}

/// What the rules of a slice come to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// These permit it, and nothing forbids it.
    Permitted(Vec<Arc<Rule>>),
    /// These forbid it, each with what becomes of the call.
    Forbidden(Vec<Arc<Rule>>),
    /// No rule permits it.
    Unpermitted,
    /// It cannot be judged: the rule, if it is one, and why.
    Unjudged(Option<String>, String),
}

impl Slice {
    /// Makes a slice.
    ///
    /// # Errors
    /// The rule that cannot be used, where it is one, and why.
    pub(crate) fn build(parts: &Parts<'_>) -> Result<Self, (Option<String>, String)> {
        let asks = asks(parts).map_err(|why| (None, why))?;
        let own = own(parts)?;
        let mut rules = Vec::new();
        for document in parts.documents.iter().copied().chain([Ok(&own)]) {
            let document = document.map_err(|(name, findings)| {
                (Some(name.to_owned()), format!("it cannot be read: {}", first(findings)))
            })?;
            rules.extend(document.rules.iter().filter(|rule| bears(&rule.policy, parts, &asks)).cloned());
        }
        let unique: BTreeSet<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
        if unique.len() != rules.len() {
            return Err((None, "two rules in force have one id".to_owned()));
        }
        let set = PolicySet::from_policies(rules.iter().map(|rule| rule.policy.clone()));
        let set = set.map_err(|error| (None, error.to_string()))?;
        let (schema, input) = typed(parts, &rules)?;
        validate(&schema, &set)?;
        let set = PolicySet::from_policies(rules.iter().map(|rule| without_head(&rule.policy)));
        let set = set.map_err(|error| (None, error.to_string()))?;
        let entities = entities(parts, &asks, &schema).map_err(|why| (None, why))?;
        let reads = Reads(rules.iter().flat_map(|rule| rule.reads.iter().cloned()).collect());
        let rules = rules.into_iter().enumerate().map(|(index, rule)| (rule.id.clone(), (index, rule))).collect();
        Ok(Slice { set, entities, rules, reads, input, asks })
    }

    /// Asks it. `Err` is what a rule reads and nobody knows.
    pub(crate) fn ask(&self, moment: &Moment<'_>) -> Outcome {
        let request = match self.request(moment) {
            Ok(request) => request,
            Err(why) => return Outcome::Unjudged(None, why),
        };
        let response = AUTHORIZER.is_authorized(&request, &self.set, &self.entities);
        if let Some(error) = response.diagnostics().errors().next() {
            // Cedar leaves such a rule out; left out, a forbid would forbid nothing.
            let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
            let rule: &str = error.policy_id().as_ref();
            return Outcome::Unjudged(Some(rule.to_owned()), format!("it cannot be evaluated: {}", error.inner()));
        }
        let found = response.diagnostics().reason().filter_map(|id| self.rules.get::<str>(id.as_ref()));
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(|(index, _)| *index);
        let found: Vec<Arc<Rule>> = found.into_iter().map(|(_, rule)| Arc::clone(rule)).collect();
        match response.decision() {
            Decision::Allow => Outcome::Permitted(found),
            Decision::Deny if found.is_empty() => Outcome::Unpermitted,
            Decision::Deny => Outcome::Forbidden(found),
        }
    }

    fn request(&self, moment: &Moment<'_>) -> Result<Request, String> {
        let [principal, action, resource] = self.asks.clone();
        let context = context(moment, &self.input, &self.reads)?;
        // Its types are the schema's: the slice was validated against the table that the context is made by.
        Request::new(principal, action, resource, context, None).map_err(|error| error.to_string())
    }
}

/// The rules that the descriptor's fields are.
fn own(parts: &Parts<'_>) -> Result<Document, (Option<String>, String)> {
    let when = match &parts.wish {
        Wish::Tool { capability, input, .. } => compile::when(parts.terms, capability, input),
        Wish::Model { .. } => Ok(String::new()),
    };
    let when = when.map_err(|(rule, why)| (Some(rule), why))?;
    Document::read(&Origin::Descriptor, &format!("{}\n{when}", compile::text(parts.terms)))
        .map_err(|findings| (None, format!("the descriptor's own rules cannot be read: {}", first(&findings))))
}

/// What becomes of a call that these rules forbid: refused by any that has no way out.
pub(crate) fn duty(rules: &[Arc<Rule>]) -> Duty {
    if rules.iter().any(|rule| rule.duty == Duty::None) {
        return Duty::None;
    }
    let records = rules.iter().find(|rule| rule.duty == Duty::Record);
    records.or(rules.first()).map_or(Duty::None, |rule| rule.duty.clone())
}

fn first(findings: &[Finding]) -> &str {
    findings.first().map_or("nothing is said", |finding| &finding.message)
}

pub(crate) fn uid(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind: EntityTypeName = kind.parse().map_err(|_| format!("{kind} is no type of Cedar"))?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

fn asks(parts: &Parts<'_>) -> Result<[EntityUid; 3], String> {
    let principal = uid("Agent", parts.terms.agent.as_str())?;
    match &parts.wish {
        Wish::Tool { capability, .. } => {
            let id = schema::id(capability);
            Ok([principal, uid("Action", &id)?, uid("Tool", &id)?])
        }
        Wish::Model { id, .. } => Ok([principal, uid("Action", THINK)?, uid("Model", id)?]),
    }
}

/// Whether a rule can bear on this wish at all, by what stands in its head.
fn bears(policy: &Policy, parts: &Parts<'_>, [principal, action, resource]: &[EntityUid; 3]) -> bool {
    let groups = match &parts.wish {
        Wish::Tool { capability, effect, .. } => schema::groups(capability, *effect).to_vec(),
        Wish::Model { .. } => Vec::new(),
    };
    let who = match policy.principal_constraint() {
        PrincipalConstraint::Eq(named) => named == *principal,
        PrincipalConstraint::Any
        | PrincipalConstraint::In(_)
        | PrincipalConstraint::Is(_)
        | PrincipalConstraint::IsIn(_, _) => true,
    };
    let what = match policy.resource_constraint() {
        ResourceConstraint::Eq(named) => named == *resource,
        ResourceConstraint::Any
        | ResourceConstraint::In(_)
        | ResourceConstraint::Is(_)
        | ResourceConstraint::IsIn(_, _) => true,
    };
    acts(policy, action.id().unescaped(), &groups) && who && what
}

/// Whether an action, or one of its groups, is among those that a rule is about.
fn acts(policy: &Policy, action: &str, groups: &[&str]) -> bool {
    let is_action = |named: &EntityUid| {
        let id: &str = named.id().unescaped();
        id == action || groups.contains(&id)
    };
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(named) => named.id().unescaped() == action,
        ActionConstraint::In(all) => all.iter().any(is_action),
    }
}

/// Whether a rule can bear on the use of a tool, by the action in its head.
pub(crate) fn bears_on(policy: &Policy, capability: &CapabilityRef, effect: Effect) -> bool {
    acts(policy, &schema::id(capability), &schema::groups(capability, effect))
}

/// Whether a rule can bear on asking a model.
pub(crate) fn bears_on_models(policy: &Policy) -> bool {
    acts(policy, THINK, &[])
}

/// A rule that bears on a wish, without what of its head was found to hold of it: that is not asked again with each call.
/// Where Cedar cannot write it so, as it is.
fn without_head(policy: &Policy) -> Policy {
    let any = json!({"op": "All"});
    let Ok(mut rule) = policy.to_json() else { return policy.clone() };
    if !matches!(policy.action_constraint(), ActionConstraint::Any) {
        rule["action"] = any.clone();
    }
    if matches!(policy.principal_constraint(), PrincipalConstraint::Eq(_)) {
        rule["principal"] = any.clone();
    }
    if matches!(policy.resource_constraint(), ResourceConstraint::Eq(_)) {
        rule["resource"] = any;
    }
    Policy::from_json(Some(policy.id().clone()), rule).unwrap_or_else(|_| policy.clone())
}

/// The schema of this wish: its own action with its types, and the names of the others that the rules speak of.
fn typed(parts: &Parts<'_>, rules: &[Arc<Rule>]) -> Result<(Schema, Arc<Fields>), (Option<String>, String)> {
    let (mut text, own, input) = match &parts.wish {
        Wish::Tool { capability, effect, input, .. } => {
            let tool = Tool { capability, effect: *effect, input: Some(input) };
            (schema::text([tool]), Some(schema::id(capability)), Arc::clone(input))
        }
        Wish::Model { .. } => (schema::text([]), None, Arc::default()),
    };
    let known = ["Use", "Read", "Write", "Inside", "Outside", "Delegate", THINK];
    let mut named = BTreeSet::new();
    for rule in rules {
        let literals = rule.policy.entity_literals().into_iter().filter(|uid| uid.type_name().to_string() == "Action");
        named.extend(literals.map(|uid| uid.id().unescaped().to_owned()));
    }
    for other in named.iter().filter(|id| !known.contains(&id.as_str()) && Some(*id) != own.as_ref()) {
        text.push_str(&format!("action {other:?} in [\"Use\"];\n"));
    }
    let schema = Schema::from_cedarschema_str(&text).map(|(schema, _)| schema);
    Ok((schema.map_err(|error| (None, format!("its types cannot be written as Cedar: {error}")))?, input))
}

fn validate(schema: &Schema, set: &PolicySet) -> Result<(), (Option<String>, String)> {
    let result = Validator::new(schema.clone()).validate(set, ValidationMode::Strict);
    match result.validation_errors().next() {
        None => Ok(()),
        Some(error) => Err((Some(error.policy_id().to_string()), format!("it does not fit: {error}"))),
    }
}

fn entities(parts: &Parts<'_>, [principal, _, resource]: &[EntityUid; 3], schema: &Schema) -> Result<Entities, String> {
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let owner = uid("Group", parts.owner.as_str())?;
    let attributes = [("owner", text(parts.owner.as_str())), ("revision", text(&parts.revision.to_string()))];
    let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let entity = |of: &EntityUid, attributes: HashMap<_, _>, within: HashSet<_>| {
        Entity::new(of.clone(), attributes, within).map_err(|error| error.to_string())
    };
    let mut all = vec![
        entity(principal, attributes, HashSet::from([owner.clone()]))?,
        entity(&owner, HashMap::new(), HashSet::new())?,
    ];
    match &parts.wish {
        Wish::Model { provider, .. } => {
            let provider = uid("Provider", provider.as_str())?;
            all.push(entity(&provider, HashMap::new(), HashSet::new())?);
            all.push(entity(resource, HashMap::new(), HashSet::from([provider]))?);
        }
        Wish::Tool { effect, server, .. } => {
            let (labels, trusted) = server.map_or((&[][..], false), |(_, labels, trusted)| (labels, trusted));
            let labels = RestrictedExpression::new_set(labels.iter().map(|label| text(label)));
            let trusted = RestrictedExpression::new_bool(trusted);
            let attributes = [("effect", text(&effect.to_string())), ("trusted", trusted), ("labels", labels)];
            let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let server = server.map(|(name, ..)| uid("Server", name.as_str())).transpose()?;
            if let Some(server) = &server {
                all.push(entity(server, HashMap::new(), HashSet::new())?);
            }
            all.push(entity(resource, attributes, server.into_iter().collect())?);
        }
    }
    Entities::from_entities(all, Some(schema)).map_err(|error| error.to_string())
}
