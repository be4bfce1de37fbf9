"""The prizes that scoring has told of, as quiz keeps them to show who won."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from bson import Binary

from services.events import PrizesAwarded
from services.kit.store import FACTS, store_errors

if TYPE_CHECKING:
    from services.kit.store import Database

_awards = msgspec.json.Decoder(PrizesAwarded)


class Awards:
    """The collection `awards`: the last word on each round's prizes, and on each contest's. All calls raise StoreDown."""

    def __init__(self, database: Database) -> None:
        self._held = database["awards"].with_options(write_concern=FACTS)

    async def put(self, event: PrizesAwarded) -> None:
        """Keeps what was told."""
        body = {"contest": event.contest, "body": Binary(msgspec.json.encode(event))}
        with store_errors():
            await self._held.update_one({"_id": event.key}, {"$set": body}, upsert=True)

    async def of(self, contest: str) -> list[PrizesAwarded]:
        """The prizes of a contest: its rounds', then its own."""
        with store_errors():
            found = [_awards.decode(document["body"]) async for document in self._held.find({"contest": contest})]
        return sorted(found, key=lambda event: (event.round is None, event.round or ""))
