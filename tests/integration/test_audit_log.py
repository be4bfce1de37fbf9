"""The audit log over a real store: every change of it is found, and two processes never take one number."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyotp
import pytest

from services.kit.clock import ManualClock, SystemClock
from services.kit.console import AuditLog
from services.kit.console.audit_log import Broken, digest
from services.kit.console.directory import Directory
from services.kit.console.lockout import Lockout
from services.kit.problems import Problem
from services.kit.security import Secrets
from services.kit.store import connect, settled

if TYPE_CHECKING:
    from services.kit.store import Database

NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)


async def filled(database: Database, folder: Path, count: int = 5) -> AuditLog:
    log = AuditLog(database, Secrets(folder), ManualClock(NOW))
    for n in range(1, count + 1):
        await log.append("someone", "bank.imported", f"bank-{n}", rows=n, note="Kiến An", at=NOW)
    return log


async def test_what_was_written_is_whole_and_comes_back(database: Database, tmp_path: Path) -> None:
    log = await filled(database, tmp_path)
    assert await log.verify() == 5
    newest, *_ = await log.page(5, 2)
    assert (newest.seq, newest.subject) == (5, "bank-5")
    assert newest.details == '{"at":"2026-11-25 08:00:00+00:00","note":"Kiến An","rows":5}'
    again = AuditLog(database, Secrets(tmp_path), SystemClock())
    assert (await again.append("worker/scoring", "round.closed", "r")).seq == 6
    assert await again.verify(await log.head()) == 6
    assert await AuditLog(database, Secrets(tmp_path), SystemClock()).page(3, 50) == (await log.page(6, 6))[3:]


CHANGES: dict[str, Any] = {
    "at": "2026-11-25T09:00:00+00:00", "actor": "another", "action": "bank.dropped", "subject": "bank-9", "details": "{}",
    "previous": "0" * 64, "hash": "0" * 64, "signature": "0" * 128,
}  # fmt: skip


@pytest.mark.parametrize("field", CHANGES)
@pytest.mark.parametrize("seq", [1, 3, 5])
async def test_a_changed_field_is_found(database: Database, tmp_path: Path, field: str, seq: int) -> None:
    log = await filled(database, tmp_path)
    await database["audit_log"].update_one({"_id": seq}, {"$set": {field: CHANGES[field]}})
    if field == "previous" and seq == 1:
        await database["audit_log"].update_one({"_id": seq}, {"$set": {field: "1" * 64}})
    with pytest.raises(Broken) as broken:
        await log.verify()
    assert broken.value.seq == seq


async def test_an_entry_rewritten_with_a_fitting_hash_is_found(database: Database, tmp_path: Path) -> None:
    log = await filled(database, tmp_path)
    held: Any = await database["audit_log"].find_one({"_id": 5})
    fields = [5, held["at"], "another", held["action"], held["subject"], held["details"], held["previous"]]
    await database["audit_log"].update_one({"_id": 5}, {"$set": {"actor": "another", "hash": digest(*fields)}})
    with pytest.raises(Broken):
        await log.verify()


async def test_a_forged_entry_at_the_end_is_found(database: Database, tmp_path: Path) -> None:
    log = await filled(database, tmp_path)
    await AuditLog(database, Secrets(tmp_path / "others"), ManualClock(NOW)).append("x", "y", "z")
    with pytest.raises(Broken):
        await log.verify()


@pytest.mark.parametrize(("gone", "where"), [([1], 1), ([3], 3), ([5], 5), ([4, 5], 4), ([1, 2, 3, 4, 5], 1)])
async def test_missing_entries_are_found(database: Database, tmp_path: Path, gone: list[int], where: int) -> None:
    log = await filled(database, tmp_path)
    await database["audit_log"].delete_many({"_id": {"$in": gone}})
    with pytest.raises(Broken) as broken:
        await log.verify()
    assert broken.value.seq == where
    await log.append("someone", "went.on", "x")
    with pytest.raises(Broken):
        await log.verify()


async def test_an_older_head_put_back_is_found_by_a_noted_one(database: Database, tmp_path: Path) -> None:
    log = await filled(database, tmp_path, 3)
    old: Any = await database["audit_head"].find_one({"_id": "head"})
    await log.append("someone", "bad.deed", "x")
    noted = await log.head()
    await database["audit_log"].delete_many({"_id": 4})
    await database["audit_head"].update_one({"_id": "head"}, {"$set": {k: v for k, v in old.items() if k != "_id"}})
    assert await log.verify() == 3, "who rolls all of it back leaves no trace in the store itself"
    with pytest.raises(Broken):
        await log.verify(noted)


async def test_a_head_that_is_gone_or_changed_is_found(database: Database, tmp_path: Path) -> None:
    log = await filled(database, tmp_path)
    await database["audit_head"].update_one({"_id": "head"}, {"$set": {"seq": 4}})
    with pytest.raises(Broken):
        await log.verify()
    await database["audit_head"].delete_many({})
    with pytest.raises(Broken):
        await log.verify()


APPENDER = """
import asyncio, sys
from pathlib import Path
from services.kit.clock import SystemClock
from services.kit.console import AuditLog
from services.kit.security import Secrets
from services.kit.store import connect

async def main():
    url, name, folder, who = sys.argv[1:]
    log = AuditLog(connect(url, "motor")[name], Secrets(Path(folder)), SystemClock())
    await asyncio.gather(*(log.append(who, "tried", str(n)) for n in range(20)))

asyncio.run(main())
"""


async def test_two_processes_append_at_once(store_url: str, tmp_path: Path) -> None:
    name = f"test_{tmp_path.name}"[:40]
    Secrets(tmp_path).get("audit.key")
    command = [sys.executable, "-c", APPENDER, store_url, name, str(tmp_path)]
    both = [await asyncio.create_subprocess_exec(*command, who) for who in "ab"]
    assert [await process.wait() for process in both] == [0, 0]
    client = connect(store_url, "pymongo")
    log = AuditLog(client[name], Secrets(tmp_path), SystemClock())
    assert await log.verify() == 40
    entries = [entry async for entry in log.entries()]
    assert {(e.actor, e.subject) for e in entries} == {(who, str(n)) for who in "ab" for n in range(20)}
    await settled(client.close())


async def test_a_hundred_tries_at_once_are_a_hundred_tries(database: Database) -> None:
    lockout = Lockout(database, ManualClock(NOW))

    async def attempt() -> bool:
        try:
            await lockout.count("a")
        except Problem:
            return False
        return True

    assert sum(await asyncio.gather(*(attempt() for _ in range(100)))) == 5


async def test_a_code_is_taken_once_by_two_at_once(database: Database, tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    directory = Directory(database, Secrets(tmp_path), clock)
    account = await directory.create(email="a@b.vn", name="A", hash="!", role="city", subtree=None, grace=True)
    assert account
    assert await directory.create(email="a@b.vn", name="B", hash="!", role="city", subtree=None, grace=True) is None
    secret = await directory.pending_secret(account.id)
    codes = await directory.confirm_code(account.id, pyotp.TOTP(secret).at(NOW.timestamp() - 30))
    assert codes
    for code, kind in ((pyotp.TOTP(secret).at(NOW), "totp"), (codes[3], "recovery")):
        taken = await asyncio.gather(*(directory.take_code(account.id, code) for _ in range(5)))
        assert sorted(filter(None, taken)) == [kind]
