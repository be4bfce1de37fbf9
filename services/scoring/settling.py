"""Settles rounds: commits to a draw before they close, makes the outcome and its file when asked, tells what was published.

The owner of partition 0 does it; each step may be done twice.
"""

from __future__ import annotations

import asyncio
import gzip
import io
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from services.events import ContestPublished, ParticipantErased, ParticipantRegistered, RoundFinalised, RoundPlan, RoundRanked
from services.kit.bus import BusDown, Transient
from services.kit.clock import us_of
from services.kit.cloudevents import type_of
from services.kit.notary import Notary
from services.kit.runtime import Runtime
from services.scoring import awards, handlers, overall, publication
from services.scoring.casebook import Casebook
from services.scoring.closing import PROPOSED
from services.scoring.domain import MINUTE, Judged, Row
from services.scoring.exclusions import Exclusions
from services.scoring.handlers import Library
from services.scoring.headcounts import Headcounts
from services.scoring.overall import Overall, Part
from services.scoring.publication import Final
from services.scoring.scopes import closing_day
from services.scoring.settlement import Committed, Outcome, Settlement, Settlements
from services.scoring.store import Head, Standings, encoded, marks_of, read_states, read_views

log = structlog.get_logger(__name__)

UNPUBLISHED = "Còn vòng thi chưa công bố kết quả."
FAILED = "Không tính được giải: hệ thống gặp lỗi. Hãy báo người vận hành."

DISQUALIFIED = "disqualified"
"""The reason that the file gives: the words of a person may name somebody."""


class Settler:
    """Looks anew at every turn."""

    def __init__(self, runtime: Runtime, library: Library, headcounts: Headcounts) -> None:
        self._runtime, self._library, self._headcounts = runtime, library, headcounts
        self._exclusions = Exclusions(runtime.store)
        self._standings, self._casebook = Standings(runtime.store), Casebook(runtime.store)
        self._settlements = Settlements(runtime.store)
        self._notary = Notary(runtime.secrets.get("receipt.key"))
        self._committed: set[str] = set()

    async def turn(self) -> None:
        """Commits, settles, tells. Raises StoreDown."""
        await self._commit()
        for settlement in await self._settlements.asked():
            await self._apart(self._settle, settlement)
        for settlement in await self._settlements.untold():
            await self._apart(self._tell, settlement)

    async def _apart(self, step: Callable[[Settlement], Awaitable[None]], settlement: Settlement) -> None:
        """One settlement stops neither another nor the ranking of rounds: what fails is tried again at the next turn."""
        try:
            await step(settlement)
        except (Transient, BusDown) as error:
            log.warning("settling.put_off", of=settlement.round, error=str(error))
        except Exception:
            log.exception("settling.failed", of=settlement.round)
            await self._settlements.give_up(settlement.round, FAILED)

    async def _commit(self) -> None:
        book = self._library.book
        for id in (*book.contests, *(plan.id for contest in book.contests for plan in book.rounds(contest))):
            if id not in self._committed:
                await self._settlements.commit(id, self._runtime.clock.now())
                self._committed.add(id)

    async def _settle(self, settlement: Settlement) -> None:
        if settlement.round in self._library.book.contests:
            await self._settle_contest(self._library.book.contests[settlement.round], settlement)
        else:
            await self._settle_round(settlement)

    async def _settle_contest(self, contest: ContestPublished, settlement: Settlement) -> None:
        committed = await self._settlements.committed(contest.contest)
        if committed is None:
            return  # not yet; the next turn looks again
        plans = self._library.book.rounds(contest.contest)
        parts: list[Part] = []
        for plan in plans:
            part = await self._part(plan)
            if part is None:
                await self._settlements.give_up(contest.contest, UNPUBLISHED)
                return
            parts.append(part)
        excluded = await self._exclusions.overall(contest.contest, [plan.id for plan in plans])
        day = max(closing_day(contest, part.plan) for part in parts)
        known = Overall(
            contest=contest.contest,
            title=contest.title,
            owner=contest.owner,
            timezone=contest.timezone,
            parts=parts,
            finalised_at=self._runtime.clock.now(),
            salt=committed.salt,
            drawing=committed.drawing,
            committed_at=committed.committed_at,
            prizes=settlement.prizes,
            unit_prizes=settlement.unit_prizes,
            units=awards.figures(contest, day, overall.homes(parts).values(), settlement.unit_prizes, self._headcounts),
            excluded={each.participant: each.why for each in excluded},
        )
        concluded = await asyncio.to_thread(lambda: overall.conclude(known, overall.standings(known)))
        known = msgspec.structs.replace(known, names=await self._names(contest.contest, concluded))
        outcome, content = await asyncio.to_thread(self._make_overall, known, settlement.checksum)
        await self._settlements.keep_file(contest.contest, outcome.digest, content)
        if await self._settlements.settle(contest.contest, outcome):
            log.info("contest.settled", contest=contest.contest, awards=len(outcome.awards), bytes=len(content))

    async def _names(self, contest: str, concluded: publication.Outcome) -> dict[str, str]:
        """The full names of those who won a prize and agreed to it, by participant: read from the log, where they are kept."""
        version = self._library.book.contests[contest].publishing_consent
        winners = {concluded.participants[award.winner] for award in concluded.awards if award.winner in concluded.participants}
        if not version or not winners:
            return {}
        last: dict[str, ParticipantRegistered | ParticipantErased] = {}
        async for batch in self._runtime.bus.batches("participants"):
            for record in batch:
                event = handlers.person(type_of(record.headers), record.value) if record.key in winners else None
                if event is not None and (record.key not in last or event.revision >= last[record.key].revision):
                    last[record.key] = event
            await asyncio.sleep(0)
        agreed = {who: each for who, each in last.items() if isinstance(each, ParticipantRegistered)}
        return {who: each.name for who, each in agreed.items() if each.consent == version}

    async def _part(self, plan: RoundPlan) -> Part | None:
        """A published round, from the file that everyone has; None where it is not published."""
        settlement, committed = await self._settlements.get(plan.id), await self._settlements.committed(plan.id)
        if settlement.phase != "published" or settlement.outcome is None or committed is None:
            return None
        digest, rows = settlement.outcome.digest, await self._rows(plan.id, settlement.outcome.checksum)
        packed = b"".join([piece async for piece in self._settlements.file(plan.id, digest)])
        lines = (await asyncio.to_thread(gzip.decompress, packed)).splitlines()
        return await asyncio.to_thread(overall.part, plan, digest, lines, committed.salt, rows)

    def _make_overall(self, known: Overall, checksum: str) -> tuple[Outcome, bytes]:
        rows = overall.standings(known)
        concluded = overall.conclude(known, rows)
        out = io.BytesIO()
        digest = overall.write(out, known, rows, concluded, self._notary)
        unit_of = {row.participant: row.unit for row in rows}
        outcome = Outcome(
            awards=tuple(concluded.awards),
            draws=publication.draws_of(known.drawing, known.committed_at, concluded.minutes),
            names=concluded.names,
            units={id: unit_of[participant] for id, participant in concluded.participants.items()},
            digest=digest,
            checksum=checksum,
            perfect=0,
            finalised_at=known.finalised_at,
            awarded=overall.awarded(known, rows, concluded),
            uncounted=awards.uncounted(known.unit_prizes, known.units),
        )
        return outcome, out.getvalue()

    async def _settle_round(self, settlement: Settlement) -> None:
        plan, head = self._library.plan(settlement.round), await self._standings.head(settlement.round)
        committed = await self._settlements.committed(plan.id)
        if head is None or head.checksum != settlement.checksum or head.closes != us_of(plan.closes):
            await self._settlements.give_up(plan.id, "Xếp hạng vừa thay đổi. Hãy xem lại rồi chốt lần nữa.")
            return
        if self._library.proposal(plan.id) is not None:
            await self._settlements.give_up(plan.id, PROPOSED)
            return
        judged = await self._judged(plan.id, head)
        if committed is None or judged is None:
            return  # not yet; the next turn looks again
        final = await self._final(plan, settlement, head, committed, judged)
        concluded = await asyncio.to_thread(publication.conclude, final)
        final = msgspec.structs.replace(final, names=await self._names(plan.contest, concluded))
        outcome, content = await asyncio.to_thread(self._make, final, head)
        await self._settlements.keep_file(plan.id, outcome.digest, content)
        if await self._settlements.settle(plan.id, outcome):
            log.info("round.settled", round=plan.id, awards=len(outcome.awards), bytes=len(content))

    def _make(self, final: Final, head: Head) -> tuple[Outcome, bytes]:
        concluded = publication.conclude(final)
        out = io.BytesIO()
        digest = publication.write(out, final, concluded, self._notary)
        unit_of = {row.participant: row.unit for row in final.rows}
        outcome = Outcome(
            awards=tuple(concluded.awards),
            draws=publication.draws(final, concluded.minutes),
            names=concluded.names,
            units={id: unit_of[participant] for id, participant in concluded.participants.items()},
            digest=digest,
            checksum=head.checksum,
            perfect=final.perfect,
            finalised_at=final.finalised_at,
            finalised=msgspec.structs.replace(
                head.told_as(RoundFinalised, final.plan, final.finalised_at), override=final.override
            ),
            awarded=awards.awarded(final, concluded),
            uncounted=awards.uncounted(final.unit_prizes, final.units),
            basis=head.basis,
        )
        return outcome, out.getvalue()

    async def _final(
        self, plan: RoundPlan, settlement: Settlement, head: Head, committed: Committed, judged: list[Judged]
    ) -> Final:
        contest = self._library.book.contests[plan.contest]
        keyed = self._library.standing_key(plan.id)
        rows = await self._rows(plan.id, head.checksum)
        ruled = await self._casebook.ruled(plan.id)
        homes = await asyncio.to_thread(awards.latest_units, judged)
        return Final(
            plan=plan,
            title=contest.title,
            owner=contest.owner,
            timezone=contest.timezone,
            judged=judged,
            rows=rows,
            perfect=head.perfect,
            key_version=keyed.version if keyed else 0,
            finalised_at=self._runtime.clock.now(),
            salt=committed.salt,
            revision=head.revision,
            reasons={ruling.attempt: DISQUALIFIED for ruling in ruled if ruling.disqualified},
            deadlines={each.attempt: _deadline(each, plan) for each in judged if each.extra},
            prizes=settlement.prizes,
            unit_prizes=settlement.unit_prizes,
            excluded={each.participant: each.why for each in await self._exclusions.of(plan.id)},
            units=awards.figures(contest, closing_day(contest, plan), homes.values(), settlement.unit_prizes, self._headcounts),
            drawing=committed.drawing,
            committed_at=committed.committed_at,
            override=settlement.override is not None,
        )

    async def _judged(self, round: str, head: Head) -> list[Judged] | None:
        """What stands for every attempt of a round; None while it is not what was ranked."""
        marks, keyed = marks_of(round, await read_views(self._runtime.store)), self._library.standing_key(round)
        if encoded(marks) != head.marks:
            return None  # it is being ranked anew
        if keyed is not None and any(mark.key != keyed.version for mark in marks.values()):
            return None  # a mended key is being applied
        states = await read_states(self._runtime.store, round, marks)
        if states is None:
            return None
        return await asyncio.to_thread(lambda: [judged for state in states.values() for judged, _ in state.judged(round)])

    async def _rows(self, round: str, checksum: str) -> list[Row]:
        rows: list[Row] = []
        number, more = 0, True
        while more:
            found = await self._standings.page(round, checksum, "", number)
            if found is None:
                break
            rows += found[0]
            number, more = number + 1, found[1]
        return rows

    async def _tell(self, settlement: Settlement) -> None:
        """Tells what was settled, as it was then: the standings may have changed since."""
        outcome = settlement.outcome
        if outcome is not None and outcome.finalised is not None:
            await self._tell_ranking(outcome.finalised)
        events = [each for each in (outcome.finalised, outcome.awarded) if each is not None] if outcome else []
        await self._runtime.bus.publish([self._runtime.outgoing(event) for event in events])
        await self._settlements.told(settlement.round)
        log.info("results.told", round=settlement.round)

    async def _tell_ranking(self, finalised: RoundFinalised) -> None:
        """The standings of a round with a prediction, which nobody outside was told of before."""
        if self._library.plan(finalised.round).prediction is None:
            return
        ranked = RoundRanked(**{name: getattr(finalised, name) for name in RoundRanked.__struct_fields__})
        for event in handlers.ranking_told(ranked, await self._rows(ranked.round, ranked.checksum)):
            await self._runtime.bus.publish([self._runtime.outgoing(event)])


def _deadline(judged: Judged, plan: RoundPlan) -> int:
    """When an attempt with extra time was to be in, in µs."""
    return min(judged.started + (plan.minutes + judged.extra) * MINUTE, us_of(plan.closes))
