"""How often a person may be reminded, and who does not want to be at all. People are keyed digests of their addresses here."""

from __future__ import annotations

from collections.abc import Collection as Names
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from services.kit.runtime import Runtime
from services.kit.security import BadToken, Signer
from services.kit.store import FACTS, find_ids, insert_facts, store_errors
from services.notify.domain import Refusal, Slot, refusal
from services.notify.store import Outbox

if TYPE_CHECKING:
    from services.kit.store import Collection

KEY_BYTES = 12
_IN_ONE = 1000


class Limits:
    """The caps, the gaps and the list of those who opted out. All methods of the store raise StoreDown.

    A person has a key for each address that we know of them; a reminder counts for all of them. A slot is taken durably before
    its message is sent, under a guard, so that no two workers exceed a cap together. It counts for as long as the message may
    arrive or have arrived: those of messages that were skipped are passed over, and go when the next one is taken.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._reminded = runtime.store["reminded"].with_options(write_concern=FACTS)
        self._optouts = runtime.store["optouts"].with_options(write_concern=FACTS)
        self._outbox = Outbox(runtime.store)
        self._key = runtime.secrets.get("reminder.key")
        self._signer = Signer(self._key, "optout")
        self._most = runtime.settings.reminders_most
        self._gap = timedelta(hours=runtime.settings.reminder_gap_h)

    def key(self, address: str) -> str:
        """How an address stands in lists and ids: nobody without the installation's secret can tell whose it is."""
        clean = address.strip().lower().encode()
        return blake2b(clean, key=self._key[:64], digest_size=KEY_BYTES, person=b"reminder").hexdigest()

    def token(self, keys: Sequence[str]) -> str:
        """What the opt-out link carries."""
        return self._signer.sign(bytes.fromhex("".join(keys)))

    def read_token(self, token: str) -> list[str]:
        """The keys that a link of ours stands for. Raises BadToken."""
        keys = self._signer.verify(token).hex()
        if not keys:
            raise BadToken("no key")
        size = 2 * KEY_BYTES
        return [keys[at : at + size] for at in range(0, len(keys), size)]

    async def opt_out(self, keys: Names[str], now: datetime) -> None:
        """These people are reminded no more, in no contest, for good."""
        await insert_facts(self._optouts, [{"_id": key, "at": now} for key in keys])

    async def opted_out(self, keys: Names[str]) -> set[str]:
        """Which of these have opted out."""
        return set(await _find(self._optouts, keys))

    async def refusals(self, contest: str, people: Names[Sequence[str]], message: str, now: datetime) -> dict[str, Refusal]:
        """By first key, why people of these keys may not be reminded now; who is not named, may. `message` begins the message's
        id: one that has its slot already keeps it."""
        refused = await self._refused(contest, {f"{message}{keys[0]}": keys for keys in people}, now)
        return {id.removeprefix(message): why for id, why in refused.items()}

    async def _refused(self, contest: str, people: Mapping[str, Sequence[str]], now: datetime) -> dict[str, Refusal]:
        """By message, why the people whose keys are given may not be reminded now."""
        places = {message: [f"{contest}/{key}" for key in keys] for message, keys in people.items()}
        found = await _find(self._reminded, [id for ids in places.values() for id in ids])
        slots = {message: [_slots(found.get(id)) for id in ids] for message, ids in places.items()}
        seen = {message: held for message, held in slots.items() if self._why(message, held, now)}
        live = await self._live([slots for held in seen.values() for slots in held])
        return {
            message: why
            for message, held in seen.items()
            if (why := self._why(message, [[slot for slot in slots if slot.message in live] for slots in held], now))
        }

    def _why(self, message: str, held: Sequence[Sequence[Slot]], now: datetime) -> Refusal:
        whys = (refusal(slots, message, now, self._most, self._gap) for slots in held)
        return next((why for why in whys if why), "")

    async def _live(self, held: Sequence[Sequence[Slot]]) -> set[str]:
        """The messages of these slots that went out, or may yet. One that was skipped never does: no race brings it back."""
        messages = {slot.message for slots in held for slot in slots}
        return messages - await self._outbox.unsent(messages)

    async def take(self, contest: str, keys: Sequence[str], message: str, now: datetime) -> Refusal:
        """Takes the person's slot for a message, durably, unless that would be too many or too soon."""
        # All are looked at before one is taken; what was taken where another is refused goes as its message is skipped.
        if why := (await self._refused(contest, {message: keys}, now)).get(message, ""):
            return why
        for key in keys:
            if why := await self._take(f"{contest}/{key}", message, now):
                return why
        return ""

    async def _take(self, id: str, message: str, now: datetime) -> Refusal:
        while True:
            held = (await _find(self._reminded, [id])).get(id)
            slots = _slots(held)
            if any(slot.message == message for slot in slots):
                return ""
            if self._why(message, [slots], now):
                live = await self._live([slots])
                slots = [slot for slot in slots if slot.message in live]
            if why := self._why(message, [slots], now):
                return why
            if await self._swap(id, held, [*slots, Slot(message, now)]):
                return ""

    async def release(self, contest: str, keys: Sequence[str], message: str) -> None:
        """Gives a slot back whose message did not go out."""
        for key in keys:
            id = f"{contest}/{key}"
            while True:
                held = (await _find(self._reminded, [id])).get(id)
                slots = _slots(held)
                left = [slot for slot in slots if slot.message != message]
                if len(left) == len(slots) or await self._swap(id, held, left):
                    break

    async def _swap(self, id: str, held: Mapping[str, Any] | None, slots: Sequence[Slot]) -> bool:
        """Writes slots where nobody has since `held` was read."""
        kept = [[slot.message, slot.at] for slot in slots]
        if held is None:
            return not await insert_facts(self._reminded, [{"_id": id, "revision": 1, "slots": kept}])
        change = {"$set": {"revision": held["revision"] + 1, "slots": kept}}
        with store_errors():
            result = await self._reminded.update_one({"_id": id, "revision": held["revision"]}, change)
        return bool(result.matched_count)


def _slots(held: Mapping[str, Any] | None) -> list[Slot]:
    return [Slot(message, at) for message, at in held["slots"]] if held else []


async def _find(collection: Collection, ids: Names[str]) -> dict[str, dict[str, Any]]:
    wanted = list(dict.fromkeys(ids))
    found: dict[str, dict[str, Any]] = {}
    for at in range(0, len(wanted), _IN_ONE):
        found |= await find_ids(collection, wanted[at : at + _IN_ONE])
    return found
