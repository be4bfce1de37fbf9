"""Accounts and what their roles allow. Pure: no store, no web."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

Role = Literal["city", "district", "unit", "operator", "reader"]
ROLES: tuple[Role, ...] = get_args(Role)

ROLE_NAMES: dict[str, str] = {
    "city": "Ban Tổ chức thành phố",
    "district": "Ban Tổ chức địa phương",
    "unit": "Đầu mối đơn vị",
    "operator": "Vận hành kỹ thuật",
    "reader": "Chỉ xem",
}

WITH_CODE: frozenset[Role] = frozenset({"city", "district", "operator"})
"""Roles that cannot work without a second factor."""

ROOTED: frozenset[Role] = frozenset({"district", "unit"})
"""Roles that are for a subtree of the units; a reader may have one or not, the others have none."""

GIVES: dict[Role, tuple[Role, ...]] = {"city": ROLES, "district": ("district", "unit", "reader")}
"""Which roles may give which."""

GRACE = timedelta(hours=24)
"""How long the first account may put off its second factor."""

Units = Mapping[str, str | None]
"""The parent of each unit, by code; None at the top."""

EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]{2,}")


@dataclass(frozen=True, kw_only=True)
class Account:
    """A person, or a program with an API key, as the pages meet them. `subtree` is a unit's code; None is everything.

    `has_code`: a second factor is set up. `code_due`: until then it may be put off. `epoch` grows when all sessions end.
    `owner`: of an API key, the account that made it.
    """

    id: str
    name: str
    email: str
    role: Role
    subtree: str | None = None
    epoch: int = 0
    disabled: bool = False
    has_code: bool = False
    code_due: datetime | None = None
    owner: str = ""

    @property
    def person(self) -> str:
        """Who acts, also through an API key: what tells a second person from the first."""
        return self.owner or self.id

    def owes_code(self, now: datetime) -> bool:
        """Whether nothing but setting up the second factor is open to it."""
        return self.role in WITH_CODE and not self.has_code and (self.code_due is None or now >= self.code_due)


def within(unit: str | None, subtree: str | None, units: Units) -> bool:
    """Whether a unit is `subtree` or below it. None as `subtree` holds all; None as `unit` (everything) is only within that."""
    if subtree is None:
        return True
    seen: set[str] = set()
    while unit is not None and unit not in seen:
        if unit == subtree:
            return True
        seen.add(unit)
        unit = units.get(unit)
    return False


def may_give(giver: Account, role: Role, subtree: str | None, units: Units) -> bool:
    """Whether `giver` may invite, disable or enable somebody of this role and subtree: nobody gives more than they have."""
    return role in GIVES.get(giver.role, ()) and within(subtree, giver.subtree, units)


def fits(role: Role, subtree: str | None, units: Units) -> bool:
    """Whether a role and a subtree go together, and the subtree is there."""
    if subtree is None:
        return role not in ROOTED
    return (role in ROOTED or role == "reader") and subtree in units


def clean_email(text: str) -> str | None:
    """The sign-in name as it is kept, or None where the text is no address."""
    email = text.strip().lower()
    return email if len(email) <= 200 and EMAIL.fullmatch(email) else None
