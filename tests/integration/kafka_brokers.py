"""Real brokers for the tests: one or three of a session's own, on free ports, and one with TLS, names and rights."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.kafka.cluster import Cluster, KafkaMissing, fetch, free_ports, java
from deploy.kafka.security import Security, acls, add_commands
from services.events import TOPICS


@pytest.fixture(scope="session")
def kafka_jars() -> None:
    """Skips where Apache Kafka cannot be had."""
    try:
        fetch()
    except KafkaMissing as missing:
        pytest.skip(f"{missing}")


def cluster_in(folder: Path, nodes: int, security: Security | None = None) -> Iterator[Cluster]:
    """A cluster that ends with its test, and its data with it: it need not shut down in order."""
    cluster = Cluster(folder, free_ports(nodes), security)
    try:
        cluster.start()
        yield cluster
    finally:
        for node in cluster.nodes:
            cluster.kill(node.number)


@pytest.fixture(scope="session")
def kafka(kafka_jars: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where one broker is."""
    for cluster in cluster_in(tmp_path_factory.mktemp("kafka"), 1):
        yield cluster.bootstrap


@pytest.fixture
def kafka3(kafka_jars: None, tmp_path: Path) -> Iterator[Cluster]:
    """Three brokers to kill."""
    yield from cluster_in(tmp_path / "kafka", 3)


SECURED_USERS = ("quiz", "scoring", "outside")
"""Those whose rights the tests try."""


@dataclass
class Secured:
    """A broker that asks who one is."""

    cluster: Cluster
    security: Security
    admin: Path
    """What Kafka's own programs are given to be admin."""

    def add(self, words: Sequence[str]) -> None:
        """Adds rights."""
        where = ("--bootstrap-server", self.cluster.bootstrap, "--command-config", str(self.admin))
        subprocess.run(java("org.apache.kafka.tools.AclCommand", *where, *words), capture_output=True, check=True)


@pytest.fixture(scope="session")
def kafka_secure(kafka_jars: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker with TLS and SASL, and the rights that follow from the topic table."""
    folder = tmp_path_factory.mktemp("kafka-secure")
    security = Security(folder / "security")
    for cluster in cluster_in(folder / "brokers", 1, security):
        secured = Secured(cluster, security, security.tool("admin"))
        rights = [right for right in acls(TOPICS.values()) if right.user in SECURED_USERS]
        with ThreadPoolExecutor(2) as two:  # Each command is a Java of its own, and takes seconds.
            list(two.map(secured.add, add_commands(rights)))
        yield secured
