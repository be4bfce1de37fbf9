"""Cuts (chốt số liệu): all figures of a contest as of a full hour, counted once and never changed.

A cut may be of a period (kỳ): then only what was handed in after its beginning counts, and people are those with a valid attempt
in it. Two cuts cannot tell them: who took part before, and again within the period, is in both.

A cut is asked for; the owners of the partitions each write their share once they have taken in all that the topics held at that
moment; when all shares are there, the owner of partition 0 adds them up (`services.reporting.cutter`). Every step is an insert
under an id that the cut decides: what is done twice, by two workers or after a crash, stands once.

A submission of before the cut-off that reaches the topics after the cut was asked for (a journal that was down) is not in it, and
neither is what was judged anew later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
from bson import Binary

from services.events import ContestBook, ContestPublished, RoundPlan
from services.kit.bus import Bus
from services.kit.clock import Clock
from services.kit.problems import Problem
from services.kit.store import LOOSE, find_ids, insert_facts, store_errors
from services.reporting.handlers import TOPICS
from services.reporting.share import Packed, Scope, unpack

if TYPE_CHECKING:
    from services.kit.store import Database

MOST_OPEN = 4
"""Cuts that may be in the making at a time: whoever asks for more is asked to come back."""

_HELD = 300_000
"""Cells that a process keeps decoded: some 60 MB."""

_PATIENCE = 4.0
_LOOK_S = 0.2
"""Seconds that a reader waits for a cut in the making, and between two looks."""


class Cut(msgspec.Struct, frozen=True):
    """All figures of a contest as of `at`, without what was before `since`: `scopes[""]` is the whole contest, `scopes[round_id]`
    a round."""

    contest: str
    at: datetime
    made_at: datetime
    scopes: dict[str, Scope]
    since: datetime | None = None

    def scope(self, round: str = "") -> Scope:
        """A round's figures, or with "" the contest's; empty where the cut knows no such round."""
        return self.scopes.get(round, Scope())


class Open(msgspec.Struct, frozen=True):
    """A cut that is being made. `ends[topic][partition]` is the offset up to which its figures must reach."""

    contest: str
    at: datetime
    asked_at: datetime
    ends: dict[str, list[int]]
    since: datetime | None = None

    @property
    def id(self) -> str:
        return cut_id(self.contest, self.at, self.since)

    @property
    def parts(self) -> list[str]:
        """The ids of the shares that make it up."""
        return [f"{self.id}/{partition}" for partition in range(len(self.ends[TOPICS[0]]))]


def cut_id(contest: str, at: datetime, since: datetime | None = None) -> str:
    """The id of a cut, and the address of its figures for ever. Raises Problem 422 for a time beyond all calendars."""
    try:
        begin = "" if since is None else f"{since.astimezone(UTC):%Y-%m-%dT%H:%MZ}--"
        return f"{contest}/{begin}{at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
    except OverflowError:
        raise Problem(422, "cut-off", "Thời điểm chốt số liệu không đúng dạng.", field="as_of") from None


def check_cut_off(contest: ContestPublished, plans: Sequence[RoundPlan], at: datetime, now: datetime) -> None:
    """Raises Problem 422 where figures cannot be cut as of that time: full hours, from the first opening to now."""
    if at > now:
        raise Problem(422, "cut-off", "Thời điểm chốt số liệu chưa đến.", field="as_of")
    if not plans or at < plans[0].opens:
        raise Problem(422, "cut-off", "Thời điểm chốt số liệu ở trước khi cuộc thi bắt đầu.", field="as_of")
    if not on_the_hour(at, ZoneInfo(contest.timezone)):
        raise Problem(422, "cut-off", "Số liệu được chốt vào các giờ tròn, ví dụ 17:00.", field="as_of")


def on_the_hour(at: datetime, zone: tzinfo) -> bool:
    """Whether a time is a full hour there."""
    local = at.astimezone(zone)
    return not (local.minute or local.second or local.microsecond)


class Cuts:
    """The cuts that were made, those that are being made, and their shares."""

    def __init__(self, database: Database, bus: Bus, book: ContestBook, clock: Clock) -> None:
        self._made, self._open, self._parts = database["cuts"], database["cuts_open"], database["cuts_parts"]
        self._scopes = database["cuts_scopes"]
        self._bus, self._book, self._clock = bus, book, clock
        self._known: dict[str, dict[str, Any]] = {}
        self._held: dict[str, Scope] = {}

    async def get(self, contest: str, at: datetime, since: datetime | None = None) -> Cut | None:
        """The cut, or None while there is none. Raises StoreDown."""
        id = cut_id(contest, at, since)
        document = self._known.get(id)
        if document is None:
            with store_errors():
                document = await self._made.find_one({"_id": id})
            if document is None:
                return None
            self._known[id] = document
        held = await self._load({digest for _, digest in document["scopes"]})
        scopes = {name: held[digest] for name, digest in document["scopes"]}
        return Cut(contest, at, document["made_at"], scopes, since)

    async def ask(self, contest: str, at: datetime, since: datetime | None = None) -> None:
        """Has a cut made, unless it is made or in the making. Raises Problem 404 or 422, 503 where too many are in the making,
        StoreDown, BusDown."""
        found = self._book.contests.get(contest)
        if found is None:
            raise Problem(404, "contest", "Không có cuộc thi này.", field="contest")
        check_cut_off(found, self._book.rounds(contest), at, self._clock.now())
        id = cut_id(contest, at, since)
        if await find_ids(self._made, [id], {"_id": 1}):
            return
        opened = {cut.id for cut in await self.opened()}
        if id in opened:
            return
        if len(opened) >= MOST_OPEN:
            raise busy()
        ends = {topic: [end for _, end in sorted((await self._bus.end_offsets(topic)).items())] for topic in TOPICS}
        asked = Open(contest, at, self._clock.now(), ends, since)
        await insert_facts(self._open, [{"_id": asked.id, **msgspec.structs.asdict(asked)}])

    async def made(self, contest: str, hours: Iterable[datetime]) -> set[datetime]:
        """Which of these hours have their cut. Raises StoreDown."""
        ids = {cut_id(contest, at): at for at in hours}
        return {ids[id] for id in await find_ids(self._made, ids, {"_id": 1})}

    async def wait(self, contest: str, at: datetime, seconds: float = _PATIENCE) -> Cut:
        """The cut, asked for if need be. Raises Problem 404 or 422, 503 where it takes longer than that; StoreDown, BusDown."""
        cut = await self.get(contest, at)
        if cut is None:
            await self.ask(contest, at)
            for _ in range(round(seconds / _LOOK_S)):
                await asyncio.sleep(_LOOK_S)
                cut = await self.get(contest, at)
                if cut is not None:
                    break
            else:
                raise busy()
        return cut

    async def opened(self) -> list[Open]:
        """The cuts in the making, the first one first. Raises StoreDown."""
        with store_errors():
            found = [d async for d in self._open.find({})]
        return sorted((msgspec.convert({**d, "_id": None}, Open) for d in found), key=lambda cut: (cut.asked_at, cut.id))

    async def put_shares(self, cut: Open, shares: Mapping[int, bytes]) -> None:
        """Notes what partitions add, packed; the first share of a partition stands. Raises StoreDown."""
        await insert_facts(
            self._parts, [{"_id": f"{cut.id}/{p}", "body": Binary(share)} for p, share in shares.items()], loose=True
        )

    async def shares_there(self, cut: Open) -> set[int]:
        """The partitions whose share is there. Raises StoreDown."""
        there = await find_ids(self._parts, cut.parts, {"_id": 1})
        return {int(id.rpartition("/")[2]) for id in there}

    async def shares(self, cut: Open) -> list[bytes]:
        """What the partitions add, packed, as far as it is there. Raises StoreDown."""
        return [bytes(document["body"]) for document in (await find_ids(self._parts, cut.parts)).values()]

    async def put(self, cut: Open, scopes: Mapping[str, Packed]) -> None:
        """Stores what the shares add up to, each scope packed for itself under ""; what was stored first stands. Scopes lie under
        their content, so that a round that has ended is not stored again every hour. Raises StoreDown."""
        bodies = {packed.digest: Binary(packed.body) for packed in scopes.values()}
        await insert_facts(self._scopes, [{"_id": digest, "body": body} for digest, body in bodies.items()])
        named = sorted([name, packed.digest] for name, packed in scopes.items())
        made = {"_id": cut.id, "made_at": self._clock.now(), "scopes": named}
        await insert_facts(self._made, [made])

    async def close(self, cut: Open) -> None:
        """Drops what it took to make a cut. Raises StoreDown."""
        with store_errors():
            await self._parts.with_options(write_concern=LOOSE).delete_many({"_id": {"$in": cut.parts}})
            await self._open.with_options(write_concern=LOOSE).delete_one({"_id": cut.id})

    async def _load(self, digests: set[str]) -> dict[str, Scope]:
        held = {digest: scope for digest, scope in self._held.items() if digest in digests}
        for digest, document in (await find_ids(self._scopes, digests - held.keys())).items():
            held[digest] = unpack(document["body"])[""]
            await asyncio.sleep(0)
        self._held |= held
        if sum(scope.size for scope in self._held.values()) > _HELD:
            self._held = held
        return held


def busy() -> Problem:
    """What people get whose cut is not there yet."""
    return Problem(503, "cut-off", "Số liệu đang được chốt, xin thử lại sau vài giây.", headers={"Retry-After": "2"})
