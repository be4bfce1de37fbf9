"""What reporting can prove: which attempts it has counted, as its snapshots tell it.

Snapshots are written every few seconds (`snapshot_s`); `behind` says what they lack, for one who wants to wait.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from services.kit.clock import time_of
from services.kit.runtime import Runtime
from services.kit.store import store_errors
from services.reporting.domain import State, Verdict, unpack
from services.reporting.handlers import TOPICS
from services.reporting.store import snapshots

if TYPE_CHECKING:
    from services.kit.store import Database

_decoder = msgspec.msgpack.Decoder(State)


@dataclass(frozen=True, slots=True)
class Seen:
    """What reporting knows of an attempt. It is counted where `verdict` is "valid"; None means that none has come."""

    submitted: bool
    verdict: Verdict | None

    @property
    def counted(self) -> bool:
        return self.verdict == "valid"


async def counted(runtime: Runtime) -> dict[str, Seen]:
    """Every attempt that the snapshots know, by id. Raises StoreDown."""
    seen: dict[str, Seen] = {}
    async for _, _, state in _states(runtime.store):
        names = list(state.names)
        for participant, packed in state.people.items():
            for attempt in unpack(packed):
                seen[f"{participant}:{names[attempt.round]}:{attempt.n}"] = Seen(attempt.submitted, attempt.verdict)
    return seen


async def behind(runtime: Runtime) -> Mapping[tuple[str, int], int]:
    """How many offsets the snapshots lack, by (topic, partition); empty once they hold all that there is. Raises StoreDown."""
    with store_errors():
        held = {d["_id"]: d["offsets"] async for d in snapshots(runtime.store).find({}, {"offsets": 1})}
    return {
        (topic, partition): end - held.get(partition, {}).get(topic, 0)
        for topic in TOPICS
        for partition, end in (await runtime.bus.end_offsets(topic)).items()
        if held.get(partition, {}).get(topic, 0) < end
    }


async def trace(runtime: Runtime, attempt: str) -> list[dict[str, Any]]:
    """What reporting did with one attempt: `at` (None without a verdict), `what`, `where`, and details. Raises StoreDown."""
    participant, round, n = attempt.split(":")
    steps: list[dict[str, Any]] = []
    async for partition, offsets, state in _states(runtime.store):
        names = list(state.names)
        found = [a for a in unpack(state.people.get(participant, b"")) if names[a.round] == round and a.n == int(n)]
        steps += [
            {
                "at": time_of(a.at) if a.verdict else None,
                "what": "counted" if a.verdict == "valid" else "not counted",
                "where": f"snapshots/{partition}",
                "verdict": a.verdict,
                "revision": a.revision,
                "submitted": a.submitted,
                "unit": names[a.unit] or None,
                "offsets": offsets,
            }
            for a in found
        ]
    return steps


async def _states(database: Database) -> AsyncIterator[tuple[int, dict[str, int], State]]:
    with store_errors():
        async for document in snapshots(database).find({}):
            yield document["_id"], document["offsets"], _decoder.decode(document["body"])
