"""What `tools/call` takes through /mcp, with identity, policy, budget and the log on, beside the direct call to the same
upstream in the same run, turn by turn. The upstream says back what it is told; client and servers share the machine.

CALLS=N (5000) measures with fewer; OSTLER_BENCH_DIR chooses the disk."""

import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from measuring import Server, binary, heavy, load, percentile, place, resident, say

CALLS = int(os.environ.get("CALLS", "5000"))
ROUNDS = 3
WITH = """apiVersion: agent.os/v1
kind: McpServer
metadata: {{name: upstream, owner: bench}}
spec: {{http: {{url: "{url}"}}}}
---
apiVersion: agent.os/v1
kind: Capability
metadata: {{name: echo, owner: bench}}
spec: {{server: upstream, tool: echo, effect: {effect}, cost_usd: 0.000001}}
---
apiVersion: agent.os/v1
kind: ModelProvider
metadata: {{name: scripted, owner: bench}}
spec: {{protocol: scripted, script: demo, prices: {{small: {{input: 1, output: 5}}}}}}
---
apiVersion: agent.os/v1
kind: Agent
metadata: {{name: visitor, owner: bench}}
spec:
  model: {{provider: scripted, name: small, max_output_tokens: 256}}
  tools: ["mcp://gateway/echo"]
  concurrency: {{active: 1000}}
  budgets: {{calls_per_hour: 100000000, usd_per_day: 1000000}}
"""


def flush_ms(path: pathlib.Path) -> float:
    """What one flush of 4 KiB takes on this disk, in the middle."""
    took = []
    with (path / "flush").open("wb") as out:
        for _ in range(200):
            out.write(bytes(4096))
            out.flush()
            began = time.perf_counter()
            os.fdatasync(out.fileno())
            took.append(1000 * (time.perf_counter() - began))
    return percentile(took, 50)


def calls(ostler: str, data: pathlib.Path, endpoint: str, key: str | None, connections: int) -> dict:
    """What so many calls at a time came to."""
    more = ["--agent-key", key] if key else []
    return heavy(ostler, data, "calls", "--endpoint", endpoint, "--calls", CALLS, "--connections", connections, *more)


def main() -> None:
    """Rounds of direct and through, and what is between them."""
    ostler = binary()
    data = place("mcp-measure")
    say(f"load before: {load()}; one flush of 4 KiB: p50 {flush_ms(data.parent):.2f} ms")
    echo = subprocess.Popen([ostler, "heavy", "echo"], stdout=subprocess.PIPE, text=True)
    try:
        direct = echo.stdout.readline().strip()
        with Server(ostler, data) as server:
            text = WITH.format(url=direct, effect=os.environ.get("EFFECT", "write"))
            server.ask("/api/apply", {"files": [{"path": "with.yaml", "text": text}]})
            key = server.ask("/api/keys", {"holder": "agent", "agent": "visitor"})["key"]
            through = f"http://127.0.0.1:{server.port}/mcp"
            for connections in (1, 32):
                for turn in range(ROUNDS):
                    flush = flush_ms(data.parent)
                    one, other = calls(ostler, data, direct, None, connections), calls(ostler, data, through, key, connections)
                    more = (other["p50_us"] - one["p50_us"]) / 1000
                    say(f"{connections:>3} at once, round {turn + 1}: direct p50 {one['p50_us'] / 1000:.2f} ms, "
                        f"{one['calls_s']:.0f}/s; through /mcp p50 {other['p50_us'] / 1000:.2f} ms, p99 "
                        f"{other['p99_us'] / 1000:.2f} ms, {other['calls_s']:.0f}/s; {more:.2f} ms more, of it two "
                        f"flushes {2 * flush:.2f} ms; RSS {resident(server.pid) / 1e6:.0f} MB")
    finally:
        echo.kill()
        echo.wait()
    say(f"load after: {load()}")


main()
