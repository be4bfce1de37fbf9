"""The topic table: one row per topic, read by the buses, the AsyncAPI document and the tests alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

PARTITIONS = 32
"""Fixed at creation: derived state lives per partition, and a person must stay in theirs."""


@dataclass(frozen=True, kw_only=True)
class Topic:
    """`log` names the files of the local log that hold the topic: what one commit must hold together shares one.

    `readers` are services; "outside" stands for consumers that are not ours. `kept` is None where the topic is compacted:
    the last record of each key stays for ever. `largest` is how many bytes an event may have, where it is more than usual.
    """

    name: str
    events: tuple[str, ...]
    key: str
    owner: str
    readers: tuple[str, ...]
    log: str
    kept: timedelta | None
    personal: bool = False
    partitions: int = PARTITIONS
    largest: int | None = None
    dlq_kept: timedelta = timedelta(days=365)

    @property
    def compacted(self) -> bool:
        return self.kept is None

    @property
    def dlq(self) -> str:
        return self.name + ".dlq"


LARGEST_CONTEST = 8 * 1024 * 1024
"""Bytes: a contest with 5,000 units in several trees takes one or two."""

_DAYS_90 = timedelta(days=90)

_ROWS = (
    Topic(
        name="contests",
        events=("contest.published", "round.opened", "round.paused", "round.extended", "round.closed"),
        key="contest; round",
        owner="quiz",
        readers=("quiz", "scoring", "reporting", "notify", "outside"),
        log="contests",
        kept=None,
        partitions=1,
        largest=LARGEST_CONTEST,
    ),
    Topic(
        name="keys",
        events=("round.keyed",),
        key="round/version",
        owner="quiz",
        readers=("scoring",),
        log="keys",
        kept=None,
        partitions=1,
    ),
    Topic(
        name="participants",
        events=("participant.registered", "participant.moved", "participant.erased"),
        key="participant",
        owner="quiz",
        readers=("scoring", "notify"),
        log="participants",
        kept=None,
        personal=True,
    ),
    Topic(
        name="submissions",
        events=("submission.received",),
        key="participant",
        owner="quiz",
        readers=("scoring",),
        log="journal",
        kept=_DAYS_90,
    ),
    Topic(
        name="attempts",
        events=("attempt.started", "attempt.submitted"),
        key="participant",
        owner="quiz",
        readers=("reporting", "outside"),
        log="journal",
        kept=_DAYS_90,
    ),
    Topic(
        name="journals",
        events=("journal.drained",),
        key="host",
        owner="quiz",
        readers=("scoring",),
        log="journals",
        kept=None,
        partitions=1,
    ),
    Topic(
        name="rulings",
        events=("attempt.ruled",),
        key="participant",
        owner="scoring",
        readers=("scoring",),
        log="scoring",
        kept=_DAYS_90,
    ),
    Topic(
        name="scores",
        events=("attempt.scored",),
        key="participant",
        owner="scoring",
        readers=("reporting", "notify"),
        log="scoring",
        kept=_DAYS_90,
    ),
    Topic(
        name="results",
        events=("round.ranked", "round.finalised", "prizes.awarded", "results.published"),
        key="round; contest",
        owner="scoring",
        readers=("quiz", "reporting", "notify", "outside"),
        log="scoring",
        kept=timedelta(days=365),
        partitions=1,
    ),
    Topic(
        name="headcounts",
        events=("headcount.approved",),
        key="contest/unit/category/as_of",
        owner="reporting",
        readers=("reporting", "scoring", "outside"),
        log="reporting",
        kept=None,
        partitions=1,
    ),
    Topic(
        name="notices",
        events=("turnout.lagging", "turnout.silenced", "digest.ready", "report.ready"),
        key="contest",
        owner="reporting",
        readers=("notify", "outside"),
        log="reporting",
        kept=_DAYS_90,
        partitions=1,
    ),
    Topic(
        name="deliveries",
        events=("message.delivered", "message.failed"),
        key="contest",
        owner="notify",
        readers=("reporting",),
        log="notify",
        kept=timedelta(days=30),
        partitions=1,
    ),
)

TOPICS: dict[str, Topic] = {row.name: row for row in _ROWS}
"""Every topic that this version speaks, by name."""
