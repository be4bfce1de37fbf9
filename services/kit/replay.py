"""Rebuilds a service's derived state from its topics, beside the one that is being read, and then puts it in its place.

The worker that does it is one of the service's own: what it inserts are facts that stand already, and what it would publish has
been published, so nothing of that goes out a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.kit.bus import Bus, Consumer
from services.kit.derived import Derived


async def rebuild(bus: Bus, consumer: Consumer, derived: Derived[Any], topics: Sequence[str], anew: bool) -> int:
    """Takes in all that the topics hold, from the beginning (`anew`) or from the stored snapshots on. Returns how many records.

    Raises BusDown or StoreDown: then what was stored still stands.
    """
    partitions = range(len(await bus.end_offsets(topics[0])))
    if anew:
        derived.begin(partitions)
    else:
        await derived.load(partitions)
    count = 0
    for topic in topics:
        async for batch in bus.batches(topic):
            await consumer.handle(batch)
            count += len(batch)
    await derived.put_in_place()
    return count
