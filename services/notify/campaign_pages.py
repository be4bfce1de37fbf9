"""The console's pages of reminders: campaigns made by hand or from notices, their preview, confirmation and delivery log."""

from __future__ import annotations

import csv
import io
import secrets as random
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from services.events import ContestBook, ContestPublished, state_at
from services.kit.console.accounts import within
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.sheets import harmless
from services.kit.web import language, render
from services.kit.web.console import account_in, audited, console_of
from services.notify.access import PAID, Secretary, SecretaryForm, check_unit, contest_of, grouped, seen, units_of
from services.notify.campaign_forms import FIELDS, changed, figures_of, made
from services.notify.campaigns import Address, Campaign, Campaigns
from services.notify.domain import masked
from services.notify.reminding import NAMES, Reminding
from services.notify.sender import gateways_of
from services.notify.store import Outbox
from services.notify.words import (
    AUDIENCES,
    CAMPAIGN_STATES,
    CHANNEL_NAMES,
    PEOPLE_TEXT,
    REASONS,
    STATE_NAMES,
    SUBJECT,
    UNITS_TEXT,
)

BOXES = 500
"""Units that come with a tick each; a form holds no more than a thousand fields."""

SHOWN = 100
"""Failed or uncertain messages that a campaign's page shows."""


class CampaignPages:
    """`/console/reminders`."""

    def __init__(self, runtime: Runtime, book: ContestBook, outbox: Outbox) -> None:
        self._runtime, self._book, self._outbox = runtime, book, outbox
        self._campaigns, self._reminding = Campaigns(runtime.store), Reminding(runtime, book)
        self._channels = {gateway.channel for gateway in gateways_of(runtime)}
        self.router = APIRouter(include_in_schema=False, prefix="/console/reminders")
        get, post = self.router.get, self.router.post
        get("")(self.all)
        get("/new")(self.new)
        post("/new")(self.create)
        get("/c/{id}")(self.look)
        get("/c/{id}/log.csv")(self.log)
        post("/c/{id}/save")(self.save)
        post("/c/{id}/confirm")(self.confirm)
        post("/c/{id}/cancel")(self.cancel)
        post("/c/{id}/again")(self.again)
        post("/c/{id}/give-up")(self.give_up)

    async def all(self, request: Request, account: Secretary, contest: str = "") -> Response:
        """The campaigns of a contest that the account may see."""
        known = contest_of(self._book, contest)
        may_see = seen(request)
        found = [each for each in await self._campaigns.of_contest(known.contest) if may_see(each.root)]
        names = {code: unit.name for code, unit in self._book.units(known.contest).items()}
        return render(
            request, "reminders.html", contest=known, contests=list(self._book.contests.values()), campaigns=found, names=names,
            audiences=AUDIENCES, states=CAMPAIGN_STATES, channels=CHANNEL_NAMES,
        )  # fmt: skip

    async def new(
        self, request: Request, account: Secretary, contest: str = "", audience: str = "", unit: str = "", round: str = "",
        units: Annotated[str, Query(max_length=20_000)] = "", figures: Annotated[str, Query(max_length=40_000)] = "",
        as_of: Annotated[str, Query(max_length=40)] = "",
    ) -> Response:  # fmt: skip
        """The form of a new campaign; the query fills it in, for pages that link here."""
        known = contest_of(self._book, contest)
        people = audience in ("roster", "people")
        values = {
            "audience": audience or "contacts", "channel": "email", "root": unit or account.subtree or "", "round": round,
            "units": "\n".join(filter(None, units.split(",")) if units else figures_of(figures, as_of)),
            "figures": figures, "as_of": as_of, "subject": SUBJECT, "text": PEOPLE_TEXT if people else UNITS_TEXT,
            "with_contacts": "1", "with_accounts": "1",
        }  # fmt: skip
        return self._form(request, known, values, None)

    async def create(self, request: Request, account: Secretary, form: SecretaryForm) -> Response:
        known = contest_of(self._book, str(form.get("contest", "")))
        units = [*map(str, form.getlist("unit")), *str(form.get("units") or "").replace(",", " ").split()]
        values = {name: str(value) for name, value in form.items()} | {"units": "\n".join(units)}
        try:
            campaign = made(values, known.contest, self._book, random.token_hex(8), account.id, self._runtime.clock.now())
            for unit in (campaign.root, *campaign.units):
                check_unit(request, unit)
        except Problem as problem:
            if problem.status == 403:
                raise
            return self._form(request, known, values, problem)
        await self._campaigns.add([await self._with_accounts(request, campaign)])
        await audited(request, "reminder.made", campaign.id, contest=known.contest, audience=campaign.audience)
        return RedirectResponse(f"/console/reminders/c/{campaign.id}", 303)

    def _form(self, request: Request, contest: ContestPublished, values: dict[str, str], problem: Problem | None) -> Response:
        now = self._runtime.clock.now()
        rounds = [r for r in self._book.rounds(contest.contest) if state_at(r, now) in ("open", "paused", "upcoming")]
        values = dict.fromkeys(FIELDS, "") | {"audience": "contacts", "channel": "email"} | values
        offered, wanted = units_of(request, self._book, contest.contest), values["units"].split()
        try:
            figures = figures_of(values["figures"], values["as_of"])
        except Problem:
            figures = {}
        # Whoever lags stays on the list, ticked or not; what is no unit of theirs stays in the text, to be mended.
        listed = [unit for unit in dict.fromkeys([*figures, *wanted]) if unit in offered][:BOXES]
        others = grouped(self._book, contest.contest, [unit for unit in offered if unit not in listed])
        return render(
            request, "reminder_new.html", problem.status if problem else 200, contest=contest, values=values,
            rounds=rounds, fault=_said(request, problem), audiences=AUDIENCES, channels=CHANNEL_NAMES, blanks=NAMES,
            ready=self._channels, offered=offered, figures=figures, listed=listed, wanted=wanted, others=others,
            rest=[unit for unit in wanted if unit not in listed], categories=self._reminding.categories(contest.contest),
            names={code: unit.name for code, unit in self._book.units(contest.contest).items()},
        )  # fmt: skip

    async def look(self, request: Request, account: Secretary, id: str) -> Response:
        """A draft with its preview, or what became of a campaign."""
        campaign = await self._campaign(request, id)
        return await self._look(request, campaign, None)

    async def _look(self, request: Request, campaign: Campaign, problem: Problem | None) -> Response:
        units = self._book.units(campaign.contest)
        draft = campaign.state == "draft"
        preview = await self._reminding.preview(await self._with_accounts(request, campaign)) if draft else None
        counts = {} if draft else {state: n for state, n in (await self._outbox.counts(campaign.id)).items() if n}
        doubtful = [] if draft else await self._outbox.page("uncertain", 0, SHOWN, campaign.id)
        failed = [] if draft else await self._outbox.page("failed", 0, SHOWN, campaign.id)
        return render(
            request, "reminder.html", problem.status if problem else 200, campaign=campaign, preview=preview, counts=counts,
            contest=contest_of(self._book, campaign.contest), names={code: unit.name for code, unit in units.items()},
            round=self._book.round(campaign.round) if campaign.round else None, fault=_said(request, problem), reasons=REASONS,
            audiences=AUDIENCES, states=CAMPAIGN_STATES, state_names=STATE_NAMES, channels=CHANNEL_NAMES, blanks=NAMES,
            masked=masked, ready=self._channels, doubtful=doubtful, failed=failed, settings=self._runtime.settings,
            may_confirm=_may_confirm(request, campaign), categories=self._reminding.categories(campaign.contest),
            as_of=campaign.as_of or next((figures.as_of for figures in campaign.figures.values()), None),
        )  # fmt: skip

    async def save(self, request: Request, _: Secretary, form: SecretaryForm, id: str) -> Response:
        campaign = await self._draft(request, id)
        try:
            after = changed(campaign, form)
        except Problem as problem:
            return await self._look(request, campaign, problem)
        if await self._campaigns.put(await self._with_accounts(request, after)) is None:
            raise _changed_since()
        await audited(request, "reminder.changed", id, channel=after.channel)
        return RedirectResponse(f"/console/reminders/c/{id}", 303)

    async def confirm(self, request: Request, _: Secretary, form: SecretaryForm, id: str) -> Response:
        """From here on it is the workers': each person gets at most one message of it."""
        campaign = await self._draft(request, id)
        if not _may_confirm(request, campaign):
            raise Problem(403, "paid", "Kênh này mất phí: Ban Tổ chức thành phố hoặc địa phương xác nhận.")
        if str(form.get("revision", "")) != str(campaign.revision):
            raise _changed_since()
        filled = await self._with_accounts(request, campaign)
        confirmed = msgspec.structs.replace(filled, state="confirmed", confirmed_at=self._runtime.clock.now())
        if await self._campaigns.put(confirmed) is None:
            raise _changed_since()
        await audited(request, "reminder.confirmed", id, contest=campaign.contest, channel=campaign.channel)
        return RedirectResponse(f"/console/reminders/c/{id}", 303)

    async def cancel(self, request: Request, _: Secretary, form: SecretaryForm, id: str) -> Response:
        """What has not been sent yet will not be."""
        campaign = await self._campaign(request, id)
        if campaign.state in ("done", "cancelled"):
            raise Problem(409, "ended", "Đợt nhắc này đã kết thúc.")
        ended = msgspec.structs.replace(campaign, state="cancelled", ended_at=self._runtime.clock.now())
        if await self._campaigns.put(ended) is None:
            raise _changed_since()
        await self._outbox.cancel(id)
        await audited(request, "reminder.cancelled", id)
        return RedirectResponse(f"/console/reminders/c/{id}", 303)

    async def again(self, request: Request, _: Secretary, form: SecretaryForm, id: str) -> Response:
        """A person's decision on a message that failed or whose fate is unknown: once more."""
        campaign, message = await self._campaign(request, id), str(form.get("message", ""))
        if not message.startswith(f"reminder/{id}/") or not await self._outbox.send_again(message, self._runtime.clock.now()):
            raise Problem(409, "message", "Tin này không còn chờ quyết định.", field="message")
        if campaign.state == "done":
            await self._campaigns.put(msgspec.structs.replace(campaign, state="sending", ended_at=None))
        await audited(request, "message.sent-again", message)
        return RedirectResponse(f"/console/reminders/c/{id}", 303)

    async def give_up(self, request: Request, _: Secretary, form: SecretaryForm, id: str) -> Response:
        """A person's decision on a message whose fate is unknown: leave it."""
        await self._campaign(request, id)
        message = str(form.get("message", ""))
        if not message.startswith(f"reminder/{id}/") or not await self._outbox.give_up(message):
            raise Problem(409, "message", "Tin này không còn chờ quyết định.", field="message")
        await audited(request, "message.given-up", message)
        return RedirectResponse(f"/console/reminders/c/{id}", 303)

    async def log(self, request: Request, _: Secretary, id: str) -> Response:
        """The delivery log as CSV, without addresses or words."""
        campaign = await self._campaign(request, id)
        await audited(request, "reminder.log", id, contest=campaign.contest)
        headers = {"Content-Disposition": f'attachment; filename="nhac-{id}.csv"'}
        return StreamingResponse(self._log(id), media_type="text/csv; charset=utf-8", headers=headers)

    async def _log(self, id: str) -> AsyncIterator[str]:
        yield "\ufeff" + _line(["message", "channel", "units", "state", "reason", "tries", "at"])
        async for message in self._outbox.of_campaign(id):
            units, at = harmless(" ".join(message["units"])), message["due"].isoformat()
            said = message["state"], message.get("reason", ""), message["tries"]
            yield _line([message["_id"], message["channel"], units, *said, at])

    async def _campaign(self, request: Request, id: str) -> Campaign:
        campaign = await self._campaigns.get(id)
        if campaign is None:
            raise Problem(404, "reminder", "Không có đợt nhắc này.")
        check_unit(request, campaign.root)
        return campaign

    async def _draft(self, request: Request, id: str) -> Campaign:
        campaign = await self._campaign(request, id)
        if campaign.state != "draft":
            raise Problem(409, "reminder", "Đợt nhắc này đã được xác nhận hoặc đã bỏ.")
        return campaign

    async def _with_accounts(self, request: Request, campaign: Campaign) -> Campaign:
        """The campaign with the addresses of the accounts that look after its units: only the web process knows them."""
        if campaign.audience != "contacts" or campaign.channel != "email":
            return msgspec.structs.replace(campaign, addresses=())
        console = console_of(request)
        parents, found = console.parents(), []
        accounts = [a for a in await console.directory.all() if a.role in ("unit", "district") and a.subtree and not a.disabled]
        for unit in campaign.units:
            own = [a for a in accounts if a.subtree == unit] if campaign.with_accounts else []
            above = [a for a in accounts if a.subtree != unit and within(unit, a.subtree, parents)] if campaign.with_above else []
            found += [Address(unit, a.name, email=a.email, account=True) for a in (*own, *above)]
        return msgspec.structs.replace(campaign, addresses=tuple(found))


def _may_confirm(request: Request, campaign: Campaign) -> bool:
    return campaign.channel not in PAID or account_in(request).role in ("city", "district")


def _line(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _changed_since() -> Problem:
    return Problem(409, "reminder-changed", "Đợt nhắc này vừa thay đổi. Hãy tải lại trang rồi làm lại.")


def _said(request: Request, problem: Problem | None) -> dict[str, str]:
    if problem is None:
        return {"field": "", "detail": ""}
    return {"field": problem.field or "", "detail": problem.document(language(request))["detail"]}
