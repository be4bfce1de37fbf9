"""The local log's settings: what a test makes small and an operator makes large."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLogSettings:
    """Times are seconds, sizes bytes."""

    segment_bytes: int = 256 * 1024 * 1024
    """A segment larger than this is sealed and the next one begun."""
    linger: float = 0.002
    """How long the first item of a group commit waits for company."""
    group: int = 500
    """A group commit of so many records starts at once."""
    queue: int = 20_000
    """So many records may wait for a commit; past it `publish` raises BusDown."""
    batch_records: int = 1000
    batch_bytes: int = 2 * 1024 * 1024
    idle: float = 0.02
    """How often a reader that has read everything looks again."""
    heartbeat: float = 1.0
    session: float = 5.0
    """A member without a heartbeat for so long has died."""
    backoff: float = 0.1
    backoff_cap: float = 10.0
    poison_tries: int = 3
    """How often a record may raise before it is a dead letter."""
    poison_window: int = 200
    poison_least: int = 20
    poison_ratio: float = 0.5
    """More dead letters than this share of the last `poison_window` records, and at least `poison_least`: the member pauses."""
