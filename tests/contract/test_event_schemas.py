"""Schemas and examples say what the classes say, and within a major version nothing breaks a reader, old or new.

What keeps new code reading old events are the examples: one of each version, kept for ever. What keeps old code reading new
events is `required.json`: the fields that every object had to carry when its version was first released. A field that old
readers need may not become optional, and a new one may not be required, so the two sets stay equal. A new event is added to both
by hand, once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from services.events import TOPICS, decode, encode, registry
from services.events.base import PREFIX
from services.events.schemas import EXAMPLES, drift, example, main, schema, short
from services.kit.cloudevents import cloudevent

REQUIRED = json.loads((Path(__file__).parent / "required.json").read_text(encoding="utf-8"))
TYPES = sorted(registry)


def test_the_committed_schemas_are_the_generated_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert drift() == [], "run: python -m services.events.schemas"
    assert main(["--check"]) == 0
    assert "up to date" in capsys.readouterr().out


def test_every_event_has_its_example_and_every_example_its_event() -> None:
    assert sorted(PREFIX + path.stem for path in EXAMPLES.glob("*.json")) == TYPES


@pytest.mark.parametrize("type", TYPES)
def test_new_code_reads_the_example_and_writes_it_back(type: str) -> None:
    golden = example(type)
    event = decode(type, golden.body)
    assert _kept(golden.data, json.loads(encode(event))) == golden.data
    assert event.key == golden.key


@pytest.mark.parametrize("type", TYPES)
def test_the_attributes_of_the_example_are_those_that_the_event_is_published_with(type: str) -> None:
    golden = example(type)
    event = decode(type, golden.body)
    headers = cloudevent(type, event.id, f"/hoithi/{TOPICS[event.topic].owner}", event.time)
    named = {"datacontenttype" if name == "content-type" else name.removeprefix("ce_"): v for name, v in headers.items()}
    assert golden.attributes == named


@pytest.mark.parametrize("type", TYPES)
def test_the_example_fits_the_schema(type: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(registry[type]))
    jsonschema.validate(example(type).data, schema(registry[type]), jsonschema.Draft202012Validator)


@pytest.mark.parametrize("type", TYPES)
def test_what_is_required_does_not_change_within_a_version(type: str) -> None:
    described = schema(registry[type])
    required = {name: held["required"] for name, held in described.get("$defs", {}).items()}
    required["event"] = described["required"]
    assert {name: sorted(fields) for name, fields in required.items()} == REQUIRED[short(type)]


@pytest.mark.parametrize("type", TYPES)
def test_readers_let_unknown_fields_pass(type: str) -> None:
    golden = example(type)
    later = msgspec.json.encode(golden.data | {"a_field_of_tomorrow": 1})
    assert decode(type, later) == decode(type, golden.body)


def test_a_time_without_an_offset_is_refused() -> None:
    golden = example("vn.hoithi.attempt.scored.v1")
    body = msgspec.json.encode(golden.data | {"started_at": "2023-05-19T13:05:12"})
    with pytest.raises(msgspec.ValidationError, match="timezone"):
        decode("vn.hoithi.attempt.scored.v1", body)


def _kept(old: Any, new: Any) -> Any:
    """Of what new code writes, as much as the old example holds: optional fields that came later stand beside it."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {name: _kept(value, new[name]) for name, value in old.items() if name in new}
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [_kept(*pair) for pair in zip(old, new, strict=True)]
    return new
