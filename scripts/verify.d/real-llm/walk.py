"""Walks an agent over a real model and compares what Ostler recorded with what the engine sent.

Usage: walk.py OSTLER MODEL.gguf DIR

Everything runs on loopback and is stopped at the end. Exit 0 only if every line says ok.
"""

import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import clients
import protocols
from tap import Tap

HERE = pathlib.Path(__file__).parent
KEY = "verify"
QUESTIONS = ("Name the capital of France.", "And of Italy?")
READY_SECONDS = 60
RUN_SECONDS = 180
failures: list[str] = []


def check(said: str, held: bool, shown: object = "") -> None:
    """One line of the result."""
    print(f"{'ok    ' if held else 'FAILED'}  {said}  {shown}".rstrip(), flush=True)
    if not held:
        failures.append(said)


def until(said: str, ask, seconds: float = READY_SECONDS):
    """What `ask` returns, once it returns something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := ask():
            return found
        time.sleep(0.05)
    raise SystemExit(f"FAILED  {said}: nothing after {seconds} s")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def process(log: pathlib.Path, *command: str):
    """A process that ends with the block."""
    with log.open("wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()


class Watch(threading.Thread):
    """Follows a session's stream: each delta and when it came."""

    def __init__(self, context: dict, session: str):
        super().__init__(daemon=True)
        url = f"{context['url'].rstrip('/')}/api/sessions/{session}/stream"
        request = urllib.request.Request(url, headers={"authorization": f"Bearer {context['key']}"})
        self.stream = urllib.request.urlopen(request, timeout=RUN_SECONDS)
        self.deltas: list[tuple[float, str]] = []

    def run(self):
        event, data = "", []
        with contextlib.suppress(OSError, ValueError):
            for line in self.stream:
                line = line.decode().rstrip("\r\n")
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:"):
                    data.append(line[5:].removeprefix(" "))
                elif not line:
                    if event == "delta":
                        self.deltas.append((time.monotonic(), "\n".join(data)))
                    event, data = "", []


class Ostler:
    """The binary, on one data directory."""

    def __init__(self, binary: str, data: pathlib.Path):
        self.command = [binary, "--data", str(data), "-o", "json"]

    def start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen([*self.command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def json(self, *arguments: str):
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, timeout=RUN_SECONDS)
        if done.returncode:
            raise SystemExit(f"FAILED  ostler {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)


def session_of(ostler: Ostler) -> str | None:
    """The one session there is."""
    rows = ostler.json("ps", "--agent", "small-talk")
    return rows[0]["session"] if rows else None


def turn(ostler: Ostler, tap: Tap, context: dict, question: str) -> str:
    """One message and its answer, checked on the way."""
    tap.go.clear()
    asked = len(tap.exchanges)
    running = ostler.start("run", "small-talk", question, "--session", KEY)
    until("the model is asked", lambda: len(tap.exchanges) > asked or running.poll() is not None)
    if running.poll() is not None:
        raise SystemExit(f"FAILED  ostler run: exit {running.returncode}: {running.communicate()[1].strip()}")
    session = until("the session is listed", lambda: session_of(ostler))
    watch = Watch(context, session)
    watch.start()
    tap.go.set()
    out, err = running.communicate(timeout=RUN_SECONDS)
    exchange = tap.exchanges[-1]
    text = exchange.text().strip()
    until("the last word reaches whoever watches", lambda: "".join(d for _, d in watch.deltas).strip() == text or None, 5)
    print(f"        asked {question!r}, the engine said {text!r}")
    check("run exits 0", running.returncode == 0, err.strip() if running.returncode else "")
    check("the answer is the engine's text", text != "" and text in json_text(out))
    early = sum(at < exchange.ended for at, _ in watch.deltas)
    check("text is streamed while the engine still speaks", early >= 2, f"{early} of {len(watch.deltas)} deltas")
    return session


def json_text(out: str) -> str:
    """The answer in what `run` prints."""
    with contextlib.suppress(ValueError):
        printed = json.loads(out)
        return str(printed.get("answer", printed)) if isinstance(printed, dict) else str(printed)
    return out


def compare(ostler: Ostler, tap: Tap, session: str) -> None:
    """The trace and the costs against the engine's own counts."""
    trace = ostler.json("trace", session)
    calls = [step for step in trace["steps"] if step["step"] == "model"]
    check("one model call per question", len(calls) == len(tap.exchanges) == len(QUESTIONS))
    for call, exchange in zip(calls, tap.exchanges):
        recorded = {name: count for name, count in (call["usage"] or {}).items() if isinstance(count, int)}
        engine = exchange.usage()
        held = all(recorded.get(name) == count for name, count in engine.items())
        check("token counts in the trace are the engine's", held, f"{engine} and {recorded}")
    served = {call["served_model"] for call in calls}
    check("the trace names the model that answered", served == {tap.exchanges[0].events()[0]["message"]["model"]}, served)
    first, second = (exchange.request for exchange in tap.exchanges)
    held = second["system"] == first["system"] and len(second["messages"]) == 3
    check("the second request carries the conversation", held, f"{len(second['messages'])} messages")
    cached = tap.exchanges[1].usage().get("cache_read_input_tokens", 0)
    check("the engine found its prefix again", cached > 0, f"{cached} tokens from its cache")
    total = ostler.json("cost")["total"]
    counted = sum(sum(exchange.usage().values()) for exchange in tap.exchanges)
    check("what it cost is the engine's tokens and no money", total["tokens"] == counted and total["usd_micros"] == 0, total)


def main() -> int:
    binary, model, here = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    port = free_port()
    data = pathlib.Path(tempfile.mkdtemp(prefix="ostler-real-llm-"))
    engine = process(here / "engine.log", sys.executable, str(HERE / "engine.py"), model, str(port))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, data, ignore_errors=True)
        stack.enter_context(engine)
        until("the engine is ready", lambda: "ready" in (here / "engine.log").read_text(errors="replace"))
        tap = Tap(port)
        stack.callback(tap.close)
        descriptors = data / "agent.yaml"
        descriptors.write_text((HERE / "agent.yaml").read_text().replace("PORT", str(tap.port)).replace("ENGINE", str(port)))
        home = data / "data"
        up = [binary, "--data", str(home), "up", "--listen", "127.0.0.1:0", "-f", str(descriptors)]
        server = stack.enter_context(process(here / "ostler.log", *up))
        context_file = home / "context.json"
        until("ostler up is there", lambda: context_file.exists() or server.poll() is not None)
        if server.poll() is not None:
            raise SystemExit(f"FAILED  ostler up: {(here / 'ostler.log').read_text(errors='replace').strip()}")
        context = json.loads(context_file.read_text())
        until("the server is ready", lambda: ready(context))
        ostler = Ostler(binary, home)
        until("the agent is applied", lambda: "small-talk" in json.dumps(ostler.json("get", "agents")))
        sessions = {turn(ostler, tap, context, question) for question in QUESTIONS}
        check("the same key goes on with the same session", len(sessions) == 1)
        compare(ostler, tap, sessions.pop())
        (here / "stream.sse").write_bytes(tap.exchanges[-1].answer)
        protocols.walk(ostler, check)
        clients.walk(ostler, check, context["url"].rstrip("/"))
    print(f"{'FAILED: ' + ', '.join(failures) if failures else 'all held'}")
    return 1 if failures else 0


def ready(context: dict) -> bool:
    """Whether the server answers."""
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(f"{context['url'].rstrip('/')}/readyz", timeout=5).status == 200
    return False


if __name__ == "__main__":
    sys.exit(main())
