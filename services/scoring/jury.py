"""What organisers decide after a round has closed: of cases, and of single attempts. Each decision has a reason and a name."""

from __future__ import annotations

from collections.abc import Sequence

from services.events import AttemptRuled, ContestBook
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.scoring.anomalies import KINDS, Kind
from services.scoring.casebook import Casebook, CaseState, Filed
from services.scoring.settlement import Settlements
from services.scoring.store import Verdicts

LEAST_REASON = 5
"""Letters of a reason that says something."""

MOST_REASON = 500
_TRIES = 5


class Jury:
    """Writes decisions down, then tells of them."""

    def __init__(self, runtime: Runtime, book: ContestBook) -> None:
        self._runtime, self._book = runtime, book
        self._casebook, self._verdicts = Casebook(runtime.store), Verdicts(runtime.store)
        self._settlements = Settlements(runtime.store)

    async def clear(self, case: str, reason: str, by: str) -> Filed:
        """Says that there is nothing wrong. Raises Problem 404, 409 or 422."""
        return await self._decide(case, "cleared", reason_of(reason), by)

    async def disqualify(self, case: str, reason: str, by: str) -> Filed:
        """Disqualifies all attempts of a case. Raises Problem 404, 409 or 422."""
        reason = reason_of(reason)
        found = await self._open_case(case)
        await self._rule(found.attempts, True, reason, by)
        return await self._decide(case, "disqualified", reason, by)

    async def clear_all(self, round: str, kind: str, reason: str, by: str) -> int:
        """Clears every open case of a kind; returns how many. Raises Problem 404, 409 or 422."""
        await self._check_round(round)
        found: Kind | None = next((each for each in KINDS if each == kind), None)
        if found is None:
            raise Problem(422, "kind", "Không có loại bất thường này.", field="kind")
        return await self._casebook.clear_all(round, found, reason_of(reason), by, self._runtime.clock.now())

    async def rule(self, attempt: str, disqualified: bool, reason: str, by: str) -> None:
        """Disqualifies one attempt, or takes that back. Raises Problem 404, 409 or 422."""
        if attempt not in await self._verdicts.standing([attempt]):
            raise Problem(404, "attempt", "Không có lượt thi này.", field="attempt")
        await self._check_round(attempt.partition(":")[2].rpartition(":")[0])
        await self._rule([attempt], disqualified, reason_of(reason), by)

    async def is_final(self, round: str) -> bool:
        """Whether nothing can be decided any more: the result is published. Raises StoreDown."""
        return (await self._settlements.get(round)).phase == "published"

    async def _open_case(self, case: str) -> Filed:
        found = await self._casebook.case(case)
        if found is None:
            raise Problem(404, "case", "Không có trường hợp này.", field="case")
        await self._check_round(found.round)
        if found.state != "open":
            raise Problem(409, "case-decided", "Trường hợp này đã được quyết định.", field="case")
        return found

    async def _decide(self, case: str, state: CaseState, reason: str, by: str) -> Filed:
        found = await self._open_case(case)
        if not await self._casebook.decide(case, state, reason, by, self._runtime.clock.now()):
            raise Problem(409, "case-decided", "Trường hợp này đã được quyết định.", field="case")
        return found

    async def _rule(self, attempts: Sequence[str], disqualified: bool, reason: str, by: str) -> None:
        """The rulings that change something: written, told, and marked as told. Whoever else rules at the same moment comes first
        or after."""
        for _ in range(_TRIES):
            known = await self._casebook.rulings(attempts)
            new = [
                self._ruling(attempt, chain[-1].revision + 1 if chain else 1, disqualified, reason, by)
                for attempt, chain in known.items()
                if (chain[-1].disqualified if chain else False) != disqualified
            ]
            if await self._casebook.rule(new):
                await self._runtime.bus.publish([self._runtime.outgoing(ruling) for ruling in new])
                await self._casebook.told(new)
                return
        raise Problem(409, "ruling", "Người khác vừa quyết định về lượt thi này. Hãy tải lại trang.")

    def _ruling(self, attempt: str, revision: int, disqualified: bool, reason: str, by: str) -> AttemptRuled:
        participant, _, rest = attempt.partition(":")
        round, _, n = rest.rpartition(":")
        return AttemptRuled(
            time=self._runtime.clock.now(),
            attempt=attempt,
            participant=participant,
            round=round,
            n=int(n),
            disqualified=disqualified,
            reason=reason,
            by=by,
            revision=revision,
        )

    async def _check_round(self, round: str) -> None:
        if self._book.round(round) is None:
            raise Problem(404, "round", "Không có vòng thi này.", field="round")
        if await self.is_final(round):
            raise Problem(409, "round-final", "Kết quả vòng thi đã công bố, không thay đổi được nữa.", field="round")


def reason_of(text: str) -> str:
    """A reason as it is kept. Raises Problem 422 for one that says nothing."""
    reason = " ".join(text.split())
    if not LEAST_REASON <= len(reason) <= MOST_REASON:
        raise Problem(
            422, "reason", "Hãy ghi lý do ({least} đến {most} ký tự).", field="reason", least=LEAST_REASON, most=MOST_REASON
        )
    return reason
