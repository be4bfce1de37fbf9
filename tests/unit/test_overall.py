"""Prizes over all rounds: the sums in plain words, and the verifier, which derives them from the files of the rounds."""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import msgspec

from services.events import HeadcountApproved, RoundPlan, Unit, encode
from services.scoring import awards, overall, publication
from services.scoring.domain import Row
from services.scoring.draw import Drawing
from services.scoring.headcounts import Headcounts
from services.scoring.overall import Overall
from services.scoring.prizes import Prize
from services.scoring.publication import Final
from tests.scoring_house import CONTEST as HOUSE
from tests.unit.published_round import NOTARY, PLAN, SALT, UNIT_PRIZES, final_round, written
from tests.unit.test_verify import Answer, script, signed_again

PRIZES = (Prize(name="Giải Nhất", count=1), Prize(name="Giải Nhì", count=3), Prize(name="Giải Ba", count=6))
LABELS = [PLAN.id, "hai-phong-2023.tuan-2", "hai-phong-2023.tuan-3"]


def plan_of(number: int, ranking: tuple[str, ...] = PLAN.ranking, prediction: str | None = PLAN.prediction) -> RoundPlan:
    week = timedelta(days=7 * number)
    return msgspec.structs.replace(
        PLAN, id=LABELS[number], opens=PLAN.opens + week, closes=PLAN.closes + week, ranking=ranking, prediction=prediction
    )


def contest_of(finals: Sequence[Final], excluded: dict[str, str] | None = None) -> tuple[Overall, list[bytes]]:
    """A contest of these rounds, and the files of them."""
    files = [written(final) for final in finals]
    parts = [
        overall.part(final.plan, json.loads(file.splitlines()[-1])["digest"], file.splitlines(), final.salt, final.rows)
        for final, file in zip(finals, files, strict=True)
    ]
    made = Overall(
        contest="hai-phong-2023", title="Hải Phòng làm theo lời Bác", owner="Ban Tuyên giáo", timezone="Asia/Ho_Chi_Minh",
        parts=parts, finalised_at=finals[-1].finalised_at, salt=SALT[::-1], committed_at=PLAN.opens,
        drawing=Drawing(seed=b"toan cuoc thi - hat giong 32byte"), prizes=PRIZES, excluded=excluded or {},
    )  # fmt: skip
    return made, files


def published(made: Overall) -> bytes:
    rows = overall.standings(made)
    out = io.BytesIO()
    overall.write(out, made, rows, overall.conclude(made, rows), NOTARY)
    return out.getvalue()


def verify(folder: Path, content: bytes, files: Sequence[bytes]) -> Answer:
    (folder / "contest.jsonl").write_bytes(content)
    paths = [folder / f"{number}.jsonl" for number in range(len(files))]
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(file)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = script().main([str(folder / "contest.jsonl"), "--rounds", *map(str, paths)])
    return Answer(code, said.getvalue())


FINALS = [final_round(60 + 40 * number, seed=number + 1, plan=plan_of(number)) for number in range(3)]
CONTEST, FILES = contest_of(FINALS, {FINALS[0].rows[0].participant: "organiser"})
PUBLISHED = published(CONTEST)


def by_hand(finals: Sequence[Final], who: str) -> tuple[int, int, int]:
    """Right answers, gaps and milliseconds, in plain words."""
    correct = gap = elapsed = 0
    for final in finals:
        row = next((row for row in final.rows if row.participant == who), None)
        correct += row.correct if row else 0
        gap += row.gap if row and row.gap is not None else 2**53
        elapsed += row.elapsed_ms if row else 15 * 60_000
    return -correct, gap, elapsed


def test_ranks_follow_the_sums() -> None:
    rows = overall.standings(CONTEST)
    keys = {row.participant: by_hand(FINALS, row.participant) for row in rows}
    assert keys.keys() == {row.participant for final in FINALS for row in final.rows}
    assert [row.rank for row in rows] == [1 + sum(other < keys[row.participant] for other in keys.values()) for row in rows]


def test_the_verifier_derives_ranks_and_winners(tmp_path: Path) -> None:
    outcome = overall.conclude(CONTEST, overall.standings(CONTEST))
    assert len(outcome.awards) == 10
    answer = verify(tmp_path, PUBLISHED, FILES)
    assert answer.code == 0, answer.text
    assert "10 giải" in answer.text
    assert f"{len(overall.standings(CONTEST))} người của 3 vòng" in answer.text
    assert verify(tmp_path, PUBLISHED, FILES[::-1]).code == 0, "the files may be given in any order"


def with_units(finals: Sequence[Final]) -> tuple[Overall, list[bytes]]:
    """The same, with prizes for units by rate and by people."""
    made, files = contest_of(finals)
    known = [Unit(code=f"HP-{number:02d}", parent=None, name=f"Phường {number}", kind="ward") for number in range(12)]
    contest = msgspec.structs.replace(HOUSE, units=tuple(known))
    headcounts = Headcounts()
    for number, unit in enumerate(known[1:], 1):
        headcounts.read(
            HeadcountApproved.type,
            encode(HeadcountApproved(
                time=PLAN.opens, contest=contest.contest, unit=unit.code, category="", as_of="2023-01-01", people=10 * number,
                source="UBND",
            )),
        )  # fmt: skip
    figures = awards.figures(contest, date(2023, 6, 16), overall.homes(made.parts).values(), UNIT_PRIZES, headcounts)
    return msgspec.structs.replace(made, unit_prizes=UNIT_PRIZES, units=figures), files


def test_units_count_a_person_once_over_all_rounds_and_the_verifier_derives_it(tmp_path: Path) -> None:
    made, files = with_units(FINALS)
    last: dict[str, tuple[int, str]] = {}
    for final in FINALS:
        for each in final.judged:
            if each.verdict == "valid" and each.received >= last.get(each.participant, (0, ""))[0]:
                last[each.participant] = each.received, each.unit
    assert {each.code: each.people for each in made.units} == Counter(unit for _, unit in last.values())
    told = overall.awarded(made, overall.standings(made), overall.conclude(made, overall.standings(made)))
    assert [unit.by for unit in told.units] == ["rate"] * 3 + ["people"] * 3
    assert len(told.persons) == 10
    content = published(made)
    answer = verify(tmp_path, content, files)
    assert answer.code == 0, answer.text
    assert "16 giải" in answer.text
    assert "Số người của 12 đơn vị" in answer.text
    more = msgspec.structs.replace(made.units[3], people=made.units[3].people + 1)
    lie = msgspec.structs.replace(made, units=(*made.units[:3], more, *made.units[4:]))
    answer = verify(tmp_path, published(lie), files)
    assert answer.code == 1
    assert any(f"{more.code}: ghi {more.people} người" in each for each in answer.differences)
    twice = msgspec.structs.replace(made.units[3], within=("HP-02", "HP-03"), people=made.units[2].people + made.units[3].people)
    lie = msgspec.structs.replace(made, units=(*made.units[:3], twice, *made.units[4:]))
    assert any("HP-02 được tính hai lần" in each for each in verify(tmp_path, published(lie), files).differences)


def test_equals_draw_and_the_draw_is_derived(tmp_path: Path) -> None:
    plans = [plan_of(number, ("correct desc",), None) for number in range(2)]
    made, files = contest_of([final_round(80, seed=number, plan=plan) for number, plan in enumerate(plans)])
    assert overall.conclude(made, overall.standings(made)).minutes
    answer = verify(tmp_path, published(made), files)
    assert answer.code == 0, answer.text


def test_who_is_excluded_wins_nothing_and_the_event_tells_participants(tmp_path: Path) -> None:
    rows = overall.standings(CONTEST)
    first = {rows[0].participant: "organiser"}
    made = msgspec.structs.replace(CONTEST, excluded=first)
    outcome = overall.conclude(made, rows)
    told = overall.awarded(made, rows, outcome)
    assert (told.round, told.key, len(told.persons)) == (None, "hai-phong-2023", 10)
    assert rows[0].participant not in {person.participant for person in told.persons}
    assert told.persons[0].participant == rows[1].participant
    assert verify(tmp_path, published(made), FILES).code == 0


def test_no_participant_is_in_the_file_and_the_order_of_facts_changes_no_byte() -> None:
    assert not any(row.participant.encode() in PUBLISHED.partition(b"\n")[2] for row in overall.standings(CONTEST))
    turned = msgspec.structs.replace(
        CONTEST, parts=[part._replace(shares=dict(reversed(list(part.shares.items())))) for part in CONTEST.parts]
    )
    assert published(turned) == PUBLISHED


def change(content: bytes, number: int, column: int, value: object) -> bytes:
    """Another value in a line, signed again as the holder of the key would."""
    lines = content.splitlines(keepends=True)[:-1]
    row = json.loads(lines[number])
    row[column] = value
    lines[number] = msgspec.json.encode(row) + b"\n"
    return signed_again(lines, overall.CONTEXT)


def test_a_changed_byte_a_missing_round_and_a_signed_lie_are_found(tmp_path: Path) -> None:
    at = PUBLISHED.index(b"Gi\xe1\xba\xa3i") + 1
    assert verify(tmp_path, PUBLISHED[:at] + b"\xff" + PUBLISHED[at + 1 :], FILES).code == 1
    missing = verify(tmp_path, PUBLISHED, FILES[:2])
    assert missing.code == 1
    assert any(LABELS[2] in each for each in missing.differences)
    other = [*FILES[:2], written(final_round(140, seed=9, plan=plan_of(2)))]
    assert verify(tmp_path, PUBLISHED, other).code == 1, "another file of that round"
    lie = verify(tmp_path, change(PUBLISHED, 1, 2, 1), FILES)
    assert lie.code == 1
    assert any("hạng ghi 1" in each for each in lie.differences)
    joined = json.loads(PUBLISHED.splitlines()[2])[1]
    stolen = verify(tmp_path, change(PUBLISHED, 1, 1, joined), FILES)
    assert stolen.code == 1, "one person's rounds given to another"
    assert any("không khớp tệp vòng này" in each for each in stolen.differences)


def test_a_single_round_is_a_contest_too(tmp_path: Path) -> None:
    made, files = contest_of(FINALS[:1])
    answer = verify(tmp_path, published(made), files)
    assert answer.code == 0, answer.text


def test_the_rows_hold_sums_for_the_pages() -> None:
    row: Row = overall.standings(CONTEST)[0]
    correct, gap, elapsed = by_hand(FINALS, row.participant)
    assert (-row.correct, row.gap if row.gap is not None else gap, row.elapsed_ms) == (correct, gap, elapsed)


def test_the_signature_says_which_kind_of_file_it_is() -> None:
    digest = bytes(32)
    assert NOTARY.sign(publication.CONTEXT, digest) != NOTARY.sign(overall.CONTEXT, digest)
    assert overall.CONTEXT != publication.CONTEXT
