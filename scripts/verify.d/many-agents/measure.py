"""Twenty active and a thousand idle agents, as one Ostler and as one process per agent.

Usage: measure.py PYTHON, with LangGraph installed there. IDLE=N (1000), ACTIVE=N (20), SESSIONS=N (1000),
PROCESSES=10,50,100.
"""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from measuring import Server, binary, descriptors, load, place, resident, say, shared_fairly, worked

HERE = pathlib.Path(__file__).parent
ACTIVE = int(os.environ.get("ACTIVE", "20"))
IDLE = int(os.environ.get("IDLE", "1000"))
SESSIONS = int(os.environ.get("SESSIONS", "1000"))
PROCESSES = [int(count) for count in os.environ.get("PROCESSES", "10,50,100").split(",")]
IDLE_SECONDS = 10
MESSAGE = "What is overdue at Harborline Freight? " * 12
MB = 1e6


def table(rows: list[list[object]]) -> None:
    """Markdown."""
    for at, row in enumerate(rows):
        say("| " + " | ".join(map(str, row)) + " |")
        if at == 0:
            say("|" + "---|" * len(row))


def at_once(one, agents: int) -> None:
    """`SESSIONS` sessions over so many agents, each agent one after the other."""
    with concurrent.futures.ThreadPoolExecutor(agents) as pool:
        shares = [range(agent, SESSIONS, agents) for agent in range(agents)]
        list(pool.map(lambda agent: [one(agent, n) for n in shares[agent]], range(agents)))


def ostler() -> list[object]:
    """One Ostler with all of them."""
    data = place("many-agents")
    agents = descriptors(data, [f"agent-{n}" for n in range(ACTIVE + IDLE)])
    with Server(binary(), data) as server:
        files = [{"path": agents.name, "text": agents.read_text()}]
        server.ask("/api/apply", {"files": files})
        server.answered("agent-0", "warm", "Once.")
        time.sleep(2)
        before = worked(server.pid)
        time.sleep(IDLE_SECONDS)
        idle = (worked(server.pid) - before) / IDLE_SECONDS
        asleep, before, began = resident(server.pid), worked(server.pid), time.monotonic()
        at_once(lambda agent, n: server.answered(f"agent-{agent}", f"s-{n}", MESSAGE), ACTIVE)
        took = time.monotonic() - began
        time.sleep(1)
        spent = 1000 * (worked(server.pid) - before) / SESSIONS
        memory, fair = resident(server.pid), shared_fairly(server.pid)
    shutil.rmtree(data.parent)
    return [f"{ACTIVE + IDLE} agents, one Ostler", f"{memory / MB:.0f} ({asleep / MB:.0f} before)", f"{fair / MB:.0f}",
            f"{100 * idle:.2f}", f"{spent:.2f}", f"{SESSIONS / took:.0f}"]


class Worker:
    """One agent's process."""

    def __init__(self, python: str, file: pathlib.Path):
        command = [python, str(HERE / "worker.py"), str(file)]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def heard(self) -> str:
        """Its next line."""
        line = self.child.stdout.readline()
        if not line:
            raise SystemExit("a worker ended")
        return line

    def ask(self, session: str) -> None:
        """A message, until it is answered."""
        self.child.stdin.write(f"{session} {MESSAGE}\n")
        self.child.stdin.flush()
        self.heard()


def processes(python: str, count: int) -> tuple[list[object], float, float, float]:
    """So many workers: the row, and memory (resident, shared fairly) and idle CPU."""
    data = place("many-agents")
    workers = [Worker(python, data / f"{n}.sqlite") for n in range(count)]
    try:
        for worker in workers:
            worker.heard()
        active = min(ACTIVE, count)
        for worker in workers:
            worker.ask("warm")
        spent_by_all = lambda: sum(worked(worker.child.pid) for worker in workers)
        before = spent_by_all()
        time.sleep(IDLE_SECONDS)
        idle = (spent_by_all() - before) / IDLE_SECONDS
        before, began = spent_by_all(), time.monotonic()
        at_once(lambda agent, n: workers[agent].ask(f"s-{n}"), active)
        took = time.monotonic() - began
        spent = 1000 * (spent_by_all() - before) / SESSIONS
        memory = sum(resident(worker.child.pid) for worker in workers)
        fair = sum(shared_fairly(worker.child.pid) for worker in workers)
    finally:
        for worker in workers:
            worker.child.stdin.close()
        for worker in workers:
            worker.child.wait()
        shutil.rmtree(data.parent / "data", ignore_errors=True)
    row = [f"{count} agents, a process each", f"{memory / MB:.0f}", f"{fair / MB:.0f}", f"{100 * idle:.2f}",
           f"{spent:.2f}", f"{SESSIONS / took:.0f}"]
    return row, memory, fair, idle


def line(counts: list[int], values: list[float], at: int) -> float:
    """The straight line of least squares, at another place."""
    mean_count, mean = sum(counts) / len(counts), sum(values) / len(values)
    spread = sum((count - mean_count) ** 2 for count in counts)
    if not spread:
        return mean * at / mean_count
    slope = sum((count - mean_count) * (value - mean) for count, value in zip(counts, values)) / spread
    return mean + slope * (at - mean_count)


def main() -> None:
    python = sys.argv[1]
    say(f"load before: {load()}")
    ours = ostler()
    measured = [processes(python, count) for count in PROCESSES]
    all_of_them = ACTIVE + IDLE
    resident_there, fair_there, idle_there = (
        line(PROCESSES, [run[which] for run in measured], all_of_them) for which in (1, 2, 3))
    rows = [["", "RSS, MB", "PSS, MB", "idle CPU, % of a core", "CPU seconds per 1,000 sessions", "sessions/s"], ours]
    rows += [run[0] for run in measured]
    rows.append([f"{all_of_them} agents, a process each: *extrapolated*", f"{resident_there / MB:.0f}",
                 f"{fair_there / MB:.0f}", f"{100 * idle_there:.2f}", f"{measured[-1][0][4]} (as measured)", "–"])
    table(rows)
    say("comparable only: both keep every session durably and no model is asked; Ostler also decides, budgets, seals, "
        "chains and audits each call, and its clients speak HTTP, where a worker reads a line of a pipe")
    say(f"load after: {load()}")


main()
