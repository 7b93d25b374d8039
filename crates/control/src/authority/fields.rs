//! Every field of every descriptor, and which way a change of it goes. What is not in here widens.

use domain::control::Kind;
use serde_json::Value;

use super::rules::How::{Allows, Bound, Fewer, Ladder, Least, More, Most, MostOf, Neither, Other, Own};
use super::rules::Unit::{Count, Time, Usd};
use super::rules::{How, Rule};
use super::told;
use crate::registry::Registry;

/// A descriptor before and after, and everything that there is afterwards.
pub(super) struct Both<'a> {
    pub(super) old: Value,
    pub(super) new: Value,
    pub(super) registry: &'a Registry,
}

/// The rules for one kind. Policies are compared rule by rule.
pub(super) fn of(kind: Kind) -> &'static [Rule] {
    match kind {
        Kind::Agent => AGENT,
        Kind::Capability => CAPABILITY,
        Kind::McpServer => MCP_SERVER,
        Kind::ModelProvider => MODEL_PROVIDER,
        Kind::Policy => &[],
    }
}

const fn rule(at: &'static [&'static str], how: How) -> Rule {
    Rule { at, how }
}

const NO_LIMIT: &str = "no limit";

const AGENT: &[Rule] = &[
    rule(&["metadata.protected"], Bound("a change that widens it waits for a second person")),
    rule(&["metadata.owner"], Other("the group that answers for it")),
    rule(&["metadata.labels"], Neither("labels")),
    rule(&["spec.tools"], Own(told::tools)),
    rule(&["spec.instructions"], Own(told::instructions)),
    rule(&["spec.model.provider", "spec.model.name"], Own(told::model)),
    rule(&["spec.model.pinned_revision"], Bound("the model's revision is pinned")),
    rule(&["spec.model.fallbacks"], More("may fall back to", "no longer falls back to")),
    rule(&["spec.model.allow"], More("its client may ask for", "its client may no longer ask for")),
    rule(&["spec.model.max_output_tokens"], MostOf("most tokens of one answer", Count, 4096.0)),
    rule(&["spec.budgets.usd_per_hour"], Most("most it can spend an hour", Usd, NO_LIMIT)),
    rule(&["spec.budgets.usd_per_day"], Most("most it can spend a day", Usd, NO_LIMIT)),
    rule(&["spec.budgets.usd_per_session"], Most("most it can spend in a session", Usd, NO_LIMIT)),
    rule(&["spec.budgets.calls_per_hour"], Most("most calls an hour", Count, NO_LIMIT)),
    rule(&["spec.budgets.calls_per_day"], Most("most calls a day", Count, NO_LIMIT)),
    rule(&["spec.budgets.calls_per_session"], Most("most calls in a session", Count, NO_LIMIT)),
    rule(&["spec.budgets.tokens_per_hour"], Most("most tokens an hour", Count, NO_LIMIT)),
    rule(&["spec.budgets.tokens_per_day"], Most("most tokens a day", Count, NO_LIMIT)),
    rule(&["spec.budgets.tokens_per_session"], Most("most tokens in a session", Count, NO_LIMIT)),
    rule(&["spec.budgets.external_actions_per_hour"], Most("most actions outside an hour", Count, NO_LIMIT)),
    rule(&["spec.budgets.external_actions_per_day"], Most("most actions outside a day", Count, NO_LIMIT)),
    rule(&["spec.budgets.external_actions_per_session"], Most("most actions outside in a session", Count, NO_LIMIT)),
    rule(&["spec.budgets.compute_minutes_per_hour"], Most("most minutes of work an hour", Count, NO_LIMIT)),
    rule(&["spec.budgets.compute_minutes_per_day"], Most("most minutes of work a day", Count, NO_LIMIT)),
    rule(&["spec.budgets.compute_minutes_per_session"], Most("most minutes of work in a session", Count, NO_LIMIT)),
    rule(&["spec.budgets.on_exhausted"], Ladder("a call that no budget is left for", &["refuse", "wait", "ask"])),
    rule(&["spec.budgets.timezone"], Other("the time zone in which its days begin")),
    rule(&["spec.compute_usd_per_hour"], Least("what an hour of work is charged", Usd, 0.0)),
    rule(&["spec.approval.on_action_value_usd_gt"], Most("approval above", Usd, "never, whatever it is worth")),
    rule(&["spec.approval.on_effect"], Fewer("asks before every call that is", "no longer asks before calls that are")),
    rule(&["spec.approval.by.group"], Other("who approves")),
    rule(&["spec.approval.by.quorum"], Least("may be asked for this many approvals", Count, 1.0)),
    rule(&["spec.approval.by.not"], Fewer("may not approve it themselves:", "may approve it themselves now:")),
    rule(&["spec.approval.expires.after"], MostOf("how long a request waits, and a yes is good", Time, 14_400_000.0)),
    rule(&["spec.approval.expires.escalate"], Own(told::escalation)),
    // How much it does alone is compared with what people granted.
    rule(&["spec.autonomy.mode"], Own(|_| Some(Vec::new()))),
    rule(&["spec.autonomy.human"], Other("what its shadow-run is compared with")),
    rule(&["spec.autonomy.promote.agreement_gt"], Least("agreement to show before it is promoted", Count, -1.0)),
    rule(&["spec.autonomy.promote.min_cases"], Least("cases to show before it is promoted", Count, -1.0)),
    rule(&["spec.autonomy.promote.min_days"], Least("days to show before it is promoted", Count, -1.0)),
    rule(&["spec.autonomy.promote.critical"], Most("critical differences that it may show", Count, "any number")),
    rule(&["spec.limits.turns"], MostOf("most turns of a session", Count, 60.0)),
    rule(&["spec.limits.wall"], Most("longest that a session may take", Time, NO_LIMIT)),
    rule(&["spec.limits.depth"], MostOf("how deep it may delegate", Count, 3.0)),
    rule(&["spec.memory"], Own(told::memory)),
    rule(&["spec.triggers"], Own(told::triggers)),
    rule(&["spec.concurrency.one_per", "spec.concurrency.key"], Other("what is worked on one at a time")),
    rule(&["spec.concurrency.active"], MostOf("most sessions at work at once", Count, 64.0)),
    rule(&["spec.concurrency.queue"], MostOf("most messages that wait", Count, 10_000.0)),
];

const CAPABILITY: &[Rule] = &[
    rule(&["metadata.owner"], Neither("the group that answers for it")),
    rule(&["metadata.labels"], Neither("labels")),
    rule(&["spec.server"], Other("the server that has the tool")),
    rule(&["spec.tool"], Other("the tool that is called")),
    rule(&["spec.effect"], Ladder("counts as", &["irreversible", "write", "idempotent", "read"])),
    rule(&["spec.egress"], Own(told::egress)),
    rule(&["spec.value_usd"], Allows("what a call is worth is told by")),
    rule(&["spec.cost_usd"], Least("what a call is charged", Usd, 0.0)),
    rule(&["spec.labels"], Other("what its answers are marked with")),
    rule(&["spec.output_trust"], Ladder("its answers are", &["untrusted", "trusted"])),
    rule(&["spec.sensitive"], Own(told::sensitive)),
    rule(&["spec.vouches"], Own(|both| told::vouched(both, "spec.vouches", "its answers vouch for"))),
    rule(&["spec.named_by"], More("a request may name a record by", "a request may no longer name a record by")),
    rule(
        &["spec.vouches_when_named"],
        Own(|both| told::vouched(both, "spec.vouches_when_named", "a record that is named vouches for")),
    ),
    rule(&["spec.undo"], Own(told::undo)),
];

const MCP_SERVER: &[Rule] = &[
    rule(&["metadata.owner"], Neither("the group that answers for it")),
    rule(&["metadata.labels"], Neither("labels")),
    rule(&["spec.http.url", "spec.stdio"], Own(told::address)),
    rule(&["spec.secrets"], More("is given the secret", "is no longer given the secret")),
    rule(&["spec.timeout"], Neither("how long a call may take")),
    rule(&["spec.limits.concurrent"], MostOf("most calls to it at once", Count, 50.0)),
    rule(&["spec.limits.queue"], MostOf("most calls that wait for it", Count, 1000.0)),
];

const MODEL_PROVIDER: &[Rule] = &[
    rule(&["metadata.owner"], Neither("the group that answers for it")),
    rule(&["metadata.labels"], Neither("labels")),
    rule(&["spec.protocol"], Other("the protocol that it speaks")),
    rule(&["spec.base_url"], Other("the address that it is reached at")),
    rule(&["spec.key"], Own(|both| told::moved(both, "spec.key.secret", "the secret that holds its key"))),
    rule(&["spec.script"], Other("the script that plays the model's part")),
    rule(&["spec.prices"], Own(told::prices)),
    rule(&["spec.revisions"], Own(told::revisions)),
    rule(&["spec.tool_calls"], Other("how its models call tools")),
    rule(&["spec.limits.concurrent"], MostOf("most calls to it at once", Count, 50.0)),
    rule(&["spec.limits.queue"], MostOf("most calls that wait for it", Count, 1000.0)),
];
