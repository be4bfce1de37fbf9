"""Passwords: argon2id, in one thread of its own, so that the event loop that takes submissions never waits for it."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from services.kit.problems import Problem

T = TypeVar("T")

SHORTEST, LONGEST = 10, 200
WAITING = 16
"""So many sign-ins may wait for the thread; more are sent away for a moment."""

_hasher = PasswordHasher(time_cost=2, memory_cost=46 * 1024, parallelism=1)
_thread = ThreadPoolExecutor(1, thread_name_prefix="argon2")
_waiting = 0

NOBODY = "$argon2id$v=19$m=47104,t=2,p=1$pzKRuRG/nWaN1iHqbtboSg$LhH8uhyVqCoN9GgXNZEjWe0a8E0QhjDvhxyb3Ep2G5Y"
"""A hash that no password has: what the password of an unknown account is compared with, in the same time."""


def fault(password: str, *known: str) -> str | None:
    """What is wrong with a new password, as a Vietnamese sentence; `known` are words that it must not be."""
    text = _normal(password)
    if len(text) < SHORTEST:
        return "Mật khẩu cần ít nhất 10 ký tự."
    if len(text) > LONGEST:
        return "Mật khẩu quá dài."
    if len(set(text)) < 4 or text.lower() in {_normal(word).lower() for word in known}:
        return "Mật khẩu này quá dễ đoán."
    return None


async def hashed(password: str) -> str:
    """The argon2id hash to keep. Raises Problem 503 when too many wait."""
    return await _in_thread(lambda: _hasher.hash(_normal(password)))


async def matches(hash: str | None, password: str) -> bool:
    """Whether the password is that of the hash; without a hash never, after the same work. Raises Problem 503 as above."""
    return await _in_thread(lambda: _matches(hash or NOBODY, password[: LONGEST + 1])) and hash is not None


def _matches(hash: str, password: str) -> bool:
    try:
        return _hasher.verify(hash, _normal(password))
    except (VerifyMismatchError, InvalidHashError):
        return False


async def _in_thread(work: Callable[[], T]) -> T:
    global _waiting
    if _waiting >= WAITING:
        raise Problem(503, "unavailable", "Hệ thống đang bận, xin thử lại sau vài giây.", headers={"Retry-After": "5"})
    _waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_thread, work)
    finally:
        _waiting -= 1


def _normal(password: str) -> str:
    # A phone may type "ế" as one character and a computer as two: it is the same password.
    return unicodedata.normalize("NFKC", password)
