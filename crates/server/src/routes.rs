//! Every path, in one table. The router is made of it and of nothing else, tests walk it, and `/api/openapi.json`
//! describes it: a way in that is not in here does not exist.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::middleware;
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::api::{
    self, audit, calls, cost, freeze, health, inbox, messages, people, resources, sessions, shadow, stop,
};
use crate::app::App;
use crate::error::ApiError;
use crate::{auth, console, hooks, ingress, landing, mcp, metrics, stream};

/// The largest body a request may carry, in bytes.
pub const BODY_LIMIT: usize = 8 << 20;

/// One way in.
pub struct Route {
    method: Verb,
    path: &'static str,
    serve: fn(MethodFilter) -> MethodRouter<App>,
}

/// What the house's routes do: look, change, take away. `HEAD` is a `GET` without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    Post,
    Delete,
}

impl Route {
    /// `GET`, `POST` or `DELETE`.
    pub fn method(&self) -> &'static str {
        match self.method {
            Verb::Get => "GET",
            Verb::Post => "POST",
            Verb::Delete => "DELETE",
        }
    }

    /// The path, with `{name}` where a segment is a parameter.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// Whether it is a way in without a key.
    pub fn is_open(&self) -> bool {
        auth::is_open(self.path)
    }

    fn served(&self) -> MethodRouter<App> {
        (self.serve)(match self.method {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
            Verb::Delete => MethodFilter::DELETE,
        })
    }
}

const fn get(path: &'static str, serve: fn(MethodFilter) -> MethodRouter<App>) -> Route {
    Route { method: Verb::Get, path, serve }
}

const fn post(path: &'static str, serve: fn(MethodFilter) -> MethodRouter<App>) -> Route {
    Route { method: Verb::Post, path, serve }
}

const fn delete(path: &'static str, serve: fn(MethodFilter) -> MethodRouter<App>) -> Route {
    Route { method: Verb::Delete, path, serve }
}

/// Every way in.
pub const ROUTES: &[Route] = &[
    get("/healthz", |at| on(at, health::alive)),
    get("/readyz", |at| on(at, health::ready)),
    get("/metrics", |at| on(at, metrics::show)),
    // The native API.
    get("/api/openapi.json", |at| on(at, api::openapi)),
    get("/api/schema", |at| on(at, resources::schema)),
    post("/api/apply", |at| on(at, resources::apply)),
    get("/api/resources", |at| on(at, resources::list)),
    delete("/api/resources/{kind}/{name}", |at| on(at, resources::delete)),
    post("/api/agents/{name}/messages", |at| on(at, messages::send)),
    get("/api/sessions", |at| on(at, sessions::list)),
    get("/api/sessions/{id}", |at| on(at, sessions::show)),
    get("/api/sessions/{id}/wait", |at| on(at, sessions::wait)),
    get("/api/sessions/{id}/stream", |at| on(at, stream::stream)),
    get("/api/sessions/{id}/trace", |at| on(at, sessions::trace)),
    get("/api/sessions/{id}/cache", |at| on(at, sessions::cache)),
    post("/api/sessions/{id}/suspend", |at| on(at, stop::suspend)),
    post("/api/sessions/{id}/resume", |at| on(at, stop::resume)),
    post("/api/sessions/{id}/kill", |at| on(at, stop::kill)),
    get("/api/sessions/{id}/undo", |at| on(at, api::undo::plan)),
    post("/api/sessions/{id}/undo", |at| on(at, api::undo::undo)),
    get("/api/calls/{call}/explain", |at| on(at, calls::explain)),
    post("/api/calls/{call}/resolve", |at| on(at, calls::resolve)),
    get("/api/inbox", |at| on(at, inbox::list)),
    post("/api/inbox/{id}/approve", |at| on(at, inbox::approve)),
    post("/api/inbox/{id}/deny", |at| on(at, inbox::deny)),
    post("/api/inbox/answers", |at| on(at, inbox::batch::decide)),
    get("/api/inbox/stats", |at| on(at, inbox::stats::show)),
    get("/api/grants", |at| on(at, api::grants::list)),
    post("/api/grants", |at| on(at, api::grants::add)),
    get("/api/grants/proposals", |at| on(at, api::grants::propose)),
    post("/api/grants/{name}/second", |at| on(at, api::grants::second)),
    post("/api/grants/{name}/revoke", |at| on(at, api::grants::revoke)),
    get("/api/changes", |at| on(at, api::changes::list)),
    post("/api/changes/{name}/approve", |at| on(at, api::changes::approve)),
    post("/api/changes/{name}/deny", |at| on(at, api::changes::deny)),
    post("/api/changes/{name}/withdraw", |at| on(at, api::changes::withdraw)),
    get("/api/agents/{name}/revisions", |at| on(at, api::changes::revisions)),
    post("/api/agents/{name}/rollback", |at| on(at, api::changes::rollback)),
    get("/api/events", |at| on(at, api::events::follow)),
    get("/api/results", |at| on(at, api::results::list)),
    get("/api/policies", |at| on(at, api::policies::schema)),
    get("/api/policies/{agent}", |at| on(at, api::policies::in_force)),
    post("/api/policies/ask", |at| on(at, api::policies::ask)),
    post("/api/replay", |at| on(at, api::replay::replay)),
    get("/api/budgets", |at| on(at, api::budget::show)),
    get("/api/budgets/proof", |at| on(at, api::budget::proof)),
    post("/api/budgets/set", |at| on(at, api::budget::set)),
    post("/api/budgets/topup", |at| on(at, api::budget::topup)),
    get("/api/cost", |at| on(at, cost::cost)),
    get("/api/audit/verify", |at| on(at, audit::verify)),
    get("/api/freezes", |at| on(at, freeze::list)),
    post("/api/freeze", |at| on(at, freeze::freeze)),
    post("/api/unfreeze", |at| on(at, freeze::unfreeze)),
    get("/api/people", |at| on(at, people::list)),
    post("/api/people", |at| on(at, people::add)),
    get("/api/keys", |at| on(at, people::keys)),
    post("/api/keys", |at| on(at, people::add_key)),
    delete("/api/keys/{id}", |at| on(at, people::revoke)),
    post("/api/logins", |at| on(at, people::login)),
    post("/api/shadow/{agent}/cases", |at| on(at, shadow::import)),
    get("/api/shadow/{agent}/report", |at| on(at, shadow::report)),
    post("/api/shadow/{agent}/promote", |at| on(at, shadow::promote)),
    get("/api/backup", |at| on(at, api::backup::backup)),
    get("/api/top", |at| on(at, api::top::show)),
    get("/api/webhooks", |at| on(at, api::webhooks::list)),
    post("/api/webhooks", |at| on(at, api::webhooks::add)),
    delete("/api/webhooks/{name}", |at| on(at, api::webhooks::delete)),
    post("/api/webhooks/{name}/test", |at| on(at, api::webhooks::test)),
    get("/api/channels", |at| on(at, api::channels::list)),
    post("/api/channels", |at| on(at, api::channels::set)),
    delete("/api/channels/{person}", |at| on(at, api::channels::remove)),
    // Signed by somebody else.
    post("/hooks/{agent}/{trigger}", |at| on(at, hooks::receive)),
    // Agents that keep their own loop.
    post("/v1/messages", |at| on(at, ingress::messages).layer(DefaultBodyLimit::max(ingress::BODY_LIMIT))),
    post("/v1/messages/count_tokens", |at| {
        on(at, ingress::count_tokens).layer(DefaultBodyLimit::max(ingress::BODY_LIMIT))
    }),
    post("/v1/chat/completions", |at| on(at, ingress::chat).layer(DefaultBodyLimit::max(ingress::BODY_LIMIT))),
    post("/v1/responses", |at| on(at, ingress::responses).layer(DefaultBodyLimit::max(ingress::BODY_LIMIT))),
    post("/v1/responses/input_tokens", |at| {
        on(at, ingress::input_tokens).layer(DefaultBodyLimit::max(ingress::BODY_LIMIT))
    }),
    get("/v1/models", |at| on(at, ingress::models)),
    get("/v1/models/{id}", |at| on(at, ingress::model)),
    post("/mcp", |at| on(at, mcp::post)),
    delete("/mcp", |at| on(at, mcp::end)),
    // One-time links.
    get("/answer/{token}", |at| on(at, landing::show)),
    post("/answer/{token}", |at| on(at, landing::decide)),
    // The console.
    get("/", |at| on(at, console::inventory::show)),
    get("/sessions", |at| on(at, console::sessions::list)),
    get("/sessions/{id}", |at| on(at, console::transcript::show)),
    post("/sessions/{id}/suspend", |at| on(at, console::stop::suspend)),
    post("/sessions/{id}/resume", |at| on(at, console::stop::resume)),
    post("/sessions/{id}/kill", |at| on(at, console::stop::kill)),
    get("/calls/{call}", |at| on(at, console::call::show)),
    get("/inbox", |at| on(at, console::inbox::list)),
    get("/inbox/together/{id}", |at| on(at, console::batch::show)),
    post("/inbox/together/{id}", |at| on(at, console::batch::decide)),
    get("/inbox/{id}", |at| on(at, console::inbox::show)),
    post("/changes/{name}/approve", |at| on(at, console::changes::approve)),
    post("/changes/{name}/deny", |at| on(at, console::changes::deny)),
    post("/inbox/{id}/approve", |at| on(at, console::decide::approve)),
    post("/inbox/{id}/deny", |at| on(at, console::decide::deny)),
    post("/inbox/{id}/resolve", |at| on(at, console::decide::resolve)),
    get("/grants", |at| on(at, console::grants::list)),
    post("/grants/{name}/revoke", |at| on(at, console::grants::revoke)),
    get("/top", |at| on(at, console::top::show)),
    get("/budgets", |at| on(at, console::budgets::show)),
    get("/cost", |at| on(at, console::cost::show)),
    get("/cost/{agent}", |at| on(at, console::cost::of_agent)),
    get("/login", |at| on(at, console::login::show)),
    post("/login", |at| on(at, console::login::sign_in)),
    post("/logout", |at| on(at, console::login::sign_out)),
    get("/static/style.css", |at| on(at, console::page::style)),
    get("/static/icon.svg", |at| on(at, console::page::icon)),
];

/// All of the server.
pub(crate) fn router(app: App) -> Router {
    let routes = ROUTES.iter().fold(Router::new(), |router, route| router.route(route.path, route.served()));
    routes
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_that_way)
        .layer(middleware::from_fn_with_state(app.clone(), auth::guard))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(app)
}

async fn nothing_here(uri: Uri) -> ApiError {
    ApiError::no_such_path(uri.path())
}

async fn not_that_way(method: Method, uri: Uri) -> ApiError {
    ApiError::not_that_way(&method, uri.path())
}
