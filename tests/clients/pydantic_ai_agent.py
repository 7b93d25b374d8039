"""An agent on `pydantic-ai`, with both vendors' models."""

import asyncio

from pydantic_ai import Agent

import task


async def run(model: str) -> str:
    agent = Agent(model, instructions=task.INSTRUCTIONS, tools=[task.lookup])
    await agent.run(task.QUESTION)
    async with agent.run_stream(task.QUESTION) as result:
        return await result.get_output()


task.tell(lambda model: asyncio.run(run(model)), ["anthropic:claude-sonnet-5"], ["openai-chat:gpt-5.5"])
