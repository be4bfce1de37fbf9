"""One log: a directory of segments that several processes append to and read from at once.

An offset is the record's number in the whole log, so a partition's offsets grow with gaps. What one commit must hold together
lies in one log. Writing blocks the event loop for the length of an fsync, on purpose (see `commit.py`); reads are short,
because a reader that holds a snapshot keeps the WAL from being checkpointed.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import msgspec

from services.kit.bus import BusDown, Outgoing, Record, TopicSpec, partition_of
from services.kit.clock import Clock
from services.kit.locallog.segments import (
    KEY_INDEX,
    open_reader,
    open_writer,
    remove_segment,
    segment_files,
    segment_path,
    sync_directory,
)
from services.kit.metrics import COMMIT_SECONDS, COMMIT_SIZE

_encode_headers = msgspec.json.Encoder().encode
_decode_headers = msgspec.json.Decoder(dict[str, str]).decode

_WINDOW = 50_000
"""A scan looks at no more offsets at a time, so that passing over another topic's records does not hold the loop."""
_COMPACT = 1000
_READERS = 32
"""Open read connections kept per log."""


class Transaction:
    """A commit in the making. `connection` takes what else must be durable with the records."""

    def __init__(self, connection: sqlite3.Connection, topics: Mapping[str, TopicSpec], timestamp: int) -> None:
        self.connection = connection
        self.timestamp = timestamp
        """Milliseconds since the epoch: the records' time."""
        self.count = 0
        """Records appended so far."""
        self._topics = topics
        self._next = 0
        self._ends: dict[str, array[int]] = {}

    def append(self, records: Iterable[Outgoing]) -> None:
        """Appends in order."""
        if not self._next:
            self._next = next_offset(self.connection)
        seq, rows = self._next, []
        for record in records:
            ends = self._ends.get(record.topic) or self._tail(record.topic)
            partition = partition_of(record.key, len(ends))
            headers = _encode_headers(record.headers)
            rows.append((seq, record.topic, partition, record.key, headers, self.timestamp, record.value))
            seq += 1
            ends[partition] = seq
        self.connection.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        self.count += len(rows)
        self._next = seq

    @property
    def end(self) -> int:
        """The offset after the last record of the log, those of this commit included."""
        return self._next or next_offset(self.connection)

    def _tail(self, topic: str) -> array[int]:
        ends = self._ends[topic] = read_tail(self.connection, self._topics[topic])
        return ends

    def finish(self) -> None:
        """Notes where the partitions end now. The log calls it before it commits."""
        rows = [(topic, ends.tobytes()) for topic, ends in self._ends.items()]
        self.connection.executemany("INSERT OR REPLACE INTO tail VALUES (?, ?)", rows)


def next_offset(connection: sqlite3.Connection) -> int:
    """The offset of the next record, while this connection holds the write lock."""
    query = "SELECT coalesce((SELECT max(seq) + 1 FROM record), first) FROM segment"
    return int(connection.execute(query).fetchone()[0])


def read_tail(connection: sqlite3.Connection, topic: TopicSpec) -> array[int]:
    """Per partition, the offset after its last record; 0 where it never had one."""
    row = connection.execute("SELECT ends FROM tail WHERE topic = ?", (topic.name,)).fetchone()
    ends = array("q", row[0] if row else bytes(8 * topic.partitions))
    if len(ends) != topic.partitions:
        raise ValueError(f"{topic.name} was made with {len(ends)} partitions; that cannot change")
    return ends


class Log:
    """The segments of one log. `topics` are those that live in it; `schema` is SQL that makes a caller's own tables in every
    segment that is opened for writing, and must bear repetition (`CREATE TABLE IF NOT EXISTS`).

    A log with a compacted topic, or with none, never rolls. Everything here raises BusDown when the disk refuses.
    """

    def __init__(
        self, directory: Path, topics: Mapping[str, TopicSpec], clock: Clock, *, segment_bytes: int, schema: str = ""
    ) -> None:
        self.directory = directory
        self._topics, self._clock, self._segment_bytes = topics, clock, segment_bytes
        self._compacted = sorted(name for name, topic in topics.items() if topic.kept is None)
        self._kept = max((topic.kept for topic in topics.values() if topic.kept is not None), default=timedelta())
        self._rolls = bool(topics) and not self._compacted
        self._secure = bool(self._compacted) or any(topic.secure for topic in topics.values())
        self._schema = schema + (KEY_INDEX if self._compacted else "")
        self._writer: sqlite3.Connection | None = None
        self._readers: dict[int, sqlite3.Connection] = {}
        self._firsts: list[int] = []
        self._commit_size = COMMIT_SIZE.labels(directory.name)
        self._commit_seconds = COMMIT_SECONDS.labels(directory.name)

    # -- writing

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One durable commit; an exception inside undoes it. Raises BusDown when the disk or the lock refuses."""
        with self._down_on_error():
            connection = self._begin()
            try:
                transaction = Transaction(connection, self._topics, self._now())
                began = self._clock.monotonic()
                yield transaction
                transaction.finish()
                connection.execute("COMMIT")
                self._observe(transaction.count, self._clock.monotonic() - began)
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.rollback()
                raise

    def _observe(self, records: int, seconds: float) -> None:
        self._commit_size.observe(records)
        self._commit_seconds.observe(seconds)

    def _begin(self) -> sqlite3.Connection:
        """Takes the write lock of the active segment, beginning a new one where it has grown too large."""
        while True:
            connection = self._writer = self._writer or self._open_active()
            connection.execute("BEGIN IMMEDIATE")
            first, next_first = connection.execute("SELECT first, next FROM segment").fetchone()
            if next_first is None:
                if not self._oversized(connection):
                    return connection
                self._roll(connection, first)
            else:  # Another process has sealed it.
                connection.rollback()
            self._close_writer()

    def _open_active(self) -> sqlite3.Connection:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._refresh()
        first = self._firsts[-1] if self._firsts else 1
        return open_writer(segment_path(self.directory, first), first, self._schema, secure=self._secure)

    def _oversized(self, connection: sqlite3.Connection) -> bool:
        if not self._rolls:
            return False
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        return bool(pages * size >= self._segment_bytes)

    def _roll(self, old: sqlite3.Connection, first: int) -> None:
        """Begins the next segment under the old one's write lock. The mark in the old one, last, makes it count."""
        for leftover in segment_files(self.directory):
            if leftover > first:
                remove_segment(segment_path(self.directory, leftover))
        next_first = next_offset(old)
        path = segment_path(self.directory, next_first)
        with contextlib.closing(open_writer(path, next_first, self._schema, secure=self._secure)) as new:
            new.execute("BEGIN IMMEDIATE")
            new.executemany("INSERT INTO committed VALUES (?, ?, ?, ?)", old.execute("SELECT * FROM committed"))
            new.executemany("INSERT INTO tail VALUES (?, ?)", old.execute("SELECT * FROM tail"))
            new.execute("COMMIT")
        sync_directory(self.directory)
        old.execute("UPDATE segment SET next = ?, sealed_at = ?", (next_first, self._now()))
        old.execute("COMMIT")
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    # -- reading

    def scan(
        self, start: int, stop: int | None, wanted: Mapping[str, Collection[int] | None], records: int, size: int
    ) -> tuple[list[Record], int]:
        """Records of the wanted topics (and partitions; None is all) from offset `start` up to `stop` (exclusive), up to
        about so many and so many bytes; and the offset to go on from, which is `start` when there is no more for now."""
        with self._down_on_error():
            found = self._segment_of(start)
            if found is None:
                return [], start
            first, connection = found
            start = max(start, first)
            last, next_first = connection.execute("SELECT (SELECT max(seq) FROM record), next FROM segment").fetchone()
            end = next_first or (start if last is None else max(start, last + 1))
            if stop is not None:
                end = min(end, stop)
            if end <= start:
                return [], start
            bound = min(end, start + _WINDOW)
            rows, next_ = self._select(connection, start, bound, wanted, records, size)
            return rows, next_

    def _select(
        self,
        connection: sqlite3.Connection,
        start: int,
        end: int,
        wanted: Mapping[str, Collection[int] | None],
        records: int,
        size: int,
    ) -> tuple[list[Record], int]:
        where = " OR ".join(_condition(partitions) for partitions in wanted.values())
        rows = connection.execute(
            f"SELECT topic, partition, seq, key, value, headers, timestamp FROM record"  # noqa: S608 (numbers only)
            f" WHERE seq >= ? AND seq < ? AND ({where}) ORDER BY seq LIMIT ?",
            (start, end, *wanted, records),
        )
        found: list[Record] = []
        for topic, partition, seq, key, value, headers, timestamp in rows:
            found.append(Record(topic, partition, seq, key, value, _decode_headers(headers), timestamp))
            size -= len(value)
            if size <= 0:
                break
        rows.close()  # Ends the snapshot.
        cut = size <= 0 or len(found) == records
        return found, found[-1].offset + 1 if cut and found else end

    def ends(self, topic: str) -> array[int]:
        """Per partition, the offset after its last record; 0 where it never had one."""
        spec = self._topics[topic]
        with self._down_on_error():
            connection = self.active()
            return read_tail(connection, spec) if connection else array("q", bytes(8 * spec.partitions))

    def active(self) -> sqlite3.Connection | None:
        """A read connection of the active segment, for short queries; None while nothing was ever written. Ask anew each
        time."""
        with self._down_on_error():
            self._follow_links()
            return self._reader(self._firsts[-1]) if self._firsts else None

    def since(self, when: datetime) -> list[sqlite3.Connection]:
        """Read connections of the active segment and of those sealed at or after `when`, the newest first."""
        after, found = int(when.timestamp() * 1000), []
        with self._down_on_error():
            self._follow_links()
            for first in reversed(self._firsts):
                reader = self._reader(first)
                if reader is None:
                    break
                (sealed_at,) = reader.execute("SELECT sealed_at FROM segment").fetchone()
                if sealed_at is not None and sealed_at < after:
                    break
                found.append(reader)
        return found

    def _segment_of(self, offset: int) -> tuple[int, sqlite3.Connection] | None:
        """The segment that holds `offset`, or the oldest one when that is gone."""
        if not self._firsts or offset >= self._firsts[-1]:
            self._follow_links()
        while self._firsts:
            first = self._firsts[max(0, bisect_right(self._firsts, offset) - 1)]
            reader = self._reader(first)
            if reader is not None:
                return first, reader
            self._refresh()  # Another process has trimmed it.
        return None

    def _follow_links(self) -> None:
        """Learns of rolls by other processes."""
        reader = self._reader(self._firsts[-1]) if self._firsts else None
        if reader is None or reader.execute("SELECT next FROM segment").fetchone()[0] is not None:
            self._refresh()

    def _refresh(self) -> None:
        """Walks the chain of segments from the oldest file to the active one, and lets go of removed files."""
        files = segment_files(self.directory)
        for gone in self._readers.keys() - set(files):
            self._readers.pop(gone).close()
        self._firsts = []
        first = files[0] if files else None
        while first is not None:
            reader = self._reader(first)
            if reader is None:
                break
            self._firsts.append(first)
            first = reader.execute("SELECT next FROM segment").fetchone()[0]

    def _reader(self, first: int) -> sqlite3.Connection | None:
        reader = self._readers.pop(first, None) or open_reader(segment_path(self.directory, first))
        if reader is None:
            return None
        self._readers[first] = reader  # The most recently used stands last.
        if len(self._readers) > _READERS:
            self._readers.pop(next(iter(self._readers))).close()
        return reader

    # -- care

    def trim(self, below: int | None = None) -> int:
        """Drops the sealed segments that every topic has outlived and whose records all lie below `below`. Returns how many."""
        outlived = self._now() - self._kept // timedelta(milliseconds=1)
        dropped = 0
        with self._down_on_error():
            self._refresh()
            for first, next_first in pairwise(list(self._firsts)):
                if below is not None and next_first > below:
                    break
                reader = self._reader(first)
                if reader is None or reader.execute("SELECT sealed_at FROM segment").fetchone()[0] > outlived:
                    break
                remove_segment(segment_path(self.directory, first))
                dropped += 1
            self._refresh()
        return dropped

    async def compact(self) -> int:
        """Keeps the last record of each key of the compacted topics, in small steps that let others write. Returns how many
        records went. Their bytes are overwritten, in the WAL too."""
        topics = ", ".join("?" for _ in self._compacted)
        delete = (
            f"DELETE FROM record WHERE seq >= ? AND seq < ? AND topic IN ({topics}) AND EXISTS (SELECT 1 FROM record newer"  # noqa: S608
            " WHERE newer.topic = record.topic AND newer.key = record.key AND newer.seq > record.seq)"
        )
        removed, start = 0, self._next_offset(0)
        while start is not None:
            with self.transaction() as transaction:
                removed += transaction.connection.execute(delete, (start, start + _COMPACT, *self._compacted)).rowcount
            start = self._next_offset(start + _COMPACT)
            await asyncio.sleep(0)
        self._wipe()
        return removed

    def _next_offset(self, at_least: int) -> int | None:
        """The first offset from there on that holds a record, in the active segment."""
        connection = self.active()
        if connection is None:
            return None
        found: int | None = connection.execute("SELECT min(seq) FROM record WHERE seq >= ?", (at_least,)).fetchone()[0]
        return found

    def erase(self, topic: str, key: str) -> None:
        """Blanks a key's records of a topic, in sealed segments too (for dead letters about a person)."""
        blank = "UPDATE record SET key = '', headers = '{}', value = x'' WHERE topic = ? AND key = ?"
        with self._down_on_error():
            self._refresh()
            for first in self._firsts:
                path = segment_path(self.directory, first)
                with contextlib.closing(open_writer(path, first, self._schema, secure=True)) as writer:
                    writer.execute(blank, (topic, key))
                    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _wipe(self) -> None:
        if self._writer is not None:
            with self._down_on_error():
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self._close_writer()
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()
        self._firsts.clear()

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _now(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    @contextlib.contextmanager
    def _down_on_error(self) -> Iterator[None]:
        """Says BusDown for what SQLite and the file system refuse, and begins anew with fresh connections."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            with contextlib.suppress(sqlite3.Error):
                self.close()
            raise BusDown(f"log {self.directory.name} in {self.directory.parent}: {error}") from error


def _condition(partitions: Collection[int] | None) -> str:
    if partitions is None:
        return "topic = ?"
    return f"(topic = ? AND partition IN ({', '.join(map(str, sorted(partitions)))}))"
