"""Pages: templates in the reader's language, static files under their digest, problems as a page or as a document."""

from __future__ import annotations

from functools import cache, partial
from hashlib import blake2b
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from services.kit import i18n
from services.kit.problems import MEDIA_TYPE, Problem
from services.kit.settings import Settings
from services.kit.web.console import account_of, csrf_field, may_open

STATIC_SECONDS = 365 * 24 * 3600
LANGUAGE_COOKIE = "hoithi_lang"


def language(request: Request) -> str:
    """The language that this reader gets; where an address alone decides (what caches keep), the page has set it."""
    asked: str | None = getattr(request.state, "language", None)
    return asked or i18n.choose(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language"))


def origin(request: Request, settings: Settings) -> str:
    """How the world reaches us, without a slash at the end: for addresses that leave the page."""
    return (settings.public_url or str(request.base_url)).rstrip("/")


def cached(request: Request, body: bytes, media_type: str, seconds: int) -> Response:
    """An answer that is the same for everybody: kept by caches for so long, and not sent again to one who holds it (ETag)."""
    tag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": f"public, max-age={seconds}"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


@cache
def _environment() -> Environment:
    services = i18n.SERVICES
    folders = [services / "kit" / "web" / "templates", *sorted(services.glob("*/templates"))]
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"static": static, "csrf_field": csrf_field, "may_open": may_open, "account_of": account_of}
    return environment


@cache
def static(path: str) -> str:
    """The address of a static file, e.g. `quiz/paper.js`, with the digest of its content."""
    service, _, name = path.partition("/")
    base = i18n.SERVICES / "kit" / "web" if service == "kit" else i18n.SERVICES / service
    digest = blake2b((base / "static" / name).read_bytes(), digest_size=6).hexdigest()
    return f"/static/{path}?v={digest}"


def render(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page. Templates see `_` (translate), `lang`, `show_time`, `show_day`, `show_number`, `show_rate`, `static`, `csrf_field`,
    `may_open`, `account_of`, `request` and `context`.

    `_` takes named values for the braces of a sentence and escapes them.
    """
    lang = language(request)

    def translate(sentence: str, **values: Any) -> Markup:
        return Markup(i18n.translate(sentence, lang)).format(**values) if values else Markup(i18n.translate(sentence, lang))  # noqa: S704

    html = (
        _environment()
        .get_template(template)
        .render(
            _=translate,
            lang=lang,
            request=request,
            show_time=partial(i18n.show_time, language=lang),
            show_day=partial(i18n.show_day, language=lang),
            show_number=partial(i18n.show_number, language=lang),
            show_rate=partial(i18n.show_rate, language=lang),
            **context,
        )
    )
    return HTMLResponse(html, status)


def problem_response(request: Request, problem: Problem) -> Response:
    """A problem as a page where a browser asked for one, else as a problem document. Who is not signed in comes to do so."""
    page = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")
    if page and problem.code == "session" and request.method == "GET":
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/console/sign-in?{urlencode({'next': here})}", 303)
    if page:
        response: Response = render(request, "error.html", problem.status, problem=problem.document(language(request)))
    else:
        response = Response(problem.body(language(request)), problem.status, media_type=MEDIA_TYPE)
    response.headers.update(problem.headers)
    return response


async def switch_language(language: str, next: str = "/") -> Response:
    """Remembers a language and goes back to the page."""
    # Only a path of ours: "//host" and "/\\host" would lead elsewhere.
    target = next if next.startswith("/") and not next.startswith(("//", "/\\")) else "/"
    response = RedirectResponse(target, 303)
    if language in i18n.LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, language, max_age=STATIC_SECONDS, samesite="lax", httponly=True)
    return response
