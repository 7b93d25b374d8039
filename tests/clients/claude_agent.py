"""An agent on `claude-agent-sdk`, with the command-line tool that comes with it."""

import asyncio

from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, create_sdk_mcp_server, query, tool

import task


@tool("lookup", task.DESCRIPTION, {"number": str})
async def lookup(arguments: dict) -> dict:
    return {"content": [{"type": "text", "text": task.lookup(arguments["number"])}]}


async def run() -> str:
    options = ClaudeAgentOptions(
        system_prompt=task.INSTRUCTIONS,
        mcp_servers={"invoices": create_sdk_mcp_server(name="invoices", tools=[lookup])},
        allowed_tools=["mcp__invoices__lookup"],
        setting_sources=[],
        max_turns=4,
    )
    answer = None
    async for message in query(prompt=task.QUESTION, options=options):
        if isinstance(message, ResultMessage):
            if message.is_error:
                raise RuntimeError(message.result)
            answer = message.result
    return answer


task.tell(lambda: asyncio.run(run()), [])
