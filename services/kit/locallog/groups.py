"""Consumer groups: who is in one, which partitions each member works on, and how far the group has come.

Membership is a row with a heartbeat in `groups.db`; nothing is lost with that file. Committed offsets lie in a log, so that
one commit moves them together with what the group publishes. They move by compare-and-swap: of two owners of a partition,
before a rebalance settles, one wins.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path

from services.kit.bus import Fenced
from services.kit.clock import Clock
from services.kit.delivery import Place


class Membership:
    """One member's seat in a group. Partition p belongs to the live member number p mod n, by sorted id."""

    def __init__(self, path: Path, group: str, clock: Clock, session: float) -> None:
        self._group, self._clock, self._session = group, clock, session
        self._id = f"{os.getpid()}-{uuid.uuid4().hex}"
        self._connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        # In WAL mode NORMAL never syncs at a commit: losing a heartbeat costs nothing.
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS member (consumers TEXT, id TEXT, beat REAL, PRIMARY KEY (consumers, id)) WITHOUT ROWID"
        )

    def beat(self) -> None:
        """Says that this member lives, and strikes out the dead."""
        now = self._clock.now().timestamp()
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("INSERT OR REPLACE INTO member VALUES (?, ?, ?)", (self._group, self._id, now))
            self._connection.execute("DELETE FROM member WHERE consumers = ? AND beat < ?", (self._group, now - self._session))

    def share(self, partitions: int) -> frozenset[int]:
        """The partitions that are this member's now."""
        rows = self._connection.execute("SELECT id FROM member WHERE consumers = ? ORDER BY id", (self._group,)).fetchall()
        members = [member for (member,) in rows]
        if self._id not in members:
            return frozenset()
        return frozenset(range(members.index(self._id), partitions, len(members)))

    def leave(self) -> None:
        self._connection.execute("DELETE FROM member WHERE consumers = ? AND id = ?", (self._group, self._id))
        self._connection.close()


def committed(connection: sqlite3.Connection, group: str, topics: Collection[str]) -> dict[Place, int]:
    """The next offset of each place where the group has committed one."""
    rows = connection.execute("SELECT topic, partition, next FROM committed WHERE consumers = ?", (group,))
    return {(topic, partition): next_ for topic, partition, next_ in rows if topic in topics}


def move(connection: sqlite3.Connection, group: str, known: Mapping[Place, int], nexts: Mapping[Place, int]) -> None:
    """Moves the committed offsets to `nexts` where they still are what this member last knew. Raises Fenced otherwise."""
    for (topic, partition), next_ in nexts.items():
        before = known.get((topic, partition))
        if before is None:
            moved = connection.execute("INSERT OR IGNORE INTO committed VALUES (?, ?, ?, ?)", (group, topic, partition, next_))
        else:
            moved = connection.execute(
                "UPDATE committed SET next = ? WHERE consumers = ? AND topic = ? AND partition = ? AND next = ?",
                (next_, group, topic, partition, before),
            )
        if moved.rowcount != 1:
            raise Fenced(f"{group}: another member has moved on with {topic}/{partition}")
