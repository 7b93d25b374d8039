//! Surface: HTTP. The one wiring place and the only crate that knows status codes; it holds no business rules.

mod api;
mod app;
mod auth;
pub mod backup;
pub mod bench;
pub mod boot;
pub mod config;
mod console;
mod error;
mod hooks;
mod ingress;
mod landing;
mod mcp;
mod metrics;
mod notify;
pub mod offline;
pub mod rehearse;
mod replay;
pub mod routes;
mod schedules;
mod stream;
mod webhooks;
