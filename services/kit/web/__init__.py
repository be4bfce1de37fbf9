"""The web base: one application from the faces of services, with the same errors, headers, languages and layout."""

from services.kit.web.app import create_app, unavailable
from services.kit.web.console import Console, Member, audited, needs, needs_form, organiser, organiser_form
from services.kit.web.pages import LANGUAGE_COOKIE, language, render
from services.kit.web.schemas import OWNER, ProblemDocument, problems

__all__ = [
    "LANGUAGE_COOKIE",
    "OWNER",
    "Console",
    "Member",
    "ProblemDocument",
    "audited",
    "create_app",
    "language",
    "needs",
    "needs_form",
    "organiser",
    "organiser_form",
    "problems",
    "render",
    "unavailable",
]
