"""The log path in a PostgreSQL server that is started for it and removed after it.

TAKES=S (30) is how long `ostler bench` measures.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from measuring import ROOT, binary, free_port, load, say

TAKES = os.environ.get("TAKES", "30")
PROGRAMS = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)


def as_server(home: pathlib.Path, *command: object) -> list[str]:
    """The command, as a user that PostgreSQL accepts: not root."""
    words = [str(word) for word in command]
    return ["runuser", "-u", "postgres", "--", *words] if os.geteuid() == 0 else words


@contextlib.contextmanager
def cluster():
    """A server with its defaults, fsync and full pages on; the URL of an empty database."""
    base = pathlib.Path(os.environ.get("OSTLER_BENCH_DIR", ROOT / ".tests"))
    base.mkdir(parents=True, exist_ok=True)
    home = pathlib.Path(tempfile.mkdtemp(prefix="postgres-", dir=base))
    # The server's own user has to get in.
    home.chmod(0o755)
    data = home / "data"
    data.mkdir()
    if os.geteuid() == 0:
        shutil.chown(data, "postgres", "postgres")
    port = free_port()
    run = lambda *command: subprocess.run(as_server(home, *command), cwd="/", check=True, stdout=subprocess.DEVNULL)
    settings = f"-p {port} -k {data} -c listen_addresses=127.0.0.1 -c shared_buffers=512MB"
    try:
        run(PROGRAMS / "initdb", "-A", "trust", "-U", "ostler", "-D", data)
        run(PROGRAMS / "pg_ctl", "-D", data, "-l", data / "log", "-w", "-o", settings, "start")
        run(PROGRAMS / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "ostler", "bench")
        yield f"postgres://ostler@127.0.0.1:{port}/bench?sslmode=disable"
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            run(PROGRAMS / "pg_ctl", "-D", data, "-m", "fast", "-w", "stop")
        shutil.rmtree(home)


def main() -> None:
    if PROGRAMS is None:
        raise SystemExit("PostgreSQL is not installed: apt-get install postgresql")
    ostler = binary()
    with cluster() as url:
        say(f"PostgreSQL {PROGRAMS.parent.name} on loopback, shared_buffers 512 MB, otherwise as installed; load before: {load()}")
        with tempfile.TemporaryDirectory(dir=os.environ.get("OSTLER_BENCH_DIR", ROOT / ".tests")) as disk:
            subprocess.run([ostler, "bench", "--store", url, "--seconds", TAKES, "--data", disk], check=True)
    say(f"load after: {load()}")


main()
