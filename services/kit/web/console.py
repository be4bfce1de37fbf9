"""Who may enter `/console`: the holder of the admin link, for now; a signed session from then on, and a token in every form."""

from __future__ import annotations

import hmac
import secrets as random
from hashlib import blake2b
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from itsdangerous import BadSignature, URLSafeTimedSerializer
from markupsafe import Markup
from starlette.datastructures import FormData

from services.kit.problems import Problem
from services.kit.security import Secrets

log = structlog.get_logger(__name__)

COOKIE = "hoithi_console"
SESSION_SECONDS = 12 * 3600


class Console:
    """Sessions of organisers. The admin link carries a secret that only this installation's data directory holds."""

    def __init__(self, secrets: Secrets) -> None:
        self._sessions = URLSafeTimedSerializer(secrets.get("session.key"), salt="console")
        self._forms = secrets.get("session.key")
        self._key = secrets.get("admin.key").hex()
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route("/console/login", self._enter)
        self.router.add_api_route("/console/logout", self._leave, methods=["POST"])
        self.router.add_api_route("/console", self._home)

    @property
    def link(self) -> str:
        """The path of the admin link."""
        return f"/console/login?key={self._key}"

    def session(self, request: Request) -> str:
        """The session that a request carries. Raises Problem 401."""
        try:
            session = self._sessions.loads(request.cookies.get(COOKIE, ""), max_age=SESSION_SECONDS)
        except BadSignature as error:
            raise Problem(401, "session", "Trang này dành cho Ban Tổ chức. Hãy mở bằng đường dẫn quản trị.") from error
        return str(session)

    def form_token(self, session: str) -> str:
        """What every form of this session sends along, and no other site can know."""
        return blake2b(session.encode(), key=self._forms, digest_size=16, person=b"form").hexdigest()

    async def _enter(self, request: Request, key: Annotated[str, Query()] = "") -> Response:
        if not hmac.compare_digest(key.encode(), self._key.encode()):
            raise Problem(401, "admin-link", "Đường dẫn quản trị không đúng. Lệnh `hoithi admin-link` in lại đường dẫn này.")
        response = RedirectResponse("/console", 303)
        response.set_cookie(
            COOKIE,
            self._sessions.dumps(random.token_hex(16)),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return response

    async def _home(self, request: Request) -> Response:
        self.session(request)
        return RedirectResponse("/console/contests", 303)

    async def _leave(self, request: Request) -> Response:
        await organiser_form(request)
        response = RedirectResponse("/", 303)
        response.delete_cookie(COOKIE)
        return response


def _console(request: Request) -> Console:
    console: Console = request.app.state.console
    return console


async def organiser(request: Request) -> str:
    """A dependency: the session of a signed-in organiser, or Problem 401."""
    return _console(request).session(request)


async def organiser_form(request: Request) -> FormData:
    """A dependency: the form that a signed-in organiser sent from one of our pages, or Problem 401 or 403."""
    session = _console(request).session(request)
    form = await request.form()
    sent = str(form.get("csrf", ""))
    if not hmac.compare_digest(sent.encode(), _console(request).form_token(session).encode()):
        raise Problem(403, "csrf", "Biểu mẫu đã hết hạn. Hãy tải lại trang rồi thử lại.", field="csrf")
    return form


def csrf_field(request: Request) -> Markup:
    """The hidden field that every form of the console holds."""
    console = _console(request)
    return Markup('<input type="hidden" name="csrf" value="{}">').format(console.form_token(console.session(request)))


async def audited(request: Request, action: str, subject: str, **details: object) -> None:
    """Notes that a signed-in person did `action` (e.g. `bank.imported`) to `subject` (an id). No personal data."""
    log.info("audited", action=action, subject=subject, **details)


Organiser = Annotated[str, Depends(organiser)]
OrganiserForm = Annotated[FormData, Depends(organiser_form)]
