//! Where the arguments of a call came from: which texts that a session heard vouch for each of them. Plain types; how
//! they are found out is the control plane's business. Persisted: fields are only ever added.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose words a value was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A person's or a trigger's words in this session.
    Request,
    /// The agent's descriptor.
    Descriptor,
    /// The output of a capability that is trusted, or a part of it that is.
    Trusted,
    /// The output of any other capability, a webhook, another agent's words.
    Untrusted,
    /// Recalled; it counts besides as what it was trusted as when it was remembered.
    Memory,
    /// Found nowhere: the model's own words.
    Model,
}

impl Source {
    /// Every source, in the order of their declaration.
    pub const ALL: [Source; 6] =
        [Source::Request, Source::Descriptor, Source::Trusted, Source::Untrusted, Source::Memory, Source::Model];

    /// Its name, as it is persisted and as policies say it.
    pub const fn name(self) -> &'static str {
        match self {
            Source::Request => "request",
            Source::Descriptor => "descriptor",
            Source::Trusted => "trusted",
            Source::Untrusted => "untrusted",
            Source::Memory => "memory",
            Source::Model => "model",
        }
    }

    /// Where that is, as people say it: "it stands in …".
    pub const fn words(self) -> &'static str {
        match self {
            Source::Request => "the request",
            Source::Descriptor => "the descriptor",
            Source::Trusted => "a trusted answer",
            Source::Untrusted => "a text that a stranger may have written",
            Source::Memory => "memory",
            Source::Model => "the model's own words",
        }
    }

    /// Whether a value that was found there may steer what leaves the company.
    pub const fn vouches(self) -> bool {
        match self {
            Source::Request | Source::Descriptor | Source::Trusted => true,
            Source::Untrusted | Source::Memory | Source::Model => false,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What of a capability's answers may be relied upon, though a stranger may have written the rest: ids, times and
/// amounts that its own system sets. Paths lead into the structured answer, through lists: `result.id`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouches {
    /// By path, the arguments that what stands there may fill.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, BTreeSet<String>>,
    /// Paths of what a request names a record by: its title, its author.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub named_by: BTreeSet<String>,
    /// The same as `fields`, for records that the request names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub when_named: BTreeMap<String, BTreeSet<String>>,
}

impl Vouches {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.when_named.is_empty()
    }
}

/// Where the arguments of one call came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The sources of each leaf of the arguments, by its path: `to`, `to.0`, `attachments.0.file_id`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, BTreeSet<Source>>,
    /// The names of the arguments that steer the effect and that nobody who may vouches for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unvouched: BTreeSet<String>,
    /// Whether a request or the descriptor names any of what steers the effect.
    #[serde(default)]
    pub requested: bool,
    /// Whether text that a stranger may have written entered the session before this call.
    #[serde(default)]
    pub tainted: bool,
    /// The labels of everything that entered the session.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
}

impl Provenance {
    /// The sources of an argument as a whole: of all its leaves.
    pub fn of(&self, argument: &str) -> BTreeSet<Source> {
        let within =
            |path: &str| path.strip_prefix(argument).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.arguments
            .iter()
            .filter(|(path, _)| within(path))
            .flat_map(|(_, sources)| sources.iter().copied())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Provenance, Source};

    #[test]
    fn an_argument_has_the_sources_of_all_its_leaves() {
        let provenance = Provenance {
            arguments: [
                ("to.0".to_owned(), BTreeSet::from([Source::Request])),
                ("to.1".to_owned(), BTreeSet::from([Source::Untrusted])),
                ("total".to_owned(), BTreeSet::from([Source::Model])),
            ]
            .into(),
            ..Provenance::default()
        };
        assert_eq!(provenance.of("to"), BTreeSet::from([Source::Request, Source::Untrusted]));
        assert_eq!(provenance.of("total"), BTreeSet::from([Source::Model]));
        assert_eq!(provenance.of("tot"), BTreeSet::new());
    }

    #[test]
    fn what_was_persisted_is_read_again() {
        for source in Source::ALL {
            assert_eq!(serde_json::to_value(source).unwrap(), source.name());
        }
        let read: Provenance = serde_json::from_str("{}").unwrap();
        assert_eq!(read, Provenance::default());
    }
}
