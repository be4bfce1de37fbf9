"""The audit log: who did what, each entry signed, and bound to the one before by its hash.

An entry that is changed, dropped, added or moved breaks the chain or has no signature; a cut-off tail misses the head.
Who cuts the tail and puts an older head back, or holds the signing key too, could still write another history:
hence `verify` also takes a head that was noted elsewhere, and each append prints one to the log of its process.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import structlog

from services.kit.clock import Clock
from services.kit.notary import Notary, is_signed
from services.kit.security import Secrets
from services.kit.store import FACTS, find_ids, insert_facts, store_errors

if TYPE_CHECKING:
    from services.kit.store import Database

log = structlog.get_logger(__name__)

CONTEXT = b"hoithi audit log 1\n"
"""Stands before every signed head, so that the signature says nothing else."""

ORIGIN = "0" * 64
"""The hash before the first entry."""

READ = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened. `seq` counts from 1; `at` is RFC 3339 in UTC; `details` is canonical JSON; hashes are SHA-256, the
    signature is Ed25519 over number and hash, in hex."""

    seq: int
    at: str
    actor: str
    action: str
    subject: str
    details: str
    previous: str
    hash: str
    signature: str

    def computed(self) -> str:
        """The hash that the other fields have."""
        return digest(self.seq, self.at, self.actor, self.action, self.subject, self.details, self.previous)


class Broken(ValueError):
    """The log is not what was written. `seq` says where; `reason` is a Vietnamese sentence."""

    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(f"{seq}: {reason}")
        self.seq, self.reason = seq, reason


def canonical(value: object) -> str:
    """One text for one value: sorted keys, no spaces; what JSON lacks (times, …) as text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def digest(*fields: object) -> str:
    """The hash of an entry's fields, in the order of `Entry`."""
    return sha256(canonical(fields).encode()).hexdigest()


def sealed(words: str) -> str:
    """What the log holds of words that may name somebody: their SHA-256, hex. The words stay where they can be erased."""
    return sha256(words.encode()).hexdigest()


class AuditLog:
    """The log in the console's database. Any number of processes may append: the number of an entry is its id."""

    def __init__(self, database: Database, secrets: Secrets, clock: Clock) -> None:
        self._entries, self._heads, self._clock = database["audit_log"], database["audit_head"], clock
        self._notary = Notary(secrets.get("audit.key"))

    async def append(self, actor: str, action: str, subject: str, **details: object) -> Entry:
        """Notes that `actor` (an account's id, or `worker/scoring`) did `action` (`bank.imported`) to `subject` (an id).

        Durable when it returns. No personal data: entries are for ever. Raises StoreDown; then it may be noted or not.
        """
        seq, previous = await self._end()
        while True:
            fields = (seq + 1, self._clock.now().isoformat(), actor, action, subject, canonical(details), previous)
            entry = Entry(*fields, hash := digest(*fields), self._notary.sign(CONTEXT, _signed(seq + 1, hash)).hex())
            if not await insert_facts(self._entries, [_document(entry)]):
                break
            seq, previous = await self._walk(seq, previous)
        await self._move_head(entry)
        log.info("audited", actor=actor, action=action, subject=subject, seq=entry.seq, hash=entry.hash)
        return entry

    async def head(self) -> tuple[int, str]:
        """Number and hash of the last entry; (0, ORIGIN) of an empty log."""
        return await self._end()

    async def page(self, last: int, count: int) -> list[Entry]:
        """Up to `count` entries that end with number `last`, newest first."""
        found = await self._read(range(max(1, last - count + 1), last + 1))
        return [found[seq] for seq in sorted(found, reverse=True)]

    async def verify(self, noted: tuple[int, str] | None = None) -> int:
        """Checks the whole log, and that it goes through the head that somebody `noted`. Returns the number of entries.

        Raises Broken.
        """
        signed = await self._signed_head()
        due = {head[0]: head[1] for head in (signed, noted) if head}
        seq, previous = 0, ORIGIN
        async for entry in self.entries():
            self._check(entry, seq + 1, previous)
            seq, previous = entry.seq, entry.hash
            if due.pop(seq, previous) != previous:
                raise Broken(seq, "Mục này không phải là mục đã được ký hoặc đã được ghi lại.")
        if due:
            raise Broken(seq + 1, "Phần cuối của nhật ký đã bị cắt.")
        if seq and signed is None:
            raise Broken(seq, "Không còn chữ ký của mục cuối.")
        return seq

    async def entries(self) -> AsyncIterator[Entry]:
        """All entries in order. Raises Broken at a hole that has entries behind it."""
        with store_errors():
            ids = [each["_id"] async for each in self._entries.find({}, {"_id": 1})]
        last = max((id for id in ids if isinstance(id, int)), default=0)
        for start in range(1, last + 1, READ):
            wanted = range(start, min(start + READ, last + 1))
            found = await self._read(wanted)
            for seq in wanted:
                if seq not in found:
                    raise Broken(seq, "Mục này bị thiếu.")
                yield found[seq]

    async def _read(self, numbers: range) -> dict[int, Entry]:
        with store_errors():
            return {int(d["_id"]): _entry(d) async for d in self._entries.find({"_id": {"$in": list(numbers)}})}

    async def _end(self) -> tuple[int, str]:
        with store_errors():
            head = await self._heads.find_one({"_id": "head"})
        return await self._walk(head["seq"], head["hash"]) if head else await self._walk(0, ORIGIN)

    async def _walk(self, seq: int, previous: str) -> tuple[int, str]:
        """From an entry to the last one there is: the head may lag behind."""
        while True:
            found = await self._read(range(seq + 1, seq + 33))
            if seq + 1 not in found:
                return seq, previous
            while seq + 1 in found:
                seq += 1
                previous = found[seq].hash

    async def _move_head(self, entry: Entry) -> None:
        """Signs the entry as the last one, unless a later one is signed already."""
        new = {"seq": entry.seq, "hash": entry.hash, "signature": entry.signature}
        if not await insert_facts(self._heads, [{"_id": "head", **new}]):
            return
        while True:
            held = (await find_ids(self._heads, ["head"]))["head"]
            if held["seq"] >= entry.seq:
                return
            with store_errors():
                heads = self._heads.with_options(write_concern=FACTS)
                if (await heads.update_one({"_id": "head", "seq": held["seq"]}, {"$set": new})).matched_count:
                    return

    async def _signed_head(self) -> tuple[int, str] | None:
        with store_errors():
            head = await self._heads.find_one({"_id": "head"})
        if head is None:
            return None
        seq, hash = int(head["seq"]), str(head["hash"])
        if not self._is_signed(seq, hash, str(head.get("signature"))):
            raise Broken(seq, "Chữ ký của mục cuối không đúng.")
        return seq, hash

    def _check(self, entry: Entry, seq: int, previous: str) -> None:
        if entry.seq != seq:
            raise Broken(seq, "Số thứ tự không đúng.")
        if entry.previous != previous:
            raise Broken(seq, "Mục này không nối với mục trước.")
        if entry.computed() != entry.hash:
            raise Broken(seq, "Nội dung đã bị sửa.")
        if not self._is_signed(seq, entry.hash, entry.signature):
            raise Broken(seq, "Chữ ký không đúng.")

    def _is_signed(self, seq: int, hash: str, signature: str) -> bool:
        try:
            raw = bytes.fromhex(signature)
        except ValueError:
            return False
        return is_signed(self._notary.public_key, raw, CONTEXT, _signed(seq, hash))


def _signed(seq: int, hash: str) -> bytes:
    return f"{seq}:{hash}".encode()


def _document(entry: Entry) -> dict[str, Any]:
    return {"_id": entry.seq} | {name: getattr(entry, name) for name in Entry.__slots__ if name != "seq"}


def _entry(document: dict[str, Any]) -> Entry:
    return Entry(document["_id"], *(str(document.get(name, "")) for name in Entry.__slots__ if name != "seq"))
