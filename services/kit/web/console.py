"""Who may enter `/console`: sessions, the token in every form, and what a role may open.

Pages ask for an account with `Organiser` (the city's), `Member` (any role) or `Annotated[Account, Depends(needs("city", …))]`,
a form with `OrganiserForm`, `MemberForm` or `needs_form(…)`, a call of `/api/v1/admin/*` with `admin_api(…)`.
"""

from __future__ import annotations

import hmac
import secrets as random
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Depends, Request, Response
from itsdangerous import BadSignature, URLSafeSerializer
from markupsafe import Markup
from starlette.datastructures import FormData

from services.kit.clock import Clock
from services.kit.console.accounts import ROLES, Account, Role, Units
from services.kit.console.audit_log import AuditLog
from services.kit.console.directory import Directory
from services.kit.console.lockout import Lockout
from services.kit.console.passes import admin_key, api_keys, invitations, resets
from services.kit.problems import Problem
from services.kit.runtime import UnitName
from services.kit.security import Secrets

if TYPE_CHECKING:
    from services.kit.store import Database

COOKIE = "hoithi_console"
DEVICE = "hoithi_device"
"""The cookie of a browser in which an account was signed in before."""
DEVICE_SECONDS = 180 * 24 * 3600
CSRF_HEADER = "X-CSRF-Token"

LARGEST_FORM = 24 * 1024 * 1024
"""Bytes: more than any file that a page takes."""

Kind = Literal["guest", "link", "half", "full"]
"""Nobody yet; the holder of the admin link; who knows the password but has not shown the second factor; who is signed in."""

SECONDS: dict[Kind, int] = {"guest": 12 * 3600, "link": 3600, "half": 900, "full": 12 * 3600}
"""How long a session of each kind lasts."""


@dataclass(frozen=True)
class Session:
    """What the signed cookie holds. `issued` is in seconds since the epoch."""

    id: str
    kind: Kind
    account: str
    epoch: int
    issued: int


class Console:
    """Accounts and their sessions. `database` is the console's own; `https`: whether the pages are only reached by it; `address`:
    how others reach the pages, where that is not as the request came.

    `units` is set when the application is put together: the units of all contests by code, for subtrees.
    """

    def __init__(
        self, secrets: Secrets, database: Database, clock: Clock, *, https: bool = False, address: str | None = None
    ) -> None:
        self.address = address
        self._cookies = URLSafeSerializer(secrets.get("session.key"), salt="console")
        self._devices = URLSafeSerializer(secrets.get("session.key"), salt="device")
        self._forms, self._clock, self._https = secrets.get("session.key"), clock, https
        self._admin_key = admin_key(secrets)
        self.directory = Directory(database, secrets, clock)
        self.invitations, self.resets, self.keys = (make(database, clock) for make in (invitations, resets, api_keys))
        self.lockout, self.audit = Lockout(database, clock), AuditLog(database, secrets, clock)
        self.units: Callable[[], Mapping[str, UnitName]] = dict

    def parents(self) -> Units:
        """The parent of every unit, for `within`."""
        return {code: unit.parent for code, unit in self.units().items()}

    def opens(self, key: str) -> bool:
        """Whether this is the key of the admin link."""
        return hmac.compare_digest(key.encode(), self._admin_key.encode())

    def new_session(self, kind: Kind, account: Account | None = None) -> Session:
        """A session that begins now."""
        who, epoch = (account.id, account.epoch) if account else ("", 0)
        return Session(random.token_hex(16), kind, who, epoch, int(self._clock.now().timestamp()))

    def cookie(self, session: Session) -> str:
        """The session as the value of its cookie."""
        return str(self._cookies.dumps(asdict(session)))

    def begin(self, request: Request, kind: Kind, account: Account | None = None) -> Session:
        """A new session in place of the request's; `remember` hands it to the browser."""
        request.state.session = self.new_session(kind, account)
        session: Session = request.state.session
        return session

    def remember(self, request: Request, response: Response) -> Response:
        """The response with the cookie of the session that `begin` made."""
        session: Session = request.state.session
        self._set(request, response, COOKIE, self.cookie(session), SECONDS[session.kind])
        if session.kind == "full" and not self._device(request, session.account):
            self._set(request, response, DEVICE, str(self._devices.dumps([session.account, random.token_hex(8)])), DEVICE_SECONDS)
        return response

    def tries_key(self, request: Request, account: str) -> str:
        """Whose wrong passwords these are. A browser that knows the account has a count of its own, so that nobody else can
        lock an organiser out on the evening that matters."""
        device = self._device(request, account)
        return f"{account}/{device}" if device else account

    def _device(self, request: Request, account: str) -> str | None:
        try:
            known, device = self._devices.loads(request.cookies.get(DEVICE, ""))
        except (BadSignature, TypeError, ValueError):
            return None
        return str(device) if known == account else None

    def _set(self, request: Request, response: Response, name: str, value: str, seconds: int) -> None:
        secure = self._https or request.url.scheme == "https"
        response.set_cookie(name, value, max_age=seconds, httponly=True, samesite="lax", secure=secure)

    def session(self, request: Request) -> Session | None:
        """The session that a request carries, if it still lasts; its account is not looked at yet."""
        if begun := getattr(request.state, "session", None):
            return begun if isinstance(begun, Session) else None
        try:
            session = Session(**self._cookies.loads(request.cookies.get(COOKIE, "")))
        except (BadSignature, TypeError):
            return None
        age = self._clock.now().timestamp() - session.issued
        return session if age < SECONDS[session.kind] else None

    async def account(self, request: Request, *kinds: Kind) -> Account | None:
        """The account of a session of one of these kinds, unless it was disabled or its sessions were ended."""
        session = self.session(request)
        if session is None or session.kind not in kinds:
            return None
        account = await self.directory.find(session.account, fresh=False)
        return account if account and not account.disabled and account.epoch == session.epoch else None

    async def key_holder(self, text: str) -> Account | None:
        """What an API key stands for, while it is good and whoever made it is not disabled."""
        key = await self.keys.find(text)
        owner = await self.directory.find(key.by, fresh=False) if key else None
        if key is None or owner is None or owner.disabled:
            return None
        return Account(
            id=f"key/{key.id}", name=key.label, email="", role=key.role, subtree=key.subtree, has_code=True, owner=key.by
        )

    def owes_code(self, account: Account) -> bool:
        """Whether the account must set up its second factor before anything else."""
        return account.owes_code(self._clock.now())

    def form_token(self, session: Session) -> str:
        """What every form of this session sends along, and no other site can know."""
        return blake2b(session.id.encode(), key=self._forms, digest_size=16, person=b"form").hexdigest()

    def check_token(self, request: Request, sent: str) -> None:
        """Raises Problem 403 where a form does not come from one of our pages."""
        session = self.session(request)
        if session is None or not hmac.compare_digest(sent.encode(), self.form_token(session).encode()):
            raise Problem(403, "csrf", "Biểu mẫu đã hết hạn. Hãy tải lại trang rồi thử lại.", field="csrf")


def console_of(request: Request) -> Console:
    """The console of the application that serves the request."""
    console: Console = request.app.state.console
    return console


async def signed_in(request: Request) -> Account:
    """A dependency: the signed-in account, of whatever role. Raises Problem 401, or 403 where its second factor is due."""
    console = console_of(request)
    account = await console.account(request, "full")
    if account is None:
        raise Problem(401, "session", "Trang này dành cho Ban Tổ chức. Hãy đăng nhập.")
    if console.owes_code(account):
        raise Problem(403, "second-factor", "Hãy cài đặt mã xác thực hai lớp trước khi làm tiếp.")
    request.state.account = account
    return account


def needs(*roles: Role) -> Callable[[Request], Awaitable[Account]]:
    """A dependency: the signed-in account, if its role is one of these. Raises Problem 401 or 403."""

    async def allowed(request: Request) -> Account:
        account = await signed_in(request)
        _check_role(account, roles)
        return account

    return allowed


def needs_form(*roles: Role) -> Callable[[Request], Awaitable[FormData]]:
    """A dependency: the form that such an account sent from one of our pages. Raises Problem 401 or 403."""

    async def allowed(request: Request) -> FormData:
        _check_role(await signed_in(request), roles)
        return await guest_form(request)

    return allowed


async def guest_form(request: Request) -> FormData:
    """A dependency: a form from one of our pages, whoever sent it. Raises Problem 403, or 413 for one that is larger than any
    page sends, before it is read."""
    size = request.headers.get("content-length", "")
    if not size.isdigit() or int(size) > LARGEST_FORM:
        raise Problem(413, "too-large", "Tệp quá lớn: nhiều nhất {mb} MB.", field="file", mb=LARGEST_FORM >> 20)
    form = await request.form()
    console_of(request).check_token(request, str(form.get("csrf", "")))
    return form


def admin_api(*roles: Role) -> Callable[[Request], Awaitable[Account]]:
    """A dependency for `/api/v1/admin/*`: an API key (`Authorization: Bearer …`) or a session of one of these roles.

    A session that changes something sends its form token in the header X-CSRF-Token. Raises Problem 401 or 403.
    """

    async def allowed(request: Request) -> Account:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            account = await console_of(request).key_holder(key.strip())
            if account is None:
                raise Problem(401, "api-key", "Khóa API không đúng hoặc đã bị thu hồi.", headers={"WWW-Authenticate": "Bearer"})
            request.state.account = account
        else:
            account = await signed_in(request)
            if request.method not in {"GET", "HEAD"}:
                console_of(request).check_token(request, request.headers.get(CSRF_HEADER, ""))
        _check_role(account, roles)
        return account

    return allowed


def _check_role(account: Account, roles: Collection[Role]) -> None:
    if account.role not in roles:
        raise Problem(403, "role", "Tài khoản của bạn không có quyền làm việc này.")


def account_of(request: Request) -> Account | None:
    """The account that a dependency of this request has let in."""
    return getattr(request.state, "account", None)


def account_in(request: Request) -> Account:
    """The same, where a dependency has surely let one in; else RuntimeError."""
    account = account_of(request)
    if account is None:
        raise RuntimeError("nobody is signed in: the page lacks a dependency such as `Organiser`")
    return account


def may_open(request: Request, roles: Collection[str] = ()) -> bool:
    """Whether the account of a page's request has one of these roles; no role named means the city's organiser."""
    account = account_of(request)
    return account is not None and account.role in (roles or ("city",))


def csrf_field(request: Request) -> Markup:
    """The hidden field that every form of the console holds."""
    console = console_of(request)
    session = console.session(request)
    if session is None:
        raise Problem(401, "session", "Trang này dành cho Ban Tổ chức. Hãy đăng nhập.")
    return Markup('<input type="hidden" name="csrf" value="{}">').format(console.form_token(session))


async def audited(request: Request, action: str, subject: str, **details: object) -> None:
    """Notes that the account of this request did `action` (e.g. `bank.imported`) to `subject` (an id). No personal data.

    Raises StoreDown; RuntimeError where no dependency has let anybody in.
    """
    await console_of(request).audit.append(account_in(request).id, action, subject, **details)


organiser = needs("city")
organiser_form = needs_form("city")

Organiser = Annotated[Account, Depends(organiser)]
OrganiserForm = Annotated[FormData, Depends(organiser_form)]
Member = Annotated[Account, Depends(signed_in)]
MemberForm = Annotated[FormData, Depends(needs_form(*ROLES))]
GuestForm = Annotated[FormData, Depends(guest_form)]
