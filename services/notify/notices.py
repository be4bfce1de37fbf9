"""What reporting notices: units that lag become a draft that an organiser confirms, digests go to their readers. Facts only,
under ids that the notice decides, so that one that comes twice changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.events import ContestBook, DigestReady, TurnoutLagging, TurnoutSilenced, decode
from services.events.base import UnknownEvent
from services.kit.bus import DONE, NotReady, Outcome, Record, Reject, Subscription
from services.kit.cloudevents import type_of
from services.kit.i18n import show_time
from services.kit.runtime import Runtime
from services.notify.campaigns import Campaign, Campaigns, Figures, notice_campaign
from services.notify.contacts import Contacts
from services.notify.limits import Limits
from services.notify.mail import rendered
from services.notify.reminding import LANGUAGE
from services.notify.store import Outbox
from services.notify.words import DIGESTS, SUBJECT, UNITS_TEXT

NOTICES = Subscription("notify-notices", ("notices",))


class NoticesWorker:
    """A `services.kit.bus.Consumer` of one small topic, without a state of its own."""

    def __init__(self, runtime: Runtime, book: ContestBook, outbox: Outbox) -> None:
        self._runtime, self._book, self._outbox = runtime, book, outbox
        self._campaigns, self._contacts = Campaigns(runtime.store), Contacts(runtime.store)
        self._limits = Limits(runtime)

    async def consume(self, stop: Callable[[], bool]) -> None:
        """Works until `stop()`."""
        await self._runtime.bus.consume(NOTICES.topics, NOTICES.group, self, stop)

    async def assigned(self, partitions: Collection[int]) -> Mapping[tuple[str, int], int]:
        return {}

    async def revoked(self, partitions: Collection[int]) -> None:
        """Nothing is held."""

    async def handle(self, batch: Sequence[Record]) -> Sequence[Outcome]:
        return [await self._handle(record) for record in batch]

    async def _handle(self, record: Record) -> Outcome:
        try:
            event = decode(type_of(record.headers), record.value)
        except UnknownEvent:
            return DONE
        except msgspec.DecodeError as error:
            return Reject(str(error))
        if isinstance(event, TurnoutLagging | TurnoutSilenced):
            await self._lags(event)
        elif isinstance(event, DigestReady):
            await self._digest(event)
        return DONE

    async def _lags(self, event: TurnoutLagging | TurnoutSilenced) -> None:
        campaign = notice_campaign(event.contest, event.as_of)
        if isinstance(event, TurnoutLagging):
            figures = Figures(
                event.people, event.headcount, event.rate, as_of=event.as_of, category=event.category, round=event.round
            )
        else:
            figures = Figures(event.people, days=event.days, as_of=event.as_of)
        lag = {"campaign": campaign, "unit": event.unit, "figures": msgspec.to_builtins(figures, builtin_types=(datetime,))}
        await self._campaigns.add_lags([{"_id": event.id, **lag}])
        draft = Campaign(
            id=campaign,
            contest=event.contest,
            audience="contacts",
            subject=SUBJECT,
            text=UNITS_TEXT,
            made_at=event.time,
            as_of=event.as_of,
        )
        await self._campaigns.add([draft])

    async def _digest(self, event: DigestReady) -> None:
        contest = self._book.contests.get(event.contest)
        if contest is None:
            raise NotReady(f"the contest {event.contest} has not been published here yet")
        readers = [reader for reader in await self._contacts.readers(event.contest) if reader.period == event.period]
        times = {name: show_time(at, LANGUAGE, contest.timezone) for name, at in (("since", event.since), ("until", event.as_of))}
        text = rendered("digest.txt", LANGUAGE, {"digest": event, "title": contest.title, "owner": contest.owner, **times})
        messages: list[dict[str, Any]] = [
            {
                "_id": f"digest/{event.id}/{self._limits.key(reader.email)}",
                "purpose": "digest",
                "channel": "email",
                "contest": event.contest,
                "to": reader.email,
                "subject": f"{DIGESTS[event.period]}: {contest.title} ({times['until']})",
                "text": text,
                "state": "waiting",
                "due": self._runtime.clock.now(),
                "tries": 0,
            }
            for reader in readers
        ]
        await self._outbox.add(list({message["_id"]: message for message in messages}.values()))
