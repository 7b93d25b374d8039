//! Standing grants: what agents may do without asking each time, what was used of it, and which ones past answers speak
//! for. A grant is given at the command line or the API; it is ended here, too.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use control::budget::change::Shown;
use control::grants::{self, Listed};
use domain::budget::Meter;
use domain::id::Name;
use maud::{Markup, html};

use super::page::{Reader, Reasoned, page, token_field};
use super::session::own_form;
use super::words::{ago, money};
use crate::api::{Fields, Id, grants as api};
use crate::app::App;
use crate::error::ApiResult;

/// `/grants`.
pub(crate) async fn list(State(app): State<App>, reader: Reader) -> ApiResult<Response> {
    let (all, proposals) = (grants::list(&app.gate).await?, api::proposed(&app, None).await?);
    let now = app.clock.now();
    let body = html! {
        @if all.is_empty() { p { "No agent does anything without being asked that its descriptor asks for." } }
        @for listed in &all {
            article.item {
                h2 { (listed.standing.grant.agent) " may use " (listed.standing.grant.capability.name()) }
                p { strong { @if let Some(lacks) = &listed.lacks { "Holds no more: " (lacks) } @else { "Holds; ends " (ago(now, listed.standing.grant.until)) } } }
                (bounds(listed))
                p.meta { (listed.name) " · given by " (people(listed)) " " (ago(now, listed.standing.at)) ": " (listed.standing.grant.reason) }
                @if let Some(token) = reader.csrf.as_ref().filter(|_| listed.standing.over.is_none()) {
                    form.decide method="post" action={ "/grants/" (listed.name) "/revoke" } {
                        (token_field(token))
                        label { "Why" input type="text" name="reason"; }
                        button.no { "End it" }
                    }
                }
            }
        }
        @if !proposals.is_empty() { h2 { "What past answers speak for" } }
        @for proposal in &proposals {
            article.item {
                h3 { (proposal.agent) ": " (proposal.capability.name()) }
                p { (proposal.text) }
                pre { (proposal.next) }
            }
        }
    };
    Ok(page(&reader, "Standing grants", &body))
}

fn bounds(listed: &Listed) -> Markup {
    let grant = &listed.standing.grant;
    html! {
        table.arguments {
            @if let Some(when) = &grant.when { tr { th { "only where" } td { code { (when.source()) } } } }
            @if let Some(each) = grant.each_usd_micros { tr { th { "each" } td { "up to " (money(each)) } } }
            @for shown in &listed.used { tr { th { "used" } td { (used(shown)) } } }
        }
    }
}

fn used(shown: &Shown) -> String {
    let taken = shown.spent + shown.held;
    match shown.meter {
        Meter::UsdMicros => format!("{} of {}", money(taken), money(shown.cap)),
        Meter::Calls | Meter::Tokens | Meter::ExternalActions | Meter::ComputeMs => {
            format!("{taken} of {} calls", shown.cap)
        }
    }
}

fn people(listed: &Listed) -> String {
    listed.standing.by.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Ends one.
pub(crate) async fn revoke(
    State(app): State<App>,
    reader: Reader,
    Id(name): Id<Name>,
    Fields(said): Fields<Reasoned>,
) -> ApiResult<Response> {
    own_form(reader.csrf.as_ref(), &said.csrf)?;
    grants::revoke(&app.gate, &reader.who.0, &name, &said.reason).await?;
    Ok(Redirect::to("/grants").into_response())
}
