"""An agent on `openai`, Chat Completions."""

import json

import openai

from task import DESCRIPTION, INSTRUCTIONS, QUESTION, SCHEMA, lookup, tell


def ask(streams: bool) -> str:
    client = openai.OpenAI()
    function = {"name": "lookup", "description": DESCRIPTION, "parameters": SCHEMA, "strict": True}
    messages = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": QUESTION}]
    while True:
        wanted = dict(
            model="gpt-5.5", messages=messages, tools=[{"type": "function", "function": function}],
            user=f"streams={streams}",
        )
        if streams:
            with client.chat.completions.stream(**wanted) as stream:
                for _ in stream:
                    pass
                answer = stream.get_final_completion().choices[0].message
        else:
            answer = client.chat.completions.create(**wanted).choices[0].message
        if not answer.tool_calls:
            return answer.content
        said = {"role": "assistant", "content": answer.content}
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": call.function.arguments}}
            for call in answer.tool_calls
        ]
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": lookup(**json.loads(call.function.arguments))}
            for call in answer.tool_calls
        ]
        messages += [said, *results]


tell(ask, [False], [True])
