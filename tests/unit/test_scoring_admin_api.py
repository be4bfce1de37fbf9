"""What programs may do after a round has closed: the same steps as the console's, with the same refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from services.events import AttemptRuled, decode
from services.kit.console import Role
from services.kit.console.audit_log import sealed
from services.kit.tokens import looked_at
from services.kit.tokens import trial as trial_of
from services.scoring.anomalies import Case
from services.scoring.mending import Trial, Trials
from services.scoring.prizes import Award
from services.scoring.statistics import Item
from tests.organisers import member
from tests.scoring_house import CONTEST, LONG_AGO, NOW, PLAN, ScoringHouse

BASE = f"/api/v1/admin/rounds/{PLAN.id}"
PRIZES = {"prizes": [{"name": "Giải Nhất", "count": 1}], "unit_prizes": [{"name": "Tập thể", "count": 1, "by": "rate"}]}
AWARDS = (Award(ladder="persons", prize="Giải Nhất", place=1, winner="x", rank=1, name="Lê H***"),)


@pytest.fixture
async def scoring(tmp_path: Path) -> AsyncIterator[ScoringHouse]:
    made = ScoringHouse(tmp_path)
    yield made
    await made.house.close()


async def program(scoring: ScoringHouse, role: Role = "city") -> httpx.AsyncClient:
    """A client with an API key of this role."""
    key, _ = await scoring.house.console.keys.give(await member(scoring.house.console), "chương trình", role, None)
    client = scoring.house.browser()
    client.headers["Authorization"] = f"Bearer {key}"
    return client


async def call(client: httpx.AsyncClient, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
    answer = await client.request(method, BASE + path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def test_a_program_takes_a_ranked_round_to_its_publication(scoring: ScoringHouse) -> None:
    client = await program(scoring)
    assert [lack["code"] for lack in (await call(client, "GET", "/results"))["lacks"]] == ["not-ranked"]
    refused = await call(client, "POST", "/finalise", PRIZES, status=409)
    assert refused["lacks"] == ["not-ranked"]
    await scoring.rank()
    scoring.hear("b", LONG_AGO)
    shown = await call(client, "GET", "/results")
    assert [(host["machine"], host["host"]) for host in shown["hosts"]] == [("may-b", "b")]
    assert shown["audit"] == {"submitted": 12, "judged": 12, "agrees": True}
    assert (await call(client, "POST", "/finalise", PRIZES, status=409))["lacks"] == ["journals"]
    shown = await call(client, "POST", "/finalise/override", {"reason": "máy chủ hỏng đĩa"})
    assert shown["lacks"][0] | {"text": ""} == {"code": "journals", "text": "", "blocks": False}
    assert (await call(client, "POST", "/finalise", PRIZES, status=202))["phase"] == "asked"
    await call(client, "POST", "/finalise", PRIZES, status=409)
    settlement = await scoring.settlements.get(PLAN.id)
    assert [(prize.name, prize.by) for prize in settlement.unit_prizes] == [("Tập thể", "rate")]
    await scoring.outcome(AWARDS)
    shown = await call(client, "POST", "/finalise/publish")
    assert (shown["phase"], shown["file"]) == ("published", f"/ket-qua/{PLAN.id}/tep/{'d' * 64}")
    assert [award["name"] for award in shown["awards"]] == ["Lê H***"]
    await call(client, "POST", "/finalise/reopen", status=409)
    assert await scoring.house.actions() == ["results.override", "results.settle", "results.publish"]


async def test_too_many_prizes_and_unknown_fields_are_refused_by_name(scoring: ScoringHouse) -> None:
    client = await program(scoring)
    await scoring.rank()
    many = {"prizes": [{"name": f"Giải {n}", "count": 1} for n in range(13)]}
    assert (await call(client, "POST", "/finalise", many, status=422))["errors"][0]["field"] == "prizes"
    body = {"prizes": [{"name": "Giải", "count": 0}]}
    assert (await call(client, "POST", "/finalise", body, status=422))["errors"][0]["field"] == "prizes.0.count"
    assert (await call(client, "POST", "/finalise", {"giai": []}, status=422))["errors"][0]["field"] == "giai"
    assert (await scoring.settlements.get(PLAN.id)).phase == "draft"


async def test_attempts_are_disqualified_and_reinstated_once_each_with_a_reason(scoring: ScoringHouse) -> None:
    client, attempt = await program(scoring), await scoring.judge("k3vq")
    await call(client, "POST", "/disqualify", {"attempt": attempt, "reason": "thi hộ"}, status=204)
    await call(client, "POST", "/disqualify", {"attempt": attempt, "reason": "thi hộ"}, status=204)
    await call(client, "POST", "/reinstate", {"attempt": attempt, "reason": "đã xác minh"}, status=204)
    told = [decode(each.headers["ce_type"], each.value) for each in scoring.bus.published]
    assert [(e.disqualified, e.revision, e.by[:4]) for e in told if isinstance(e, AttemptRuled)] == [
        (True, 1, "key/"), (False, 2, "key/"),
    ]  # fmt: skip
    assert sealed("thi hộ") in await scoring.house.noted()
    assert "thi hộ" not in await scoring.house.noted()
    short = await call(client, "POST", "/disqualify", {"attempt": attempt, "reason": "x"}, status=422)
    assert short["errors"][0]["field"] == "reason"
    for unknown in ("k3vq:thi.tuan-2:1", "k3vq:thi.tuan-1:2", "x"):
        await call(client, "POST", "/disqualify", {"attempt": unknown, "reason": "thi hộ"}, status=404)


async def test_cases_are_listed_and_decided(scoring: ScoringHouse) -> None:
    client = await program(scoring)
    await scoring.rank()
    review = await scoring.casebook.review(PLAN.id)
    assert review
    attempts = (await scoring.judge("a1"), await scoring.judge("a2"))
    await scoring.casebook.file(PLAN.id, [Case("shared_device", attempts, 6), Case("too_fast", attempts[:1], 900)], review)
    listed = await call(client, "GET", "/cases")
    assert {case["kind"] for case in listed} == {"shared_device", "too_fast"}
    assert (await call(client, "GET", "/results"))["cases"] == 2
    for case, action in zip(listed, ("clear", "disqualify"), strict=True):
        decision = {"case": case["id"], "action": action, "reason": "đã gọi điện hỏi"}
        await call(client, "POST", "/cases/decide", decision, status=204)
        await call(client, "POST", "/cases/decide", decision, status=409)
    assert await call(client, "GET", "/cases") == []
    await call(client, "POST", "/cases/decide", {"case": "khac/x", "action": "clear", "reason": "đã gọi điện"}, status=404)


async def test_the_trial_of_a_key_is_told(scoring: ScoringHouse) -> None:
    client = await program(scoring)
    await call(client, "GET", "/key/trial", status=404)
    trial = Trial(
        round=PLAN.id, version=2, reason="đề in nhầm", at=NOW, people=9, up=1, down=1, perfect_before=1, perfect_after=2,
        changes=(),
    )  # fmt: skip
    await Trials(scoring.store).put(msgspec.structs.replace(trial, at=PLAN.closes - timedelta(seconds=1)))
    assert (await call(client, "GET", "/key/trial"))["seen"] == "", "the round was opened again since"
    await Trials(scoring.store).put(msgspec.structs.replace(trial, at=PLAN.closes))
    told = await call(client, "GET", "/key/trial")
    assert told["perfect_after"] == 2
    assert looked_at(scoring.house.secrets).verify(told["seen"]) == trial_of(PLAN.id, 2, PLAN.closes)


@pytest.mark.parametrize("role", ["operator", "reader"])
async def test_only_the_city_may(scoring: ScoringHouse, role: Role) -> None:
    client = await program(scoring, role)
    await call(client, "GET", "/results", status=403)
    await call(client, "POST", "/finalise", PRIZES, status=403)
    await call(scoring.house.browser(), "GET", "/results", status=401)
    await call(await scoring.house.signed_in(), "POST", "/finalise/publish", status=403)  # a session without its form's token


async def test_an_unknown_round_is_not_found(scoring: ScoringHouse) -> None:
    client = await program(scoring)
    assert (await client.get("/api/v1/admin/rounds/thi.tuan-9/results")).status_code == 404


STATS = f"/api/v1/stats/questions?round={PLAN.id}"


async def test_question_statistics_are_public_after_the_last_round_and_whole_for_organisers(scoring: ScoringHouse) -> None:
    everyone, organiser = scoring.house.browser(), await program(scoring)
    await scoring.rank(sums={"q2": Item(3, 1, 9, 31, 4, {"A": 1, "B": 2}), "q1": Item(2, 2, 8, 34, 8, {"C": 2})})
    shown = (await everyone.get(STATS)).json()
    assert shown[0] == {"question": "q1", "n": 2, "facility": 1.0, "discrimination": None}
    assert [each["question"] for each in shown] == ["q1", "q2"]
    assert (await organiser.get(STATS)).json()[1]["chosen"] == {"A": 1, "B": 2}
    later = msgspec.structs.replace(PLAN, id="thi.tuan-2", closes=NOW.replace(year=2027), revision=1)
    scoring.book.apply(msgspec.structs.replace(CONTEST, rounds=(PLAN, later), revision=1))
    assert (await everyone.get(STATS)).status_code == 409
    assert (await organiser.get(STATS)).status_code == 200


async def test_with_a_prediction_they_are_public_once_published(scoring: ScoringHouse) -> None:
    asked = msgspec.structs.replace(PLAN, prediction="Có bao nhiêu người đúng hết?", revision=1)
    scoring.book.apply(msgspec.structs.replace(CONTEST, rounds=(asked,), revision=1))
    await scoring.rank(sums={"q1": Item(2, 2, 8, 34, 8, {"C": 2})})
    everyone = scoring.house.browser()
    assert (await everyone.get(STATS)).status_code == 409
    await scoring.closing.settle(asked, (), ())
    await scoring.outcome()
    await scoring.closing.publish(asked)
    assert len((await everyone.get(STATS)).json()) == 1
    assert (await everyone.get("/api/v1/stats/questions?round=x")).status_code == 404
