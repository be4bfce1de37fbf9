"""Rules of authoring: what blocks a round, what a clone is, what each change of a running round does to its plan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.events import Category, RoundPlan, Unit, state_at
from services.kit.problems import Problem
from services.kit.security import BadToken, Secrets
from services.quiz.authoring.checklist import blocked, checklist
from services.quiz.authoring.drafts import RANKING, ContestDraft, RoundDraft, Rules, clone, slug
from services.quiz.authoring.forms import contest_of, rules_of
from services.quiz.authoring.running import changed
from services.quiz.authoring.sealing import Seal
from services.quiz.authoring.units import read, read_text
from services.quiz.authoring.words import explain
from services.quiz.domain import Question, draw

NOW = datetime(2026, 5, 19, 13, 0, tzinfo=UTC)
RULES = Rules(blueprint={"Sử": 2, "*": 3}, codes=4)
ROUND = RoundDraft(id="hp.tuan-1", name="Tuần 1", opens=NOW + timedelta(days=1), closes=NOW + timedelta(days=8), rules=RULES)
CONTEST = ContestDraft(
    id="hp", title="T", kind="K", owner="O", categories=(Category(id="k", name="K"),), consent_text="Tôi đồng ý.",
    units=(Unit(code="HP", parent=None, name="Hải Phòng", kind="city"),), rounds=(ROUND,),
)  # fmt: skip
PLAN = msgspec.structs.replace(ROUND.plan("hp"), state="open", opens=NOW - timedelta(hours=1))

topics = st.dictionaries(st.sampled_from(["Sử", "Địa", "Văn"]), st.integers(0, 6), max_size=3)
blueprints = st.dictionaries(st.sampled_from(["Sử", "Địa", "*"]), st.integers(1, 5), min_size=1, max_size=3)


@given(topics, blueprints, st.integers(1, 3))
def test_the_checklist_lets_pass_exactly_what_can_be_drawn(topics: dict[str, int], blueprint: dict[str, int], codes: int) -> None:
    bank = [Question(f"{t}{n}", t, f"{t} {n}", ("a", "b"), frozenset({0})) for t, count in topics.items() for n in range(count)]
    round = msgspec.structs.replace(ROUND, rules=Rules(blueprint=blueprint, codes=codes))
    passes = not blocked(checklist(CONTEST, round, topics, NOW))
    try:
        draw(bank, blueprint, codes, Random(1))
    except ValueError:
        assert not passes
    else:
        assert passes


@given(st.integers(-20, 20), st.integers(1, 20), st.integers(-20, 20), st.integers(1, 20))
def test_rounds_that_overlap_block_each_other(a: int, long_a: int, b: int, long_b: int) -> None:
    week = NOW + timedelta(days=100)
    one = msgspec.structs.replace(ROUND, opens=week + timedelta(days=a), closes=week + timedelta(days=a + long_a))
    two = msgspec.structs.replace(
        ROUND, id="hp.tuan-2", opens=week + timedelta(days=b), closes=week + timedelta(days=b + long_b)
    )  # fmt: skip
    contest = msgspec.structs.replace(CONTEST, rounds=(one, two))
    overlap = max(a, b) < min(a + long_a, b + long_b)
    for round in (one, two):
        assert bool(blocked(checklist(contest, round, {"Sử": 20, "Địa": 20}, NOW))) == overlap


@pytest.mark.parametrize(
    ("contest", "round", "now"),
    [
        ({"units": ()}, {}, NOW),
        ({"categories": ()}, {}, NOW),
        ({"consent_text": ""}, {}, NOW),
        ({"owner": ""}, {}, NOW),
        ({}, {"closes": ROUND.opens}, NOW),
        ({}, {"closes": ROUND.opens + timedelta(minutes=14)}, NOW),
        ({}, {}, ROUND.closes),
        ({}, {"rules": Rules(blueprint={})}, NOW),
        ({}, {"rules": Rules(ranking=("correct desc", "prediction_gap asc"))}, NOW),
    ],
)
def test_each_lack_blocks(contest: dict[str, object], round: dict[str, object], now: datetime) -> None:
    bank = {"Sử": 60}
    assert not blocked(checklist(CONTEST, msgspec.structs.replace(ROUND, rules=Rules()), bank, NOW))
    changed_round = msgspec.structs.replace(msgspec.structs.replace(ROUND, rules=Rules()), **round)
    missing = blocked(checklist(msgspec.structs.replace(CONTEST, **contest, rounds=()), changed_round, bank, now))
    assert missing
    assert all(point.page for point in missing)


def test_a_clone_is_a_week_later_by_the_clock_on_the_wall() -> None:
    berlin = ZoneInfo("Europe/Berlin")  # its summer time ends on 25 October 2026
    opens = datetime(2026, 10, 19, 8, tzinfo=berlin).astimezone(UTC)
    closes = datetime(2026, 10, 26, 8, tzinfo=berlin).astimezone(UTC)
    round = msgspec.structs.replace(ROUND, name="Tuần 9", opens=opens, closes=closes, stage="published", approved_by="x")
    contest = msgspec.structs.replace(CONTEST, timezone="Europe/Berlin", rounds=(round,))
    new = clone(contest, round)
    assert (new.id, new.name, new.stage, new.approved_by) == ("hp.tuan-10", "Tuần 10", "draft", "")
    assert new.opens.astimezone(berlin).replace(tzinfo=None) == datetime(2026, 10, 26, 8)
    assert new.closes.astimezone(berlin).replace(tzinfo=None) == datetime(2026, 11, 2, 8)
    assert new.opens >= closes
    again = clone(contest.with_round(new), round)
    assert (again.id, again.opens >= new.closes) == ("hp.tuan-11", True)


def test_ids_are_made_of_titles() -> None:
    assert slug("Hải Phòng làm theo lời Bác") == "hai-phong-lam-theo-loi-bac"
    assert slug("Tuần 1", ["tuan-1", "tuan-1-2"]) == "tuan-1-3"
    assert slug("???") == "cuoc-thi"


def test_a_pause_moves_no_deadline_and_a_resumption_neither() -> None:
    paused = changed(PLAN, "pause", NOW).round
    assert (paused.state, paused.closes, paused.revision) == ("paused", PLAN.closes, 1)
    resumed = changed(paused, "resume", NOW).round
    assert (resumed.state, resumed.closes, resumed.revision) == ("open", PLAN.closes, 2)


def test_an_extension_opens_a_closed_round_again_and_keeps_a_pause() -> None:
    later = PLAN.closes + timedelta(hours=1)
    after = PLAN.closes + timedelta(minutes=5)
    closed = msgspec.structs.replace(PLAN, state="closed")
    assert state_at(changed(closed, "extend", after, later).round, after) == "open"
    paused = msgspec.structs.replace(PLAN, state="paused")
    assert state_at(changed(paused, "extend", NOW, later).round, NOW) == "paused"
    upcoming = msgspec.structs.replace(PLAN, state="upcoming")
    assert state_at(changed(upcoming, "extend", PLAN.opens - timedelta(hours=1), later).round, NOW) == "open"


@pytest.mark.parametrize(
    ("change", "state", "closes"),
    [
        ("pause", "paused", None), ("pause", "closed", None), ("resume", "open", None), ("close", "closed", None),
        ("extend", "final", PLAN.closes + timedelta(1)), ("extend", "open", None), ("extend", "open", PLAN.closes),
        ("close", "open", PLAN.closes), ("close", "open", NOW),
    ],
)  # fmt: skip
def test_what_a_state_does_not_allow_is_refused(change: str, state: str, closes: datetime | None) -> None:
    plan = msgspec.structs.replace(PLAN, state=state, closes=NOW if state in ("closed", "final") else PLAN.closes)
    with pytest.raises(Problem):
        changed(plan, change, NOW, closes)  # type: ignore[arg-type]


def test_a_closing_now_leaves_what_came_before_in_time() -> None:
    closed = changed(PLAN, "close", NOW).round
    assert (closed.closes, state_at(closed, NOW)) == (NOW, "closed")
    in_an_hour = changed(PLAN, "close", NOW, NOW + timedelta(hours=1)).round
    assert state_at(in_an_hour, NOW) == "open"


def test_a_seal_fits_its_round_its_content_and_its_installation(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    seal = Seal(Secrets(folder / "a"))
    sealed = seal.close("hp.tuan-1", "key", b"ABCD")
    assert seal.open("hp.tuan-1", "key", sealed) == b"ABCD"
    assert b"ABCD" not in sealed
    broken = bytes([sealed[0] ^ 1]) + sealed[1:]
    for other, round, what, text in [
        (seal, "hp.tuan-2", "key", sealed), (seal, "hp.tuan-1", "papers", sealed), (seal, "hp.tuan-1", "key", broken),
        (Seal(Secrets(folder / "b")), "hp.tuan-1", "key", sealed),
    ]:  # fmt: skip
        with pytest.raises(BadToken):
            other.open(round, what, text)


plans = st.builds(
    RoundPlan, id=st.just("r"), contest=st.just("c"), name=st.just("T"), opens=st.just(NOW), closes=st.just(NOW + timedelta(1)),
    questions=st.integers(1, 40), minutes=st.integers(1, 60), attempts=st.integers(1, 5),
    counting=st.sampled_from(["best", "first", "last"]),
    ranking=st.permutations(RANKING).flatmap(lambda order: st.integers(1, 4).map(lambda n: tuple(order[:n]))),
    prediction=st.none() | st.just("Bao nhiêu?"), show_score=st.just("at_once"), show_key=st.just("after_close"),
)  # fmt: skip


@given(plans)
def test_the_words_follow_the_order_of_the_ranking(plan: RoundPlan) -> None:
    explained = explain(plan)
    cases = explained.cases[1:] if plan.attempts > 1 else explained.cases
    assert [len(case) for case in cases] == list(range(1, len(plan.ranking) + 1))
    for case in cases:
        assert case[-1].text.endswith("An xếp trên.")
        assert all(step.text.endswith("xét tiếp.") for step in case[:-1])
    for sentence in [*explained.rules, *(step for case in explained.cases for step in case)]:
        assert "{" not in sentence.text.format(**sentence.values)


def test_units_come_from_csv_and_excel_alike_and_faults_change_nothing(tmp_path: object) -> None:
    import io

    import xlsxwriter

    table = [["code", "parent", "name", "kind"], ["HP", "", "Hải Phòng", "city"], [303, "HP", "Quận Hồng Bàng", "district"]]
    text = "\n".join(",".join(map(str, row)) for row in table)
    memory = io.BytesIO()
    book = xlsxwriter.Workbook(memory)
    sheet = book.add_worksheet()
    for n, row in enumerate(table):
        sheet.write_row(n, 0, row)
    book.close()
    files = {"u.csv": text.encode("utf-8-sig"), "u.xlsx": memory.getvalue(), "u16.csv": text.encode("utf-16")}
    one, two, three = (read(data) for data in files.values())
    assert one.good
    assert one.units == two.units == three.units
    assert [unit.code for unit in one.units] == ["HP", "303"]
    bad = read_text(text + "\n303,XX,,ward\n", published={"KA"})
    assert not bad.good
    assert [bool(row.faults) for row in bad.rows] == [False, False, True]
    assert "KA" in str(bad.faults[0])
    for broken in (b"PK\x03\x04nonsense", b"\xff\xfe\x00", b"code,parent\xff"):
        with pytest.raises(Problem):
            read(broken)


def test_a_changed_consent_is_another_version_and_a_known_category_keeps_its_id() -> None:
    held = msgspec.structs.replace(CONTEST, consent_version="2023-05", categories=(Category(id="gv", name="Giáo viên"),))
    form = {"title": "T", "kind": "K", "owner": "O", "consent": "Tôi đồng ý.", "categories": "Giáo viên | 95,5\nNhân dân"}
    same = contest_of(form, held)
    assert same.consent_version == "2023-05"
    assert [(c.id, c.target) for c in same.categories] == [("gv", 95.5), ("nhan-dan", None)]
    assert contest_of({**form, "consent": "Khác."}, held).consent_version != "2023-05"
    named = contest_of({**form, "consent": "Tôi đồng ý CÔNG BỐ họ tên.", "publish_names": "winners"}, held)
    assert (named.publish_names, named.publishing_consent) == ("winners", named.consent_version)
    assert same.publishing_consent == ""
    for field, value in [
        ("publish_names", "winners"),
        ("categories", "A | 120"),
        ("documents", "1 | hôm qua | B | C"),
        ("documents", "1"),
        ("timezone", "Asia"),
    ]:
        with pytest.raises(Problem) as caught:
            contest_of({**form, field: value}, held)
        assert caught.value.field == field


def test_rules_from_a_form() -> None:
    form = {
        "topic:Sử": "2",
        "topic:*": "3",
        "topic:Địa": "",
        "codes": "4",
        "minutes": "15",
        "attempts": "3",
        "ranking1": "correct desc",
    }
    assert rules_of(form).blueprint == {"Sử": 2, "*": 3}
    for field, value in [("minutes", "0"), ("minutes", "٣"), ("codes", "1000"), ("ranking2", "correct desc"), ("topic:*", "300")]:
        with pytest.raises(Problem):
            rules_of({**form, field: value})
