//! The whole server over HTTP, in this process: a store in a temporary directory, the scripted provider, and an MCP
//! server of the test's own. Only the browser is missing; `crates/cli/tests` has one.

#![expect(clippy::unwrap_used, reason = "what tests are set up with is known to be right")]

mod approvals;
mod attached;
mod attached_calls;
mod bounds;
mod browser;
mod changes;
mod channels;
mod console;
mod events;
mod flow;
mod http;
mod ingress;
mod mcp;
mod mcp_calls;
mod model;
mod money;
mod openapi;
mod people;
mod proof;
mod receiver;
mod routes;
mod signing_in;
mod stage;
mod stopping;
mod top;
mod triggers;
mod undo;
mod upstream;
mod vendor;
mod waiting;
mod webhooks;
