"""What the tests of a whole installation share."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests.site import Site


@pytest.fixture(params=["local", "kafka"])
def bus(request: pytest.FixtureRequest) -> dict[str, str]:
    """The settings of a site on each bus."""
    settings: dict[str, str] = {} if request.param == "local" else request.getfixturevalue("on_kafka")
    return settings


@pytest.fixture
def on_kafka(kafka: str) -> Iterator[dict[str, str]]:
    """The settings of a site on the session's broker."""
    yield from bus_of_its_own(kafka)


def bus_of_its_own(kafka: str) -> Iterator[dict[str, str]]:
    """The same, for a fixture of any scope: the topics are nobody else's, and go when it ends."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    yield {"HOITHI_BUS": f"kafka://{kafka}", "HOITHI_KAFKA_PREFIX": prefix}
    asyncio.run(_forget(kafka, prefix))


async def _forget(kafka: str, prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_topics([topic for topic in await admin.list_topics() if topic.startswith(prefix)])
    finally:
        await admin.close()


@pytest.fixture(scope="session")
def hoithi_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running installation with the example contest, whose first round is open. Tests share it: each brings people and
    questions of its own, and leaves the round open."""
    with Site(tmp_path_factory.mktemp("site")) as site:
        yield site
