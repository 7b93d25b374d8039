#!/usr/bin/env python3
"""Writes prices.json from two catalogs that others keep: LiteLLM's price map goes first, genai-prices fills in what it
does not have, and says what a model cost before. Nothing is fetched.

    pip install genai-prices==0.2.3
    make.py model_prices_and_context_window_backup.json 2026-11-22 > prices.json
"""
import json
import re
import sys
from decimal import Decimal

from genai_prices.data import providers

# Who bills, where it is reached, what LiteLLM calls it and puts before its models, what genai-prices calls it.
HOUSES = [
    ("anthropic", ["api.anthropic.com"], ["anthropic"], ["", "anthropic/"], "anthropic"),
    ("openai", ["api.openai.com"], ["openai", "text-completion-openai"], ["", "openai/"], "openai"),
    ("gemini", ["generativelanguage.googleapis.com"], ["gemini"], ["gemini/"], "google"),
    ("mistral", ["api.mistral.ai"], ["mistral"], ["mistral/"], "mistral"),
    ("deepseek", ["api.deepseek.com"], ["deepseek"], ["deepseek/", ""], "deepseek"),
    ("groq", ["api.groq.com"], ["groq"], ["groq/"], "groq"),
    ("cerebras", ["api.cerebras.ai"], ["cerebras"], ["cerebras/"], "cerebras"),
    ("xai", ["api.x.ai"], ["xai"], ["xai/"], "x-ai"),
    ("zai", ["api.z.ai"], ["zai"], ["zai/"], "zai"),
    ("zhipuai", ["open.bigmodel.cn"], [], [], "zhipuai"),
    ("moonshot", ["api.moonshot.ai"], ["moonshot"], ["moonshot/"], "moonshotai"),
    ("ovhcloud", ["oai.endpoints.kepler.ai.cloud.ovh.net"], ["ovhcloud"], ["ovhcloud/"], "ovhcloud"),
    ("openrouter", ["openrouter.ai"], [], [], "openrouter"),
]
MODES = {"chat", "responses", "completion", "image_generation"}
# Names that are asked for or answered with, and that neither catalog lists as such.
ALIASES = {
    "anthropic": {
        "claude-sonnet-4-20250514": "claude-sonnet-4-0", "claude-opus-4-20250514": "claude-opus-4-0",
        "claude-3-opus-20240229": "claude-3-opus-latest", "claude-3-haiku-20240307": "claude-3-haiku",
        "claude-opus-4-1-20250805": "claude-opus-4-1",
    },
    "openai": {"gpt-4.5-preview-2025-02-27": "gpt-4.5-preview", "o1-mini-2024-09-12": "o1-mini"},
    "gemini": {"gemini-2.5-pro-preview-05-06": "gemini-2.5-pro", "gemini-2.0-flash-exp": "gemini-2.0-flash"},
    "mistral": {"pixtral-12b-latest": "pixtral-12b"},
    "openrouter": {
        "anthropic/claude-4.5-sonnet-20250929": "anthropic/claude-sonnet-4.5",
        "anthropic/claude-4.6-sonnet-20260217": "anthropic/claude-sonnet-4.6",
        "anthropic/claude-3.7-sonnet:thinking": "anthropic/claude-3.7-sonnet",
    },
}
KINDS = [
    ("input", "input_cost_per_token", "input_mtok"),
    ("output", "output_cost_per_token", "output_mtok"),
    ("cache_read", "cache_read_input_token_cost", "cache_read_mtok"),
    ("cache_write", "cache_creation_input_token_cost", "cache_write_mtok"),
    ("cache_write_1h", "cache_creation_input_token_cost_above_1hr", "cache_write_1h_mtok"),
    ("input_audio", "input_cost_per_audio_token", "input_audio_mtok"),
    ("cache_read_audio", "cache_read_input_audio_token_cost", "cache_audio_read_mtok"),
    ("input_image", "input_cost_per_image_token", "input_image_mtok"),
    ("output_audio", "output_cost_per_audio_token", "output_audio_mtok"),
    ("output_image", "output_cost_per_image_token", "output_image_mtok"),
]


def plain(number):
    number = float(number)
    return int(number) if number == int(number) else number


def litellm_rates(entry, suffix=""):
    rates = {}
    for kind, key, _ in KINDS:
        value = entry.get(key + suffix)
        if value is not None and Decimal(value) > 0:
            rates[kind] = plain(round(Decimal(value) * 1_000_000, 9))
    return rates


def from_litellm(entry):
    rates = litellm_rates(entry)
    if "input" not in rates or "output" not in rates:
        return None
    out = {"prices": rates}
    tiers = sorted({int(k) for key in entry for k in re.findall(r"^input_cost_per_token_above_(\d+)k_tokens$", key)})
    long = [(tier * 1000, litellm_rates(entry, f"_above_{tier}k_tokens")) for tier in tiers]
    long = [(above, {**rates, **dearer}) for above, dearer in long if dearer]
    if len(long) > 1:
        return None  # two steps: none of these models has them
    if long:
        out["long"] = {"above_input_tokens": long[0][0], "prices": long[0][1]}
    if entry.get("deprecation_date"):
        out["retires"] = entry["deprecation_date"]
    if entry.get("max_input_tokens"):
        out["context_tokens"] = int(entry["max_input_tokens"])
    if entry.get("prompt_cache_min_tokens"):
        out["cache_min_tokens"] = int(entry["prompt_cache_min_tokens"])
    if entry.get("supports_prompt_cache_breakpoint"):
        out["cache_breakpoints"] = True
    search = entry.get("search_context_cost_per_query")
    if search:
        out["web_search"] = plain(search["search_context_size_medium"])
    return out


def genai_rates(price):
    """Base rates, and those of each tier."""
    base, tiers = {}, {}
    for kind, _, key in KINDS:
        value = getattr(price, key, None)
        if value is None and key == "cache_write_mtok":
            value = getattr(price, "cache_write_5m_mtok", None)
        if value is None:
            continue
        if hasattr(value, "tiers"):
            for tier in value.tiers:
                tiers.setdefault(tier.start, {})[kind] = plain(tier.price)
            value = value.base
        if value > 0:
            base[kind] = plain(value)
    out = {"prices": base}
    if len(tiers) > 1:
        return None
    for at, dearer in tiers.items():
        out["long"] = {"above_input_tokens": at, "prices": {**base, **dearer}}
    if getattr(price, "web_searches_kcount", None):
        out["web_search"] = plain(price.web_searches_kcount / 1000)
    return out if "input" in base and "output" in base else None


def from_genai(model):
    """What it costs now, and what it cost until when."""
    spans = model.prices if isinstance(model.prices, list) else [model]
    spans = [(getattr(getattr(s, "constraint", None), "start_date", None), s) for s in spans]
    if any(getattr(s, "constraint", None) is not None and start is None for start, s in spans):
        return None  # it depends on the time of day
    spans = [(str(start) if start else "", genai_rates(s.prices)) for start, s in spans]
    spans.sort(key=lambda span: span[0])
    if not spans or not all(rates for _, rates in spans):
        return None
    out = dict(spans[-1][1])
    before = [(spans[i + 1][0], spans[i][1]) for i in range(len(spans) - 1) if spans[i][1] != spans[i + 1][1]]
    before = [{"until": until, **{k: v for k, v in was.items() if k != "web_search"}} for until, was in before]
    if before:
        out["before"] = before
    if model.context_window:
        out["context_tokens"] = model.context_window
    return out


def house(name, hosts, litellm_names, prefixes, genai_id, litellm):
    models = {}
    for key, entry in litellm.items():
        if entry.get("litellm_provider") not in litellm_names or entry.get("mode") not in MODES:
            continue
        prefix = next((p for p in prefixes if p and key.startswith(p)), "")
        if key.startswith("ft:") or (not prefix and "" not in prefixes):
            continue
        got = from_litellm(entry)
        if got:
            models.setdefault(key[len(prefix):], got)
    theirs = next(p for p in providers if p.id == genai_id)
    for model in theirs.models:
        got = from_genai(model)
        if not got or (name == "gemini" and "gemini" not in model.id):
            continue
        known = models.get(model.id)
        if known is None:
            models[model.id] = {**got, "from": "genai-prices"}
            continue
        for key in ("long", "web_search"):  # what only one of them knows to be dearer is kept
            if key in got:
                known.setdefault(key, got[key])
        if "before" in got and got["prices"]["input"] == known["prices"]["input"]:
            known["before"] = got["before"]
    for alias, of in ALIASES.get(name, {}).items():
        if alias not in models and of in models:
            models[of].setdefault("also", []).append(alias)
    return {"name": name, "hosts": hosts, "models": merged(models)}


def merged(models):
    """Dated ids that cost what their model costs stand under it."""
    out = {}
    dated = re.compile(r"^(.*?)-(\d{8}|\d{4}-\d{2}-\d{2})$")
    for name in sorted(models, key=lambda n: (bool(dated.match(n)), n)):
        entry, base = models[name], dated.match(name)
        same = lambda a: {k: v for k, v in a.items() if k in ("prices", "long", "before")}
        if base and base[1] in out and out[base[1]]["prices"] == entry["prices"]:
            entry = {**{k: out[base[1]][k] for k in ("long", "before") if k in out[base[1]]}, **entry}
        if base and base[1] in out and same(out[base[1]]) == same(entry):
            out[base[1]].setdefault("revisions", []).append(name)
            if "retires" in entry:
                out[base[1]].setdefault("retires", entry["retires"])
        else:
            out[name] = entry
    return [{"name": name, **entry} for name, entry in sorted(out.items())]


def main():
    litellm = json.load(open(sys.argv[1]), parse_float=Decimal)
    houses = [house(*row, litellm) for row in HOUSES]
    head = {
        "sources": ["LiteLLM 1.106.2, model_prices_and_context_window_backup.json", "genai-prices 0.2.3"],
        "taken": sys.argv[2], "licence": "MIT", "unit": "USD per million tokens; web_search: USD each",
    }
    print("{" + ", ".join(f'"{k}": {json.dumps(v)}' for k, v in head.items()) + ', "houses": [')
    for at, one in enumerate(houses):
        print(f'{{"name": "{one["name"]}", "hosts": {json.dumps(one["hosts"])}, "models": [')
        print(",\n".join(json.dumps(model) for model in one["models"]))
        print("]}" + ("," if at + 1 < len(houses) else ""))
    print("]}")


main()
