"""The public API of quiz (design §9): contests, units, registration, starts, receipts; submissions are described here and served
by `submissions.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.events import ContestBook, ContestPublished, RoundPlan, state_at
from services.kit.clock import Clock, us_of
from services.kit.i18n import translate
from services.kit.problems import Problem
from services.kit.security import Signer, b64
from services.kit.tokens import Bearer, Bearers
from services.kit.web import OWNER, language, problems
from services.quiz import receipts
from services.quiz.authoring.live import Live
from services.quiz.handlers import Attempts, Participants, Registration, Started
from services.quiz.journal import Paper
from services.quiz.shelf import Shelf
from services.quiz.submissions import PATH as SUBMISSIONS_PATH
from services.quiz.units import UnitDays


class ContestRow(BaseModel):
    id: str = Field(examples=["hai-phong-2023"])
    title: str


class RoundView(BaseModel):
    id: str = Field(examples=["hai-phong-2023.tuan-1"])
    name: str
    opens: datetime
    closes: datetime
    state: Literal["upcoming", "open", "paused", "closed", "final"]


class RulesView(BaseModel):
    """The rules of the rounds; those of a contest's rounds are the same."""

    questions: int
    minutes: int
    attempts: int = Field(description="Most attempts of one person in a round")
    counting: Literal["best", "first", "last"]
    ranking: list[str]
    prediction: str | None
    show_score: Literal["at_once", "after_close"]
    show_key: Literal["at_once", "after_close"]


class NamedView(BaseModel):
    id: str
    name: str


class DocumentView(BaseModel):
    number: str
    date: str
    issuer: str
    title: str


class ConsentView(BaseModel):
    version: str
    text: str


class ContestView(BaseModel):
    id: str
    title: str
    kind: str
    owner: str
    documents: list[DocumentView]
    rounds: list[RoundView]
    categories: list[NamedView]
    rules: RulesView
    consent: ConsentView
    fields: list[str] = Field(description="What registration asks for")
    now: datetime = Field(description="The server's clock, for countdowns")


class UnitRow(BaseModel):
    code: str
    name: str
    path: str = Field(examples=["Quận Kiến An › Phường Văn Đẩu"])


class ConsentGiven(BaseModel):
    version: str
    accepted: bool


class RegistrationBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    contest: str
    name: Annotated[str, Field(min_length=1, max_length=100)]
    phone: Annotated[str, Field(min_length=8, max_length=20, examples=["0912345678"])]
    unit: str
    categories: Annotated[list[str], Field(min_length=1, max_length=20)]
    email: Annotated[str | None, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")] = None
    roster_code: Annotated[str | None, Field(max_length=40, description="The code that the unit's roster gives the person")] = (
        None
    )
    consent: ConsentGiven
    resume_code: Annotated[str | None, Field(max_length=20)] = None


class RegisteredView(BaseModel):
    participant_id: str
    token: str = Field(description="Bearer token of all further calls")
    resume_code: str = Field(description="Proves on another phone that one is the same person")
    unit: str = Field(description="The unit that was noted: the one that was given, or the one that it has gone over into")
    note: str | None = Field(default=None, description="What the person should know of that, in their language")


class StartBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    round: str
    after: Annotated[str | None, Field(max_length=4000, description="The receipt of the last submission")] = None


class QuestionView(BaseModel):
    text: str
    options: list[str]
    several: bool = Field(default=False, description="Whether several options may be right")
    picture: str | None = Field(default=None, description="Path of the question's picture (WebP), good for ever")
    picture_alt: str | None = Field(default=None, description="What the picture shows, in words")


class PaperView(BaseModel):
    code: str
    minutes: int
    questions: list[QuestionView]
    prediction: str | None


class AttemptView(BaseModel):
    attempt_id: str
    n: int
    attempts_left: int
    started_at: datetime
    deadline: datetime
    now: datetime = Field(description="The server's clock, for the countdown")
    paper: PaperView
    paper_token: str = Field(description="Goes with the submission")


class BannerView(BaseModel):
    text: str
    level: Literal["info", "warning"]


class DeadlineView(BaseModel):
    attempt_id: str
    deadline: datetime = Field(description="Follows an extension of the round, and extra time")
    now: datetime = Field(description="The server's clock")
    banner: BannerView | None = Field(description="What the organisers say to everybody now")


class SubmissionBody(BaseModel):
    paper_token: str
    answers: str = Field(
        examples=["ABCD-BCDA(AC)BCDABCDABCD"],
        description="One character a question, the letter in the order shown; `-` for blank; several as a group `(AC)`",
    )
    prediction: int | None = Field(default=None, ge=0)
    device: str = Field("", max_length=32, description="A number that the browser drew for itself; optional")


class SubmissionView(BaseModel):
    attempt_id: str
    received_at: datetime
    receipt: str = Field(description="Signed; anyone can check it with the public key")


class ReceiptKeyView(BaseModel):
    algorithm: Literal["Ed25519"] = "Ed25519"
    public_key: str = Field(description="32 bytes, URL-safe base64 without padding")


class Api:
    """The calls, above the commands and what is held in memory."""

    def __init__(
        self,
        *,
        book: ContestBook,
        shelf: Shelf,
        units: UnitDays,
        participants: Participants,
        attempts: Attempts,
        bearers: Bearers,
        papers: Signer,
        public_key: bytes,
        clock: Clock,
        live: Live,
    ) -> None:
        self._book, self._shelf, self._units = book, shelf, units
        self._participants, self._attempts, self._bearers = participants, attempts, bearers
        self._papers, self._public_key, self._clock, self._live = papers, public_key, clock, live
        self.router = APIRouter(prefix="/api/v1", tags=["quiz"])
        get, post = self.router.get, self.router.post
        get("/contests", response_model=list[ContestRow], summary="What is published")(self.contests)
        get("/contests/{contest}", response_model=ContestView, responses=problems(404), summary="One contest")(self.contest)
        get("/units", response_model=list[UnitRow], responses=problems(404, 422), summary="Units by name, best first")(
            self.search
        )
        post("/participants", status_code=201, response_model=RegisteredView, summary="Register", responses={
            200: {"model": RegisteredView, "description": "Known already, and the resume code fits"},
            **problems(400, 404, 409, 422, 503),
        })(self.register)  # fmt: skip
        post(
            "/attempts", status_code=201, response_model=AttemptView, summary="Start an attempt", dependencies=[OWNER],
            responses={
                200: {"model": AttemptView, "description": "The attempt that is still running"},
                **problems(400, 401, 404, 409, 422, 503),
            },
        )(self.start)  # fmt: skip
        get(
            "/attempts/{attempt}", response_model=DeadlineView, summary="When an attempt is to be in, as of now",
            dependencies=[OWNER], responses=problems(401, 404, 503),
        )(self.deadline)  # fmt: skip
        get("/receipts/key", response_model=ReceiptKeyView, summary="The key that receipts are signed with")(self.receipt_key)
        self.router.add_api_route(
            SUBMISSIONS_PATH.removeprefix("/api/v1"), _described, methods=["POST"], status_code=202,
            response_model=SubmissionView, summary="Hand in a paper",
            openapi_extra={"requestBody": {"required": True, "content": {"application/json": {
                "schema": SubmissionBody.model_json_schema()}}}},
            responses=problems(400, 401, 409, 413, 422, 503),
        )  # fmt: skip

    async def contests(self) -> list[ContestRow]:
        """The newest first."""
        published = [c for c in self._book.contests.values() if self._shelf.has(c.contest)]
        return [ContestRow(id=c.contest, title=c.title) for c in sorted(published, key=lambda c: c.time, reverse=True)]

    async def contest(self, contest: str) -> ContestView:
        found = self._contest(contest)
        rounds = self._book.rounds(contest)
        now = self._clock.now()
        return ContestView(
            id=found.contest,
            title=found.title,
            kind=found.kind,
            owner=found.owner,
            documents=[DocumentView(**msgspec.structs.asdict(d)) for d in found.documents],
            rounds=[_round_view(plan, now) for plan in rounds],
            categories=[NamedView(id=c.id, name=c.name) for c in found.categories],
            rules=_rules_view(rounds[0]),
            consent=ConsentView(**self._shelf.consent(contest)),
            fields=["name", "phone", "unit", "categories", "email", "roster_code"],
            now=now,
        )

    async def search(self, contest: str, q: Annotated[str, Query(max_length=100)] = "") -> list[UnitRow]:
        self._contest(contest)
        return [UnitRow(code=hit.code, name=hit.name, path=hit.path) for hit in self._units.of(contest).index.search(q)]

    async def register(self, request: Request, response: Response, body: RegistrationBody) -> RegisteredView:
        self._contest(body.contest)
        registered = await self._participants.register(
            Registration(
                contest=body.contest,
                name=body.name,
                phone=body.phone,
                unit=body.unit,
                categories=tuple(body.categories),
                email=body.email,
                roster_code=body.roster_code,
                consent_version=body.consent.version,
                consent_accepted=body.consent.accepted,
                resume_code=body.resume_code,
                language=language(request),
            )
        )
        response.status_code = 201 if registered.new else 200
        bearer = registered.bearer
        return RegisteredView(
            participant_id=bearer.participant,
            token=self._bearers.issue(bearer),
            resume_code=registered.resume_code,
            unit=bearer.unit,
            note=self._note(body, bearer, language(request)) if registered.new else None,
        )

    def _note(self, body: RegistrationBody, bearer: Bearer, lang: str) -> str | None:
        """What to tell somebody whose unit has gone over into another one."""
        if body.unit == bearer.unit:
            return None
        units = self._book.units(body.contest)
        sentence = translate("Đơn vị {old} nay là {new}; bạn được ghi danh ở {new}.", lang)
        return sentence.format(old=units[body.unit].name, new=units[bearer.unit].name)

    async def start(self, request: Request, body: StartBody) -> Response:
        bearer = self._bearers.check(request)
        self._contest(bearer.contest)
        started = await self._attempts.start(bearer, body.round, self._handed_in(body.after))
        return Response(self._attempt(bearer, started), 201 if started.new else 200, media_type="application/json")

    async def deadline(self, request: Request, attempt: str) -> DeadlineView:
        bearer = self._bearers.check(request)
        started = await self._attempts.find(bearer, attempt)
        banner = self._live.banner(bearer.contest)
        return DeadlineView(
            attempt_id=attempt,
            deadline=started.deadline,
            now=self._clock.now(),
            banner=BannerView(text=banner.text, level=banner.level) if banner else None,
        )

    async def receipt_key(self) -> ReceiptKeyView:
        return ReceiptKeyView(public_key=b64(self._public_key))

    def _contest(self, contest: str) -> ContestPublished:
        found = self._book.contests.get(contest)
        if found is None or not self._shelf.has(contest):
            raise Problem(404, "contest", "Không có cuộc thi này.", field="contest")
        return found

    def _handed_in(self, receipt: str | None) -> str | None:
        """The attempt that a receipt of ours proves to be submitted. Raises Problem 422."""
        if receipt is None:
            return None
        try:
            report = receipts.check(receipt, self._public_key)
        except receipts.BadReceipt as error:
            raise Problem(422, "receipt", "Biên nhận không đọc được.", field="after") from error
        if not report.valid:
            raise Problem(422, "receipt", report.reason, field="after")
        return report.attempt

    def _attempt(self, bearer: Bearer, started: Started) -> bytes:
        """The reply to a start. The paper's JSON was made when it was drawn; it is put in as it is."""
        plan, start = started.plan, started.start
        paper = self._shelf.paper(plan.id, start.paper)
        token = Paper(
            started.attempt, bearer.participant, plan.id, start.n, start.paper, bearer.unit, bearer.categories,
            us_of(start.started_at), paper.shape,
        )  # fmt: skip
        reply: dict[str, Any] = {
            "attempt_id": started.attempt,
            "n": start.n,
            "attempts_left": started.attempts_left,
            "started_at": start.started_at,
            "deadline": started.deadline,
            "now": self._clock.now(),
            "paper": {
                "code": start.paper,
                "minutes": plan.minutes,
                "questions": paper.questions,
                "prediction": plan.prediction,
            },
            "paper_token": self._papers.sign(msgspec.msgpack.encode(token)),
        }
        return msgspec.json.encode(reply)


async def _described() -> None:
    """Hands in the answers of a paper. The same again gets the same receipt; other answers 409 with the first receipt.

    Lateness is judged afterwards (verdict `late`). The endpoint itself stands in front of the application (`submissions.py`).
    """
    raise Problem(404, "submissions", "Không tìm thấy.")


def _round_view(plan: RoundPlan, now: datetime) -> RoundView:
    return RoundView(id=plan.id, name=plan.name, opens=plan.opens, closes=plan.closes, state=state_at(plan, now))


def _rules_view(plan: RoundPlan) -> RulesView:
    return RulesView(
        questions=plan.questions,
        minutes=plan.minutes,
        attempts=plan.attempts,
        counting=plan.counting,
        ranking=list(plan.ranking),
        prediction=plan.prediction,
        show_score=plan.show_score,
        show_key=plan.show_key,
    )
