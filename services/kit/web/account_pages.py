"""What people do with their own account: second factor, password, sign out everywhere."""

from __future__ import annotations

import io
from typing import Annotated

import segno
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from services.kit.console import passwords, second_factor
from services.kit.console.accounts import ROLE_NAMES, WITH_CODE, Account
from services.kit.problems import Problem
from services.kit.web.console import GuestForm, Member, MemberForm, account_in, audited, console_of
from services.kit.web.pages import language, render
from services.kit.web.sign_in_pages import safe

router = APIRouter(include_in_schema=False)


@router.get("/console/totp")
async def code_form(request: Request, next: Annotated[str, Query()] = "") -> Response:
    """The QR code that an authenticator app scans, and the field for its first code."""
    account = await _setting_up(request)
    if account.has_code and not await console_of(request).directory.has_pending(account.id):
        return RedirectResponse("/console/account", 303)
    return await _set_up(request, account, next)


@router.get("/console/totp.svg")
async def code_picture(request: Request) -> Response:
    """The QR code of the secret that waits for its first code."""
    account = await _setting_up(request)
    directory = console_of(request).directory
    if account.has_code and not await directory.has_pending(account.id):
        raise Problem(404, "http", "Không tìm thấy.")
    out = io.BytesIO()
    segno.make(second_factor.address(await directory.pending_secret(account.id), account.email), error="m").save(
        out, kind="svg", scale=5, border=4, svgclass=None, lineclass=None, omitsize=False
    )
    return Response(out.getvalue(), media_type="image/svg+xml")


@router.post("/console/totp")
async def set_code(request: Request, form: GuestForm) -> Response:
    """Takes the second factor into use, and shows the recovery codes this once."""
    console, account = console_of(request), await _setting_up(request)
    codes = await console.directory.confirm_code(account.id, str(form.get("code", ""))[:20])
    if codes is None:
        return await _set_up(
            request, account, str(form.get("next", "")), "Mã không đúng. Hãy xem giờ của điện thoại rồi thử lại."
        )
    changed = await console.directory.find(account.id) or account
    request.state.account = changed
    console.begin(request, "full", changed)
    await audited(request, "account.code-set", account.id)
    response = render(request, "recovery_codes.html", codes=codes, next=safe(str(form.get("next", ""))))
    return console.remember(request, response)


async def _setting_up(request: Request) -> Account:
    """Who is signed in, or has shown a password and has no second factor to show."""
    console = console_of(request)
    account = await console.account(request, "full", "half")
    session = console.session(request)
    if account is None or session is None or (session.kind == "half" and account.has_code):
        raise Problem(401, "session", "Trang này dành cho Ban Tổ chức. Hãy đăng nhập.")
    return account


async def _set_up(request: Request, account: Account, next: str, fault: str = "") -> Response:
    console = console_of(request)
    secret = await console.directory.pending_secret(account.id)
    groups = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    later = not console.owes_code(account)
    return render(request, "totp.html", 422 if fault else 200, secret=groups, later=later, fault=fault, next=safe(next))


@router.get("/console/account")
async def my_account(request: Request, account: Member, done: Annotated[str, Query()] = "") -> Response:
    """Who I am here, and what I may change."""
    return _my_account(request, account, done=done)


def _my_account(
    request: Request, account: Account, fault: tuple[str, str] | None = None, status: int = 200, done: str = ""
) -> Response:
    unit = console_of(request).units().get(account.subtree or "")
    return render(
        request, "account.html", status, account=account, roles=ROLE_NAMES, unit=unit.name if unit else account.subtree,
        must=account.role in WITH_CODE, fault=fault, done=DONE.get(done, ""),
    )  # fmt: skip


DONE = {"password": "Đã đổi mật khẩu; các máy khác đã bị đăng xuất.", "elsewhere": "Đã đăng xuất ở mọi máy khác."}


@router.post("/console/account/password")
async def change_password(request: Request, form: MemberForm) -> Response:
    """A new password ends all other sessions."""
    account, new = account_in(request), str(form.get("new", ""))
    if refused := await _proven(request, account, form, "password"):
        return refused
    if weak := passwords.fault(new, account.email, account.name):
        return _my_account(request, account, ("new", weak), 422)
    changed = await console_of(request).directory.set_password(account.id, await passwords.hashed(new))
    await audited(request, "account.password-changed", account.id)
    return _again(request, changed, "/console/account?done=password")


@router.post("/console/account/sign-out-everywhere")
async def sign_out_everywhere(request: Request, _: MemberForm) -> Response:
    """Ends all sessions but this one."""
    changed = await console_of(request).directory.end_sessions(account_in(request).id)
    await audited(request, "account.sessions-ended", changed.id)
    return _again(request, changed, "/console/account?done=elsewhere")


@router.post("/console/account/new-code")
async def new_code(request: Request, form: MemberForm) -> Response:
    """Begins with another phone; the old one counts until the new one has shown a code."""
    account = account_in(request)
    if refused := await _proven(request, account, form, "code-password"):
        return refused
    await console_of(request).directory.pending_secret(account.id, anew=True)
    return RedirectResponse("/console/totp?next=/console/account", 303)


async def _proven(request: Request, account: Account, form: FormData, field: str) -> Response | None:
    """None where the form holds the account's password, else the page that says no. Counts as a try to sign in."""
    console = console_of(request)
    key = console.tries_key(request, account.id)
    try:
        await console.lockout.count(key)
        right = await passwords.matches(await console.directory.hash(account.id), str(form.get(field, "")))
    except Problem as problem:
        return _my_account(request, account, (field, problem.document(language(request))["detail"]), problem.status)
    if not right:
        return _my_account(request, account, (field, "Mật khẩu không đúng."), 422)
    await console.lockout.clear(key)
    return None


def _again(request: Request, account: Account, path: str) -> Response:
    """Goes on in a new session: the old one has ended with all others."""
    console = console_of(request)
    console.begin(request, "full", account)
    return console.remember(request, RedirectResponse(path, 303))
