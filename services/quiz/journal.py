"""The journal of submissions: durable before they are acknowledged, one receipt each, the first of an attempt standing.

One commit holds the submission with its answers, the same without them for outside, the receipt's row and the signed tree.
The journal is a log of the host (design §5): its web processes share it, and its index of attempts makes repeats exact.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from services.events import AttemptSubmitted, Event, SubmissionReceived
from services.kit.bus import Outgoing
from services.kit.locallog import GroupCommit, Log
from services.quiz.receipts import Notary, Receipt, Tree, digest_of, leaf_of, time_of, write

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


@dataclass(slots=True)
class Submission:
    """What came in, and when the server saw it."""

    paper: Paper
    answers: str
    prediction: int | None
    received_us: int


@dataclass(slots=True)
class Receipted:
    """`same` is False where the attempt had already been handed in with other content; the receipt is that of the first."""

    receipt: str
    received_us: int
    same: bool


@dataclass(slots=True)
class _Row:
    """A line of the table of receipts, and the tree that it is a leaf of."""

    received_us: int
    digest: bytes
    tree: Tree
    leaf: int
    size: int
    signature: bytes


class Journal:
    """Takes submissions. `outgoing` turns an event into its record."""

    def __init__(self, log: Log, notary: Notary, outgoing: Callable[[Event], Outgoing], linger: float) -> None:
        self._log, self._notary, self._outgoing = log, notary, outgoing
        self._commits: GroupCommit[Submission, Receipted] = GroupCommit(self._commit, linger=linger, full=256, bound=20_000)

    async def take(self, submission: Submission) -> Receipted:
        """Returns when the submission (or the first one of its attempt) is durable. Raises BusDown."""
        return await self._commits.submit(submission)

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
            connection = transaction.connection
            rows = self._known(connection, submissions)
            firsts = _firsts(submissions, rows)
            if firsts:
                rows |= self._notarise(connection, firsts)
                transaction.append(record for attempt, first in firsts.items() for record in self._records(first, rows[attempt]))
        return [_receipted(submission, rows[submission.paper.attempt]) for submission in submissions]

    def _known(self, connection: sqlite3.Connection, submissions: Sequence[Submission]) -> dict[str, _Row]:
        """What these attempts have been receipted with before: in the active segment, and in those sealed since they started."""
        attempts = [submission.paper.attempt for submission in submissions]
        since = time_of(min(submission.paper.started_us for submission in submissions))
        rows: dict[str, _Row] = {}
        for reader in [connection, *self._log.since(since)[1:]]:
            for attempt, found in _find(reader, attempts).items():
                rows.setdefault(attempt, found)
        return rows

    def _notarise(self, connection: sqlite3.Connection, firsts: Mapping[str, Submission]) -> dict[str, _Row]:
        """Grows the tree of this commit, signs it, and writes it down."""
        digests = {a: digest_of(s.received_us, s.answers, s.prediction) for a, s in firsts.items()}
        leaves = [leaf_of(a, s.received_us, digests[a]) for a, s in firsts.items()]
        tree = Tree(leaves)
        signature = self._notary.sign(tree.root)
        id = connection.execute("INSERT INTO tree (leaves, signature) VALUES (?, ?)", (b"".join(leaves), signature)).lastrowid
        connection.executemany(
            "INSERT INTO receipt VALUES (?, ?, ?, ?, ?)",
            [(a, s.received_us, digests[a], id, leaf) for leaf, (a, s) in enumerate(firsts.items())],
        )
        return {
            a: _Row(s.received_us, digests[a], tree, leaf, len(leaves), signature) for leaf, (a, s) in enumerate(firsts.items())
        }

    def _records(self, submission: Submission, row: _Row) -> Iterable[Outgoing]:
        paper, time = submission.paper, time_of(submission.received_us)
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
                digest=row.digest.hex(),
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


def _find(connection: sqlite3.Connection, attempts: Sequence[str]) -> dict[str, _Row]:
    rows: dict[str, _Row] = {}
    for start in range(0, len(attempts), _CHUNK):
        chunk = attempts[start : start + _CHUNK]
        found = connection.execute(
            "SELECT attempt, received_us, digest, leaf, leaves, signature FROM receipt JOIN tree ON tree.id = receipt.tree"  # noqa: S608
            f" WHERE attempt IN ({','.join('?' * len(chunk))})",
            chunk,
        )
        for attempt, received_us, digest, leaf, leaves, signature in found:
            tree = Tree([leaves[i : i + 32] for i in range(0, len(leaves), 32)])
            rows[attempt] = _Row(received_us, digest, tree, leaf, len(leaves) // 32, signature)
    return rows


def _firsts(submissions: Sequence[Submission], known: Mapping[str, _Row]) -> dict[str, Submission]:
    """The submissions that are the first of their attempt, by attempt."""
    firsts: dict[str, Submission] = {}
    for submission in submissions:
        if submission.paper.attempt not in known:
            firsts.setdefault(submission.paper.attempt, submission)
    return firsts


def _receipted(submission: Submission, row: _Row) -> Receipted:
    attempt = submission.paper.attempt
    receipt = Receipt(1, attempt, row.received_us, row.digest, row.leaf, row.size, row.tree.path(row.leaf), row.signature)
    same = digest_of(row.received_us, submission.answers, submission.prediction) == row.digest
    return Receipted(write(receipt), row.received_us, same)
