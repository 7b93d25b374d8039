//! What models of attached agents asked to have used, and their clients have not brought a result of: so that a use
//! through `/mcp` is found to belong to the conversation that it came from. It is forgotten with the process.

use std::collections::{BTreeMap, VecDeque};

use domain::id::{Digest, Name, SessionId};
use domain::message::{Content, Message};

/// How many uses of one agent are known at once.
const MOST: usize = 1_024;

/// A use that a model asked for.
struct Wanted {
    session: SessionId,
    use_id: String,
    name: String,
    arguments: Digest,
    /// Whether it became a call: made again, it is found all the same.
    used: bool,
}

/// Uses by agent, the oldest first.
#[derive(Default)]
pub(crate) struct Uses(BTreeMap<Name, VecDeque<Wanted>>);

impl Uses {
    /// What a model of this session asked for just now.
    pub(crate) fn wanted(&mut self, agent: &Name, session: SessionId, answer: &Message) {
        let uses = answer.parts.iter().filter_map(|part| match &part.content {
            Content::Use { use_id, capability, arguments, malformed: None } => Some(Wanted {
                session,
                use_id: use_id.clone(),
                name: capability.clone(),
                arguments: Digest::of_json(arguments),
                used: false,
            }),
            _ => None,
        });
        let uses: Vec<_> = uses.collect();
        if uses.is_empty() {
            return;
        }
        let line = self.0.entry(agent.clone()).or_default();
        line.extend(uses);
        while line.len() > MOST {
            line.pop_front();
        }
    }

    /// The session of the latest use that this is, and where it stands; of that session only, where one is given.
    pub(crate) fn find(
        &self,
        agent: &Name,
        only: Option<SessionId>,
        (name, arguments): (&str, Digest),
    ) -> Option<(SessionId, usize)> {
        let line = self.0.get(agent)?;
        let is_it = |wanted: &Wanted| {
            only.is_none_or(|session| wanted.session == session)
                && wanted.arguments == arguments
                && is_called(&wanted.name, name)
        };
        let unused = line.iter().rposition(|wanted| !wanted.used && is_it(wanted));
        let at = unused.or_else(|| line.iter().rposition(is_it))?;
        Some((line[at].session, at))
    }

    /// The provider's id of the use of a session that this is, once.
    pub(crate) fn take(&mut self, agent: &Name, session: SessionId, wanted: (&str, Digest)) -> Option<String> {
        let (_, at) = self.find(agent, Some(session), wanted)?;
        let found = self.0.get_mut(agent)?.get_mut(at)?;
        let first = !std::mem::replace(&mut found.used, true);
        first.then(|| found.use_id.clone())
    }

    /// The client brought results, or went on without.
    pub(crate) fn went_on(&mut self, agent: &Name, session: SessionId) {
        if let Some(line) = self.0.get_mut(agent) {
            line.retain(|wanted| wanted.session != session);
            if line.is_empty() {
                self.0.remove(agent);
            }
        }
    }
}

/// Whether a client that knows a capability by this name calls it so to its model: many put the server's name before.
fn is_called(by_model: &str, name: &str) -> bool {
    let before = by_model.strip_suffix(name);
    before.is_some_and(|before| before.is_empty() || before.ends_with(['_', '-', '.', '/']))
}

#[cfg(test)]
mod tests {
    use domain::id::{Digest, SessionId};
    use domain::message::{Content, Message, Origin, Part, Role, Trust};
    use serde_json::json;

    use super::Uses;

    fn answer(name: &str, amount: u32) -> Message {
        let content = Content::Use {
            use_id: format!("u{amount}"),
            capability: name.to_owned(),
            arguments: json!({"amount": amount}),
            malformed: None,
        };
        let part = Part { content, origin: Origin::Model, labels: Vec::new(), trust: Trust::Trusted };
        Message { role: Role::Agent, parts: vec![part] }
    }

    #[test]
    fn a_use_is_found_by_what_it_is_and_only_once() {
        let (agent, mut uses) = ("books".parse().unwrap(), Uses::default());
        let (one, two) = (SessionId::for_key(&agent, "1"), SessionId::for_key(&agent, "2"));
        uses.wanted(&agent, one, &answer("mcp__ostler__pay", 7));
        uses.wanted(&agent, two, &answer("pay", 8));
        let seven = Digest::of_json(&json!({"amount": 7}));
        assert_eq!(uses.take(&agent, two, ("pay", seven)), None);
        assert_eq!(uses.find(&agent, None, ("ay", seven)), None);
        assert_eq!(uses.find(&agent, None, ("pay", seven)), Some((one, 0)));
        assert_eq!(uses.take(&agent, one, ("pay", seven)), Some("u7".to_owned()));
        assert_eq!(uses.take(&agent, one, ("pay", seven)), None, "its id is given once");
        assert_eq!(uses.find(&agent, None, ("pay", seven)), Some((one, 0)), "made again, it is found");
        uses.went_on(&agent, one);
        assert_eq!(uses.find(&agent, None, ("pay", seven)), None);
        uses.went_on(&agent, two);
        assert_eq!(uses.find(&agent, None, ("pay", Digest::of_json(&json!({"amount": 8})))), None);
    }
}
