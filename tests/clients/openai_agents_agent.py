"""An agent on `openai-agents`."""

import asyncio

from agents import Agent, Runner, function_tool

import task

lookup = function_tool(task.lookup)


async def run() -> str:
    agent = Agent(name="invoices", instructions=task.INSTRUCTIONS, model="gpt-5.5", tools=[lookup])
    await Runner.run(agent, task.QUESTION)
    result = Runner.run_streamed(agent, task.QUESTION)
    async for _ in result.stream_events():
        pass
    return result.final_output


task.tell(lambda: asyncio.run(run()), [])
