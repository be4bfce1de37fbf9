"""From a closed round to its published result, as an organiser has it: cases, ranking, draw, prizes, publication; and a stranger
who recomputes it all."""

from __future__ import annotations

import asyncio
import csv
import gzip
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from deploy.local.wiring import House
from services.events import Event, PrizesAwarded, decode
from services.kit.cloudevents import type_of
from services.scoring.store import Standings
from tests.organisers import organiser_cookies
from tests.players import EXAMPLE, Players
from tests.rounds import close_round
from tests.site import Site

VERIFY = Path(__file__).parents[2] / "examples" / "verify" / "verify.py"
PEOPLE = 240

MAY_SETTLE = 'value="settle">'
"""The button that is there for who may press it: the audit agrees, and every host's journal has drained."""


async def test_a_closed_round_becomes_a_result_that_anyone_recomputes(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        players = Players(site.url, seed=81)
        await players.open()
        await players.play(PEOPLE)
        await players.check_results(180)
        round, attempts = players.round, sorted(players.tally.receipts)
        async with httpx.AsyncClient(base_url=site.url, cookies=organiser_cookies(site), follow_redirects=True) as organiser:
            page = f"/console/rounds/{round}"
            before = await organiser.get(f"/ket-qua/{round}")
            commitment = re.search(r"[0-9a-f]{64}", before.text)
            assert commitment, "the draw is committed to while the round runs"
            await close_round(site, round)
            await shows(organiser, page, "Chờ xem xét bất thường")
            assert (await players.call("GET", f"/api/v1/rounds/{round}/standings"))["state"] == "hidden"
            # One case is found bad, by its attempt; all others are what a test looks like.
            cases = (await organiser.get(f"{page}/cases")).text
            section = next(part for part in cases.split("<section")[1:] if "/too_fast/" in part)
            (case,) = re.findall(r'value="([^"]+/too_fast/[0-9a-f]+)"', section)
            (attempt,) = re.findall(r'code">([^<]+:1)</td>', section)
            await post(organiser, f"{page}/cases", action="disqualify", case=case, reason="thi hộ, có người làm chứng")
            for kind in ("too_fast", "phone_block", "shared_device", "identical_answers"):
                await post(organiser, f"{page}/cases", action="clear_all", kind=kind, reason="đã gọi điện hỏi từng người")
            await shows(organiser, page, "Giải thưởng và công bố")
            assert (await players.call("GET", f"/api/v1/rounds/{round}/standings"))["state"] == "hidden", "there is a prediction"
            assert not await told(site)
            result = await players.call("GET", f"/api/v1/results/{attempt}", headers=players.tally.headers[attempt])
            assert result["verdict"] == "disqualified"
            other = next(each for each in attempts if each != attempt)
            result = await players.call("GET", f"/api/v1/results/{other}", headers=players.tally.headers[other])
            assert (result["verdict"], result["rank"]) == ("valid", None), "no rank before it is final"

            await shows(organiser, f"{page}/prizes", MAY_SETTLE)
            await post(organiser, f"{page}/prizes", action="settle", persons="Giải Nhất: 1\nGiải Nhì: 2", units="Tập thể: 3")
            await shows(organiser, f"{page}/prizes", "Công bố kết quả")
            assert "Kết quả chưa được công bố" in (await organiser.get(f"/ket-qua/{round}")).text
            await post(organiser, f"{page}/prizes", action="publish")
            public = await organiser.get(f"/ket-qua/{round}")
            assert "Giải Nhất" in public.text
            standings = await players.call("GET", f"/api/v1/rounds/{round}/standings")
            assert (standings["state"], len(standings["rows"])) == ("final", PEOPLE - 1)
            result = await players.call("GET", f"/api/v1/results/{other}", headers=players.tally.headers[other])
            assert result["rank"] is not None

            file = await file_of(organiser, public)
            recomputed(tmp_path, file, commitment[0], players.tally.receipts[other], result["row_code"])
            assert f'["{result["row_person"]}",' in file.decode()
            awarded = await prizes_told(site, round)
            assert [(each.prize, each.unit, each.drawn) for each in awarded.persons[:1]] == [
                ("Giải Nhất", standings["rows"][0]["unit"], False)
            ]
            assert len(awarded.units) == 3
            certificate = await post(organiser, f"{page}/certificate", f"{page}/prizes", award="persons|1", name="Đặng Thuỳ Trâm")
            assert certificate.content.startswith(b"%PDF")
            refused = await organiser.post(f"{page}/rulings", data={"csrf": await token(organiser, page)} | {
                "attempt": other, "reason": "quá muộn rồi", "action": "disqualify"})  # fmt: skip
            assert refused.status_code == 409
        await players.close()
        assert "final" in {r["state"] for r in (await contest(site, players.contest["id"]))["rounds"]}
        site.hoithi("audit")


async def test_a_wrong_key_is_mended_and_the_ranks_change_as_another_recomputes_them(tmp_path: Path) -> None:
    with Site(tmp_path, HOITHI_REVIEW_PACE_MS="0", HOITHI_REVIEW_PEOPLE="0") as site:
        players = Players(site.url, seed=82)
        await players.open()
        await players.play(80)
        await players.check_results(180)
        await close_round(site, players.round)
        async with httpx.AsyncClient(base_url=site.url, cookies=organiser_cookies(site), follow_redirects=True) as organiser:
            console = f"/console/rounds/{players.round}"
            await shows(organiser, console, "Giải thưởng và công bố")
            assert await standings(site, players.round) == await expected(players, players.tally.correct)
            contest, _, slug = players.round.partition(".")
            keys = f"/console/contests/{contest}/vong/{slug}/dap-an"
            question, letter, text, old, new = another_key(players)
            await post(organiser, keys, action="propose", question=question, right=letter, reason="đề in nhầm đáp án")
            await shows(organiser, f"{console}/key", "đề in nhầm đáp án")
            assert await standings(site, players.round) == await expected(players, players.tally.correct), "a trial judges nobody"
            seen = re.search(r"dap-an\?seen=([\w-]+)", (await organiser.get(f"{console}/key")).text)
            assert seen
            await post(organiser, keys, action="publish", version="2", seen=seen[1])
            correct = {
                attempt: right - (chosen.get(text) == old) + (chosen.get(text) == new)
                for (attempt, right), chosen in zip(players.tally.correct.items(), players.tally.chosen.values(), strict=True)
            }
            assert correct != players.tally.correct
            async with asyncio.timeout(120):
                while await standings(site, players.round) != await expected(players, correct):
                    await asyncio.sleep(0.5)
        await players.close()
        site.hoithi("audit")


async def test_equals_draw_for_prizes_of_a_round_and_of_all_as_a_stranger_draws_again(tmp_path: Path) -> None:
    folder = tmp_path / "contest"
    by_right_answers_alone(folder)
    with Site(tmp_path, HOITHI_EXAMPLE="0", HOITHI_REVIEW_PACE_MS="0", HOITHI_REVIEW_PEOPLE="0") as site:
        site.hoithi("contest", "load", str(folder))
        players = Players(site.url, seed=83)
        players.right = 1.0  # all are equal
        await opened(players)
        await players.play(30)
        await players.check_results(180)
        async with httpx.AsyncClient(base_url=site.url, cookies=organiser_cookies(site), follow_redirects=True) as organiser:
            committed = {}
            for subject in (players.round, players.contest["id"]):
                committed[subject] = await commitment_of(organiser, subject)
            await close_round(site, players.round)
            page = f"/console/rounds/{players.round}"
            await shows(organiser, page, "Giải thưởng và công bố")
            prizes = {"persons": "Giải Nhất: 1\nGiải Nhì: 2", "units": "Tập thể: 3"}
            round = await published(organiser, f"{page}/prizes", players.round, committed[players.round], **prizes)
            assert "30 đồng hạng 1" in round.text
            awarded = await prizes_told(site, players.round)
            assert [each.prize for each in awarded.persons if each.drawn] == ["Giải Nhất", "Giải Nhì", "Giải Nhì"]
            attempt, receipt = next(iter(players.tally.receipts.items()))
            mine = await players.call("GET", f"/api/v1/results/{attempt}", headers=players.tally.headers[attempt])
            recomputed(tmp_path, await file_of(organiser, round), committed[players.round], receipt, mine["row_code"])

            contest = players.contest["id"]
            page = f"/console/rounds/{contest}/overall"
            overall = await published(organiser, page, contest, committed[contest], persons="Giải toàn cuộc: 2")
            assert "Giải toàn cuộc" in overall.text
            (tmp_path / "contest.jsonl").write_bytes(await file_of(organiser, overall))
            command = [sys.executable, VERIFY, tmp_path / "contest.jsonl", "--rounds", tmp_path / "result.jsonl"]
            said = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
            assert said.returncode == 0, said.stdout + said.stderr
            assert "1 lần bốc thăm" in said.stdout
        await players.close()
        site.hoithi("audit")


def by_right_answers_alone(folder: Path) -> None:
    """A contest of one round that is open now, ranked by nothing but right answers."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("headcounts*"))
    text = (folder / "contest.yaml").read_text(encoding="utf-8")
    now = datetime.now(UTC).replace(microsecond=0)
    opens, closes = (now - timedelta(minutes=5)).isoformat(), (now + timedelta(days=1)).isoformat()
    text = re.sub(r"^ranking: .*$", "ranking: [correct desc]", text, flags=re.MULTILINE)
    text = re.sub(r"^  prediction: .*\n", "", text, flags=re.MULTILINE)
    rounds = f"rounds:\n  - {{id: tuan-1, name: Tuần 1, opens: '{opens}', closes: '{closes}'}}\n"
    text = re.sub(r"^rounds:\n(  - .*\n)+", rounds, text, flags=re.MULTILINE)
    (folder / "contest.yaml").write_text(text, encoding="utf-8")


async def opened(players: Players) -> None:
    """Returns once a round is open."""
    for _ in range(120):
        for contest in await players.call("GET", "/api/v1/contests"):
            shown = await players.call("GET", f"/api/v1/contests/{contest['id']}")
            if "open" in {each["state"] for each in shown["rounds"]}:
                await players.open()
                return
        await asyncio.sleep(0.5)
    raise AssertionError("no round has opened")


async def published(organiser: httpx.AsyncClient, page: str, subject: str, commitment: str, **prizes: str) -> httpx.Response:
    """Prizes worked out, looked at and published, their draw on the way; returns the page that everyone sees."""
    await shows(organiser, page, MAY_SETTLE)
    await post(organiser, page, action="settle", **prizes)
    await shows(organiser, page, "Công bố kết quả")
    assert "Biên bản bốc thăm" in (await organiser.get(page)).text
    await post(organiser, page, action="publish")
    public = await organiser.get(f"/ket-qua/{subject}")
    assert "Biên bản bốc thăm" in public.text
    assert commitment in public.text
    return public


async def file_of(organiser: httpx.AsyncClient, public: httpx.Response) -> bytes:
    """The published file that a page of results leads to."""
    path = re.findall(r'href="(/ket-qua/[^"]+/tep/[0-9a-f]+)"', public.text)[0]
    return gzip.decompress((await organiser.get(path)).content)


def another_key(players: Players) -> tuple[str, str, str, str, str]:
    """A question that many had: its id in the bank, another option's letter, its text, the right option and that other one."""
    counts = Counter(text for chosen in players.tally.chosen.values() for text in chosen)
    text = counts.most_common(1)[0][0]
    with (EXAMPLE / "questions.csv").open(encoding="utf-8-sig") as file:
        row = next(row for row in csv.DictReader(file) if row["text"].strip() == text)
    letter = next(letter for letter in "abcd" if letter != row["answer"].strip())
    return row["id"].strip(), letter.upper(), text, row[row["answer"].strip()].strip(), row[letter].strip()


async def standings(site: Site, round: str) -> list[tuple[int, str, int, int]]:
    """As ranked, though not yet published: rank, unit, right answers, milliseconds."""
    house = House(site.settings)
    kept = Standings(house.runtime("scoring").store)
    head = await kept.head(round)
    assert head
    rows, more = await kept.page(round, head.checksum, "", 0) or ([], True)
    assert not more
    await house.close()
    return [(row.rank, row.unit, row.correct, row.elapsed_ms) for row in rows]


async def expected(players: Players, correct: dict[str, int]) -> list[tuple[int, str, int, int]]:
    """The same from what the players know themselves, by the rules in words."""
    tally = players.tally
    perfect = sum(right == len(tally.chosen[attempt]) for attempt, right in correct.items())
    rows = []
    for attempt, right in correct.items():
        result = await players.call("GET", f"/api/v1/results/{attempt}", headers=tally.headers[attempt])
        order = (-right, abs(tally.predicted[attempt] - perfect), result["elapsed_ms"], tally.received[attempt])
        rows.append((order, tally.unit[attempt], right, result["elapsed_ms"]))
    rows.sort()
    return [(at, unit, right, elapsed) for at, (_, unit, right, elapsed) in enumerate(rows, 1)]


def recomputed(folder: Path, file: bytes, commitment: str, receipt: str, code: str) -> None:
    """The verifier says yes to the file, finds a receipt in it, and no to one with a byte changed."""
    path, changed, slip = folder / "result.jsonl", folder / "changed.jsonl", folder / "receipt.txt"
    path.write_bytes(file)
    slip.write_text(receipt)
    assert commitment.encode() in file
    said = subprocess.run([sys.executable, VERIFY, path, "--receipt", slip, "--code", code], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
    at = file.index(b'"valid"') + 1
    changed.write_bytes(file[:at] + b"V" + file[at + 1 :])
    said = subprocess.run([sys.executable, VERIFY, changed], capture_output=True, text=True)
    assert said.returncode == 1, said.stdout


async def prizes_told(site: Site, round: str) -> PrizesAwarded:
    """What the topic `results` says of a round's prizes, once it says so."""
    async with asyncio.timeout(60):
        while True:
            found = [event for event in await told(site) if isinstance(event, PrizesAwarded) and event.round == round]
            if found:
                break
            await asyncio.sleep(0.2)
    assert len(found) == 1
    return found[0]


async def told(site: Site) -> list[Event]:
    """All that outside consumers were told of results."""
    house = House(site.settings)
    try:
        return [decode(type_of(record.headers), record.value) for record in await house.bus.read("results")]
    finally:
        await house.close()


async def contest(site: Site, id: str) -> dict[str, list[dict[str, str]]]:
    """The contest as everyone sees it, once a round of it is final."""
    async with httpx.AsyncClient(base_url=site.url) as client:
        for _ in range(100):
            found: dict[str, list[dict[str, str]]] = (await client.get(f"/api/v1/contests/{id}")).json()
            if any(each["state"] == "final" for each in found["rounds"]):
                return found
            await asyncio.sleep(0.2)
    raise AssertionError(f"no round is final: {found['rounds']}")


async def token(client: httpx.AsyncClient, page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', (await client.get(page)).text)
    assert found
    return found[1]


async def post(client: httpx.AsyncClient, to: str, form_at: str | None = None, **fields: str) -> httpx.Response:
    """Sends a form of the console."""
    reply = await client.post(to, data={"csrf": await token(client, form_at or to)} | fields)
    assert reply.status_code == 200, reply.text
    return reply


async def commitment_of(client: httpx.AsyncClient, subject: str) -> str:
    """What a draw is committed to before, once the worker has done so."""
    async with asyncio.timeout(60):
        while not (found := re.search(r"[0-9a-f]{64}", (await client.get(f"/ket-qua/{subject}")).text)):
            await asyncio.sleep(0.2)
    return found[0]


async def shows(client: httpx.AsyncClient, page: str, text: str) -> None:
    """Waits until a page shows a text as the step that it stands at."""
    wanted: Callable[[str], bool] = lambda html: text in re.sub(r'<span class="muted">.*?</span>', "", html)  # noqa: E731
    async with asyncio.timeout(120):
        while not wanted((await client.get(page)).text):
            await asyncio.sleep(0.3)
