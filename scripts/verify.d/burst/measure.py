"""Thirty thousand one-way messages to as many sleeping sessions, as fast as the server takes them.

MESSAGES=N (30000) measures with fewer. PICTURE=FILE writes the curve as SVG.
"""

import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from measuring import Curve, Server, binary, descriptors, heavy, load, percentile, place, records, resident, say
from picture import draw

MESSAGES = int(os.environ.get("MESSAGES", "30000"))
AGENTS = 8
CONNECTIONS = int(os.environ.get("CONNECTIONS", "64"))
WITHIN_SECONDS = 900
MB = 1e6


def settle(server: Server, commits: float) -> None:
    """Until everything that was sent was answered, and everybody sleeps."""
    end = time.monotonic() + WITHIN_SECONDS
    while time.monotonic() < end:
        if server.metric("ostler_commits_total") >= commits and server.metric("ostler_sessions_awake") == 0:
            return
        time.sleep(0.25)
    raise SystemExit(f"not everything was answered within {WITHIN_SECONDS} s")


def answers(data: pathlib.Path, after: int) -> tuple[dict[str, int], int]:
    """When each session finished after a position, in milliseconds, and how many did so more than once."""
    finished: dict[str, int] = {}
    twice = 0
    for _, session, at, kinds in records(data, after):
        if "finished" in kinds:
            twice += session in finished
            finished[session] = at
    return finished, twice


def main() -> None:
    ostler = binary()
    say(f"load before: {load()}")
    data = place("burst")
    agents = descriptors(data, [f"sleeper-{n}" for n in range(AGENTS)])
    heavy(ostler, data, "load", "--descriptors", agents, "--sessions", MESSAGES, "--agents", AGENTS)
    last = max(pos for pos, *_ in records(data))
    with Server(ostler, data) as server:
        time.sleep(2)
        asleep, commits = resident(server.pid), server.metric("ostler_commits_total")
        curve = Curve(server.pid)
        began = time.time()
        posted = heavy(ostler, data, "post", "--messages", MESSAGES, "--agents", AGENTS, "--connections", CONNECTIONS)
        settle(server, commits + 2 * MESSAGES)
        time.sleep(2)
        points = curve.stop()
    finished, twice = answers(data, last)
    times = sorted(at / 1000 - began for at in finished.values())
    say(f"{len(finished)} of {MESSAGES} answered, {twice} twice; {posted['full']} were told to come back")
    say(f"accepted in {posted['seconds']:.1f} s, the last answer after {times[-1]:.1f} s: "
        f"{len(times) / times[-1]:.0f} woken and asleep again per second")
    accepted = sorted(accepted for _, accepted in posted["sent"])
    waits = [(done - took) / 1000 for done, took in zip(sorted(finished.values()), accepted)]
    say(f"behind acceptance, in order: p50 {percentile(waits, 50):.2f} s, p99 {percentile(waits, 99):.2f} s, "
        f"longest {max(waits):.2f} s")
    cpu = points[-1][2] - points[0][2]
    say(f"RSS {asleep / MB:.0f} MB asleep, at most {curve.most() / MB:.0f} MB, {points[-1][1] / MB:.0f} MB afterwards; "
        f"{1e6 * cpu / MESSAGES:.0f} µs of CPU a message")
    if picture := os.environ.get("PICTURE"):
        memory = [(at - began, rss / MB) for at, rss, _ in points]
        acceptance = [at / 1000 - began for at in accepted]
        pathlib.Path(picture).write_text(draw(memory, acceptance, times, waits))
        say(f"drawn: {picture}")
    say(f"load after: {load()}")


main()
