"""The AsyncAPI document is valid, tells of every event, and agrees with what the workers declare; its page needs no script."""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import Any

import httpx
import jsonschema
import pytest
import yaml
from fastapi import FastAPI
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from services.events import TOPICS, registry
from services.events.asyncapi import SERVICES, document
from services.events.schemas import short
from services.kit.bus import Subscription
from services.quiz.developers import router

DECLARED: dict[str, tuple[Subscription, ...]] = {
    name: import_module(f"services.{name}.worker").SUBSCRIPTIONS for name in SERVICES
}


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document(DECLARED, "0.1.0")


@pytest.fixture
def client(described: dict[str, Any]) -> httpx.AsyncClient:
    app = FastAPI()
    app.include_router(router(described))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hoithi.test")


def test_it_is_valid_asyncapi(described: dict[str, Any]) -> None:
    understood = ApplicationSchema.model_validate(described)
    assert understood.channels.keys() == TOPICS.keys()


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(described)):
        place: Any = described
        for step in reference.split("/"):
            place = place[step]


def test_every_event_is_a_message_whose_example_fits_its_payload(described: dict[str, Any]) -> None:
    messages = described["components"]["messages"]
    assert sorted(messages) == sorted(map(short, registry))
    for message in messages.values():
        for part in ("headers", "payload"):
            jsonschema.validate(message["examples"][0][part], {**message[part], "components": described["components"]})


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_only_what_the_table_allows(service: str) -> None:
    read = [topic for subscription in DECLARED[service] for topic in subscription.topics]
    assert len(read) == len(set(read))
    assert set(read) <= {topic.name for topic in TOPICS.values() if service in topic.readers}


@pytest.mark.parametrize("topic", ["keys", "participants", "submissions", "scores"])
def test_what_is_secret_may_be_read_by_those_who_need_it_alone(topic: str) -> None:
    needed = {name for name, subscriptions in DECLARED.items() for each in subscriptions if topic in each.topics}
    assert set(TOPICS[topic].readers) == needed


def test_a_group_is_one_service_and_named_after_it() -> None:
    for service, subscriptions in DECLARED.items():
        for subscription in subscriptions:
            assert not subscription.group or subscription.group.split("-")[0] == service


async def test_the_page_shows_every_topic_event_and_field_without_a_script(
    client: httpx.AsyncClient, described: dict[str, Any]
) -> None:
    page = (await client.get("/developers/events")).text
    assert all(f'id="topic-{name}"' in page for name in TOPICS)
    assert all(f'id="{short(type)}"' in page for type in registry)
    fields = {name for shape in described["components"]["schemas"].values() for name in shape["properties"]}
    assert all(f"<code>{name}</code>" in page for name in fields)
    assert "Nguyễn Thị Thu Hằng" in page
    content = page[page.index("<article") : page.index("</article>")]
    assert not re.search(r'<script|<iframe|<img|\bon[a-z]+="|(src|href)="(?:https?:)?//', content)
    targets = set(re.findall(r'href="#([^"]+)"', content))
    assert targets <= set(re.findall(r'\bid="([^"]+)"', content))


async def test_the_personal_topic_is_marked(client: httpx.AsyncClient) -> None:
    page = (await client.get("/developers/events")).text
    headings = re.findall(r'<h2 id="topic-(\w+)">.*?</h2>', page)
    marked = re.findall(r'<h2 id="topic-(\w+)">[^\n]*personal data[^\n]*</h2>', page)
    assert sorted(headings) == sorted(TOPICS)
    assert marked == ["participants"]


async def test_json_and_yaml_are_the_document(client: httpx.AsyncClient, described: dict[str, Any]) -> None:
    assert (await client.get("/asyncapi.json")).json() == described
    text = (await client.get("/asyncapi.yaml")).text
    assert yaml.safe_load(text) == described
    assert "&id" not in text
