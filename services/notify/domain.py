"""What a message says, when it may go, and what becomes of it: pure rules, no framework, driver or wire class."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from anyascii import anyascii

Channel = Literal["email", "sms", "zalo", "webhook"]
CHANNELS: tuple[Channel, ...] = ("email", "sms", "zalo", "webhook")

Outcome = Literal["sent", "failed", "again", "uncertain"]
"""What an attempt to send came to; `uncertain`: the gateway may have it."""

States = Literal["waiting", "sending", "sent", "failed", "uncertain", "skipped"]
STATES: tuple[States, ...] = ("waiting", "sending", "sent", "failed", "uncertain", "skipped")
"""A message that is `skipped` was not sent for a reason of the person's: an opt-out, a cap, a part already taken."""

LONGEST_WAIT = timedelta(minutes=30)

GSM_ONE, GSM_MANY, UNICODE_ONE, UNICODE_MANY = 160, 153, 70, 67
"""Characters of an SMS, alone and as one of several parts: in plain letters, and with diacritics."""

BLANK = re.compile(r"\{(\w+)\}")
"""A placeholder in a reminder's text."""


@dataclass(frozen=True)
class Contact:
    """Where a person wants to be written to."""

    email: str
    language: str


@dataclass(frozen=True)
class Result:
    """What an attempt to send came to. `reason` names nobody. `after`: how long the gateway asks to be left alone. `away`: it
    says something of the gateway, not of the message. `doubt`: the message may have arrived although it goes out again.
    `refused`: the person wants none."""

    outcome: Outcome
    reason: str = ""
    after: timedelta | None = None
    away: bool = False
    doubt: bool = False
    refused: bool = False


def message_id(attempt: str, revision: int) -> str:
    """The same for the same verdict, so that an event that comes twice makes one message."""
    return f"result/{attempt}/{revision}"


def reminder_id(campaign: str, person: str) -> str:
    """One message a campaign and person, however often the campaign is begun anew."""
    return f"reminder/{campaign}/{person}"


def wait_after(tries: int) -> timedelta:
    """How long a message waits after so many tries that the gateway put off."""
    return min(timedelta(seconds=15 * (1 << min(tries, 10))), LONGEST_WAIT)


def masked(address: str) -> str:
    """An e-mail address or a phone number as the console shows it: enough to know it again, not enough to write to it."""
    name, at, host = address.partition("@")
    if at:
        return f"{name[:1]}***@{host}"
    return f"***{address[-3:]}" if len(address) > 6 else address


class Slot(NamedTuple):
    """A reminder that a person got, or is about to get."""

    message: str
    at: datetime


Refusal = Literal["", "cap", "gap"]


def refusal(slots: Sequence[Slot], message: str, now: datetime, most: int, gap: timedelta) -> Refusal:
    """Why a person may not be reminded now; "" where they may. A message that has its slot already keeps it."""
    others = [slot for slot in slots if slot.message != message]
    if len(others) < len(slots):
        return ""
    if len(others) >= most:
        return "cap"
    return "gap" if any(abs(now - slot.at) < gap for slot in others) else ""


def awake(now: datetime, quiet_from: time, quiet_until: time, zone: ZoneInfo) -> datetime:
    """`now`, or the end of the quiet hours where it lies in them. Equal times mean that there are none."""
    local = now.astimezone(zone)
    at = local.time()
    over_midnight = quiet_from > quiet_until
    quiet = (at >= quiet_from or at < quiet_until) if over_midnight else quiet_from <= at < quiet_until
    if not quiet:
        return now
    day = local.date() + timedelta(days=1 if over_midnight and at >= quiet_from else 0)
    return datetime.combine(day, quiet_until, zone).astimezone(now.tzinfo)


def blanks(text: str) -> list[str]:
    """The placeholders of a text, in order."""
    return BLANK.findall(text)


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders filled in; those without a value stay."""
    return BLANK.sub(lambda found: values.get(found[1], found[0]), text)


def plain(text: str) -> str:
    """The text without diacritics, each SMS of which holds more than twice as much."""
    return anyascii(text)


def parts(text: str) -> int:
    """How many SMS a text takes."""
    one, many = (GSM_ONE, GSM_MANY) if text.isascii() else (UNICODE_ONE, UNICODE_MANY)
    return 1 if len(text) <= one else -(-len(text) // many)


def span(left: timedelta) -> tuple[int, int]:
    """Whole days and hours of what is left, never below nothing."""
    seconds = max(0, int(left.total_seconds()))
    return seconds // 86400, seconds % 86400 // 3600
