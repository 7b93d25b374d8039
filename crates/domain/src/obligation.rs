//! Obligations: the consent that a policy makes a call wait for. Written in Cedar as an annotation,
//! `@obligation("approval:GROUP:quorum=2:not=requester:ttl=4h")`. Must not know who belongs to a group, or what was
//! answered.

use crate::id::Name;

/// The most people whose consent can be asked for.
pub const MAX_QUORUM: u16 = 20;

/// The longest that people can be given, in milliseconds: ten years.
pub const MAX_TTL_MS: i64 = 3650 * 86_400_000;

/// Whose people a policy asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// `approvers`: those that the agent's own descriptor names, on its terms; else its owner group.
    Approvers,
    /// `owner`: the agent's owner group.
    Owner,
    /// A group by its name.
    Group(Name),
}

/// An obligation as a policy writes it, before it is known of which agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Whose people.
    pub asked: Asked,
    /// How many of them.
    pub quorum: u16,
    /// Whether the person on whose behalf the call is made does not count.
    pub four_eyes: bool,
    /// How long they have, in milliseconds; `None`: as long as the agent's descriptor gives.
    pub ttl_ms: Option<i64>,
}

/// An annotation that is no obligation: what is wrong, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write approval:GROUP, then :quorum=N, :ttl=4h and :not=requester where they are wanted")]
pub struct NoObligation(String);

impl std::str::FromStr for Written {
    type Err = NoObligation;

    fn from_str(text: &str) -> Result<Self, NoObligation> {
        let wrong = |what: String| Err(NoObligation(what));
        let mut parts = text.split(':');
        if parts.next() != Some("approval") {
            return wrong(format!("`{text}` does not begin with `approval:`"));
        }
        let asked = match parts.next() {
            Some("approvers") => Asked::Approvers,
            Some("owner") => Asked::Owner,
            Some(group) => match group.parse() {
                Ok(name) => Asked::Group(name),
                Err(_) => return wrong(format!("`{group}` is not the name of a group")),
            },
            None => return wrong("it names no group".to_owned()),
        };
        let mut written = Written { asked, quorum: 1, four_eyes: false, ttl_ms: None };
        for part in parts {
            match part.split_once('=') {
                Some(("quorum", number)) => match number.parse() {
                    Ok(quorum) if (1..=MAX_QUORUM).contains(&quorum) => written.quorum = quorum,
                    Ok(_) | Err(_) => return wrong(format!("a quorum is 1 to {MAX_QUORUM}, not `{number}`")),
                },
                Some(("ttl", length)) => match crate::clock::length_ms(length) {
                    Some(ms) if (1..=MAX_TTL_MS).contains(&ms) => written.ttl_ms = Some(ms),
                    Some(_) | None => {
                        return wrong(format!("`{length}` is not a time such as 30m or 4h, at most 3650d"));
                    }
                },
                Some(("not", "requester")) => written.four_eyes = true,
                Some(_) | None => return wrong(format!("`{part}` is not known here")),
            }
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_policy_writes_is_read() {
        let written: Written = "approval:finance-leads:quorum=2:not=requester:ttl=90m".parse().unwrap();
        let asked = Asked::Group("finance-leads".parse().unwrap());
        assert_eq!(written, Written { asked, quorum: 2, four_eyes: true, ttl_ms: Some(5_400_000) });
        let short: Written = "approval:approvers".parse().unwrap();
        assert_eq!(short, Written { asked: Asked::Approvers, quorum: 1, four_eyes: false, ttl_ms: None });
    }

    #[test]
    fn what_is_no_obligation_says_why() {
        for (text, why) in [
            ("", "does not begin with `approval:`"),
            ("approval", "names no group"),
            ("approval:", "`` is not the name of a group"),
            ("approval:Finance Leads", "not the name of a group"),
            ("approval:finance:quorum=0", "a quorum is 1 to 20"),
            ("approval:finance:quorum=99999", "a quorum is 1 to 20"),
            ("approval:finance:ttl=0h", "not a time"),
            ("approval:finance:ttl=forever", "not a time"),
            ("approval:finance:not=anybody", "is not known here"),
        ] {
            let error = text.parse::<Written>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
