"""The accounts in the console's database. An account's id follows from its e-mail, so that no e-mail has two."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from services.kit.clock import Clock
from services.kit.console.accounts import GRACE, Account, Role
from services.kit.console.second_factor import Vault, new_recovery_codes, new_secret, step_of
from services.kit.security import Secrets
from services.kit.store import FACTS, find_ids, insert_facts, store_errors

if TYPE_CHECKING:
    from services.kit.store import Database

FRESH_SECONDS = 5.0
"""So long may a page believe what it read of an account: a disabled one is out after that, in every process."""


class Directory:
    """Finds, makes and changes accounts. All methods raise StoreDown while the store is away."""

    def __init__(self, database: Database, secrets: Secrets, clock: Clock) -> None:
        self._accounts = database["accounts"].with_options(write_concern=FACTS)
        self._ids, self._clock = secrets.get("account.key"), clock
        self.vault = Vault(secrets.get("totp.key"))
        self._fresh: dict[str, tuple[float, dict[str, Any]]] = {}

    def id_of(self, email: str) -> str:
        """The id that the account of this clean e-mail has, whether or not there is one."""
        return blake2b(email.encode(), key=self._ids, digest_size=8, person=b"account").hexdigest()

    async def find(self, id: str, fresh: bool = True) -> Account | None:
        """The account; `fresh=False`: as it was at most FRESH_SECONDS ago."""
        document = await self._document(id, fresh)
        return None if document is None else _account(document)

    async def all(self) -> list[Account]:
        """All accounts, by role and name."""
        with store_errors():
            found = [_account(document) async for document in self._accounts.find({})]
        return sorted(found, key=lambda a: (a.disabled, a.role, a.name))

    async def founded(self) -> bool:
        """Whether there is a city account that can sign in."""
        return any(account.role == "city" and not account.disabled for account in await self.all())

    async def create(self, *, email: str, name: str, hash: str, role: Role, subtree: str | None, grace: bool) -> Account | None:
        """A new account, or None where the e-mail has one. `grace`: its second factor may be put off for a day."""
        now = self._clock.now()
        id = self.id_of(email)
        document: dict[str, Any] = {
            "_id": id, "email": email, "name": name, "hash": hash, "role": role, "subtree": subtree,
            "epoch": 1, "disabled": False, "totp": None, "pending": None, "step": 0, "recovery": [],
            "code_due": now + GRACE if grace else now, "created_at": now,
        }  # fmt: skip
        return None if await insert_facts(self._accounts, [document]) else _account(document)

    async def hash(self, id: str) -> str | None:
        """The hash of the account's password; None where there is no such account."""
        document = await self._document(id, fresh=True)
        return None if document is None else str(document["hash"])

    async def set_password(self, id: str, hash: str) -> Account:
        """A new password; all sessions end."""
        return await self._change(id, ends_sessions=True, hash=hash)

    async def set_disabled(self, id: str, disabled: bool) -> Account:
        """Shuts the account or opens it; all sessions end."""
        return await self._change(id, ends_sessions=True, disabled=disabled)

    async def set_role(self, id: str, role: Role, subtree: str | None) -> Account:
        """Another role or subtree; all sessions end."""
        return await self._change(id, ends_sessions=True, role=role, subtree=subtree)

    async def end_sessions(self, id: str) -> Account:
        """Signs the account out everywhere."""
        return await self._change(id, ends_sessions=True)

    async def drop_code(self, id: str) -> Account:
        """Forgets the second factor, of a lost phone; all sessions end. Where the role needs one, it is due at once."""
        return await self._change(id, ends_sessions=True, totp=None, pending=None, recovery=[], code_due=self._clock.now())

    async def recover(self, id: str, name: str, hash: str) -> Account:
        """A new name and password, no second factor, not disabled: as if made anew."""
        await self.drop_code(id)
        return await self._change(id, ends_sessions=True, name=name, hash=hash, disabled=False)

    async def pending_secret(self, id: str, anew: bool = False) -> str:
        """The secret that waits for its first code; made where there is none, or `anew`."""
        document = (await self._document(id, fresh=True)) or {}
        secret = None if anew else self.vault.open(document.get("pending"))
        if secret is None:
            secret = new_secret()
            await self._change(id, pending=self.vault.seal(secret))
        return secret

    async def has_pending(self, id: str) -> bool:
        """Whether a secret waits for its first code."""
        return bool(((await self._document(id, fresh=True)) or {}).get("pending"))

    async def confirm_code(self, id: str, code: str) -> list[str] | None:
        """Takes the pending secret into use where the code is its own. Returns new recovery codes, shown this once."""
        document = (await self._document(id, fresh=True)) or {}
        secret = self.vault.open(document.get("pending"))
        step = step_of(secret, code, self._clock.now()) if secret else None
        if step is None:
            return None
        codes = new_recovery_codes()
        kept = [self.vault.digest(each) for each in codes]
        await self._change(id, ends_sessions=True, totp=document["pending"], pending=None, step=step, recovery=kept)
        return codes

    async def take_code(self, id: str, code: str) -> str | None:
        """Uses up a code: "totp" or "recovery" says which it was; None where it is wrong or was used before."""
        document = (await self._document(id, fresh=True)) or {}
        secret = self.vault.open(document.get("totp"))
        step = step_of(secret, code, self._clock.now()) if secret else None
        if step is not None:
            return "totp" if step > document["step"] and await self._swap(document, step=step) else None
        digest = self.vault.digest(code)
        if digest not in document.get("recovery", []):
            return None
        left = [each for each in document["recovery"] if each != digest]
        return "recovery" if await self._swap(document, recovery=left) else None

    async def _document(self, id: str, fresh: bool) -> dict[str, Any] | None:
        now = self._clock.monotonic()
        held = self._fresh.get(id)
        if not fresh and held and now - held[0] < FRESH_SECONDS:
            return held[1]
        with store_errors():
            document = await self._accounts.find_one({"_id": id})
        if document is not None:
            self._fresh[id] = (now, document)
        return document

    async def _change(self, id: str, ends_sessions: bool = False, **fields: Any) -> Account:
        while True:
            document = (await find_ids(self._accounts, [id]))[id]
            if await self._swap(document, **fields, **({"epoch": document["epoch"] + 1} if ends_sessions else {})):
                return _account((await find_ids(self._accounts, [id]))[id])

    async def _swap(self, document: dict[str, Any], **fields: Any) -> bool:
        """Changes fields where nobody has used a code or ended the sessions since the document was read."""
        self._fresh.pop(document["_id"], None)
        guard = {name: document[name] for name in ("_id", "epoch", "step", "recovery")}
        with store_errors():
            return bool((await self._accounts.update_one(guard, {"$set": fields})).matched_count)


def _account(document: dict[str, Any]) -> Account:
    return Account(
        id=document["_id"],
        name=document["name"],
        email=document["email"],
        role=document["role"],
        subtree=document["subtree"],
        epoch=document["epoch"],
        disabled=document["disabled"],
        has_code=document["totp"] is not None,
        code_due=document["code_due"],
    )
