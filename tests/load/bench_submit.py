"""`make bench-submit`: durable submissions a second on one core, against FastAPI's empty endpoint in the same run.

Server on core 0, wrk on core 1, in turns A B C A B C …; medians, and the ratio. C is our server with
nothing done: the ceiling. Every acknowledged attempt is then looked for in the journal.
Needs wrk (Debian: `apt-get install wrk`) and two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import msgspec

from services.kit.clock import SystemClock, us_of
from services.kit.security import Secrets, Signer
from services.quiz.journal import Paper

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent


@dataclass
class Figures:
    """What wrk saw in one turn."""

    per_second: float
    errors: int
    p50_ms: float
    p99_ms: float


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


@contextmanager
def server(command: list[str], port: int, path: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A server on core 0, up when `path` answers."""
    process = subprocess.Popen(["taskset", "-c", "0", *command], env=os.environ | (env or {}), stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                httpx.get(f"http://127.0.0.1:{port}{path}")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        else:
            raise RuntimeError(f"{command} does not answer")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wrk(port: int, path: str, bodies: Path, acknowledged: Path, connections: int, seconds: int, repeat: bool) -> Figures:
    """One turn of wrk on core 1."""
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "submit.lua")]
    arguments = [f"http://127.0.0.1:{port}", "--", str(bodies), str(acknowledged), path, "repeat" if repeat else "once"]
    out = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True).stdout
    line = next(line for line in out.splitlines() if line.startswith("FIGURES"))
    requests, micros, errors, p50, p99 = line.split()[1:]
    return Figures(int(requests) / (int(micros) / 1e6), int(errors), float(p50), float(p99))


def write_bodies(path: Path, secrets: Path, turn: int, count: int) -> None:
    """Prepared submissions of `count` different attempts."""
    signer = Signer(Secrets(secrets).get("token.key"), "paper")
    started = us_of(SystemClock().now())
    with path.open("w") as file:
        for i in range(count):
            person = f"{turn:04d}{i:016d}"
            round = "hai-phong-2023.tuan-1"
            paper = Paper(f"{person}:{round}:1", person, round, 1, "001", "HP-307-11425", ("hoc-sinh",), started, "4" * 20)
            token = signer.sign(msgspec.msgpack.encode(paper))
            file.write(json.dumps({"paper_token": token, "answers": "ABCDABCDABCDABCDABCD", "prediction": i}) + "\n")


def in_journal(data: Path) -> set[str]:
    """Every attempt that the journal holds."""
    import sqlite3

    found: set[str] = set()
    for segment in sorted((data / "bus" / "journal").glob("*.db")):
        with sqlite3.connect(segment) as connection:
            found |= {attempt for (attempt,) in connection.execute("SELECT attempt FROM receipt")}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--connections", type=int, default=256)
    options = parser.parse_args()
    if not shutil.which("wrk"):
        print("wrk is missing: apt-get install wrk", file=sys.stderr)
        return 2
    ours, empty, ceiling, acknowledged_all = [], [], [], set()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        bodies, acknowledged, plain = Path(folder) / "bodies", Path(folder) / "acknowledged", Path(folder) / "plain"
        plain.write_text(json.dumps({"paper_token": "x" * 200, "answers": list("ABCDABCDABCDABCDABCD"), "prediction": 7}) + "\n")
        port, other = free_port(), free_port()
        env = {"DATA_DIR": str(data), "PORT": str(port), "HOITHI_STORE": "mongodb://127.0.0.1:1", "HOITHI_HOST": "127.0.0.1"}
        uvicorn = [str(BIN / "uvicorn"), "--app-dir", str(HERE), "empty_app:app", "--port", str(other), "--log-level", "error"]
        for turn in range(options.turns):
            write_bodies(bodies, data / "secrets", turn, 30_000 * options.seconds)
            with server([str(BIN / "hoithi"), "serve", "quiz"], port, "/healthz", env):
                ours.append(wrk(port, "/api/v1/submissions", bodies, acknowledged, options.connections, options.seconds, False))
            acknowledged_all |= set(acknowledged.read_text().split())
            with server(uvicorn, other, "/docs"):
                empty.append(wrk(other, "/submit", plain, acknowledged, options.connections, options.seconds, True))
            with server([sys.executable, str(HERE / "noop.py"), str(other)], other, "/"):
                ceiling.append(wrk(other, "/", plain, acknowledged, options.connections, options.seconds, True))
            for name, side in (("durable", ours), ("empty", empty), ("no-op", ceiling)):
                print(f"turn {turn + 1}: {name} {side[-1]}", flush=True)
        held = in_journal(data)
    durable, nothing, most = (statistics.median(f.per_second for f in side) for side in (ours, empty, ceiling))
    ratios = sorted(a.per_second / b.per_second for a, b in zip(ours, empty, strict=True))
    lost = acknowledged_all - held
    print(f"durable submissions/s {durable:,.0f}, FastAPI's empty endpoint {nothing:,.0f}, c{options.connections}")
    print(f"the same server with nothing done at all {most:,.0f}/s, {most / nothing:.2f} times the empty endpoint")
    print(f"ratio of each turn: median {statistics.median(ratios):.2f}, from {ratios[0]:.2f} to {ratios[-1]:.2f} (goal 3.0)")
    print(f"{len(acknowledged_all):,} acknowledged, {len(held):,} in the journal, {len(lost)} lost")
    return 1 if lost or any(f.errors for f in ours) else 0


if __name__ == "__main__":
    sys.exit(main())
