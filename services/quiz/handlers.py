"""What the commands do: register a person, start an attempt; and which event tells of each fact."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import phonenumbers

from services.events import AttemptStarted, ContestBook, Event, ParticipantRegistered, RoundPlan, Unit, state_at
from services.events.units import folded, successor
from services.kit.clock import Clock, us_of
from services.kit.problems import Problem
from services.kit.tokens import Bearer
from services.quiz.domain import Open, Running, Spent, Start, attempt_id, deadline, next_attempt, paper_code

PARTICIPANTS, STARTS = "participants", "starts"

SAME_REQUEST = timedelta(minutes=2)
"""How long the very same registration is taken for one request that came again because its answer was lost."""


class Facts(Protocol):
    """As much of the store as the commands need."""

    async def add(self, collection: str, fact: dict[str, Any]) -> bool: ...
    async def facts(self, collection: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]: ...


class Shelf(Protocol):
    """As much of the shelf of papers as the commands need."""

    def consent_version(self, contest: str) -> str: ...
    def codes(self, round: str) -> Sequence[str]: ...


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What a person says of themselves."""

    contest: str
    name: str
    phone: str
    unit: str
    categories: tuple[str, ...]
    email: str | None
    consent_version: str
    consent_accepted: bool
    resume_code: str | None
    language: str
    roster_code: str | None = None


@dataclass(frozen=True)
class Registered:
    """`new` is False where the same phone came back with its resume code."""

    bearer: Bearer
    resume_code: str
    new: bool


@dataclass(frozen=True)
class Started:
    """An attempt in somebody's hands. `new` is False where it was running already."""

    attempt: str
    plan: RoundPlan
    start: Start
    attempts_left: int
    new: bool
    extra: int = 0

    @property
    def deadline(self) -> datetime:
        """When the paper is to be in, with the person's extra minutes."""
        return deadline(self.start.started_at, self.plan.minutes + self.extra, self.plan.closes)


class Participants:
    """Registration: the same phone is the same person of a contest, and the first data stand."""

    def __init__(self, facts: Facts, book: ContestBook, shelf: Shelf, key: bytes, clock: Clock) -> None:
        self._facts, self._book, self._shelf, self._key, self._clock = facts, book, shelf, key, clock

    async def with_phone(self, contest: str, phone: str) -> str:
        """The person of a contest who registered with this phone. Raises Problem 404 or 422."""
        participant = self._opaque("participant", f"{contest}|{_phone(phone)}", 12)
        if participant not in await self._facts.facts(PARTICIPANTS, [participant]):
            raise Problem(404, "participant", "Chưa có ai đăng ký bằng số điện thoại này.", field="phone")
        return participant

    async def register(self, asked: Registration) -> Registered:
        """Registers a person, or knows them again. Raises Problem 404, 409 or 422."""
        phone = _phone(asked.phone)
        unit = self._check(asked)
        participant = self._opaque("participant", f"{asked.contest}|{phone}", 12)
        code = self._opaque("resume", participant, 5)
        fact: dict[str, Any] = {
            "_id": participant,
            "contest": asked.contest,
            "name": " ".join(asked.name.split()),
            "phone": phone,
            "unit": unit.code,
            "categories": list(dict.fromkeys(asked.categories)),
            "email": asked.email,
            "roster_code": " ".join((asked.roster_code or "").split()) or None,
            "consent": asked.consent_version,
            "language": asked.language,
            "at": _milliseconds(self._clock.now()),
        }
        new = await self._facts.add(PARTICIPANTS, fact)
        standing = fact if new else (await self._facts.facts(PARTICIPANTS, [participant]))[participant]
        if not new and not self._same_person(asked, fact, standing, code):
            raise Problem(
                409, "phone-known", "Số điện thoại này đã đăng ký. Hãy nhập mã tiếp tục đã cấp khi đăng ký.", field="resume_code"
            )
        bearer = Bearer(participant, standing["contest"], standing["unit"], tuple(standing["categories"]))
        return Registered(bearer, code, new)

    def _check(self, asked: Registration) -> Unit:
        """Returns the unit that stands today for the one that was named."""
        contest = self._book.contests.get(asked.contest)
        if contest is None:
            raise Problem(404, "contest", "Không có cuộc thi này.", field="contest")
        if not asked.name.strip():
            raise Problem(422, "name", "Hãy ghi họ và tên.", field="name")
        units, day = self._book.units(asked.contest), self._clock.now().astimezone(ZoneInfo(contest.timezone)).date()
        unit = units.get(successor(units, asked.unit, day))
        if unit is None:
            raise Problem(422, "unit", "Không có đơn vị này trong cuộc thi.", field="unit")
        if folded(unit, day):
            raise Problem(422, "unit-ended", "Đơn vị này không còn. Hãy chọn đơn vị khác.", field="unit")
        known = {category.id for category in contest.categories}
        if not asked.categories or not known.issuperset(asked.categories):
            raise Problem(422, "categories", "Hãy chọn ít nhất một đối tượng có trong danh sách.", field="categories")
        if not asked.consent_accepted:
            raise Problem(422, "consent", "Cần đồng ý với việc xử lý thông tin để dự thi.", field="consent.accepted")
        if asked.consent_version != self._shelf.consent_version(asked.contest):
            raise Problem(422, "consent-version", "Nội dung đồng ý đã thay đổi. Hãy tải lại trang.", field="consent.version")
        return unit

    def _same_person(self, asked: Registration, fact: dict[str, Any], standing: dict[str, Any], code: str) -> bool:
        if asked.resume_code is not None:
            return asked.resume_code.strip().lower() == code
        again = {**fact, "at": standing["at"]} == standing
        return again and self._clock.now() - standing["at"] < SAME_REQUEST

    def _opaque(self, purpose: str, text: str, size: int) -> str:
        """Lower-case base32 that only this installation can derive."""
        digest = blake2b(text.encode(), key=self._key, digest_size=size, person=purpose.encode()[:16]).digest()
        return base64.b32encode(digest).decode().rstrip("=").lower()


class Submitted(Protocol):
    """Which of these attempts this host has receipted since a time in µs."""

    def __call__(self, attempts: Sequence[str], since_us: int) -> set[str]: ...


class Extra(Protocol):
    """The extra minutes of a person in a round."""

    def __call__(self, round: str, participant: str, unit: str, categories: Sequence[str]) -> int: ...


def no_extra(round: str, participant: str, unit: str, categories: Sequence[str]) -> int:
    """Nobody has extra time."""
    return 0


class Attempts:
    """Starts: each recorded once, so that a second start gives the same paper and deadline, on any phone."""

    def __init__(
        self, facts: Facts, book: ContestBook, shelf: Shelf, submitted: Submitted, clock: Clock, extra: Extra = no_extra
    ) -> None:
        self._facts, self._book, self._shelf, self._submitted, self._clock = facts, book, shelf, submitted, clock
        self._extra = extra

    async def start(self, bearer: Bearer, round: str, handed_in: str | None) -> Started:
        """Starts the next attempt of a person, or finds the one that runs. `handed_in` is an attempt that a receipt proves to be
        submitted, wherever that was. Raises Problem 404 or 409."""
        plan = self._book.round(round)
        if plan is None or plan.contest != bearer.contest:
            raise Problem(404, "round", "Không có vòng thi này.", field="round")
        ids = [attempt_id(bearer.participant, round, n) for n in range(1, plan.attempts + 1)]
        known = await self._facts.facts(STARTS, ids)
        starts = [_start(known[id]) for id in ids if id in known]
        now = _milliseconds(self._clock.now())
        done = self._done(bearer, round, starts, handed_in)
        minutes = plan.minutes + self._extra_of(bearer, plan)
        match next_attempt(starts, done, now, minutes, plan.closes, plan.attempts):
            case Running(start):
                return self._started(bearer, plan, start, new=False)
            case Spent():
                raise Problem(409, "attempts-spent", "Bạn đã dùng hết {most} lượt thi của vòng này.", most=plan.attempts)
            case Open(n):
                _check_open(plan, now)
                return await self._open(bearer, plan, n, now)

    async def find(self, bearer: Bearer, attempt: str) -> Started:
        """An attempt of this person that was started: for its deadline, which an extension or extra time may have moved. Raises
        Problem 404."""
        fact = (await self._facts.facts(STARTS, [attempt])).get(attempt)
        plan = self._book.round(fact["round"]) if fact else None
        if fact is None or plan is None or fact["participant"] != bearer.participant:
            raise Problem(404, "attempt", "Không có lượt thi này.", field="attempt")
        return self._started(bearer, plan, _start(fact), new=False)

    def _extra_of(self, bearer: Bearer, plan: RoundPlan) -> int:
        return self._extra(plan.id, bearer.participant, bearer.unit, bearer.categories)

    def _done(self, bearer: Bearer, round: str, starts: Sequence[Start], handed_in: str | None) -> set[int]:
        """The numbers of the attempts that are known to be submitted."""
        if not starts:
            return set()
        ids = {attempt_id(bearer.participant, round, start.n): start.n for start in starts}
        found = self._submitted(list(ids), us_of(starts[0].started_at))
        return {n for id, n in ids.items() if id in found or id == handed_in}

    async def _open(self, bearer: Bearer, plan: RoundPlan, n: int, now: datetime) -> Started:
        id = attempt_id(bearer.participant, plan.id, n)
        fact = {
            "_id": id,
            "participant": bearer.participant,
            "round": plan.id,
            "n": n,
            "unit": bearer.unit,
            "categories": list(bearer.categories),
            "paper": paper_code(bearer.participant, plan.id, n, self._shelf.codes(plan.id)),
            "started_at": now,
            "deadline": deadline(now, plan.minutes, plan.closes),
        }
        new = await self._facts.add(STARTS, fact)
        standing = fact if new else (await self._facts.facts(STARTS, [id]))[id]
        return self._started(bearer, plan, _start(standing), new=new)

    def _started(self, bearer: Bearer, plan: RoundPlan, start: Start, *, new: bool) -> Started:
        id, extra = attempt_id(bearer.participant, plan.id, start.n), self._extra_of(bearer, plan)
        return Started(id, plan, start, plan.attempts - start.n, new, extra)


def event_of(collection: str, fact: dict[str, Any]) -> Event:
    """The event that tells of a fact; the same for the same fact, however often it is told."""
    if collection == PARTICIPANTS:
        return ParticipantRegistered(
            time=fact["at"],
            participant=fact["_id"],
            contest=fact["contest"],
            name=fact["name"],
            phone=fact["phone"],
            unit=fact["unit"],
            categories=tuple(fact["categories"]),
            consent=fact["consent"],
            email=fact["email"],
            language=fact["language"],
            roster_code=fact.get("roster_code"),
        )
    return AttemptStarted(
        time=fact["started_at"],
        attempt=fact["_id"],
        participant=fact["participant"],
        round=fact["round"],
        n=fact["n"],
        unit=fact["unit"],
        categories=tuple(fact["categories"]),
        deadline=fact["deadline"],
    )


def _milliseconds(time: datetime) -> datetime:
    """As the store keeps it: what is told first must be what is read later."""
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def _start(fact: dict[str, Any]) -> Start:
    return Start(fact["n"], fact["started_at"], fact["paper"])


def _check_open(plan: RoundPlan, now: datetime) -> None:
    refusals = {
        "upcoming": "Vòng thi chưa mở.",
        "paused": "Vòng thi đang tạm dừng; xin quay lại sau.",
        "closed": "Vòng thi đã kết thúc.",
        "final": "Vòng thi đã kết thúc.",
    }
    state = state_at(plan, now)
    if state != "open":
        raise Problem(409, f"round-{state}", refusals[state], field="round")


def _phone(text: str) -> str:
    """A Vietnamese phone number as E.164; +84 and the leading 0 are the same. Raises Problem 422."""
    try:
        number = phonenumbers.parse(text, "VN")
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        raise Problem(422, "phone", "Số điện thoại không đúng.", field="phone")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
