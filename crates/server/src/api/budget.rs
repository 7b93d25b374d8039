//! Budgets: how they stand, what people set and add, and the most that the fleet can spend today.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use control::budget::change::{self, More, Shown, cap_change, meter_of, units};
use control::budget::prove::{self, Prices, Proof};
use control::registry::Registry;
use data::spend::By;
use domain::budget::{Window, Zone};
use domain::capability::CapabilityRef;
use domain::clock::Timestamp;
use domain::id::Name;
use models::price::{Price, price_of};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Params, cost};
use crate::app::App;
use crate::auth::Who;
use crate::error::{ApiError, ApiResult};

/// Whose.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Of {
    #[serde(default)]
    of: Option<String>,
}

/// How budgets stand: one subject's, or everybody's.
pub(crate) async fn show(State(app): State<App>, _: Who, Params(of): Params<Of>) -> ApiResult<Json<Vec<Shown>>> {
    let subject = of.of.as_deref().map(|of| change::subject_of(&app.gate.registry(), of)).transpose()?;
    Ok(Json(change::show(&app.gate, subject.as_ref()).await?))
}

/// What an agent or an owner group may spend, by the words of a descriptor; `null` lifts a cap.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Set {
    whose: String,
    #[serde(default)]
    caps: BTreeMap<String, Option<f64>>,
    #[serde(default)]
    timezone: Option<String>,
}

/// Sets caps. An administrator's business.
pub(crate) async fn set(State(app): State<App>, who: Who, Body(set): Body<Set>) -> ApiResult<Json<Vec<Shown>>> {
    let subject = change::subject_of(&app.gate.registry(), &set.whose)?;
    let caps = set.caps.iter().map(|(field, cap)| cap_change(field, *cap)).collect::<Result<_, _>>()?;
    let zone = set.timezone.as_deref().map(str::parse::<Zone>).transpose();
    let zone = zone.map_err(|error| ApiError::bad(error.to_string(), "leave it out for UTC"))?;
    change::set(&app.gate, &who.0, &subject, (caps, zone)).await?;
    Ok(Json(change::show(&app.gate, Some(&subject)).await?))
}

/// More for the windows that run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Topup {
    whose: String,
    /// usd, calls, tokens, external_actions or compute_minutes.
    what: String,
    amount: f64,
    #[serde(default)]
    per: Option<Window>,
    #[serde(default)]
    reason: String,
}

/// Allows more.
pub(crate) async fn topup(State(app): State<App>, who: Who, Body(topup): Body<Topup>) -> ApiResult<Json<Vec<Shown>>> {
    let subject = change::subject_of(&app.gate.registry(), &topup.whose)?;
    let meter = meter_of(&topup.what)?;
    let (window, reason) = (topup.per, topup.reason);
    let more = More { meter, window, amount: units(meter, topup.amount)?, reason };
    change::topup(&app.gate, &who.0, &subject, &more).await?;
    Ok(Json(change::show(&app.gate, Some(&subject)).await?))
}

/// The most that this fleet can spend today, and why.
pub(crate) async fn proof(State(app): State<App>, _: Who) -> ApiResult<Json<Value>> {
    Ok(Json(json!(proven(&app).await?)))
}

pub(crate) async fn proven(app: &App) -> ApiResult<Proof> {
    let (registry, now) = (app.gate.registry(), app.clock.now());
    let spent = cost::spent(app, By::Agent, Window::Day.start(now)).await?;
    let prices = |agent: &Name| {
        let line = spent.lines.iter().find(|line| line.name == agent.as_str());
        let spent = line.map_or(0, |line| line.tally.amounts.usd_micros);
        Prices { spent, ..prices_of(&registry, agent, now) }
    };
    Ok(prove::prove(&app.gate, prices).await?)
}

/// What the dearest use of an agent's models and capabilities costs.
fn prices_of(registry: &Registry, agent: &Name, now: Timestamp) -> Prices {
    let Some(entry) = registry.agent(agent) else {
        return Prices { tokens: Box::new(|_| 0), unpriced: None, action: 0, compute: 0, spent: 0 };
    };
    let spec = &entry.descriptor.spec;
    let own = [&spec.model.name].into_iter().chain(&spec.model.allow).map(|name| (&spec.model.provider, name));
    let all = own.chain(spec.model.fallbacks.iter().map(|fallback| (&fallback.provider, &fallback.name)));
    let priced = all.map(|(provider, name)| match registry.provider(provider) {
        Some(known) => price_of(&known.descriptor, name, now),
        None => Err(format!("there is no ModelProvider {provider}")),
    });
    let (known, unknown): (Vec<_>, Vec<_>) = priced.partition(Result::is_ok);
    let known: Vec<Price> = known.into_iter().flatten().collect();
    let unpriced = unknown.into_iter().find_map(Result::err).filter(|_| known.is_empty());
    let tokens = move |tokens: i64| {
        let tokens = tokens.max(0).unsigned_abs();
        let dearest = |price: &Price| price.worst(tokens, 0).usd_micros.max(price.worst(0, tokens).usd_micros);
        known.iter().map(dearest).max().unwrap_or(0)
    };
    let costs = entry.descriptor.capabilities().into_iter().filter_map(|capability| match capability {
        CapabilityRef::External(name) => Some(registry.capability(&name)?.descriptor.spec.cost_usd.0),
        CapabilityRef::Internal(_) | CapabilityRef::Agent(_) => None,
    });
    let compute = spec.compute_usd_per_hour.0;
    let unpriced = unpriced.map(|why| format!("its model answers nothing: {why}"));
    Prices { tokens: Box::new(tokens), unpriced, action: costs.max().unwrap_or(0), compute, spent: 0 }
}
