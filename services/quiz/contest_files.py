"""Reads a contest directory: `contest.yaml`, `questions.csv`, `units.csv`. Every fault is named by file, row and column; nothing is
half-read."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml

from services.events import Category, ContestPublished, Document, RoundPlan, Unit
from services.quiz.domain import LETTERS, REST, Question

CONTEST, QUESTIONS, UNITS = "contest.yaml", "questions.csv", "units.csv"

Rank = Literal["correct desc", "prediction_gap asc", "elapsed asc", "received_at asc"]
Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


@dataclass(frozen=True)
class ContestError:
    """One fault. `row` counts the file's lines from 1; `column` is a column's name, or the path of a setting."""

    file: str
    row: int | None
    column: str | None
    message: str

    def __str__(self) -> str:
        place = [self.file, f"dòng {self.row}" if self.row else "", f"cột {self.column}" if self.column else ""]
        return f"{', '.join(filter(None, place))}: {self.message}"


class ContestErrors(Exception):
    """All faults of a contest directory."""

    def __init__(self, errors: list[ContestError]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.errors = errors


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class _Consent(_Strict, frozen=True, kw_only=True):
    version: str
    text: str


class _Paper(_Strict, frozen=True, kw_only=True):
    questions: Count
    minutes: Annotated[int, msgspec.Meta(ge=1, le=600)]
    codes: Annotated[int, msgspec.Meta(ge=1, le=999)]
    blueprint: dict[str, Count]
    prediction: str | None = None


class _Show(_Strict, frozen=True, kw_only=True):
    score: Literal["at_once", "after_close"]
    key: Literal["after_close"] = "after_close"
    perfect_count: Literal["after_close"] = "after_close"


class _Round(_Strict, frozen=True, kw_only=True):
    id: Id
    name: str
    opens: str
    closes: str


class _Prize(_Strict, frozen=True, kw_only=True):
    name: str
    count: Count
    by: Literal["rate", "people"] | None = None


class _Prizes(_Strict, frozen=True, kw_only=True):
    round: list[_Prize] = []
    overall: list[_Prize] = []
    unit: list[_Prize] = []


class _Contest(_Strict, frozen=True, kw_only=True):
    """`contest.yaml` as an organiser writes it."""

    id: Id
    title: str
    kind: str
    owner: str
    timezone: str
    documents: list[Document] = []
    categories: Annotated[list[Category], msgspec.Meta(min_length=1)]
    consent: _Consent
    paper: _Paper
    attempts_per_round: Annotated[int, msgspec.Meta(ge=1, le=100)]
    counting: Literal["best", "first", "last"]
    ranking: Annotated[list[Rank], msgspec.Meta(min_length=1)]
    show: _Show
    rounds: Annotated[list[_Round], msgspec.Meta(min_length=1)]
    prizes: _Prizes = msgspec.field(default_factory=_Prizes)


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
    rounds: tuple[RoundPlan, ...]
    questions: tuple[Question, ...]
    blueprint: Mapping[str, int]
    codes: int
    consent_version: str
    consent_text: str
    digest: str = field(compare=False)

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
            rounds=self.rounds,
        )


def read_contest(directory: Path) -> ContestFiles:
    """Reads a contest directory. Raises ContestErrors."""
    faults = _Faults()
    texts = {name: faults.text(directory / name) for name in (CONTEST, QUESTIONS, UNITS)}
    contest = _read_yaml(texts[CONTEST], faults)
    questions = tuple(_read_questions(texts[QUESTIONS], faults))
    units = tuple(_read_units(texts[UNITS], faults))
    zone = _zone(contest, faults)
    rounds = _plans(contest, zone, faults) if contest else []
    if contest is not None:
        _check_contest(contest, rounds, questions, faults)
    if faults.found or contest is None:
        raise ContestErrors(faults.found)
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
        rounds=tuple(rounds),
        questions=questions,
        blueprint=contest.paper.blueprint,
        codes=contest.paper.codes,
        consent_version=contest.consent.version,
        consent_text=contest.consent.text,
        digest=digest,
    )


def shift(files: ContestFiles, now: datetime) -> ContestFiles:
    """The same contest with all rounds moved by one step, so that the first opened at the start of this hour."""
    step = now.replace(minute=0, second=0, microsecond=0) - min(plan.opens for plan in files.rounds)
    moved = [msgspec.structs.replace(plan, opens=plan.opens + step, closes=plan.closes + step) for plan in files.rounds]
    return replace(files, rounds=tuple(moved))


class _Faults:
    """Collects faults, and reads files so that an unreadable one is a fault and no crash."""

    def __init__(self) -> None:
        self.found: list[ContestError] = []

    def add(self, file: str, row: int | None, column: str | None, message: str) -> None:
        self.found.append(ContestError(file, row, column, message))

    def text(self, path: Path) -> str | None:
        """A file's text with composed accents and without a byte-order mark."""
        try:
            return unicodedata.normalize("NFC", path.read_bytes().decode("utf-8-sig"))
        except FileNotFoundError:
            self.add(path.name, None, None, "Không có tệp này.")
        except UnicodeDecodeError as error:
            row = error.object[: error.start].count(b"\n") + 1
            self.add(path.name, row, None, "Không phải UTF-8. Hãy lưu lại tệp với bảng mã UTF-8.")
        return None


def _read_yaml(text: str | None, faults: _Faults) -> _Contest | None:
    if text is None:
        return None
    try:
        return msgspec.convert(yaml.load(text, Loader=yaml.BaseLoader), _Contest, strict=False)  # noqa: S506 (strings only)
    except yaml.MarkedYAMLError as error:
        faults.add(CONTEST, error.problem_mark.line + 1 if error.problem_mark else None, None, "Không đọc được YAML.")
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        faults.add(CONTEST, None, path.rstrip("`") or None, f"Giá trị không hợp lệ ({what}).")
    return None


def _rows(name: str, text: str | None, needed: tuple[str, ...], faults: _Faults) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV with the line each begins at; columns may be separated by commas or semicolons."""
    if text is None:
        return
    head = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",")
    columns = [column.strip().lower() for column in next(reader, [])]
    missing = [column for column in needed if column not in columns]
    for column in missing:
        faults.add(name, 1, column, "Thiếu cột này.")
    line = reader.line_num
    for cells in reader:
        row, line = line + 1, reader.line_num
        if not missing and any(cell.strip() for cell in cells):
            if len(cells) != len(columns):
                faults.add(name, row, None, f"Có {len(cells)} ô, cần {len(columns)}.")
            else:
                yield row, {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}


def _read_questions(text: str | None, faults: _Faults) -> Iterator[Question]:
    ids: dict[str, int] = {}
    for row, cells in _rows(QUESTIONS, text, ("id", "topic", "text", "a", "b", "answer"), faults):
        before = len(faults.found)
        for column in ("id", "topic", "text"):
            if not cells[column]:
                faults.add(QUESTIONS, row, column, "Để trống.")
        if (other := ids.setdefault(cells["id"], row)) != row:
            faults.add(QUESTIONS, row, "id", f"Mã {cells['id']} đã có ở dòng {other}.")
        options, letters = _options(row, cells, faults)
        right = _right(row, cells["answer"], letters, faults)
        if len(faults.found) == before:
            yield Question(cells["id"], cells["topic"], cells["text"], options, right, cells.get("source", ""))


def _options(row: int, cells: Mapping[str, str], faults: _Faults) -> tuple[tuple[str, ...], str]:
    """The options that are filled in, and their letters in lower case."""
    letters = "".join(letter for letter in LETTERS.lower() if cells.get(letter))
    options = tuple(cells[letter] for letter in letters)
    if len(options) < 2:
        faults.add(QUESTIONS, row, "b" if cells.get("a") else "a", "Cần ít nhất hai phương án.")
    elif not LETTERS.lower().startswith(letters):
        faults.add(QUESTIONS, row, _first_gap(letters), "Phương án bị bỏ trống ở giữa.")
    for place, option in enumerate(options):
        if option in options[:place]:
            faults.add(QUESTIONS, row, letters[place], "Phương án này trùng với một phương án trước.")
    return options, letters


def _first_gap(letters: str) -> str:
    return next(letter for letter in LETTERS.lower() if letter not in letters)


def _right(row: int, answer: str, letters: str, faults: _Faults) -> frozenset[int]:
    """The positions of the right options: `b`, `ac` or `a,c`."""
    named = [letter for letter in answer.lower() if letter not in " ,;"]
    if not named:
        faults.add(QUESTIONS, row, "answer", "Để trống.")
    for letter in named:
        if letter not in letters:
            faults.add(QUESTIONS, row, "answer", f"Không có phương án {letter}.")
    if len(set(named)) == len(letters) and len(letters) > 1:
        faults.add(QUESTIONS, row, "answer", "Mọi phương án đều đúng thì không còn gì để chọn.")
    return frozenset(letters.index(letter) for letter in named if letter in letters)


def _read_units(text: str | None, faults: _Faults) -> list[Unit]:
    units: dict[str, Unit] = {}
    rows: dict[str, int] = {}
    for row, cells in _rows(UNITS, text, ("code", "parent", "name", "kind"), faults):
        for column in ("code", "name", "kind"):
            if not cells[column]:
                faults.add(UNITS, row, column, "Để trống.")
        if cells["code"] in units:
            faults.add(UNITS, row, "code", f"Mã {cells['code']} đã có ở dòng {rows[cells['code']]}.")
            continue
        rows[cells["code"]] = row
        units[cells["code"]] = Unit(code=cells["code"], parent=cells["parent"] or None, name=cells["name"], kind=cells["kind"])
    if text is not None and not units:
        faults.add(UNITS, None, None, "Không có đơn vị nào.")
    return _parents_first(units, rows, faults)


def _parents_first(units: dict[str, Unit], rows: Mapping[str, int], faults: _Faults) -> list[Unit]:
    """The units, each behind the one above it; what has no way to the top is a fault."""
    placed: dict[str, Unit] = {}
    left = dict(units)
    while ready := [unit for unit in left.values() if unit.parent is None or unit.parent in placed]:
        for unit in ready:
            placed[unit.code] = left.pop(unit.code)
    for unit in left.values():
        known = unit.parent in units
        message = "Đơn vị nằm trong một vòng lặp cấp trên." if known else f"Không có đơn vị cấp trên {unit.parent}."
        faults.add(UNITS, rows[unit.code], "parent", message)
    return list(placed.values())


def _zone(contest: _Contest | None, faults: _Faults) -> ZoneInfo:
    try:
        return ZoneInfo(contest.timezone if contest else "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        faults.add(CONTEST, None, "timezone", "Không có múi giờ này.")
        return ZoneInfo("UTC")


def _check_contest(contest: _Contest, rounds: list[RoundPlan], questions: tuple[Question, ...], faults: _Faults) -> None:
    for column, ids in (("rounds", [r.id for r in contest.rounds]), ("categories", [c.id for c in contest.categories])):
        for place, id in enumerate(ids):
            if id in ids[:place]:
                faults.add(CONTEST, None, f"{column}[{place}].id", f"Mã {id} bị trùng.")
    for place, round in enumerate(rounds):
        if round.closes <= round.opens:
            faults.add(CONTEST, None, f"rounds[{place}].closes", "Vòng thi đóng trước khi mở.")
        if place and round.opens < rounds[place - 1].closes:
            faults.add(CONTEST, None, f"rounds[{place}].opens", "Vòng thi mở khi vòng trước chưa đóng.")
    _check_blueprint(contest.paper, questions, faults)


def _check_blueprint(paper: _Paper, questions: tuple[Question, ...], faults: _Faults) -> None:
    if sum(paper.blueprint.values()) != paper.questions:
        total = sum(paper.blueprint.values())
        faults.add(CONTEST, None, "paper.blueprint", f"Cộng lại được {total} câu, cần {paper.questions}.")
    for topic, count in paper.blueprint.items():
        there = sum(q.topic not in paper.blueprint if topic == REST else q.topic == topic for q in questions)
        if there < count:
            faults.add(CONTEST, None, f"paper.blueprint.{topic}", f"Cần {count} câu, ngân hàng có {there}.")


def _plans(contest: _Contest, zone: ZoneInfo, faults: _Faults) -> list[RoundPlan]:
    """The rounds with their times, as the organiser's clock shows them, in UTC."""
    plans = []
    for place, round in enumerate(contest.rounds):
        times = []
        for column, text in (("opens", round.opens), ("closes", round.closes)):
            try:
                local = datetime.fromisoformat(text)
            except ValueError:
                faults.add(CONTEST, None, f"rounds[{place}].{column}", "Không phải ngày giờ, ví dụ 2023-05-19T08:00.")
            else:
                times.append((local if local.tzinfo else local.replace(tzinfo=zone)).astimezone(UTC))
        if len(times) == 2:
            plans.append(_plan(contest, round, *times))
    return plans


def _plan(contest: _Contest, round: _Round, opens: datetime, closes: datetime) -> RoundPlan:
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
