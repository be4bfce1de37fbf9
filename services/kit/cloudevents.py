"""CloudEvents 1.0 in binary mode: the attributes travel as headers, the body is the event itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec


def cloudevent(type: str, id: str, source: str, time: datetime) -> dict[str, str]:
    """The headers of an event, as the Kafka protocol binding names them."""
    return {
        "ce_specversion": "1.0",
        "ce_type": type,
        "ce_id": id,
        "ce_source": source,
        "ce_time": msgspec.to_builtins(time),
        "content-type": "application/json",
    }


def type_of(headers: Mapping[str, str]) -> str:
    """The type of a record's event; empty where it names none."""
    return headers.get("ce_type", "")
