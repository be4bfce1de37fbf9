"""The composition root: what every service of a process is given. Nothing else knows which bus, store and clock there are."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from deploy.local.folders import running
from services.events import TOPICS, JournalDrained, asyncapi, encode
from services.kit.bus import LARGEST, Bus, Outgoing, Subscription, TopicSpec
from services.kit.clock import Clock, SystemClock
from services.kit.console import AuditLog
from services.kit.locallog import LocalLog, LocalLogSettings
from services.kit.relay import Relay, StoreAndForward, behind, positions
from services.kit.runtime import Face, Runtime, Work
from services.kit.security import Secrets
from services.kit.settings import Settings
from services.kit.store import connect, settled
from services.kit.version import VERSION
from services.quiz.journal import LOG as JOURNAL
from services.quiz.journal import SCHEMA

if TYPE_CHECKING:
    from services.kit.web import Console

SERVICES = ("quiz", "scoring", "reporting", "notify")

KAFKA = "kafka://"
"""So begins the setting `bus` that names brokers."""

DEAD_LETTERS = "dlq"
"""The log that holds every dead-letter topic."""


class House:
    """One process's share of the installation: one bus, one client of the store, a runtime for each service in it.

    With Kafka the local log is only this host's journal.
    Raises FileNotFoundError where the store has never been started.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.clock = settings, SystemClock()
        self.secrets = Secrets(settings.data_dir / "secrets")
        self._client = connect(settings.store_url, settings.driver)
        self._brokers = kafka(settings, self.clock)
        self._log = LocalLog(
            settings.data_dir / "bus",
            forwarded(settings) if self._brokers else topics(),
            self.clock,
            schemas={JOURNAL: SCHEMA},
            settings=LocalLogSettings(segment_bytes=settings.segment_mb * 1024 * 1024, linger=settings.commit_ms / 1000),
        )

    @property
    def bus(self) -> Bus:
        """The brokers, or on one machine the local log."""
        return self._brokers or self._log

    @property
    def console(self) -> Console:
        """The organisers' accounts and sessions, in a database of their own."""
        from services.kit.web import Console

        address = self.settings.public_url
        https = (address or "").startswith("https://")
        return Console(self.secrets, self._client["hoithi_console"], self.clock, https=https, address=address)

    @property
    def audit_log(self) -> AuditLog:
        """Who did what, for those who are no web process."""
        return AuditLog(self._client["hoithi_console"], self.secrets, self.clock)

    def runtime(self, service: str, bus: Bus | None = None) -> Runtime:
        """What this service runs on: a database of its own, the rest shared."""
        return Runtime(
            service=service,
            settings=self.settings,
            clock=self.clock,
            bus=bus or self.bus,
            journal=self._log,
            store=self._client[f"hoithi_{service}"],
            secrets=self.secrets,
            encode=encode,
            audit=self.audit_log,
        )

    def face(self, service: str) -> Face:
        """What the service shows. What people do is written down on this host first, whether or not there are brokers."""
        bus = StoreAndForward(self._log, self._brokers) if self._brokers else None
        return cast("Callable[[Runtime], Face]", _module(service, "app").face)(self.runtime(service, bus))

    def work(self, service: str) -> Work:
        """What the service does with events."""
        return cast("Callable[[Runtime], Work]", _module(service, "work").work)(self.runtime(service))

    def relay(self) -> Work:
        """What forwards this host's logs to the brokers."""
        folder = self.settings.data_dir / "bus"
        host, runtime = Secrets(folder).get("host.id", 8).hex(), self.runtime("quiz")

        def tell(until: datetime | None, *, leaving: bool) -> Outgoing:
            # A relay that was ended alone does not speak for web processes that still take submissions.
            left = leaving and not (running(self.settings, "web") or running(self.settings, "serve"))
            return runtime.outgoing(
                JournalDrained(time=self.clock.now(), host=host, machine=socket.gethostname(), until=until, left=left)
            )

        relay = Relay(self._log, sorted(self._log.logs), self.bus, self.clock, folder / "relay.lock", tell)

        async def start() -> None:
            """Nothing to wait for: the brokers may be away."""

        return Work(name="relay", start=start, tasks=(relay.run,))

    def unforwarded(self) -> int:
        """Offsets of this host's logs that the brokers do not hold yet; 0 on one machine. Raises BusDown."""
        if not self._brokers:
            return 0
        held = positions(self._log)
        return sum(behind(self._log, name, held.get((name, 0), 0)) for name in self._log.logs)

    async def close(self) -> None:
        """Commits what waits and lets go. Tasks are to be stopped before."""
        await self._log.close()
        if self._brokers:
            await self._brokers.close()
        closed: Any = self._client.close()
        await settled(closed)


def catalogue() -> Face:
    """The events as pages, from what every worker declares to read: no service could show it, for none knows the others."""
    from services.quiz import developers

    reads = {service: _reads(service) for service in SERVICES}

    async def start() -> None:
        """Nothing to wait for."""

    return Face(name="developers", router=developers.router(asyncapi.document(reads, VERSION)), start=start)


def subscriptions() -> Sequence[Subscription]:
    """What every service reads as a consumer group."""
    return [subscription for service in SERVICES for subscription in _reads(service) if subscription.group]


def _reads(service: str) -> Sequence[Subscription]:
    found: Sequence[Subscription] = _module(service, "worker").SUBSCRIPTIONS
    return found


def _module(service: str, name: str) -> ModuleType:
    # Imported by need: a worker carries its own service alone, and no page or web framework.
    return import_module(f"services.{service}.{name}")


def kafka(settings: Settings, clock: Clock) -> Bus | None:
    """The brokers that the settings name; None where the local log is the bus."""
    if not settings.bus.startswith(KAFKA):
        return None
    # Imported by need: one machine has none.
    from services.kit.kafka import KafkaBus, KafkaSettings

    return KafkaBus(
        topics(),
        clock,
        KafkaSettings(
            bootstrap=settings.bus.removeprefix(KAFKA),
            prefix=settings.kafka_prefix,
            tls=settings.kafka_tls,
            ca=settings.kafka_ca,
            user=settings.kafka_user,
            password=settings.kafka_password.get_secret_value(),
            mechanism=settings.kafka_mechanism,
        ),
    )


def forwarded(settings: Settings) -> dict[str, TopicSpec]:
    """What waits on this host for the brokers: all that people do, so that no broker is needed to take it."""
    kept = {JOURNAL: timedelta(hours=settings.journal_hours)}
    return {
        spec.name: replace(spec, kept=kept.get(spec.log, timedelta()))
        for spec in topics().values()
        if spec.name in ("participants", "submissions", "attempts")
    }


def topics() -> dict[str, TopicSpec]:
    """The topic table as the bus sees it, each topic with its dead letters."""
    specs: dict[str, TopicSpec] = {}
    for topic in TOPICS.values():
        largest = topic.largest or LARGEST
        specs[topic.name] = TopicSpec(
            name=topic.name, partitions=topic.partitions, log=topic.log, kept=topic.kept, secure=topic.personal, largest=largest
        )
        specs[topic.dlq] = TopicSpec(
            name=topic.dlq, partitions=topic.partitions, log=DEAD_LETTERS, kept=topic.dlq_kept, secure=topic.personal,
            largest=largest,
        )  # fmt: skip
    return specs
