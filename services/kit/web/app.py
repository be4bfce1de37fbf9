"""Builds the ASGI application: routers, static files, health, metrics, and what surrounds every answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from services.kit.bus import BusDown, Transient
from services.kit.health import Health
from services.kit.problems import TITLES, Problem
from services.kit.runtime import Check, Face
from services.kit.version import VERSION
from services.kit.web import account_pages, admin_pages, sign_in_pages
from services.kit.web.console import Console
from services.kit.web.headers import SecurityHeaders
from services.kit.web.pages import STATIC_SECONDS, problem_response, switch_language
from services.kit.web.schemas import describe_invalid

Asgi = Callable[[Any, Any, Any], Awaitable[None]]
SERVICES = Path(__file__).parent.parent.parent

log = structlog.get_logger(__name__)


def create_app(faces: Sequence[Face], console: Console) -> Asgi:
    """One application that shows these faces. The caller has run their `start` and runs their `tasks`."""
    app = FastAPI(
        title="Hội Thi",
        version=VERSION,
        description="The public API of a citywide contest. Errors are RFC 9457 problem documents in the reader's language.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.console = console
    for face in faces:
        app.include_router(face.router)
        _mount_static(app, face.name, SERVICES / face.name / "static")
    _mount_static(app, "kit", Path(__file__).parent / "static")
    console.units = next((face.units for face in faces if face.units), console.units)
    for pages in (sign_in_pages, account_pages, admin_pages):
        app.include_router(pages.router)
    app.add_api_route("/lang/{language}", switch_language, include_in_schema=False)
    _add_health(app, {f"{face.name}.{name}": check for face in faces for name, check in face.ready.items()})
    _add_errors(app)
    app.add_middleware(SecurityHeaders)
    return FastLane(app, {path: endpoint for face in faces for path, endpoint in face.fast.items()})


class FastLane:
    """Leads a few exact paths past all middleware; everything else goes its usual way."""

    def __init__(self, app: FastAPI, fast: dict[str, Asgi]) -> None:
        self.app, self._fast = app, fast

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        endpoint = self._fast.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        await (endpoint or self.app)(scope, receive, send)


def _mount_static(app: FastAPI, name: str, directory: Path) -> None:
    if directory.is_dir():
        app.mount(f"/static/{name}", _Static(directory=directory), name=f"static-{name}")


class _Static(StaticFiles):
    """Static files; pages name them with their digest, so a copy stays good for a year."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = f"public, max-age={STATIC_SECONDS}, immutable"
        return response


def _add_health(app: FastAPI, checks: Mapping[str, Check]) -> None:
    health = Health(checks)

    @app.get("/healthz", tags=["operations"], summary="The process lives", response_class=Response)
    async def healthz() -> Response:
        return _response(*await health.healthz())

    @app.get(
        "/readyz", tags=["operations"], summary="The process can serve", response_class=Response,
        responses={503: {"description": "Not ready"}},
    )  # fmt: skip
    async def readyz() -> Response:
        return _response(*await health.readyz())

    @app.get("/metrics", tags=["operations"], summary="Prometheus metrics", response_class=Response)
    async def metrics() -> Response:
        return _response(*await health.metrics())


def _response(status: int, media: str, body: bytes) -> Response:
    return Response(body, status, media_type=media)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def on_problem(request: Request, problem: Problem) -> Response:
        return problem_response(request, problem)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        return problem_response(request, describe_invalid(error))

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        detail = TITLES.get(error.status_code, "Lỗi")
        return problem_response(request, Problem(error.status_code, "http", detail + ".", headers=dict(error.headers or {})))

    @app.exception_handler(Transient)
    @app.exception_handler(BusDown)
    async def on_transient(request: Request, error: Exception) -> Response:
        log.warning("request.unavailable", error=str(error), path=request.url.path)
        return problem_response(request, unavailable())

    @app.exception_handler(Exception)
    async def on_bug(request: Request, error: Exception) -> Response:
        log.error("request.failed", path=request.url.path, exc_info=error)
        return problem_response(request, Problem(500, "internal", "Hệ thống gặp lỗi. Xin thử lại sau ít phút."))


def unavailable() -> Problem:
    """What people get while the store or the journal is away."""
    return Problem(503, "unavailable", "Hệ thống đang bận, xin thử lại sau vài giây.", headers={"Retry-After": "2"})
