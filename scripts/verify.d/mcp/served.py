"""A server with the demo's books behind it, and an agent whose tools are tried: what every part of this check needs."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
AGENT = """
apiVersion: agent.os/v1
kind: Agent
metadata: {name: visitor, owner: accounts-payable}
spec:
  model: {provider: anthropic, name: claude-haiku-4-5}
  memory: {type: persistent, retention_days: 7}
  tools:
    - mcp://gateway/sap-invoice-read
    - mcp://gateway/email-draft
    - internal://calculate
  approval: {on_action_value_usd_gt: 500}
"""


def debug_binary() -> str:
    """The build that tests use; OSTLER names another."""
    if named := os.environ.get("OSTLER"):
        return named
    asked = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    found = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True)
    return json.loads(found.stdout)["target_directory"] + "/debug/ostler"


class Served:
    """`ostler up` on a fresh directory."""

    def __init__(self, here: pathlib.Path, ostler: str):
        self.ostler, self.data = ostler, here / "data"
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.copytree(ROOT / "examples/demo/data", self.data)
        command = [ostler, "up", "--scripted-only", "--listen", "127.0.0.1:0", "--data", self.data]
        with (here / "up.log").open("w") as out:
            self.child = subprocess.Popen(command, cwd=self.data, stdout=out, stderr=out)
        end = time.monotonic() + 60
        while not (self.data / "context.json").exists():
            if self.child.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the server did not come up: see {here / 'up.log'}")
            time.sleep(0.05)
        agent = self.data / "visitor.yaml"
        agent.write_text(AGENT)
        self.run("apply", "-f", ROOT / "examples/demo/parts.yaml", "-f", agent)
        self.run("person", "add", "ana", "--group", "accounts-payable")
        said = self.json("onboard", "visitor", "--mcp", "--print")
        self.url, self.key = said["url"], said["key"]

    def run(self, *arguments: object) -> str:
        """What a command that must succeed prints."""
        command = [self.ostler, *map(str, arguments), "--data", str(self.data)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def json(self, *arguments: object) -> object:
        """The same, read."""
        return json.loads(self.run(*arguments, "-o", "json"))

    def drafts(self) -> list:
        """What the mail tool really did, by its own file."""
        file = self.data / "drafts.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        self.child.wait()


def here() -> pathlib.Path:
    """The check's own directory."""
    return pathlib.Path(sys.argv[1])
