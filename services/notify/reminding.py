"""What a campaign comes to: its recipients, who is left out and why, its words, what it costs; and its messages as facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from services.events import ContestBook, state_at
from services.kit.i18n import show_number, show_time
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.notify import domain
from services.notify.campaigns import Address, Campaign, Figures
from services.notify.contacts import Contacts, Rosters
from services.notify.limits import Limits
from services.notify.mail import base_url
from services.notify.members import Members
from services.notify.people import Member
from services.notify.roster import match
from services.notify.sender import quiet
from services.notify.words import (
    DAYS,
    HOURS,
    OF_CATEGORY,
    OPT_OUT_MAIL,
    OPT_OUT_SMS,
    OTHER_UNITS,
    OTHERS,
    PEOPLE,
    SILENT,
    TURNOUT,
    UNKNOWN,
    WHOLE,
)

LANGUAGE = "vi"
"""Reminders are written in it: the words are the organiser's."""

NAMES = ("don_vi", "tinh_hinh", "so_nguoi", "tong_so", "ty_le", "con_lai", "so_ngay", "thoi_diem", "cuoc_thi", "vong", "lien_ket")
"""The placeholders of a text."""

SAMPLES = 3
OPTOUT = "/thoi-nhac/"


class Recipient(NamedTuple):
    """Somebody to be reminded. `keys` begins with that of the address in use; `units` are those they look after, or theirs;
    `rosters` the units whose rosters they stand in."""

    keys: tuple[str, ...]
    to: str
    units: tuple[str, ...]
    participant: str | None = None
    rosters: tuple[str, ...] = ()


@dataclass
class Plan:
    """`left_out` counts people by reason; `silent` are the units to which no address leads; `figures` those of units."""

    recipients: list[Recipient] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    silent: list[str] = field(default_factory=list)
    figures: dict[str, Figures] = field(default_factory=dict)


@dataclass(frozen=True)
class Preview:
    """What a campaign would do now. `cost` is in đồng, for `sms` SMS; both 0 where a channel costs nothing."""

    plan: Plan
    samples: Sequence[tuple[str, str, str]]
    sms: int
    cost: int


class Reminding:
    """Finds out whom a campaign reaches, and writes its messages. All methods that are async raise StoreDown."""

    def __init__(self, runtime: Runtime, book: ContestBook) -> None:
        self._runtime, self._book, self._settings = runtime, book, runtime.settings
        self._contacts, self._rosters = Contacts(runtime.store), Rosters(runtime.store)
        self._members, self._limits = Members(runtime.store), Limits(runtime)

    async def plan(self, campaign: Campaign) -> Plan:
        """The recipients as of now, each once, without those who may not be reminded."""
        plan = Plan(figures=dict(campaign.figures))
        if campaign.audience == "contacts":
            found = await self._of_units(campaign, plan)
        elif campaign.audience == "roster":
            found = await self._of_rosters(campaign, plan)
        else:
            found = await self._of_people(campaign, plan)
        by_key: dict[str, Recipient] = {}
        for one in found:
            known = by_key.get(one.keys[0])
            keys = tuple(dict.fromkeys((*(known.keys if known else ()), *one.keys)))
            units = tuple(dict.fromkeys((*(known.units if known else ()), *one.units)))
            rosters = tuple(dict.fromkeys((*(known.rosters if known else ()), *one.rosters)))
            by_key[one.keys[0]] = Recipient(keys, one.to, units, known.participant if known else one.participant, rosters)
        await self._leave_out(campaign, plan, by_key)
        return plan

    async def _leave_out(self, campaign: Campaign, plan: Plan, by_key: Mapping[str, Recipient]) -> None:
        out = await self._limits.opted_out([key for one in by_key.values() for key in one.keys])
        begin = domain.reminder_id(campaign.id, "")
        now = self._runtime.clock.now()
        refused = await self._limits.refusals(campaign.contest, [one.keys for one in by_key.values()], begin, now)
        for key, one in sorted(by_key.items()):
            if out.intersection(one.keys):
                plan.left_out["opted out"] += 1
            elif why := refused.get(key):
                plan.left_out[why] += 1
            else:
                plan.recipients.append(one)

    async def _of_units(self, campaign: Campaign, plan: Plan) -> list[Recipient]:
        """Those who look after the campaign's units; on a webhook each unit is its own recipient. Of a unit that no notice was
        about, the people are those of ours."""
        below = {unit: self.below(campaign.contest, unit) for unit in campaign.units if unit not in plan.figures}
        took = await self._took_part(campaign, set().union(*below.values()))
        plan.figures |= {unit: Figures(sum(took[each] for each in units)) for unit, units in below.items()}
        entered = await self._contacts.of_units(campaign.contest, campaign.units) if campaign.with_contacts else {}
        found: list[Recipient] = []
        for unit in campaign.units:
            addresses: Iterable[Address] = [*entered.get(unit, ()), *(a for a in campaign.addresses if a.unit == unit)]
            if campaign.channel == "webhook":
                found.append(Recipient((self._limits.key(f"webhook|{unit}"),), unit, (unit,)))
                continue
            reached = [one for a in addresses if (one := self._recipient(campaign, a.email, a.phone, unit))]
            if not reached:
                plan.silent.append(unit)
            found += reached
        plan.left_out["no address"] = len(plan.silent)
        return found

    async def _took_part(self, campaign: Campaign, units: set[str]) -> Counter[str]:
        """How many of the people who belong to each of these units have taken part."""
        took = Counter[str]()
        async for member in self._members.of_units(campaign.contest, units):
            took[member.person.unit] += member.person.took_part(campaign.round)
        return took

    async def _of_rosters(self, campaign: Campaign, plan: Plan) -> list[Recipient]:
        """Those of the rosters of the unit and those below it who have not taken part, nor may have."""
        below = self.below(campaign.contest, campaign.root)
        kept = await self._rosters.kept(campaign.contest)
        found: list[Recipient] = []
        for unit in sorted(below & kept.keys()):
            held = await self._rosters.find(campaign.contest, unit)
            members = await self.members(campaign.contest, self.below(campaign.contest, unit))
            rows = match(held[1], members, campaign.round) if held else []
            took = sum(row.standing.endswith("took-part") for row in rows)
            plan.figures[unit] = Figures(took, len(rows), 100 * took / len(rows) if rows else None)
            for row in rows:
                if row.standing.endswith("took-part"):
                    continue
                member = row.members[0] if row.standing == "registered" else None
                email = row.person.email or (member.person.email if member else "")
                phone = row.person.phone or (member.person.phone if member else "")
                one = self._recipient(campaign, email, phone, unit, member)
                if one:
                    found.append(one._replace(rosters=(unit,)))
                else:
                    plan.left_out["no address"] += 1
        return found

    async def _of_people(self, campaign: Campaign, plan: Plan) -> list[Recipient]:
        """The registered who have not taken part."""
        found, took = [], Counter[str]()
        # One by one: of a whole city's people, only those who are to be reminded are kept.
        async for member in self._members.of_units(campaign.contest, self.below(campaign.contest, campaign.root)):
            person = member.person
            if person.took_part(campaign.round):
                took[person.unit] += 1
                continue
            one = self._recipient(campaign, person.email, person.phone, person.unit, member)
            if one:
                found.append(one)
            else:
                plan.left_out["no address"] += 1
        plan.figures |= {unit: Figures(people) for unit, people in took.items() if unit not in plan.figures}
        return found

    def _recipient(self, campaign: Campaign, email: str, phone: str, unit: str, member: Member | None = None) -> Recipient | None:
        to, other = (email, phone) if campaign.channel == "email" else (phone, email)
        if not to:
            return None
        keys = (self._limits.key(to), *((self._limits.key(other),) if other else ()))
        return Recipient(keys, to, (member.person.unit if member else unit,), member.id if member else None)

    async def members(self, contest: str, units: set[str]) -> list[Member]:
        """The registered people of these units."""
        return [member async for member in self._members.of_units(contest, units)]

    def below(self, contest: str, root: str | None) -> set[str]:
        """A unit of a contest and all below it; all units where it is None."""
        units = self._book.units(contest)
        found: set[str] = set()
        for code, unit in units.items():  # parents come first
            if root is None or code == root or unit.parent in found:
                found.add(code)
        return found

    async def preview(self, campaign: Campaign) -> Preview:
        """What it would do now: whom it reaches, three samples, what it costs."""
        plan = await self.plan(campaign)
        samples = [self._sample(campaign, plan, one) for one in plan.recipients[:SAMPLES]]
        sms, price = 0, 0
        if campaign.channel == "sms":
            price, lengths = self._settings.sms_price, {}
            for one in plan.recipients:  # the words differ by unit alone; opt-out links are of one length
                about = (one.units, len(one.keys))
                if about not in lengths:
                    lengths[about] = domain.parts(self.words(campaign, plan, one)[1])
                sms += lengths[about]
        elif campaign.channel == "zalo":
            price, sms = self._settings.zalo_price, len(plan.recipients)
        return Preview(plan, samples, sms, sms * price)

    def _sample(self, campaign: Campaign, plan: Plan, one: Recipient) -> tuple[str, str, str]:
        """Address, subject and text as the console may show them: the link that ends somebody's reminders is theirs alone."""
        subject, text = self.words(campaign, plan, one)
        return domain.masked(one.to), subject, text.replace(self._limits.token(one.keys), "…")

    def messages(self, campaign: Campaign, plan: Plan) -> list[dict[str, Any]]:
        """The messages of a campaign as facts, under ids that campaign and person decide."""
        now, until = self._runtime.clock.now(), self._until(campaign)
        due = domain.awake(now, *quiet(self._runtime), self._zone(campaign.contest))
        found = []
        for one in plan.recipients:
            subject, text = self.words(campaign, plan, one)
            found.append(
                {
                    "_id": domain.reminder_id(campaign.id, one.keys[0]),
                    "purpose": "reminder",
                    "channel": campaign.channel,
                    "campaign": campaign.id,
                    "audience": campaign.audience,
                    "contest": campaign.contest,
                    "units": list(one.units),
                    "participant": one.participant,
                    "rosters": list(one.rosters),
                    "round": campaign.round,
                    "to": one.to,
                    "keys": list(one.keys),
                    "subject": subject,
                    "text": text,
                    "values": self.values(campaign, plan, one),
                    "optout": self.optout(one),
                    "until": until,
                    "state": "waiting",
                    "due": due,
                    "tries": 0,
                }
            )
        return found

    def words(self, campaign: Campaign, plan: Plan, one: Recipient) -> tuple[str, str]:
        """Subject and text of one recipient's message."""
        values = self.values(campaign, plan, one)
        subject, text = domain.fill(campaign.subject, values), domain.fill(campaign.text, values)
        others = [self._name(campaign.contest, unit) for unit in one.units[1:]]
        if campaign.channel == "email":
            if others:
                rows = "\n".join(
                    f"- {name}: {self._situation(campaign.contest, plan.figures.get(unit))}"
                    for name, unit in zip(others, one.units[1:], strict=True)
                )
                text += f"\n\n{OTHER_UNITS}\n{rows}"
            text += f"\n\n{OPT_OUT_MAIL.format(link=self.optout(one))}\n"
        elif campaign.channel in ("sms", "zalo"):
            text += OTHERS.format(n=len(others)) if others else ""
            if campaign.channel == "sms":
                text += OPT_OUT_SMS.format(link=self.optout(one))
                text = text if self._settings.sms_accents else domain.plain(text)
        return subject, text

    def values(self, campaign: Campaign, plan: Plan, one: Recipient) -> dict[str, str]:
        """What the placeholders stand for."""
        unit, contest = one.units[0], self._book.contests.get(campaign.contest)
        figures = plan.figures.get(unit, Figures())
        round = self._book.round(campaign.round) if campaign.round else None
        as_of = figures.as_of or campaign.as_of or self._runtime.clock.now()
        until = self._until(campaign)
        return {
            "don_vi": self._name(campaign.contest, unit),
            "tinh_hinh": self._situation(campaign.contest, figures),
            "so_nguoi": _count(figures.people),
            "tong_so": _count(figures.headcount),
            "ty_le": _rate(figures.rate),
            "so_ngay": _count(figures.days),
            "thoi_diem": show_time(as_of, LANGUAGE, contest.timezone if contest else "Asia/Ho_Chi_Minh"),
            "con_lai": _left(until, self._runtime.clock.now()),
            "cuoc_thi": contest.title if contest else "",
            "vong": round.name if round else WHOLE,
            "lien_ket": f"{base_url(self._runtime)}/q/{unit}",
        }

    def optout(self, one: Recipient) -> str:
        """The link that ends reminders to a person."""
        return base_url(self._runtime) + OPTOUT + self._limits.token(one.keys)

    def _until(self, campaign: Campaign) -> datetime | None:
        """When there is nothing left to remind of: the end of the campaign's round, or of the contest's last one."""
        round = self._book.round(campaign.round) if campaign.round else None
        rounds = [round] if round else self._book.rounds(campaign.contest)
        now = self._runtime.clock.now()
        running = [plan.closes for plan in rounds if state_at(plan, now) not in ("closed", "final")]
        return max(running, default=max((plan.closes for plan in rounds), default=None))

    def _situation(self, contest: str, figures: Figures | None) -> str:
        """What is known of a unit, as part of a sentence."""
        if figures is None or (figures.people is None and figures.days is None):
            return UNKNOWN
        if figures.days is not None:
            return SILENT.format(days=figures.days)
        plan = self._book.round(figures.round) if figures.round else None
        category = self.categories(contest).get(figures.category, figures.category) if figures.category else ""
        said = TURNOUT if figures.headcount is not None and figures.rate is not None else PEOPLE
        return said.format(
            people=_count(figures.people), headcount=_count(figures.headcount), rate=_rate(figures.rate),
            category=OF_CATEGORY.format(category=category) if category else "", round=f" {plan.name}" if plan else "",
        )  # fmt: skip

    def categories(self, contest: str) -> dict[str, str]:
        """The names of a contest's categories."""
        known = self._book.contests.get(contest)
        return {category.id: category.name for category in known.categories} if known else {}

    def _name(self, contest: str, unit: str) -> str:
        known = self._book.units(contest).get(unit)
        return known.name if known else unit

    def _zone(self, contest: str) -> ZoneInfo:
        known = self._book.contests.get(contest)
        return ZoneInfo(known.timezone if known else "Asia/Ho_Chi_Minh")


def check_text(subject: str, text: str) -> None:
    """Raises Problem 422 where a text is empty or holds a placeholder that there is not."""
    if not text.strip():
        raise Problem(422, "text", "Hãy ghi nội dung.", field="text")
    for name, words in (("subject", subject), ("text", text)):
        for blank in domain.blanks(words):
            if blank not in NAMES:
                raise Problem(422, "blank", "Không có chỗ trống tên {name}.", field=name, name=blank)


def _count(value: int | None) -> str:
    return UNKNOWN if value is None else show_number(value, LANGUAGE)


def _rate(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f} %".replace(".", ",")


def _left(until: datetime | None, now: datetime) -> str:
    if until is None:
        return UNKNOWN
    days, hours = domain.span(until - now)
    return DAYS.format(days=days, hours=hours) if days else HOURS.format(hours=hours)
