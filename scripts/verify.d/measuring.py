"""What the measuring checks need: the binary, a server in a process of its own, and a look at what it takes.

Everything runs on loopback, in a directory of .tests, and is stopped at the end.
"""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
READY_SECONDS = 120
AGENT = """apiVersion: agent.os/v1
kind: Agent
metadata: {{name: {name}, owner: bench}}
spec:
  model: {{provider: scripted, name: small, max_output_tokens: 256}}
  budgets: {{calls_per_hour: 100000000, usd_per_day: 1000000}}
"""
PROVIDER = """apiVersion: agent.os/v1
kind: ModelProvider
metadata: {name: scripted, owner: bench}
spec: {protocol: scripted, script: demo, limits: {concurrent: 1000}, prices: {small: {input: 1, output: 5}}}
"""


def say(*what: object) -> None:
    """One line of the result."""
    print(*what, flush=True)


def binary() -> str:
    """The release build; OSTLER names another binary."""
    if named := os.environ.get("OSTLER"):
        return named
    subprocess.run(["cargo", "build", "--release", "--quiet", "--package", "cli"], cwd=ROOT, check=True)
    found = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=ROOT, check=True, capture_output=True
    )
    return json.loads(found.stdout)["target_directory"] + "/release/ostler"


def place(name: str, fresh: bool = True) -> pathlib.Path:
    """A directory of the check's own; OSTLER_BENCH_DIR chooses the disk."""
    base = pathlib.Path(os.environ.get("OSTLER_BENCH_DIR", ROOT / ".tests"))
    path = base / name / "data"
    if fresh:
        shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True, exist_ok=True)
    return path


def descriptors(path: pathlib.Path, names: list[str]) -> pathlib.Path:
    """Agents that a script answers for."""
    file = path.parent / "agents.yaml"
    file.write_text("---\n".join([PROVIDER, *(AGENT.format(name=name) for name in names)]))
    return file


def heavy(ostler: str, data: pathlib.Path, *arguments: object) -> dict:
    """What one of the hidden commands came to."""
    command = [ostler, "heavy", *map(str, arguments), "--data", str(data)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def load() -> str:
    """The load averages of the machine."""
    return pathlib.Path("/proc/loadavg").read_text().rsplit(maxsplit=2)[0]


def resident(pid: int) -> int:
    """Resident memory, in bytes."""
    found = re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def shared_fairly(pid: int) -> int:
    """Resident memory with each shared page divided by those who share it, in bytes."""
    found = re.search(r"Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text())
    return int(found[1]) * 1024 if found else 0


def worked(pid: int) -> float:
    """CPU time so far, in seconds."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def disk(path: pathlib.Path) -> int:
    """Bytes that the store's files have, once what was written ahead is where it belongs; nobody may have it open."""
    with contextlib.closing(sqlite3.connect(path / "ostler.db")) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return sum(file.stat().st_size for file in path.glob("ostler.db*"))


def percentile(values: list[float], hundredths: float) -> float:
    """A value that was seen; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * hundredths / 100))] if ordered else 0.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """`ostler up`, in a process of its own."""

    def __init__(self, ostler: str, data: pathlib.Path, *more: str):
        self.data, self.port = data, free_port()
        listen = f"127.0.0.1:{self.port}"
        command = [ostler, "up", "--scripted-only", "--listen", listen, "--data", str(data), *more]
        self.began = time.monotonic()
        with (data.parent / "up.log").open("ab") as out:
            self.child = subprocess.Popen(command, stdout=out, stderr=out)
        self.ready_after = self._ready()

    def _ready(self) -> float:
        while time.monotonic() < self.began + READY_SECONDS:
            if self.child.poll() is not None:
                raise SystemExit(f"the server ended: see {self.data.parent / 'up.log'}")
            with contextlib.suppress(OSError):
                if self.get("/readyz", key=None)[0] == 200:
                    return time.monotonic() - self.began
            time.sleep(0.002)
        raise SystemExit(f"the server was not ready within {READY_SECONDS} s")

    @property
    def pid(self) -> int:
        """Its process."""
        return self.child.pid

    def get(self, path: str, key: str | None = "", body: object = None) -> tuple[int, str]:
        """Status and text of an answer; with a body it is posted."""
        headers = {}
        if key is not None:
            headers["authorization"] = f"Bearer {key or self.key()}"
        if body is not None:
            headers["content-type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            text = None if body is None else json.dumps(body)
            connection.request("GET" if body is None else "POST", path, text, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def key(self) -> str:
        """An administrator's key."""
        return (self.data / "admin.key").read_text().strip()

    def ask(self, path: str, body: object = None) -> dict:
        """What must be answered."""
        status, text = self.get(path, body=body)
        if status >= 300:
            raise SystemExit(f"{path}: {status} {text}")
        return json.loads(text)

    def metric(self, name: str) -> float:
        """A metric of `/metrics`, summed over its labels."""
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return sum(map(float, found))

    def answered(self, agent: str, key: str, message: str) -> float:
        """Seconds until a message to a session was answered."""
        began = time.monotonic()
        sent = self.ask(f"/api/agents/{agent}/messages", {"message": message, "key": key})
        standing = self.ask(f"/api/sessions/{sent['session']}/wait?mail={sent['mail']}")
        if standing["phase"] != "finished":
            raise SystemExit(f"it did not answer: {standing}")
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL."""
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def stop(self) -> None:
        """SIGTERM, and until it is gone."""
        if self.child.poll() is None:
            self.child.terminate()
            self.child.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Curve(threading.Thread):
    """Memory and CPU of a process, ten times a second, until it is told to stop."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.pid, self.points, self.over = pid, [], threading.Event()
        self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while not self.over.wait(0.1):
                self.points.append((time.time(), resident(self.pid), worked(self.pid)))

    def stop(self) -> list[tuple[float, int, float]]:
        """Time, resident bytes and CPU seconds."""
        self.over.set()
        self.join()
        return self.points

    def most(self) -> int:
        """The most memory that was seen, in bytes."""
        return max((resident for _, resident, _ in self.points), default=0)


def records(data: pathlib.Path, after: int = 0):
    """Position, session, time in milliseconds and kinds of events of every record after a position; from the part of
    the log that stays readable."""
    store = sqlite3.connect(f"file:{data / 'ostler.db'}?mode=ro", uri=True)
    with contextlib.closing(store):
        query = """SELECT r.id & 281474976710655, hex(r.session), r.at, r.headers FROM record r
                   WHERE r.id >> 48 < 65535 AND r.id & 281474976710655 > ?"""
        for pos, session, at, headers in store.execute(query, (after,)):
            yield pos, session, at, [header["k"] for header in json.loads(headers)]
