"""Whether a process lives, whether it can do its work, and its metrics: the same answers from a worker and from a web process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.kit.runtime import Check

CHECK_SECONDS = 2
JSON = "application/json"

log = structlog.get_logger(__name__)


class Health:
    """The answers of one process; `checks` by name. As an ASGI application it is all that a worker shows: a worker that carried
    the web framework for this alone would take twice as long to start."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks

    async def healthz(self) -> tuple[int, str, bytes]:
        """Status, media type and body: the process lives."""
        return 200, JSON, b'{"status":"ok"}'

    async def readyz(self) -> tuple[int, str, bytes]:
        """503 while a check fails; the body names each."""
        passed = await asyncio.gather(*map(_passes, self._checks.values()))
        body = {"ready": all(passed), "checks": dict(zip(self._checks, passed, strict=True))}
        return 200 if all(passed) else 503, JSON, msgspec.json.encode(body)

    async def metrics(self) -> tuple[int, str, bytes]:
        """What Prometheus reads."""
        return 200, CONTENT_TYPE_LATEST, generate_latest()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        answer = {"/healthz": self.healthz, "/readyz": self.readyz, "/metrics": self.metrics}.get(scope["path"])
        status, media, body = await answer() if answer else (404, "text/plain", b"")
        headers = [(b"content-type", media.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _passes(check: Check) -> bool:
    try:
        return await asyncio.wait_for(check(), CHECK_SECONDS)
    except Exception as error:  # whatever stands in the way of the check is a reason not to be ready
        log.warning("ready.failed", error=repr(error))
        return False
