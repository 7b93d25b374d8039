"""An agent on `langchain`, with both vendors' packages."""

from langchain.agents import create_agent

import task


def ask(model: str) -> str:
    agent = create_agent(model, tools=[task.lookup], system_prompt=task.INSTRUCTIONS)
    said = {"messages": [{"role": "user", "content": task.QUESTION}]}
    agent.invoke(said)
    *_, last = agent.stream(said, stream_mode="values")
    return last["messages"][-1].text


task.tell(ask, ["anthropic:claude-sonnet-5"], ["openai:gpt-5.5"])
