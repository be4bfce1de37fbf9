"""`hoithi lag`: how far each consumer group is behind each topic that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploy.local.wiring import House, subscriptions


@dataclass(frozen=True)
class Lag:
    """`behind` is offsets, summed over partitions; `partitions` counts those that are behind at all."""

    group: str
    topic: str
    behind: int
    partitions: int


async def lags(house: House) -> Sequence[Lag]:
    """A line for each group and topic. Raises BusDown."""
    found = []
    for subscription in subscriptions():
        for topic in subscription.topics:
            ends = await house.bus.end_offsets(topic)
            committed = await house.bus.committed(subscription.group, topic)
            behind = [max(0, end - committed.get(partition, 0)) for partition, end in ends.items()]
            found.append(Lag(subscription.group, topic, sum(behind), sum(1 for each in behind if each)))
    return found
