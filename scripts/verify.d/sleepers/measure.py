"""A million sessions that sleep, and what they cost.

SESSIONS=N (1000000) measures with fewer. The store is written once and kept: .tests/sleepers. RELOAD=1 writes it again.
IDLE=S (60) is how long idleness is watched.
"""

import contextlib
import json
import os
import pathlib
import random
import shutil
import sqlite3
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from measuring import Server, binary, descriptors, disk, heavy, load, place, resident, say, worked

SESSIONS = int(os.environ.get("SESSIONS", "1000000"))
LONG_EVERY = max(100, SESSIONS // 2000)
IDLE_SECONDS = float(os.environ.get("IDLE", "60"))
SAMPLE = 20_000
MB = 1e6


def write(ostler: str) -> tuple[pathlib.Path, dict]:
    """The store, written if it is not there yet, and what was written."""
    kept = place("sleepers", fresh=False)
    note = kept.parent / "written.json"
    wanted = {"sessions": SESSIONS, "long_every": LONG_EVERY}
    if note.exists() and not os.environ.get("RELOAD"):
        written = json.loads(note.read_text())
        if written["wanted"] == wanted:
            return kept, written
    note.unlink(missing_ok=True)
    kept = place("sleepers")
    free = shutil.disk_usage(kept).free
    if free < SESSIONS * 12_000:
        raise SystemExit(f"{free / 1e9:.0f} GB are free; {SESSIONS * 12_000 / 1e9:.0f} GB are needed")
    agents = descriptors(kept, ["sleeper-0"])
    arguments = ["--descriptors", agents, "--sessions", SESSIONS, "--long-every", LONG_EVERY]
    written = heavy(ostler, kept, "load", *arguments)
    written |= {"wanted": wanted, "disk": disk(kept), "records": SESSIONS * 5 + (SESSIONS // LONG_EVERY) * 45}
    note.write_text(json.dumps(written))
    return kept, written


def disk_per(written: dict, what: str) -> None:
    """What the store takes, beside what was said in it."""
    sessions, records = written["sessions"], written["records"]
    allowed = written["said"] + 300 * records + 1000 * sessions
    say(f"disk, {what}: {written['disk'] / MB:.0f} MB for {sessions} sessions, {records} records, "
        f"{written['said'] / MB:.0f} MB said: {written['disk'] / sessions:.0f} B a session, "
        f"{(written['disk'] - written['said']) / records:.0f} B a record more than was said; "
        f"{written['disk'] / allowed:.2f} of what is allowed (said + 300 B a record + 1 KB a session)")


def tables(data: pathlib.Path) -> None:
    """Where the bytes are, table by table, where this SQLite can tell."""
    with contextlib.closing(sqlite3.connect(data / "ostler.db")) as store:
        query = """SELECT name, sum(pgsize), sum(unused) FROM dbstat WHERE aggregate = 0
                   GROUP BY name ORDER BY 2 DESC LIMIT 6"""
        sessions = store.execute("SELECT count(*) FROM head").fetchone()[0]
        with contextlib.suppress(sqlite3.OperationalError):
            for name, size, unused in store.execute(query):
                say(f"    {name}: {size / sessions:.0f} B a session, {unused / size:.0%} of it empty")
        record = "SELECT avg(length(body)), avg(length(headers)) FROM record WHERE key > 0"
        body, headers = store.execute(record).fetchone()
        say(f"    a record: body {body:.0f} B, readable headers {headers:.0f} B")


def incompressible(ostler: str) -> None:
    """The same with text that cannot be compressed, from a smaller sample."""
    data, sessions = place("sleepers-random"), min(SESSIONS, SAMPLE)
    agents = descriptors(data, ["sleeper-0"])
    written = heavy(ostler, data, "load", "--descriptors", agents, "--sessions", sessions, "--incompressible")
    disk_per(written | {"disk": disk(data), "records": sessions * 5}, "text that cannot be compressed")
    tables(data)
    shutil.rmtree(data.parent)


def idle(server: Server) -> None:
    """Memory and CPU while nothing happens."""
    time.sleep(5)
    before, began = worked(server.pid), time.monotonic()
    time.sleep(IDLE_SECONDS)
    spent = (worked(server.pid) - before) / (time.monotonic() - began)
    say(f"idle over {IDLE_SECONDS:.0f} s: RSS {resident(server.pid) / MB:.0f} MB, CPU {100 * spent:.2f} % of a core")


def main() -> None:
    ostler = binary()
    say(f"load before: {load()}")
    data, written = write(ostler)
    rate = written["records"] / written["seconds"]
    say(f"written in {written['seconds']:.0f} s ({rate:.0f} records/s); views followed in {written['views_seconds']:.0f} s")
    disk_per(written, "varied text")
    incompressible(ostler)
    with Server(ostler, data) as server:
        say(f"ready after {1000 * server.ready_after:.0f} ms")
        idle(server)
    arguments = ["--sessions", SESSIONS, "--long-every", LONG_EVERY]
    heavy(ostler, data, "rehydrate", *arguments, "--times", 200)
    came = heavy(ostler, data, "rehydrate", *arguments, "--times", 2000)
    say(f"rehydrate a random session of 50 records: p50 {came['p50_ms']:.2f} ms, p99 {came['p99_ms']:.2f} ms")
    for _ in range(3):
        with Server(ostler, data) as server:
            server.answered("sleeper-0", f"s-{random.randrange(SESSIONS)}", "Once, before the kill.")
            server.kill()
        again = Server(ostler, data)
        first = again.answered("sleeper-0", f"s-{random.randrange(SESSIONS)}", "And after it.")
        second = again.answered("sleeper-0", f"s-{random.randrange(SESSIONS)}", "And once more.")
        say(f"after SIGKILL: ready after {1000 * again.ready_after:.0f} ms; first answer after {1000 * first:.0f} ms more, "
            f"the next after {1000 * second:.0f} ms; RSS {resident(again.pid) / MB:.0f} MB")
        again.stop()
    say(f"load after: {load()}")


main()
