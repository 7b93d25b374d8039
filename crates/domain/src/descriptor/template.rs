//! What `ostler init NAME` writes: a descriptor that runs, and says what may be changed.

use crate::id::Name;

const TEMPLATE: &str = include_str!("template.yaml");

/// A descriptor for a new agent of this name: harmless, in shadow, with comments.
pub fn template(name: &Name) -> String {
    TEMPLATE.replace("AGENT_NAME", name.as_str())
}
