"""A hundred thousand messages that are due within the same second, each to a session of its own.

TIMERS=N (100000) measures with fewer.
"""

import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from measuring import Curve, Server, binary, descriptors, heavy, load, percentile, place, records, resident, say

TIMERS = int(os.environ.get("TIMERS", "100000"))
AGENTS = 8
SETTING_SECONDS = 5 + TIMERS / 5000
WITHIN_SECONDS = 900
MB = 1e6


def main() -> None:
    ostler = binary()
    say(f"load before: {load()}")
    data = place("timers")
    agents = descriptors(data, [f"sleeper-{n}" for n in range(AGENTS)])
    due_in = int(1000 * SETTING_SECONDS)
    arguments = ["--descriptors", agents, "--agents", AGENTS, "--timers", TIMERS, "--due-in-ms", due_in]
    due = heavy(ostler, data, "timers", *arguments)["due"] / 1000
    with Server(ostler, data) as server:
        early = due - time.time()
        if early < 1:
            raise SystemExit(f"setting them took too long: {-early:.1f} s beyond the second that they are due in")
        time.sleep(max(0.0, early - 0.5))
        asleep = resident(server.pid)
        curve = Curve(server.pid)
        end = time.monotonic() + WITHIN_SECONDS
        while server.metric("ostler_commits_total") < 2 * TIMERS or server.metric("ostler_sessions_awake") > 0:
            if time.monotonic() > end:
                raise SystemExit(f"not all of them were answered within {WITHIN_SECONDS} s")
            time.sleep(0.5)
        points = curve.stop()
    started: dict[str, list[int]] = {}
    finished: list[int] = []
    for _, session, at, kinds in records(data):
        if "message_received" in kinds:
            started.setdefault(session, []).append(at)
        if "finished" in kinds:
            finished.append(at)
    twice = sum(len(times) > 1 for times in started.values())
    after = sorted(times[0] / 1000 - due for times in started.values())
    say(f"{len(started)} of {TIMERS} started, {twice} of them twice; {len(finished)} answered")
    say(f"after the second began: half had started after {percentile(after, 50):.1f} s, the last after {after[-1]:.1f} s; "
        f"none early: {after[0] >= 0}; the last answer after {max(finished) / 1000 - due:.1f} s")
    cpu = points[-1][2] - points[0][2]
    say(f"RSS {asleep / MB:.0f} MB before, at most {curve.most() / MB:.0f} MB; {1e6 * cpu / TIMERS:.0f} µs of CPU a timer")
    say(f"load after: {load()}")


main()
