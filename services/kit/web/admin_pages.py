"""What city and district organisers do with the accounts of others: invitations, API keys, and the audit log."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from services.kit.console.accounts import GIVES, ROLE_NAMES, ROLES, Account, Role, fits, may_give, within
from services.kit.console.audit_log import Broken, Entry
from services.kit.i18n import show_number, show_time, translate
from services.kit.names import unit_of
from services.kit.problems import Problem
from services.kit.web.console import Organiser, OrganiserForm, account_in, audited, console_of, needs, needs_form
from services.kit.web.pages import language, render

PAGE = 50
LISTED_UNITS = 500
SEALED = re.compile("[0-9a-f]{64}")
KEY_ROLES: tuple[Role, ...] = ("city", "operator", "reader")

router = APIRouter(include_in_schema=False)
Manager = Annotated[Account, Depends(needs("city", "district"))]
ManagerForm = Annotated[FormData, Depends(needs_form("city", "district"))]


@router.get("/console/accounts")
async def accounts(request: Request, me: Manager) -> Response:
    """The accounts and invitations of my subtree."""
    return await _accounts(request, me)


async def _accounts(request: Request, me: Account, status: int = 200, **more: Any) -> Response:
    console = console_of(request)
    units, parents = console.units(), console.parents()
    shown = [a for a in await console.directory.all() if a.id == me.id or within(a.subtree, me.subtree, parents)]
    offered = list(_mine(request).items())[:LISTED_UNITS]
    return render(
        request, "accounts.html", status,
        accounts=[(a, a.id != me.id and may_give(me, a.role, a.subtree, parents)) for a in shown],
        invitations=[i for i in await console.invitations.good() if within(i.subtree, me.subtree, parents)],
        roles=ROLE_NAMES, gives=GIVES[me.role], units=units, offered=offered, me=me,
        **{"link": "", "reset": "", "made": None, "fault": None, "form": {}} | more,
    )  # fmt: skip


def _mine(request: Request) -> dict[str, str]:
    """The units of my subtree: names by code."""
    console, me = console_of(request), account_in(request)
    parents = console.parents()
    return {code: unit.name for code, unit in console.units().items() if within(code, me.subtree, parents)}


@router.post("/console/accounts/invite")
async def invite(request: Request, form: ManagerForm) -> Response:
    """An invitation for a role and a subtree that are mine to give; its link is shown this once."""
    console, me = console_of(request), account_in(request)
    label = " ".join(str(form.get("label", "")).split())[:100]
    try:
        role, subtree = _wanted(request, form)
    except Problem as problem:
        if problem.status != 422:
            raise
        return await _accounts(request, me, 422, fault=problem.document(language(request))["detail"], form=form)
    token, made = await console.invitations.give(me, label, role, subtree)
    await audited(request, "invitation.made", made.id, role=role, subtree=subtree)
    return await _accounts(request, me, link=_link(request, "invitation", token), made=made)


def _wanted(request: Request, form: FormData) -> tuple[Role, str | None]:
    """The role and subtree that a form asks for; the unit by its code, or its name. Raises Problem 422 where they do not go
    together, 403 where they are not mine to give."""
    me, parents = account_in(request), console_of(request).parents()
    asked, typed = str(form.get("role", "")), str(form.get("subtree", "")).strip()
    subtree = typed if typed in parents else unit_of(typed, _mine(request), "subtree") if typed else None
    role: Role | None = next((role for role in ROLES if role == asked), None)
    if role is None or not fits(role, subtree, parents):
        sentence = "Vai trò này cần một đơn vị có trong danh sách." if role != "city" else "Vai trò này không gắn với đơn vị."
        raise Problem(422, "subtree", sentence, field="subtree")
    if not may_give(me, role, subtree, parents):
        raise Problem(403, "role", "Bạn không thể trao quyền rộng hơn quyền của mình.")
    return role, subtree


@router.post("/console/accounts/role")
async def change_role(request: Request, form: ManagerForm) -> Response:
    """Another role or subtree for an account; its sessions end, and so does what it has given to others by the old one, and what
    others gave for it: a link to set its password. A second factor is due where the new role needs one."""
    console, account = console_of(request), await _managed(request, form)
    role, subtree = _wanted(request, form)
    await console.directory.set_role(account.id, role, subtree)
    for passes in (console.invitations, console.resets, console.keys):
        for given in await passes.good():
            if given.by == account.id or (passes is console.resets and given.label == account.id):
                await passes.end(given.id)
    await audited(request, "account.role", account.id, role=role, subtree=subtree, before=account.role, below=account.subtree)
    return RedirectResponse("/console/accounts", 303)


def _link(request: Request, page: str, token: str) -> str:
    base = console_of(request).address or str(request.base_url)
    return f"{base.rstrip('/')}/console/{page}/{token}"


@router.post("/console/accounts/revoke-invitation")
async def revoke_invitation(request: Request, form: ManagerForm) -> Response:
    """An invitation that nobody has used is void."""
    console, id = console_of(request), str(form.get("invitation", ""))
    found = await console.invitations.get(id)
    if found is None or not may_give(account_in(request), found.role, found.subtree, console.parents()):
        raise Problem(404, "http", "Không tìm thấy.")
    if await console.invitations.end(id):
        await audited(request, "invitation.revoked", id)
    return RedirectResponse("/console/accounts", 303)


@router.post("/console/accounts/disable")
async def disable(request: Request, form: ManagerForm) -> Response:
    """Shuts an account; its sessions end within seconds."""
    account = await _managed(request, form)
    await console_of(request).directory.set_disabled(account.id, True)
    await audited(request, "account.disabled", account.id)
    return RedirectResponse("/console/accounts", 303)


@router.post("/console/accounts/enable")
async def enable(request: Request, form: ManagerForm) -> Response:
    """Opens a shut account again."""
    account = await _managed(request, form)
    await console_of(request).directory.set_disabled(account.id, False)
    await audited(request, "account.enabled", account.id)
    return RedirectResponse("/console/accounts", 303)


@router.post("/console/accounts/reset")
async def reset(request: Request, form: ManagerForm) -> Response:
    """A link with which somebody who forgot the password sets another one; the second factor stays."""
    console, me, account = console_of(request), account_in(request), await _managed(request, form)
    token, made = await console.resets.give(me, account.id, account.role, account.subtree)
    await audited(request, "account.reset-offered", account.id, reset=made.id)
    return await _accounts(request, me, link=_link(request, "reset", token), reset=account.name)


@router.post("/console/accounts/drop-code")
async def drop_code(request: Request, form: OrganiserForm) -> Response:
    """For a lost phone: the second factor is set up anew at the next sign-in. The city's to do."""
    account = await _managed(request, form)
    await console_of(request).directory.drop_code(account.id)
    await audited(request, "account.code-dropped", account.id)
    return RedirectResponse("/console/accounts", 303)


async def _managed(request: Request, form: FormData) -> Account:
    console, me = console_of(request), account_in(request)
    account = await console.directory.find(str(form.get("account", "")))
    if account is None or not within(account.subtree, me.subtree, console.parents()):
        raise Problem(404, "http", "Không tìm thấy.")
    if account.id == me.id or not may_give(me, account.role, account.subtree, console.parents()):
        raise Problem(403, "role", "Tài khoản của bạn không có quyền làm việc này.")
    return account


@router.get("/console/api-keys")
async def api_keys(request: Request, _: Organiser) -> Response:
    """The keys that programs call `/api/v1/admin/*` with."""
    return await _keys(request)


async def _keys(request: Request, status: int = 200, key: str = "", fault: str = "") -> Response:
    keys = await console_of(request).keys.good()
    return render(request, "api_keys.html", status, keys=keys, roles=ROLE_NAMES, gives=KEY_ROLES, key=key, fault=fault)


@router.post("/console/api-keys/make")
async def make_key(request: Request, form: OrganiserForm) -> Response:
    """A new key, shown this once."""
    label, role = " ".join(str(form.get("label", "")).split())[:100], str(form.get("role", ""))
    if not label or role not in KEY_ROLES:
        return await _keys(request, 422, fault="Hãy ghi khóa này dùng cho việc gì.")
    key, made = await console_of(request).keys.give(account_in(request), label, role, None)
    await audited(request, "api-key.made", made.id, role=role)
    return await _keys(request, key=key)


@router.post("/console/api-keys/revoke")
async def revoke_key(request: Request, form: OrganiserForm) -> Response:
    """The key opens nothing any more."""
    id = str(form.get("key", ""))
    if not await console_of(request).keys.end(id):
        raise Problem(404, "http", "Không tìm thấy.")
    await audited(request, "api-key.revoked", id)
    return RedirectResponse("/console/api-keys", 303)


@router.get("/console/audit-log")
async def audit_log(request: Request, _: Organiser, last: Annotated[int, Query(ge=1)] | None = None) -> Response:
    """Who did what, the newest first; `last` is the number of the page's first entry."""
    console = console_of(request)
    end, hash = await console.audit.head()
    entries = await console.audit.page(min(last or end, end), PAGE)
    names = {code: unit.name for code, unit in console.units().items()}
    names |= {account.id: account.name for account in await console.directory.all()}
    told = [_told(entry, names, language(request)) for entry in entries]
    return render(request, "audit_log.html", entries=told, end=end, hash=hash, page=PAGE)


class Told(NamedTuple):
    """An entry in words. `reason` is empty where none was given, or the log holds its digest alone."""

    entry: Entry
    at: datetime
    actor: str
    deed: str
    subject: str
    reason: str


def _told(entry: Entry, names: dict[str, str], lang: str) -> Told:
    details = json.loads(entry.details)
    try:
        deed = translate(entry.action, lang).format(**{name: _shown(value, lang) for name, value in details.items()})
    except KeyError:  # an entry of another time, without what the words name today
        deed = entry.action
    reason = str(details.get("reason") or "")
    named = names.get(entry.subject) or names.get(entry.subject.rpartition("/")[2], entry.subject)
    actor = names.get(entry.actor, entry.actor)
    return Told(entry, datetime.fromisoformat(entry.at), actor, deed, named, "" if SEALED.fullmatch(reason) else reason)


def _shown(value: object, lang: str) -> str:
    """A detail as people write it: times, numbers, and the rest as it is."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return show_number(value, lang)
        return show_time(datetime.fromisoformat(str(value)), lang)
    except (ValueError, ArithmeticError):  # no time, or one beyond all calendars
        return str(value)


@router.post("/console/audit-log/verify")
async def verify_audit_log(request: Request, _: OrganiserForm) -> Response:
    """Checks the whole chain and says where it is broken."""
    console = console_of(request)
    end, hash = await console.audit.head()
    broken: Broken | None = None
    try:
        await console.audit.verify()
    except Broken as found:
        broken = found
    return render(request, "audit_verdict.html", end=end, hash=hash, broken=broken)
