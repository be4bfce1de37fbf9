"""E-mail: the gateway that speaks SMTP, and what the mails say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.header import Header
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr, parseaddr
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib
from jinja2 import Environment, PackageLoader, StrictUndefined

from services.kit.i18n import show_number, show_time, translate
from services.kit.runtime import Runtime
from services.notify.domain import Channel, Result
from services.notify.gateways import Deliver, GatewayAway, short_id

_templates = Environment(  # noqa: S701 (plain text)
    loader=PackageLoader("services.notify"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


class Smtp:
    """A mail server, over one connection a session."""

    channel: Channel = "email"
    at_once = 1
    repeatable = False

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Deliver]:
        client = _client(self._runtime.settings.smtp_url or "", self._runtime.settings.gateway_timeout_s)
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError) as error:
            raise GatewayAway(type(error).__name__) from error

        async def deliver(message: Mapping[str, Any]) -> Result:
            if not client.is_connected:
                return Result("again", "connection closed")
            try:
                return await _deliver(client, compose(message, self._runtime))
            except asyncio.CancelledError:  # in the middle of a mail: the next one must not be taken for its rest
                client.close()
                raise

        try:
            yield deliver
        finally:
            client.close()


async def _deliver(client: aiosmtplib.SMTP, mail: MIMEText) -> Result:
    """What sending came to, and a reason that names nobody: gateways quote the address in their words, so only codes are kept."""
    try:
        await client.send_message(mail)
    except aiosmtplib.SMTPRecipientsRefused as error:
        return _refused(max((refusal.code for refusal in error.recipients), default=550))
    except aiosmtplib.SMTPResponseException as error:
        return _refused(error.code)
    except (aiosmtplib.SMTPException, OSError) as error:
        # The connection broke somewhere after the claim: the gateway may have taken the message.
        return Result("uncertain", type(error).__name__, away=True)
    return Result("sent")


def _refused(code: int) -> Result:
    return Result("failed" if code >= 500 else "again", f"smtp {code}")


def compose(message: Mapping[str, Any], runtime: Runtime) -> MIMEText:
    """The mail that a message becomes. Its Message-ID is the same however often it is composed."""
    subject, text = _result(message, runtime) if message["purpose"] == "result" else (message["subject"], message["text"])
    # The older of Python's two mail interfaces: the newer one loses blanks where it folds a Vietnamese subject (CPython 3.11).
    mail = MIMEText(text, "plain", "utf-8")
    mail["From"] = formataddr(parseaddr(runtime.settings.mail_from))
    mail["To"] = message["to"]
    mail["Subject"] = Header(subject, "utf-8", header_name="Subject").encode()
    mail["Date"] = format_datetime(runtime.clock.now())
    mail["Message-ID"] = f"<{short_id(message['_id'])}@hoithi>"
    mail["Auto-Submitted"] = "auto-generated"
    if optout := message.get("optout"):
        mail["List-Unsubscribe"] = f"<{optout}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return mail


def _result(message: Mapping[str, Any], runtime: Runtime) -> tuple[str, str]:
    """Subject and text of the message about an attempt."""
    received = show_time(message["received_at"], message["language"])
    link = f"{base_url(runtime)}/c/{message['contest']}/ket-qua/{message['attempt']}"
    text = rendered("result.txt", message["language"], {**message, "link": link, "received": received})
    subject = translate("Kết quả lượt thi {n}, {round}: {title}", message["language"]).format(**message)
    return subject, text


def rendered(template: str, language: str, values: Mapping[str, Any]) -> str:
    """A text of this folder's templates in a language."""

    def say(sentence: str, **filled: Any) -> str:
        return translate(sentence, language).format(**filled)

    def number(value: float) -> str:
        return show_number(value, language)

    return _templates.get_template(template).render(values, _=say, show_number=number)


def base_url(runtime: Runtime) -> str:
    """Where people reach the pages."""
    return (runtime.settings.public_url or f"http://localhost:{runtime.settings.port}").rstrip("/")


def _client(url: str, timeout: float) -> aiosmtplib.SMTP:
    """A client for `smtp://user:password@host:port` (STARTTLS where offered) or `smtps://…`."""
    parts = urlsplit(url)
    secure = parts.scheme == "smtps"
    return aiosmtplib.SMTP(
        hostname=parts.hostname or "localhost",
        port=parts.port or (465 if secure else 587 if parts.username else 25),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        use_tls=secure,
        timeout=timeout,
    )
