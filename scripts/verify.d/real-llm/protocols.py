"""The same engine by OpenAI's two protocols, and tools for it by constrained JSON: what Ostler recorded of each."""

QUESTION = "Name the capital of France."
TASK = "Calculate 21 * 2."


def talks(ostler, check, agent: str) -> None:
    """One question by one protocol: the answer, the tokens, the model that says it answered."""
    running = ostler.start("run", agent, QUESTION, "--session", "verify")
    out, err = running.communicate(timeout=180)
    check(f"{agent}: run exits 0", running.returncode == 0, err.strip() if running.returncode else "")
    check(f"{agent}: the answer is the engine's", "Paris" in out, out.strip()[:80])
    call = steps(ostler, agent, "model")[0]
    usage = call["usage"] or {}
    counted = usage.get("prompt_tokens", usage.get("input_tokens", 0)), usage.get("completion_tokens", usage.get("output_tokens", 0))
    check(f"{agent}: the trace has the engine's counts", min(counted) > 0, counted)
    check(f"{agent}: the trace names the model that answered", "SmolLM2" in (call["served_model"] or ""), call["served_model"])


def reckons(ostler, check) -> None:
    """A tool for a model that has none: it is called, with arguments that keep to the schema, and its result goes back."""
    ostler.start("run", "reckoner", TASK, "--session", "verify").communicate(timeout=180)
    calls = [step for step in steps(ostler, "reckoner") if step.get("name") == "calculate"]
    check("reckoner: the model called the tool", len(calls) > 0, f"{len(calls)} calls")
    if calls:
        wanted = calls[0]["wanted"]
        check("reckoner: its arguments keep to the schema", isinstance(wanted.get("expression"), str), wanted)
        check("reckoner: the call was answered", calls[0]["state"] == "answered", calls[0]["state"])


def steps(ostler, agent: str, kind: str | None = None) -> list[dict]:
    """The steps of the agent's one session."""
    session = ostler.json("ps", "--agent", agent)[0]["session"]
    return [step for step in ostler.json("trace", session)["steps"] if kind in (None, step["step"])]


def walk(ostler, check) -> None:
    """Everything in this file."""
    talks(ostler, check, "talks-chat")
    talks(ostler, check, "talks-responses")
    reckons(ostler, check)
