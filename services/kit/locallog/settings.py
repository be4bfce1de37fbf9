"""The local log's settings: what a test makes small and an operator makes large."""

from __future__ import annotations

from dataclasses import dataclass

from services.kit.delivery import DeliverySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLogSettings(DeliverySettings):
    """Times are seconds, sizes bytes."""

    segment_bytes: int = 256 * 1024 * 1024
    """A segment larger than this is sealed and the next one begun."""
    linger: float = 0.002
    """How long the first item of a group commit waits for company."""
    group: int = 500
    """A group commit of so many records starts at once."""
    queue: int = 20_000
    """So many records may wait for a commit; past it `publish` raises BusDown."""
    batch_bytes: int = 2 * 1024 * 1024
    heartbeat: float = 1.0
    session: float = 5.0
    """A member without a heartbeat for so long has died."""
