"""Modules of PyPI `agent-security-harness` against the real binary. Ends with 1 if anything fails."""

import contextlib
import json
import pathlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(ROOT / "scripts/verify.d")]

import measuring
from adapter import Ostler
from protocol_tests.approval_binding_harness import ApprovalBindingHarness
from protocol_tests.delegation_chain_harness import DelegationChainTests
from protocol_tests.hitl_harness import HITLSecurityTests
from protocol_tests.http_helpers import is_inconclusive
from protocol_tests.kill_switch_harness import KillSwitchTests


def served(ostler: Ostler, answer) -> tuple[ThreadingHTTPServer, str]:
    """An address at which the harness finds what `answer(path, request)` says: a status and a body."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """One request of the harness."""
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, body = answer(self.path, asked)
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


def envelope(asked: dict, status: int, said: dict | str) -> tuple[int, dict]:
    """What came back, as JSON-RPC says it."""
    if status < 300:
        return status, {"jsonrpc": "2.0", "id": asked.get("id"), "result": said}
    words = said if isinstance(said, str) else json.dumps(said)
    return status, {"jsonrpc": "2.0", "id": asked.get("id"), "error": {"code": -32000, "message": words}}


def approval_binding(ostler: Ostler) -> list:
    """An approval that is given before the call is a standing grant: for one use, of exactly these arguments."""
    given = [0]

    def approve(arguments: dict) -> tuple[int, dict]:
        given[0] += 1
        when = " && ".join(f"args.{name} == {json.dumps(value)}" for name, value in arguments.items())
        grant = {
            "agent": "binding", "capability": "write-file", "until": "1h", "times": 1, "when": when,
            "name": f"harness-{given[0]}", "reason": "the harness approves it",
        }
        return ostler.as_person("/api/grants", grant)

    def target(asked: dict) -> dict:
        arguments = asked.get("args") or {}
        if asked["op"] == "profile":
            return {"_status": 200, "single_use": True}
        if asked["op"] == "executions":
            return {"_status": 200, "executions": ostler.executions()}
        if asked["op"] == "declare":
            denied = asked["deny"]["args"]
            when = " && ".join(f"context.input has {n} && context.input.{n} == {json.dumps(v)}" for n, v in denied.items())
            rule = f'forbid(principal, action == Action::"write-file", resource) when {{ {when} }};'
            policy = "apiVersion: agent.os/v1\nkind: Policy\nmetadata: {name: declared, owner: desk}\n"
            ostler.apply(f"{policy}spec:\n  cedar: |\n    {rule}\n")
            return {"_status": 200, "declared": True}
        if asked["op"] == "approve":
            status, said = approve(arguments)
            return {"_status": status, "approved": status < 300, "said": said}
        ended, said = ostler.call("binding", "write-file", arguments, "binding")
        return {"_status": 200 if ended == "done" else 403, "ended": ended, "said": said}

    return ApprovalBindingHarness(target).run_all()


def kill_switch(ostler: Ostler) -> list:
    """The kill signal is the operator's freeze; everything else comes with the agent's own key."""
    sent = [0]

    def message(asked: dict) -> tuple[int, dict]:
        sent[0] += 1
        words = asked["params"]["message"]["parts"][0]["text"]
        status, said = ostler.as_admin("/api/agents/stopped/messages", {"message": words, "key": f"kill-{sent[0]}"})
        if status >= 300:
            return envelope(asked, status, said)
        _, standing = ostler.as_admin(f"/api/sessions/{said['session']}/wait?mail={said['mail']}&timeout_ms=3000")
        if standing.get("phase") != "finished":
            return envelope(asked, 403, standing)
        return envelope(asked, 200, {"role": "agent", "parts": [{"kind": "text", "text": json.dumps(standing)}]})

    def answer(path: str, asked: dict) -> tuple[int, dict]:
        method = asked["method"]
        if path in ("/shutdown", "/kill"):
            frozen = {"what": {"scope": "agent", "agent": "stopped"}, "reason": "the harness's kill signal"}
            return envelope(asked, *ostler.as_admin("/api/freeze", frozen))
        if method == "message/send":
            return message(asked)
        if method == "tools/call":
            params = asked["params"]
            name = params["name"].replace("_", "-")
            ended, said = ostler.call("stopped", name, params["arguments"], "kill")
            return envelope(asked, 200 if ended == "done" else 403, said)
        # Whoever is not the operator tries to let it go on.
        thaw = {"scope": "agent", "agent": "stopped"} if method == "agent/resume" else {"scope": "all"}
        return envelope(asked, *ostler.told("/api/unfreeze", ostler.keys["stopped"], {"what": thaw}))

    server, url = served(ostler, answer)
    suite = KillSwitchTests(url)
    suite.test_ir_009_kill_switch_latency()
    suite.test_ir_010_post_termination_prevention()
    suite.test_ir_011_kill_switch_bypass()
    # The harness never lets the agent go on; what is to be seen next begins with one that works.
    ostler.as_admin("/api/unfreeze", {"what": {"scope": "agent", "agent": "stopped"}})
    suite.test_ir_012_graceful_degradation()
    server.shutdown()
    return suite.results


def hitl(ostler: Ostler) -> list:
    """A request for approval is a call of the agent's that waits; what is answered is what the inbox shows of it."""
    agent = ["asking"]

    def answer(_: str, asked: dict) -> tuple[int, dict]:
        params = dict(asked["params"])
        if asked["method"] != "approvals/request":
            return envelope(asked, 404, "no model that a person would meet is asked here: what it says is its own")
        name, decision = params.pop("action").replace("_", "-"), params.pop("decision", None)
        arguments = {key: value if key == "amount" else str(value) for key, value in params.items()}
        ended, said = ostler.call(agent[0], name, arguments, f"hitl-{agent[0]}")
        if ended != "waits":
            return envelope(asked, 429 if said.get("state") == "full" else 403, said)
        if decision == "deny":
            ostler.as_person(f"/api/inbox/{said['approval']}/deny", {"reason": "not this one"})
            ended, said = ostler.call(agent[0], name, arguments, f"hitl-{agent[0]}")
            return envelope(asked, 200, {"ended": ended, "said": said})
        place, item = ostler.item(said["approval"])
        _, body = envelope(asked, 200, item)
        return 200, {**body, "queue_position": place}

    server, url = served(ostler, answer)
    # More than the harness's own 25: a bound that people can work with is higher.
    agent[0], suite = "flooding", HITLSecurityTests(url, burst=150)
    suite.test_hitl_001_approval_flood()
    agent[0], suite.burst = "asking", 25
    for name in sorted(name for name in dir(suite) if name.startswith("test_hitl_00") and "001" not in name):
        getattr(suite, name)()
    server.shutdown()
    return suite.results


def delegation_chain(ostler: Ostler) -> list:
    """A pass that a client carries is shown as what it is, a credential of the caller's: the leaf's call goes to `/mcp` with
    it in the place of a key, or with none where there is no pass."""

    def answer(_: str, asked: dict) -> tuple[int, dict]:
        request, chain = asked["request"], asked["delegation_chain"]
        arguments = {"resource": request["resource"], **request["amounts"]}
        shown = chain[-1]["pass_id"] if chain else ""
        ended, said = ostler.call(shown, f"ledger-{request['capability']}", arguments, request["request_id"])
        return said.get("status", 200), {"allowed": ended == "done", "said": said}

    server, url = served(ostler, answer)
    suite = DelegationChainTests(url=url, headers={}, simulate=False)
    with contextlib.redirect_stdout(sys.stderr):
        suite.run_all()
    server.shutdown()
    return suite.results


MODULES = {
    "approval-binding": approval_binding, "kill-switch": kill_switch, "hitl": hitl, "delegation-chain": delegation_chain,
}


def verdict(result) -> str:
    """The harness's own word."""
    if getattr(result, "not_evaluated", False) or is_inconclusive(result.details) or "INCONCLUSIVE" in result.details:
        return "INCONCLUSIVE"
    return "PASS" if result.passed else "FAIL"


def main() -> None:
    """Runs the modules that are named, or all."""
    wanted = sys.argv[1:] or list(MODULES)
    ostler = str(ROOT / "target/debug/ostler")
    failed = 0
    for name in wanted:
        data = measuring.place(f"harness/{name}")
        with measuring.Server(ostler, data) as server:
            with contextlib.redirect_stdout(sys.stderr):
                results = MODULES[name](Ostler(server, data.parent / "executed.jsonl"))
            audit = server.ask("/api/audit/verify")
        for result in results:
            failed += verdict(result) == "FAIL"
            measuring.say(f"{verdict(result):12} {result.test_id:9} {result.name}")
            if verdict(result) != "PASS":
                measuring.say(f"             {result.details}")
        if not audit["ok"]:
            raise SystemExit(f"{name}: the audit does not verify: {audit}")
    measuring.say(f"{failed} failed")
    raise SystemExit(failed > 0)


main()
