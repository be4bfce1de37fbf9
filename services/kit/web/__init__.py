"""The web base: one application from the faces of services, with the same errors, headers, languages and layout."""

from services.kit.web.app import VERSION, create_app, unavailable
from services.kit.web.console import Console, csrf_field, organiser, organiser_form
from services.kit.web.pages import LANGUAGE_COOKIE, language, render
from services.kit.web.schemas import ProblemDocument, problems

__all__ = [
    "LANGUAGE_COOKIE",
    "VERSION",
    "Console",
    "ProblemDocument",
    "create_app",
    "csrf_field",
    "language",
    "organiser",
    "organiser_form",
    "problems",
    "render",
    "unavailable",
]
