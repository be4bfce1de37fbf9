"""What must not pass is refused with the status that the API's contract gives and a problem in Vietnamese, and counts nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.players import Players
from tests.site import Site


class Person:
    """Somebody with a paper in hand."""

    def __init__(self, players: Players, http: httpx.AsyncClient, headers: dict[str, str], attempt: dict[str, Any]) -> None:
        self.players, self.http, self.headers, self.attempt = players, http, headers, attempt
        answers, _ = players.answer(attempt["paper"])
        self.body = {"paper_token": attempt["paper_token"], "answers": answers, "prediction": 10}

    async def submit(self, **changed: Any) -> httpx.Response:
        return await self.http.post("/api/v1/submissions", json={**self.body, **changed})


@pytest.fixture
async def person(hoithi_site: Site, request: pytest.FixtureRequest) -> AsyncIterator[Person]:
    players = Players(hoithi_site.url, seed=77)
    await players.open()
    number = abs(hash(request.node.name)) % 1_000_000
    registered = await players.call("POST", "/api/v1/participants", json={
        "contest": players.contest["id"], "name": "Trần Thị Bình", "phone": f"0988{number:06d}", "unit": players.wards[0],
        "categories": ["hoc-sinh"], "consent": {"version": players.contest["consent"]["version"], "accepted": True},
    })  # fmt: skip
    headers = {"Authorization": f"Bearer {registered['token']}"}
    attempt = await players.call("POST", "/api/v1/attempts", json={"round": players.round}, headers=headers)
    async with httpx.AsyncClient(base_url=hoithi_site.url) as http:
        yield Person(players, http, headers, attempt)
    await players.close()


def is_problem(reply: httpx.Response, status: int, field: str | None) -> None:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert problem["status"] == status
    assert any(letter in problem["detail"] for letter in "ăâđêôơưáàảãạấầẩẫậéèẻẽẹếềểễệíìỉĩịóòỏõọốồổỗộớờởỡợúùủũụứừửữựý")
    assert [error["field"] for error in problem.get("errors", [])] == ([field] if field else [])


async def test_a_forged_token(person: Person) -> None:
    token = person.body["paper_token"]
    is_problem(await person.submit(paper_token=token[:-2] + ("AA" if token[-2:] != "AA" else "BB")), 401, "paper_token")


@pytest.mark.parametrize("cut", [19, 0])
async def test_too_few_answers(person: Person, cut: int) -> None:
    is_problem(await person.submit(answers=person.body["answers"][:cut]), 422, "answers")


async def test_too_many_answers(person: Person) -> None:
    is_problem(await person.submit(answers=person.body["answers"] + "A"), 422, "answers")


@pytest.mark.parametrize("letter", ["E", "a", "Z", "(", "é"])
async def test_a_letter_that_is_no_option(person: Person, letter: str) -> None:
    is_problem(await person.submit(answers=letter + person.body["answers"][1:]), 422, "answers")


@pytest.mark.parametrize("prediction", [-1, 10**12, "12", 1.5])
async def test_a_prediction_that_is_no_count(person: Person, prediction: Any) -> None:
    is_problem(await person.submit(prediction=prediction), 422, "prediction")


async def test_broken_json(person: Person) -> None:
    is_problem(await person.http.post("/api/v1/submissions", content=b"{{{"), 400, None)


async def test_a_field_that_is_missing(person: Person) -> None:
    is_problem(await person.http.post("/api/v1/submissions", json={"answers": "A"}), 422, "paper_token")


async def test_the_same_twice_is_one_submission_and_another_is_refused(hoithi_site: Site, person: Person) -> None:
    before = await person.players.board()
    first, again = await person.submit(), await person.submit()
    assert (first.status_code, again.status_code, again.json()) == (202, 202, first.json())
    changed = ("A" if person.body["answers"][0] != "A" else "B") + person.body["answers"][1:]
    other = await person.submit(answers=changed)
    is_problem(other, 409, None)
    assert other.json()["receipt"] == first.json()["receipt"]
    person.players.tally.people = before + type(before)({person.players.wards[0]: 1})
    await person.players.check_board(120)
    trace = hoithi_site.hoithi("trace", first.json()["attempt_id"])
    assert trace.count("submission.received") == 1


async def test_what_is_refused_is_not_counted(person: Person) -> None:
    await person.submit(answers="ABC")
    result = await person.players.call("GET", f"/api/v1/results/{person.attempt['attempt_id']}", headers=person.headers)
    assert result["status"] == "pending"


async def test_the_problem_is_told_in_english_to_who_asks_for_it(person: Person) -> None:
    reply = await person.http.post("/api/v1/submissions", json={**person.body, "answers": "A"}, headers={"Accept-Language": "en"})
    assert "answers" in reply.json()["detail"]


async def test_another_persons_result_is_not_found(person: Person) -> None:
    other = person.attempt["attempt_id"].replace(person.attempt["attempt_id"][:4], "aaaa")
    reply = await person.http.get(f"/api/v1/results/{other}", headers=person.headers)
    is_problem(reply, 404, None if not reply.json().get("errors") else reply.json()["errors"][0]["field"])


async def test_a_changed_receipt_fails_verification(hoithi_site: Site, person: Person) -> None:
    receipt = (await person.submit()).json()["receipt"]
    assert person.attempt["attempt_id"] in "".join(hoithi_site.hoithi("receipt", "verify", receipt).split())
    middle = len(receipt) // 2
    changed = receipt[:middle] + ("A" if receipt[middle] != "A" else "B") + receipt[middle + 1 :]
    hoithi_site.hoithi("receipt", "verify", changed, expect=1)
