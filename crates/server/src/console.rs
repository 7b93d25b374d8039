//! The console: server-rendered pages, usable without JavaScript. It shows what the planes say and sends what people
//! decide; it holds no rules of its own.

mod arguments;
pub(crate) mod batch;
pub(crate) mod budgets;
pub(crate) mod call;
pub(crate) mod changes;
pub(crate) mod cost;
pub(crate) mod decide;
pub(crate) mod grants;
pub(crate) mod inbox;
pub(crate) mod inventory;
pub(crate) mod login;
pub(crate) mod page;
mod picture;
pub(crate) mod session;
pub(crate) mod sessions;
mod step;
pub(crate) mod stop;
pub(crate) mod top;
pub(crate) mod transcript;
pub(crate) mod words;
