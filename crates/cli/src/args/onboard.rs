//! `ostler onboard`: which agent, and with what it speaks.

use std::time::Duration;

use clap::Args;
use domain::id::Name;

use super::word;

/// `ostler onboard`.
#[derive(Debug, Args)]
pub(crate) struct Onboard {
    /// The agent, as its descriptor names it.
    pub agent: Name,
    #[command(flatten)]
    pub with: With,
    /// A key of the agent's to use, instead of one that is made and kept.
    #[arg(long, env = "OSTLER_AGENT_KEY", value_name = "KEY", hide_env_values = true)]
    pub agent_key: Option<String>,
    /// Print what to set, and do not wait.
    #[arg(long)]
    pub print: bool,
    /// How long to wait for the first call: 90s, 10m, 1h.
    #[arg(long, default_value = "10m", value_parser = word::length, value_name = "TIME")]
    pub timeout: Duration,
}

/// With what an agent speaks; none of them: with whatever it likes.
#[derive(Debug, Clone, Copy, Default, Args)]
#[group(multiple = false)]
#[command(next_help_heading = "What the agent is made with")]
pub(crate) struct With {
    /// Claude Code, or claude-agent-sdk.
    #[arg(long)]
    pub claude_code: bool,
    /// The SDKs of Anthropic.
    #[arg(long)]
    pub anthropic: bool,
    /// The SDKs of OpenAI.
    #[arg(long)]
    pub openai: bool,
    /// openai-agents.
    #[arg(long)]
    pub openai_agents: bool,
    /// LangChain and LangGraph.
    #[arg(long)]
    pub langchain: bool,
    /// Pydantic AI.
    #[arg(long)]
    pub pydantic_ai: bool,
    /// An MCP client alone: its tools go through Ostler, its model does not.
    #[arg(long)]
    pub mcp: bool,
}
