"""The store: a MongoDB-protocol server, spoken to by Motor or by PyMongo's async client, chosen by one setting.

Only this module knows which driver it is. Both hand out the same objects but for a few calls that one awaits and the other
does not; `settled` evens those out.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from pymongo import AsyncMongoClient, WriteConcern
from pymongo.errors import AutoReconnect, BulkWriteError, ConnectionFailure, DuplicateKeyError, PyMongoError

from services.kit.bus import Transient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.asynchronous.collection import AsyncCollection
    from pymongo.asynchronous.database import AsyncDatabase

    Database = AsyncDatabase[dict[str, Any]]
    Collection = AsyncCollection[dict[str, Any]]

T = TypeVar("T")

FACTS = WriteConcern(w="majority", j=True)
"""For what must outlive a kill -9: acknowledged after the store's own fsync."""

LOOSE = WriteConcern(w=1)
"""For what can be made again, from the log or otherwise: nobody who submits waits for its fsync."""

DUPLICATE_KEY = 11000


class StoreDown(Transient):
    """The store did not answer; nothing is known of the write."""


def connect(url: str, driver: Literal["motor", "pymongo"]) -> AsyncMongoClient[dict[str, Any]]:
    """A client of the store. `retryWrites=false`: the one-machine store drowns in retry records; our writes are repeatable."""
    options: dict[str, Any] = {"retryWrites": False, "serverSelectionTimeoutMS": 3000, "tz_aware": True, "connect": False}
    if driver == "pymongo":
        return AsyncMongoClient(url, **options)
    from motor.motor_asyncio import AsyncIOMotorClient

    return cast("AsyncMongoClient[dict[str, Any]]", AsyncIOMotorClient(url, **options))


async def settled(value: Awaitable[T] | T) -> T:
    """Awaits what is awaitable: `aggregate`, `list_indexes` and `close` are so in one driver and not in the other."""
    if inspect.isawaitable(value):
        return await cast("Awaitable[T]", value)
    return value


@contextmanager
def store_errors() -> Iterator[None]:
    """Turns a store that is away into StoreDown; every other error of the driver is a bug and passes."""
    try:
        yield
    except (AutoReconnect, ConnectionFailure) as error:
        raise StoreDown(str(error)) from error


async def insert_facts(collection: Collection, documents: Sequence[Mapping[str, Any]], *, loose: bool = False) -> set[str]:
    """Inserts facts under their `_id`, in one unordered bulk; with fsync, unless they can be made again (`loose`). Returns the
    ids that were there already.

    A repeat is a duplicate key and no error. Raises StoreDown; then any part of the bulk may have been written.
    """
    if not documents:
        return set()
    with store_errors():
        try:
            target = collection.with_options(write_concern=LOOSE if loose else FACTS)
            await target.insert_many([dict(document) for document in documents], ordered=False)
        except BulkWriteError as error:
            return {_duplicate(documents, failure) for failure in error.details["writeErrors"]}
        except DuplicateKeyError:
            return {str(documents[0]["_id"])}
    return set()


def _duplicate(documents: Sequence[Mapping[str, Any]], failure: Mapping[str, Any]) -> str:
    if failure["code"] != DUPLICATE_KEY:
        raise PyMongoError(f"the store refused a fact: {failure['errmsg']}")
    return str(documents[failure["index"]]["_id"])


async def find_ids(
    collection: Collection, ids: Iterable[str], fields: Mapping[str, int] | None = None
) -> dict[str, dict[str, Any]]:
    """The documents of these ids, by id. Raises StoreDown."""
    with store_errors():
        return {str(d["_id"]): d async for d in collection.find({"_id": {"$in": list(ids)}}, fields)}


async def answers(database: Database) -> bool:
    """A readiness check: the store answers. Raises StoreDown."""
    with store_errors():
        await database.command("ping")
    return True
