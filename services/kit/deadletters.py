"""Dead letters, read by a person and sent again once what stood in their way is mended.

A dead-letter topic is a log like any other: a letter that has been sent again stays, and a mark beside it says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.kit.bus import FATE, Bus, Outgoing, Record, dead_letter, dead_letter_topic

_RETRIED = "retried"
"""The header of a mark: which letter, as "partition/offset"."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A record that a consumer could not handle. `record` is as it lies in the dead-letter topic."""

    topic: str
    record: Record
    retried: bool

    @property
    def place(self) -> str:
        """Where it lies in the dead-letter topic: "partition/offset"."""
        return f"{self.record.partition}/{self.record.offset}"

    @property
    def error(self) -> str:
        """Why it is dead."""
        return self.record.headers.get("error", "")


async def letters(bus: Bus, topic: str) -> Sequence[Letter]:
    """All dead letters of a topic, the oldest first. Raises BusDown."""
    records = await bus.read(dead_letter_topic(topic))
    retried = {record.headers[_RETRIED] for record in records if _RETRIED in record.headers}
    dead = sorted((record for record in records if "error" in record.headers), key=lambda record: record.timestamp)
    return [Letter(topic, record, f"{record.partition}/{record.offset}" in retried) for record in dead]


async def retry(bus: Bus, letter: Letter, body: bytes | None = None) -> None:
    """Sends a letter to its topic again, with a mended body where one is given, and marks it. Raises BusDown.

    A crash between the two sends it twice, which consumers don't mind.
    """
    record = letter.record
    headers = {name: value for name, value in record.headers.items() if name not in FATE}
    await bus.publish([Outgoing(letter.topic, record.key, record.value if body is None else body, headers)])
    await bus.publish([Outgoing(dead_letter_topic(letter.topic), record.key, b"", {_RETRIED: letter.place})])


async def bury(bus: Bus, record: Record, error: str) -> None:
    """Makes a dead letter of a record, unless it lies there already: a topic that is read whole shows it at every start."""
    place = (str(record.partition), str(record.offset))
    found = await letters(bus, record.topic)
    if all((letter.record.headers["partition"], letter.record.headers["offset"]) != place for letter in found):
        await bus.publish([dead_letter(record, error, 1)])
