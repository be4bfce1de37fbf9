"""The problem document and the token as OpenAPI describes them, and invalid input told in the reader's words."""

from __future__ import annotations

from typing import Any

from fastapi import Depends
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field

from services.kit.problems import MEDIA_TYPE, TITLES, Problem

OWNER = Depends(HTTPBearer(auto_error=False, scheme_name="participant", description="The token that registration gives."))
"""Among a route's `dependencies`: tells readers of the API that it takes a token, which `Bearers.check` checks."""


class FieldError(BaseModel):
    """One input that is wrong."""

    field: str = Field(description="Where it stands, e.g. `consent.accepted`")
    detail: str


class ProblemDocument(BaseModel):
    """RFC 9457."""

    type: str = Field(examples=["urn:hoithi:problem:invalid"])
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that may answer with these problems."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}
    return {
        status: {"description": TITLES[status], "model": ProblemDocument, "content": {MEDIA_TYPE: schema}} for status in statuses
    }


_MESSAGES = {
    "missing": "Thiếu trường này.",
    "json_invalid": "Không đọc được JSON.",
    "string_too_short": "Quá ngắn.",
    "string_too_long": "Quá dài.",
    "too_short": "Cần ít nhất một giá trị.",
    "too_long": "Có quá nhiều giá trị.",
    "extra_forbidden": "Không có trường này.",
    "int_parsing": "Cần một số nguyên.",
    "string_type": "Cần một chuỗi ký tự.",
}


def describe_invalid(error: RequestValidationError) -> Problem:
    """Pydantic's findings as one problem: 400 where the body is no JSON, else 422; it names the first field that is wrong."""
    first = error.errors()[0]
    kind = first["type"]
    if kind == "json_invalid":
        return Problem(400, "json", "Không đọc được JSON.")
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    return Problem(422, "invalid", _MESSAGES.get(kind, "Giá trị không hợp lệ."), field=where or "body")
