"""What a message says and what becomes of it: pure rules, no framework, driver or wire class."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

Outcome = Literal["sent", "failed", "again", "uncertain"]
"""What an attempt to send came to; `uncertain`: the gateway may have it."""

States = Literal["waiting", "sending", "sent", "failed", "uncertain"]
STATES: tuple[States, ...] = ("waiting", "sending", "sent", "failed", "uncertain")

LONGEST_WAIT = timedelta(minutes=30)


@dataclass(frozen=True)
class Contact:
    """Where a person wants to be written to."""

    email: str
    language: str


def message_id(attempt: str, revision: int) -> str:
    """The same for the same verdict, so that an event that comes twice makes one message."""
    return f"result/{attempt}/{revision}"


def wait_after(tries: int) -> timedelta:
    """How long a message waits after so many tries that the gateway put off."""
    return min(timedelta(seconds=15 * (1 << min(tries, 10))), LONGEST_WAIT)


def masked(email: str) -> str:
    """An address as the console shows it: enough to know it again, not enough to write to it."""
    name, _, host = email.partition("@")
    return f"{name[:1]}***@{host}"
