//! The slices that were made, kept by the content that they are made of: the same content is the same slice, so none is
//! ever out of date, and nothing is made per call. Must not know what they decide.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use domain::capability::{CapabilityRef, Effect};
use domain::id::{Digest, Name};
use serde_json::Value;

use super::shape::{Fields, fields};
use super::slice::Slice;

/// How many are kept: an agent has one per tool. Beyond it all are forgotten, and made again when needed.
const KEPT: usize = 8192;

/// What a slice is made of, by content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) agent: Name,
    /// The revision that the session started under, and the current one.
    pub(crate) revisions: [Digest; 2],
    /// The policies that cover the agent.
    pub(crate) policies: Digest,
    /// Who delegated to it, root first, each with its two revisions.
    pub(crate) above: Vec<(Name, [Digest; 2])>,
    pub(crate) of: Of,
}

/// What is wished for, by content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Of {
    /// A capability, the schema of its arguments, and its descriptor.
    Tool(CapabilityRef, Effect, Digest, Option<Digest>),
    /// A model of a provider, and the provider's descriptor.
    Model(Name, String, Option<Digest>),
}

/// A slice, or the rule that cannot be used and why.
pub(crate) type Made = Arc<Result<Slice, (Option<String>, String)>>;

static MADE: LazyLock<RwLock<HashMap<Key, Made>>> = LazyLock::new(RwLock::default);
static TYPED: LazyLock<RwLock<HashMap<Digest, Arc<Fields>>>> = LazyLock::new(RwLock::default);

/// The slice of a key, made by `make` where it is not kept.
pub(crate) fn kept(key: Key, make: impl FnOnce() -> Result<Slice, (Option<String>, String)>) -> Made {
    if let Some(made) = MADE.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Arc::clone(made);
    }
    let made = Arc::new(make());
    let mut all = MADE.write().unwrap_or_else(PoisonError::into_inner);
    if all.len() >= KEPT {
        all.clear();
    }
    Arc::clone(all.entry(key).or_insert(made))
}

/// The types of the arguments that a schema describes, by the hash of the tool's definition; `None` where the schema is
/// not at hand and was never seen here.
pub(crate) fn typed(hash: Digest, schema: Option<&Value>) -> Option<Arc<Fields>> {
    if let Some(known) = TYPED.read().unwrap_or_else(PoisonError::into_inner).get(&hash) {
        return Some(Arc::clone(known));
    }
    let made = Arc::new(fields(schema?));
    let mut all = TYPED.write().unwrap_or_else(PoisonError::into_inner);
    if all.len() >= KEPT {
        all.clear();
    }
    Some(Arc::clone(all.entry(hash).or_insert(made)))
}
