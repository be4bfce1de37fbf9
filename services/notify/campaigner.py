"""Turns confirmed campaigns into messages, follows them to their end, and deletes rosters whose time is over. Any step may be
done twice, by one worker or by several: ids decide, and a campaign is only written where nobody has written it since."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import structlog

from services.events import ContestBook
from services.kit.bus import BusDown, Transient
from services.kit.runtime import Runtime
from services.notify.campaigns import Campaign, Campaigns
from services.notify.contacts import Rosters
from services.notify.reminding import Reminding
from services.notify.store import Outbox

PACE_S, LONGEST_PAUSE_S = 2.0, 600.0
FORGET_EACH = timedelta(days=1)
WAITED = timedelta(days=30)
"""What has waited this long when its contest is to be forgotten has no gateway: it is not kept for one."""

_IN_ONE = 1000

log = structlog.get_logger(__name__)


class Campaigner:
    """Works on the campaigns that were confirmed."""

    def __init__(self, runtime: Runtime, book: ContestBook, outbox: Outbox) -> None:
        self._runtime, self._book, self._outbox = runtime, book, outbox
        self._campaigns, self._rosters = Campaigns(runtime.store), Rosters(runtime.store)
        self._reminding = Reminding(runtime, book)
        self._counting: dict[str, tuple[float, float]] = {}
        self._forgot: dict[str, datetime] = {}

    async def run(self, stop: Callable[[], bool]) -> None:
        """Works until `stop()`."""
        while not stop():
            try:
                await self.step()
                await self.forget_rosters()
            except (Transient, BusDown) as error:
                log.warning("campaigns.put_off", error=str(error))
            until = self._runtime.clock.monotonic() + PACE_S
            while not stop() and self._runtime.clock.monotonic() < until:  # noqa: ASYNC110 (`stop` is no event)
                await asyncio.sleep(0.2)

    async def step(self) -> None:
        """Takes every campaign that is at work one step on. Raises StoreDown."""
        for campaign in await self._campaigns.at_work():
            if campaign.contest not in self._book.contests:
                continue
            await (self._begin(campaign) if campaign.state == "confirmed" else self._follow(campaign))

    async def _begin(self, campaign: Campaign) -> None:
        plan = await self._reminding.plan(campaign)
        for at in range(0, len(plan.recipients), _IN_ONE):  # a whole city's messages are more than memory likes
            some = replace(plan, recipients=plan.recipients[at : at + _IN_ONE])
            await self._outbox.add(self._reminding.messages(campaign, some))
        began = msgspec.structs.replace(
            campaign, state="sending", recipients=len(plan.recipients), left_out={k: n for k, n in plan.left_out.items() if n}
        )
        if await self._campaigns.put(began) is None:
            now = await self._campaigns.get(campaign.id)
            if now and now.state == "cancelled":
                await self._outbox.cancel(campaign.id)

    async def _follow(self, campaign: Campaign) -> None:
        clock, ended = self._runtime.clock, not await self._outbox.at_work(campaign.id)
        due, pause = self._counting.get(campaign.id, (0.0, PACE_S))
        began = clock.monotonic()
        if began < due and not ended:
            return
        counts = {state: n for state, n in (await self._outbox.counts(campaign.id, limit=0)).items() if n}
        still = counts == campaign.counts
        # Counting looks at every message: a twentieth of the time at most, and ever more rarely where nothing moves.
        pause = max(min(2 * pause, LONGEST_PAUSE_S) if still else PACE_S, 20 * (clock.monotonic() - began))
        self._counting[campaign.id] = (clock.monotonic() + pause, pause)
        if still and not ended:
            return
        after = msgspec.structs.replace(campaign, counts=counts)
        if ended:
            after = msgspec.structs.replace(after, state="done", ended_at=clock.now())
            del self._counting[campaign.id]
        await self._campaigns.put(after)

    async def forget_rosters(self) -> None:
        """Deletes the rosters of contests that ended long ago, and whom their messages went to, once a day. Raises StoreDown."""
        now, kept = self._runtime.clock.now(), timedelta(days=self._runtime.settings.roster_days)
        for contest in list(self._book.contests):
            ended = max((plan.closes for plan in self._book.rounds(contest)), default=None)
            last = self._forgot.get(contest)
            if ended and now > ended + kept and (last is None or now - last >= FORGET_EACH):
                await self._rosters.delete_of(contest)
                await self._outbox.forget(contest, now - WAITED)
                self._forgot[contest] = now
