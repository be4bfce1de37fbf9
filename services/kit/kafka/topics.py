"""Makes the topics that are missing, as the table says, and refuses those that are otherwise."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from services.kit.bus import LARGEST, MIB, BusDown, TopicSpec
from services.kit.kafka.client import admin
from services.kit.kafka.settings import KafkaSettings

logger = logging.getLogger(__name__)

COMPACTED_WITHIN = timedelta(hours=24)
"""What a compacted topic no longer holds is gone after so long (design §3: personal data)."""


async def make_topics(specs: Iterable[TopicSpec], settings: KafkaSettings) -> None:
    """Raises BusDown, and ValueError where a topic has another number of partitions: keys would live elsewhere."""
    async with admin(settings) as client:
        there = await _partition_counts(client)
        for spec in specs:
            name = settings.prefix + spec.name
            if there.get(name, spec.partitions) != spec.partitions:
                raise ValueError(f"topic {name} has {there[name]} partitions at the brokers, and {spec.partitions} in the table")
        missing = [spec for spec in specs if settings.prefix + spec.name not in there]
        if missing:
            brokers = len((await client.describe_cluster())["brokers"])
            await _create(client, missing, settings, settings.replication or min(3, brokers))


async def _partition_counts(client: AIOKafkaAdminClient) -> dict[str, int]:
    # Of all topics: to ask for one by name may make it, where brokers make topics by themselves.
    return {topic["topic"]: len(topic["partitions"]) for topic in await client.describe_topics()}


async def _create(client: AIOKafkaAdminClient, specs: Iterable[TopicSpec], settings: KafkaSettings, copies: int) -> None:
    topics = [
        NewTopic(settings.prefix + spec.name, spec.partitions, copies, topic_configs=configuration(spec, copies))
        for spec in specs
    ]
    response = await client.create_topics(topics)
    for name, code, message in response.topic_errors:
        error = for_code(code)
        if error in (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
            # It may not even see this topic. Whoever may makes it, and who needs it and may not hears of it then.
            logger.info("topic %s is not ours to make", name)
        elif code and error is not TopicAlreadyExistsError:
            raise BusDown(f"Kafka: topic {name}: {error.__name__}: {message}")


def configuration(spec: TopicSpec, copies: int) -> dict[str, str]:
    """A topic's configuration at the brokers."""
    durable = {"min.insync.replicas": str(max(1, copies - 1))}
    if spec.largest > LARGEST:
        durable["max.message.bytes"] = str(spec.largest + MIB)  # with headers and what it is wrapped in
    if spec.kept is None:
        within = str(round(COMPACTED_WITHIN.total_seconds() * 1000))
        return {**durable, "cleanup.policy": "compact", "max.compaction.lag.ms": within, "delete.retention.ms": within}
    return {**durable, "cleanup.policy": "delete", "retention.ms": str(round(spec.kept.total_seconds() * 1000))}
