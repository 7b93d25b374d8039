"""Every agent of tests/clients, as it is, through a real `ostler` to a scripted model API: its task through providers of
three protocols, then with nothing to spend. What it asked is counted on its way to Ostler, not by Ostler."""

import contextlib
import http.client
import http.server
import importlib.metadata
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
AGENTS = ROOT / "tests" / "clients"
sys.path.insert(0, str(AGENTS))
sys.path.insert(0, str(ROOT / "scripts" / "verify.d"))

from measuring import free_port, say  # noqa: E402
from upstream import ANSWER, serve  # noqa: E402

UPSTREAM_KEY = "the-upstream-key"
PROVIDERS = {"anthropic": "", "openai-chat": "/v1", "openai-responses": "/v1"}
# Package, program, and which vendors' variables it reads.
CLIENTS = [
    ("anthropic", "anthropic_agent.py", ("anthropic",)),
    ("openai", "openai_chat_agent.py", ("openai",)),
    ("openai", "openai_responses_agent.py", ("openai",)),
    ("openai-agents", "openai_agents_agent.py", ("openai",)),
    ("langchain", "langchain_agent.py", ("anthropic", "openai")),
    ("pydantic-ai-slim", "pydantic_ai_agent.py", ("anthropic", "openai")),
    ("claude-agent-sdk", "claude_agent.py", ("claude-code",)),
    ("@anthropic-ai/sdk", "anthropic_agent.mjs", ("anthropic",)),
    ("openai (npm)", "openai_agent.mjs", ("openai",)),
]
PROVIDER = """---
apiVersion: agent.os/v1
kind: ModelProvider
metadata: {{name: {protocol}, owner: it}}
spec:
  protocol: {protocol}
  base_url: http://127.0.0.1:{port}{path}
  key: {{secret: UPSTREAM_KEY}}
  prices: {{a-model: {{input: 3, output: 15, cache_read: 0.3}}}}
"""
AGENT = """---
apiVersion: agent.os/v1
kind: Agent
metadata: {{name: {name}, owner: finance}}
spec:
  model: {{provider: {provider}, name: a-model, max_output_tokens: 1000}}
  budgets: {{usd_per_day: {usd}}}
"""


class Counter(http.server.BaseHTTPRequestHandler):
    """Hands requests on to Ostler, and counts those for an answer."""

    protocol_version = "HTTP/1.1"
    to: int
    count = 0
    statuses: list[tuple[int, str | None]] = []

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        connection = http.client.HTTPConnection("127.0.0.1", Counter.to, timeout=120)
        with contextlib.closing(connection):
            headers = {key: value for key, value in self.headers.items() if key.lower() != "accept-encoding"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            said = answer.read()
        if self.command == "POST" and "count_tokens" not in self.path:
            Counter.count += 1
            Counter.statuses.append((answer.status, answer.headers.get("x-should-retry")))
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in ("transfer-encoding", "content-length", "connection", "date"):
                self.send_header(key, value)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said)

    do_GET = do_HEAD = do_POST = answer

    def log_message(self, *_) -> None:
        """Nothing is said."""


def counted(port: int) -> http.server.ThreadingHTTPServer:
    """A way to Ostler that counts."""
    Counter.to = port
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Counter)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Ostler:
    """`ostler up` in a process of its own, and commands against it."""

    def __init__(self, ostler: str, data: pathlib.Path):
        self.ostler, self.data, self.port = ostler, data, free_port()
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True)
        self.log = (data.parent / "up.log").open("wb")
        command = [ostler, "up", "--listen", f"127.0.0.1:{self.port}", "--data", str(data)]
        environment = {**os.environ, "UPSTREAM_KEY": UPSTREAM_KEY}
        self.child = subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 60
        while self.run("get").returncode:
            if self.child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server did not start: see {self.log.name}")
            time.sleep(0.05)

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([self.ostler, *arguments, "--data", str(self.data)], capture_output=True, text=True)

    def json(self, *arguments: str):
        done = self.run(*arguments, "-o", "json")
        if done.returncode:
            raise SystemExit(f"ostler {' '.join(arguments)}: {done.stderr}")
        return json.loads(done.stdout)

    def stop(self) -> None:
        self.child.send_signal(signal.SIGTERM)
        self.child.wait()
        self.log.close()


def version(package: str) -> str:
    """Of what is installed."""
    npm = {"@anthropic-ai/sdk": "@anthropic-ai/sdk", "openai (npm)": "openai"}.get(package)
    if npm:
        return json.loads((AGENTS_NPM / npm / "package.json").read_text())["version"]
    return importlib.metadata.version(package)


def environment(ostler: Ostler, agent: str, vendors: tuple[str, ...], port: int) -> dict[str, str]:
    """What `onboard` says to set, with the counting way to Ostler."""
    said: dict[str, str] = {}
    for vendor in vendors:
        more = [] if "key" not in said else ["--agent-key", said["key"]]
        printed = ostler.json("onboard", agent, f"--{vendor}", "--print", *more)
        said |= {"key": printed["key"], **printed["environment"]}
    said.pop("key")
    return {name: value.replace(f":{ostler.port}", f":{port}") for name, value in said.items()}


def tried(here: pathlib.Path, program: str, more: dict[str, str]) -> dict:
    """Runs an agent as it is."""
    home = here / "home"
    home.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    own = {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", "OPENAI_AGENTS_DISABLE_TRACING": "1"}
    claude = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "IS_SANDBOX": "1"}
    script = AGENTS / program
    runs = sys.executable
    if program.endswith(".mjs"):
        runs, place = "node", here / "npm" / program
        place.write_text(script.read_text())
        script = place
    done = subprocess.run(
        [runs, str(script)], env={**kept, **own, **claude, **more}, cwd=home, capture_output=True, text=True, timeout=300
    )
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        return {"answer": None, "error": (done.stderr or "it said nothing").strip().splitlines()[-1], "lookups": []}


def spent(ostler: Ostler, agent: str) -> int:
    """What an agent cost, in micro-dollars."""
    return sum(line["usd_micros"] for line in ostler.json("cost", "--by", "agent")["lines"] if line["name"] == agent)


def walk(ostler: Ostler, here: pathlib.Path, port: int, log: pathlib.Path) -> bool:
    """The table; whether all went well."""
    good = True
    head = f"{'client':18} {'version':9} {'agent':25} {'model at':17} {'lookups':>7} {'calls':>5} {'USD':>9}  {'refused':>7}  outcome"
    say(head)
    for number, (package, program, vendors) in enumerate(CLIENTS):
        for protocol in PROVIDERS:
            rich, poor = f"a{number}-{protocol}", f"p{number}-{protocol}"
            log.write_text("")
            Counter.count = 0
            told = tried(here, program, environment(ostler, rich, vendors, port))
            calls, upstream = Counter.count, len(log.read_text().splitlines())
            fine = told["answer"] == ANSWER and told["error"] is None and upstream == calls and told["lookups"]
            log.write_text("")
            Counter.count = 0
            Counter.statuses.clear()
            refused = tried(here, program, environment(ostler, poor, vendors, port))
            asked, leaked = Counter.count, len(log.read_text().splitlines())
            permanent = all(status in (402, 403) and retry == "false" for status, retry in Counter.statuses)
            fine = fine and refused["error"] is not None and asked <= 2 and not leaked and permanent
            outcome = "ok" if fine else f"NOT OK: {told['error'] or told['answer']}; {refused['error']}; {Counter.statuses}"
            good = good and bool(fine)
            cost = spent(ostler, rich) / 1e6
            say(
                f"{package:18} {version(package):9} {program:25} {protocol:17} {len(told['lookups']):7} {calls:5} {cost:9.6f}"
                f"  {asked:7}  {outcome}"
            )
    say("\nrefused: how often it asked when its budget was spent; the answer is permanent, so once is what is due.")
    return good


def main(binary: str, here: pathlib.Path) -> None:
    global AGENTS_NPM
    AGENTS_NPM = here / "npm" / "node_modules"
    log = here / "upstream.jsonl"
    log.write_text("")
    upstream = serve(log)
    ostler = Ostler(binary, here / "data")
    try:
        text = "".join(PROVIDER.format(protocol=name, port=upstream.server_port, path=path) for name, path in PROVIDERS.items())
        for number in range(len(CLIENTS)):
            for protocol in PROVIDERS:
                text += AGENT.format(name=f"a{number}-{protocol}", provider=protocol, usd=20)
                text += AGENT.format(name=f"p{number}-{protocol}", provider=protocol, usd=0.001)
        file = here / "clients.yaml"
        file.write_text(text)
        done = ostler.run("apply", "-f", str(file))
        if done.returncode:
            raise SystemExit(done.stderr)
        good = walk(ostler, here, counted(ostler.port).server_port, log)
    finally:
        ostler.stop()
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]).resolve())
