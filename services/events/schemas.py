"""JSON Schemas and golden examples: what the events look like to those who don't read Python.

The schemas are generated from the classes and committed, one self-contained file per event version; a test fails where they
drift.

    python -m services.events.schemas            writes services/events/schemas/
    python -m services.events.schemas --check    names what differs, exit 1

The examples are written by hand, one per event version, and stay for ever: they are the old events that new code must read.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from services.events.base import PREFIX, Event, registry

HERE = Path(__file__).parent
SCHEMAS, EXAMPLES = HERE / "schemas", HERE / "examples"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Example(msgspec.Struct, frozen=True):
    """A golden example: the CloudEvents attributes, the key, and the event itself."""

    attributes: dict[str, str]
    key: str
    data: dict[str, Any]

    @property
    def body(self) -> bytes:
        """The data as they travel."""
        return msgspec.json.encode(self.data)


def short(type: str) -> str:
    """The name of an event in file names and titles, e.g. `attempt.scored.v1`."""
    return type.removeprefix(PREFIX)


def components(events: Iterable[type[Event]], ref: str) -> dict[str, dict[str, Any]]:
    """The schemas of these events and of what they hold, by class name. `ref` is where they will stand, e.g. `#/$defs/{name}`."""
    _, schemas = msgspec.json.schema_components(list(events), ref_template=ref)
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
    # As JSON has it: the default of a tuple is a list.
    plain: dict[str, dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(schemas))
    return plain


def schema(event: type[Event]) -> dict[str, Any]:
    """The schema of one event, with all that it holds under `$defs`."""
    held = components([event], "#/$defs/{name}")
    document = {"$schema": DIALECT, **held.pop(event.__name__), "title": short(event.type)}
    return document | ({"$defs": held} if held else {})


def generated() -> dict[Path, str]:
    """Every schema file as it should be."""
    return {
        SCHEMAS / f"{short(type)}.json": json.dumps(schema(event), ensure_ascii=False, indent=2) + "\n"
        for type, event in sorted(registry.items())
    }


def drift() -> list[str]:
    """The schema files that are missing, out of date, or of no event."""
    files = generated()
    stale = [path.name for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    return stale + [path.name for path in sorted(SCHEMAS.glob("*.json")) if path not in files]


def example(type: str) -> Example:
    """The golden example of an event."""
    return msgspec.json.decode((EXAMPLES / f"{short(type)}.json").read_bytes(), type=Example)


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    if arguments == ["--check"]:
        stale = drift()
        print("\n".join(stale) or "The schemas are up to date.")
        return 1 if stale else 0
    SCHEMAS.mkdir(exist_ok=True)
    files = generated()
    for path in SCHEMAS.glob("*.json"):
        if path not in files:
            path.unlink()
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
