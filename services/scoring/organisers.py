"""Who of a round's people has an organiser's account: by e-mail, of which scoring keeps a keyed digest alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from services.kit.console import Account, Role
from services.kit.store import StoreDown
from services.scoring.handlers import address
from services.scoring.store import marks_of, read_state, read_views

if TYPE_CHECKING:
    from services.kit.store import Database

ORGANISERS: frozenset[Role] = frozenset({"city", "district", "operator"})
"""Whose accounts exclude from prizes, disabled ones too. Secretaries of units and readers take part like everyone."""


class Found(NamedTuple):
    """Whose registration has the e-mail of an account: their masked name, and the account's id and name."""

    name: str
    account: str
    holder: str


class Organisers:
    """`key` is that of the digests in the partitions' states."""

    def __init__(self, store: Database, key: bytes) -> None:
        self._store, self._key = store, key
        self._looking = asyncio.Lock()
        self._known: dict[str, tuple[bytes, dict[str, Found]]] = {}

    async def among(self, rounds: Iterable[str], accounts: Iterable[Account]) -> dict[str, Found]:
        """The people with an attempt in these rounds, by participant. It takes a look at every snapshot: ask of rounds that
        are ranked. What was found is kept while nothing changes, and several who ask share a look. Raises StoreDown, also while
        the snapshots lack what was judged."""
        holders = {address(self._key, each.email): each for each in accounts if each.role in ORGANISERS}
        holders.pop(b"", None)
        found: dict[str, Found] = {}
        async with self._looking:
            for round in rounds if holders else ():
                found |= await self._in_round(round, holders)
        return found

    async def _in_round(self, round: str, holders: dict[bytes, Account]) -> dict[str, Found]:
        marks = marks_of(round, await read_views(self._store))
        basis = msgspec.msgpack.encode((marks, [(digest, each.name) for digest, each in sorted(holders.items())]))
        known = self._known.get(round)
        if known is not None and known[0] == basis:
            return known[1]
        found: dict[str, Found] = {}
        for p, mark in marks.items():
            state = await read_state(self._store, p)
            if state.rounds.get(round) != mark:
                raise StoreDown(f"the snapshot of partition {p} is behind")  # as while it is made anew from the log
            for participant, person in state.holders(round, holders.keys()):
                account = holders[person.email]
                found[participant] = Found(person.name, account.id, account.name)
            await asyncio.sleep(0)
        self._known[round] = basis, found
        return found
