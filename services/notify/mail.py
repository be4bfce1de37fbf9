"""Sends what waits in the outbox by SMTP. A message is claimed durably before it is sent, so that no crash sends it twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.header import Header
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr, parseaddr
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib
import structlog
from jinja2 import Environment, PackageLoader, StrictUndefined

from services.events import Event, MessageDelivered, MessageFailed
from services.kit.bus import BusDown, Transient
from services.kit.i18n import show_time, translate
from services.kit.metrics import MESSAGES
from services.kit.runtime import Runtime
from services.notify.domain import Outcome
from services.notify.store import Outbox

_TIMEOUT = 20.0
_AT_ONCE = 50

log = structlog.get_logger(__name__)
_templates = Environment(  # noqa: S701 (plain text)
    loader=PackageLoader("services.notify"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


class Sender:
    """Sends while there is an `SMTP_URL`; without one, messages wait."""

    def __init__(self, runtime: Runtime, outbox: Outbox) -> None:
        self._runtime, self._outbox = runtime, outbox

    async def run(self, stop: Callable[[], bool]) -> None:
        """Sends until `stop()`."""
        while not stop():
            sent = 0
            try:
                await self._outbox.find_lost(self._runtime.clock.now())
                if self._runtime.settings.smtp_url:
                    sent = await self.send_due(stop)
            except (Transient, BusDown) as error:
                log.warning("mail.put_off", error=str(error))
            if not sent:
                await asyncio.sleep(0.5)

    async def send_due(self, stop: Callable[[], bool]) -> int:
        """Sends what is due, over one connection; returns how many it tried."""
        due = await self._outbox.waiting(self._runtime.clock.now(), _AT_ONCE)
        if not due:
            return 0
        client = _client(self._runtime.settings.smtp_url or "")
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError) as error:
            log.warning("mail.gateway_away", error=type(error).__name__)
            await asyncio.sleep(2)
            return 0
        tried = 0
        try:
            for message in due:
                if stop() or not client.is_connected:
                    break
                if await self._outbox.claim(message["_id"], self._runtime.clock.now()):
                    await self._send(client, message)
                    tried += 1
        finally:
            client.close()
        return tried

    async def _send(self, client: aiosmtplib.SMTP, message: dict[str, Any]) -> None:
        outcome, reason = await _deliver(client, compose(message, self._runtime))
        MESSAGES.labels("email", outcome).inc()
        log.info("mail", message=message["_id"], outcome=outcome, reason=reason)
        if outcome == "again":
            await self._outbox.put_off(message["_id"], self._runtime.clock.now(), message["tries"], reason)
            return
        about = {"time": self._runtime.clock.now(), "message": message["_id"], "contest": message["contest"], "channel": "email"}
        if outcome == "sent":
            await self._tell(MessageDelivered(**about))
        elif outcome == "failed":
            await self._tell(MessageFailed(**about, reason=reason))
        await self._outbox.ended(message["_id"], outcome, reason)

    async def _tell(self, event: Event) -> None:
        await self._runtime.bus.publish([self._runtime.outgoing(event)])


async def _deliver(client: aiosmtplib.SMTP, mail: MIMEText) -> tuple[Outcome, str]:
    """What sending came to, and a reason that names nobody: gateways quote the address in their words, so only codes are kept."""
    try:
        await client.send_message(mail)
    except aiosmtplib.SMTPRecipientsRefused as error:
        return _refused(max((refusal.code for refusal in error.recipients), default=550))
    except aiosmtplib.SMTPResponseException as error:
        return _refused(error.code)
    except (aiosmtplib.SMTPException, OSError) as error:
        # The connection broke somewhere after the claim: the gateway may have taken the message.
        return "uncertain", type(error).__name__
    return "sent", ""


def _refused(code: int) -> tuple[Outcome, str]:
    return ("failed" if code >= 500 else "again"), f"smtp {code}"


def compose(message: dict[str, Any], runtime: Runtime) -> MIMEText:
    """The mail that a message becomes. Its Message-ID is the same however often it is composed."""
    language = message["language"]

    def say(sentence: str, **values: Any) -> str:
        return translate(sentence, language).format(**values)

    base = (runtime.settings.public_url or f"http://localhost:{runtime.settings.port}").rstrip("/")
    received = show_time(message["received_at"], language)
    link = f"{base}/c/{message['contest']}/ket-qua/{message['attempt']}"
    # The older of Python's two mail interfaces: the newer one loses blanks where it folds a Vietnamese subject (CPython 3.11).
    mail = MIMEText(_templates.get_template("result.txt").render(message, _=say, received=received, link=link), "plain", "utf-8")
    mail["From"] = formataddr(parseaddr(runtime.settings.mail_from))
    mail["To"] = message["email"]
    mail["Subject"] = Header(say("Kết quả lượt thi {n}, {round}: {title}", **message), "utf-8", header_name="Subject").encode()
    mail["Date"] = format_datetime(runtime.clock.now())
    mail["Message-ID"] = f"<{blake2b(message['_id'].encode(), digest_size=16).hexdigest()}@hoithi>"
    mail["Auto-Submitted"] = "auto-generated"
    return mail


def _client(url: str) -> aiosmtplib.SMTP:
    """A client for `smtp://user:password@host:port` (STARTTLS where offered) or `smtps://…`."""
    parts = urlsplit(url)
    secure = parts.scheme == "smtps"
    return aiosmtplib.SMTP(
        hostname=parts.hostname or "localhost",
        port=parts.port or (465 if secure else 587 if parts.username else 25),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        use_tls=secure,
        timeout=_TIMEOUT,
    )
