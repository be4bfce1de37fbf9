"""Running a round: pause, resume, extend, close. Each change is a fact under round/revision before anyone is told of it.

So of two organisers, or of an organiser and the clock, one has the revision and the other looks again; and a change whose teller
died is told by the worker (`left_untold`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from bson import Binary

from services.events import ContestBook, RoundClosed, RoundExtended, RoundOpened, RoundPaused, RoundPlan, decode, state_at
from services.events.contests import RoundChanged
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.store import find_ids, insert_facts, store_errors

Change = Literal["pause", "resume", "extend", "close"]
_SECOND = timedelta(seconds=1)


def changed(plan: RoundPlan, change: Change, now: datetime, closes: datetime | None = None) -> RoundChanged:
    """The event of a change. `closes` is the new end; a closing without one is now. Raises Problem 409 where the round's state
    does not allow it, 422 for an end that makes no sense."""
    state = state_at(plan, now)
    allowed = {
        "pause": ("open",),
        "resume": ("paused",),
        "extend": ("upcoming", "open", "paused", "closed"),
        "close": ("open", "paused"),
    }
    if state not in allowed[change]:
        raise Problem(409, f"round-{state}", "Trạng thái hiện tại của vòng thi không cho phép việc này.", field="round")
    if change == "pause":
        return RoundPaused(time=now, round=_next(plan, state="paused"))
    if change == "resume":
        return RoundOpened(time=now, round=_next(plan, state="open"))
    if change == "extend":
        if closes is None or closes <= max(plan.closes, now):
            raise Problem(422, "closes", "Lúc đóng mới phải sau lúc đóng cũ và sau bây giờ.", field="closes")
        return RoundExtended(time=now, round=_next(plan, closes=closes, state="open" if state == "closed" else plan.state))
    if closes is None:
        # Whole milliseconds, and never at the opening itself: a round is open from one to the other.
        at = max(now.replace(microsecond=now.microsecond // 1000 * 1000), plan.opens + _SECOND)
        return RoundClosed(time=now, round=_next(plan, closes=at, state="closed"))
    if not now < closes < plan.closes:
        raise Problem(422, "closes", "Lúc đóng sớm phải sau bây giờ và trước lúc đóng cũ.", field="closes")
    return RoundExtended(time=now, round=_next(plan, closes=closes))


def _next(plan: RoundPlan, **changes: Any) -> RoundPlan:
    return msgspec.structs.replace(plan, revision=plan.revision + 1, **changes)


class Rounds:
    """Changes rounds and tells of it."""

    def __init__(self, runtime: Runtime, book: ContestBook) -> None:
        self._runtime, self._book = runtime, book
        self._changes = runtime.store["changes"]

    async def change(self, round: str, change: Change, by: str, reason: str, closes: datetime | None = None) -> RoundPlan:
        """Changes a round by a person's word; everyone reads the reason. Raises Problem 404, 409 or 422, StoreDown, BusDown."""
        plan = self._book.round(round)
        if plan is None:
            raise Problem(404, "round", "Không có vòng thi này.", field="round")
        if not reason.strip():
            raise Problem(422, "reason", "Hãy ghi lý do; lý do được thông báo trên trang cuộc thi.", field="reason")
        event = changed(plan, change, self._runtime.clock.now(), closes)
        note = {"public": True, "change": change, "reason": reason.strip(), "by": by}
        if not (await self.settle([event], note))[0]:
            raise Problem(409, "round-changed", "Vòng thi vừa thay đổi. Hãy tải lại trang rồi làm lại.", field="round")
        return event.round

    async def settle(self, events: Sequence[RoundChanged], note: dict[str, Any] | None = None) -> list[bool]:
        """Makes facts of changes and tells what stands under their revisions. Returns which of the events that is."""
        facts = [_fact(event, note or {"public": False}) for event in events]
        known = await insert_facts(self._changes, facts)
        standing = await self._standing(known)
        told = [standing.get(event.id, event) for event in events]
        await self._tell(told)
        return [event.id not in known or standing[event.id] == event for event in events]

    async def left_untold(self) -> None:
        """Tells of the changes whose teller died before it could."""
        plans = [plan for contest in self._book.contests for plan in self._book.rounds(contest)]
        standing = await self._standing(f"{plan.id}/{plan.revision + 1}" for plan in plans)
        await self._tell(list(standing.values()))

    async def untold_ends(self, contest: str) -> dict[str, datetime]:
        """The latest end that a round of a contest has by changes that are stored and not known to the book yet. Raises
        StoreDown."""
        ends: dict[str, datetime] = {}
        with store_errors():
            found = [document async for document in self._changes.find({"contest": contest}, {"closes": 1})]
        for document in found:
            round, _, revision = str(document["_id"]).rpartition("/")
            plan = self._book.round(round)
            if plan is None or int(revision) > plan.revision:
                ends[round] = max(ends.get(round, document["closes"]), document["closes"])
        return ends

    async def _standing(self, ids: Iterable[str]) -> dict[str, RoundChanged]:
        wanted = list(ids)
        found = await find_ids(self._changes, wanted) if wanted else {}
        events = {id: decode(document["type"], document["body"]) for id, document in found.items()}
        return {id: event for id, event in events.items() if isinstance(event, RoundChanged)}

    async def _tell(self, events: Sequence[RoundChanged]) -> None:
        if events:
            await self._runtime.bus.publish([self._runtime.outgoing(event) for event in events])
            for event in events:
                self._book.apply(event)


def _fact(event: RoundChanged, note: dict[str, Any]) -> dict[str, Any]:
    plan = event.round
    body = {"type": event.type, "body": Binary(msgspec.json.encode(event))}
    return {"_id": event.id, "round": plan.id, "contest": plan.contest, "at": event.time, "closes": plan.closes, **body, **note}
