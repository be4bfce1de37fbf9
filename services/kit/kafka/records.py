"""Records as Kafka carries them: headers are bytes, anything may be null, and not every producer is ours."""

from __future__ import annotations

from aiokafka import ConsumerRecord

from services.kit.bus import Outgoing, Record

Header = tuple[str, bytes]


def received(raw: ConsumerRecord[bytes | None, bytes | None], topic: str) -> Record:
    """Never raises: what a foreign producer left out is empty, what is no UTF-8 shows as such to the one who decodes."""
    return Record(
        topic,
        raw.partition,
        raw.offset,
        raw.key.decode(errors="replace") if raw.key else "",
        raw.value or b"",
        {name: (value or b"").decode(errors="replace") for name, value in raw.headers},
        raw.timestamp,
    )


def headers(record: Outgoing) -> list[Header]:
    """A record's headers as bytes."""
    return [(name, value.encode()) for name, value in record.headers.items()]
