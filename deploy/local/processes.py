"""The two kinds of process, `serve` and `work`: each opens its services, announces itself, runs until SIGTERM, and drains."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog
import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from deploy.local.folders import announce, free_port, running, withdraw
from deploy.local.wiring import SERVICES, House, catalogue
from services.kit import lifecycle
from services.kit.health import Health
from services.kit.logs import configure
from services.kit.runtime import Work
from services.kit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RESUME = signal.SIGUSR1
"""Tells a worker that paused because of too much poison to go on."""
GRACE = 10.0
"""Seconds that a process has to finish what it holds; the supervisor gives it a little longer."""
LAST_REQUESTS = 3.0
"""Seconds that requests in flight have; an event stream never ends by itself."""
CONNECTIONS = 20_000
"""Served at once by one process: most wait on an event stream."""

Asgi = Callable[[Any, Any, Any], Awaitable[None]]

log = structlog.get_logger(__name__)

YIELDING = {"reporting": 5, "notify": 10}
"""How far (as `nice` counts) these let others go first where processors are short: a submission is taken before it is told of."""


def serve(settings: Settings, services: Sequence[str] = (), name: str | None = None) -> int:
    """Shows these services, or all, on one port, until SIGTERM. Returns the exit status."""
    # Imported by need: a worker carries no web framework, and starts in half the time.
    from services.kit.web import create_app

    name = name or ("-".join(("serve", *services)) if services else "web")

    async def main() -> None:
        async with _opened(settings) as (house, stop):
            faces = [house.face(service) for service in services or SERVICES]
            if not services or "quiz" in services:
                faces.append(catalogue())
            for face in faces:
                await lifecycle.insist(face.start, stop)
            # What stands now stays: the collector need not walk it again and again between submissions.
            gc.freeze()
            gc.set_threshold(50_000, 20, 50)
            listen = _Listener(create_app(faces, house.console), settings.host, settings.port)
            await _run(house, name, listen, [task for face in faces for task in face.tasks], stop)

    return _process(settings, name, main)


def work(settings: Settings, service: str, name: str | None = None) -> int:
    """Does a service's work until SIGTERM; health and metrics are on a free port of loopback. Returns the exit status."""
    os.nice(YIELDING.get(service, 0))
    return _work(settings, name or f"work-{service}-{os.getpid()}", lambda house: house.work(service))


def relay(settings: Settings, name: str | None = None) -> int:
    """Forwards what this host has written down to the brokers, until SIGTERM, and then what is left. Returns the exit status."""
    return _work(settings, name or "relay", House.relay)


def _work(settings: Settings, name: str, of: Callable[[House], Work]) -> int:
    async def main() -> None:
        async with _opened(settings) as (house, stop):
            doing = of(house)

            async def unpoisoned() -> bool:
                return not house.bus.paused

            asyncio.get_running_loop().add_signal_handler(RESUME, house.bus.resume)
            checks = {**doing.ready, "unpoisoned": unpoisoned}
            await lifecycle.insist(doing.start, stop)
            health = Health({f"{doing.name}.{name}": check for name, check in checks.items()})
            listen = _Listener(health, "127.0.0.1", free_port())
            await _run(house, name, listen, doing.tasks, stop)

    return _process(settings, name, main)


def resume(settings: Settings) -> list[str]:
    """Tells every worker of this host to go on in spite of poison. Returns their names."""
    workers = running(settings, "work-")
    for pid in workers.values():
        os.kill(pid, RESUME)
    return sorted(workers)


def _process(settings: Settings, name: str, main: Callable[[], Any]) -> int:
    os.umask(0o077)  # What people entrust to us is nobody else's on this machine.
    configure(settings.log_level, name)
    lifecycle.allow_many_files()
    log.info("process.started", pid=os.getpid())
    try:
        uvloop.run(main())
    except lifecycle.ParentDied as error:
        log.warning("process.orphaned", reason=str(error))
        return 1
    except Exception:  # the supervisor starts it anew
        log.exception("process.failed")
        return 1
    log.info("process.ended")
    return 0


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[House, asyncio.Event]]:
    stop = lifecycle.stopping()
    house = House(settings)
    try:
        yield house, stop
    finally:
        await house.close()


async def _run(house: House, name: str, listen: _Listener, tasks: Sequence[lifecycle.Task], stop: asyncio.Event) -> None:
    announce(house.settings, name, os.getpid(), address=listen.address)
    try:
        await lifecycle.run([listen.run, lifecycle.end_with_parent, *tasks], stop, GRACE)
    finally:
        withdraw(house.settings, name, os.getpid())


class _Listener:
    """Granian inside our own event loop: one process, one port, our own signals."""

    def __init__(self, app: Asgi, host: str, port: int) -> None:
        self.address = f"http://{host}:{port}"
        self._server = Server(
            app,
            address=host,
            port=port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.auto,
            websockets=False,
            backlog=2048,
            backpressure=CONNECTIONS,
            log_enabled=False,
        )

    async def run(self, stop: Callable[[], bool]) -> None:
        """Serves until `stop()`, then ends the requests in flight."""
        serving = asyncio.create_task(self._server.serve())
        while not stop():
            await asyncio.wait({serving}, timeout=0.1)
            if serving.done():
                raise RuntimeError("the web server ended by itself") from serving.exception()
        self._server.stop()  # type: ignore[no-untyped-call]
        await asyncio.wait({serving}, timeout=LAST_REQUESTS)
        serving.cancel()
