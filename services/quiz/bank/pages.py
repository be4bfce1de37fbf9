"""The organisers' pages of the bank: look and search, retire, bring in files; and the pictures, which everybody may see."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from starlette.datastructures import UploadFile

from services.events import ContestBook
from services.kit.i18n import translate
from services.kit.problems import Problem
from services.kit.store import store_errors
from services.kit.web import language, render
from services.kit.web.console import Organiser, OrganiserForm, audited
from services.kit.web.pages import STATIC_SECONDS
from services.quiz.bank.check import Job
from services.quiz.bank.drafts import Draft, Drafts
from services.quiz.bank.rules import DIFFICULTIES, OPTIONS, fold, question_of
from services.quiz.bank.sheet import Remark, Row
from services.quiz.bank.store import Bank, Entry, Media
from services.quiz.bank.template import DIFFICULTY, NAMES, SPREADSHEET, template
from services.quiz.bank.text import clean
from services.quiz.domain import LETTERS, Question, picture_path

if TYPE_CHECKING:
    from services.kit.store import Database

LARGEST = 20 * 1024 * 1024
"""Bytes of a file that may be uploaded."""
QUESTIONS_A_PAGE, ROWS_A_PAGE = 25, 50
KEPT_PICTURES = 64 * 1024 * 1024
"""Bytes of pictures that a process keeps at hand."""

AFTER = ("answer", "source", "explanation", "alt")
"""The cells of a question after its options."""

WORDS = {"topic": NAMES["topic"], "text": NAMES["text"], **NAMES}
SHOWN = {
    "": "Tất cả các dòng", "wrong": "Dòng có lỗi", "doubtful": "Dòng cần xem lại", "known": "Dòng đã có trong ngân hàng",
    "corrected": "Dòng sửa câu đã có",
}  # fmt: skip
"""Which rows of a dry run a page shows."""

Show = Literal["", "wrong", "doubtful", "known", "corrected"]
Verdict = Literal["good", "wrong", "doubtful", "known", "corrected"]
DraftId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]


class Contests(Protocol):
    """Who knows which contests there are: (id, title) of each."""

    async def __call__(self) -> Sequence[tuple[str, str]]: ...


async def small_enough(request: Request) -> None:
    """A dependency that comes before the form is read: an upload says how large it is, and is not too large."""
    size = request.headers.get("content-length", "")
    if not size.isdigit() or int(size) > LARGEST + 64 * 1024:
        raise Problem(413, "too-large", "Tệp quá lớn: nhiều nhất 20 MB.", field="file")


class BankPages:
    """`/console/bank` and what lies below it."""

    def __init__(self, bank: Bank, drafts: Drafts, media: Media, contests: Contests) -> None:
        self._bank, self._drafts, self._media, self._contests = bank, drafts, media, contests
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self.router = APIRouter(include_in_schema=False)
        get, post = self.router.get, self.router.post
        get("/media/{digest}.webp")(self.picture)
        get("/console/bank")(self.look)
        post("/console/bank/retire")(self.retire)
        get("/console/bank/question")(self.edit)
        post("/console/bank/question")(self.correct)
        get("/console/bank/mau.xlsx")(self.template)
        get("/console/bank/import")(self.form)
        post("/console/bank/import", dependencies=[Depends(small_enough)])(self.upload)
        get("/console/bank/import/{draft}")(self.dry_run)
        post("/console/bank/import/{draft}")(self.confirm)

    async def picture(self, digest: Annotated[str, Path(pattern="^[0-9a-f]{32}$")]) -> Response:
        """A picture; what stands under a digest never changes."""
        body = self._pictures.get(digest) or await self._media.get(digest)
        if body is None:
            raise Problem(404, "picture", "Không có hình này.")
        self._pictures[digest] = body
        self._pictures.move_to_end(digest)
        while sum(map(len, self._pictures.values())) > KEPT_PICTURES:
            self._pictures.popitem(last=False)
        return Response(body, media_type="image/webp", headers={"Cache-Control": f"public, max-age={STATIC_SECONDS}, immutable"})

    async def look(
        self,
        request: Request,
        _: Organiser,
        contest: Annotated[str, Query(max_length=100)] = "",
        q: Annotated[str, Query(max_length=200)] = "",
        topic: Annotated[str, Query(max_length=200)] = "",
        difficulty: Annotated[str, Query(max_length=10)] = "",
        retired: bool = False,
        page: Annotated[int, Query(ge=1, le=10_000)] = 1,
        added: Annotated[int | None, Query(ge=0)] = None,
    ) -> Response:
        """The bank of a contest: how many questions by topic and difficulty, and those that a search finds."""
        contests = await self._contests()
        chosen = contest or (contests[0][0] if contests else "")
        if contest:
            known_contest(contests, contest)
        entries = await self._bank.entries(chosen)
        in_use = [entry for entry in entries if entry.retired is None]
        found = [e for e in entries if (e.retired is not None) == retired and _fits(e, fold(q), topic, difficulty)]
        asked = {"contest": chosen, "q": q, "topic": topic, "difficulty": difficulty, **({"retired": "1"} if retired else {})}
        return render(
            request,
            "bank.html",
            contests=contests,
            chosen=chosen,
            counts=_counts(in_use),
            total=len(in_use),
            retired_total=len(entries) - len(in_use),
            found=_page(found, page, QUESTIONS_A_PAGE),
            found_total=len(found),
            pages=_pages(page, len(found), QUESTIONS_A_PAGE, "/console/bank", asked),
            q=q, topic=topic, difficulty=difficulty, retired=retired, added=added,
            difficulties=DIFFICULTY,
            picture_path=picture_path,
        )  # fmt: skip

    async def retire(self, request: Request, form: OrganiserForm) -> Response:
        """Takes a question out of use, or back into it."""
        contest, id = str(form.get("contest", "")), str(form.get("id", ""))
        retired = form.get("retired") == "1"
        if not await self._bank.retire(contest, id, retired):
            raise Problem(404, "question", "Không có câu hỏi này.")
        await audited(request, "bank.retired" if retired else "bank.restored", f"{contest}/{id}")
        back = {"contest": contest, **({} if retired else {"retired": "1"})}
        return RedirectResponse(f"/console/bank?{urlencode(back)}", 303)

    async def edit(
        self,
        request: Request,
        _: Organiser,
        contest: Annotated[str, Query(max_length=100)],
        id: Annotated[str, Query(max_length=100)],
    ) -> Response:
        """The form of a question."""
        entry = await self._entry(contest, id)
        return self._edit(request, contest, entry, cells_of(entry.question) | {"at": entry.at.isoformat()})

    def _edit(
        self, request: Request, contest: str, entry: Entry, values: Mapping[str, Any], fault: Remark | None = None
    ) -> Response:
        lang = language(request)
        detail = translate(fault.message, lang).format(**fault.values) if fault else ""
        return render(
            request, "bank_question.html", 422 if fault else 200, contest=contest, entry=entry, values=values, words=WORDS,
            levels=[(code, translate(word, lang)) for code, word in DIFFICULTY.items()],
            problem={"field": fault.column if fault else "", "detail": detail},
        )  # fmt: skip

    async def correct(self, request: Request, who: Organiser, form: OrganiserForm) -> Response:
        """Keeps a new version of a question."""
        contest = str(form.get("contest", ""))
        entry = await self._entry(contest, str(form.get("id", "")))
        if form.get("at") != entry.at.isoformat():
            raise Problem(409, "question-changed", "Người khác vừa sửa câu này. Hãy tải lại trang rồi làm lại.")
        old, row = entry.question, Row(1)
        cells = {name: clean(str(form.get(name, ""))) for name in ("topic", "difficulty", "text", *OPTIONS, *AFTER)}
        new = replace(question_of({**cells, "id": old.id}, row), id=old.id, picture=old.picture)
        if not new.topic:
            row.fault("topic", "Để trống.")
        if row.faults:
            return self._edit(request, contest, entry, form, row.faults[0])
        if new != old:
            await self._bank.add(contest, [new], who.id, corrected=[old.id])
            await audited(request, "bank.corrected", f"{contest}/{old.id}")
        return RedirectResponse(f"/console/bank?{urlencode({'contest': contest, 'q': old.id})}", 303)

    async def _entry(self, contest: str, id: str) -> Entry:
        found = next((entry for entry in await self._bank.entries(contest) if entry.question.id == id), None)
        if found is None:
            raise Problem(404, "question", "Không có câu hỏi này.")
        return found

    async def template(self, request: Request, _: Organiser) -> Response:
        """The Excel file to fill in."""
        lang = language(request)
        body = await run_in_threadpool(template, lambda sentence: translate(sentence, lang))
        return Response(body, media_type=SPREADSHEET, headers={"Content-Disposition": 'attachment; filename="mau-cau-hoi.xlsx"'})

    async def form(self, request: Request, _: Organiser, contest: Annotated[str, Query(max_length=100)] = "") -> Response:
        return render(request, "bank_import.html", contests=await self._contests(), chosen=contest)

    async def upload(self, request: Request, form: OrganiserForm) -> Response:
        """Takes a file in and has it checked; nothing enters the bank yet."""
        contest, file = str(form.get("contest", "")), form.get("file")
        known_contest(await self._contests(), contest)
        if not isinstance(file, UploadFile) or not file.filename:
            raise Problem(422, "file", "Hãy chọn một tệp.", field="file")
        data = await file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise Problem(413, "too-large", "Tệp quá lớn: nhiều nhất 20 MB.", field="file")
        skip_known, correct = (form.get(name) == "1" for name in ("skip_known", "correct"))
        job = Job(file.filename[-200:], data, str(form.get("topic", ""))[:100], skip_known, correct=correct)
        draft = await self._drafts.begin(contest, job)
        return RedirectResponse(f"/console/bank/import/{draft}", 303)

    async def dry_run(
        self, request: Request, _: Organiser, draft: DraftId, show: Show = "", page: Annotated[int, Query(ge=1, le=10_000)] = 1
    ) -> Response:
        """Every row with its verdict; while the file is being read, how far that is."""
        found = await self._draft(draft)
        if found.state in ("reading", "failed"):
            return render(request, "bank_reading.html", draft=found)
        rows = [r for r in await self._drafts.rows(draft) if show == "" or show == verdict_of(r)]
        path = f"/console/bank/import/{draft}"
        return render(
            request,
            "bank_draft.html",
            draft=found,
            rows=[(row, verdict_of(row)) for row in _page(rows, page, ROWS_A_PAGE)],
            pages=_pages(page, len(rows), ROWS_A_PAGE, path, {"show": show}),
            show=show,
            shown=SHOWN,
            words=WORDS,
            difficulties=DIFFICULTY,
            picture_path=picture_path,
        )

    async def confirm(self, request: Request, who: Organiser, form: OrganiserForm, draft: DraftId) -> Response:
        """Adds all questions of a draft without faults, once."""
        found = await self._draft(draft)
        if found.state != "imported":
            if not found.clean:
                raise Problem(409, "faults", "Tệp còn lỗi: chưa câu nào được nhập.")
            added = await self._drafts.take(found, who.id)
            await audited(request, "bank.imported", found.contest, draft=draft, questions=added)
        return RedirectResponse(f"/console/bank?{urlencode({'contest': found.contest, 'added': found.wanted})}", 303)

    async def _draft(self, id: str) -> Draft:
        found = await self._drafts.get(id)
        if found is None:
            raise Problem(404, "draft", "Không có lần tải lên này; tệp tải lên chỉ được giữ một ngày.")
        return found


def contests_of(book: ContestBook, database: Database) -> Contests:
    """The published contests, the newest first, and those that are only in the store yet."""

    async def listed() -> Sequence[tuple[str, str]]:
        published = sorted(book.contests.values(), key=lambda contest: contest.time, reverse=True)
        known = [(contest.contest, contest.title) for contest in published]
        with store_errors():
            drafts = [d async for d in database["contests"].find({}, {"_id": 1, "title": 1})]
        return known + [(str(d["_id"]), str(d.get("title", d["_id"]))) for d in drafts if d["_id"] not in book.contests]

    return listed


def known_contest(contests: Sequence[tuple[str, str]], contest: str) -> None:
    """Raises Problem 404 for a contest that is none of these."""
    if contest not in dict(contests):
        raise Problem(404, "contest", "Không có cuộc thi này.", field="contest")


def cells_of(question: Question) -> dict[str, str]:
    """A question as the cells of a table."""
    return {
        "topic": question.topic,
        "difficulty": question.difficulty,
        "text": question.text,
        **dict(zip(OPTIONS, question.options, strict=False)),
        "answer": "".join(LETTERS[place] for place in sorted(question.right)),
        "source": question.source,
        "explanation": question.explanation,
        "alt": question.picture_alt,
    }


def _fits(entry: Entry, wanted: str, topic: str, difficulty: str) -> bool:
    question = entry.question
    if (topic and question.topic != topic) or (difficulty and question.difficulty != difficulty):
        return False
    if not wanted:
        return True
    text = fold(" ".join((question.id, question.text, *question.options, question.source)))
    return all(word in text for word in wanted.split())


def _counts(entries: Sequence[Entry]) -> list[tuple[str, list[int]]]:
    """For each topic its questions by difficulty, then those without one, then all."""
    found = Counter((entry.question.topic, entry.question.difficulty) for entry in entries)
    topics = sorted({topic for topic, _ in found}, key=fold)
    rows = [(topic, [found[topic, difficulty] for difficulty in (*DIFFICULTIES, "")]) for topic in topics]
    return [(topic, [*counts, sum(counts)]) for topic, counts in rows]


def verdict_of(row: Row) -> Verdict:
    """What a dry run says of a row."""
    if row.faults:
        return "wrong"
    if row.known:
        return "known"
    if row.corrects:
        return "corrected"
    return "doubtful" if row.warnings else "good"


def _page(items: Sequence[Any], page: int, size: int) -> Sequence[Any]:
    return items[(page - 1) * size : page * size]


def _pages(page: int, items: int, size: int, path: str, asked: dict[str, str]) -> dict[str, Any]:
    """What the links to other pages show."""
    last = max(1, -(-items // size))
    links = {n: f"{path}?{urlencode({**asked, 'page': n})}" for n in (page - 1, page + 1) if 1 <= n <= last}
    return {"page": page, "last": last, "before": links.get(page - 1), "after": links.get(page + 1)}
