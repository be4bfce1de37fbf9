"""The headers that every answer carries: no foreign script, no frame (but where a page says who may), no guess of a content type,
and a request id."""

from __future__ import annotations

import uuid
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders

from services.kit.metrics import REQUESTS

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def framed_by(origins: str) -> str:
    """The policy of a page that other sites may show in a frame: `origins` as CSP writes them, e.g. `https://haiphong.gov.vn`."""
    return POLICY.replace("frame-ancestors 'none'", f"frame-ancestors {origins}")


class SecurityHeaders:
    """A plain ASGI middleware, so that streams stay streams."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex[:16]
        # A person's page must never be shown to another from a cache; what may be cached says so itself.
        private = not scope["path"].startswith("/static/")

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                REQUESTS.labels(str(message["status"])).inc()
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", POLICY)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                headers["X-Request-Id"] = request_id
                if private:
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        with structlog.contextvars.bound_contextvars(request=request_id):
            await self._app(scope, receive, with_headers)
