"""The brokers that `make kafka` starts: they come back after a kill with what they held, and `stop` ends no others."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError

from deploy.kafka.cluster import Cluster, free_ports
from deploy.kafka.security import Acl, acls, add_commands
from services.events import TOPICS
from tests.integration.kafka_brokers import Secured

OPEN = {"contests", "headcounts", "attempts", "results", "notices"}
"""What consumers that are not ours may read."""


def test_rights_follow_from_the_topic_table() -> None:
    rights = acls(TOPICS.values())
    readable = {right.name for right in rights if right.user == "outside" and right.kind == "topic"}
    assert readable == OPEN
    assert not any(right.operation == "Write" for right in rights if right.user == "outside")
    assert {right.user for right in rights if right.operation == "Read" and right.name == "keys"} == {"scoring"}
    assert Acl("quiz", "Write", "topic", "submissions") in rights
    assert Acl("scoring", "Write", "topic", "submissions") not in rights
    assert Acl("scoring", "Write", "topic", "submissions.dlq") in rights
    granted = [word for words in add_commands(rights) for word in words]
    assert granted.count("submissions") == len({r.user for r in rights if r.name == "submissions"})


async def test_a_killed_broker_comes_back_with_what_it_held(kafka_jars: None, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, free_ports(1))
    await asyncio.to_thread(cluster.start)
    try:
        admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic("t", 1, 1)])
        await admin.close()
        async with AIOKafkaProducer(bootstrap_servers=cluster.bootstrap, acks="all") as producer:
            await producer.send_and_wait("t", b"kept")
        cluster.kill(0)
        assert cluster.nodes[0].pid is None
        again = Cluster.found(tmp_path)
        assert again.bootstrap == cluster.bootstrap
        await asyncio.to_thread(again.start)
        async with AIOKafkaConsumer("t", bootstrap_servers=cluster.bootstrap, auto_offset_reset="earliest") as consumer:
            assert (await consumer.getone()).value == b"kept"
    finally:
        cluster.stop()
    assert cluster.nodes[0].pid is None


def test_stop_ends_nothing_that_is_not_ours(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        node = tmp_path / "node-0"
        node.mkdir()
        (node / "server.properties").write_text("listeners=CLIENT://127.0.0.1:1,CONTROLLER://127.0.0.1:2\n")
        (node / "pid").write_text(str(other.pid))  # The pid of a broker that died, given to somebody else.
        Cluster.found(tmp_path).stop()
        assert other.poll() is None
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()


async def test_outsiders_read_attempts_and_results_and_nothing_else(kafka_secure: Secured) -> None:
    bootstrap, security = kafka_secure.cluster.bootstrap, kafka_secure.security
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **security.client("admin"))
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1) for topic in TOPICS])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, **security.client("admin")) as producer:
        for topic in TOPICS:
            await producer.send_and_wait(topic, b"fact", key=b"key")

    async def reads(user: str, topic: str, group: str) -> bool:
        """Whether the fact is found; another test may have written to the topic, too."""
        options = security.client(user)
        async with (
            asyncio.timeout(30),
            AIOKafkaConsumer(
                topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", **options
            ) as consumer,
        ):
            while (await consumer.getone()).value != b"fact":
                pass
        return True

    for topic in TOPICS:
        if topic in OPEN:
            assert await reads("outside", topic, "outside.portal")
        else:
            with pytest.raises(TopicAuthorizationFailedError):
                await reads("outside", topic, "outside.portal")
    with pytest.raises(GroupAuthorizationFailedError):
        await reads("outside", "attempts", "scoring")
    assert await reads("scoring", "keys", "scoring")
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, **security.client("outside")) as producer:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait("attempts", b"forged")
