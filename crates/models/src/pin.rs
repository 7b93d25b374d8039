//! Which id a pinned revision is sent as. A revision that nobody knows is refused with the list of those that are
//! known: a wrong pin must never quietly become another model.

use domain::descriptor::{ModelProvider, Protocol};

use crate::price::{PriceTable, house_of};

/// The id that is sent for a model: of a pinned revision, the one that it stands for. The provider's own `revisions`
/// go before the table's dated ids; a script is never another revision.
///
/// # Errors
/// When the revision is not known, with those that are.
pub fn pin(provider: &ModelProvider, model: &str, pinned_revision: Option<&str>) -> Result<String, String> {
    let Some(pinned) = pinned_revision else { return Ok(model.to_owned()) };
    if let Ok(id) = provider.spec.model_id(model, Some(pinned)) {
        return Ok(id.to_owned());
    }
    let dated = match &provider.spec.protocol {
        Protocol::Scripted { .. } => return Ok(model.to_owned()),
        Protocol::Anthropic { .. }
        | Protocol::OpenaiChat { .. }
        | Protocol::OpenaiResponses { .. }
        | Protocol::Gemini { .. } => {
            PriceTable::compiled_in().revisions(house_of(&provider.spec.protocol), model).unwrap_or_default()
        }
    };
    let wanted = digits(pinned);
    let means = |id: &&String| id.as_str() == pinned || wanted.as_deref().is_some_and(|day| date_of(id) == Some(day));
    dated.iter().find(means).cloned().ok_or_else(|| unknown(provider, model, pinned, dated))
}

/// Whether the provider's model has the revision that is pinned, if one is.
///
/// # Errors
/// As [`pin`].
pub fn pin_check(provider: &ModelProvider, model: &str, pinned_revision: Option<&str>) -> Result<(), String> {
    pin(provider, model, pinned_revision).map(|_| ())
}

/// `2026-04-16` or `20260416` as the digits that a dated id ends in.
fn digits(pinned: &str) -> Option<String> {
    let day: String = pinned.chars().filter(|c| *c != '-').collect();
    (day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit())).then_some(day)
}

fn date_of(id: &str) -> Option<&str> {
    id.rsplit_once('-').map(|(_, date)| date)
}

fn unknown(provider: &ModelProvider, model: &str, pinned: &str, dated: &[String]) -> String {
    let name = &provider.metadata.name;
    let own =
        provider.spec.revisions.get(model).into_iter().flatten().map(|(revision, id)| format!("{revision} ({id})"));
    let spelled = dated.iter().map(|id| match date_of(id).filter(|date| date.len() == 8 && date.is_ascii()) {
        Some(date) => format!("{}-{}-{} ({id})", &date[..4], &date[4..6], &date[6..]),
        None => id.clone(),
    });
    let known: Vec<String> = own.chain(spelled).collect();
    let known = if known.is_empty() { "none is known".to_owned() } else { format!("known: {}", known.join(", ")) };
    format!(
        "{model} has no revision {pinned} at the provider {name} ({known}): pin a known one, or map this one under \
         `revisions:` of the provider"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::descriptor::{Metadata, ModelProvider, ModelProviderSpec, Prices, Protocol};

    use super::pin;

    fn provider(protocol: Protocol, revisions: BTreeMap<String, BTreeMap<String, String>>) -> ModelProvider {
        let name = |text: &str| text.parse().expect("a name");
        let metadata =
            Metadata { name: name("anthropic"), owner: name("it"), labels: BTreeMap::new(), protected: false };
        ModelProvider {
            metadata,
            spec: ModelProviderSpec {
                protocol,
                prices: Prices::Catalog,
                limits: domain::descriptor::Places { concurrent: 1, queue: 0 },
                revisions,
                tool_calls: BTreeMap::new(),
            },
        }
    }

    fn anthropic() -> ModelProvider {
        let protocol = Protocol::Anthropic { base_url: "https://models.example".to_owned(), key: None };
        provider(protocol, BTreeMap::new())
    }

    #[test]
    fn a_dated_revision_is_sent_as_its_dated_id() {
        let id = "claude-opus-4-7-20260416";
        for pinned in ["2026-04-16", "20260416", id] {
            assert_eq!(pin(&anthropic(), "claude-opus-4-7", Some(pinned)).as_deref(), Ok(id), "{pinned}");
        }
        assert_eq!(pin(&anthropic(), "claude-opus-4-7", None).as_deref(), Ok("claude-opus-4-7"));
    }

    #[test]
    fn an_unknown_revision_is_refused_with_the_known_ones() {
        let reason = pin(&anthropic(), "claude-opus-4-7", Some("2026-02-14")).unwrap_err();
        assert!(reason.contains("known: 2026-04-16 (claude-opus-4-7-20260416)"), "{reason}");
        let reason = pin(&anthropic(), "claude-opus-5-5", Some("2026-02-14")).unwrap_err();
        assert!(reason.contains("none is known"), "{reason}");
    }

    #[test]
    fn the_providers_own_revisions_go_first() {
        let own = BTreeMap::from([("2026-02-14".to_owned(), "claude-opus-4-7-20260416".to_owned())]);
        let mut provider = anthropic();
        provider.spec.revisions.insert("claude-opus-4-7".to_owned(), own);
        assert_eq!(pin(&provider, "claude-opus-4-7", Some("2026-02-14")).as_deref(), Ok("claude-opus-4-7-20260416"));
        let reason = pin(&provider, "claude-opus-4-7", Some("2026-02-15")).unwrap_err();
        assert!(reason.contains("2026-02-14 (claude-opus-4-7-20260416), 2026-04-16"), "{reason}");
    }

    #[test]
    fn a_script_stands_for_every_revision() {
        let script = provider(Protocol::Scripted { script: "demo".parse().expect("a name") }, BTreeMap::new());
        assert_eq!(pin(&script, "claude-opus-4-7", Some("2026-02-14")).as_deref(), Ok("claude-opus-4-7"));
    }
}
