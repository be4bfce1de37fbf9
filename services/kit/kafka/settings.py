"""The Kafka bus's settings: where the brokers are, how to prove who we are, and how long to wait for what."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from services.kit.delivery import DeliverySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings(DeliverySettings):
    """Times are seconds, sizes bytes."""

    bootstrap: str
    """`host:port`, several by comma."""
    prefix: str = ""
    """Stands before the name of every topic and group: several installations may share brokers."""
    tls: bool = False
    ca: Path | None = None
    """PEM file of the authority that signed the brokers' certificates; without it, the system's authorities."""
    user: str | None = None
    """With a user the connection says who it is (SASL)."""
    password: str = field(default="", repr=False)
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"

    replication: int | None = None
    """Copies of each partition of the topics that are made; by default three, or as many as there are brokers."""

    publish: float = 30.0
    """How long one bulk waits for the brokers' acknowledgement; past it `publish` raises BusDown."""
    queue: int = 10_000
    """So many publications may wait for one partition; past it `publish` raises BusDown."""
    send_bytes: int = 512 * 1024
    """The largest batch that is sent (brokers take 1 MiB by default)."""
    fetch_bytes: int = 8 * 1024 * 1024
    """A member's prefetch from one broker, at most; of one partition at most a sixteenth of it."""

    heartbeat: float = 2.0
    session: float = 10.0
    """A member without a heartbeat for so long has died (brokers allow no less than 6 by default)."""
    rebalance: float = 60.0
    """How long the others wait for a member to finish the batch at hand."""
    commit: float = 30.0
    """A commit that takes longer has failed: the member leaves and joins anew."""
    grace: float = 20.0
    """How long leaving waits for the batch at hand."""
    patience: float = 15.0
    """How long connecting, or a look at the brokers, may take; past it BusDown."""
    lag_every: float = 5.0
    """How often a member measures its lag."""
