"""When reminders may go, in what words, to whom of a roster; and that nobody gets two, whatever happens in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kit.clock import ManualClock
from services.kit.settings import Settings
from services.notify.domain import Channel, Result, Slot, awake, blanks, fill, masked, parts, plain, refusal
from services.notify.gateways import Hook, Sms, filled, retry_after
from services.notify.people import Mark, Member, Person
from services.notify.roster import RosterPerson, match, phone_of
from services.notify.zalo import Zalo
from tests.contract.memory_store import MemoryCollection, memory_store
from tests.reminders import NOW, House

HP = ZoneInfo("Asia/Ho_Chi_Minh")
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("hour", "wakes"),
    [("20:59", "20:59"), ("21:00", "07:00+1"), ("23:59", "07:00+1"), ("00:30", "07:00"), ("06:59", "07:00"), ("07:00", "07:00")],
)
def test_reminders_wait_for_the_morning_of_the_contests_clock(hour: str, wakes: str) -> None:
    now = datetime.combine(datetime(2026, 5, 20).date(), time.fromisoformat(hour), HP)
    woken = awake(now.astimezone(UTC), time(21), time(7), HP).astimezone(HP)
    day = (woken.date() - now.date()).days
    assert f"{woken:%H:%M}" + (f"+{day}" if day else "") == wakes


@given(st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)), st.times(), st.times())
def test_who_was_woken_is_awake_within_a_day(at: datetime, start: time, end: time) -> None:
    start, end, now = start.replace(microsecond=0, fold=0), end.replace(microsecond=0, fold=0), at.replace(tzinfo=UTC)
    woken = awake(now, start, end, HP)
    assert now <= woken <= now + DAY
    assert awake(woken, start, end, HP) == woken


def test_a_person_gets_at_most_so_many_so_far_apart() -> None:
    gap, slots = timedelta(hours=48), [Slot("a", NOW - 5 * DAY), Slot("b", NOW - 1 * DAY)]
    assert refusal(slots, "c", NOW, 3, gap) == "gap"
    assert refusal(slots, "c", NOW + DAY, 3, gap) == ""
    assert refusal([*slots, Slot("c", NOW + DAY)], "d", NOW + 9 * DAY, 3, gap) == "cap"
    assert refusal([*slots, Slot("c", NOW + DAY)], "c", NOW + DAY, 3, gap) == "", "a message keeps the slot that it has"


def test_placeholders_are_filled_and_never_twice() -> None:
    assert fill("{don_vi}: {so_nguoi} {gi_do}", {"don_vi": "{so_nguoi}", "so_nguoi": "7"}) == "{so_nguoi}: 7 {gi_do}"
    assert blanks("a {b} {c_d}") == ["b", "c_d"]
    assert filled({"a": ["{x}", 1]}, {"x": '"; drop'}) == {"a": ['"; drop', 1]}


@pytest.mark.parametrize(
    ("text", "count"), [("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3), ("ă" * 70, 1), ("ă" * 71, 2)]
)
def test_how_many_sms_a_text_takes(text: str, count: int) -> None:
    assert parts(text) == count


def test_plain_letters_and_masked_addresses() -> None:
    assert plain("Đôn đốc Kiến An") == "Don doc Kien An"
    assert masked("+84912345678") == "***678"
    assert masked("dung@example.org") == "d***@example.org"


def person(id: str, name: str, code: str = "", rounds: tuple[str, ...] = ()) -> Member:
    marks = tuple(Mark(round, 1, 0, True) for round in rounds)
    return Member(id, Person("c", "A1", "vi", "", "", name, code, (), 0, marks))


def test_a_code_decides_and_a_name_only_suggests() -> None:
    members = [person("1", "le thi dung", "hs01", ("r1",)), person("2", "tran van an"), person("3", "tran van an", "", ("r1",))]
    roster = [
        RosterPerson("HS01", "Tên Khác", "", "", ""),
        RosterPerson("HS02", "Trần Văn An", "", "", ""),
        RosterPerson("", "Lê Thị Dung", "", "", ""),
    ]
    assert [row.standing for row in match(roster, members, "r1")] == ["took-part", "maybe-took-part", "unknown"]
    assert [row.standing for row in match(roster, members, "r2")] == ["registered", "maybe-registered", "unknown"]
    assert match(roster, members, None) == match(roster, members[::-1], None)


@pytest.mark.parametrize(
    ("text", "phone"), [("0912 345 678", "+84912345678"), ("912345678", "+84912345678"), ("12", ""), ("a", "")]
)
def test_phone_numbers_as_spreadsheets_leave_them(text: str, phone: str) -> None:
    assert phone_of(text) == phone


def test_what_a_gateways_answers_mean() -> None:
    clock = ManualClock(NOW)
    sms = Sms(Settings(sms_url="http://x", sms_accepted="CodeResult=100"), clock)
    outcomes = {status: sms._judge(httpx.Response(status)).outcome for status in (400, 401, 404, 408, 429, 500, 502, 503, 504)}
    assert outcomes == {
        400: "failed", 401: "again", 404: "failed", 408: "again", 429: "again", 500: "again", 502: "uncertain", 503: "again",
        504: "uncertain",
    }  # fmt: skip
    assert sms.accepted(httpx.Response(200, json={"CodeResult": 100})).outcome == "sent"
    assert sms.accepted(httpx.Response(200, json={"CodeResult": 99})).outcome == "failed"
    assert sms.accepted(httpx.Response(200, text="<html>")).outcome == "uncertain"
    again = Sms(Settings(sms_url="http://x", sms_accepted="CodeResult=100", sms_idempotent=True), clock)
    assert again._judge(httpx.Response(504)).outcome == "again"


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (0, Result("sent")),
        (-124, Result("again", "zalo -124", away=True)),
        (-32, Result("again", "zalo -32")),
        (-111, Result("failed", "zalo -111")),
        (-118, Result("failed", "zalo -118")),
        (-133, Result("again", "zalo -133", timedelta(hours=7))),
        (-115, Result("again", "zalo -115", timedelta(hours=1), away=True)),
        (-147, Result("again", "zalo -147", timedelta(hours=1), away=True)),
        (-131, Result("again", "zalo -131", timedelta(hours=1), away=True)),
        (-139, Result("failed", "zalo -139", refused=True)),
        (-141, Result("failed", "zalo -141", refused=True)),
        (None, Result("uncertain", "answer not understood", away=True, doubt=True)),
    ],
)
def test_what_zalo_means(error: int | None, result: Result, tmp_path: Path) -> None:
    clock = ManualClock(NOW.replace(hour=16))  # eleven in the evening
    zalo = Zalo(House(memory_store(), tmp_path, clock=clock, zalo_token="t", zalo_template="1").runtime)
    assert zalo.accepted(httpx.Response(200, json={"error": error})) == result


def test_a_webhook_is_signed_so_that_its_receiver_can_check() -> None:
    from standardwebhooks.webhooks import Webhook

    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    hook = Hook(Settings(webhook_url="http://x", webhook_secret=secret), ManualClock(datetime.now(UTC)))
    body, headers = hook.request({"_id": "m", "purpose": "reminder", "contest": "c", "units": ["A1"], "text": "x", "to": "A1"})
    assert Webhook(secret).verify(body, headers)["data"]["units"] == ["A1"]


@pytest.mark.parametrize(
    ("said", "seconds"), [("30", 30), ("Wed, 20 May 2026 02:01:00 GMT", 60), ("99999999", 6 * 3600), ("soon", None), ("", None)]
)
def test_how_long_a_gateway_asks_to_be_left_alone(said: str, seconds: int | None) -> None:
    wait = retry_after(httpx.Response(429, headers={"Retry-After": said}), NOW)
    assert wait == (None if seconds is None else timedelta(seconds=seconds))


class Killed(BaseException):
    """The process dies here."""


class Fate:
    """Counts what a process does and kills it at the steps it is told: nothing of it does anything more."""

    def __init__(self, deaths: set[int]) -> None:
        self.step, self.deaths, self.dead = 0, deaths, False

    def tick(self) -> None:
        self.step += 1
        self.dead = self.dead or self.step in self.deaths
        if self.dead:
            raise Killed


class Mortal(MemoryCollection):
    """A collection whose writer may die just before or just after each write."""

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self._fate = fate

    async def insert_many(self, documents: Any, ordered: bool = True) -> None:
        self._fate.tick()
        try:
            await super().insert_many(documents, ordered)
        finally:
            self._fate.tick()

    async def update_one(self, query: Mapping[str, Any], update: Mapping[str, Any], upsert: bool = False) -> Any:
        self._fate.tick()
        done = await super().update_one(query, update, upsert)
        self._fate.tick()
        return done


class Mortals(dict[str, Mortal]):
    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self._fate = fate

    def __missing__(self, name: str) -> Mortal:
        self[name] = Mortal(self._fate)
        return self[name]


class Moody:
    """A gateway that takes a message or not, answers or not, as it is told; the process may die on either side of it."""

    channel: Channel = "sms"
    at_once = 2
    repeatable = False

    def __init__(self, fate: Fate, moods: list[str]) -> None:
        self._fate, self.moods = fate, moods
        self.taken: Counter[str] = Counter()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Callable[[Mapping[str, Any]], Awaitable[Result]]]:
        yield self._deliver

    async def _deliver(self, message: Mapping[str, Any]) -> Result:
        self._fate.tick()
        mood = self.moods.pop() if self.moods else "sent"
        if mood in ("sent", "uncertain"):
            self.taken[message["to"]] += 1
        self._fate.tick()
        return Result(mood, mood if mood != "sent" else "")  # type: ignore[arg-type]


async def interfere(house: House, what: str, campaign: str) -> None:
    """An organiser cancels a campaign, or its round closes."""
    if what == "close":
        for message in house.runtime.store["messages"].documents.values():  # type: ignore[attr-defined]
            if message["campaign"] == campaign:
                message["until"] = house.clock.now()
    elif (held := await house.campaigns.get(campaign)) and held.state != "done":
        await house.campaigns.put(msgspec.structs.replace(held, state="cancelled"))
        await house.outbox.cancel(campaign)


@settings(max_examples=150, deadline=None)
@given(
    st.sets(st.integers(1, 260), max_size=8),
    st.lists(st.sampled_from(["sent", "again", "failed", "uncertain"]), max_size=12),
    st.integers(1, 5),
    st.dictionaries(st.integers(0, 6), st.sampled_from(["cancel one", "cancel two", "close one", "close two"]), max_size=3),
)
def test_nobody_gets_two_whatever_dies_when(deaths: set[int], moods: list[str], people: int, turns: dict[int, str]) -> None:
    """Two campaigns of one evening to the same people: any mood of the gateway, a kill at any write or call, restarts, campaigns
    cancelled and rounds closed half-way. Whom nothing can have reached is reached by a third."""

    async def run(folder: Path) -> None:
        fate = Fate(deaths)
        gateway = Moody(fate, list(moods))
        # The gap is never over, and nothing waits for a morning.
        times: dict[str, Any] = {"reminder_gap_h": 10_000, "quiet_from": "00:00", "quiet_until": "00:00"}
        house = House(Mortals(fate), folder, [gateway], **times)  # type: ignore[arg-type]
        fate.deaths = set()
        await house.confirmed("one", people)
        await house.confirmed("two", people)
        fate.step, fate.deaths = 0, deaths
        for turn in range(40 + 4 * len(deaths)):
            if turn in turns:
                fate.deaths = set()
                await interfere(house, *turns[turn].split())
                fate.deaths = deaths
            try:
                await house.campaigner.step()
                await house.send()
            except Killed:
                fate.dead = False
                house.restart()
            house.clock.advance(timedelta(minutes=31))
        fate.deaths = set()
        assert all(count == 1 for count in gateway.taken.values()), gateway.taken
        messages = list(house.runtime.store["messages"].documents.values())  # type: ignore[attr-defined]
        states = Counter(m["state"] for m in messages)
        assert not states["sending"] + states["waiting"]
        assert sum(states.values()) == 2 * people or turns
        assert set(gateway.taken) <= {m["to"] for m in messages}
        reached = {m["to"] for m in messages if m["state"] in ("sent", "uncertain")}
        gateway.moods.clear()
        await house.confirmed("three", people)
        await house.campaigner.step()
        await house.send()
        assert set(gateway.taken.values()) <= {1}
        assert len(reached | set(gateway.taken)) == people, "a message that was not sent leaves its person free for another"

    with TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
