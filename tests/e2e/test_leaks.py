"""Until a round is published, nobody learns its key, its perfect papers or a phone number: every page that links lead to, every
call of the API, the stream and every topic is looked through, as every role, while the round runs, after it has closed, and once
it is ranked. Nobody may do or see what their role and their units do not give."""

from __future__ import annotations

import asyncio
import csv
import html
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

import httpx

from deploy.local.wiring import House
from services.events import RoundKeyed, decode
from services.kit.cloudevents import type_of
from services.kit.web.console import CSRF_HEADER
from tests.e2e.test_settlement import post, shows, token
from tests.organisers import organiser_cookies
from tests.players import EXAMPLE, Players
from tests.rounds import close_round
from tests.site import Site

ROLES = ("city", "operator", "reader", "district", "unit", "")
"""Everyone who may sign in, and nobody. The city's come first: what they may do, the others may not."""

SHOWS_ANSWERS = ("/console/bank", "/dap-an", "/xem-thu")
"""Pages of the city's organisers, who wrote the answers."""

SHOWS_QUESTIONS = (*SHOWS_ANSWERS, "/questions", "/key")
"""Theirs too: how the questions did."""

PEOPLE, PERFECT = 160, 137
"""Who takes part, and how many of them are right in all: a figure that is no other's."""

EACH, MOST = 3, 300
"""Addresses of one shape that are walked, and pages in all: enough that no walk ends early."""

HREF = re.compile(r'(?:href|src)="([^"#]+)"')
FORM = re.compile(r"<form\b[^>]*>")
UNIT = re.compile(r"HP(?:-\d+)*")
PHONE = re.compile(rb"(?:0|84)991000\d{3}")
"""Those of the players."""

MARKUP = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL)
FIGURE = re.compile(rf"(?<![\w.-]){PERFECT}(?![\w%-]|\.\d| ms)")


class Secrets:
    """What the contest keeps to itself: right answers in the order of the papers, questions with their options, their ids."""

    def __init__(self, keys: Collection[str]) -> None:
        assert keys
        assert all(len(key) >= 20 for key in keys)
        self._keys = keys
        with (EXAMPLE / "questions.csv").open(encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        texts = {row[column].strip() for row in rows for column in ("text", "a", "b", "c", "d")}
        self._texts = {text for text in texts if len(text) > 25}
        self._ids = re.compile(rf"(?<!\w)(?:{'|'.join(row['id'].strip() for row in rows)})(?!\w)")

    @classmethod
    async def of(cls, site: Site) -> Secrets:
        house = House(site.settings)
        events = [decode(type_of(record.headers), record.value) for record in await house.bus.read("keys")]
        await house.close()
        return cls({capitals(key) for event in events if isinstance(event, RoundKeyed) for key in event.papers.values()})

    def key_in(self, text: str) -> str | None:
        """A key that stands in a text, however its letters are set: in one word, one to a cell, as a list, in small letters."""
        single = "".join(re.findall(r"\b[A-Ha-h]\b", text)).upper()
        letters = f"{capitals(text)} {single}"
        return next((key for key in self._keys if key in letters), None)

    def question_in(self, text: str) -> str | None:
        """A question, an option, or a question's id: beside them a right answer would stand."""
        found = self._ids.search(text)
        return found[0] if found else next((each for each in self._texts if each in text), None)


async def test_nothing_leaves_before_its_time_and_nobody_passes_their_role(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        players = Players(site.url, seed=91)
        await players.open()
        players.right = 1.0
        await players.play(PERFECT)
        players.right = 0.3
        await players.play(PEOPLE - PERFECT, first=PERFECT)
        await players.check_results(180)
        await players.check_board(120)
        assert list(players.tally.correct.values()).count(20) == PERFECT
        secrets = await Secrets.of(site)
        await looked_through(site, players, secrets)
        answers = await players.call("GET", f"/api/v1/contests/{players.contest['id']}/rounds/{players.round}/answers")
        assert answers == {"waiting": True, "answers": []}
        async with overhears(site, players) as heard:
            await a_paper_tells_nothing(players, secrets)
            await close_round(site, players.round)
            async with asyncio.timeout(60):
                while b'"state":"closed"' not in heard:
                    await asyncio.sleep(0.1)
        assert b"event: turnout" in heard
        assert not faults(secrets, "", bytes(heard))
        async with signed_in(site, "city", players) as organiser:
            console = f"/console/rounds/{players.round}"
            await shows(organiser, console, "Chờ xem xét bất thường")
            await looked_through(site, players, secrets)
            for kind in ("too_fast", "phone_block", "shared_device", "identical_answers"):
                await post(organiser, f"{console}/cases", action="clear_all", kind=kind, reason="mọi người thi cùng một chỗ")
            await shows(organiser, console, "Giải thưởng và công bố")
            await looked_through(site, players, secrets, ranked=True)
        await players.close()


@asynccontextmanager
async def signed_in(site: Site, role: str, players: Players) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of this role, or of nobody."""
    cookies = organiser_cookies(site, role, subtree(role, players)) if role else {}  # type: ignore[arg-type]
    async with httpx.AsyncClient(base_url=site.url, cookies=cookies, follow_redirects=True, timeout=20) as client:
        yield client


def subtree(role: str, players: Players) -> str | None:
    ward = players.wards[0]
    return {"unit": ward, "district": ward.rpartition("-")[0]}.get(role)


async def looked_through(site: Site, players: Players, secrets: Secrets, *, ranked: bool = False) -> None:
    """Everything that everyone can see. Once a round is ranked, only the city's organisers see how many were right."""
    offered: set[str] = set()
    addresses: dict[object, str] = {}
    for role in ROLES:
        async with signed_in(site, role, players) as client:
            pages = await crawled(client, addresses.values())
            assert len(pages) > 15, pages.keys()
            addresses = {shape(path): path for path in pages} | addresses
            forms = forms_of(pages)
            offered |= forms
            if not ranked:
                await refuses_changes(client, players, role)
                await refuses_forms(client, players, role, offered - (forms if role != "city" else set()))
                await keeps_to_its_units(client, players, role, pages)
            pages |= await called(client, players)
            for path, body in pages.items():
                found = faults(secrets, path, body, city=role == "city", ranked=ranked)
                assert not found, f"{role or 'nobody'}: {path} holds {found}"
    await topics_are_clean(site, secrets)
    standings = await players.call("GET", f"/api/v1/rounds/{players.round}/standings")
    assert standings == {"state": "hidden", "rows": [], "next": None}


def faults(secrets: Secrets, path: str, body: bytes, *, city: bool = False, ranked: bool = False) -> list[str]:
    """What a page may not hold."""
    found = [f"the phone number {phone[0]!r}"] if (phone := PHONE.search(body)) else []
    try:
        # Without the address itself, which the way to sign in and back repeats.
        text = unquote(unquote(html.unescape(body.decode()))).replace(unquote(path), "")
    except UnicodeDecodeError:
        return found  # a picture or a PDF
    if not (city and any(part in path for part in SHOWS_ANSWERS)):
        found += [f"the key {key}"] if (key := secrets.key_in(text)) else []
    if not (city and any(part in path for part in SHOWS_QUESTIONS)):
        found += [f"the question {question}"] if (question := secrets.question_in(text)) else []
    if not (city and ranked) and not path.startswith("/metrics") and (figure := FIGURE.search(MARKUP.sub(" ", text))):
        found.append(f"the number of perfect papers: …{figure.string[max(0, figure.start() - 60) : figure.end() + 30]}…")
    return found


def capitals(text: str) -> str:
    return re.sub("[^A-Z]", "", text)


def shape(path: str) -> tuple[str, tuple[str, ...]]:
    """What pages have in common that differ in their unit, or in a value that is asked for."""
    address = urlsplit(path)
    return UNIT.sub("#", address.path), tuple(sorted({name for name, _ in parse_qsl(address.query)}))


async def crawled(client: httpx.AsyncClient, known: Iterable[str]) -> dict[str, bytes]:
    """Every page that links lead to, by its path, and those that others are known to have been led to; of many that differ in a
    value only, the first few."""
    found: dict[str, bytes] = {}
    walked: Counter[object] = Counter()
    waiting = deque(["/", "/board", "/console", "/console/rounds", "/developers", "/bien-nhan"])
    waiting += ["/openapi.json", "/asyncapi.json", "/metrics", *known]
    while waiting:
        path = waiting.popleft()
        skipped = path.startswith(("/static/", "/lang/", "/console/logout", "/q/"))
        if skipped or path in found or walked[shape(path)] == EACH:
            continue
        walked[shape(path)] += 1
        assert len(found) < MOST, f"there are more pages than are walked: {waiting}"
        reply = await client.get(path, headers={"accept": "text/html"})
        found[path] = reply.content
        for href in HREF.findall(reply.text) if "html" in reply.headers.get("content-type", "") else []:
            target = urlsplit(urljoin(str(reply.url), html.unescape(href)))
            if target.netloc == urlsplit(str(client.base_url)).netloc:
                waiting.append(target.path + (f"?{target.query}" if target.query else ""))
    return found


async def called(client: httpx.AsyncClient, players: Players) -> dict[str, bytes]:
    """Every GET of the API that is described, with what ids there are. The stream, which has no end, is `overhears`'."""
    described = await api(client)
    attempt = next(iter(players.tally.receipts))
    found: dict[str, bytes] = {}
    for path, methods in described.items():
        if "get" not in methods or path.endswith("/stream"):
            continue
        for headers in ({}, players.tally.headers[attempt]):
            filled = with_ids(path, players)
            reply = await client.get(filled, params={"contest": players.contest["id"], "round": players.round}, headers=headers)
            found[f"{filled} {bool(headers)}"] = reply.content
    return found


async def api(client: httpx.AsyncClient) -> Mapping[str, Mapping[str, Any]]:
    """The methods of every path that is described."""
    described: Mapping[str, Mapping[str, Any]] = (await client.get("/openapi.json")).json()["paths"]
    return described


def with_ids(path: str, players: Players) -> str:
    attempt = next(iter(players.tally.receipts))
    ids = {"contest": players.contest["id"], "round": players.round, "attempt_id": attempt, "attempt": attempt, "version": "2"}
    return re.sub(r"\{(\w+)\}", lambda name: ids.get(name[1], "x"), path)


@asynccontextmanager
async def overhears(site: Site, players: Players) -> AsyncIterator[bytearray]:
    """What the stream of the contest says meanwhile. It looks at nobody's role."""
    heard = bytearray()

    async def listen() -> None:
        path = f"/api/v1/stream?contest={players.contest['id']}"
        async with httpx.AsyncClient(base_url=site.url, timeout=60) as client, client.stream("GET", path) as reply:
            async for chunk in reply.aiter_bytes():
                heard.extend(chunk)

    listening = asyncio.create_task(listen())
    try:
        yield heard
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def a_paper_tells_nothing(players: Players, secrets: Secrets) -> None:
    """One more takes part: questions and options are bare texts, and no reply holds a key."""
    replies: list[Any] = []
    call = players.call

    async def kept(method: str, path: str, **more: Any) -> Any:
        replies.append(await call(method, path, **more))
        return replies[-1]

    players.call = kept  # type: ignore[method-assign,assignment]
    await players.take_part(PEOPLE)
    players.call = call  # type: ignore[method-assign]
    _, attempt, submitted = replies
    for question in attempt["paper"]["questions"]:
        assert question.keys() <= {"text", "options", "several", "picture", "picture_alt"}, question
        assert all(isinstance(option, str) for option in question["options"])
    assert attempt.keys() == {"attempt_id", "n", "attempts_left", "started_at", "deadline", "now", "paper", "paper_token"}
    assert submitted.keys() == {"attempt_id", "received_at", "receipt"}
    assert not secrets.key_in(str(replies))


async def refuses_changes(client: httpx.AsyncClient, players: Players, role: str) -> None:
    """Every call of the admin API that changes something is the city's, and of a session wants its form's token: with the token
    the role is what refuses, and the token where the role would not."""
    calls = [(path, method) for path, methods in (await api(client)).items() if "/admin/" in path for method in methods]
    calls = [(path, method) for path, method in calls if method != "get"]
    assert len(calls) > 20
    fault = {"": (401, "session"), "city": (403, "csrf")}.get(role, (403, "role"))
    headers = {} if role == "city" else {CSRF_HEADER: await form_token(client, role)}
    for path, method in calls:
        asked = {"contest": players.contest["id"], "name": "x.csv"}
        reply = await client.request(method, with_ids(path, players), params=asked, json={}, headers=headers)
        assert reply.status_code in (401, 403), f"{role}: {method} {path}: {reply.status_code}"
        assert (reply.status_code, reply.json()["type"].rpartition(":")[2]) == fault, f"{role}: {method} {path}"


async def form_token(client: httpx.AsyncClient, role: str) -> str:
    return await token(client, "/console/account" if role else "/console/sign-in")


def forms_of(pages: Mapping[str, bytes]) -> set[str]:
    """Where the forms of pages are sent to."""
    found = set()
    for path, body in pages.items():
        for tag in FORM.findall(body.decode(errors="ignore")):
            if 'method="post"' in tag:
                action = re.search(r'action="([^"]*)"', tag)
                found.add(urljoin(path, html.unescape(action[1])) if action and action[1] else path)
    return {UNIT.sub("HP", path.partition("?")[0]) for path in found if path.startswith("/console/")}


async def refuses_forms(client: httpx.AsyncClient, players: Players, role: str, forms: set[str]) -> None:
    """A form that others are shown, and this role is not, refuses it; the city's own refuse whoever comes without the token."""
    assert role == "city" or len(forms) > 10, forms
    data = {} if role == "city" else {"csrf": await form_token(client, role)}
    for path in sorted(forms):
        reply = await client.post(path, data=data, headers={"accept": "application/json"}, follow_redirects=False)
        assert reply.status_code in (401, 403), f"{role}: {path}: {reply.status_code} {reply.text[:300]}"


async def keeps_to_its_units(client: httpx.AsyncClient, players: Players, role: str, pages: Mapping[str, bytes]) -> None:
    """The console of an account with a subtree names no unit beside it, and shows none that is asked for."""
    top = subtree(role, players)
    if top is None:
        return
    with (EXAMPLE / "units.csv").open(encoding="utf-8-sig") as file:
        wards = {row["code"]: row["name"] for row in csv.DictReader(file) if row["kind"] == "ward"}
    own = " ".join(name for code, name in wards.items() if code.startswith(top))
    foreign = {text for code, name in wards.items() if not code.startswith(top) for text in (code, name) if text not in own}
    other = next(code for code in wards if not code.startswith(top))
    console = {path: body for path, body in pages.items() if path.startswith("/console")}
    named = [path for path in console if re.search(rf"{top}\b", path)]
    assert len(named) > 5, console.keys()
    for path, body in console.items():
        shown = re.findall(r"[^\W\d][^<>\"]*|HP[\d-]+", html.unescape(body.decode(errors="ignore")))
        assert foreign.isdisjoint(shown), f"{role}: {path} names {foreign & set(shown)}"
    for path in named:
        reply = await client.get(re.sub(rf"{top}(-\d+)*", other, path))
        assert reply.status_code in (403, 404), f"{role}: {path} of {other}: {reply.status_code}"


async def topics_are_clean(site: Site, secrets: Secrets) -> None:
    """Phone numbers are in `participants` alone, keys in `keys`, grades in `scores`, perfect papers nowhere."""
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
            text = record.value.decode()
            assert not PHONE.search(record.value), topic
            if topic != "submissions":
                assert not secrets.key_in(text), topic
                assert not secrets.question_in(text), topic
                assert '"answers"' not in text, topic
            if topic not in ("scores", "submissions"):
                assert '"correct"' not in text, topic
                assert '"perfect"' not in text, topic
    await house.close()
