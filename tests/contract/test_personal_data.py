"""No event outside `participants` holds personal data: neither a field that asks for it nor a value that looks like it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from services.events import TOPICS, registry
from services.events.schemas import EXAMPLES, example, schema

DENIED = re.compile(
    r"(full|first|last|user)?names?|phones?|mobile|tel|e?mails?|recipients?|address(es)?|birth(day|date)?|born|age|gender|sex"
    r"|citizen|passport|cccd|cmnd|zalo|facebook|contacts?|ip|agent"
)
NAMES_OF_THINGS = {(shape, "name") for shape in ("Category", "Unit", "RoundPlan", "Tree", "DigestUnit", "PrizePlan")}
MASKED = {("StandingRow", "name"), ("PersonAwarded", "name")}
"""The names of people that leave the house, masked first: people find themselves in the standings."""

PHONE = re.compile(r"(?<![\w.:-])(?:\+84|0)[\s.-]?\d(?:[\s.-]?\d){7,9}(?!\w)")
EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")

IMPERSONAL = sorted(type for type, event in registry.items() if not TOPICS[event.topic].personal)


@pytest.mark.parametrize("type", IMPERSONAL)
def test_no_field_asks_for_personal_data(type: str) -> None:
    described = schema(registry[type])
    shapes = {"event": described, **described.get("$defs", {})}
    fields = {(shape, field) for shape, held in shapes.items() for field in held["properties"]}
    asking = {(shape, field) for shape, field in fields if any(DENIED.fullmatch(word) for word in _words(field))}
    assert asking <= NAMES_OF_THINGS | MASKED


@pytest.mark.parametrize("type", IMPERSONAL)
def test_no_value_of_the_example_looks_like_a_phone_number_or_an_address(type: str) -> None:
    golden = example(type)
    for value in [golden.key, *golden.attributes.values(), *_strings(golden.data)]:
        assert not PHONE.search(value), value
        assert not EMAIL.search(value), value


def test_the_patterns_see_what_they_should() -> None:
    asked = schema(registry["vn.hoithi.participant.registered.v1"])["properties"]
    assert {field for field in asked if any(DENIED.fullmatch(word) for word in _words(field))} == {"name", "phone", "email"}
    person = example("vn.hoithi.participant.registered.v1").data
    assert PHONE.search(person["phone"])
    assert PHONE.search("gọi 0912 345 678 nhé")
    assert EMAIL.search(person["email"])


@pytest.mark.parametrize(("type", "field"), [("results.published.v1", "rows"), ("prizes.awarded.v1", "persons")])
def test_names_in_standings_are_masked_in_the_example(type: str, field: str) -> None:
    rows = example(f"vn.hoithi.{type}").data[field]
    assert rows
    assert all("*" in row["name"] for row in rows)


def test_an_erased_person_leaves_nothing_but_the_id() -> None:
    erased = example("vn.hoithi.participant.erased.v1").data
    assert set(erased) == {"time", "participant", "contest", "revision"}


def test_the_people_of_the_examples_are_in_no_other_example() -> None:
    person = example("vn.hoithi.participant.registered.v1").data
    for path in EXAMPLES.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        if not path.name.startswith("participant."):
            assert not [value for value in (person["name"], person["phone"], person["email"]) if value in text], path.name


def _words(field: str) -> list[str]:
    return [field, *field.split("_")]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, held in value.items():
            yield key
            yield from _strings(held)
    elif isinstance(value, list):
        for held in value:
            yield from _strings(held)
