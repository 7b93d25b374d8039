"""What the harness asks, asked of a real Ostler: an agent's calls go through `/mcp` with the agent's key, an operator's
through the API with the administrator's, a person's with theirs. No answer is made up here: each says what came back."""

import http.client
import json
import pathlib
import sys

import measuring

HERE = pathlib.Path(__file__).resolve().parent
CAPABILITIES = {
    "write-file": ("write_file", "write", ""),
    "read-file": ("read_file", "read", ""),
    "transfer": ("transfer", "write", "value_usd: args.amount"),
    "note": ("note", "write", "value_usd: args.amount"),
    "wire": ("wire", "irreversible", "value_usd: args.amount"),
    "delete-dataset": ("delete_dataset", "irreversible", ""),
    "ledger-read": ("ledger_read", "read", ""),
    "ledger-write": ("ledger_write", "write", ""),
    "ledger-refund": ("ledger_refund", "irreversible", ""),
}
AGENTS = ("binding", "stopped", "asking", "flooding")
AGENT = """apiVersion: agent.os/v1
kind: Agent
metadata: {{name: {name}, owner: desk}}
spec:
  model: {{provider: scripted, name: small, max_output_tokens: 256}}
  budgets: {{calls_per_hour: 10000, usd_per_day: 1000}}
  tools: [{tools}]
  approval: {{on_effect: [{asks}]}}
"""


def described(executed: pathlib.Path) -> str:
    """The tools, and an agent for each matter."""
    command = json.dumps([str(HERE / "tool.py"), str(executed)])
    server = f"""apiVersion: agent.os/v1
kind: McpServer
metadata: {{name: tools, owner: desk}}
spec: {{stdio: {{command: {json.dumps(sys.executable)}, args: {command}}}}}
"""
    capabilities = [
        f"""apiVersion: agent.os/v1
kind: Capability
metadata: {{name: {name}, owner: desk}}
spec: {{server: tools, tool: {tool}, effect: {effect}, output_trust: trusted, egress: false{', ' if more else ''}{more}}}
"""
        for name, (tool, effect, more) in CAPABILITIES.items()
    ]
    tools = ", ".join(f"mcp://gateway/{name}" for name in CAPABILITIES)
    asks = "write, irreversible"
    agents = [AGENT.format(name=name, tools=tools, asks=asks) for name in AGENTS]
    return "---\n".join([measuring.PROVIDER, server, *capabilities, *agents])


class Ostler:
    """A server with the harness's agents, and everybody's keys."""

    def __init__(self, server: measuring.Server, executed: pathlib.Path):
        self.server, self.executed = server, executed
        self.apply(described(executed))
        self.keys = {
            agent: server.ask("/api/keys", {"holder": "agent", "agent": agent})["key"]
            for agent in AGENTS
        }
        self.person = server.ask("/api/people", {"name": "ana", "groups": ["desk"]})["key"]

    def apply(self, text: str) -> dict:
        """Applies descriptors."""
        return self.server.ask("/api/apply", {"files": [{"path": "harness.yaml", "text": text}]})

    def as_admin(self, path: str, body: object = None) -> tuple[int, dict]:
        """What the operator is told."""
        return self.told(path, self.server.key(), body)

    def as_person(self, path: str, body: object = None) -> tuple[int, dict]:
        """What ana is told."""
        return self.told(path, self.person, body)

    def told(self, path: str, key: str, body: object = None) -> tuple[int, dict]:
        """Status and JSON of an answer."""
        status, text = self.server.get(path, key=key, body=body)
        return status, json.loads(text) if text.strip() else {}

    def call(self, agent: str, capability: str, arguments: dict, session: str) -> tuple[str, dict]:
        """A use of a capability by an agent, or by whoever shows this in the place of a key: `done`, `waits` or `refused`, and
        what it was told."""
        params = {"name": capability, "arguments": arguments}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
        headers = {
            "authorization": f"Bearer {self.keys.get(agent, agent)}", "content-type": "application/json", "prefer": "wait=0",
            "accept": "application/json, text/event-stream", "ostler-session": session,
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        connection.request("POST", "/mcp", body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if "event-stream" in (answer.getheader("content-type") or ""):
            text = [line[5:] for line in text.splitlines() if line.startswith("data:") and line[5:].strip()][-1]
        said = json.loads(text) if text else {}
        result = said.get("result")
        if answer.status != 200 or result is None:
            return "refused", {"status": answer.status, **said}
        stands = (result.get("structuredContent") or {}).get("ostler") or {}
        if stands.get("state") == "waiting":
            return "waits", {**stands, "said": result["content"][0]["text"]}
        ended = "refused" if result.get("isError") else "done"
        return ended, {**stands, "said": result["content"][0]["text"]}

    def executions(self) -> list:
        """Every call that reached a tool, in order: its own file, not our log."""
        if not self.executed.exists():
            return []
        return [json.loads(line) for line in self.executed.read_text().splitlines()]

    def item(self, approval: str) -> tuple[int, dict]:
        """Where a request stands in the inbox, counted from 1, and all that a person sees of it."""
        _, inbox = self.as_person("/api/inbox")
        places = [at for at, item in enumerate(inbox, 1) if item["id"] == approval]
        return (places[0], inbox[places[0] - 1]) if places else (0, {})
