"""Ways into the console: the admin link and the first account, an invitation, password and code, and out again."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from services.kit.console import passwords
from services.kit.console.accounts import ROLE_NAMES, WITH_CODE, Account, Role, clean_email
from services.kit.console.lockout import FREE
from services.kit.console.passes import Pass
from services.kit.problems import Problem
from services.kit.web.console import COOKIE, Console, GuestForm, MemberForm, console_of
from services.kit.web.pages import language, render

HOME = "/console/"
FIRST: dict[Role, str] = {"unit": "/console/turnout", "reader": "/console/turnout"}
"""The page that an account comes to first; others to the contests."""

ADMIN_LINK = "admin-link"
"""Who acts, in the audit log, where it was the holder of the admin link."""

router = APIRouter(include_in_schema=False)


@router.get("/console")
@router.get(HOME)
async def home(request: Request) -> Response:
    """To the first page, or to sign in."""
    account = await console_of(request).account(request, "full")
    return RedirectResponse(FIRST.get(account.role, "/console/contests") if account else "/console/sign-in", 303)


@router.get("/console/login")
async def admin_link(request: Request, key: Annotated[str, Query()] = "") -> Response:
    """The admin link: it opens nothing but the form for a city account."""
    console = console_of(request)
    if not console.opens(key):
        raise Problem(401, "admin-link", "Đường dẫn quản trị không đúng. Lệnh `hoithi admin-link` in lại đường dẫn này.")
    console.begin(request, "link")
    return console.remember(request, RedirectResponse("/console/first-account", 303))


@router.get("/console/first-account")
async def first_account_form(request: Request) -> Response:
    """The form for the first account; where there are accounts, for another one or to recover one."""
    _check_link(request)
    return await _first_account(request)


@router.post("/console/first-account")
async def first_account(request: Request, form: GuestForm) -> Response:
    """Makes a city account, or gives one back to who has lost password or phone."""
    _check_link(request)
    console = console_of(request)
    founded = await console.directory.founded()
    email, name, fault = _who(form)
    if founded and form.get("sure") != "yes":
        fault = ("sure", "Hãy đánh dấu để xác nhận.")
    if fault:
        return await _first_account(request, fault, form)
    made = {"email": email, "name": name, "hash": await passwords.hashed(str(form.get("password", "")))}
    account = await console.directory.create(**made, role="city", subtree=None, grace=not founded)
    action = "account.created"
    if account is None:
        account, action = await _recovered(console, console.directory.id_of(email), name, made["hash"]), "account.recovered"
    if account is None:
        return await _first_account(request, ("email", "Địa chỉ thư này thuộc về một tài khoản có vai trò khác."), form)
    await console.audit.append(ADMIN_LINK, action, account.id, role="city")
    return await proceed(request, account, HOME)


async def _recovered(console: Console, id: str, name: str, hash: str) -> Account | None:
    account = await console.directory.find(id)
    if account is None or account.role != "city":
        return None
    await console.lockout.clear(id)
    await console.lockout.clear(f"code:{id}")
    return await console.directory.recover(id, name, hash)


def _check_link(request: Request) -> None:
    session = console_of(request).session(request)
    if session is None or session.kind != "link":
        raise Problem(401, "admin-link", "Đường dẫn quản trị không đúng. Lệnh `hoithi admin-link` in lại đường dẫn này.")


async def _first_account(request: Request, fault: tuple[str, str] | None = None, form: FormData | None = None) -> Response:
    founded = await console_of(request).directory.founded()
    return render(request, "first_account.html", 422 if fault else 200, founded=founded, fault=fault, form=form or {})


@router.get("/console/sign-in")
async def sign_in_form(request: Request, next: Annotated[str, Query()] = "") -> Response:
    """E-mail and password."""
    return _sign_in(request, next)


@router.post("/console/sign-in")
async def sign_in(request: Request, form: GuestForm) -> Response:
    """Compares the password; whoever asks cannot tell a wrong password from an account that is not there."""
    console, next = console_of(request), str(form.get("next", ""))
    typed = str(form.get("email", ""))[:200]
    id = console.directory.id_of(clean_email(typed) or typed.strip().lower())
    key = console.tries_key(request, id)
    try:
        tries = await console.lockout.count(key)
        right = await passwords.matches(await console.directory.hash(id), str(form.get("password", "")))
    except Problem as problem:
        return _sign_in(request, next, problem.document(language(request))["detail"], problem.status, typed, problem.headers)
    account = await console.directory.find(id)
    if not right or account is None or account.disabled:
        if account and tries == FREE:
            await console.audit.append(id, "account.locked", id, tries=tries)
        return _sign_in(request, next, "Thư điện tử hoặc mật khẩu không đúng.", 401, typed)
    await console.lockout.clear(key)
    return await proceed(request, account, next)


def _sign_in(
    request: Request, next: str, fault: str = "", status: int = 200, email: str = "", headers: dict[str, str] | None = None
) -> Response:
    response = _as_guest(request, "sign_in.html", status, next=safe(next), fault=fault, email=email)
    response.headers.update(headers or {})
    return response


@router.get("/console/code")
async def code_form(request: Request, next: Annotated[str, Query()] = "") -> Response:
    """The second factor."""
    await _half(request)
    return render(request, "code.html", next=safe(next), fault="")


@router.post("/console/code")
async def code(request: Request, form: GuestForm) -> Response:
    """Takes a code of the app, or a recovery code, once."""
    console, account = console_of(request), await _half(request)
    next, fault, status = str(form.get("next", "")), "Mã không đúng hoặc đã dùng rồi.", 401
    try:
        tries = await console.lockout.count(f"code:{account.id}")
    except Problem as problem:
        fault, status = problem.document(language(request))["detail"], problem.status
    else:
        kind = await console.directory.take_code(account.id, str(form.get("code", ""))[:50])
        if kind:
            await console.lockout.clear(f"code:{account.id}")
            return await _enter(request, account, next, kind)
        if tries == FREE:
            await console.audit.append(account.id, "account.locked", account.id, tries=tries, factor="code")
    return render(request, "code.html", status, next=safe(next), fault=fault)


async def _half(request: Request) -> Account:
    account = await console_of(request).account(request, "half")
    if account is None or not account.has_code:
        raise Problem(401, "session", "Trang này dành cho Ban Tổ chức. Hãy đăng nhập.")
    return account


async def proceed(request: Request, account: Account, next: str) -> Response:
    """From the right password onwards: to the code, to its set-up, or in."""
    console = console_of(request)
    if not account.has_code and not console.owes_code(account):
        offered = account.role in WITH_CODE
        return await _enter(request, account, f"/console/totp?{urlencode({'next': safe(next)})}" if offered else next, "password")
    console.begin(request, "half", account)
    page = "/console/code" if account.has_code else "/console/totp"
    return console.remember(request, RedirectResponse(f"{page}?{urlencode({'next': safe(next)})}", 303))


async def _enter(request: Request, account: Account, next: str, factor: str) -> Response:
    console = console_of(request)
    console.begin(request, "full", account)
    await console.audit.append(account.id, "session.opened", account.id, factor=factor)
    return console.remember(request, RedirectResponse(safe(next), 303))


@router.post("/console/logout")
async def sign_out(_: MemberForm) -> Response:
    """Forgets the session in this browser."""
    response = RedirectResponse("/", 303)
    response.delete_cookie(COOKIE)
    return response


@router.get("/console/invitation/{token}")
async def invitation_form(request: Request, token: str) -> Response:
    """The form for the account that an invitation is for."""
    return _invitation(request, token, await _invited(request, token))


@router.post("/console/invitation/{token}")
async def accept_invitation(request: Request, token: str, form: GuestForm) -> Response:
    """Makes the account; the invitation is used up."""
    console, invited = console_of(request), await _invited(request, token)
    email, name, fault = _who(form)
    if not fault and await console.directory.find(console.directory.id_of(email)):
        fault = ("email", "Địa chỉ thư này đã có tài khoản.")
    if fault:
        return _invitation(request, token, invited, fault, form)
    hash = await passwords.hashed(str(form.get("password", "")))
    if not await console.invitations.end(invited.id):
        raise _used()
    made = await console.directory.create(
        email=email, name=name, hash=hash, role=invited.role, subtree=invited.subtree, grace=False
    )
    if made is None:
        raise _used()
    details = {"role": made.role, "subtree": made.subtree, "invited_by": invited.by}
    await console.audit.append(made.id, "invitation.used", invited.id, **details)
    return await proceed(request, made, HOME)


async def _invited(request: Request, token: str) -> Pass:
    console = console_of(request)
    invited = await console.invitations.find(token)
    giver = await console.directory.find(invited.by) if invited else None
    if invited is None or giver is None or giver.disabled:
        raise _used()
    return invited


def _used() -> Problem:
    return Problem(404, "invitation", "Lời mời này không đúng, đã dùng rồi hoặc đã hết hạn. Hãy xin lời mời mới.")


def _invitation(
    request: Request, token: str, invited: Pass, fault: tuple[str, str] | None = None, form: FormData | None = None
) -> Response:
    unit = console_of(request).units().get(invited.subtree or "")
    return _as_guest(
        request, "invitation.html", 422 if fault else 200, token=token, invited=invited, roles=ROLE_NAMES, fault=fault,
        form=form or {}, unit=unit.name if unit else invited.subtree,
    )  # fmt: skip


@router.get("/console/reset/{token}")
async def reset_form(request: Request, token: str) -> Response:
    """The form for a new password, for who forgot the old one."""
    await _resetting(request, token)
    return _reset(request, token)


@router.post("/console/reset/{token}")
async def reset(request: Request, token: str, form: GuestForm) -> Response:
    """Sets the password; the link is used up."""
    console, new = console_of(request), str(form.get("password", ""))
    made, account = await _resetting(request, token)
    if weak := passwords.fault(new, account.email, account.name):
        return _reset(request, token, weak)
    hash = await passwords.hashed(new)
    if not await console.resets.end(made.id):
        raise _reset_used()
    changed = await console.directory.set_password(account.id, hash)
    await console.lockout.clear(account.id)
    await console.audit.append(account.id, "account.reset", account.id, offered_by=made.by)
    return await proceed(request, changed, HOME)


async def _resetting(request: Request, token: str) -> tuple[Pass, Account]:
    console = console_of(request)
    made = await console.resets.find(token)
    giver = await console.directory.find(made.by) if made else None
    account = await console.directory.find(made.label) if made else None
    if made is None or account is None or account.disabled or giver is None or giver.disabled:
        raise _reset_used()
    if (made.role, made.subtree) != (account.role, account.subtree):  # who gave it might not give one for this role
        raise _reset_used()
    return made, account


def _reset_used() -> Problem:
    return Problem(404, "reset", "Đường dẫn này không đúng, đã dùng rồi hoặc đã hết hạn. Hãy xin đường dẫn mới.")


def _reset(request: Request, token: str, fault: str = "") -> Response:
    return _as_guest(request, "reset.html", 422 if fault else 200, token=token, fault=fault)


def _as_guest(request: Request, template: str, status: int, **context: Any) -> Response:
    """A page with a form for who is not signed in: its token needs a session, too."""
    console = console_of(request)
    if console.session(request) is None:
        console.begin(request, "guest")
    response = render(request, template, status, **context)
    return console.remember(request, response) if hasattr(request.state, "session") else response


def _who(form: FormData) -> tuple[str, str, tuple[str, str] | None]:
    """E-mail and name of a new account, and the first fault as (field, sentence)."""
    name, email = " ".join(str(form.get("name", "")).split()), clean_email(str(form.get("email", "")))
    if not 2 <= len(name) <= 100:
        return "", name, ("name", "Hãy ghi họ và tên.")
    if email is None:
        return "", name, ("email", "Địa chỉ thư không đúng dạng.")
    weak = passwords.fault(str(form.get("password", "")), email, name)
    return email, name, ("password", weak) if weak else None


def safe(next: str) -> str:
    """A page of the console: no foreign link leads elsewhere, and none of the way in leads back to itself."""
    fits = next.startswith("/console/") and "\\" not in next and "//" not in next and next.isprintable()
    return next if fits and not next.startswith(("/console/sign-in", "/console/code")) else HOME
