"""What every event is: a frozen struct with a type, a topic, a key and an id that its content decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, ClassVar

import msgspec

PREFIX = "vn.hoithi."

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its offset from UTC. One without is refused where it is decoded, not met in the first comparison."""

rfc3339: Callable[[datetime], str] = msgspec.to_builtins
"""A time as it stands in the body of an event."""

registry: dict[str, type[Event]] = {}
"""Every event class by its CloudEvents type, filled as the classes are defined."""


class UnknownEvent(ValueError):
    """The type of a record names no event that this version knows."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A past-tense fact. Subclasses set `type` and `topic` and say their `key` and `id`.

    `type` is reverse-DNS with a major version; within it only optional fields are added.
    `time` is when the fact came to be, in UTC.
    """

    type: ClassVar[str] = ""
    topic: ClassVar[str] = ""

    time: Moment

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.type:
            registry[cls.type] = cls

    @property
    def key(self) -> str:
        """The Kafka key: whose order matters, and whose last record a compacted topic keeps."""
        raise NotImplementedError

    @property
    def id(self) -> str:
        """The same for the same fact, however often it is produced."""
        raise NotImplementedError


_encoder = msgspec.json.Encoder()
_decoders: dict[str, msgspec.json.Decoder[Any]] = {}


def encode(event: Event) -> bytes:
    """The JSON body of an event, UTF-8, times in RFC 3339."""
    return _encoder.encode(event)


def decode(type: str, body: bytes) -> Event:
    """The event of this CloudEvents type. Raises UnknownEvent, or msgspec.DecodeError for a broken or unfit body."""
    decoder = _decoders.get(type)
    if decoder is None:
        cls = registry.get(type)
        if cls is None:
            raise UnknownEvent(f"no event has the type {type!r}")
        decoder = _decoders[type] = msgspec.json.Decoder(cls)
    event: Event = decoder.decode(body)
    return event
