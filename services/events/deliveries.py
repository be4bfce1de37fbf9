"""What became of the messages to people: never their addresses or words."""

from __future__ import annotations

from typing import ClassVar, Literal

from services.events.base import PREFIX, Event

Channel = Literal["email", "sms", "zalo", "webhook"]
Purpose = Literal["result", "reminder", "digest"]


class DeliveryEvent(Event, frozen=True, kw_only=True):
    """What these events have in common. `message` is the deterministic id of the message. `unit` is whom a reminder urged on."""

    topic: ClassVar[str] = "deliveries"

    message: str
    contest: str
    channel: Channel
    purpose: Purpose = "result"
    unit: str | None = None

    @property
    def key(self) -> str:
        return self.contest


class MessageDelivered(DeliveryEvent, frozen=True, kw_only=True):
    """The gateway took the message."""

    type: ClassVar[str] = PREFIX + "message.delivered.v1"

    @property
    def id(self) -> str:
        return f"{self.message}/delivered"


class MessageFailed(DeliveryEvent, frozen=True, kw_only=True):
    """The gateway refused the message for good; `reason` names no person."""

    type: ClassVar[str] = PREFIX + "message.failed.v1"

    reason: str

    @property
    def id(self) -> str:
        return f"{self.message}/failed"
