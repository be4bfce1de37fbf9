"""The journal of submissions: durable before they are acknowledged, one receipt each, the first of an attempt standing.

One commit holds the submission with its answers, the same without them for outside, the receipt's row and the signed tree.
The journal is a log of the host (design §5): its web processes share it, and its index of attempts makes repeats exact.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import msgspec

from services.events import AttemptSubmitted, Event, SubmissionReceived
from services.kit.bus import Outgoing
from services.kit.clock import time_of, us_of
from services.kit.locallog import GroupCommit, Log
from services.kit.merkle import Tree, leaf_of
from services.kit.notary import Notary
from services.kit.relay import Confirmations
from services.kit.runtime import Runtime
from services.quiz.receipts import CONTEXT, Receipt, digest_of, write

LOG = "journal"
SCHEMA = """
CREATE TABLE IF NOT EXISTS receipt (
    attempt TEXT PRIMARY KEY, received_us INTEGER, digest BLOB, tree INTEGER, leaf INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tree (id INTEGER PRIMARY KEY, leaves BLOB, signature BLOB);
"""
"""The tables that stand beside the records in every segment of the journal."""

_CHUNK = 500
"""Attempts looked up in one query."""


class Paper(msgspec.Struct, frozen=True, array_like=True):
    """A paper in somebody's hands, as its token says: all that taking a submission needs, so that no store is asked."""

    attempt: str
    participant: str
    round: str
    n: int
    code: str
    unit: str
    categories: tuple[str, ...]
    started_us: int
    shape: str


class Submission(msgspec.Struct, frozen=True, gc=False):
    """What came in, and when the server saw it."""

    paper: Paper
    answers: str
    prediction: int | None
    received_at: datetime
    device: str = ""
    extra_minutes: int = 0


class Receipted(msgspec.Struct, frozen=True, gc=False):
    """`same` is False where the attempt had already been handed in with other content; the receipt is that of the first.
    The log holds it below the offset `end`."""

    receipt: str
    received_at: datetime
    same: bool
    end: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of the table of receipts, and the tree that it is a leaf of."""

    attempt: str
    received_us: int
    digest: bytes
    leaf: int
    tree: Tree
    signature: bytes

    def receipt(self) -> str:
        size = len(self.tree.leaves)
        path = self.tree.path(self.leaf)
        return write(Receipt(1, self.attempt, self.received_us, self.digest, self.leaf, size, path, self.signature))


class Journal:
    """Takes submissions. `outgoing` turns an event into its record. Where `confirm` is given, a reply also waits for it: it gets
    the offset below which all is to be confirmed by others, and bounds the wait."""

    def __init__(
        self,
        log: Log,
        notary: Notary,
        outgoing: Callable[[Event], Outgoing],
        linger: float,
        confirm: Callable[[int], Awaitable[object]] | None = None,
    ) -> None:
        self._log, self._notary, self._outgoing, self._confirm = log, notary, outgoing, confirm
        self._commits: GroupCommit[Submission, Receipted] = GroupCommit(self._commit, linger=linger, full=256, bound=20_000)

    async def take(self, submission: Submission) -> Receipted:
        """Returns when the submission (or the first one of its attempt) is durable. Raises BusDown."""
        receipted = await self._commits.submit(submission)
        if self._confirm is not None:
            await self._confirm(receipted.end)
        return receipted

    def submitted(self, attempts: Sequence[str], since_us: int) -> set[str]:
        """Which of these attempts, started at or after `since_us`, this host has receipted."""
        return {attempt for reader in self._log.since(time_of(since_us)) for attempt in _find(reader, attempts)}

    def receipts(self) -> Iterator[tuple[str, int, str]]:
        """Every receipted attempt of this host: its id, received_at in µs, the hex digest."""
        for reader in self._log.since(time_of(0)):
            for attempt, received_us, digest in reader.execute("SELECT attempt, received_us, digest FROM receipt"):
                yield attempt, received_us, digest.hex()

    def close(self) -> None:
        """Commits what waits, then takes no more."""
        self._commits.close()

    def _commit(self, submissions: Sequence[Submission]) -> Sequence[Receipted]:
        with self._log.transaction() as transaction:
            entries = self._known(transaction.connection, submissions)
            firsts = _firsts(submissions, entries)
            if firsts:
                for entry in self._notarise(transaction.connection, firsts):
                    entries[entry.attempt] = entry
                transaction.append(
                    record for attempt, first in firsts.items() for record in self._records(first, entries[attempt].digest)
                )
            end = transaction.end
        return [_receipted(submission, entries, firsts, end) for submission in submissions]

    def _known(self, connection: sqlite3.Connection, submissions: Sequence[Submission]) -> dict[str, _Entry]:
        """What these attempts have been receipted with before: in the active segment, and in those sealed since they started."""
        attempts = [submission.paper.attempt for submission in submissions]
        since = time_of(min([submission.paper.started_us for submission in submissions]))
        entries: dict[str, _Entry] = {}
        for reader in [connection, *self._log.since(since)[1:]]:
            for attempt, found in _find(reader, attempts).items():
                entries.setdefault(attempt, found)
        return entries

    def _notarise(self, connection: sqlite3.Connection, firsts: Mapping[str, Submission]) -> Iterable[_Entry]:
        """Grows the tree of this commit, signs it, and writes it down."""
        (id,) = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM tree").fetchone()
        rows, leaves = [], []
        for leaf, (attempt, first) in enumerate(firsts.items()):
            received_us = us_of(first.received_at)
            digest = digest_of(received_us, first.answers, first.prediction)
            rows.append((attempt, received_us, digest, id, leaf))
            leaves.append(leaf_of(attempt, received_us, digest))
        tree = Tree(leaves)
        signature = self._notary.sign(CONTEXT, tree.root)
        connection.execute("INSERT INTO tree VALUES (?, ?, ?)", (id, b"".join(leaves), signature))
        connection.executemany("INSERT INTO receipt VALUES (?, ?, ?, ?, ?)", rows)
        return [_Entry(attempt, us, digest, leaf, tree, signature) for attempt, us, digest, _, leaf in rows]

    def _records(self, submission: Submission, digest: bytes) -> Iterable[Outgoing]:
        paper, time = submission.paper, submission.received_at
        started_at = time_of(paper.started_us)
        yield self._outgoing(
            SubmissionReceived(
                time=time,
                attempt=paper.attempt,
                participant=paper.participant,
                round=paper.round,
                n=paper.n,
                paper=paper.code,
                unit=paper.unit,
                categories=paper.categories,
                started_at=started_at,
                answers=submission.answers,
                prediction=submission.prediction,
                digest=digest.hex(),
                device=submission.device,
                extra_minutes=submission.extra_minutes,
            )
        )
        yield self._outgoing(
            AttemptSubmitted(
                time=time,
                attempt=paper.attempt,
                participant=paper.participant,
                round=paper.round,
                n=paper.n,
                unit=paper.unit,
                categories=paper.categories,
                started_at=started_at,
            )
        )


def _find(connection: sqlite3.Connection, attempts: Sequence[str]) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    for start in range(0, len(attempts), _CHUNK):
        chunk = attempts[start : start + _CHUNK]
        found = connection.execute(
            "SELECT attempt, received_us, digest, leaf, leaves, signature FROM receipt JOIN tree ON tree.id = receipt.tree"  # noqa: S608
            f" WHERE attempt IN ({','.join('?' * len(chunk))})",
            chunk,
        )
        for attempt, received_us, digest, leaf, leaves, signature in found:
            tree = Tree([leaves[i : i + 32] for i in range(0, len(leaves), 32)])
            entries[attempt] = _Entry(attempt, received_us, digest, leaf, tree, signature)
    return entries


def _firsts(submissions: Sequence[Submission], known: Mapping[str, _Entry]) -> dict[str, Submission]:
    """The submissions that are the first of their attempt, by attempt."""
    firsts: dict[str, Submission] = {}
    for submission in submissions:
        if submission.paper.attempt not in known:
            firsts.setdefault(submission.paper.attempt, submission)
    return firsts


def _receipted(submission: Submission, entries: Mapping[str, _Entry], firsts: Mapping[str, Submission], end: int) -> Receipted:
    """What one gets for it. Where another was the first, it is the same submission if the content is, whatever the time."""
    attempt = submission.paper.attempt
    entry = entries[attempt]
    if firsts.get(attempt) is submission:
        return Receipted(entry.receipt(), submission.received_at, True, end)
    same = digest_of(entry.received_us, submission.answers, submission.prediction) == entry.digest
    return Receipted(entry.receipt(), time_of(entry.received_us), same, end)


def journal_of(runtime: Runtime, notary: Notary) -> Journal:
    """The journal of this host."""
    settings, confirm = runtime.settings, None
    if settings.ack == "kafka":
        confirm = partial(Confirmations(runtime.journal, LOG).reach, seconds=settings.ack_ms / 1000)
    return Journal(runtime.journal.log(LOG), notary, runtime.outgoing, settings.commit_ms / 1000, confirm)
