"""What wiring hands to a service: the settings, and the few things that touch the world."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from services.kit.bus import Bus, Outgoing
from services.kit.clock import Clock
from services.kit.cloudevents import cloudevent
from services.kit.locallog import LocalLog
from services.kit.security import Secrets
from services.kit.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path
    from typing import Protocol

    from fastapi import APIRouter

    from services.kit.console.audit_log import AuditLog
    from services.kit.store import Database

    class AnyEvent(Protocol):
        """As much of an event as it takes to publish one."""

        type: ClassVar[str]
        topic: ClassVar[str]

        @property
        def time(self) -> datetime: ...
        @property
        def key(self) -> str: ...
        @property
        def id(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """`store` is the database of this service alone. `encode` turns an event into bytes (handed in: kit knows no event).
    `journal` is this host's local log, which takes submissions: on one machine it is the bus itself. `audit` is where
    a worker notes what it does in somebody's name.
    """

    service: str
    settings: Settings
    clock: Clock
    bus: Bus
    journal: LocalLog
    store: Database
    secrets: Secrets
    encode: Callable[[Any], bytes]
    audit: AuditLog | None = None

    def copy_of(self, topic: str) -> Path:
        """Where this host keeps its own copy of a followed topic."""
        return self.settings.data_dir / "bus" / f"{topic}.copy"

    def outgoing(self, event: AnyEvent) -> Outgoing:
        """An event as the record that carries it."""
        headers = cloudevent(event.type, event.id, f"/hoithi/{self.service}", event.time)
        return Outgoing(event.topic, event.key, self.encode(event), headers)


Check = Callable[[], Awaitable[bool]]


class UnitName(NamedTuple):
    """A unit as the console needs it: `parent` is a code, None at the top."""

    name: str
    parent: str | None


@dataclass(frozen=True, kw_only=True)
class Face:
    """What a service shows: mounted alone in a cluster, with the other faces on one machine.

    `start` runs before the first request and returns when the face can answer; `tasks` run beside the server until `stop()`.
    `fast` are plain ASGI endpoints by exact path, which no middleware slows down; they are described in `router`.
    `units` tells the console the units of all contests, by code.
    """

    name: str
    router: APIRouter
    start: Callable[[], Awaitable[None]]
    tasks: Sequence[Callable[[Callable[[], bool]], Awaitable[None]]] = ()
    ready: Mapping[str, Check] = field(default_factory=dict)
    fast: Mapping[str, Callable[..., Awaitable[None]]] = field(default_factory=dict)
    units: Callable[[], Mapping[str, UnitName]] | None = None


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a service does with events: `tasks` run until `stop()` is true, then finish what they hold and return. `rebuild`
    is there where a service has read models: see `services.kit.replay`."""

    name: str
    start: Callable[[], Awaitable[None]]
    tasks: Sequence[Callable[[Callable[[], bool]], Awaitable[None]]]
    ready: Mapping[str, Check] = field(default_factory=dict)
    rebuild: Callable[[bool], Awaitable[int]] | None = None
