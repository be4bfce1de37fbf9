"""While a round runs, nobody learns its key, its perfect papers or a phone number: every page that links lead to, every call of
the API and every topic is looked through, as every role."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from deploy.local.wiring import House
from services.events import RoundKeyed, decode
from services.kit.cloudevents import type_of
from tests.organisers import organiser_cookies
from tests.players import Players
from tests.site import Site

ROLES = ("", "reader", "unit", "district", "operator", "city")
"""Nobody, and everyone who may sign in."""

SHOWS_ANSWERS = ("/console/bank", "/dap-an", "/xem-thu")
"""Pages of the city's organisers, who wrote the answers."""

DOCUMENTS = ("/openapi.json", "/asyncapi.json", "/asyncapi.yaml", "/developers", "/developers/events")
"""What says that there is such a figure, and shows none."""

MOST = 250
HREF = re.compile(r'(?:href|src)="([^"#]+)"')
PHONE = re.compile(rb"(?:0|84)991\d{6}")
"""Those of the players."""


async def test_no_key_no_perfect_paper_no_phone_number_leaves_while_a_round_runs(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        players = Players(site.url, seed=91)
        players.right = 1.0  # everyone's paper is perfect: the figure that the prediction asks for
        await players.open()
        await players.play(12)
        await players.check_results(180)
        keys = await secrets(site)
        for role in ROLES:
            cookies = organiser_cookies(site, role, subtree(role, players)) if role else {}  # type: ignore[arg-type]
            async with httpx.AsyncClient(base_url=site.url, cookies=cookies, follow_redirects=True, timeout=20) as client:
                pages = await crawled(client)
                assert len(pages) > 15, pages.keys()
                pages |= await called(client, players)
                await refuses_changes(client, players)
                for path, body in pages.items():
                    if not (role == "city" and any(part in path for part in SHOWS_ANSWERS)):
                        assert not any(key in body for key in keys), f"{role}: {path} holds a key"
                    assert not PHONE.search(body), f"{role}: {path} holds {PHONE.search(body)}"
                    assert path.split()[0] in DOCUMENTS or b"perfect" not in body, f"{role}: {path}"
        await topics_are_clean(site, keys)
        answers = await players.call("GET", f"/api/v1/contests/{players.contest['id']}/rounds/{players.round}/answers")
        assert answers == {"waiting": True, "answers": []}
        async with httpx.AsyncClient(base_url=site.url) as client:
            page = await client.get(f"/c/{players.contest['id']}/dap-an/{players.round}")
        assert not any(text in page.text for chosen in players.tally.chosen.values() for text in chosen)
        shown = await players.call("GET", f"/api/v1/rounds/{players.round}/standings")
        assert shown == {"state": "hidden", "rows": [], "next": None}
        await players.close()


def subtree(role: str, players: Players) -> str | None:
    return players.wards[0] if role in ("unit", "district") else None


async def secrets(site: Site) -> list[bytes]:
    """The right answers of every paper."""
    house = House(site.settings)
    events = [decode(type_of(record.headers), record.value) for record in await house.bus.read("keys")]
    await house.close()
    found = [key.encode() for event in events if isinstance(event, RoundKeyed) for key in event.papers.values()]
    assert found
    assert all(len(key) >= 20 for key in found)
    return found


async def crawled(client: httpx.AsyncClient) -> dict[str, bytes]:
    """Every page that links lead to, by its path."""
    found: dict[str, bytes] = {}
    waiting = [
        "/",
        "/board",
        "/console",
        "/console/rounds",
        "/developers",
        "/bien-nhan",
        "/openapi.json",
        "/asyncapi.json",
        "/metrics",
    ]
    while waiting and len(found) < MOST:
        path = waiting.pop()
        if path in found or path.startswith(("/static/", "/lang/", "/console/logout", "/q/")):
            continue
        reply = await client.get(path, headers={"accept": "text/html"})
        found[path] = reply.content
        for href in HREF.findall(reply.text) if "html" in reply.headers.get("content-type", "") else []:
            target = urlsplit(urljoin(str(reply.url), href.replace("&amp;", "&")))
            if target.netloc == urlsplit(str(client.base_url)).netloc:
                waiting.append(target.path + (f"?{target.query}" if target.query else ""))
    return found


async def called(client: httpx.AsyncClient, players: Players) -> dict[str, bytes]:
    """Every GET of the API that is described, with what ids there are."""
    described: Mapping[str, Mapping[str, Any]] = (await client.get("/openapi.json")).json()["paths"]
    attempt = next(iter(players.tally.receipts))
    ids = {"contest": players.contest["id"], "round": players.round, "attempt_id": attempt}
    found: dict[str, bytes] = {}
    for path, methods in described.items():
        if "get" not in methods or path.endswith("/stream"):
            continue
        for headers in ({}, players.tally.headers[attempt]):
            filled = re.sub(r"\{(\w+)\}", lambda name: ids.get(name[1], "x"), path)
            reply = await client.get(filled, params={"contest": ids["contest"], "round": ids["round"]}, headers=headers)
            found[f"{filled} {bool(headers)}"] = reply.content
    return found


async def refuses_changes(client: httpx.AsyncClient, players: Players) -> None:
    """Every call of the admin API that changes something wants a role and, of a session, its form's token: none comes through."""
    described = (await client.get("/openapi.json")).json()["paths"]
    ids = {"contest": players.contest["id"], "round": players.round, "version": "2"}
    calls = [(path, method) for path, methods in described.items() if "/admin/" in path for method in methods if method != "get"]
    assert len(calls) > 20
    for path, method in calls:
        filled = re.sub(r"\{(\w+)\}", lambda name: ids.get(name[1], "x"), path)
        reply = await client.request(method, filled, params={"contest": ids["contest"], "name": "x.csv"}, json={})
        assert reply.status_code in (401, 403), f"{method} {filled}: {reply.status_code}"


async def topics_are_clean(site: Site, keys: list[bytes]) -> None:
    """Phone numbers are in `participants` alone, keys in `keys`, grades in `scores`."""
    house = House(site.settings)
    for topic in (
        "contests",
        "attempts",
        "results",
        "notices",
        "deliveries",
        "scores",
        "submissions",
        "rulings",
        "journals",
        "headcounts",
    ):
        for record in await house.bus.read(topic):
            assert not PHONE.search(record.value), topic
            if topic != "submissions":
                assert not any(key in record.value for key in keys), topic
                assert b'"answers"' not in record.value, topic
            if topic not in ("scores", "submissions"):
                assert b'"correct"' not in record.value, topic
    await house.close()
