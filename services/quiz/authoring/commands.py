"""What organisers do to contests and rounds, above what is kept; the pages and the API say the same things here."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from services.events import ContestBook, RoundPlan, Unit
from services.events.units import TERRITORY
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.quiz.authoring.answers import Answers
from services.quiz.authoring.approval import seen
from services.quiz.authoring.checklist import Point, blocked, checklist
from services.quiz.authoring.drafts import ContestDraft, RoundDraft, clone, round_id, slug
from services.quiz.authoring.live import MOST_MINUTES, Live
from services.quiz.authoring.mending import Mending
from services.quiz.authoring.publishing import Publisher, shelved
from services.quiz.authoring.running import Change, Rounds
from services.quiz.authoring.store import Drafts, Notes
from services.quiz.authoring.units import UnitSheet, named_trees, read, read_text
from services.quiz.bank.store import Bank
from services.quiz.domain import draw, draws
from services.quiz.handlers import Participants
from services.quiz.shelf import ShelvedPaper

MOST_BANNER = 300


@dataclass(frozen=True)
class Grant:
    """Extra minutes for a `participant` (given by phone), a `unit` with all below it, or a `category`."""

    kind: str
    target: str
    minutes: int
    reason: str


class Authoring:
    """All calls raise Problem where the state forbids them, StoreDown and BusDown; what was begun is finished by the worker."""

    def __init__(self, runtime: Runtime, book: ContestBook, participants: Participants) -> None:
        self._runtime, self._book, self._participants = runtime, book, participants
        self.drafts, self._bank, self._notes = Drafts(runtime.store), Bank(runtime.store), Notes(runtime.store)
        self._publisher = Publisher(runtime, self.drafts, self._bank)
        self._rounds, self.mending = Rounds(runtime, book), Mending(runtime, book)
        self.answers = Answers(runtime, book, self.drafts, self._bank, self.mending)
        self.live = Live(self._notes, book, runtime.clock)

    @property
    def now(self) -> datetime:
        """The server's time."""
        return self._runtime.clock.now()

    async def get(self, contest: str) -> ContestDraft:
        """A contest, its published rounds with the end that they have now. Raises Problem 404."""
        draft = await self.drafts.get(contest)
        plans = {round.id: self._book.round(round.id) for round in draft.rounds if round.stage == "published"}
        for round in draft.rounds:
            if plan := plans.get(round.id):
                draft = draft.with_round(msgspec.structs.replace(round, closes=plan.closes))
        return draft

    # Contests

    async def create(self, title: str, kind: str, owner: str, id: str = "", timezone: str = "Asia/Ho_Chi_Minh") -> ContestDraft:
        """A new contest; without an id, one is made of the title."""
        if not title.strip():
            raise Problem(422, "title", "Hãy ghi tên cuộc thi.", field="title")
        name = id or slug(title, await self.drafts.ids())
        if name != slug(name):
            raise Problem(422, "id", "Mã chỉ gồm a–z, 0–9 và dấu gạch nối.", field="id")
        draft = ContestDraft(id=name, title=title.strip(), kind=kind.strip(), owner=owner.strip(), timezone=zone(timezone))
        await self.drafts.create(draft)
        return draft

    async def edit(self, draft: ContestDraft) -> ContestDraft:
        """Keeps changed texts; who takes part sees them with the next publication."""
        if not draft.title:
            raise Problem(422, "title", "Hãy ghi tên cuộc thi.", field="title")
        return await self.drafts.save(draft)

    def sheet(self, draft: ContestDraft, data: bytes) -> UnitSheet:
        """What a file of units, places or changes holds, row by row."""
        return read(data, draft.trees, draft.units, self.published_units(draft.id))

    async def pending_units(self, draft: ContestDraft, digest: str) -> UnitSheet:
        """The file that was tried last, if it is the one of this digest. Raises Problem 409."""
        text = await self.drafts.pending(draft.id)
        sheet = read_text(text, draft.trees, draft.units, self.published_units(draft.id))
        if sheet.digest != digest or not sheet.good:
            raise Problem(409, "units-changed", "Tệp đơn vị đã đổi sau khi kiểm tra. Hãy kiểm tra lại.", field="file")
        return sheet

    async def put_units(self, draft: ContestDraft, units: Sequence[Unit]) -> ContestDraft:
        """The units that a file or a change was found to lead to."""
        return await self.drafts.save(msgspec.structs.replace(draft, units=tuple(units)))

    async def put_trees(self, draft: ContestDraft, names: Sequence[str]) -> ContestDraft:
        """The trees by their names, the first one first; a name that is known keeps its id. Raises Problem 422 where units stand
        in a tree that would go."""
        trees = named_trees(names, draft.trees)
        used = {place.tree for unit in draft.units for place in unit.placements}
        if any(not unit.placements for unit in draft.units):
            used.add(TERRITORY.id)
        if gone := used - {tree.id for tree in trees}:
            lost = next(tree.name for tree in [*draft.trees, TERRITORY] if tree.id in gone)
            raise Problem(422, "trees", "Còn đơn vị trong cây “{tree}” nên không bỏ được.", field="trees", tree=lost)
        return await self.drafts.save(msgspec.structs.replace(draft, trees=trees))

    def published_units(self, contest: str) -> set[str]:
        """The codes that people may have registered under."""
        return set(self._book.units(contest))

    async def unpublished(self, draft: ContestDraft) -> bool:
        """Whether a published contest has changed since everyone was told of it."""
        known = self._book.contests.get(draft.id)
        if known is None:
            return False
        compared = ("title", "kind", "owner", "timezone", "documents", "categories", "units", "trees", "publishing_consent")
        told = all(getattr(known, name) == getattr(draft, name) for name in compared)
        return not told or draft.consent_text != await self.drafts.shown_consent(draft.id)

    async def publish(self, contest: str, round: str | None = None) -> ContestDraft:
        """Tells everyone of the contest as it is now; with a round, of that too."""
        return await self._publisher.publish(await self.get(contest), round)

    # Rounds

    async def topics(self, contest: str) -> dict[str, int]:
        """How many questions of each topic the bank has."""
        return await self._bank.topics(contest)

    def proposed(self, draft: ContestDraft, from_round: str = "") -> RoundDraft:
        """A round to start from: a week after the one named, or the contest's rules and the week that comes."""
        if from_round:
            return clone(draft, find(draft, from_round))
        if draft.rounds:
            return msgspec.structs.replace(clone(draft, draft.rounds[-1]), rules=draft.rules)
        local = (self.now.astimezone(draft.zone) + timedelta(days=1)).replace(hour=8, minute=0, second=0, microsecond=0)
        opens, name = local.astimezone(self.now.tzinfo), "Tuần 1"
        closes = opens + timedelta(weeks=1)
        return RoundDraft(id=round_id(draft, name), name=name, opens=opens, closes=closes, rules=draft.rules)

    async def put_round(self, draft: ContestDraft, round: RoundDraft) -> ContestDraft:
        """Keeps a new or changed round, as a draft again. Raises Problem 409 where it is published."""
        held = draft.round(round.id)
        if held is not None and held.stage == "published":
            raise Problem(409, "round-published", "Vòng đã công bố thì không sửa được; có thể tạm dừng, gia hạn hoặc đóng.")
        if not round.name:
            raise Problem(422, "name", "Hãy ghi tên vòng thi.", field="name")
        # The next new round begins with the rules that were used last.
        return await self.drafts.save(msgspec.structs.replace(draft.with_round(round.as_draft()), rules=round.rules))

    async def points(self, draft: ContestDraft, round: RoundDraft) -> list[Point]:
        """What the round still lacks."""
        bank, told = await self._bank.questions(draft.id), await self.answers.told(draft.id)
        points = checklist(draft, round, Counter(question.topic for question in bank), self.now)
        if known := sum(q.id in told and draws(q.topic, round.rules.blueprint) for q in bank):
            text = "{n} câu mà đề có thể rút đã ở trong đề của vòng đã đóng: có người có thể đã biết đáp án."
            points.append(Point(False, text, f"/console/bank?contest={draft.id}", blocks=False, values={"n": known}))
        return points

    async def submit(self, draft: ContestDraft, round: str, by: str) -> RoundDraft:
        """Asks for approval."""
        found = find(draft, round)
        if found.stage not in ("draft", "submitted"):
            raise Problem(409, "stage", "Vòng thi này đã được duyệt.", field="round")
        if missing := blocked(await self.points(draft, found)):
            raise Problem(409, "checklist", "Chưa gửi duyệt được: còn {n} điều chưa đạt.", field="round", n=len(missing))
        return await self._stage(draft, msgspec.structs.replace(found, stage="submitted", submitted_by=by, returned=""))

    async def approve(self, draft: ContestDraft, round: str, by: str, alone: str = "") -> RoundDraft:
        """A second person approves; or, with a reason, the same one ("duyệt một người")."""
        found = find(draft, round)
        if found.stage != "submitted":
            raise Problem(409, "stage", "Vòng thi này chưa được gửi duyệt.", field="round")
        same = found.submitted_by == by
        if same and not alone.strip():
            raise Problem(
                409, "second-person", "Người duyệt phải khác người trình. Nếu chỉ có một người, hãy ghi lý do duyệt một người.",
                field="alone",
            )  # fmt: skip
        reason, approval = alone.strip() if same else "", seen(draft, found, await self._bank.questions(draft.id))
        approved = msgspec.structs.replace(found, stage="approved", approved_by=by, alone=reason, approval=approval)
        return await self._stage(draft, approved)

    async def _stage(self, draft: ContestDraft, round: RoundDraft) -> RoundDraft:
        await self.drafts.save(draft.with_round(round))
        return round

    async def sample(self, draft: ContestDraft, round: RoundDraft) -> ShelvedPaper:
        """A paper as a participant would see it; drawn for this look alone, and none that anybody will get."""
        try:
            (paper,) = draw(await self._bank.questions(draft.id), round.rules.blueprint, 1, random.Random())
        except ValueError as error:
            raise Problem(409, "bank", "Ngân hàng câu hỏi chưa đủ để rút một đề.", field="blueprint") from error
        return shelved(paper)

    # While it runs

    async def change(self, round: str, change: Change, by: str, reason: str, closes: datetime | None = None) -> RoundPlan:
        """Pauses, resumes, extends or closes a round; everyone reads the reason."""
        plan = await self._rounds.change(round, change, by, reason, closes)
        await self.live.read()
        return plan

    async def put_banner(self, contest: str, text: str, level: str, until: datetime | None) -> None:
        """A line above all participants' pages of a contest; an empty one takes it down."""
        text = " ".join(text.split())
        if len(text) > MOST_BANNER:
            raise Problem(422, "banner", "Thông báo dài quá {most} ký tự.", field="text", most=MOST_BANNER)
        if text and (until is None or until <= self.now):
            raise Problem(422, "until", "Hãy chọn lúc gỡ thông báo, sau bây giờ.", field="until")
        await self._notes.put_banner(contest, text, "warning" if level == "warning" else "info", until or self.now)
        await self.live.read()

    async def grant(self, draft: ContestDraft, round: str, grant: Grant, by: str) -> str:
        """Gives extra minutes; returns the target as it is kept: a person's is their opaque id."""
        find(draft, round)
        if not 0 <= grant.minutes <= MOST_MINUTES:
            raise Problem(422, "minutes", "Số phút thêm phải từ 0 đến {most}.", field="minutes", most=MOST_MINUTES)
        if not grant.reason.strip():
            raise Problem(422, "reason", "Hãy ghi lý do.", field="reason")
        target = grant.target.strip()
        if grant.kind == "participant":
            target = await self._participants.with_phone(draft.id, target)
        elif grant.kind == "unit" and target not in {unit.code for unit in draft.units}:
            raise Problem(422, "unit", "Không có đơn vị này trong cuộc thi.", field="target")
        elif grant.kind == "category" and target not in {category.id for category in draft.categories}:
            raise Problem(422, "category", "Không có đối tượng này trong cuộc thi.", field="target")
        await self._notes.grant(round, grant.kind, target, grant.minutes, grant.reason.strip(), by, self.now)
        await self.live.read()
        return target


def find(draft: ContestDraft, round: str) -> RoundDraft:
    """A round of a contest, by its id or the part of it that is its own. Raises Problem 404."""
    found = draft.round(round) or draft.round(f"{draft.id}.{round}")
    if found is None:
        raise Problem(404, "round", "Không có vòng thi này.", field="round")
    return found


def zone(name: str) -> str:
    """The name of a time zone. Raises Problem 422 where there is none of it."""
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError) as error:  # not found, no name of a file, a directory
        raise Problem(422, "timezone", "Không có múi giờ này, ví dụ Asia/Ho_Chi_Minh.", field="timezone") from error
