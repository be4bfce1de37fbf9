"""What the tests of a whole installation share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.kafka_brokers import cluster_in
from tests.site import Site


@pytest.fixture(scope="module", params=["local", "kafka"])
def bus(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings of a site on each bus: the local log, and a broker of the module's own."""
    if request.param == "local":
        yield {}
    else:
        request.getfixturevalue("kafka_jars")
        for cluster in cluster_in(tmp_path_factory.mktemp("brokers"), 1):
            yield {"HOITHI_BUS": f"kafka://{cluster.bootstrap}", "HOITHI_KAFKA_PREFIX": ""}


@pytest.fixture
def bus_of_its_own(bus: dict[str, str]) -> dict[str, str]:
    """The same for one test: its topics are nobody else's."""
    return bus | {"HOITHI_KAFKA_PREFIX": f"t{uuid.uuid4().hex[:8]}."} if bus else bus


@pytest.fixture
def broker(kafka_jars: None, tmp_path: Path) -> Iterator[str]:
    """A broker of the test's own."""
    for cluster in cluster_in(tmp_path / "brokers", 1):
        yield f"kafka://{cluster.bootstrap}"


@pytest.fixture(scope="module")
def hoithi_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running installation with the example contest, whose first round is open."""
    with Site(tmp_path_factory.mktemp("site")) as site:
        yield site
