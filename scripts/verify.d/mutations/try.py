"""Tries the mutations of crates/simulation/mutations.txt, or those whose name has one of the words given.

Works in a copy of the tree with a target folder of its own, .tests/mutations, so that a build only builds what a
mutation changes. Ends with 1 if one was not caught, with 2 if one does not apply or does not compile.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path.cwd()
COPY = ROOT / ".tests/mutations/tree"
SEEDS = os.environ.get("OSTLER_SIM_SEEDS", "150")
CHECKS = {
    "seeds": ["-p", "simulation", "--test", "seeds", "--", "--nocapture", "whatever"],
    "lanes": ["-p", "data", "--features", "shuttle", "--test", "lanes", "--", "--nocapture"],
}


def put(path, data):
    """Only what differs is written: cargo builds what is newer."""
    if not path.exists() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def copy_tree():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], check=True, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            put(COPY / name, (ROOT / name).read_bytes())


def mutations():
    for block in (ROOT / "crates/simulation/mutations.txt").read_text().split("\n== ")[1:]:
        lines = block.splitlines()
        one = {"name": lines[0], "edits": []}
        file, before = None, " "
        for line in lines[1:]:
            key, _, value = line.partition(": ")
            if key in ("caught", "with"):
                one[key] = value
            elif key == "file":
                file = value
            elif line[:2] in ("- ", "+ "):
                if line[0] == "-" and before != "-":
                    one["edits"].append((file, [], []))
                one["edits"][-1][1 if line[0] == "-" else 2].append(line[2:])
            before = line[:1]
        yield one


def apply(one):
    for file, old, new in one["edits"]:
        text = (COPY / file).read_text()
        if text.count("\n".join(old)) != 1:
            return False
        (COPY / file).write_text(text.replace("\n".join(old), "\n".join(new)))
    return True


def restore(one):
    for file, _, _ in one["edits"]:
        put(COPY / file, (ROOT / file).read_bytes())


def attempt(one):
    """Answers how it went: a word, and what was said."""
    if not apply(one):
        return "stale", "its text is not there, or more than once"
    env = dict(os.environ, CARGO_TARGET_DIR=str(ROOT / ".tests/mutations/target"), CARGO_PROFILE_DEV_DEBUG="0",
               OSTLER_SIM_SEEDS=SEEDS, RUST_BACKTRACE="0")
    command = ["cargo", "test", "-q", "--locked"] + CHECKS[one["with"]]
    done = subprocess.run(command, cwd=COPY, env=env, capture_output=True, text=True, errors="replace")
    said = done.stdout + done.stderr
    if re.search(r"^error(\[E\d+\])?: ", said, re.M) and "test result" not in said:
        return "broken", re.search(r"^error.*", said, re.M).group()
    if done.returncode == 0:
        return "MISSED", f"{SEEDS} seeds" if one["with"] == "seeds" else "all schedules"
    seed = re.search(r"seed (\d+) went wrong|seed (\d+) panicked", said)
    where = f"seed {seed.group(1) or seed.group(2)}: " if seed else ""
    wrong = re.findall(r"WRONG: (.*)", said) or re.findall(r"panicked at .*:\n(.*)", said)
    fitting = [line for line in wrong if re.search(one["caught"], line)]
    if fitting:
        return "caught", where + fitting[0]
    return "caught by another", where + (wrong[0] if wrong else said[-300:])


def main():
    copy_tree()
    words = sys.argv[1:]
    chosen = [one for one in mutations() if not words or any(word in one["name"] for word in words)]
    count = {}
    for one in chosen:
        begun = time.monotonic()
        result, said = attempt(one)
        restore(one)
        count[result] = count.get(result, 0) + 1
        print(f"{result:17} {time.monotonic() - begun:4.0f} s  {one['name']}\n{'':26}{said[:180]}", flush=True)
    print(f"{len(chosen)} mutations: " + ", ".join(f"{many} {what}" for what, many in sorted(count.items())))
    if count.keys() & {"stale", "broken"}:
        sys.exit(2)
    sys.exit(1 if "MISSED" in count else 0)


main()
