"""Where an installation keeps things, and who may use them: everything lies under DATA_DIR."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from deploy.local.refusal import Refusal
from services.kit.settings import Settings

KEPT = ("bus", "store", "secrets", "run", "logs")
"""The folders under DATA_DIR."""


@contextlib.contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """Holds DATA_DIR for one supervisor. Raises Refusal when another one has it."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    with (settings.run_dir / "up.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal(
                f"Thư mục dữ liệu {settings.data_dir} đang được một bản khác dùng: hãy dừng bản đó, hoặc đặt DATA_DIR khác.",
                f"The data directory {settings.data_dir} is in use by another installation: stop it, or set another DATA_DIR.",
            ) from None
        yield


def write_whole(path: Path, text: str) -> None:
    """Writes a small file so that a reader finds all of it or the one before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def announce(settings: Settings, name: str, pid: int, **more: str) -> None:
    """Tells under which pid (and address) a process runs."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    write_whole(settings.run_dir / f"{name}.json", json.dumps({"pid": pid, **more}))


def running(settings: Settings, prefix: str) -> dict[str, int]:
    """The pids of the announced processes whose names begin so, by name."""
    found = settings.run_dir.glob(f"{prefix}*.json")
    return {path.stem: json.loads(path.read_text())["pid"] for path in found}


def withdraw(settings: Settings, name: str, pid: int) -> None:
    """The process is gone; what another one of that name has announced stays."""
    path = settings.run_dir / f"{name}.json"
    with contextlib.suppress(FileNotFoundError):
        if json.loads(path.read_text())["pid"] == pid:
            path.unlink()


def free_port(wanted: int = 0, host: str = "127.0.0.1") -> int:
    """A port that nobody listens on: `wanted` if it is free (OSError if not), any by 0."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, wanted))
        port: int = s.getsockname()[1]
        return port
