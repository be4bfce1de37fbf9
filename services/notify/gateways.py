"""The ways to a person: one small class a gateway, behind one interface. E-mail is in `mail.py`, Zalo in `zalo.py`.

What an answer means is said once, in `HttpGateway._judge`: a message goes out again by itself only where the gateway surely did
not take it, or takes the same id twice for one.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import Any, Protocol

import httpx
from standardwebhooks.webhooks import Webhook

from services.kit.clock import Clock
from services.kit.settings import Settings
from services.notify.domain import Channel, Result, fill

Message = Mapping[str, Any]
Deliver = Callable[[Message], Awaitable[Result]]

LONGEST_ASKED = timedelta(hours=6)
"""A gateway that asks to be left alone for longer is asked again after this."""


class GatewayAway(Exception):
    """There is nobody to hand messages to; nothing was sent."""


class Gateway(Protocol):
    """`at_once`: how many messages may be on their way together. `repeatable`: it takes the same id twice for one message."""

    channel: Channel
    at_once: int
    repeatable: bool

    def session(self) -> AbstractAsyncContextManager[Deliver]:
        """Opens the way for some messages. Raises GatewayAway."""
        ...


def unclear(gateway: Gateway, reason: str) -> Result:
    """The gateway may have taken the message: it goes out again where it takes the same id twice for one."""
    return Result("again" if gateway.repeatable else "uncertain", reason, away=True, doubt=True)


class HttpGateway:
    """What the HTTP gateways have in common: subclasses say the request, and what a 2xx answer means."""

    channel: Channel
    at_once = 8
    repeatable = False

    def __init__(self, url: str, clock: Clock, timeout: float) -> None:
        self._url, self._clock, self._timeout = url, clock, timeout

    def request(self, message: Message) -> tuple[bytes, dict[str, str]]:
        """Body and headers."""
        raise NotImplementedError

    def accepted(self, response: httpx.Response) -> Result:
        """What an answer 2xx means."""
        return Result("sent")

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Deliver]:
        async with httpx.AsyncClient(timeout=self._timeout, follow_redirects=False) as client:

            async def deliver(message: Message) -> Result:
                return await self._deliver(client, message)

            yield deliver

    async def _deliver(self, client: httpx.AsyncClient, message: Message) -> Result:
        body, headers = self.request(message)
        try:
            response = await client.post(self._url, content=body, headers={"Content-Type": "application/json", **headers})
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Result("again", type(error).__name__, away=True)  # no byte of it went out
        except httpx.HTTPError as error:
            return self._unclear(type(error).__name__)
        return self.accepted(response) if response.is_success else self._judge(response)

    def _judge(self, response: httpx.Response) -> Result:
        status, reason = response.status_code, f"http {response.status_code}"
        if status in (502, 504):
            return self._unclear(reason)  # a proxy speaks: who stands behind it may have taken the message
        if status >= 500:
            return Result("again", reason, retry_after(response, self._clock.now()), away=True)
        if status in (408, 425, 429):
            return Result("again", reason, retry_after(response, self._clock.now()))
        if status in (401, 403):
            return Result("again", reason, away=True)  # our key is wrong, not the message: it waits until that is mended
        return Result("failed", reason)

    def _unclear(self, reason: str) -> Result:
        return unclear(self, reason)


def retry_after(response: httpx.Response, now: datetime) -> timedelta | None:
    """What `Retry-After` asks for, in seconds or as a date; None where it says nothing that can be read."""
    asked = response.headers.get("retry-after", "").strip()
    try:
        wait = timedelta(seconds=int(asked[:9])) if asked.isdigit() else parsedate_to_datetime(asked).astimezone(UTC) - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta()), LONGEST_ASKED)


class Sms(HttpGateway):
    """Any gateway that takes one SMS as one JSON object: its shape is a setting. `Idempotency-Key` carries the message's id."""

    channel: Channel = "sms"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        super().__init__(settings.sms_url or "", clock, settings.gateway_timeout_s)
        self._key, self._sender = settings.sms_key.get_secret_value(), settings.sms_sender
        self._body = json.loads(settings.sms_body)
        self._field, _, self._wanted = settings.sms_accepted.partition("=")
        self.repeatable = settings.sms_idempotent

    def request(self, message: Message) -> tuple[bytes, dict[str, str]]:
        short = short_id(message["_id"])
        values = {"to": message["to"], "text": message["text"], "sender": self._sender, "key": self._key, "id": short}
        headers = {"Idempotency-Key": short} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        return json.dumps(filled(self._body, values), ensure_ascii=False).encode(), headers

    def accepted(self, response: httpx.Response) -> Result:
        if not self._field:
            return Result("sent")
        found = member(response, self._field)
        if found is None:
            return self._unclear("answer not understood")
        return Result("sent") if str(found) == self._wanted else Result("failed", f"gateway {str(found)[:20]}")


class Hook(HttpGateway):
    """A webhook, signed as Standard Webhooks say; `webhook-id` lets the receiver know a repeat."""

    channel: Channel = "webhook"
    repeatable = True

    def __init__(self, settings: Settings, clock: Clock) -> None:
        super().__init__(settings.webhook_url or "", clock, settings.gateway_timeout_s)
        self._webhook = Webhook(settings.webhook_secret.get_secret_value())

    def request(self, message: Message) -> tuple[bytes, dict[str, str]]:
        now, id = self._clock.now().astimezone(UTC), short_id(message["_id"])
        body = json.dumps(
            {
                "type": f"message.{message['purpose']}",
                "timestamp": now.isoformat(),
                "data": {name: message.get(name) for name in ("contest", "units", "subject", "text")},
            },
            ensure_ascii=False,
        )
        signed = self._webhook.sign(id, now, body)
        headers = {"webhook-id": id, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signed}
        return body.encode(), headers


def short_id(message: str) -> str:
    """A message's id as gateways take it: 32 hexadecimal digits, the same at every try."""
    return blake2b(message.encode(), digest_size=16).hexdigest()


def filled(shape: Any, values: Mapping[str, str]) -> Any:
    """A JSON template with the placeholders in its texts filled in: values never meet the JSON's own signs."""
    if isinstance(shape, dict):
        return {name: filled(held, values) for name, held in shape.items()}
    if isinstance(shape, list):
        return [filled(held, values) for held in shape]
    return fill(shape, values) if isinstance(shape, str) else shape


def member(response: httpx.Response, path: str) -> Any:
    """A member of a JSON answer by its dotted path; None where there is none."""
    try:
        found: Any = response.json()
    except ValueError:
        return None
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def http_gateways(settings: Settings, clock: Clock) -> list[Gateway]:
    """The HTTP gateways that the settings name and that need nothing else."""
    found: list[Gateway] = []
    if settings.sms_url:
        found.append(Sms(settings, clock))
    if settings.webhook_url and settings.webhook_secret.get_secret_value():
        found.append(Hook(settings, clock))
    return found
