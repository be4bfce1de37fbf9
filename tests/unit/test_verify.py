"""The verifier of examples/verify derives what we published, and finds what was changed."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import io
import json
import re
import sys
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kit.merkle import Tree, leaf_of
from services.kit.notary import Notary
from services.kit.security import b64
from services.quiz import receipts
from services.quiz.receipts import Receipt
from services.scoring import publication
from services.scoring.publication import Final, row_code
from tests.unit.published_round import NOTARY, PLAN, SALT, final_round, written

SCRIPT = Path(__file__).parents[2] / "examples" / "verify" / "verify.py"
GOLDEN = Path(__file__).parent / "golden"
WHERE = re.compile(r"(dòng( \d+| cuối)|tệp|biên nhận)")


@cache
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Answer:
    code: int
    text: str

    @property
    def differences(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.startswith("  - ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("published")


def verify(folder: Path, content: bytes, *options: str) -> Answer:
    path = folder / "result.jsonl"
    path.write_bytes(content)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = script().main([str(path), *options])
    return Answer(code, said.getvalue())


def signed_again(lines: list[bytes], context: bytes = publication.CONTEXT) -> bytes:
    """What somebody who holds the organisers' key would publish."""
    blocks = [lines[start : start + publication.BLOCK] for start in range(0, len(lines), publication.BLOCK)]
    digests = [publication.sha256(b"".join(block)).hexdigest() for block in blocks]
    digest = publication.sha256("".join(digests).encode()).digest()
    end = publication.End(
        lines=len(lines),
        block=publication.BLOCK,
        blocks=digests,
        digest=digest.hex(),
        key=NOTARY.public_key.hex(),
        signature=NOTARY.sign(context, digest).hex(),
    )
    return b"".join(lines) + msgspec.json.encode(end) + b"\n"


ROUND = final_round(2000)
FILE = written(ROUND)
SMALL = written(final_round(40, seed=3))


def test_the_published_round_of_2000_people_is_derived_anew(folder: Path) -> None:
    outcome = publication.conclude(ROUND)
    assert len(outcome.minutes) >= 2  # the round has ties that matter
    answer = verify(folder, FILE, "--key", NOTARY.public_key.hex())
    assert answer.code == 0, answer.text
    assert f"{len(outcome.awards)} giải\n" in answer.text
    assert f"{len(outcome.minutes)} lần bốc thăm\n" in answer.text


@pytest.mark.parametrize("counting", ["best", "first", "last"])
@pytest.mark.parametrize(
    "ranking", [("correct desc",), ("elapsed asc", "correct desc"), ("prediction_gap asc", "correct desc", "received_at asc")]
)
def test_every_rule_is_derived(folder: Path, counting: str, ranking: tuple[str, ...]) -> None:
    plan = msgspec.structs.replace(PLAN, counting=counting, ranking=ranking)
    answer = verify(folder, written(final_round(150, seed=5, plan=plan)))
    assert answer.code == 0, answer.text


@pytest.mark.parametrize("people", [0, 1, 2])
def test_a_round_of_hardly_anybody_is_derived(folder: Path, people: int) -> None:
    answer = verify(folder, written(final_round(people)))
    assert answer.code == 0, answer.text


def test_the_order_of_the_facts_changes_no_byte() -> None:
    turned = msgspec.structs.replace(ROUND, judged=list(reversed(ROUND.judged)), units=ROUND.units)
    assert written(turned) == FILE


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_changed_byte_passes_and_the_place_is_said(folder: Path, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(SMALL) - 1) | st.integers(len(SMALL) - 700, len(SMALL) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda other: other != SMALL[at]))
    answer = verify(folder, SMALL[:at] + bytes([byte]) + SMALL[at + 1 :])
    assert answer.code == 1, answer.text
    assert answer.differences
    assert all(WHERE.search(each) for each in answer.differences), answer.text


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_missing_or_doubled_line_does_not_pass(folder: Path, data: st.DataObject) -> None:
    lines = SMALL.splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 1))
    times = data.draw(st.sampled_from([0, 2]))
    assert verify(folder, b"".join(lines[:at] + [lines[at]] * times + lines[at + 1 :])).code == 1


def changed_row(column: str, value: object, where: str = "rank") -> tuple[bytes, int]:
    """The file with another value in the first row that has a rank, signed again; and that row's line."""
    lines = FILE.splitlines(keepends=True)[:-1]
    for number, line in enumerate(lines[1:], 2):
        row = dict(zip(publication.COLUMNS, json.loads(line), strict=True))
        if row[where] is not None and row["verdict"] == "valid":
            row[column] = value
            lines[number - 1] = msgspec.json.encode(list(row.values())) + b"\n"
            return signed_again(lines), number
    raise AssertionError(column)


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("rank", 1, "hạng"),
        ("rank", None, "hạng"),
        ("correct", 0, ""),
        ("verdict", "late", "phải là valid"),
        ("received", 0, ""),
        ("receipt", "A" * 43 + "=", "gốc Merkle"),
        ("n", 9, "vô lý"),
        ("reason", "bribe", "lý do"),
    ],
)
def test_a_lie_that_the_key_holder_signed_is_found_all_the_same(folder: Path, column: str, value: object, kind: str) -> None:
    content, _ = changed_row(column, value)
    answer = verify(folder, content)
    assert answer.code == 1
    assert kind in "".join(answer.differences)
    assert "[ OK ] Chữ ký" in answer.text


def test_the_line_of_a_wrong_rank_is_said(folder: Path) -> None:
    content, number = changed_row("rank", 1)
    assert any(f"dòng {number}: hạng ghi 1" in each for each in verify(folder, content).differences)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["perfect"], 7, "perfect ghi 7"),
        (["awards", 0, "winner"], "x" * 16, "giải thứ 1"),
        (["awards", -1, "place"], 99, "giải thứ"),
        (["awards"], [], "giải thứ 1"),
        (["draws", "seed"], "00" * 32, "không khớp cam kết"),
        (["draws", "beacon", "value"], "00000", "lần bốc thăm thứ 1"),
        (["draws", "minutes"], [], "lần bốc thăm thứ 1"),
        (["draws"], None, "không có bốc thăm"),
        (["draws", "committed_at"], "2030-01-01T00:00:00Z", "sau khi vòng thi đóng"),
        (["units", 0, "people"], 10**6, "giải thứ"),
        (["excluded"], [], "giải thứ"),
        (["round", "counting"], "first", "hạng"),
        (["round", "minutes"], 5, "phải là"),
        (["round"], None, "không đúng dạng"),
        (["prizes", 0, "count"], "two", "không đúng dạng"),
    ],
)
def test_a_false_header_that_the_key_holder_signed_is_found(
    folder: Path, path: list[str | int], value: object, said: str
) -> None:
    lines = FILE.splitlines(keepends=True)[:-1]
    header = json.loads(lines[0])
    inner = header
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    lines[0] = msgspec.json.encode(header) + b"\n"
    answer = verify(folder, signed_again(lines))
    assert answer.code == 1
    assert said in "".join(answer.differences)


def receipt_of(final: Final, at: int) -> tuple[str, str]:
    """The receipt and the look-up code of an attempt."""
    judged = final.judged[at]
    leaves = [leaf_of(each.attempt, each.received, each.digest) for each in final.judged[at : at + 5]]
    tree = Tree(leaves)
    signature = Notary(bytes(range(32))).sign(receipts.CONTEXT, tree.root)
    receipt = Receipt(1, judged.attempt, judged.received, judged.digest, 0, len(leaves), tree.path(0), signature)
    return receipts.write(receipt), row_code(SALT, judged.attempt)


@pytest.mark.parametrize("at", [0, 5, 1234])
def test_a_receipt_finds_its_row(folder: Path, at: int) -> None:
    text, code = receipt_of(ROUND, at)
    by_time = verify(folder, FILE, "--receipt", text)
    proven = verify(folder, FILE, "--receipt", text, "--code", code)
    judged = ROUND.judged[at]
    assert (by_time.code, proven.code) == (0, 0)
    assert "khớp từng bit" in proven.text
    assert f"verdict={judged.verdict}, correct={judged.correct}/20" in proven.text


def test_a_receipt_whose_attempt_was_left_out_says_so(folder: Path) -> None:
    counting = {(row.participant, row.n) for row in ROUND.rows}
    at = next(at for at, each in enumerate(ROUND.judged) if (each.participant, each.n) not in counting)
    text, code = receipt_of(ROUND, at)
    left_out = msgspec.structs.replace(ROUND, judged=[*ROUND.judged[:at], *ROUND.judged[at + 1 :]])
    answer = verify(folder, written(left_out), "--receipt", text, "--code", code)
    assert answer.code == 1
    assert any("không có dòng nào" in each for each in answer.differences)


def test_a_changed_receipt_is_not_believed(folder: Path) -> None:
    text, _ = receipt_of(ROUND, 0)
    receipt = receipts.read(text)
    forged = receipts.write(msgspec.structs.replace(receipt, digest=bytes(16)))
    answer = verify(folder, FILE, "--receipt", forged)
    assert answer.code == 1
    assert any("biên nhận: chữ ký không khớp" in each for each in answer.differences)
    assert verify(folder, FILE, "--receipt", "xin chào").code == 2


def test_another_key_is_noticed(folder: Path) -> None:
    answer = verify(folder, FILE, "--key", b64(bytes(32)))
    assert answer.code == 1
    assert any("khóa khác" in each for each in answer.differences)


def test_a_packed_file_is_read_and_a_damaged_one_named(folder: Path) -> None:
    packed = gzip.compress(FILE)
    assert verify(folder, packed).code == 0
    assert verify(folder, packed[:500] + b"\x00\x01" + packed[502:]).code == 2


def test_without_the_package_it_says_that_the_signature_was_not_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script(), "Ed25519PublicKey", None)
    answer = verify(folder, FILE)
    assert answer.code == 3
    assert "CHƯA ĐƯỢC KIỂM TRA" in answer.text
    assert verify(folder, SMALL[:9000] + b"#" + SMALL[9001:]).code == 1


def test_it_speaks_english(folder: Path) -> None:
    assert "All is right" in verify(folder, FILE, "--lang", "en").text


def test_it_shares_no_code_with_the_services() -> None:
    imports = re.findall(r"^\s*(?:from|import) (\S+)", SCRIPT.read_text(), re.MULTILINE)
    assert {name.partition(".")[0] for name in imports} - sys.stdlib_module_names == {"cryptography"}


def test_old_files_stay_readable(folder: Path) -> None:
    """A file once published is verified for ever: the golden one was written by the first version."""
    answer = verify(folder, (GOLDEN / "round-1.jsonl").read_bytes())
    assert answer.code == 0, answer.text


def test_no_participant_and_no_bare_leaf_is_in_the_file() -> None:
    text = FILE.decode()
    header = json.loads(text.partition("\n")[0])
    shown = "".join(award["name"] for award in header["awards"])
    for judged in ROUND.judged[:200]:
        assert judged.participant not in text.replace(shown, "") or judged.participant in shown
        assert leaf_of(judged.attempt, judged.received, judged.digest).hex() not in text
    assert SALT.hex() not in text


def test_the_commitment_must_precede_the_closing(folder: Path) -> None:
    late = msgspec.structs.replace(ROUND, committed_at=PLAN.closes + timedelta(seconds=1))
    assert verify(folder, written(late)).code == 1


def test_who_won_or_was_drawn_is_known_inside() -> None:
    outcome = publication.conclude(ROUND)
    drawn = {lot.id for each in outcome.minutes for lot in each.order}
    assert drawn | {award.winner for award in outcome.awards} == outcome.names.keys()
    people = {award.winner for award in outcome.awards if award.ladder == "persons"}
    assert {outcome.participants[id] for id in people} <= {row.participant for row in ROUND.rows} - ROUND.excluded.keys()
    assert all(publication.person_of(SALT, participant) == id for id, participant in outcome.participants.items())
