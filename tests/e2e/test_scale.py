"""Workers come and go under load, one is frozen past its session and woken, and two hosts take one attempt: all figures stand."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.lag import lags
from deploy.local.wiring import House
from tests.client import Client
from tests.e2e.conftest import bus_of_its_own
from tests.organisers import organiser_cookies
from tests.players import Players
from tests.rounds import close_round
from tests.site import HOITHI, Site, free_port

FROZEN_SECONDS = 14
"""Longer than a member's session."""


@pytest.fixture(scope="module")
def site(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all; its last test closes the round, which no case of anomalies holds up."""
    for bus in bus_of_its_own(kafka):
        with Site(tmp_path_factory.mktemp("scale"), **bus, HOITHI_REVIEW_PACE_MS="0", HOITHI_REVIEW_PEOPLE="0") as site:
            yield site


@contextlib.contextmanager
def process(site: Site, *words: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """One more process of the installation, ended as an operator would."""
    with (site.data / "logs" / f"more-{'-'.join(words)}.log").open("ab") as log:
        more = subprocess.Popen([HOITHI, *words], env=site.env | environment, stdout=log, stderr=log)
    try:
        yield more
    finally:
        more.send_signal(signal.SIGCONT)
        more.terminate()
        more.wait(30)


async def behind(house: House) -> int:
    """Offsets that scoring lacks."""
    return sum(lag.behind for lag in await lags(house) if lag.group == "scoring")


async def test_scoring_goes_from_one_worker_to_three_and_back_with_one_frozen(site: Site) -> None:
    house, players = House(site.settings), Players(site.url, seed=81, persist=True)
    await players.open()
    players.tally.people += await players.board()  # who came for the other tests
    first = site.pids()["work-scoring"]
    os.kill(first, signal.SIGSTOP)  # So that a backlog gathers.
    await players.play(600)
    assert await behind(house) >= 600
    os.kill(first, signal.SIGCONT)
    with (
        process(site, "work", "scoring", HOITHI_PROCESS="work-scoring-2") as second,
        process(site, "work", "scoring", HOITHI_PROCESS="work-scoring-3"),
    ):
        await joined(site, "work-scoring-2", "work-scoring-3")
        await players.play(600, first=600)
        second.send_signal(signal.SIGSTOP)
        await asyncio.gather(players.play(600, first=1200), asyncio.sleep(FROZEN_SECONDS))
        second.send_signal(signal.SIGCONT)
        await players.play(300, first=1800)
        async with asyncio.timeout(120):
            while await behind(house):
                await asyncio.sleep(0.2)
    await players.play(100, first=2100)
    await players.check_results(180)
    await players.check_board(120)
    site.hoithi("audit")
    await house.close()
    await players.close()


async def joined(site: Site, *names: str) -> None:
    """Waits until these workers are ready, and their group has had time to share anew."""
    async with asyncio.timeout(120):
        while not site.pids().keys() >= {*names}:
            await asyncio.sleep(0.2)
    await asyncio.sleep(3)


async def test_with_ack_kafka_a_reply_waits_for_the_brokers_but_not_for_ever(site: Site) -> None:
    port = free_port()
    here = {"PORT": str(port), "HOITHI_PROCESS": "web-2", "HOITHI_ACK": "kafka", "HOITHI_ACK_MS": "3000"}
    with process(site, "serve", **here):
        house, players = House(site.settings), Players(f"http://127.0.0.1:{port}", seed=83, persist=True)
        await players.open()

        async def received(attempt: dict[str, Any]) -> bool:
            return any(attempt["attempt_id"].encode() in record.value for record in await house.bus.read("submissions"))

        attempt, _, right, _ = await a_paper(players, person=4)
        await players.call("POST", "/api/v1/submissions", json={"paper_token": attempt["paper_token"], "answers": right})
        assert await received(attempt)
        relay = site.pids()["relay"]
        os.kill(relay, signal.SIGSTOP)
        attempt, _, right, _ = await a_paper(players, person=5)
        await players.call("POST", "/api/v1/submissions", json={"paper_token": attempt["paper_token"], "answers": right})
        assert not await received(attempt), "the journal's word stands"
        os.kill(relay, signal.SIGCONT)
        async with asyncio.timeout(120):
            while not await received(attempt):
                await asyncio.sleep(0.2)
        await house.close()
        await players.close()


async def test_of_two_hosts_the_one_that_received_first_wins_whenever_it_arrives(site: Site, tmp_path: Path) -> None:
    players = Players(site.url, seed=82)
    await players.open()
    other = tmp_path / "other-host"
    shutil.copytree(site.data / "secrets", other / "secrets")
    port = free_port()
    here = {
        "DATA_DIR": str(other),
        "HOITHI_DATA_DIR": str(other),
        "PORT": str(port),
        "HOITHI_PORT": str(port),
        "HOITHI_STORE": (site.data / "run" / "store.url").read_text().strip(),
    }
    with process(site, "serve", **here):
        cut_off = Client(f"http://127.0.0.1:{port}", 4)
        await until_ready(cut_off)
        attempt, headers, right, wrong = await a_paper(players)
        first = await submit(cut_off, attempt, right)  # No relay runs there: nobody else knows of it.
        second = await players.call("POST", "/api/v1/submissions", json={"paper_token": attempt["paper_token"], "answers": wrong})
        assert first["received_at"] < second["received_at"]
        assert await score(players, attempt, headers, until=0) == 0
        with process(site, "relay", **here):
            assert await score(players, attempt, headers, until=20) == 20
        # The other way round: who comes second to the brokers, and was second, changes nothing.
        attempt, headers, right, wrong = await a_paper(players, person=2)
        second = await players.call("POST", "/api/v1/submissions", json={"paper_token": attempt["paper_token"], "answers": right})
        await submit(cut_off, attempt, wrong)
        assert await score(players, attempt, headers, until=20) == 20
        with process(site, "relay", **here):
            await asyncio.sleep(3)
            assert await score(players, attempt, headers, until=20) == 20
        # The round ends while that host holds a third one's first submission: nobody settles it before that has come.
        attempt, headers, right, wrong = await a_paper(players, person=3)
        await submit(cut_off, attempt, right)
        await players.call("POST", "/api/v1/submissions", json={"paper_token": attempt["paper_token"], "answers": wrong})
        await close_round(site, players.round)
        assert await lacks(site, players.round, "audit") == {"journals": [socket.gethostname()]}
        with process(site, "relay", **here):
            assert await lacks(site, players.round, "journals") == {}
        async with httpx.AsyncClient(base_url=site.url, headers=headers) as client:
            result = (await client.get(f"/api/v1/results/{attempt['attempt_id']}")).json()
        assert (result["verdict"], result["correct"]) == ("valid", 20)
        cut_off.close()
    site.hoithi("audit")
    await players.close()


async def lacks(site: Site, round: str, gone: str) -> dict[str, list[str]]:
    """What keeps the ranked round from being settled, with the machines that it waits for, once it lacks this no more. Nothing
    but a host is left to wait for where its cases are cleared."""
    async with httpx.AsyncClient(base_url=site.url, cookies=organiser_cookies(site)) as client:
        async with asyncio.timeout(120):
            while True:
                shown = (await client.get(f"/api/v1/admin/rounds/{round}/results")).json()
                codes = [lack["code"] for lack in shown["lacks"]]
                if "ranking" in shown and gone not in codes and len(shown["hosts"]) < 2:
                    return {code: [host["machine"] for host in shown["hosts"]] for code in codes}
                await asyncio.sleep(0.3)


async def a_paper(players: Players, person: int = 1) -> tuple[dict[str, Any], dict[str, str], str, str]:
    """An attempt under way, its owner's headers, and answers that are all right and all wrong."""
    registered = await players.call("POST", "/api/v1/participants", json={
        "contest": players.contest["id"], "name": "Lê Văn Hai", "phone": f"090000000{person}", "unit": players.wards[0],
        "categories": [players.contest["categories"][0]["id"]],
        "consent": {"version": players.contest["consent"]["version"], "accepted": True},
    })  # fmt: skip
    headers = {"Authorization": f"Bearer {registered['token']}"}
    attempt = await players.call("POST", "/api/v1/attempts", json={"round": players.round}, headers=headers)
    right = players.right_answers(attempt["paper"])
    wrong = "".join("B" if letter == "A" else "A" for letter in right)
    return attempt, headers, right, wrong


async def submit(client: Client, attempt: dict[str, Any], answers: str) -> dict[str, Any]:
    status, reply = await client.call("POST", "/api/v1/submissions", {"paper_token": attempt["paper_token"], "answers": answers})
    assert status == 202, reply
    taken: dict[str, Any] = reply
    return taken


async def score(players: Players, attempt: dict[str, Any], headers: dict[str, str], until: int) -> int:
    """The attempt's right answers, once there are `until` of them, or after a while."""
    correct = -1
    for _ in range(100):
        result = await players.call("GET", f"/api/v1/results/{attempt['attempt_id']}", headers=headers)
        correct = result.get("correct", -1) if result["status"] == "scored" else -1
        if correct == until:
            break
        await asyncio.sleep(0.2)
    return correct


async def until_ready(client: Client) -> None:
    async with asyncio.timeout(120):
        while True:
            with contextlib.suppress(OSError, EOFError):
                if (await client.call("GET", "/readyz"))[0] == 200:
                    return
            await asyncio.sleep(0.2)
