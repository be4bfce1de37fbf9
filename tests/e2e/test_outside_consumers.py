"""Consumers that are not ours read what they may, with nothing of ours in their hands but the committed schemas."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path

import jsonschema
import pytest
from aiokafka import AIOKafkaConsumer

from deploy.local.wiring import House
from services.events.schemas import SCHEMAS, short
from tests.players import Players
from tests.rounds import close_round
from tests.site import Site

PEOPLE = 60
ATTRIBUTES = {"ce_specversion", "ce_type", "ce_id", "ce_source", "ce_time", "content-type"}


async def test_kcat_and_a_library_from_elsewhere_read_attempts_and_results(on_kafka: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is missing: apt-get install kcat")
    with Site(tmp_path, **on_kafka, HOITHI_REVIEW_PACE_MS="0", HOITHI_REVIEW_PEOPLE="0") as site:
        players = Players(site.url, seed=71)
        await players.open()
        await players.play(PEOPLE)
        await players.check_results(180)
        await close_round(site, players.round, prediction=None)  # its standings are told as soon as they are there
        await until_ranked(site)
        await players.close()
    bootstrap, prefix = on_kafka["HOITHI_BUS"].removeprefix("kafka://"), on_kafka["HOITHI_KAFKA_PREFIX"]
    for topic, kinds in (
        ("attempts", {"attempt.started.v1", "attempt.submitted.v1"}),
        ("results", {"round.ranked.v1", "results.published.v1"}),
    ):
        by_kcat = list(kcat(bootstrap, prefix + topic))
        by_library = [each async for each in library(bootstrap, prefix + topic, len(by_kcat))]
        assert sorted(by_kcat, key=str) == sorted(by_library, key=str)
        assert {short(headers["ce_type"]) for headers, _ in by_kcat} == kinds
        for headers, body in by_kcat:
            assert headers.keys() == ATTRIBUTES
            schema = json.loads((SCHEMAS / f"{short(headers['ce_type'])}.json").read_text())
            jsonschema.validate(json.loads(body), schema)
        if topic == "attempts":
            submitted = {json.loads(body)["attempt"] for headers, body in by_kcat if "submitted" in headers["ce_type"]}
            assert submitted == players.tally.receipts.keys()


def kcat(bootstrap: str, topic: str) -> Iterable[tuple[Mapping[str, str], str]]:
    """Headers and body of each record of a topic, as kcat prints them."""
    command = ["kcat", "-b", bootstrap, "-t", topic, "-C", "-e", "-q", "-J"]
    for line in subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines():
        record = json.loads(line)
        headers = dict(zip(record["headers"][::2], record["headers"][1::2], strict=True))
        yield headers, record["payload"]


async def library(bootstrap: str, topic: str, count: int) -> AsyncIterator[tuple[Mapping[str, str], str]]:
    """The same through a consumer group of somebody's own."""
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id="portal", auto_offset_reset="earliest") as consumer:
        for _ in range(count):
            record = await asyncio.wait_for(consumer.getone(), 20)
            yield {name: value.decode() for name, value in record.headers}, record.value.decode()


async def until_ranked(site: Site) -> None:
    """Waits until the standings are told."""
    house = House(site.settings)
    async with asyncio.timeout(120):
        while not await house.bus.read("results"):
            await asyncio.sleep(0.5)
    await house.close()
