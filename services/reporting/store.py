"""Where reporting keeps its partitions, a snapshot and a view each (`services.kit.derived`); the board reads the views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.kit.store import store_errors

if TYPE_CHECKING:
    from services.kit.store import Collection, Database


def snapshots(database: Database) -> Collection:
    """The whole state of each partition. The name tells its form: what another version has written is left where it lies, and
    the state begins anew from the log."""
    return database["snapshots_2"]


def views(database: Database) -> Collection:
    """The figures of each partition."""
    return database["views"]


class Views:
    """Reads the views; only those that have changed since the last time."""

    def __init__(self, database: Database) -> None:
        self._views = views(database)
        self._seen: dict[int, dict[str, int]] = {}

    async def changed(self) -> dict[int, bytes]:
        """The bodies of the views that are new, by partition. Raises StoreDown."""
        with store_errors():
            held = {d["_id"]: d["offsets"] async for d in self._views.find({}, {"offsets": 1})}
            stale = [p for p, offsets in held.items() if self._seen.get(p) != offsets]
            if not stale:
                return {}
            found = [d async for d in self._views.find({"_id": {"$in": stale}})]
        self._seen |= {d["_id"]: d["offsets"] for d in found}
        return {d["_id"]: bytes(d["body"]) for d in found}
