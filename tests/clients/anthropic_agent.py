"""An agent on `anthropic`."""

import anthropic

from task import DESCRIPTION, INSTRUCTIONS, QUESTION, SCHEMA, lookup, tell


def ask(streams: bool) -> str:
    client = anthropic.Anthropic()
    tools = [{"name": "lookup", "description": DESCRIPTION, "input_schema": SCHEMA}]
    messages = [{"role": "user", "content": QUESTION}]
    while True:
        wanted = dict(
            model="claude-sonnet-5", max_tokens=2000, system=INSTRUCTIONS, tools=tools, messages=messages,
            metadata={"user_id": f"streams={streams}"},
        )
        if streams:
            with client.messages.stream(**wanted) as stream:
                answer = stream.get_final_message()
        else:
            answer = client.messages.create(**wanted)
        if answer.stop_reason != "tool_use":
            return answer.content[0].text
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": lookup(**block.input)}
            for block in answer.content
            if block.type == "tool_use"
        ]
        messages += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]


tell(ask, [False], [True])
