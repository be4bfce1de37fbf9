"""The AsyncAPI 3.0 document: generated from the topic table, the event classes, their golden examples, and what the workers
themselves declare that they read, so that it cannot tell of a reader that is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from services.events.base import PREFIX, Event, registry
from services.events.schemas import components, example, short
from services.events.topics import TOPICS, Topic

BINDING = "0.5.0"
"""The version of the Kafka binding that the document speaks."""

SERVICES = {
    "quiz": "Contests, papers, participants, attempts and the journal of submissions.",
    "scoring": "Verdicts, scores and standings.",
    "reporting": "Turnout and statistics.",
    "notify": "Messages to people.",
}

_DESCRIPTION = """\
Every event of Hội Thi: CloudEvents 1.0 in Kafka's binary mode, a JSON body, times in RFC 3339.

Delivery is at least once, in order per key; `ce_id` is the same for the same fact however often it comes. Within a major version
only optional fields are added, so readers must let unknown fields pass. What cannot be read goes to the dead letters of its
topic (`x-dlq`), bytes unchanged."""


class Subscribed(Protocol):
    """What a worker declares that it reads. `group` is empty where the topics are read whole and followed, without a group."""

    @property
    def group(self) -> str: ...
    @property
    def topics(self) -> tuple[str, ...]: ...


def document(subscriptions: Mapping[str, Sequence[Subscribed]], version: str) -> dict[str, Any]:
    """The document, as JSON. `subscriptions` holds what the worker of each service declares."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Hội Thi: events",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [{"name": name, "description": what} for name, what in SERVICES.items()],
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS.values()},
        "operations": {**_sending(), **_receiving(subscriptions)},
        "components": {
            "messages": {short(event.type): _message(event) for topic in TOPICS.values() for event in events_of(topic)},
            "schemas": components(registry.values(), "#/components/schemas/{name}"),
        },
    }


def events_of(topic: Topic) -> list[type[Event]]:
    """The events of a topic in the order of its row, each in all its versions."""
    types = sorted(registry)
    return [registry[type] for name in topic.events for type in types if type.rpartition(".v")[0] == PREFIX + name]


def _channel(topic: Topic) -> dict[str, Any]:
    kept = {"cleanup.policy": ["compact"]} if topic.kept is None else _deleted_after(topic.kept.total_seconds())
    return {
        "address": topic.name,
        "description": f"Key: {topic.key}." + (" Holds personal data." if topic.personal else ""),
        "messages": {short(e.type): {"$ref": f"#/components/messages/{short(e.type)}"} for e in events_of(topic)},
        "bindings": {"kafka": {"partitions": topic.partitions, "topicConfiguration": kept, "bindingVersion": BINDING}},
        "x-key": topic.key,
        "x-owner": topic.owner,
        "x-readers": list(topic.readers),
        "x-personal": topic.personal,
        "x-dlq": {"address": topic.dlq, **_deleted_after(topic.dlq_kept.total_seconds())},
    }


def _deleted_after(seconds: float) -> dict[str, Any]:
    return {"cleanup.policy": ["delete"], "retention.ms": int(seconds * 1000)}


def _message(event: type[Event]) -> dict[str, Any]:
    golden = example(event.type)
    headers = {("content-type" if name == "datacontenttype" else f"ce_{name}"): v for name, v in golden.attributes.items()}
    return {
        "name": event.type,
        "title": short(event.type),
        "summary": (event.__doc__ or "").partition("\n")[0],
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "description": "CloudEvents attributes, as its Kafka binding names them.",
            "required": sorted(headers),
            "properties": {name: _header(name, event) for name in headers},
        },
        "payload": {"$ref": f"#/components/schemas/{event.__name__}"},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": TOPICS[event.topic].key}, "bindingVersion": BINDING},
        },
        "examples": [{"name": "golden", "headers": headers, "payload": golden.data}],
    }


def _header(name: str, event: type[Event]) -> dict[str, Any]:
    known = {
        "ce_specversion": {"const": "1.0"},
        "ce_type": {"const": event.type},
        "ce_time": {"format": "date-time"},
        "content-type": {"const": "application/json"},
    }
    return {"type": "string", **known.get(name, {})}


def _sending() -> dict[str, Any]:
    return {
        f"{topic.owner}.sends.{topic.name}": {
            "action": "send",
            "title": f"{topic.owner} writes {topic.name}",
            "channel": {"$ref": f"#/channels/{topic.name}"},
            "tags": [{"name": topic.owner}],
        }
        for topic in TOPICS.values()
    }


def _receiving(subscriptions: Mapping[str, Sequence[Subscribed]]) -> dict[str, Any]:
    operations = {}
    for service, declared in subscriptions.items():
        for subscription in declared:
            for topic in subscription.topics:
                how = f"in the group {subscription.group}" if subscription.group else "whole, without a group"
                operation: dict[str, Any] = {
                    "action": "receive",
                    "title": f"{service} reads {topic}",
                    "summary": f"Reads {how}.",
                    "channel": {"$ref": f"#/channels/{topic}"},
                    "tags": [{"name": service}],
                }
                if subscription.group:
                    group = {"type": "string", "const": subscription.group}
                    operation["bindings"] = {"kafka": {"groupId": group, "bindingVersion": BINDING}}
                operations[f"{subscription.group or service}.receives.{topic}"] = operation
    return operations
