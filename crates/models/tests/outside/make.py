#!/usr/bin/env python3
"""Writes usages.jsonl from tests/dataset/usages.json of github.com/pydantic/genai-prices, one body per line: what the
provider said, the tokens that genai-prices reads from it, and what it says they cost at each house, in USD.

    make.py usages.json > usages.jsonl
"""
import json
import sys
from decimal import Decimal

# How a body is told, and whose reading of it stands for that protocol.
PROTOCOLS = [
    ("anthropic", ("anthropic", "default"), lambda u: "cache_creation_input_tokens" in u or "server_tool_use" in u),
    ("responses", ("openai", "responses"), lambda u: "input_tokens_details" in u),
    ("chat", ("openai", "chat"), lambda u: "prompt_tokens" in u and "completion_tokens" in u),
    ("bedrock", ("aws", "default"), lambda u: "inputTokens" in u),
    ("gemini", ("google", "default"), lambda u: "promptTokenCount" in u),
]
# Who bills, by protocol: what genai-prices calls it, and we.
HOUSES = {
    "anthropic": {("anthropic", "default"): "anthropic"},
    "responses": {("openai", "responses"): "openai"},
    "chat": {
        ("openai", "chat"): "openai", ("mistral", "default"): "mistral", ("groq", "default"): "groq",
        ("deepseek", "chat"): "deepseek", ("openrouter", "chat"): "openrouter", ("cerebras", "chat"): "cerebras",
        ("zai", "chat"): "zai", ("zhipuai", "chat"): "zhipuai", ("ovhcloud", "chat"): "ovhcloud",
        ("google", "chat"): "gemini", ("x-ai", "chat"): "xai",
    },
    "gemini": {("google", "default"): "gemini"},
}
# Times and other people's sums: nothing reads them.
NOISE = {"queue_time", "prompt_time", "completion_time", "total_time", "pydantic_ai_gateway"}

for entry in json.load(open(sys.argv[1])):
    body = entry["body"]
    usage = body.get("usage") or body.get("usageMetadata") or body.get("meta")
    usage = {key: value for key, value in usage.items() if key not in NOISE}
    line = {"protocol": "other", "usage": usage}
    if entry.get("model"):
        line["model"] = entry["model"]
    for protocol, reader, is_it in PROTOCOLS:
        if is_it(usage):
            line["protocol"] = protocol
            houses = HOUSES.get(protocol, {})
            for group in entry["extracted"]:
                for said in group["extractors"]:
                    who = (said["provider_id"], said["api_flavor"])
                    if who == reader:
                        line["tokens"] = group["usage"]
                    if who in houses and "input_price" in said:
                        total = said.get("total_price") or str(Decimal(said["input_price"]) + Decimal(said["output_price"]))
                        line.setdefault("usd", {})[houses[who]] = total
            break
    line["priced"] = any("input_price" in s for g in entry["extracted"] for s in g["extractors"])
    print(json.dumps(line, sort_keys=True, separators=(",", ":")))
