"""What other developers read: the catalogue of events as a page that needs no script, and as AsyncAPI in JSON and YAML.

The page is made of the AsyncAPI document alone, so that the two cannot disagree. It speaks English, like the document.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from services.kit.web import render

SCHEMAS = "#/components/schemas/"


@dataclass(frozen=True)
class Field:
    """A row of a table of fields. `link` names the table of what it holds, if that has one."""

    name: str
    type: str
    link: str
    required: bool
    default: str


@dataclass(frozen=True)
class Shape:
    """An object on the wire: an event, or what an event holds."""

    name: str
    description: str
    fields: list[Field]


@dataclass(frozen=True)
class Message:
    """An event as the page shows it. `example` is its body, `headers` its attributes."""

    name: str
    type: str
    shape: Shape
    headers: dict[str, str]
    example: str


@dataclass(frozen=True)
class Channel:
    """A topic as the page shows it."""

    name: str
    key: str
    partitions: int
    kept: str
    owner: str
    readers: list[str]
    groups: list[str]
    personal: bool
    dlq: str
    dlq_kept: str
    messages: list[Message]


def router(document: dict[str, Any]) -> APIRouter:
    """The pages of an AsyncAPI document."""
    routes = APIRouter()
    channels = [_channel(document, name) for name in document["channels"]]
    held = _held(document)
    # PyYAML would write what the document holds twice as an alias; read back from JSON, nothing is the same object.
    as_yaml = yaml.safe_dump(json.loads(json.dumps(document)), allow_unicode=True, sort_keys=False, width=120)

    @routes.get("/developers/events", include_in_schema=False)
    async def events(request: Request) -> Response:
        return render(request, "events.html", info=document["info"], channels=channels, held=held)

    @routes.get("/asyncapi.json", tags=["developers"], summary="The events, as AsyncAPI 3.0")
    async def asyncapi_json() -> JSONResponse:
        return JSONResponse(document)

    @routes.get("/asyncapi.yaml", tags=["developers"], summary="The events, as AsyncAPI 3.0", response_class=Response)
    async def asyncapi_yaml() -> Response:
        return Response(as_yaml, media_type="application/yaml")

    return routes


def _channel(document: dict[str, Any], name: str) -> Channel:
    channel = document["channels"][name]
    kafka = channel["bindings"]["kafka"]
    return Channel(
        name=name,
        key=channel["x-key"],
        partitions=kafka["partitions"],
        kept=_kept(kafka["topicConfiguration"]),
        owner=channel["x-owner"],
        readers=channel["x-readers"],
        groups=_groups(document, name),
        personal=channel["x-personal"],
        dlq=channel["x-dlq"]["address"],
        dlq_kept=_kept(channel["x-dlq"]),
        messages=[_message(document, message) for message in channel["messages"]],
    )


def _kept(configuration: dict[str, Any]) -> str:
    if "compact" in configuration["cleanup.policy"]:
        return "the last record of each key, for ever"
    return f"{configuration['retention.ms'] // 86_400_000} days"


def _groups(document: dict[str, Any], topic: str) -> list[str]:
    """Who declares that it reads a topic, and how."""
    return [
        f"{operation['tags'][0]['name']}: {operation['summary']}"
        for operation in document["operations"].values()
        if operation["action"] == "receive" and operation["channel"]["$ref"] == f"#/channels/{topic}"
    ]


def _message(document: dict[str, Any], name: str) -> Message:
    message = document["components"]["messages"][name]
    golden = message["examples"][0]
    return Message(
        name=name,
        type=message["name"],
        shape=_shape(document, message["payload"]["$ref"].removeprefix(SCHEMAS)),
        headers=golden["headers"],
        example=json.dumps(golden["payload"], ensure_ascii=False, indent=2),
    )


def _held(document: dict[str, Any]) -> list[Shape]:
    """What events hold, and is none itself."""
    events = {message["payload"]["$ref"] for message in document["components"]["messages"].values()}
    return [_shape(document, name) for name in document["components"]["schemas"] if SCHEMAS + name not in events]


def _shape(document: dict[str, Any], name: str) -> Shape:
    schema = document["components"]["schemas"][name]
    fields = [_field(field, of, field in schema["required"]) for field, of in schema["properties"].items()]
    return Shape(name, schema["description"], fields)


def _field(name: str, schema: dict[str, Any], required: bool) -> Field:
    of = schema.get("items", schema)
    default = json.dumps(schema["default"], ensure_ascii=False) if "default" in schema else ""
    return Field(name, type_name(schema), of.get("$ref", "").removeprefix(SCHEMAS), required, default)


def type_name(schema: dict[str, Any]) -> str:
    """A schema in words, e.g. `array of StandingRow`, `integer or null`."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(SCHEMAS)
    if "anyOf" in schema:
        return " or ".join(map(type_name, schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    if schema["type"] == "array":
        return f"array of {type_name(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of string to {type_name(schema['additionalProperties'])}"
    return str(schema.get("format", schema["type"]))
