"""The dry run: reads a file, makes its pictures small, finds duplicates, and says of every row whether it may enter the bank.

It runs in a process of its own with bounded memory and time: whatever a file does to its reader, it does it there
(`python -m services.quiz.bank.check`, a `Job` on stdin, a `Checked` on stdout, progress as lines of stderr).
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import msgspec

from services.kit.pictures import BadPicture, digest_of, shrink
from services.quiz.bank.duplicates import Twins, fingerprint
from services.quiz.bank.reading import read
from services.quiz.bank.sheet import Remark, Row, Sheet
from services.quiz.domain import Question

MOST_MEMORY = 2 * 1024**3
MOST_SECONDS = 150
SHOWN = 120
"""Characters of another question that a remark quotes."""

Progress = Callable[[int, int], None]


class Job(msgspec.Struct):
    """A file to check against the bank's questions. `topic` is that of questions whose file names none; with `skip_known`
    questions that the bank has are passed over instead of being faults; with `correct` a row that names the id of a question of
    the bank is a new version of it."""

    name: str
    data: bytes
    topic: str = ""
    skip_known: bool = False
    known: Sequence[Question] = ()
    correct: bool = False


class Checked(msgspec.Struct):
    """What came of it. `pictures` are ready to be served, by their digest."""

    rows: list[Row]
    faults: list[Remark]
    warnings: list[Remark]
    counts: str
    pictures: dict[str, bytes]

    @property
    def wanted(self) -> list[Question]:
        """The questions to be added, if nothing is wrong."""
        return [row.question for row in self.rows if row.question is not None and not row.known]

    @property
    def clean(self) -> bool:
        """Whether all of it may enter the bank."""
        return not self.faults and not any(row.faults for row in self.rows)


def check(job: Job, progress: Progress = lambda done, of: None) -> Checked:
    """The verdict on each row. Never raises for what a file holds."""
    sheet = read(job.name, job.data)
    pictures: dict[str, bytes] = {}
    shrunk: dict[str, str] = {}
    held = {question.id: question for question in job.known} if job.correct else {}
    twins, ids = Twins(job.known), {question.id: 0 for question in job.known}
    places: list[tuple[Row | None, Question]] = [(None, question) for question in job.known]
    for done, row in enumerate(sheet.rows):
        if done % 50 == 0:
            progress(done, len(sheet.rows))
        if row.question is None:
            continue
        question = replace(row.question, topic=row.question.topic or " ".join(job.topic.split()))
        if not question.topic:
            row.fault("topic", "Để trống.")
        question = replace(question, picture=_picture(row, sheet, pictures, shrunk))
        row.question = replace(question, id=question.id or f"q{fingerprint(question)}")
        if question.id in held:
            _correct(row, row.question, held.pop(question.id))
            ids[question.id] = row.row
            same = twins.find(row.question)
            if same and same.exact and places[same.place][1].id != question.id:
                row.fault("text", "Ngân hàng đã có câu này (mã {id}).", id=places[same.place][1].id)
            twins.add(row.question)
            places.append((row, row.question))
            continue
        if not any(remark.column in ("text", "") for remark in row.faults):
            _compare(row, row.question, twins, places, job.skip_known)
        if not row.known:
            _check_id(row, row.question, bool(question.id), ids)
            twins.add(row.question)
            places.append((row, row.question))
    return Checked(sheet.rows, sheet.faults, sheet.warnings, sheet.counts, pictures)


def _picture(row: Row, sheet: Sheet, pictures: dict[str, bytes], shrunk: dict[str, str]) -> str:
    """The digest of a row's picture, "" where it has none; each is made small once."""
    name = row.picture or f"{row.sheet}!{row.row}"
    if name not in sheet.pictures:
        if row.picture:
            row.fault("picture", "Không có tệp hình {name} trong tệp này.", name=row.picture[:80])
        return ""
    if name not in shrunk:
        try:
            body = shrink(sheet.pictures[name])
        except BadPicture as error:
            row.fault("picture", str(error), name=name[:80])
            return ""
        shrunk[name] = digest_of(body)
        pictures[shrunk[name]] = body
    if row.question and not row.question.picture_alt:
        row.warn("alt", "Hình chưa có mô tả cho người khiếm thị.")
    return shrunk[name]


def _compare(row: Row, question: Question, twins: Twins, places: Sequence[tuple[Row | None, Question]], skip_known: bool) -> None:
    likeness = twins.find(question)
    if likeness is None:
        return
    other, text = places[likeness.place]
    shown = _short(text.text)
    if not likeness.exact:
        if other is None:
            row.warn("text", "Gần giống câu {id} trong ngân hàng: {text}", id=text.id, text=shown)
        else:
            row.warn("text", "Gần giống câu ở dòng {line}: {text}", line=other.row, text=shown)
    elif other is not None:
        row.fault("text", "Trùng với câu ở dòng {line}.", line=other.row)
    elif skip_known:
        row.known = True
    else:
        row.fault("text", "Ngân hàng đã có câu này (mã {id}).", id=text.id)


def _correct(row: Row, question: Question, old: Question) -> None:
    """Makes of a row a new version of a question; what it says nothing of stays: its picture."""
    if not question.picture:
        question = replace(question, picture=old.picture, picture_alt=question.picture_alt or old.picture_alt)
    row.question, row.known, row.corrects = question, question == old, question != old
    if row.corrects:
        row.warn("id", "Sửa câu {id} của ngân hàng, đang là: {text}", id=old.id, text=_short(old.text))


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def _check_id(row: Row, question: Question, given: bool, ids: dict[str, int]) -> None:
    line = ids.setdefault(question.id, row.row)
    if line == row.row or not given:
        return
    if line:
        row.fault("id", "Mã {id} đã có ở dòng {line}.", id=question.id, line=line)
    else:
        row.fault("id", "Ngân hàng đã có câu khác mang mã {id}.", id=question.id)


def main() -> None:
    """What the process does."""
    for limit, most in ((resource.RLIMIT_AS, MOST_MEMORY), (resource.RLIMIT_CPU, MOST_SECONDS)):
        with suppress(ValueError, OSError):  # not every system lets itself be bounded
            resource.setrlimit(limit, (most, most))
    job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)

    def tell(done: int, of: int) -> None:
        print(done, of, file=sys.stderr, flush=True)

    sys.stdout.buffer.write(msgspec.msgpack.encode(check(job, tell)))


if __name__ == "__main__":
    main()
