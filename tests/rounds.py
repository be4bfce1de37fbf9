"""Rounds as tests need them: ended now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from deploy.local.wiring import House
from services.events import ContestBook, RoundClosed
from services.kit.cloudevents import type_of
from tests.site import Site


async def close_round(site: Site, round: str, **changes: Any) -> None:
    """Ends a round now, as an organiser would; with other changes of its plan, as none could."""
    house, book = House(site.settings), ContestBook()
    for record in await house.bus.read("contests"):
        book.read(type_of(record.headers), record.value)
    plan = book.round(round)
    assert plan
    now = house.clock.now() + timedelta(milliseconds=200)
    closed = msgspec.structs.replace(plan, state="closed", closes=now, revision=plan.revision + 1, **changes)
    await house.bus.publish([house.runtime("quiz").outgoing(RoundClosed(time=now, round=closed))])
    await house.close()
