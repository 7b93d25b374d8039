"""The engine by PyPI `openai` through /v1: what the SDK was answered, beside what Ostler recorded of it."""

import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
AGENTS = ("talks-chat", "reckoner")


def walk(ostler, check, url: str) -> None:
    """One client of each agent does all that it can."""
    keys = [made(ostler, agent) for agent in AGENTS]
    before = {agent: len(calls(ostler, agent)) for agent in AGENTS}
    done = subprocess.run([sys.executable, str(HERE / "client.py"), url, *keys], capture_output=True, text=True, timeout=600)
    check("openai: the SDK ends well", done.returncode == 0, done.stderr.strip()[-300:])
    if done.returncode:
        return
    said = json.loads(done.stdout)
    print(f"        the SDK was answered {said}")
    check("openai: it lists the agent's model", "smollm2-135m-instruct" in said["models"], said["models"])
    for way in ("whole", "streamed", "response"):
        check(f"openai: {way}: the answer is the engine's", "Paris" in (said[way] or ""), said[way])
        check(f"openai: {way}: tokens are counted", min(said[f"{way}_tokens"]) > 0, said[f"{way}_tokens"])
    check("openai: text is streamed in pieces", said["pieces"] >= 2, f"{said['pieces']} pieces")
    wanted = [json.loads(arguments) for arguments in said["uses"]]
    fits = all(isinstance(arguments.get("expression"), str) for arguments in wanted)
    check("openai: what the model wants used keeps to the client's schema", fits and (wanted or said["says"]), said["uses"])
    after = {agent: calls(ostler, agent) for agent in AGENTS}
    new = [call for agent in AGENTS for call in after[agent][before[agent]:]]
    check("openai: each request is one call in the record", len(new) == 4, f"{len(new)} calls")
    recorded = sorted(tuple(counts(call)) for call in new if call["state"] == "answered")
    told = [tuple(said[f"{way}_tokens"]) for way in ("whole", "streamed", "response")]
    check("openai: the record has the counts that the client was told", all(one in recorded for one in told), f"{told} {recorded}")


def made(ostler, agent: str) -> str:
    """A key of an agent's."""
    key = ostler.json("key", "add", "agent", agent)
    return key["key"] if isinstance(key, dict) else str(key)


def calls(ostler, agent: str) -> list[dict]:
    """The model calls of all sessions of an agent, those of the session that began first foremost."""
    sessions = sorted(row["session"] for row in ostler.json("ps", "--agent", agent))
    steps = [step for session in sessions for step in ostler.json("trace", session)["steps"]]
    return sorted((step for step in steps if step["step"] == "model"), key=lambda step: step["at"])


def counts(call: dict) -> list[int]:
    """Input and output, in the engine's own words."""
    usage = call["usage"] or {}
    return [
        usage.get("prompt_tokens", usage.get("input_tokens", 0)),
        usage.get("completion_tokens", usage.get("output_tokens", 0)),
    ]
