"""The hot path: `POST /api/v1/submissions` as a plain ASGI endpoint. No store, no pydantic, no task of its own (design §6).

It checks the token and the form of the answers, waits for the journal's group commit and answers with a receipt. It judges no
deadline: scoring does. Its place in the OpenAPI document is in `api.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
import structlog

from services.kit.bus import BusDown
from services.kit.clock import Clock
from services.kit.i18n import choose
from services.kit.metrics import SUBMISSIONS
from services.kit.problems import MEDIA_TYPE, Problem
from services.kit.security import BadToken, Signer
from services.kit.web import LANGUAGE_COOKIE, unavailable
from services.quiz.domain import check_answers
from services.quiz.handlers import Extra, no_extra
from services.quiz.journal import Journal, Paper, Receipted, Submission

PATH = "/api/v1/submissions"
MAX_BYTES = 16 * 1024
MAX_PREDICTION = 1_000_000_000

log = structlog.get_logger(__name__)


class Body(msgspec.Struct):
    """What a phone sends."""

    paper_token: str
    answers: str
    prediction: int | None = None
    device: Annotated[str, msgspec.Meta(max_length=32)] = ""


class Accepted(msgspec.Struct):
    """What it gets back."""

    attempt_id: str
    received_at: datetime
    receipt: str


class Submissions:
    """The endpoint. `signer` is the one that signed the paper tokens."""

    def __init__(self, journal: Journal, signer: Signer, clock: Clock, extra: Extra = no_extra) -> None:
        self._journal, self._signer, self._clock, self._extra = journal, signer, clock, extra
        self._body = msgspec.json.Decoder(Body)
        self._paper = msgspec.msgpack.Decoder(Paper)
        self._encode = msgspec.json.Encoder().encode
        self._accepted = SUBMISSIONS.labels("202")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            submission = self._read(await _body(receive))
            receipted = await self._journal.take(submission)
            if not receipted.same:
                raise self._conflict(submission, receipted)
        except Problem as problem:
            await _refuse(scope, send, problem)
        except BusDown as error:
            log.error("journal.down", error=str(error))
            await _refuse(scope, send, unavailable())
        else:
            self._accepted.inc()
            await _respond(send, 202, b"application/json", self._encode(self._answer(submission, receipted)))

    def _read(self, raw: bytes) -> Submission:
        """The submission that a body holds. Raises Problem 400, 401 or 422."""
        received_at = self._clock.now()
        try:
            body = self._body.decode(raw)
        except msgspec.ValidationError as error:
            raise Problem(422, "invalid", "Giá trị không hợp lệ.", field=_field(error)) from error
        except msgspec.DecodeError as error:
            raise Problem(400, "json", "Không đọc được JSON.") from error
        try:
            paper = self._paper.decode(self._signer.verify(body.paper_token))
        except (BadToken, msgspec.DecodeError) as error:
            raise Problem(401, "paper-token", "Mã phiên làm bài không hợp lệ.", field="paper_token") from error
        _check(body, paper)
        extra = self._extra(paper.round, paper.participant, paper.unit, paper.categories)
        return Submission(paper, body.answers, body.prediction, received_at, body.device, extra)

    def _answer(self, submission: Submission, receipted: Receipted) -> Accepted:
        return Accepted(submission.paper.attempt, receipted.received_at, receipted.receipt)

    def _conflict(self, submission: Submission, receipted: Receipted) -> Problem:
        first = msgspec.to_builtins(self._answer(submission, receipted))
        return Problem(409, "submitted", "Lượt thi này đã nộp bài trước đó; bài nộp đầu tiên được tính.", extra=first)


def _check(body: Body, paper: Paper) -> None:
    """Raises Problem 422 where the answers do not fit the paper, or the prediction is no count of people."""
    fault = check_answers(body.answers, paper.shape)
    if fault is not None:
        raise Problem(
            422, "answers", "Câu trả lời không khớp với đề ({total} câu); sai từ vị trí {at}.",
            field="answers", total=len(paper.shape), at=fault + 1,
        )  # fmt: skip
    if body.prediction is not None and not 0 <= body.prediction <= MAX_PREDICTION:
        raise Problem(422, "prediction", "Số dự đoán phải từ 0 đến {most}.", field="prediction", most=MAX_PREDICTION)


def _field(error: msgspec.ValidationError) -> str:
    """The field that msgspec complains of: "… - at `$.answers`", or "missing required field `answers`"."""
    named = str(error).split("`")
    return next((part.removeprefix("$.") for part in reversed(named[1::2]) if part not in ("$", "str", "int", "null")), "body")


async def _body(receive: Any) -> bytes:
    """The whole body of a request. Raises Problem 413 before it grows large."""
    message = await receive()
    if not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > MAX_BYTES:
            raise Problem(413, "size", "Dữ liệu quá lớn.")
        return body
    parts = [message.get("body", b"")]
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
        if sum(map(len, parts)) > MAX_BYTES:
            raise Problem(413, "size", "Dữ liệu quá lớn.")
    return b"".join(parts)


async def _refuse(scope: Any, send: Any, problem: Problem) -> None:
    SUBMISSIONS.labels(str(problem.status)).inc()
    headers = dict(scope["headers"])
    cookies = headers.get(b"cookie", b"").decode("latin-1")
    cookie = next((c.partition("=")[2] for c in cookies.split("; ") if c.startswith(LANGUAGE_COOKIE + "=")), None)
    language = choose(cookie, headers.get(b"accept-language", b"").decode("latin-1"))
    extra = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    await _respond(send, problem.status, MEDIA_TYPE.encode(), problem.body(language), extra)


async def _respond(
    send: Any, status: int, media_type: bytes, body: bytes, extra: list[tuple[bytes, bytes]] | None = None
) -> None:
    headers = [
        (b"content-type", media_type),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *(extra or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
