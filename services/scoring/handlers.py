"""What each event means for scoring, and the events that scoring tells of in turn; nothing here waits or writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b, sha256

import msgspec

from services.events import (
    AttemptRuled,
    AttemptScored,
    ContestBook,
    ParticipantErased,
    ParticipantRegistered,
    ResultsPublished,
    RoundKeyed,
    RoundPlan,
    RoundRanked,
    StandingRow,
    SubmissionReceived,
    decode,
)
from services.events.base import UnknownEvent
from services.kit.bus import NotReady
from services.kit.clock import time_of, us_of
from services.kit.console.accounts import clean_email
from services.scoring.domain import DIGEST_SIZE, MOST, Entry, Judged, Mark, Row, Ruling, State, Unfit, grade, mask, verdict

Heard = ParticipantRegistered | ParticipantErased | SubmissionReceived | AttemptRuled
"""The events that scoring acts on."""

PAGE = 500
"""Rows of a page of standings."""

_encoder = msgspec.json.Encoder()


def read(type: str, body: bytes) -> Heard | None:
    """The event of a record, or None where it is none for us. Raises msgspec.DecodeError."""
    try:
        event = decode(type, body)
    except UnknownEvent:
        return None
    return event if isinstance(event, Heard) else None


def submission(type: str, body: bytes) -> SubmissionReceived | None:
    """The submission that a record holds; None where it is none, or does not read (it is a dead letter then)."""
    try:
        event = read(type, body)
    except msgspec.DecodeError:
        return None
    return event if isinstance(event, SubmissionReceived) else None


def person(type: str, body: bytes) -> ParticipantRegistered | ParticipantErased | None:
    """What a record says of a person; None where it says nothing, or does not read (it is a dead letter then)."""
    try:
        event = read(type, body)
    except msgspec.DecodeError:
        return None
    return event if isinstance(event, ParticipantRegistered | ParticipantErased) else None


class Library:
    """The rounds and their keys, as their topics tell them."""

    def __init__(self, book: ContestBook) -> None:
        self.book = book
        self._keys: dict[str, dict[int, RoundKeyed]] = {}
        self._proposals: dict[str, dict[int, RoundKeyed]] = {}

    def read_key(self, type: str, body: bytes) -> None:
        """Takes in a record of the topic `keys`."""
        try:
            event = decode(type, body)
        except UnknownEvent:
            return
        if isinstance(event, RoundKeyed):
            (self._proposals if event.proposed else self._keys).setdefault(event.round, {})[event.version] = event

    def plan(self, round: str) -> RoundPlan:
        """Raises NotReady."""
        plan = self.book.round(round)
        if plan is None:
            raise NotReady(f"the round {round} has not been published here yet")
        return plan

    def key(self, round: str, paper: str) -> tuple[str, int]:
        """The right answers of a paper, and the version they are of. Raises NotReady: what was acknowledged waits for its key."""
        keyed = self.standing_key(round)
        if keyed is None or paper not in keyed.papers:
            raise NotReady(f"the key of {round}, paper {paper}, has not come yet")
        return keyed.papers[paper], keyed.version

    def standing_key(self, round: str) -> RoundKeyed | None:
        """The key that a round is judged by: the highest version that is not only proposed, nor dropped."""
        versions = self._keys.get(round, {})
        return max((keyed for keyed in versions.values() if not keyed.dropped), key=lambda keyed: keyed.version, default=None)

    def proposal(self, round: str) -> RoundKeyed | None:
        """A newer key that waits for a person to publish or to drop it."""
        newest = max(self._proposals.get(round, {}).values(), key=lambda keyed: keyed.version, default=None)
        return newest if newest is not None and newest.version not in self._keys.get(round, {}) else None


def judge(event: SubmissionReceived, mark: Mark, minutes: int, key: str, key_version: int, ruling: Ruling) -> Judged:
    """The judgement on a submission by the plan that its partition goes by. Raises Unfit where the event cannot be."""
    correct, total = grade(event.answers, key)
    try:
        digest = bytes.fromhex(event.digest)
    except ValueError as error:
        raise Unfit("the digest is not hexadecimal") from error
    if len(digest) != DIGEST_SIZE:
        raise Unfit(f"a digest of {len(digest)} bytes")
    if event.attempt != f"{event.participant}:{event.round}:{event.n}" or not 1 <= event.n < 1 << 16:
        raise Unfit("the id of the attempt does not fit its parts")
    if event.prediction is not None and not 0 <= event.prediction < MOST:
        raise Unfit("the prediction counts no people")
    if not 0 <= event.extra_minutes < 1 << 16:
        raise Unfit("the extra minutes are none")
    started, received = us_of(event.started_at), us_of(event.time)
    return Judged(
        participant=event.participant,
        round=event.round,
        n=event.n,
        unit=event.unit,
        categories=event.categories,
        started=started,
        received=received,
        digest=digest,
        prediction=event.prediction,
        verdict="disqualified" if ruling.disqualified else verdict(started, received, minutes + event.extra_minutes, mark.closes),
        correct=correct,
        total=total,
        key_version=key_version,
        rules=mark.rules,
        ruling=ruling.revision,
        extra=event.extra_minutes,
    )


def ruled(held: Judged, ruling: Ruling, mark: Mark, minutes: int) -> Judged:
    """The judgement on an attempt after a person's word on it."""
    now = "disqualified" if ruling.disqualified else verdict(held.started, held.received, minutes + held.extra, mark.closes)
    return msgspec.structs.replace(held, verdict=now, ruling=ruling.revision)


def regraded(event: SubmissionReceived, held: Judged, key: str, version: int) -> Judged | None:
    """The judgement on an attempt by another key, at its next revision; None where this is not the submission that stands, or the
    key changes nothing."""
    if event.digest != held.digest.hex() or us_of(event.time) != held.received or version <= held.key_version:
        return None
    correct, _ = grade(event.answers, key)
    if correct == held.correct:
        return None
    return msgspec.structs.replace(held, correct=correct, key_version=version, revision=held.revision + 1)


def judged_anew(state: State, plan: RoundPlan) -> list[Judged]:
    """The attempts of a round whose verdict this plan changes, each at its next revision."""
    closes = us_of(plan.closes)
    changed = []
    for held, _ in state.judged(plan.id):
        now = verdict(held.started, held.received, plan.minutes + held.extra, closes)
        if held.verdict != "disqualified" and now != held.verdict:
            changed.append(msgspec.structs.replace(held, verdict=now, rules=plan.revision, revision=held.revision + 1))
    return changed


def address(key: bytes, email: str | None) -> bytes:
    """A keyed digest of an e-mail address, the same however it is typed; empty where there is none."""
    clean = clean_email(email or "")
    return blake2b(clean.encode(), key=key, digest_size=8, person=b"email").digest() if clean else b""


def meet(state: State, event: ParticipantRegistered | ParticipantErased, key: bytes) -> None:
    """Keeps a person's masked name, and keyed digests of the hundred numbers that their phone is one of and of their e-mail; or
    forgets all of it."""
    if isinstance(event, ParticipantRegistered):
        block = blake2b(event.phone[:-2].encode(), key=key, digest_size=6, person=b"block").digest()
        state.meet(event.participant, event.revision, mask(event.name), block, address(key, event.email))
    else:
        state.meet(event.participant, event.revision, "***", b"")


def scored(judged: Judged) -> AttemptScored:
    """The event that tells of a judgement."""
    return AttemptScored(
        time=time_of(judged.received),
        attempt=judged.attempt,
        participant=judged.participant,
        round=judged.round,
        n=judged.n,
        unit=judged.unit,
        categories=judged.categories,
        started_at=time_of(judged.started),
        verdict=judged.verdict,
        correct=judged.correct,
        total=judged.total,
        elapsed_ms=judged.elapsed_ms,
        digest=judged.digest.hex(),
        key_version=judged.key_version,
        revision=judged.revision,
    )


def shown_live(plan: RoundPlan) -> bool:
    """Whether everyone may see a round's standings while it runs: nothing is to be predicted, and scores are shown at once."""
    return plan.prediction is None and plan.show_score == "at_once"


def entry(judged: Judged, name: str) -> Entry:
    """A valid attempt as the ranking sees it."""
    return Entry(
        judged.participant,
        judged.n,
        name,
        judged.unit,
        judged.correct,
        judged.total,
        judged.elapsed_ms,
        judged.received,
        judged.prediction,
    )


def published(round: str, rows: Iterable[Row]) -> tuple[StandingRow, ...]:
    """Rows as they travel."""
    return tuple(
        StandingRow(
            rank=row.rank,
            participant=row.participant,
            attempt=f"{row.participant}:{round}:{row.n}",
            name=row.name,
            unit=row.unit,
            correct=row.correct,
            elapsed_ms=row.elapsed_ms,
            gap=row.gap,
        )
        for row in rows
    )


def ranking_told(ranked: RoundRanked, rows: Sequence[Row]) -> Iterator[ResultsPublished | RoundRanked]:
    """What tells of a ranking: its pages, then its figures."""
    for number in range(ranked.pages):
        page = published(ranked.round, rows[number * PAGE : (number + 1) * PAGE])
        yield ResultsPublished(time=ranked.time, round=ranked.round, page=number, rows=page, revision=ranked.revision)
    yield ranked


def checksum(round: str, rows: Sequence[Row]) -> str:
    """SHA-256, hex, over the JSON of every row as `results.published` carries it, in order, each with a line feed."""
    digest = sha256()
    for row in published(round, rows):
        digest.update(_encoder.encode(row))
        digest.update(b"\n")
    return digest.hexdigest()
