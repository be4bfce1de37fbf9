"""Sends what waits in the outbox. A message is claimed durably before it is sent, so that no crash sends it twice; a reminder has
taken its slot before that, so that nobody gets too many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, time, timedelta
from time import time as clock_time
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from services.events import ContestBook, Event, MessageDelivered, MessageFailed
from services.kit.bus import BusDown, Transient
from services.kit.metrics import GATEWAY_OPEN, MESSAGES
from services.kit.runtime import Runtime
from services.notify.campaigns import Campaigns
from services.notify.domain import Channel, Result, awake
from services.notify.gateways import Deliver, Gateway, GatewayAway, http_gateways, unclear
from services.notify.limits import Limits
from services.notify.mail import Smtp
from services.notify.members import Members
from services.notify.store import CLAIM, Outbox
from services.notify.zalo import Tokens, Zalo

PATIENCE = CLAIM * 0.75
"""Sending one message takes no longer, all its steps together: who claimed it is not to be taken for dead meanwhile."""

_AT_ONCE = 48
_FAULTS, _REST_S = 5, 30.0
"""A gateway that is away so often in a row is left alone for so many seconds."""

log = structlog.get_logger(__name__)


class _Away(Exception):
    """Told to the circuit breaker where a gateway, not a message, is at fault."""


class Sender:
    """Sends through the gateways that there are; messages of other channels wait."""

    def __init__(
        self,
        runtime: Runtime,
        outbox: Outbox,
        book: ContestBook,
        gateways: Sequence[Gateway] | None = None,
        patience: timedelta = PATIENCE,
    ) -> None:
        self._runtime, self._outbox, self._book, self._patience = runtime, outbox, book, patience.total_seconds()
        self._gateways = gateways_of(runtime) if gateways is None else gateways
        self._limits, self._members, self._campaigns = Limits(runtime), Members(runtime.store), Campaigns(runtime.store)
        self._breakers = AsyncCircuitBreakerFactory(default_threshold=_FAULTS, default_ttl=_REST_S)
        self._left_alone: dict[Channel, datetime] = {}

    async def run(self, stop: Callable[[], bool]) -> None:
        """Sends until `stop()`."""
        while not stop():
            sent = 0
            try:
                sent = await self.send_due(stop)
            except (Transient, BusDown) as error:
                log.warning("messages.put_off", error=str(error))
            if not sent:
                await asyncio.sleep(0.5)

    async def send_due(self, stop: Callable[[], bool]) -> int:
        """Sends what is due, all gateways side by side; returns how many messages were looked at. Raises StoreDown, BusDown."""
        repeatable = [gateway.channel for gateway in self._gateways if gateway.repeatable]
        await self._outbox.find_lost(self._runtime.clock.now(), repeatable)
        return sum(await asyncio.gather(*(self._send_through(gateway, stop) for gateway in self._gateways)))

    async def _send_through(self, gateway: Gateway, stop: Callable[[], bool]) -> int:
        if await self._rests(gateway):
            return 0
        due = await self._outbox.waiting(gateway.channel, self._runtime.clock.now(), _AT_ONCE)
        if not due:
            return 0
        seen = 0
        try:
            async with gateway.session() as deliver:
                while due and not stop() and not await self._rests(gateway):
                    some, due = due[: gateway.at_once], due[gateway.at_once :]
                    seen += len(some)
                    tries = (self._send(gateway, deliver, message) for message in some)
                    # All end before the session does, also where the store fails one of them.
                    for ended in await asyncio.gather(*tries, return_exceptions=True):
                        if isinstance(ended, BaseException):
                            raise ended
        except GatewayAway as error:
            log.warning("gateway.away", channel=gateway.channel, error=str(error))
            await self._note(gateway, Result("again", away=True))
            return 0
        return seen

    async def _rests(self, gateway: Gateway) -> bool:
        """Whether the gateway is to be left alone: it asked for it, or was away too often."""
        now = self._runtime.clock.now()
        context = (await self._breakers.get_breaker(gateway.channel)).context
        opened = context.opened_at is not None and clock_time() <= context.opened_at + context.ttl
        GATEWAY_OPEN.labels(gateway.channel).set(opened)
        return opened or now < self._left_alone.get(gateway.channel, now)

    async def _note(self, gateway: Gateway, result: Result) -> None:
        """Tells the circuit breaker how the gateway did, and remembers how long it asked to be left alone."""
        with suppress(_Away, OpenedState):
            async with await self._breakers.get_breaker(gateway.channel):
                if result.away:
                    raise _Away
        if result.after:
            self._left_alone[gateway.channel] = self._runtime.clock.now() + result.after

    async def _send(self, gateway: Gateway, deliver: Deliver, message: Mapping[str, Any]) -> None:
        now = self._runtime.clock.now()
        if not message["to"]:  # they were erased while it was on its way
            await self._outbox.skip(message["_id"], "erased")
            return
        if message["purpose"] == "reminder" and not await self._may_go(message, now):
            return
        if not await self._outbox.claim(message["_id"], self._runtime.clock.now()):
            return
        result = await self._deliver(gateway, deliver, message)
        await self._note(gateway, result)
        MESSAGES.labels(gateway.channel, result.outcome).inc()
        log.info("message", message=message["_id"], channel=gateway.channel, outcome=result.outcome, reason=result.reason)
        if result.outcome == "again":
            await self._outbox.put_off(message["_id"], self._runtime.clock.now(), message["tries"], result)
            return
        if result.refused:  # the address in use is that of the first key
            await self._limits.opt_out(message["keys"][:1], now)
        await self._tell(message, result)
        if result.outcome == "failed" and message["purpose"] == "reminder" and not message.get("doubt"):
            await self._limits.release(message["contest"], message["keys"], message["_id"])
        await self._outbox.ended(message["_id"], result.outcome, result.reason)

    async def _deliver(self, gateway: Gateway, deliver: Deliver, message: Mapping[str, Any]) -> Result:
        try:
            async with asyncio.timeout(self._patience):
                return await deliver(message)
        except TimeoutError:  # slow in many steps, each of which was quick enough
            return unclear(gateway, "TimeoutError")

    async def _may_go(self, message: Mapping[str, Any], now: datetime) -> bool:
        """Whether a reminder may go now; if not, it waits on, or is not sent for a reason of the person's."""
        wake = awake(now, *quiet(self._runtime), self._zone(message["contest"]))
        if wake > now:
            await self._outbox.postpone(message["_id"], wake)
            return False
        why = await self._objection(message, now) or await self._limits.take(
            message["contest"], message["keys"], message["_id"], now
        )
        if why:
            log.info("message.skipped", message=message["_id"], reason=why)
            await self._outbox.skip(message["_id"], why)
        return not why

    async def _objection(self, message: Mapping[str, Any], now: datetime) -> str:
        if message.get("until") and now >= message["until"]:
            return "too late"
        if await self._campaigns.cancelled(message["campaign"]):  # while its messages were being written
            return "cancelled"
        if await self._limits.opted_out(message["keys"]):
            return "opted out"
        if participant := message.get("participant"):
            person = await self._members.find(participant, message["contest"], message["units"][0])
            if person and person.took_part(message.get("round")):
                return "took part"
        return ""

    def _zone(self, contest: str) -> ZoneInfo:
        known = self._book.contests.get(contest)
        return ZoneInfo(known.timezone if known else "Asia/Ho_Chi_Minh")

    async def _tell(self, message: Mapping[str, Any], result: Result) -> None:
        """Publishes what became of a message; of a reminder about several units, for each of them."""
        if result.outcome == "uncertain":
            return
        # People are nobody's unit here: `unit` says which one was urged on, through those who look after it.
        units: Sequence[str | None] = message["units"] if message.get("audience") == "contacts" else [None]
        events: list[Event] = []
        for place, unit in enumerate(units):
            about = {
                "time": self._runtime.clock.now(),
                "message": message["_id"] if place == 0 else f"{message['_id']}/{unit}",
                "contest": message["contest"],
                "channel": message["channel"],
                "purpose": message["purpose"],
                "unit": unit,
            }
            events.append(MessageDelivered(**about) if result.outcome == "sent" else MessageFailed(**about, reason=result.reason))
        await self._runtime.bus.publish([self._runtime.outgoing(event) for event in events])


def quiet(runtime: Runtime) -> tuple[time, time]:
    """The quiet hours."""
    return time.fromisoformat(runtime.settings.quiet_from), time.fromisoformat(runtime.settings.quiet_until)


def gateways_of(runtime: Runtime) -> list[Gateway]:
    """The gateways that the settings name."""
    found: list[Gateway] = [Smtp(runtime)] if runtime.settings.smtp_url else []
    if runtime.settings.zalo_template and (runtime.settings.zalo_token.get_secret_value() or Tokens(runtime).renewable):
        found.append(Zalo(runtime))
    return [*found, *http_gateways(runtime.settings, runtime.clock)]
