"""The worker's part of a contest's own prizes: asked for once every round is published, made from the published files, told."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from bson import Binary

from services.events import (
    ParticipantErased,
    ParticipantRegistered,
    PrizesAwarded,
    ResultsPublished,
    RoundFinalised,
    RoundRanked,
    Unit,
    decode,
    encode,
)
from services.events.contests import PrizePlan, PrizePlans, Tree
from services.kit.bus import Record
from services.kit.clock import us_of
from services.kit.console import Role
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.security import Secrets
from services.kit.settings import Settings
from services.scoring import settling
from services.scoring.awards import latest_units
from services.scoring.certificates import code_of
from services.scoring.domain import Mark, State
from services.scoring.handlers import Library
from services.scoring.headcounts import Headcounts
from services.scoring.prizes import Prize
from services.scoring.publication import Final
from services.scoring.settlement import Outcome
from services.scoring.settling import Settler
from services.scoring.store import Head, snapshots, views
from tests.console_house import submit
from tests.organisers import member
from tests.scoring_house import CONTEST, NOW, PLAN, ScoringHouse
from tests.unit.published_round import SALT, final_round, written

PAGE = "/console/rounds/thi/overall"
FINAL = final_round(40, plan=PLAN)


@pytest.fixture
async def scoring(tmp_path: Path) -> Any:
    made = ScoringHouse(tmp_path)
    yield made
    await made.house.close()


def settler(scoring: ScoringHouse, folder: Path) -> Settler:
    runtime = Runtime(
        service="scoring", settings=Settings(data_dir=folder), clock=scoring.clock, bus=cast("Any", scoring.bus),
        journal=cast("Any", None), store=scoring.store, secrets=Secrets(folder), encode=encode,
    )  # fmt: skip
    return Settler(runtime, Library(scoring.book), Headcounts())


async def publish_round(scoring: ScoringHouse) -> None:
    """The round of the house as published: its standings, its file."""
    file = written(FINAL)
    digest = file.splitlines()[-1].partition(b'"digest":"')[2][:64].decode()
    await scoring.store["draws"].insert_many([{"_id": PLAN.id, "seed": Binary(bytes(32)), "salt": Binary(SALT), "at": NOW}])
    await scoring.standings.write(PLAN.id, "c" * 64, {"": FINAL.rows})
    head = Head(
        revision=0, checksum="c" * 64, closes=us_of(PLAN.closes), marks=b"", ranked_at=NOW, people=len(FINAL.rows),
        attempts=len(FINAL.judged), valid=1, perfect=1, told=True,
    )  # fmt: skip
    assert await scoring.standings.claim(PLAN.id, None, head)
    await scoring.settlements.keep_file(PLAN.id, digest, file)
    outcome = Outcome(awards=(), draws=None, names={}, units={}, digest=digest, checksum="c" * 64, perfect=1, finalised_at=NOW)
    assert await scoring.settlements.ask(PLAN.id, "c" * 64, None)
    assert await scoring.settlements.settle(PLAN.id, outcome)
    assert await scoring.settlements.publish(PLAN.id)
    await scoring.settlements.told(PLAN.id)


async def test_a_contest_is_settled_from_the_files_of_its_rounds(scoring: ScoringHouse, tmp_path: Path) -> None:
    worker, browser = settler(scoring, tmp_path), await scoring.house.signed_in("city")
    refused = await submit(browser, PAGE, PAGE, action="settle", persons="Giải Nhất: 1")
    assert refused.status_code == 409
    assert "Tuần 1" in refused.text
    await publish_round(scoring)
    await worker.turn()  # commits the draw
    page = await submit(browser, PAGE, PAGE, action="settle", persons="Giải Nhất: 1\nGiải Nhì: 2")
    assert "Đang tính giải" in page.text
    await worker.turn()
    settled = await browser.get(PAGE)
    assert FINAL.rows[0].name in settled.text
    assert not scoring.bus.published
    await submit(browser, PAGE, PAGE, action="publish")
    await worker.turn()
    await worker.turn()
    (record,) = scoring.bus.published
    told = decode(record.headers["ce_type"], record.value)
    assert isinstance(told, PrizesAwarded)
    assert [person.prize for person in told.persons] == ["Giải Nhất", "Giải Nhì", "Giải Nhì"]
    rank = {row.participant: row.rank for row in FINAL.rows}
    assert rank[told.persons[0].participant] == 1, "equals draw"
    assert all(rank[person.participant] <= 3 for person in told.persons)
    assert (await submit(browser, PAGE, PAGE, action="reopen")).status_code == 409
    assert await scoring.house.actions() == ["results.settle", "results.publish"]


async def test_a_program_gives_the_prizes_of_a_contest_and_its_certificates_are_genuine(
    scoring: ScoringHouse, tmp_path: Path
) -> None:
    worker, client = settler(scoring, tmp_path), scoring.house.browser()
    key, _ = await scoring.house.console.keys.give(await member(scoring.house.console), "chương trình", "city", None)
    client.headers["Authorization"] = f"Bearer {key}"
    base, overall = "/api/v1/admin/rounds/thi/overall", {"unit_prizes": [{"name": "Đông nhất", "count": 2, "by": "people"}]}
    units = tuple(Unit(code=f"HP-{n:02d}", parent=None, name=f"Phường {n}", kind="ward") for n in range(12))
    scoring.book.apply(msgspec.structs.replace(CONTEST, units=units, revision=1))
    assert (await client.get(base)).json()["waiting"] == [PLAN.id]
    assert (await client.post(f"{base}/finalise", json=overall)).status_code == 409
    await publish_round(scoring)
    await worker.turn()
    elsewhere = {"unit_prizes": [{"name": "Đông nhất", "count": 2, "tree": "rung"}]}
    refused = await client.post(f"{base}/finalise", json=elsewhere)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "unit_prizes")
    assert (await client.post(f"{base}/finalise", json=overall)).json()["phase"] == "asked"
    await worker.turn()
    awards = (await client.get(base)).json()["awards"]
    best = sorted(awards_of(FINAL), key=lambda unit: -awards_of(FINAL)[unit])
    assert awards_of(FINAL)[awards[0]["name"]] == awards_of(FINAL)[best[0]]
    assert [award["prize"] for award in awards] == ["Đông nhất"] * 2
    assert (await client.post(f"{base}/finalise/publish")).json()["file"].startswith("/ket-qua/thi/tep/")
    await worker.turn()
    told = [decode(each.headers["ce_type"], each.value) for each in scoring.bus.published]
    assert [len(each.units) for each in told if isinstance(each, PrizesAwarded)] == [2]
    assert (await client.post(f"{base}/finalise/reopen")).status_code == 409
    assert await scoring.house.actions() == ["results.settle", "results.publish"]

    browser = await scoring.house.signed_in("city")
    form = {"award": "units by people >= 0|1", "name": "Phường Văn Đẩu"}
    paper = await submit(browser, PAGE, "/console/rounds/thi/certificate", **form)
    assert paper.content.startswith(b"%PDF")
    shown = await client.get(f"/chung-nhan/{code_of(bytes(32), 'thi', 'units by people >= 0', 1)}")
    assert "Giấy chứng nhận có thật" in shown.text
    assert awards[0]["name"] in shown.text
    assert 'href="/ket-qua/thi"' in shown.text
    assert awards[0]["name"] in (await client.get("/ket-qua/thi")).text
    assert (await client.get("/ket-qua/khong-co")).status_code == 404


def awards_of(final: Final) -> Counter[str]:
    """People of each unit, by its name."""
    return Counter(f"Phường {int(unit[3:])}" for unit in latest_units(final.judged).values())


async def test_the_prizes_that_a_contest_names_are_proposed_first(scoring: ScoringHouse) -> None:
    browser, page = await scoring.house.signed_in("city"), f"/console/rounds/{PLAN.id}/prizes"
    assert "Giải Khuyến khích: 10" in (await browser.get(page)).text
    named = PrizePlans(
        round=(PrizePlan(name="Giải Nhất tuần", count=4),),
        unit=(PrizePlan(name="Tỷ lệ", count=3, by="rate", least=30), PrizePlan(name="Trường", count=2, tree="truong", level=2)),
    )
    trees = (Tree(id="territory", name="Địa bàn"), Tree(id="truong", name="Trường học"))
    scoring.book.apply(msgspec.structs.replace(CONTEST, prizes=named, trees=trees, revision=1))
    of_round, of_contest = (await browser.get(page)).text, (await browser.get(PAGE)).text
    assert ("Giải Nhất tuần: 4" in of_round, "Khuyến khích" in of_round, "Tỷ lệ: 3" in of_round) == (True, False, False)
    assert "Tỷ lệ: 3</textarea>" in of_contest
    assert 'value="30"' in of_contest
    assert "Trường: 2 | truong | 2</textarea>" in of_contest
    await scoring.rank()
    sent = {"persons": "Khác: 1", "rates": "Tỷ lệ: 3", "least": "20", "units": "Trường: 2 | truong | 2\nĐịa bàn: 1"}
    await submit(browser, page, page, action="settle", **sent)
    held = (await scoring.settlements.get(PLAN.id)).unit_prizes
    assert [(p.name, p.by, p.least, p.tree, p.level) for p in held] == [
        ("Tỷ lệ", "rate", 20, "", 0), ("Trường", "people", 0, "truong", 2), ("Địa bàn", "people", 0, "", 0),
    ]  # fmt: skip
    await scoring.settlements.give_up(PLAN.id, "")
    again = (await browser.get(page)).text
    assert ("Khác: 1" in again, "Giải Nhất tuần" in again) == (True, False)


async def test_a_round_that_came_since_keeps_the_prizes_from_being_published(scoring: ScoringHouse, tmp_path: Path) -> None:
    worker = settler(scoring, tmp_path)
    await publish_round(scoring)
    await worker.turn()
    await scoring.closing.settle_contest("thi", (Prize(name="Giải Nhất", count=1),))
    await worker.turn()
    later = msgspec.structs.replace(PLAN, id="thi.tuan-2", revision=1)
    scoring.book.apply(msgspec.structs.replace(CONTEST, rounds=(PLAN, later), revision=1))
    with pytest.raises(Problem, match="rounds-changed"):
        await scoring.closing.publish_contest("thi")


async def test_the_published_standings_count_whatever_was_ranked_since(scoring: ScoringHouse, tmp_path: Path) -> None:
    worker = settler(scoring, tmp_path)
    await publish_round(scoring)
    head = await scoring.standings.head(PLAN.id)
    assert head is not None
    late = msgspec.structs.replace(FINAL.rows[0], participant="late")
    await scoring.standings.write(PLAN.id, "e" * 64, {"": [*FINAL.rows, late]})
    later = msgspec.structs.replace(head, revision=1, checksum="e" * 64, people=len(FINAL.rows) + 1)
    assert await scoring.standings.claim(PLAN.id, head, later)
    await worker.turn()
    await scoring.closing.settle_contest("thi", (Prize(name="Giải", count=1),))
    await worker.turn()
    outcome = (await scoring.settlements.get("thi")).outcome
    assert outcome is not None
    assert len(outcome.awards) == 1


@pytest.mark.parametrize(("prediction", "kinds"), [(None, []), ("Bao nhiêu?", [ResultsPublished, RoundRanked])])
async def test_a_round_is_told_as_it_was_settled_whatever_was_ranked_since(
    scoring: ScoringHouse, tmp_path: Path, prediction: str | None, kinds: list[type]
) -> None:
    worker = settler(scoring, tmp_path)
    plan = msgspec.structs.replace(PLAN, prediction=prediction)
    scoring.book.apply(msgspec.structs.replace(CONTEST, rounds=(plan,), revision=1))
    await scoring.rank()
    await scoring.standings.write(PLAN.id, "c" * 64, {"": FINAL.rows[:9]})
    assert await scoring.settlements.ask(PLAN.id, "c" * 64, None)
    finalised = RoundFinalised(
        time=NOW, round=PLAN.id, contest="thi", people=9, attempts=12, valid=12, perfect=1, pages=1, checksum="c" * 64, revision=0
    )
    outcome = Outcome(
        awards=(), draws=None, names={}, units={}, digest="d" * 64, checksum="c" * 64, perfect=1, finalised_at=NOW,
        finalised=finalised,
    )  # fmt: skip
    assert await scoring.settlements.settle(PLAN.id, outcome)
    assert await scoring.settlements.publish(PLAN.id)
    head = await scoring.standings.head(PLAN.id)
    assert head is not None
    assert await scoring.standings.claim(PLAN.id, head, msgspec.structs.replace(head, revision=1, checksum="e" * 64))
    await worker.turn()
    await worker.turn()
    *ranking, last = [decode(each.headers["ce_type"], each.value) for each in scoring.bus.published]
    assert last == finalised
    assert [type(each) for each in ranking] == kinds, "what was to be predicted is told with the final result alone"
    assert [len(each.rows) for each in ranking if isinstance(each, ResultsPublished)] == [9 for _ in kinds[:1]]
    assert [(each.checksum, each.revision) for each in ranking if isinstance(each, RoundRanked)] == [("c" * 64, 0)][: len(kinds)]


async def test_a_round_is_settled_by_what_was_ranked_alone(scoring: ScoringHouse, tmp_path: Path) -> None:
    worker = settler(scoring, tmp_path)
    await scoring.rank()
    await scoring.settlements.ask(PLAN.id, "c" * 64, None)
    mark = Binary(msgspec.msgpack.encode({PLAN.id: Mark(us_of(PLAN.closes), 0, 7)}))
    await views(scoring.store).insert_many([{"_id": 0, "offsets": {}, "body": mark}])
    await snapshots(scoring.store).insert_many(
        [{"_id": 0, "body": msgspec.msgpack.encode(State(rounds={PLAN.id: Mark(us_of(PLAN.closes), 0, 7)}))}]
    )
    await worker.turn()
    assert (await scoring.settlements.get(PLAN.id)).phase == "asked", "it is being ranked anew"
    await views(scoring.store).delete_many({})
    await worker.turn()
    outcome, head = (await scoring.settlements.get(PLAN.id)).outcome, await scoring.standings.head(PLAN.id)
    assert outcome
    assert head
    assert outcome.basis == head.basis


async def test_no_settlement_stops_another(scoring: ScoringHouse, tmp_path: Path) -> None:
    worker = settler(scoring, tmp_path)
    await scoring.rank()
    for each in ("a.round-that-nobody-knows", "thi", PLAN.id):
        await scoring.settlements.ask(each, "c" * 64, None)
    await worker.turn()
    assert (await scoring.settlements.get(PLAN.id)).phase == "settled"
    contest = await scoring.settlements.get("thi")
    assert (contest.phase, contest.fault) == ("draft", settling.UNPUBLISHED)


async def test_a_settlement_that_fails_is_given_up_with_a_reason(scoring: ScoringHouse, tmp_path: Path) -> None:
    worker = settler(scoring, tmp_path)
    await publish_round(scoring)
    for piece in scoring.store["files"].documents.values():
        piece["body"] = Binary(b"damaged")
    await scoring.closing.settle_contest("thi", (Prize(name="Giải Nhất", count=1),))
    await worker.turn()
    contest = await scoring.settlements.get("thi")
    assert (contest.phase, contest.fault) == ("draft", settling.FAILED)


async def test_winners_who_agreed_are_named_in_full_and_nobody_else(scoring: ScoringHouse, tmp_path: Path) -> None:
    worker = settler(scoring, tmp_path)
    scoring.book.apply(msgspec.structs.replace(CONTEST, publishing_consent="v2", revision=1))
    first, second, third, fourth, last = (row.participant for row in [*FINAL.rows[:4], FINAL.rows[-1]])
    said = [
        person(first, "Đặng Thuỳ Trâm", "v2"),
        person(second, "Nguyễn Văn Hai", "v1"),
        person(third, "Lê Thị Ba", "v2"),
        ParticipantErased(time=NOW, participant=third, contest="thi", revision=1),
        person(fourth, "Phạm Bốn", "v1"),
        person(fourth, "Phạm Văn Bốn", "v2", 1),
        person(last, "Không Đạt Giải", "v2"),
    ]
    scoring.bus.held["participants"] = [
        Record("participants", 0, at, event.key, encode(event), {"ce_type": event.type}, 0) for at, event in enumerate(said)
    ]
    await publish_round(scoring)
    await worker.turn()
    await scoring.closing.settle_contest("thi", (Prize(name="Giải", count=20),))
    await worker.turn()
    outcome = (await scoring.settlements.get("thi")).outcome
    assert outcome
    shown = {each.participant: each.name for each in outcome.awarded.persons} if outcome.awarded else {}
    assert shown | {first: "Đặng Thuỳ Trâm", fourth: "Phạm Văn Bốn"} == shown
    assert all(shown[row.participant] == row.name for row in FINAL.rows if row.participant in shown.keys() - {first, fourth})
    assert {second, third} <= shown.keys()
    assert sorted(shown.values()) == sorted(award.name for award in outcome.awards)


def person(participant: str, name: str, consent: str, revision: int = 0) -> ParticipantRegistered:
    return ParticipantRegistered(
        time=NOW, participant=participant, contest="thi", name=name, phone="+84900000000", unit="A", categories=(),
        consent=consent, revision=revision,
    )  # fmt: skip


@pytest.mark.parametrize("role", ["reader", "operator"])
async def test_only_the_city_sees_it(scoring: ScoringHouse, role: Role) -> None:
    assert (await (await scoring.house.signed_in(role)).get(PAGE)).status_code == 403
