"""The arithmetic of cuts, aside from the worker (`services.kit.aside`): `python -m services.reporting.counting`.

A city's attempts take seconds to count. The worker goes on consuming meanwhile, and a process that only counts can let everybody
else go first.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from services.kit.aside import Failed, aside
from services.kit.bus import Transient
from services.reporting.domain import State
from services.reporting.share import Packed, Scope, Share, joined, pack, unpack

COMMAND = (sys.executable, "-m", "services.reporting.counting")
MOST_SECONDS = 600.0

_BREATH = 0.02
"""Seconds between two partitions that are packed, which takes some milliseconds each: no burst for others to wait for."""


class Count(msgspec.Struct, frozen=True, tag=True):
    """Asks for the shares of partitions, by their states, in a cut of a contest that has these rounds. `until` is the cut-off in
    microseconds, inclusive; `since` where its period begins, exclusive."""

    states: dict[int, msgspec.Raw]
    rounds: list[str]
    until: int
    since: int = -1


class Sum(msgspec.Struct, frozen=True, tag=True):
    """Asks what packed shares add up to."""

    shares: list[bytes]


class Counted(msgspec.Struct, frozen=True):
    """The packed share of a partition; `awaited` as in `Share`."""

    awaited: int
    share: bytes


async def _aside(task: bytes) -> bytes:
    try:
        return await aside(COMMAND, task, seconds=MOST_SECONDS)
    except Failed as error:
        raise Transient(f"a cut was not counted: {error}") from error


class Counting:
    """Has tasks done by `do`. Its methods raise Transient where that fails."""

    def __init__(self, do: Callable[[bytes], Awaitable[bytes]] = _aside) -> None:
        self._do = do

    async def count(self, states: Mapping[int, State], rounds: list[str], until: int, since: int = -1) -> dict[int, Counted]:
        """The shares of these partitions."""
        raw: dict[int, msgspec.Raw] = {}
        for partition, state in states.items():
            raw[partition] = msgspec.Raw(msgspec.msgpack.encode(state))
            await asyncio.sleep(_BREATH)
        task = msgspec.msgpack.encode(Count(raw, rounds, until, since))
        return msgspec.msgpack.decode(await self._do(task), type=dict[int, Counted])

    async def add_up(self, shares: list[bytes]) -> dict[str, Packed]:
        """What the shares of all partitions come to: each scope by its name, packed for itself under ""."""
        result = await self._do(msgspec.msgpack.encode(Sum(shares)))
        return msgspec.msgpack.decode(result, type=dict[str, Packed])


def done(task: bytes) -> bytes:
    """The result of a task."""
    asked = msgspec.msgpack.decode(task, type=Count | Sum)
    return msgspec.msgpack.encode(_count(asked) if isinstance(asked, Count) else _add_up(asked))


def _count(asked: Count) -> dict[int, Counted]:
    counted: dict[int, Counted] = {}
    for partition, raw in asked.states.items():
        share = Share(msgspec.msgpack.decode(raw, type=State), asked.rounds, asked.until, asked.since)
        counted[partition] = Counted(share.awaited, pack(share.scopes()).body)
    return counted


def _add_up(asked: Sum) -> dict[str, Packed]:
    parts: dict[str, list[Scope]] = {}
    for body in asked.shares:
        for name, scope in unpack(body).items():
            parts.setdefault(name, []).append(scope)
    return {name: pack({"": joined(scopes)}) for name, scopes in parts.items()}


if __name__ == "__main__":
    sys.stdout.buffer.write(done(sys.stdin.buffer.read()))
