"""The form of a campaign as data. Faults are Problem 422 with the field's name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from services.events import ContestBook
from services.kit.problems import Problem
from services.notify.campaigns import Audience, Campaign, Figures
from services.notify.domain import CHANNELS, Channel
from services.notify.reminding import check_text

Form = Mapping[str, Any]
MOST_TEXT = 2000
FIELDS = ("root", "units", "figures", "as_of", "round", "subject", "text", "with_contacts", "with_accounts", "with_above")
AUDIENCES: tuple[Audience, ...] = ("contacts", "roster", "people")


def made(form: Form, contest: str, book: ContestBook, id: str, by: str, now: datetime) -> Campaign:
    """A new campaign."""
    audience = next((each for each in AUDIENCES if each == form.get("audience")), None)
    if audience is None:
        raise Problem(422, "audience", "Hãy chọn nhắc ai.", field="audience")
    known, root = book.units(contest), str(form.get("root") or "").strip() or None
    if root is not None and root not in known:
        raise Problem(422, "unit", "Không có đơn vị này trong cuộc thi.", field="root")
    units = tuple(dict.fromkeys(str(form.get("units") or "").replace(",", " ").split())) if audience == "contacts" else ()
    for unit in units:
        if unit not in known:
            raise Problem(422, "unit", "Không có đơn vị {unit} trong cuộc thi.", field="units", unit=unit)
    if audience == "contacts" and not units:
        raise Problem(422, "units", "Hãy ghi ít nhất một mã đơn vị.", field="units")
    round = str(form.get("round") or "") or None
    if round is not None and ((plan := book.round(round)) is None or plan.contest != contest):
        raise Problem(422, "round", "Không có vòng thi này.", field="round")
    subject, text, channel = _words(form, audience)
    figures = figures_of(str(form.get("figures") or ""), str(form.get("as_of") or ""))
    return Campaign(
        id=id, contest=contest, audience=audience, channel=channel, root=root, round=round, units=units, subject=subject,
        text=text, made_by=by, made_at=now, figures={unit: figures[unit] for unit in units if unit in figures}, **_whom(form),
    )  # fmt: skip


def figures_of(text: str, as_of: str) -> dict[str, Figures]:
    """What a page of figures says of units, as code:people:headcount:days with commas between them; an empty number is not known.
    The organiser answers for it as for the words: they are in the preview."""
    found: dict[str, Figures] = {}
    try:
        at = datetime.fromisoformat(as_of) if as_of else None
        for each in filter(None, text.split(",")):
            unit, *numbers = each.rsplit(":", 3)
            people, headcount, days = (int(number) if number else None for number in numbers)
            rate = 100 * people / headcount if people is not None and headcount else None
            found[unit] = Figures(people, headcount, rate, days, at)
    except ValueError:
        at = None
    if text and (at is None or at.tzinfo is None):
        raise Problem(422, "figures", "Số liệu đi kèm không đọc được. Hãy mở lại danh sách đơn vị cần đôn đốc.", field="units")
    return found


def changed(campaign: Campaign, form: Form) -> Campaign:
    """The draft with what its form says. Raises Problem 409 where somebody has changed it since the form was made."""
    if str(form.get("revision", "")) != str(campaign.revision):
        raise Problem(409, "reminder-changed", "Đợt nhắc này vừa thay đổi. Hãy tải lại trang rồi làm lại.")
    subject, text, channel = _words(form, campaign.audience)
    return msgspec.structs.replace(campaign, subject=subject, text=text, channel=channel, **_whom(form))


def _words(form: Form, audience: Audience) -> tuple[str, str, Channel]:
    channel = next((each for each in CHANNELS if each == form.get("channel")), None)
    if channel is None or (channel == "webhook" and audience != "contacts"):
        raise Problem(422, "channel", "Hãy chọn kênh gửi dùng được cho những người này.", field="channel")
    subject = " ".join(str(form.get("subject") or "").split())
    text = str(form.get("text") or "").replace("\r\n", "\n").strip()
    if len(subject) > 200 or len(text) > MOST_TEXT:
        raise Problem(422, "too-long", "Quá dài: nhiều nhất {most} ký tự.", field="text", most=MOST_TEXT)
    if channel == "email" and not subject:
        raise Problem(422, "subject", "Hãy ghi tiêu đề thư.", field="subject")
    check_text(subject, text)
    return subject, text, channel


def _whom(form: Form) -> dict[str, Any]:
    return {name: bool(form.get(name)) for name in ("with_contacts", "with_accounts", "with_above")}
