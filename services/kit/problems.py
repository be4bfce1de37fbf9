"""Errors as people meet them: RFC 9457 problem documents, in the reader's language, naming the field."""

from __future__ import annotations

from typing import Any

import msgspec

from services.kit.i18n import translate

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An error with an HTTP status. `code` is a stable slug; `detail` is the Vietnamese sentence and the key of its translation.

    `field` names the input that is wrong; `params` fill the braces of `detail`; `extra` members join the document as they are.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        headers: dict[str, str] | None = None,
        extra: dict[str, Any] | None = None,
        **params: Any,
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.detail, self.field = status, code, detail, field
        self.headers, self.extra, self.params = headers or {}, extra or {}, params

    def document(self, language: str) -> dict[str, Any]:
        """The members of the problem document."""
        text = translate(self.detail, language)
        members: dict[str, Any] = {
            "type": f"urn:hoithi:problem:{self.code}",
            "title": translate(TITLES.get(self.status, "Lỗi"), language),
            "status": self.status,
            "detail": text.format(**self.params) if self.params else text,
        }
        if self.field:
            members["errors"] = [{"field": self.field, "detail": members["detail"]}]
        return members | self.extra

    def body(self, language: str) -> bytes:
        """The problem document as JSON."""
        return msgspec.json.encode(self.document(language))


TITLES = {
    400: "Yêu cầu không đọc được",
    401: "Cần đăng nhập",
    403: "Không có quyền",
    404: "Không tìm thấy",
    405: "Cách gọi không được hỗ trợ",
    409: "Không thực hiện được lúc này",
    413: "Dữ liệu quá lớn",
    415: "Kiểu dữ liệu không được hỗ trợ",
    422: "Dữ liệu không hợp lệ",
    429: "Quá nhiều yêu cầu",
    500: "Lỗi hệ thống",
    503: "Hệ thống đang bận",
}
