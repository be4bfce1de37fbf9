"""What tests of reminders share: a contest, a house for notify's parts, and gateways that answer as they are told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl

from services.events import Category, ContestBook, ContestPublished, Event, RoundPlan, Unit, decode, encode
from services.kit.bus import Bus, Outgoing
from services.kit.clock import Clock, ManualClock
from services.kit.locallog import LocalLog
from services.kit.runtime import Runtime
from services.kit.security import Secrets
from services.kit.settings import Settings
from services.notify.campaigner import Campaigner
from services.notify.campaigns import Address, Campaign, Campaigns
from services.notify.contacts import Contacts, Rosters
from services.notify.gateways import Gateway
from services.notify.limits import Limits
from services.notify.notices import NoticesWorker
from services.notify.reminding import Reminding
from services.notify.roster import RosterPerson
from services.notify.sender import Sender
from services.notify.store import Outbox

if TYPE_CHECKING:
    from services.kit.store import Database

NOW = datetime(2026, 5, 20, 2, 0, tzinfo=UTC)
"""Nine in the morning in Hải Phòng."""

CONTEST = "c"
UNITS = [("HP", None), ("A", "HP"), ("A1", "A"), ("A2", "A"), ("B", "HP")]


def plan(round: str = "c.tuan-1", closes: datetime = NOW + timedelta(days=10)) -> RoundPlan:
    return RoundPlan(
        id=round, contest=CONTEST, name="Tuần 1", opens=NOW - timedelta(days=3), closes=closes, questions=20, minutes=15,
        attempts=3, counting="best", ranking=("correct desc",), prediction=None, show_score="at_once", show_key="after_close",
    )  # fmt: skip


def book(*rounds: RoundPlan) -> ContestBook:
    known = ContestBook()
    known.apply(
        ContestPublished(
            time=NOW, contest=CONTEST, title="Hải Phòng làm theo lời Bác", kind="", owner="Ban Tuyên giáo Thành ủy",
            timezone="Asia/Ho_Chi_Minh", documents=(), categories=(Category(id="giao-vien", name="Giáo viên"),),
            units=tuple(Unit(code=code, parent=parent, name=f"Phường {code}", kind="") for code, parent in UNITS),
            rounds=rounds or (plan(),),
        )
    )  # fmt: skip
    return known


class Told:
    """A bus that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def publish(self, records: Sequence[Outgoing]) -> None:
        self.events += [decode(record.headers["ce_type"], record.value) for record in records]


class House:
    """Notify's parts over one store, as a worker and the web process have them."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        gateways: Sequence[Gateway] | None = None,
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        self.clock = cast("ManualClock", clock or ManualClock(NOW))
        self.told, self.book = Told(), book(plan(closes=self.clock.now() + timedelta(days=10)))
        self.runtime = Runtime(
            service="notify", settings=Settings(public_url="https://thi.example.org", data_dir=folder, **settings),
            clock=self.clock, bus=cast("Bus", self.told), journal=cast("LocalLog", None), store=database,
            secrets=Secrets(folder / "secrets"), encode=encode,
        )  # fmt: skip
        self.outbox, self.campaigns, self.limits = Outbox(database), Campaigns(database), Limits(self.runtime)
        self.contacts, self.rosters = Contacts(database), Rosters(database)
        self.reminding = Reminding(self.runtime, self.book)
        self.gateways = gateways
        self.restart()

    def restart(self) -> None:
        """New workers, who know only what is in the store."""
        self.sender = Sender(self.runtime, self.outbox, self.book, self.gateways)
        self.campaigner = Campaigner(self.runtime, self.book, self.outbox)
        self.notices = NoticesWorker(self.runtime, self.book, self.outbox)

    async def prepare(self) -> None:
        await self.outbox.prepare()
        await self.campaigns.prepare()

    async def confirmed(self, id: str, people: int, channel: Any = "sms", **changed: Any) -> Campaign:
        """A campaign to so many contacts of unit A1, confirmed."""
        addresses = tuple(Address("A1", f"Người {n}", f"n{n}@example.org", f"+8491{n:07d}") for n in range(people))
        fields: dict[str, Any] = {
            "audience": "contacts", "channel": channel, "units": ("A1",), "addresses": addresses, "state": "confirmed",
            "subject": "Đôn đốc {don_vi}", "text": "Kính gửi {don_vi}: còn {con_lai}, xem {lien_ket}",
            "made_at": self.clock.now(),
        }  # fmt: skip
        campaign = Campaign(id=id, contest=CONTEST, **fields | changed)
        await self.campaigns.add([campaign])
        return campaign

    async def send(self) -> int:
        return await self.sender.send_due(lambda: False)

    async def states(self, campaign: str | None = None) -> dict[str, int]:
        return {state: count for state, count in (await self.outbox.counts(campaign, 0)).items() if count}


async def on_rosters(house: House) -> None:
    """A campaign to three people on two units' rosters: one sent, two waiting."""
    people = {"A1": ["+84911111111", "+84922222222"], "A2": ["+84933333333"]}
    for unit, phones in people.items():
        await house.rosters.put(CONTEST, unit, [RosterPerson("", "Dung", phone, "", "") for phone in phones], "x", NOW)
    await house.confirmed("one", 0, audience="roster", root="A", units=(), addresses=())
    await house.campaigner.step()
    first = next(m for m in await house.outbox.waiting("sms", NOW, 9) if m["to"] == "+84911111111")
    await house.outbox.claim(first["_id"], NOW)
    await house.outbox.ended(first["_id"], "sent")
    await house.campaigner.step()


class HttpGate:
    """A real HTTP server that takes messages. `answer` says for each request what is done: "ok", "429", "500", "401", "400",
    "silent" (takes it, never answers), "drip" (takes it, answers byte by byte), "reset" (takes it, then breaks the connection).
    `taken` counts by address."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.requests = 0
        self.answer: Callable[[int], str] = lambda n: "ok"
        self.pause = 0.0
        self.once_per_key = False
        self._keys: set[str] = set()
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[HttpGate]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
        first, *head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head if line)}
        return first.split()[1], headers, await reader.readexactly(int(headers["content-length"]))

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        _, headers, body = await self._read(reader)
        self.requests += 1
        does = self.answer(self.requests)
        await asyncio.sleep(self.pause)
        if does in ("ok", "silent", "drip", "reset"):
            self._take(headers, body)
        if does == "reset":
            cast("asyncio.WriteTransport", writer.transport).abort()
            return False
        while does == "drip":
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(0.05)
        if does == "silent":
            await reader.read()
            return False
        status = "200" if does == "ok" else does
        more = "Retry-After: 30\r\n" if does == "429" else ""
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n{more}\r\n{{}}".encode())
        await writer.drain()
        return True

    def _take(self, headers: dict[str, str], body: bytes) -> None:
        key, said = headers.get("idempotency-key") or headers.get("webhook-id", ""), json.loads(body)
        if not self.once_per_key or key not in self._keys:
            self.taken[said.get("to") or " ".join(said["data"]["units"])] += 1
        self._keys.add(key)
        self.bodies.append(body)
        self.headers.append(headers)


class ZaloGate(HttpGate):
    """Answers as Zalo does: always 200, the outcome in `error`. A refresh token works once and brings the next pair."""

    def __init__(self) -> None:
        super().__init__()
        self.access, self.refresh = "", "r0"
        self.asked = self.pairs = 0
        self.error: Callable[[int], int] = lambda n: 0

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        path, headers, body = await self._read(reader)
        said = json.dumps(self._renew(headers, body) if path == "/oauth" else self._template(headers, json.loads(body))).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
        await writer.drain()
        return True

    def _renew(self, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        form = dict(parse_qsl(body.decode()))
        self.asked += 1
        assert (headers["secret_key"], form["app_id"], form["grant_type"]) == ("secret", "app", "refresh_token")
        if form["refresh_token"] != self.refresh:
            return {"error": -14014, "error_name": "Invalid refresh token."}
        self.pairs += 1
        self.access, self.refresh = f"a{self.pairs}", f"r{self.pairs}"
        return {"access_token": self.access, "refresh_token": self.refresh, "expires_in": "90000"}

    def _template(self, headers: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        self.requests += 1
        if not self.access or headers["access_token"] != self.access:
            return {"error": -124, "message": "Access token invalid"}
        error = self.error(self.requests)
        if not error:
            self.taken[f"+{body['phone']}"] += 1
            self.bodies.append(json.dumps(body).encode())
        return {"error": error, "message": ""}
