"""The vendor's own SDK (PyPI `openai`) through /v1 to a real model: it knows nothing of Ostler but an address and a key.

Usage: client.py URL KEY TOOLS_KEY. Prints one JSON object: what it was answered, by each way of asking.
"""

import json
import sys

import openai

QUESTION = "Name the capital of France."
TASK = "Calculate 21 * 2."
MODEL = "smollm2-135m-instruct"
CALCULATE = {
    "type": "object",
    "properties": {"expression": {"type": "string"}},
    "required": ["expression"],
    "additionalProperties": False,
}


def main() -> None:
    url, key, tools_key = sys.argv[1:]
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=180)
    told = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": QUESTION}]
    whole = client.chat.completions.create(model=MODEL, messages=told, max_tokens=60)
    options = {"include_usage": True}
    stream = list(client.chat.completions.create(model=MODEL, messages=told, max_tokens=60, stream=True, stream_options=options))
    words = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    counted = [chunk.usage for chunk in stream if chunk.usage]
    response = client.responses.create(model=MODEL, instructions="You are terse.", input=QUESTION, max_output_tokens=60)
    tool = {"type": "function", "function": {"name": "calculate", "description": "Reckons.", "parameters": CALCULATE}}
    reckoner = openai.OpenAI(base_url=f"{url}/v1", api_key=tools_key, max_retries=0, timeout=180)
    wants = reckoner.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": TASK}], max_tokens=100, tools=[tool]
    ).choices[0]
    print(json.dumps({
        "models": [model.id for model in client.models.list()],
        "whole": whole.choices[0].message.content,
        "whole_tokens": [whole.usage.prompt_tokens, whole.usage.completion_tokens],
        "streamed": "".join(words),
        "pieces": sum(bool(word) for word in words),
        "streamed_tokens": [counted[-1].prompt_tokens, counted[-1].completion_tokens] if counted else [0, 0],
        "response": response.output_text,
        "response_tokens": [response.usage.input_tokens, response.usage.output_tokens],
        "uses": [use.function.arguments for use in wants.message.tool_calls or []],
        "says": wants.message.content,
    }))


if __name__ == "__main__":
    main()
