"""One segment of a log: a SQLite file named after its first offset, in WAL mode, durable at every commit.

A segment is active until its row in `segment` names the next one. That mark is the commit point of a roll: whatever files lie
beyond an unmarked segment are the leftovers of a roll that a crash cut short, and the next roll removes them.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from urllib.parse import quote

BUSY_SECONDS = 10.0
_WAL_KEPT = 16 * 1024 * 1024

# The small columns come before the value: a scan for another topic need not follow a long value's overflow pages.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS segment (
    id INTEGER PRIMARY KEY CHECK (id = 1), first INTEGER NOT NULL, next INTEGER, sealed_at INTEGER);
CREATE TABLE IF NOT EXISTS record (
    seq INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, key TEXT NOT NULL,
    headers BLOB NOT NULL, timestamp INTEGER NOT NULL, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS tail (topic TEXT PRIMARY KEY, ends BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS committed (
    consumers TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (consumers, topic, partition)) WITHOUT ROWID;
"""

KEY_INDEX = "CREATE INDEX IF NOT EXISTS record_key ON record (topic, key);"
"""For compacted topics: finds a newer record of the same key."""


def segment_path(directory: Path, first: int) -> Path:
    return directory / f"{first:012d}.db"


def segment_files(directory: Path) -> list[int]:
    """The first offsets of the segment files in `directory`, ascending, leftovers included."""
    return sorted(int(path.stem) for path in directory.glob("*.db") if path.stem.isdigit())


def open_writer(path: Path, first: int, schema: str, *, secure: bool) -> sqlite3.Connection:
    """Opens a segment for writing and makes what it lacks: a creation cut short is simply done again."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        _use_wal(connection)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA journal_size_limit={_WAL_KEPT}")
        connection.execute(f"PRAGMA secure_delete={'ON' if secure else 'OFF'}")
        row = f"INSERT OR IGNORE INTO segment (id, first) VALUES (1, {first});"  # noqa: S608 (a number)
        connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}{schema}\n;{row}COMMIT;")
        sync_directory(path.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection | None:
    """Opens an existing segment for reading; None where there is none, or one whose creation was cut short."""
    try:
        # Not mode=ro: such a connection cannot make the shared-memory file that WAL needs.
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    except sqlite3.OperationalError:
        return None
    connection.execute("PRAGMA query_only=ON")
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'segment'").fetchone() is None:
        connection.close()
        return None
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switches to WAL. SQLite does not wait by itself when another process switches at the same moment."""
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.005)


def remove_segment(path: Path) -> None:
    """Removes a segment's files, the main one last, so that none is orphaned."""
    for name in (f"{path.name}-wal", f"{path.name}-shm", path.name):
        path.with_name(name).unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Makes a new file's name as durable as its content (where the system lets a directory be opened)."""
    if os.name != "posix":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
