"""Reads a contest directory: `contest.yaml`, `questions.csv`, `units.csv`, and `trees.csv` and `changes.csv` where there are any.
Every fault is named by file, row and column; nothing is half-read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from services.events import Category, ContestPublished, Document, RoundPlan, Unit
from services.events.contests import PrizePlans, Tree
from services.events.units import TERRITORY
from services.kit.faults import Fault, Faults, FaultsFound
from services.kit.sheets import check_filled, rows
from services.quiz.bank.rules import options_of, right_of
from services.quiz.contest_yaml import CONTEST, Consent, Contest, PaperPlan, Prize, Prizes, Round, Settings, allows_names
from services.quiz.domain import REST, Question
from services.quiz.unit_files import CHANGES, TREES, UNITS, UnitFiles

__all__ = ["ContestFiles", "Fault", "FaultsFound", "read_contest", "shift"]

QUESTIONS = "questions.csv"

Window = tuple[datetime, datetime]


@dataclass(frozen=True, kw_only=True)
class ContestFiles:
    """A contest that can be loaded. `digest` is the same for the same files."""

    id: str
    title: str
    kind: str
    owner: str
    timezone: str
    documents: tuple[Document, ...]
    categories: tuple[Category, ...]
    units: tuple[Unit, ...]
    trees: tuple[Tree, ...]
    rounds: tuple[RoundPlan, ...]
    questions: tuple[Question, ...]
    blueprint: Mapping[str, int]
    codes: int
    consent_version: str
    consent_text: str
    digest: str = field(compare=False)
    publish_names: Literal["masked", "winners"] = "masked"
    prizes: PrizePlans | None = None

    def published(self, now: datetime) -> ContestPublished:
        """The event that makes the contest visible."""
        return ContestPublished(
            time=now,
            contest=self.id,
            title=self.title,
            kind=self.kind,
            owner=self.owner,
            timezone=self.timezone,
            documents=self.documents,
            categories=self.categories,
            units=self.units,
            trees=self.trees,
            rounds=self.rounds,
            publishing_consent=self.consent_version if self.publish_names == "winners" else "",
            prizes=self.prizes,
        )


def read_contest(directory: Path) -> ContestFiles:
    """Reads a contest directory. Raises FaultsFound."""
    faults = Faults()
    texts = {name: faults.text(directory / name) for name in (CONTEST, QUESTIONS, UNITS)}
    texts |= {name: faults.text(directory / name) for name in (TREES, CHANGES) if (directory / name).exists()}
    settings = Settings(texts[CONTEST], faults)
    questions = tuple(_read_questions(texts[QUESTIONS], faults))
    trees = tuple(Tree(id=tree.id, name=tree.name) for _, tree in settings.items("trees"))
    units = tuple(UnitFiles(texts, trees, faults).units)
    windows = _windows(settings)
    _check_settings(settings)
    if questions and isinstance(paper := settings.get("paper"), PaperPlan):
        _check_blueprint(paper, questions, settings)
    if faults.found:
        raise FaultsFound(faults.found)
    contest = settings.whole()
    digest = blake2b("\0".join(text or "" for text in texts.values()).encode(), digest_size=16).hexdigest()
    return ContestFiles(
        id=contest.id,
        title=contest.title,
        kind=contest.kind,
        owner=contest.owner,
        timezone=contest.timezone,
        documents=tuple(contest.documents),
        categories=tuple(contest.categories),
        units=units,
        trees=trees,
        rounds=tuple(_plan(contest, round, *windows[round.id]) for round in contest.rounds),
        questions=questions,
        blueprint=contest.paper.blueprint,
        codes=contest.paper.codes,
        consent_version=contest.consent.version,
        consent_text=contest.consent.text,
        digest=digest,
        publish_names=contest.publish_names,
        prizes=msgspec.convert(contest.prizes, PrizePlans, from_attributes=True) if contest.prizes else None,
    )


def shift(files: ContestFiles, now: datetime) -> ContestFiles:
    """The same contest with all rounds moved by one step, so that the first opened at the start of this hour."""
    step = now.replace(minute=0, second=0, microsecond=0) - min(plan.opens for plan in files.rounds)
    moved = [msgspec.structs.replace(plan, opens=plan.opens + step, closes=plan.closes + step) for plan in files.rounds]
    return replace(files, rounds=tuple(moved))


def _read_questions(text: str | None, faults: Faults) -> Iterator[Question]:
    """The bank. A question with a fault is in it too, so that its topic is not found too small besides."""
    ids: dict[str, int] = {}
    for row, cells in rows(QUESTIONS, text, ("id", "topic", "text", "a", "b", "answer"), faults):
        check_filled(QUESTIONS, row, cells, ("id", "topic", "text", "answer"), faults)
        if cells["id"] and (other := ids.setdefault(cells["id"], row)) != row:
            faults.add(QUESTIONS, row, "id", "Mã {id} đã có ở dòng {line}.", id=cells["id"], line=other)
        note = partial(faults.add, QUESTIONS, row)
        options, letters = options_of(cells, note)
        right = right_of(cells["answer"], letters, note)
        said = {"source": cells.get("source", ""), "explanation": cells.get("explanation", "")}
        yield Question(cells["id"], cells["topic"], cells["text"], options, right, **said)
    if text is not None and not ids and not any(fault.file == QUESTIONS for fault in faults.found):
        faults.add(QUESTIONS, None, None, "Không có câu hỏi nào.")


def _zone(settings: Settings) -> ZoneInfo:
    """The contest's timezone; UTC where there is none, so that its rounds can be compared all the same."""
    try:
        return ZoneInfo(settings.get("timezone") or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "Asia" is a directory
        settings.fault("timezone", "Không có múi giờ này, ví dụ Asia/Ho_Chi_Minh.")
        return ZoneInfo("UTC")


def _windows(settings: Settings) -> dict[str, Window]:
    """When each round opens and closes, in UTC, by the round's id. Rounds that overlap are a fault, in whatever order."""
    zone = _zone(settings)
    windows: dict[str, Window] = {}
    placed: list[tuple[Window, str, Round]] = []
    for path, round in settings.items("rounds"):
        opens = _utc(settings, f"{path}.opens", round.opens, zone)
        closes = _utc(settings, f"{path}.closes", round.closes, zone)
        if opens is None or closes is None:
            continue
        if closes <= opens:
            settings.fault(f"{path}.closes", "Vòng thi đóng trước khi mở.")
            continue
        windows[round.id] = opens, closes
        placed.append(((opens, closes), path, round))
    placed.sort(key=lambda one: one[0])
    for (before, _, earlier), ((opens, _), path, _) in pairwise(placed):
        if opens < before[1]:
            settings.fault(f"{path}.opens", "Vòng thi mở khi vòng {other} chưa đóng.", other=earlier.id)
    return windows


def _utc(settings: Settings, path: str, text: str, zone: ZoneInfo) -> datetime | None:
    """A time as the organiser's clock shows it, in UTC."""
    try:
        local = datetime.fromisoformat(text)
        return (local if local.tzinfo else local.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        settings.fault(path, "Không phải ngày giờ, ví dụ 2023-05-19T08:00.")
        return None


def _check_settings(settings: Settings) -> None:
    for name in ("rounds", "categories", "trees"):
        ids: set[str] = set()
        for path, item in settings.items(name):
            if item.id in ids:
                settings.fault(f"{path}.id", "Mã {id} bị trùng.", id=item.id)
            ids.add(item.id)
    for path, category in settings.items("categories"):
        if category.target is not None and not 0 < category.target <= 100:
            settings.fault(f"{path}.target", "Chỉ tiêu phải trên 0 và không quá 100 (%).")
    prizes, trees = settings.get("prizes"), [tree.id for _, tree in settings.items("trees")] or [TERRITORY.id]
    for place, prize in enumerate(prizes.unit if isinstance(prizes, Prizes) else ()):
        if isinstance(prize, Prize) and prize.tree and prize.tree not in trees:
            settings.fault(f"prizes.unit[{place}].tree", "Không có cây đơn vị này. Các cây: {names}.", names=", ".join(trees))
    consent = settings.get("consent")
    if settings.get("publish_names") == "winners" and isinstance(consent, Consent) and not allows_names(consent.text):
        settings.fault("publish_names", "Nội dung đồng ý phải nói rõ việc công bố họ tên người đạt giải.")


def _check_blueprint(paper: PaperPlan, questions: tuple[Question, ...], settings: Settings) -> None:
    total = sum(paper.blueprint.values())
    if total != paper.questions:
        settings.fault("paper.blueprint", "Cộng lại được {found} câu, cần {wanted}.", found=total, wanted=paper.questions)
    for topic, count in paper.blueprint.items():
        there = sum(q.topic not in paper.blueprint if topic == REST else q.topic == topic for q in questions)
        if there < count:
            settings.fault(f"paper.blueprint.{topic}", "Cần {wanted} câu, ngân hàng có {found}.", wanted=count, found=there)


def _plan(contest: Contest, round: Round, opens: datetime, closes: datetime) -> RoundPlan:
    return RoundPlan(
        id=f"{contest.id}.{round.id}",
        contest=contest.id,
        name=round.name,
        opens=opens,
        closes=closes,
        questions=contest.paper.questions,
        minutes=contest.paper.minutes,
        attempts=contest.attempts_per_round,
        counting=contest.counting,
        ranking=tuple(contest.ranking),
        prediction=contest.paper.prediction,
        show_score=contest.show.score,
        show_key=contest.show.key,
    )
