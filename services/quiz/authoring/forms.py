"""The console's forms as data, and data as its forms show them. Faults are Problem 422 with the field's name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from services.events import Category, Document
from services.kit.problems import Problem
from services.quiz.authoring.commands import zone
from services.quiz.authoring.drafts import RANKING, ContestDraft, Names, RoundDraft, Rules, consent_version, slug
from services.quiz.contest_yaml import allows_names
from services.quiz.domain import REST

Form = Mapping[str, Any]
TOPIC = "topic:"
"""The field of a topic's count in a blueprint is this and the topic's name."""


def text(form: Form, name: str, most: int = 500) -> str:
    """A field as one line of composed text."""
    value = " ".join(str(form.get(name) or "").split())
    if len(value) > most:
        raise Problem(422, "too-long", "Quá dài: nhiều nhất {most} ký tự.", field=name, most=most)
    return value


def number(form: Form, name: str, least: int, most: int) -> int:
    """A field as a whole number."""
    value = text(form, name)
    if not value.isascii() or not value.isdigit() or not least <= int(value[:9]) <= most:
        raise Problem(422, "number", "Phải là số nguyên từ {least} đến {most}.", field=name, least=least, most=most)
    return int(value)


def moment(form: Form, name: str, timezone: ZoneInfo) -> datetime | None:
    """A field as a time of the contest's clock; None where it is empty."""
    value = text(form, name)
    try:
        return datetime.fromisoformat(value).replace(tzinfo=timezone).astimezone(UTC) if value else None
    except (ValueError, OverflowError) as error:
        raise Problem(422, "time", "Không phải ngày giờ.", field=name) from error


def local(time: datetime, contest: ContestDraft) -> str:
    """A time as `<input type="datetime-local">` takes it."""
    return time.astimezone(contest.zone).strftime("%Y-%m-%dT%H:%M")


def contest_of(form: Form, held: ContestDraft) -> ContestDraft:
    """The contest with what its form says."""
    consent = str(form.get("consent") or "").strip()[:5000]
    names: Names = "winners" if form.get("publish_names") == "winners" else "masked"
    if names == "winners" and not allows_names(consent):
        raise Problem(422, "names", "Nội dung đồng ý phải nói rõ việc công bố họ tên người đạt giải.", field="publish_names")
    known = (held.consent_version, held.consent_text)
    return msgspec.structs.replace(
        held,
        title=text(form, "title", 200),
        kind=text(form, "kind", 200),
        owner=text(form, "owner", 200),
        timezone=zone(text(form, "timezone") or held.timezone),
        documents=tuple(_documents(form)),
        categories=tuple(_categories(form, held)),
        consent_text=consent,
        publish_names=names,
        consent_version=known[0] if consent == known[1] else consent_version(consent),
    )


def documents_text(documents: Sequence[Document]) -> str:
    """A line each: number | date | issuer | title."""
    return "\n".join(f"{d.number} | {d.date} | {d.issuer} | {d.title}" for d in documents)


def categories_text(categories: Sequence[Category]) -> str:
    """A line each: name | target in per cent."""
    return "\n".join(c.name if c.target is None else f"{c.name} | {c.target:g}" for c in categories)


def _lines(form: Form, name: str) -> Iterator[list[str]]:
    for line in str(form.get(name) or "").splitlines():
        if line.strip():
            yield [" ".join(part.split()) for part in line.split("|")]


def _documents(form: Form) -> Iterator[Document]:
    for parts in _lines(form, "documents"):
        if len(parts) != 4:
            raise Problem(422, "documents", "Mỗi văn bản một dòng: số | ngày | cơ quan | tên.", field="documents")
        try:
            date = datetime.strptime(parts[1], "%d/%m/%Y").date() if "/" in parts[1] else datetime.fromisoformat(parts[1]).date()
        except ValueError as error:
            raise Problem(422, "documents", "Ngày của văn bản không đúng, ví dụ 04/05/2023.", field="documents") from error
        yield Document(number=parts[0], date=date.isoformat(), issuer=parts[2], title=parts[3])


def _categories(form: Form, held: ContestDraft) -> Iterator[Category]:
    """A name that is known keeps its id: people have registered with it."""
    known = {category.name: category.id for category in held.categories}
    taken = list(known.values())
    for parts in _lines(form, "categories"):
        target = None
        if len(parts) > 1 and parts[1]:
            try:
                target = float(parts[1].removesuffix("%").replace(",", "."))
            except ValueError:
                target = -1.0
            if not 0 < target <= 100:
                raise Problem(422, "categories", "Chỉ tiêu phải trên 0 và không quá 100 (%).", field="categories")
        id = known.get(parts[0]) or slug(parts[0], taken)
        taken.append(id)
        yield Category(id=id, name=parts[0], target=target)


def round_of(form: Form, contest: ContestDraft, held: RoundDraft) -> RoundDraft:
    """The round with what its form says."""
    opens, closes = moment(form, "opens", contest.zone), moment(form, "closes", contest.zone)
    if opens is None or closes is None:
        raise Problem(422, "time", "Hãy chọn ngày giờ mở và đóng.", field="opens" if opens is None else "closes")
    if closes <= opens:
        raise Problem(422, "closes", "Vòng thi đóng trước khi mở.", field="closes")
    return msgspec.structs.replace(held, name=text(form, "name", 100), opens=opens, closes=closes, rules=rules_of(form))


def rules_of(form: Form) -> Rules:
    """The rules that a form says."""
    ranking = [name for place in range(1, len(RANKING) + 1) if (name := text(form, f"ranking{place}")) in RANKING]
    if not ranking or len(set(ranking)) < len(ranking):
        raise Problem(422, "ranking", "Hãy chọn thứ tự xếp hạng; mỗi tiêu chí một lần.", field="ranking1")
    counting, show = text(form, "counting"), text(form, "show_score")
    return Rules(
        blueprint=_blueprint(form),
        codes=number(form, "codes", 1, 999),
        minutes=number(form, "minutes", 1, 600),
        attempts=number(form, "attempts", 1, 100),
        counting="first" if counting == "first" else "last" if counting == "last" else "best",
        ranking=tuple(ranking),
        prediction=text(form, "prediction", 300) or None,
        show_score="at_once" if show == "at_once" else "after_close",
    )


def _blueprint(form: Form) -> dict[str, int]:
    counts = {name.removeprefix(TOPIC): number(form, name, 0, 200) for name in form if name.startswith(TOPIC) and form[name]}
    rest = counts.pop(REST, 0)
    blueprint = {topic: count for topic, count in counts.items() if count} | ({REST: rest} if rest else {})
    if not blueprint or sum(blueprint.values()) > 200:
        raise Problem(422, "blueprint", "Đề phải có từ 1 đến 200 câu.", field=TOPIC + REST)
    return blueprint
