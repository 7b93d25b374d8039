//! Standing grants: what agents may do without asking each time, and which ones past answers speak for.

use axum::Json;
use axum::extract::State;
use control::grants::propose::{Answered, Proposal, proposals};
use control::grants::{self, Listed, Wish};
use domain::capability::CapabilityRef;
use domain::clock::length_ms;
use domain::control::StandingGrant;
use domain::expression::Expression;
use domain::id::{Digest, Name};
use serde::Deserialize;
use serde_json::{Value, json};

use super::inbox::past::{self, Outcome};
use super::{Body, Id, Params};
use crate::app::App;
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};

/// A grant, as people say it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Given {
    agent: Name,
    /// A capability's name, or `mcp://gateway/NAME`.
    capability: String,
    /// For how long, such as `24h`.
    until: String,
    #[serde(default)]
    times: Option<i64>,
    #[serde(default)]
    usd: Option<f64>,
    #[serde(default)]
    each_usd: Option<f64>,
    #[serde(default)]
    when: Option<String>,
    #[serde(default)]
    name: Option<Name>,
    #[serde(default)]
    reason: String,
}

/// Every grant, whether it holds or not, with what was used of it.
pub(crate) async fn list(State(app): State<App>, _: Who) -> ApiResult<Json<Vec<Listed>>> {
    Ok(Json(grants::list(&app.gate).await?))
}

/// Gives one. A person's business: of the group that consents for the agent.
pub(crate) async fn add(State(app): State<App>, who: Who, Body(given): Body<Given>) -> ApiResult<Json<Value>> {
    let wish = wish(&app, given)?;
    let name = grants::give(&app.gate, &who.0, &wish).await?;
    let all = grants::list(&app.gate).await?;
    let listed = all.into_iter().find(|listed| listed.name == name);
    Ok(Json(json!({ "name": name, "grant": listed })))
}

fn wish(app: &App, given: Given) -> ApiResult<Wish> {
    let Given { agent, capability, until, times, usd, each_usd, when, name, reason } = given;
    let bad = |what: String, next: &str| ApiError::bad(what, next.to_owned());
    let full = if capability.contains("://") { capability } else { format!("mcp://gateway/{capability}") };
    let capability: CapabilityRef =
        full.parse().map_err(|error: String| bad(error, "name one of the agent's tools"))?;
    let ms = length_ms(&until).ok_or_else(|| bad(format!("{until:?} is no length of time"), "say 8h or 7d"))?;
    let when = when.map(|when| Expression::parse(&when, &["args"])).transpose();
    let when = when.map_err(|error| bad(error.to_string(), "such as args.to.endsWith(\"@acme.example\")"))?;
    let micros = |usd: f64| {
        let micros = (usd * 1e6).round();
        let fits = (1.0..=1e15).contains(&micros);
        fits.then_some(micros as i64).ok_or_else(|| bad(format!("{usd} is no sum of money"), "say dollars"))
    };
    let grant = StandingGrant {
        agent,
        revision: Digest::of(b""),
        capability,
        when,
        each_usd_micros: each_usd.map(micros).transpose()?,
        usd_micros: usd.map(micros).transpose()?,
        times,
        until: app.clock.now().plus_ms(ms),
        reason,
    };
    Ok(Wish { grant, name })
}

/// Lets it, too: where consent takes several people, so does a grant.
pub(crate) async fn second(State(app): State<App>, who: Who, Id(name): Id<Name>) -> ApiResult<Json<Value>> {
    grants::second(&app.gate, &who.0, &name).await?;
    Ok(Json(json!({ "name": name })))
}

/// Why it ends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Why {
    #[serde(default)]
    reason: String,
}

/// Ends one.
pub(crate) async fn revoke(
    State(app): State<App>,
    who: Who,
    Id(name): Id<Name>,
    Body(why): Body<Why>,
) -> ApiResult<Json<Value>> {
    grants::revoke(&app.gate, &who.0, &name, &why.reason).await?;
    Ok(Json(json!({ "revoked": name })))
}

/// Of whose answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Of {
    #[serde(default)]
    agent: Option<Name>,
}

/// Which grants past answers speak for.
pub(crate) async fn propose(State(app): State<App>, _: Who, Params(of): Params<Of>) -> ApiResult<Json<Vec<Proposal>>> {
    Ok(Json(proposed(&app, of.agent.as_ref()).await?))
}

/// The same, for a page.
pub(crate) async fn proposed(app: &App, agent: Option<&Name>) -> ApiResult<Vec<Proposal>> {
    let all = past::of(app, agent).await?;
    let answered: Vec<Answered> = all
        .iter()
        .filter(|one| matches!(one.outcome, Outcome::Approved | Outcome::Edited | Outcome::Denied))
        .map(|one| Answered {
            agent: one.agent.clone(),
            capability: one.capability.clone(),
            arguments: one.arguments.clone(),
            value_usd_micros: one.value_usd_micros,
            as_asked: one.outcome == Outcome::Approved,
            at: one.asked_at,
        })
        .collect();
    Ok(proposals(&answered))
}
