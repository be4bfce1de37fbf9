"""As much of a database as the workers use, in memory: facts by `_id`, guarded updates, reads by id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from pymongo.errors import BulkWriteError

Document = dict[str, Any]


class MemoryCursor:
    """What a query found."""

    def __init__(self, found: list[Document]) -> None:
        self._found = found

    def sort(self, field: str, direction: int) -> MemoryCursor:
        return MemoryCursor(sorted(self._found, key=lambda document: document[field], reverse=direction < 0))

    def skip(self, count: int) -> MemoryCursor:
        return MemoryCursor(self._found[count:])

    def limit(self, count: int) -> MemoryCursor:
        return MemoryCursor(self._found[:count] if count else self._found)

    async def __aiter__(self) -> AsyncIterator[Document]:
        for document in self._found:
            yield document


class MemoryCollection:
    """Speaks the few calls of a collection that `services/kit/` makes; a call that it lacks fails the test by name."""

    def __init__(self) -> None:
        self.documents: dict[Any, Document] = {}

    def with_options(self, **_: Any) -> MemoryCollection:
        return self

    async def create_index(self, field: str, **_: Any) -> None:
        """Nothing grows slow or old here."""

    async def insert_many(self, documents: Sequence[Document], ordered: bool = True) -> None:
        errors = []
        for index, document in enumerate(documents):
            if document["_id"] in self.documents:
                errors.append({"index": index, "code": 11000, "errmsg": "duplicate key"})
            else:
                self.documents[document["_id"]] = dict(document)
        if errors:
            raise BulkWriteError({"writeErrors": errors})

    async def update_many(self, query: Mapping[str, Any], update: Mapping[str, Any]) -> None:
        async for found in self.find(query):
            self.documents[found["_id"]] |= update["$set"]

    async def delete_one(self, query: Mapping[str, Any]) -> None:
        async for found in self.find(query):
            del self.documents[found["_id"]]
            return

    async def delete_many(self, query: Mapping[str, Any]) -> None:
        async for found in self.find(query):
            del self.documents[found["_id"]]

    async def find_one(self, query: Mapping[str, Any], fields: Any = None) -> Document | None:
        async for found in self.find(query):
            return found
        return None

    async def count_documents(self, query: Mapping[str, Any], limit: int = 0) -> int:
        return len([found async for found in self.find(query).limit(limit)])

    def find(self, query: Mapping[str, Any], fields: Any = None) -> MemoryCursor:
        return MemoryCursor([dict(document) for document in self.documents.values() if _matches(document, query)])

    async def update_one(self, query: Mapping[str, Any], update: Mapping[str, Any], upsert: bool = False) -> Any:
        async for found in self.find(query):
            least = {name: min(value, found.get(name, value)) for name, value in update.get("$min", {}).items()}
            self.documents[found["_id"]] |= update.get("$set", {}) | least
            return SimpleNamespace(matched_count=1, upserted_id=None)
        if upsert:
            id = query["_id"]
            changes = [update.get(operator, {}) for operator in ("$setOnInsert", "$set", "$min")]
            self.documents[id] = {"_id": id, **changes[0], **changes[1], **changes[2]}
            return SimpleNamespace(matched_count=0, upserted_id=id)
        return SimpleNamespace(matched_count=0, upserted_id=None)


def memory_store() -> Any:
    """A database whose collections come to be when they are named."""
    return defaultdict(MemoryCollection)


COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "$in": lambda value, wanted: value in wanted,
    "$gte": lambda value, wanted: value >= wanted,
    "$lt": lambda value, wanted: value < wanted,
    "$lte": lambda value, wanted: value <= wanted,
    "$ne": lambda value, wanted: value != wanted,
}


def _matches(document: Document, query: Mapping[str, Any]) -> bool:
    return all(_fits(document.get(field), wanted) for field, wanted in query.items())


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping) and wanted and wanted.keys() <= COMPARED.keys():
        return all(COMPARED[sign](value, bound) for sign, bound in wanted.items())
    return bool(value == wanted) or (isinstance(value, list) and wanted in value)
