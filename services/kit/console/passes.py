"""Invitations, resets of passwords, and API keys: random strings that are shown once and kept as a digest; the admin link."""

from __future__ import annotations

import secrets as random
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from services.kit.clock import Clock
from services.kit.console.accounts import Account, Role
from services.kit.security import Secrets
from services.kit.store import FACTS, find_ids, insert_facts, store_errors

if TYPE_CHECKING:
    from services.kit.store import Database

INVITATION_DAYS = 7
KEY_PREFIX = "hoithi_"


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One of them. `id` is its digest; `by` is the account that gave it; `over` once used or revoked."""

    id: str
    label: str
    role: Role
    subtree: str | None
    by: str
    made_at: datetime
    ends_at: datetime | None
    over: bool


class Passes:
    """One kind of pass, in a collection of its own. All methods raise StoreDown while the store is away."""

    def __init__(self, database: Database, kind: str, clock: Clock, lasts: timedelta | None) -> None:
        self._held = database[kind].with_options(write_concern=FACTS)
        self._clock, self._lasts = clock, lasts

    async def give(self, by: Account, label: str, role: Role, subtree: str | None) -> tuple[str, Pass]:
        """A new pass and its text, which nobody can read again. The caller has checked that `by` may."""
        text, now = KEY_PREFIX + random.token_urlsafe(24), self._clock.now()
        ends = now + self._lasts if self._lasts else None
        made = Pass(id=_digest(text), label=label, role=role, subtree=subtree, by=by.id, made_at=now, ends_at=ends, over=False)
        await insert_facts(self._held, [_document(made)])
        return text, made

    async def find(self, text: str) -> Pass | None:
        """The pass of this text, if it is good now."""
        found = (await find_ids(self._held, [_digest(text)])).values()
        now = self._clock.now()
        return next((p for p in map(_pass, found) if not p.over and (p.ends_at is None or now < p.ends_at)), None)

    async def get(self, id: str) -> Pass | None:
        """The pass of this id, good or not."""
        found = (await find_ids(self._held, [id])).get(id)
        return _pass(found) if found else None

    async def end(self, id: str) -> bool:
        """Uses or revokes the pass; False where somebody did before."""
        with store_errors():
            return bool((await self._held.update_one({"_id": id, "over": False}, {"$set": {"over": True}})).matched_count)

    async def good(self) -> list[Pass]:
        """All that are good now, the newest first."""
        now = self._clock.now()
        with store_errors():
            found = [_pass(document) async for document in self._held.find({"over": False})]
        return sorted((p for p in found if p.ends_at is None or now < p.ends_at), key=lambda p: p.made_at, reverse=True)


def invitations(database: Database, clock: Clock) -> Passes:
    """Each makes one account, within a week."""
    return Passes(database, "invitations", clock, timedelta(days=INVITATION_DAYS))


def resets(database: Database, clock: Clock) -> Passes:
    """Each sets the password of one account anew, within a day; its label is the account's id."""
    return Passes(database, "resets", clock, timedelta(days=1))


def api_keys(database: Database, clock: Clock) -> Passes:
    """Each lets a program call `/api/v1/admin/*` in a role, until it is revoked."""
    return Passes(database, "api_keys", clock, None)


def admin_key(secrets: Secrets) -> str:
    """What the admin link carries; only this installation's data directory holds it."""
    return secrets.get("admin.key").hex()


def admin_path(secrets: Secrets) -> str:
    """The path of the admin link."""
    return f"/console/login?key={admin_key(secrets)}"


def _digest(text: str) -> str:
    # The text is random, so a plain digest is as good as a slow one.
    return sha256(text.encode()).hexdigest()[:32]


def _document(made: Pass) -> dict[str, Any]:
    return {"_id": made.id} | {name: value for name, value in vars(made).items() if name != "id"}


def _pass(document: dict[str, Any]) -> Pass:
    return Pass(**{("id" if name == "_id" else name): value for name, value in document.items()})
