"""What pages say of a contest that changed, of its results and answers; a question corrected; who counts as a second person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import pytest
from fastapi import APIRouter, Request, Response

from services.kit.console.audit_log import sealed
from services.kit.runtime import Face
from services.kit.tokens import looked_at, trial
from services.kit.web import render
from services.quiz import pages
from services.quiz.authoring.answers import GRACE, AnswersPages
from services.quiz.authoring.api import AdminApi
from services.quiz.authoring.key_api import KeyApi
from services.quiz.authoring.mending_pages import MendingPages
from services.quiz.authoring.pages import ContestPages
from services.quiz.authoring.round_pages import RoundPages
from services.quiz.bank.pages import BankPages, contests_of
from services.quiz.units import UnitDays
from tests.console_house import ConsoleHouse, token
from tests.organisers import cookies_of, member
from tests.unit.test_publishing import BANK, ROUND, House

HERE = "/console/contests/hp"


@dataclass
class Desk:
    """An organiser's browser, and the houses behind it."""

    browser: httpx.AsyncClient
    console: ConsoleHouse
    quiz: House

    async def page(self, path: str) -> str:
        answer = await self.browser.get(path, headers={"accept": "text/html"})
        assert answer.status_code == 200, answer.text
        return answer.text

    async def send(self, path: str, **fields: str) -> httpx.Response:
        return await self.browser.post(path, data={"csrf": token(await self.browser.get(HERE)), **fields})

    async def opened(self) -> None:
        await self.quiz.authoring.publish("hp", ROUND.id)
        self.quiz.clock.advance(timedelta(hours=1))
        await self.quiz.worker._turn_rounds()

    async def over(self) -> None:
        self.quiz.clock.advance(ROUND.closes + GRACE - self.quiz.clock.now())
        await self.quiz.worker._turn_rounds()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    quiz = House(tmp_path / "quiz")
    await quiz.draft()

    async def start() -> None: ...

    router, authoring, book = APIRouter(), quiz.authoring, quiz.book
    public = pages.router(
        book, UnitDays(book, quiz.clock), quiz.clock, quiz.runtime.settings, cast("Any", None), authoring.live, authoring.drafts
    )
    router.include_router(public)
    contests = contests_of(book, quiz.store)
    for part in (
        ContestPages(authoring, book),
        RoundPages(authoring, book),
        AdminApi(authoring, quiz.runtime),
        KeyApi(authoring.mending),
        AnswersPages(authoring.answers, book, authoring.live),
        MendingPages(authoring, authoring.mending, book),
        BankPages(quiz.bank, cast("Any", None), cast("Any", None), contests),
    ):
        router.include_router(part.router)
    house = ConsoleHouse(tmp_path / "console", [Face(name="quiz", router=router, start=start)])
    yield Desk(await house.signed_in(), house, quiz)
    await house.close()


async def test_a_changed_consent_can_be_published(desk: Desk) -> None:
    await desk.opened()
    assert "Công bố thay đổi" not in await desk.page(HERE)
    draft = await desk.quiz.authoring.get("hp")
    await desk.quiz.authoring.edit(msgspec.structs.replace(draft, consent_text="Tôi đồng ý khác."))
    assert "Công bố thay đổi" in await desk.page(HERE)
    await desk.send(f"{HERE}/cong-bo")
    assert "Công bố thay đổi" not in await desk.page(HERE)
    assert desk.quiz.store["contests"].documents["hp"]["consent"]["text"] == "Tôi đồng ý khác."


async def test_the_contest_leads_to_results_and_answers_of_closed_rounds(desk: Desk) -> None:
    await desk.opened()
    links = (f"/ket-qua/{ROUND.id}", "/ket-qua/hp", f"/c/hp/dap-an/{ROUND.id}")
    result = f"/c/hp/ket-qua/p:{ROUND.id}:1"
    for path in ("/c/hp", result):
        running = await desk.page(path)
        assert not any(f'"{link}"' in running for link in links)
    await desk.over()
    home, mine = await desk.page("/c/hp"), await desk.page(result)
    assert all(f'"{link}"' in home for link in links)
    assert f'"{links[0]}"' in mine
    assert f'"{links[2]}"' in mine


async def test_the_answers_of_a_round_are_a_page_and_a_call_once_it_is_over(desk: Desk) -> None:
    await desk.opened()
    paths = (f"/c/hp/dap-an/{ROUND.id}", f"/api/v1/contests/hp/rounds/{ROUND.id}/answers")
    for path in paths:
        running = (await desk.console.browser().get(path)).text
        assert not any(question.text in running for question in BANK)
    await desk.over()
    page, call = [await desk.console.browser().get(path) for path in paths]
    told = call.json()
    assert not told["waiting"]
    for answer in told["answers"]:
        known = next(question for question in BANK if question.id == answer["question"])
        assert ("ABC".index(answer["right"]), answer["text"]) == (*known.right, known.text)
        assert known.text in page.text
    for wrong in ("/c/x/dap-an/hp.tuan-1", "/c/hp/dap-an/hp.tuan-9"):
        assert (await desk.console.browser().get(wrong)).status_code == 404


async def test_answers_are_made_once_for_everyone_and_hidden_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []

    def counted(request: Request, template: str, **context: Any) -> Response:
        rendered.append(template)
        return render(request, template, **context)

    monkeypatch.setattr("services.quiz.authoring.answers.render", counted)
    await desk.opened()
    await desk.over()
    path = f"/c/hp/dap-an/{ROUND.id}"
    first, again = [await desk.page(f"{path}{query}") for query in ("", "?x")]
    await desk.browser.get("/lang/en")
    english = await desk.page(path)
    assert rendered.count("answer_cards.html") == 2
    assert first.count("(đúng)") == again.count("(đúng)") == english.count("(right)") == first.count("<article") > 0
    await desk.quiz.authoring.change(ROUND.id, "extend", "a", "Mất điện", desk.quiz.clock.now() + timedelta(hours=1))
    assert "(right)" not in await desk.page(path)


async def test_an_api_key_of_the_same_organiser_is_no_second_person(desk: Desk) -> None:
    draft = await desk.quiz.authoring.get("hp")
    await desk.quiz.authoring.put_round(draft, ROUND)
    one, program = await member(desk.console.console), desk.console.browser()
    key, _ = await desk.console.console.keys.give(one, "chương trình", "city", None)
    program.headers["Authorization"] = f"Bearer {key}"
    calls = f"/api/v1/admin/rounds/{ROUND.id}"
    assert (await program.post(f"{calls}/submit")).status_code == 200
    assert "Bạn đã trình vòng này" in await desk.page(f"{HERE}/vong/tuan-1")
    assert (await desk.send(f"{HERE}/vong/tuan-1/duyet")).status_code == 409
    assert (await program.post(f"{calls}/approve", json={})).status_code == 409
    other = desk.console.browser(await cookies_of(desk.console.console, who="two"))
    done = await other.post(f"{HERE}/vong/tuan-1/duyet", data={"csrf": token(await other.get(HERE))})
    assert done.status_code == 200
    assert (await desk.quiz.authoring.get("hp")).rounds[0].stage == "approved"


async def test_why_one_approves_alone_or_mends_a_key_leaves_its_digest_in_the_audit_log(desk: Desk) -> None:
    key, _ = await desk.console.console.keys.give(await member(desk.console.console), "chương trình", "city", None)
    calls, program = f"/api/v1/admin/rounds/{ROUND.id}", {"Authorization": f"Bearer {key}"}
    reasons = [f"Ông Nguyễn Văn {n} vắng" for n in range(4)]
    for by_page in (True, False):
        await desk.quiz.authoring.put_round(await desk.quiz.authoring.get("hp"), ROUND)
        await desk.send(f"{HERE}/vong/tuan-1/trinh-duyet")
        if by_page:
            await desk.send(f"{HERE}/vong/tuan-1/duyet", alone=reasons[0])
        else:
            await desk.console.browser().post(f"{calls}/approve", json={"alone": reasons[1]}, headers=program)
    await desk.quiz.authoring.publish("hp", ROUND.id)
    (question, letters), *_ = await desk.quiz.authoring.mending.questions(ROUND.plan("hp"))
    wrong = {"question": question.id, "right": next(letter for letter in "ABC" if letter != letters)}
    await desk.send(f"{HERE}/vong/tuan-1/dap-an", action="propose", reason=reasons[2], **wrong)
    await desk.send(f"{HERE}/vong/tuan-1/dap-an", action="drop", version="2")
    await desk.console.browser().post(f"{calls}/key", json={"reason": reasons[3], **wrong}, headers=program)
    noted = await desk.console.noted()
    assert [reason for reason in reasons if sealed(reason) not in noted] == []
    assert "Nguyễn" not in noted


async def test_a_question_is_corrected_in_a_form_and_no_paper_with_it(desk: Desk) -> None:
    await desk.opened()
    papers = dict(desk.quiz.store["papers"].documents[ROUND.id])
    where, known = "/console/bank/question", BANK[1]
    page = await desk.page(f"{where}?contest=hp&id=q1")
    at = page.partition('name="at" value="')[2].partition('"')[0]
    form = {"contest": "hp", "id": "q1", "at": at, "topic": "Sử", "text": "Câu một là gì?", "a": "x", "b": "y", "answer": "AB"}
    assert (await desk.send(where, **form)).status_code == 422, "all options right"
    desk.quiz.clock.advance(timedelta(seconds=1))
    assert (await desk.send(where, **form | {"c": "z"}, explanation="Vì thế.")).status_code == 200
    entries = await desk.quiz.bank.entries("hp")
    assert [entry.question.id for entry in entries] == [question.id for question in BANK]
    assert (entries[1].question.text, entries[1].question.right, entries[1].question.explanation) == (
        "Câu một là gì?", frozenset({0, 1}), "Vì thế.",
    )  # fmt: skip
    assert (await desk.send(where, **form | {"c": "z"})).status_code == 409, "somebody was quicker"
    assert desk.quiz.store["papers"].documents[ROUND.id] == papers
    held = {question.id: question for question, _ in await desk.quiz.authoring.mending.questions(ROUND.plan("hp"))}
    assert held.get("q1", known) == known
    assert "bank.corrected" in await desk.console.actions()


async def test_who_mends_a_key_is_told_what_can_be_known_of_it(desk: Desk) -> None:
    await desk.quiz.authoring.publish("hp", ROUND.id)
    keys, signer = f"{HERE}/vong/tuan-1/dap-an", looked_at(desk.quiz.runtime.secrets)
    (question, letters), *_ = await desk.quiz.authoring.mending.questions(ROUND.plan("hp"))
    assert f'"{keys}"' in await desk.page(f"{HERE}/vong/tuan-1")
    right = next(letter for letter in "ABC" if letter != letters)
    await desk.send(keys, action="propose", question=question.id, right=right, reason="In nhầm")
    button = 'value="publish"'
    page = await desk.page(keys)
    assert ("Vòng chưa mở" in page, button in page) == (True, True)
    desk.quiz.clock.advance(timedelta(hours=1))
    page = await desk.page(keys)
    assert ("Vòng chưa đóng" in page, button in page) == (True, True)
    await desk.over()
    page = await desk.page(keys)
    assert (f"/console/rounds/{ROUND.id}/key" in page, button in page) == (True, False)
    assert (await desk.send(keys, action="publish", version="2")).status_code == 409
    seen = signer.sign(trial(ROUND.id, 2, ROUND.closes))
    assert button in await desk.page(f"{keys}?seen={seen}")
    assert (await desk.send(keys, action="publish", version="2", seen=seen)).status_code == 200
