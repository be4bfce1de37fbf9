"""The composition root: what every service of a process is given. Nothing else knows which bus, store and clock there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from services.events import TOPICS, asyncapi, encode
from services.kit.bus import Bus, Subscription, TopicSpec
from services.kit.clock import SystemClock
from services.kit.locallog import LocalLog, LocalLogSettings
from services.kit.runtime import Face, Runtime, Work
from services.kit.security import Secrets
from services.kit.settings import Settings
from services.kit.store import connect, settled
from services.kit.version import VERSION
from services.quiz import developers
from services.quiz.journal import LOG as JOURNAL
from services.quiz.journal import SCHEMA

SERVICES = ("quiz", "scoring", "reporting", "notify")

DEAD_LETTERS = "dlq"
"""The log that holds every dead-letter topic."""


class House:
    """One process's share of the installation: one bus, one client of the store, a runtime for each service in it.

    Raises FileNotFoundError where the store has never been started.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.clock = settings, SystemClock()
        self.secrets = Secrets(settings.data_dir / "secrets")
        self._client = connect(settings.store_url, settings.driver)
        self._log = LocalLog(
            settings.data_dir / "bus",
            topics(),
            self.clock,
            schemas={JOURNAL: SCHEMA},
            settings=LocalLogSettings(segment_bytes=settings.segment_mb * 1024 * 1024, linger=settings.commit_ms / 1000),
        )

    @property
    def bus(self) -> Bus:
        """On one machine, the local log."""
        return self._log

    def runtime(self, service: str) -> Runtime:
        """What this service runs on: a database of its own, the rest shared."""
        return Runtime(
            service=service,
            settings=self.settings,
            clock=self.clock,
            bus=self._log,
            journal=self._log,
            store=self._client[f"hoithi_{service}"],
            secrets=self.secrets,
            encode=encode,
        )

    def face(self, service: str) -> Face:
        """What the service shows."""
        return cast("Callable[[Runtime], Face]", _app(service, "face"))(self.runtime(service))

    def work(self, service: str) -> Work:
        """What the service does with events."""
        return cast("Callable[[Runtime], Work]", _app(service, "work"))(self.runtime(service))

    async def close(self) -> None:
        """Commits what waits and lets go. Tasks are to be stopped before."""
        await self._log.close()
        closed: Any = self._client.close()
        await settled(closed)


def catalogue() -> Face:
    """The events as pages, from what every worker declares to read: no service could show it, for none knows the others."""
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


def _app(service: str, name: str) -> object:
    # Imported by need: a worker carries only its own service.
    return getattr(_module(service, "app"), name)


def _module(service: str, name: str) -> ModuleType:
    return import_module(f"services.{service}.{name}")


def topics() -> dict[str, TopicSpec]:
    """The topic table as the bus sees it, each topic with its dead letters."""
    specs: dict[str, TopicSpec] = {}
    for topic in TOPICS.values():
        specs[topic.name] = TopicSpec(
            name=topic.name, partitions=topic.partitions, log=topic.log, kept=topic.kept, secure=topic.personal
        )
        specs[topic.dlq] = TopicSpec(
            name=topic.dlq, partitions=topic.partitions, log=DEAD_LETTERS, kept=topic.dlq_kept, secure=topic.personal
        )
    return specs
