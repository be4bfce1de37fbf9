"""What a round still lacks before its result may be settled; what a person may set aside, and that it is on record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from bson import Binary

from services.events import AttemptRuled
from services.kit.clock import us_of
from services.kit.console.audit_log import sealed
from services.kit.problems import Problem
from services.scoring.domain import Mark, Row
from services.scoring.exclusions import Exclusion, Exclusions
from services.scoring.prizes import Prize
from services.scoring.store import encoded, views
from tests.console_house import submit
from tests.scoring_house import CLOSES, LONG_AGO, NOW, PLAN, ScoringHouse

PAGE = f"/console/rounds/{PLAN.id}/prizes"
PRIZES = (Prize(name="Giải Nhất", count=1),)


@pytest.fixture
async def scoring(tmp_path: Path) -> AsyncIterator[ScoringHouse]:
    made = ScoringHouse(tmp_path)
    yield made
    await made.house.close()


async def lacking(scoring: ScoringHouse) -> list[str]:
    return [lack.code for lack in (await scoring.closing.readiness(PLAN)).lacks]


async def test_a_round_waits_for_its_ranking_and_then_for_nobody_on_one_machine(scoring: ScoringHouse) -> None:
    assert await lacking(scoring) == ["not-ranked"]
    await scoring.rank()
    assert await lacking(scoring) == []
    await scoring.closing.settle(PLAN, PRIZES, ())
    assert (await scoring.settlements.get(PLAN.id)).phase == "asked"


@pytest.mark.parametrize(
    ("until", "waits"),
    [
        (None, True),
        (CLOSES, True),
        (CLOSES + timedelta(seconds=1.9), True),
        (CLOSES + timedelta(seconds=2), False),
        (NOW, False),
    ],
)
async def test_a_host_is_waited_for_until_all_of_the_round_has_left_it(scoring: ScoringHouse, until: object, waits: bool) -> None:
    await scoring.rank()
    scoring.hear("a", NOW)
    scoring.hear("b", until)  # type: ignore[arg-type]
    assert await lacking(scoring) == (["journals"] if waits else [])


async def test_one_that_left_drained_is_not_waited_for_and_one_that_comes_back_is(scoring: ScoringHouse) -> None:
    await scoring.rank()
    scoring.hear("b", LONG_AGO, NOW - timedelta(days=3), left=True)
    scoring.hear("b", LONG_AGO, NOW - timedelta(days=4))  # an older word, read again
    assert await lacking(scoring) == []
    scoring.hear("b", None, NOW)
    assert await lacking(scoring) == ["journals"]


async def test_what_is_submitted_and_not_judged_blocks(scoring: ScoringHouse) -> None:
    await scoring.rank(submitted=12, judged=11)
    assert await lacking(scoring) == ["audit"]
    with pytest.raises(Problem) as refused:
        await scoring.closing.settle(PLAN, PRIZES, ())
    assert (refused.value.status, refused.value.code, refused.value.extra) == (409, "audit", {"lacks": ["audit"]})


async def test_a_person_may_set_a_silent_host_aside_but_not_the_ranking(scoring: ScoringHouse) -> None:
    scoring.hear("b", LONG_AGO)
    with pytest.raises(Problem, match="nothing-to-set-aside"):
        await scoring.closing.set_aside(PLAN, "máy chủ hỏng đĩa", "somebody")
    await scoring.rank()
    with pytest.raises(Problem, match="reason"):
        await scoring.closing.set_aside(PLAN, "x", "somebody")
    await scoring.closing.set_aside(PLAN, "máy chủ hỏng đĩa", "somebody")
    await scoring.closing.settle(PLAN, PRIZES, ())
    await scoring.outcome()
    settled = await scoring.settlements.get(PLAN.id)
    assert settled.override
    assert (settled.override.by, settled.override.reason) == ("somebody", "máy chủ hỏng đĩa")
    await scoring.closing.publish(PLAN)
    assert (await scoring.settlements.get(PLAN.id)).override


async def test_an_override_that_was_not_needed_in_the_end_is_not_told(scoring: ScoringHouse) -> None:
    await scoring.rank()
    scoring.hear("b", None, NOW - timedelta(minutes=1))
    await scoring.closing.set_aside(PLAN, "máy chủ hỏng đĩa", "somebody")
    scoring.hear("b", NOW)
    await scoring.closing.settle(PLAN, PRIZES, ())
    assert (await scoring.settlements.get(PLAN.id)).override is None


async def test_an_override_of_before_an_extension_does_not_outlive_it(scoring: ScoringHouse) -> None:
    await scoring.rank()
    scoring.hear("b", None)
    await scoring.closing.set_aside(PLAN, "máy chủ hỏng đĩa", "somebody")
    later = msgspec.structs.replace(PLAN, closes=NOW + timedelta(minutes=5))
    scoring.clock.advance(timedelta(minutes=10))
    assert [lack.code for lack in (await scoring.closing.readiness(later)).blocks] == ["not-ranked", "journals"]


async def test_a_host_that_comes_to_light_later_keeps_a_settled_round_from_being_published(scoring: ScoringHouse) -> None:
    await scoring.rank()
    await scoring.closing.settle(PLAN, PRIZES, ())
    await scoring.outcome()
    scoring.hear("b", None)
    with pytest.raises(Problem, match="journals"):
        await scoring.closing.publish(PLAN)


async def test_the_page_names_the_host_and_the_override_is_in_the_audit_log(scoring: ScoringHouse) -> None:
    await scoring.rank(submitted=48210, judged=48210)
    scoring.hear("3fa9", CLOSES, NOW - timedelta(minutes=7))
    browser: httpx.AsyncClient = await scoring.house.signed_in("city")
    page = (await browser.get(PAGE)).text
    assert "48.210 lượt = 48.210 điểm" in " ".join(page.split())
    assert "may-3fa9" in page
    assert "tin cuối lúc 14:53 25/11/2026" in page
    assert "disabled" in page
    assert (await submit(browser, PAGE, PAGE, action="settle", persons="Giải Nhất: 1", units="")).status_code == 409
    done = await submit(browser, PAGE, PAGE, action="override", reason="máy chủ hỏng đĩa")
    assert "disabled" not in done.text
    assert "máy chủ hỏng đĩa" in done.text
    assert "results.override" in await scoring.house.actions()
    assert (await submit(browser, PAGE, PAGE, action="settle", persons="Giải Nhất: 1", units="")).status_code == 200


async def test_who_is_excluded_is_on_record_until_the_prizes_are_worked_out(scoring: ScoringHouse) -> None:
    await scoring.rank()
    row = Row(1, "k3vq", 1, "Lê H***", "A", 20, 1000, None)
    await scoring.standings.write(PLAN.id, "c" * 64, {"": [row]})
    browser = await scoring.house.signed_in("city")
    form = {"action": "exclude", "attempt": f"k3vq:{PLAN.id}:1", "why": "questions", "reason": "ra đề tuần này"}
    page = await submit(browser, PAGE, PAGE, **form)
    assert "ra đề tuần này" in page.text
    assert [(e.participant, e.why) for e in await scoring.closing.excluded(PLAN)] == [("k3vq", "questions")]
    assert (await submit(browser, PAGE, PAGE, **form | {"attempt": f"ai-do:{PLAN.id}:1"})).status_code == 404
    assert (await submit(browser, PAGE, PAGE, **form | {"attempt": "k3vq:thi.tuan-9:1"})).status_code == 404
    assert (await submit(browser, PAGE, PAGE, **form | {"why": "x"})).status_code == 422
    assert (
        "ra đề tuần này"
        not in (await submit(browser, PAGE, PAGE, action="include", participant="k3vq", reason="không phải người ra đề")).text
    )
    assert (
        await submit(browser, PAGE, PAGE, action="include", participant="k3vq", reason="không phải người ra đề")
    ).status_code == 404
    await submit(browser, PAGE, PAGE, **form)
    assert await scoring.house.actions() == ["results.exclude", "results.include", "results.exclude"]
    assert "ra đề tuần này" not in await scoring.house.noted(), "words may name somebody, and the log is for ever"
    assert sealed("ra đề tuần này") in await scoring.house.noted()
    await submit(browser, PAGE, PAGE, action="settle", persons="Giải Nhất: 1", rates="Tỷ lệ: 2", least="50", units="Đông: 1")
    settlement = await scoring.settlements.get(PLAN.id)
    assert [(p.name, p.by, p.least) for p in settlement.unit_prizes] == [("Tỷ lệ", "rate", 50), ("Đông", "people", 0)]
    with pytest.raises(Problem, match="phase"):
        await scoring.closing.include(PLAN.id, [], "k3vq", "không phải người ra đề", "o1")


async def test_who_is_excluded_while_prizes_are_worked_out_is_said_to_count_after_the_next_time(
    scoring: ScoringHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scoring.rank()
    await scoring.standings.write(PLAN.id, "c" * 64, {"": [Row(1, "k3vq", 1, "Lê H***", "A", 20, 1000, None)]})
    browser, put = await scoring.house.signed_in("city"), Exclusions.put

    async def late(self: Exclusions, round: str, made: Exclusion) -> None:
        await scoring.closing.settle(PLAN, (), ())
        await put(self, round, made)

    monkeypatch.setattr(Exclusions, "put", late)
    form = {"action": "exclude", "attempt": f"k3vq:{PLAN.id}:1", "why": "questions", "reason": "ra đề tuần này"}
    refused = await submit(browser, PAGE, PAGE, **form)
    assert refused.status_code == 409
    assert "hãy mở lại rồi tính lại" in refused.text
    assert await scoring.house.actions() == ["results.exclude"]


async def test_the_first_tree_has_one_name_and_one_ladder(scoring: ScoringHouse) -> None:
    await scoring.rank()
    await scoring.closing.settle(PLAN, (), [Prize(name="Nhất", count=1), Prize(name="Nhì", count=1, tree="territory")])
    settlement = await scoring.settlements.get(PLAN.id)
    assert [prize.tree for prize in settlement.unit_prizes] == ["", ""]


async def test_a_winner_who_is_disqualified_at_the_last_moment_is_not_published(scoring: ScoringHouse) -> None:
    await scoring.rank()
    await scoring.judge("an")
    await scoring.judge("binh")
    await scoring.closing.settle(PLAN, PRIZES, ())
    await scoring.outcome()
    await scoring.casebook.rule([ruling("binh", True), ruling("binh", False, 2)])
    assert await lacking(scoring) == []
    await scoring.casebook.rule([ruling("an", True)])
    with pytest.raises(Problem, match="not-ranked"):
        await scoring.closing.publish(PLAN)


async def test_one_who_is_reinstated_at_the_last_moment_is_waited_for(scoring: ScoringHouse) -> None:
    await scoring.rank()
    await scoring.judge("an", "disqualified")
    await scoring.casebook.rule([ruling("an", True), ruling("an", False, 2)])
    assert await lacking(scoring) == ["not-ranked"], "the ruling is on its way to the log"
    await scoring.judge("an", "valid", revision=1)
    scoring.bus.ends["rulings"] = {0: 2, 1: 0}
    await view(scoring, {"rulings": 1}, {})
    assert await lacking(scoring) == ["not-ranked"], "the ruling has been judged by, and not yet written to a view"
    await view(scoring, {"rulings": 2}, {})
    assert await lacking(scoring) == []


async def test_what_no_ranked_row_shows_keeps_an_old_outcome_from_being_published(scoring: ScoringHouse) -> None:
    await scoring.rank()
    await scoring.closing.settle(PLAN, PRIZES, ())
    await scoring.outcome()
    head = await scoring.standings.head(PLAN.id)
    assert head
    counted = msgspec.structs.replace(head, revision=1, valid=head.valid - 1)  # another tally under the same checksum
    assert await scoring.standings.claim(PLAN.id, head, counted)
    with pytest.raises(Problem, match="ranking-changed"):
        await scoring.closing.publish(PLAN)
    await scoring.closing.reopen(PLAN)
    await scoring.closing.settle(PLAN, PRIZES, ())
    await scoring.outcome()
    rounds = {PLAN.id: Mark(us_of(CLOSES), 0, 7)}
    await view(scoring, {}, rounds)  # one attempt out and another in again: the same tally on other marks
    basis = encoded({0: rounds[PLAN.id]})
    assert await scoring.standings.claim(PLAN.id, counted, msgspec.structs.replace(counted, marks=basis))
    review = await scoring.casebook.review(PLAN.id)
    assert review
    await scoring.casebook.file(PLAN.id, [], replace(review, basis=basis))
    assert await lacking(scoring) == []
    with pytest.raises(Problem, match="ranking-changed"):
        await scoring.closing.publish(PLAN)


async def test_what_was_judged_since_the_ranking_is_waited_for(scoring: ScoringHouse) -> None:
    await scoring.rank()
    await view(scoring, {}, {PLAN.id: Mark(us_of(CLOSES), 0, 7)})
    assert await lacking(scoring) == ["not-ranked"]


async def view(scoring: ScoringHouse, offsets: dict[str, int], rounds: dict[str, Mark]) -> None:
    """How far the only partition has come."""
    body = {"offsets": offsets, "body": Binary(msgspec.msgpack.encode(rounds))}
    await views(scoring.store).update_one({"_id": 0}, {"$set": body}, upsert=True)


def ruling(who: str, disqualified: bool, revision: int = 1) -> AttemptRuled:
    return AttemptRuled(
        time=NOW, attempt=f"{who}:{PLAN.id}:1", participant=who, round=PLAN.id, n=1, disqualified=disqualified,
        reason="nhờ thi hộ", by="o1", revision=revision,
    )  # fmt: skip


async def test_a_proposed_key_blocks_until_it_is_decided(scoring: ScoringHouse) -> None:
    await scoring.rank()
    await scoring.trials.note_pending(PLAN.id, 2)
    assert await lacking(scoring) == ["key-proposed"]
    with pytest.raises(Problem, match="nothing-to-set-aside"):
        await scoring.closing.set_aside(PLAN, "không cần chờ", "somebody")
    await scoring.trials.note_pending(PLAN.id, 0)
    assert await lacking(scoring) == []


async def test_a_published_round_says_that_it_is_final(scoring: ScoringHouse) -> None:
    await scoring.rank()
    await scoring.closing.settle(PLAN, PRIZES, ())
    await scoring.outcome()
    await scoring.closing.publish(PLAN)
    page = (await (await scoring.house.signed_in("city")).get(PAGE)).text
    assert "là kết quả cuối cùng" in page
    assert 'value="reopen"' not in page
