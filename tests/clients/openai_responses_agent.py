"""An agent on `openai`, Responses."""

import json

import openai

from task import DESCRIPTION, INSTRUCTIONS, QUESTION, SCHEMA, lookup, tell


def ask(streams: bool) -> str:
    client = openai.OpenAI()
    tools = [{"type": "function", "name": "lookup", "description": DESCRIPTION, "parameters": SCHEMA, "strict": True}]
    given = [{"role": "user", "content": QUESTION}]
    while True:
        wanted = dict(
            model="gpt-5.5", instructions=INSTRUCTIONS, input=given, tools=tools, store=False,
            prompt_cache_key=f"streams={streams}",
        )
        if streams:
            with client.responses.stream(**wanted) as stream:
                for _ in stream:
                    pass
                answer = stream.get_final_response()
        else:
            answer = client.responses.create(**wanted)
        calls = [item for item in answer.output if item.type == "function_call"]
        if not calls:
            return answer.output_text
        given += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in answer.output]
        given += [
            {"type": "function_call_output", "call_id": call.call_id, "output": lookup(**json.loads(call.arguments))}
            for call in calls
        ]


tell(ask, [False], [True])
