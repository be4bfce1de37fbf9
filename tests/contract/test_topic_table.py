"""The rules of the topic table (design §3): a row that breaks one fails here, not in a cluster."""

from __future__ import annotations

import re

import pytest

from services.events import TOPICS, Topic, registry
from services.events.asyncapi import SERVICES, events_of
from services.events.base import PREFIX
from services.events.schemas import example
from services.kit.bus import dead_letter_topic

ROWS = list(TOPICS.values())
topics = pytest.mark.parametrize("topic", ROWS, ids=lambda topic: topic.name)


@topics
def test_names_and_numbers(topic: Topic) -> None:
    assert re.fullmatch(r"[a-z]+", topic.name)
    assert topic.dlq == dead_letter_topic(topic.name) == f"{topic.name}.dlq"
    assert topic.partitions >= 1
    assert topic.kept is None or topic.kept.days >= 30


@topics
def test_the_owner_is_a_service_and_so_are_the_readers_unless_they_are_outside(topic: Topic) -> None:
    assert topic.owner in SERVICES
    assert set(topic.readers) <= {*SERVICES, "outside"}
    assert len(set(topic.readers)) == len(topic.readers)


@topics
def test_the_events_of_a_row_exist_and_name_the_topic_as_theirs(topic: Topic) -> None:
    found = events_of(topic)
    assert {event.topic for event in found} == {topic.name}
    assert {_base(event.type) for event in found} == set(topic.events)


def test_every_event_stands_in_exactly_one_row() -> None:
    listed = [name for topic in ROWS for name in topic.events]
    assert sorted(listed) == sorted({_base(type) for type in registry})


@pytest.mark.parametrize("type", sorted(registry))
def test_a_type_is_a_past_tense_fact_with_a_major_version(type: str) -> None:
    assert re.fullmatch(r"vn\.hoithi\.[a-z]+\.([a-z]+ed|lagging|ready)\.v[1-9][0-9]*", type)


@topics
def test_the_key_of_each_example_is_what_the_row_declares(topic: Topic) -> None:
    for event in events_of(topic):
        golden = example(event.type)
        assert golden.key in {_declared(form, golden.data) for form in topic.key.split("; ")}


def test_only_participants_is_personal_and_nobody_outside_reads_what_gives_something_away() -> None:
    assert [topic.name for topic in ROWS if topic.personal] == ["participants"]
    outside = {topic.name for topic in ROWS if "outside" in topic.readers}
    assert outside == {"contests", "headcounts", "attempts", "results", "notices"}
    assert TOPICS["keys"].readers == TOPICS["submissions"].readers == ("scoring",)


def test_what_one_commit_holds_together_lies_in_one_log() -> None:
    assert TOPICS["submissions"].log == TOPICS["attempts"].log
    owners: dict[str, set[str]] = {}
    for topic in ROWS:
        owners.setdefault(topic.log, set()).add(topic.owner)
    assert all(len(writers) == 1 for writers in owners.values()), "one writer per file (of the local log)"


def _base(type: str) -> str:
    return type.removeprefix(PREFIX).rpartition(".v")[0]


def _declared(form: str, data: dict[str, object]) -> str:
    """The key as the row writes it, e.g. `round/version`; a round that is carried in full stands for its id."""
    parts = (data.get(name) for name in form.split("/"))
    return "/".join(str(part["id"] if isinstance(part, dict) else part) for part in parts)
