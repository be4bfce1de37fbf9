"""The published file of a finalised round: all that a stranger needs to derive its ranks and winners anew.

JSON lines, UTF-8. Line 1 is the header: rules, figures, prizes, awards, draws. Then one array for each attempt, in order of
receipt, its columns named in the header. The last line holds the SHA-256 of every hundred lines, so that a change is found
where it is; their digest is signed. `examples/verify/` reads it and says what it can and cannot prove.

A person is a keyed hash of the participant id, under a salt that stays secret. A receipt's leaf stands under a seal that only the
attempt's look-up code opens (mã tra cứu, `row_code`, for the participant alone): bare, it could be tried against guessed answers
(decision 4), and those of a perfect paper are its key.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, BinaryIO, NamedTuple

import msgspec

from services.events import RoundPlan
from services.kit.merkle import Tree, leaf_of
from services.kit.notary import Notary
from services.scoring import prizes
from services.scoring.domain import GRACE, Judged, Row
from services.scoring.draw import Beacon, Drawing, Minutes
from services.scoring.prizes import Award, Ladder, Prize, UnitFigure

FORMAT = "hoithi.round/1"
CONTEXT = b"hoithi round 1\n"
"""Stands before the signed digest, so that the signature says nothing else."""

BLOCK = 100
"""Lines under one SHA-256 of the last line."""

COLUMNS = (
    "person",
    "n",
    "unit",
    "started",
    "received",
    "deadline",
    "verdict",
    "reason",
    "correct",
    "total",
    "prediction",
    "receipt",
    "rank",
)

_json = msgspec.json.Encoder()


class Final(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when a round is finalised.

    `judged` are the standing judgements of all attempts, `rows` the standings (all of them), `perfect` the predicted figure.
    `reasons` (attempt → a short code, no personal data) say why an attempt is disqualified. `deadlines` (attempt → µs) are those
    of attempts with extra time. `excluded` (participant → code) win no prize. `names` (participant → name) holds the winners who
    agreed to their full name; others are shown as in the standings. `salt` is 32 secret bytes of the round, `drawing` what
    draws rest on, committed at `committed_at`. `override`: a person has settled it although a journal was not heard to be
    drained, or the audit did not agree.
    """

    plan: RoundPlan
    title: str
    owner: str
    timezone: str
    judged: Sequence[Judged]
    rows: Sequence[Row]
    perfect: int
    key_version: int
    finalised_at: datetime
    salt: bytes
    revision: int = 0
    reasons: Mapping[str, str] = {}
    deadlines: Mapping[str, int] = {}
    excluded: Mapping[str, str] = {}
    names: Mapping[str, str] = {}
    prizes: tuple[Prize, ...] = ()
    unit_prizes: tuple[Prize, ...] = ()
    units: tuple[UnitFigure, ...] = ()
    drawing: Drawing | None = None
    committed_at: datetime | None = None
    override: bool = False


class Outcome(NamedTuple):
    """Who won, and the minutes of the draws. `names` is what is shown of all who won or were drawn, by their id in the file;
    `participants` leads from that id to the participant's: keep it inside."""

    awards: list[Award]
    minutes: list[Minutes]
    names: dict[str, str]
    participants: dict[str, str]


class Excluded(msgspec.Struct, frozen=True, kw_only=True):
    """Who competes for no prize, and why (a short code)."""

    person: str
    reason: str


class Draws(msgspec.Struct, frozen=True, kw_only=True):
    """What was committed, what it was, and the draws made with it."""

    commitment: str
    committed_at: datetime | None
    seed: str
    beacon: Beacon | None
    minutes: list[Minutes]


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. Times are RFC 3339 here, microseconds since the epoch in the rows; `receipts` is the Merkle root over the
    column of that name, hex."""

    format: str
    contest: str
    title: str
    owner: str
    timezone: str
    round: RoundPlan
    grace_us: int
    key_version: int
    revision: int
    finalised_at: datetime
    attempts: int
    valid: int
    people: int
    perfect: int
    receipts: str
    excluded: list[Excluded]
    prizes: tuple[Prize, ...]
    unit_prizes: tuple[Prize, ...]
    units: tuple[UnitFigure, ...]
    awards: list[Award]
    draws: Draws | None
    columns: tuple[str, ...]
    override: bool = False


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The last line: how many lines stand before it, the SHA-256 (hex) of each `block` of them, the SHA-256 over those, the
    public key and its signature (Ed25519, hex)."""

    lines: int
    block: int
    blocks: list[str]
    digest: str
    key: str
    signature: str


def person_of(salt: bytes, participant: str) -> str:
    """A person's name in the file of one round, 16 characters; without the salt it leads nowhere."""
    return base64.urlsafe_b64encode(hmac.digest(salt, b"person\n" + participant.encode(), "sha256")[:12]).decode()


def row_code(salt: bytes, attempt: str) -> str:
    """The look-up code (mã tra cứu) of an attempt, 32 hex digits, for its participant only: with it and the receipt anyone proves
    that a row is theirs."""
    return hmac.digest(salt, b"receipt\n" + attempt.encode(), "sha256")[:16].hex()


def sealed(code: str, leaf: bytes) -> bytes:
    """A receipt's leaf as the file holds it, 32 bytes."""
    return sha256(b"\0" + bytes.fromhex(code) + leaf).digest()


def conclude(final: Final) -> Outcome:
    """Awards of persons, then of units, and the draws that they took. Raises Undrawn where a draw is needed without `drawing`."""
    held = {(judged.participant, judged.n): judged for judged in final.judged}
    participants: dict[str, str] = {}
    shown: dict[str, str] = {figure.code: figure.name for figure in final.units}

    def label(row: Row) -> tuple[str, str]:
        person, judged = person_of(final.salt, row.participant), held[row.participant, row.n]
        participants[person] = row.participant
        shown[person] = final.names.get(row.participant, row.name)
        return person, f"{judged.received}:{judged.started}"

    ladders = [prizes.persons(final.rows, final.prizes, final.excluded, label), *prizes.units(final.units, final.unit_prizes)]
    return climb(ladders, final.drawing, shown, participants)


def climb(
    ladders: Iterable[Ladder], drawing: Drawing | None, shown: Mapping[str, str], participants: Mapping[str, str]
) -> Outcome:
    """Awards of these ladders and the draws that they took. `shown` names every contender, `participants` leads from the id of a
    person to the participant's. Raises Undrawn."""
    awards: list[Award] = []
    minutes: list[Minutes] = []
    for ladder in ladders:
        won, drawn = prizes.conclude(ladder, drawing)
        awards += (msgspec.structs.replace(award, name=shown[award.winner]) for award in won)
        minutes += drawn
    met = {award.winner for award in awards} | {lot.id for each in minutes for lot in each.order}
    return Outcome(awards, minutes, {id: shown[id] for id in met}, {id: participants[id] for id in met & participants.keys()})


def write(out: BinaryIO, final: Final, outcome: Outcome, notary: Notary) -> str:
    """Writes the file and returns its digest, hex. The same facts give the same bytes. `out` may raise OSError."""
    rows = list(_rows(final))
    header = _header(final, outcome, [row[COLUMNS.index("receipt")] for row in rows])
    return seal(out, (header, *rows), notary, CONTEXT)


def seal(out: BinaryIO, values: Iterable[object], notary: Notary, context: bytes) -> str:
    """Writes values as JSON, a line each, and the last line that signs them. Returns the digest, hex."""
    digests: list[str] = []
    block = sha256()
    lines = 0
    for value in values:
        line = _json.encode(value) + b"\n"
        out.write(line)
        block.update(line)
        lines += 1
        if lines % BLOCK == 0:
            digests.append(block.hexdigest())
            block = sha256()
    if lines % BLOCK:
        digests.append(block.hexdigest())
    digest = sha256("".join(digests).encode()).digest()
    signature = notary.sign(context, digest)
    end = End(
        lines=lines,
        block=BLOCK,
        blocks=digests,
        digest=digest.hex(),
        key=notary.public_key.hex(),
        signature=signature.hex(),
    )
    out.write(_json.encode(end) + b"\n")
    return digest.hex()


def _rows(final: Final) -> Iterator[tuple[Any, ...]]:
    """One tuple an attempt, as COLUMNS says. A row without a rank does not count."""
    ranks = {(row.participant, row.n): row.rank for row in final.rows}
    salt = final.salt
    persons: dict[str, str] = {}
    for judged in sorted(final.judged, key=lambda each: (each.received, each.digest, each.attempt)):
        attempt, participant = judged.attempt, judged.participant
        person = persons.get(participant)
        if person is None:
            person = persons[participant] = person_of(salt, participant)
        receipt = sealed(row_code(salt, attempt), leaf_of(attempt, judged.received, judged.digest))
        yield (
            person,
            judged.n,
            judged.unit,
            judged.started,
            judged.received,
            final.deadlines.get(attempt),
            judged.verdict,
            final.reasons.get(attempt) if judged.verdict == "disqualified" else None,
            judged.correct,
            judged.total,
            judged.prediction,
            base64.urlsafe_b64encode(receipt).decode(),
            ranks.get((participant, judged.n)),
        )


def _header(final: Final, outcome: Outcome, receipts: Sequence[str]) -> Header:
    root = Tree([base64.urlsafe_b64decode(text) for text in receipts]).root.hex() if receipts else ""
    excluded = [Excluded(person=person_of(final.salt, who), reason=reason) for who, reason in final.excluded.items()]
    return Header(
        format=FORMAT,
        contest=final.plan.contest,
        title=final.title,
        owner=final.owner,
        timezone=final.timezone,
        round=final.plan,
        grace_us=GRACE,
        key_version=final.key_version,
        revision=final.revision,
        finalised_at=final.finalised_at,
        attempts=len(final.judged),
        valid=sum(judged.verdict == "valid" for judged in final.judged),
        people=len(final.rows),
        perfect=final.perfect,
        receipts=root,
        excluded=sorted(excluded, key=lambda each: each.person),
        prizes=final.prizes,
        unit_prizes=final.unit_prizes,
        units=final.units,
        awards=outcome.awards,
        draws=draws(final, outcome.minutes),
        columns=COLUMNS,
        override=final.override,
    )


def draws(final: Final, minutes: list[Minutes]) -> Draws | None:
    """The draws with what they rest on, as the file and the page of the minutes show them. The seed is in it."""
    return None if final.drawing is None else draws_of(final.drawing, final.committed_at, minutes)


def draws_of(drawing: Drawing, committed_at: datetime | None, minutes: list[Minutes]) -> Draws:
    """What draws rest on, with their minutes."""
    return Draws(
        commitment=drawing.commitment,
        committed_at=committed_at,
        seed=drawing.seed.hex(),
        beacon=drawing.beacon,
        minutes=minutes,
    )
