"""What roles allow, how long a lock lasts, what a code and a password are worth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.clock import ManualClock
from services.kit.console import ROLES, Account, Role, may_give, within
from services.kit.console import passwords as pw
from services.kit.console.accounts import clean_email, fits
from services.kit.console.lockout import FREE, LONGEST, Lockout, delay
from services.kit.console.second_factor import Vault, new_recovery_codes, new_secret, step_of
from services.kit.problems import Problem
from tests.contract.memory_store import memory_store

NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)
UNITS = {"city": None, "a": "city", "b": "city", "a1": "a", "a11": "a1", "b1": "b"}
units, roles = st.sampled_from(sorted(UNITS)), st.sampled_from(ROLES)


def account(role: Role, subtree: str | None = None) -> Account:
    return Account(id="x", name="x", email="x@example.org", role=role, subtree=subtree)


@given(units, units, units)
def test_within_is_an_order(a: str, b: str, c: str) -> None:
    assert within(a, a, UNITS)
    assert within(a, None, UNITS)
    assert not within(None, a, UNITS)
    if within(a, b, UNITS) and within(b, a, UNITS):
        assert a == b
    if within(a, b, UNITS) and within(b, c, UNITS):
        assert within(a, c, UNITS)


def test_a_circle_of_units_ends() -> None:
    assert not within("a", "c", {"a": "b", "b": "a"})


@given(roles, st.none() | units, roles, st.none() | units)
def test_nobody_gives_more_than_they_have(giver: Role, own: str | None, role: Role, subtree: str | None) -> None:
    if giver == "city" or not may_give(account(giver, own), role, subtree, UNITS):
        return
    assert role not in ("city", "operator")
    assert within(subtree, own, UNITS)
    for further in sorted(UNITS):  # nor do those whom they invite
        if may_give(account(role, subtree), "unit", further, UNITS):
            assert within(further, own, UNITS)


@pytest.mark.parametrize(
    ("role", "subtree", "good"),
    [("city", None, True), ("city", "a", False), ("operator", "a", False), ("district", None, False), ("district", "a", True),
     ("unit", "zz", False), ("reader", None, True), ("reader", "a1", True)],
)  # fmt: skip
def test_which_roles_have_a_subtree(role: Role, subtree: str | None, good: bool) -> None:
    assert fits(role, subtree, UNITS) is good


def test_locks_grow_and_end() -> None:
    delays = [delay(n) for n in range(40)]
    assert not any(delays[:FREE])
    assert delays == sorted(delays)
    assert delays[FREE] > timedelta()
    assert delays[-1] == LONGEST


async def test_tries_are_counted_and_a_right_one_clears_them() -> None:
    clock = ManualClock(NOW)
    lockout = Lockout(memory_store(), clock)
    assert [await lockout.count("a") for _ in range(FREE)] == [1, 2, 3, 4, 5]
    with pytest.raises(Problem) as refused:
        await lockout.count("a")
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "30")
    assert await lockout.count("b") == 1, "another account is not concerned"
    clock.advance(timedelta(seconds=31))
    assert await lockout.count("a") == 6
    await lockout.clear("a")
    assert await lockout.count("a") == 1


def test_a_code_is_good_for_its_step_and_the_next_ones() -> None:
    secret = new_secret()
    code = pyotp.TOTP(secret).at(NOW)
    step = int(NOW.timestamp()) // 30
    assert step_of(secret, f"{code[:3]} {code[3:]}", NOW) == step
    assert step_of(secret, code, NOW + timedelta(seconds=30)) == step
    assert step_of(secret, code, NOW - timedelta(seconds=30)) == step
    assert step_of(secret, code, NOW + timedelta(seconds=61)) is None
    assert step_of(secret, "", NOW) is None


def test_the_vault_needs_its_key_and_forgives_how_codes_are_typed() -> None:
    vault, code = Vault(b"k" * 32), new_recovery_codes()[0]
    assert vault.open(vault.seal("s")) == "s"
    assert Vault(b"x" * 32).open(vault.seal("s")) is None
    assert vault.digest(code) == vault.digest(f" {code.upper().replace('-', ' ')} ") != vault.digest(code[:-1])


async def test_a_password_is_the_same_in_either_unicode_form() -> None:
    composed, decomposed = "tiếng Việt đẹp", "tiếng Việt đẹp"
    hash = await pw.hashed(composed)
    assert "argon2id" in hash
    assert await pw.matches(hash, decomposed)
    assert not await pw.matches(hash, "tieng Viet dep")
    assert not await pw.matches(None, composed)


@pytest.mark.parametrize("text", ["", "ngan", "a" * 12, "ngoc@example.org", "x" * 201])
def test_weak_passwords_are_named(text: str) -> None:
    assert pw.fault(text, "ngoc@example.org")


def test_emails() -> None:
    assert clean_email("  Ngoc@Example.ORG ") == "ngoc@example.org"
    assert [clean_email(text) for text in ("", "a", "a@b", "a b@c.vn", "a@b.c\n.vn")] == [None] * 5
