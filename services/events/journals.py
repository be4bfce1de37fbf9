"""How far each host's journal has come: no round is settled while one still holds submissions of it (design §4.4)."""

from __future__ import annotations

from typing import ClassVar

from services.events.base import PREFIX, Event, Moment, rfc3339


class JournalDrained(Event, frozen=True, kw_only=True):
    """The brokers hold all that this host received before `until` (None: nobody can say yet). `time` says that it lives.

    `host` is random and stays with the host's data directory; `machine` is what people call it. One that has `left` holds
    nothing back and takes nothing more, until it speaks again.
    """

    type: ClassVar[str] = PREFIX + "journal.drained.v1"
    topic: ClassVar[str] = "journals"

    host: str
    machine: str = ""
    until: Moment | None = None
    left: bool = False

    @property
    def key(self) -> str:
        return self.host

    @property
    def id(self) -> str:
        return f"{self.host}/{rfc3339(self.time)}"
