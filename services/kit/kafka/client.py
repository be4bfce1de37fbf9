"""Connections to the brokers, made one way, and their faults said one way."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from services.kit.bus import BusDown
from services.kit.kafka.settings import KafkaSettings

CLIENT_ID = "hoithi"

FETCH_WAIT_MS = 100
"""How long a broker waits for news before it answers; so long may a partition that is resumed wait too."""

FAULTS = (KafkaError, ConsumerStoppedError, OSError)
"""What a client raises when the brokers are away or refuse (a TimeoutError is an OSError)."""

_SASL = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


@contextlib.contextmanager
def bus_errors(what: str) -> Iterator[None]:
    """Says of a client's faults that the bus is down."""
    try:
        yield
    except FAULTS as error:
        raise BusDown(f"Kafka: {what}: {error!r}") from error


@contextlib.asynccontextmanager
async def bounded(what: str, seconds: float) -> AsyncIterator[None]:
    """The same, and BusDown also when it takes too long."""
    with bus_errors(what):
        async with asyncio.timeout(seconds):
            yield


def security(settings: KafkaSettings) -> BaseSecurity:
    """How a connection is secured, in FastStream's words."""
    context = ssl.create_default_context(cafile=settings.ca) if settings.tls else None
    if settings.user is None:
        return BaseSecurity(ssl_context=context, use_ssl=settings.tls)
    kind = _SASL[settings.mechanism]
    return kind(settings.user, settings.password, ssl_context=context, use_ssl=settings.tls)


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """What every aiokafka client is given."""
    return {
        "bootstrap_servers": settings.bootstrap,
        "client_id": CLIENT_ID,
        **parse_security(security(settings)),
    }


@contextlib.asynccontextmanager
async def admin(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for a look at the brokers or a word to them. Raises BusDown."""
    client = AIOKafkaAdminClient(**connection(settings), request_timeout_ms=round(settings.patience * 1000))
    try:
        async with bounded("administration", settings.patience):
            await client.start()
            yield client
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def reader(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group, which reads from the beginning unless it is told otherwise. Raises BusDown."""
    consumer = AIOKafkaConsumer(
        **connection(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        fetch_max_bytes=settings.fetch_bytes,
        request_timeout_ms=round(settings.patience * 1000),
    )
    try:
        async with bounded("connecting", settings.patience):
            await consumer.start()
        with bus_errors("reading"):
            yield consumer
    finally:
        await consumer.stop()
