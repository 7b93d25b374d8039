//! What to set for an agent, by what it is made with: as lines for a shell, as a file for an MCP client, or as JSON.
//! Every library reads these names by itself; which one reads which is all that is known here.

use domain::id::Name;
use serde_json::{Value, json};

use crate::args::With;

/// What to set.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Settings {
    /// What it is for, as comments.
    about: Vec<String>,
    /// Environment variables.
    environment: Vec<(&'static str, String)>,
    /// Commands to run once.
    commands: Vec<String>,
    /// The configuration of an MCP client, in the shape that most of them read.
    mcp: Value,
    /// Whether that is all there is to it.
    file: bool,
}

impl Settings {
    /// For an agent that is made with this.
    pub(super) fn of(with: With, url: &str, key: &str) -> Settings {
        let header = format!("Authorization: Bearer {key}");
        let server =
            json!({"type": "http", "url": format!("{url}/mcp"), "headers": {"Authorization": format!("Bearer {key}")}});
        let mut settings = Settings { mcp: json!({"mcpServers": {"ostler": server}}), ..Settings::default() };
        let anthropic = [("ANTHROPIC_BASE_URL", url.to_owned()), ("ANTHROPIC_API_KEY", key.to_owned())];
        let openai = [("OPENAI_BASE_URL", format!("{url}/v1")), ("OPENAI_API_KEY", key.to_owned())];
        let tools = format!("its tools: MCP over HTTP at {url}/mcp, with the header {header:?}");
        match with {
            With { claude_code: true, .. } => {
                settings.environment.extend([
                    ("ANTHROPIC_BASE_URL", url.to_owned()),
                    ("ANTHROPIC_AUTH_TOKEN", key.to_owned()),
                    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".to_owned()),
                ]);
                settings
                    .commands
                    .push(format!("claude mcp add --transport http ostler {url}/mcp --header {}", quoted(&header)));
            }
            With { anthropic: true, .. } => settings.environment.extend(anthropic),
            With { openai: true, .. } => settings.environment.extend(openai),
            With { openai_agents: true, .. } => {
                settings.environment.extend(openai);
                // Its traces would be sent to its maker, with this key.
                settings.environment.push(("OPENAI_AGENTS_DISABLE_TRACING", "1".to_owned()));
            }
            With { langchain: true, .. } => {
                settings.environment.extend(openai.into_iter().chain(anthropic));
                settings.environment.push(("OPENAI_API_BASE", format!("{url}/v1")));
                settings.environment.push(("ANTHROPIC_API_URL", url.to_owned()));
            }
            With { mcp: true, .. } => settings.file = true,
            With { pydantic_ai: true, .. } | With { .. } => {
                settings.environment.extend(openai.into_iter().chain(anthropic));
            }
        }
        if settings.commands.is_empty() && !settings.file {
            settings.about.push(tools);
        }
        settings
    }

    /// For people, and for a shell that reads along.
    pub(super) fn text(&self) -> String {
        if self.file {
            return format!("{:#}", self.mcp);
        }
        let exports = self.environment.iter().map(|(name, value)| format!("export {name}={}", quoted(value)));
        let about = self.about.iter().map(|line| format!("# {line}"));
        exports.chain(self.commands.iter().cloned()).chain(about).collect::<Vec<_>>().join("\n")
    }

    /// For programs.
    pub(super) fn json(&self, agent: &Name, url: &str, key: &str) -> Value {
        let environment: serde_json::Map<String, Value> =
            self.environment.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        json!({
            "agent": agent,
            "url": url,
            "key": key,
            "environment": environment,
            "commands": self.commands,
            "mcp": self.mcp,
            "first": null,
        })
    }
}

/// As one word of a shell.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{Settings, With, quoted};

    const NONE: With = With {
        claude_code: false,
        anthropic: false,
        openai: false,
        openai_agents: false,
        langchain: false,
        pydantic_ai: false,
        mcp: false,
    };

    fn text(with: With) -> String {
        Settings::of(with, "http://127.0.0.1:7070", "ostler_k").text()
    }

    #[test]
    fn each_library_finds_its_own_names() {
        let openai = text(With { openai: true, ..NONE });
        assert!(openai.starts_with("export OPENAI_BASE_URL='http://127.0.0.1:7070/v1'\n"), "{openai}");
        let anthropic = text(With { anthropic: true, ..NONE });
        assert!(anthropic.starts_with("export ANTHROPIC_BASE_URL='http://127.0.0.1:7070'\n"), "{anthropic}");
        assert!(!anthropic.contains("OPENAI") && anthropic.contains("\n# its tools: "), "{anthropic}");
        let claude = text(With { claude_code: true, ..NONE });
        let adds = "claude mcp add --transport http ostler http://127.0.0.1:7070/mcp --header 'Authorization: Bearer ostler_k'";
        assert!(claude.ends_with(adds) && claude.contains("ANTHROPIC_AUTH_TOKEN"), "{claude}");
        let file: serde_json::Value = serde_json::from_str(&text(With { mcp: true, ..NONE })).unwrap();
        assert_eq!(file["mcpServers"]["ostler"]["headers"]["Authorization"], "Bearer ostler_k");
        for both in [NONE, With { langchain: true, ..NONE }, With { pydantic_ai: true, ..NONE }] {
            assert!(text(both).contains("OPENAI_BASE_URL") && text(both).contains("ANTHROPIC_BASE_URL"));
        }
    }

    #[test]
    fn a_value_is_one_word_of_a_shell() {
        assert_eq!(quoted("a'b c"), r"'a'\''b c'");
    }
}
