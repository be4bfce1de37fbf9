"""Facts go in once whatever happens, and a store that is away is told apart from a mistake: through both drivers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from pymongo.errors import PyMongoError

from services.kit.store import StoreDown, connect, find_ids, insert_facts, settled, store_errors
from tests.site import free_port

if TYPE_CHECKING:
    from services.kit.store import Database


async def test_facts_are_inserted_and_found_by_id(database: Database) -> None:
    facts = [{"_id": f"a/{n}", "n": n} for n in range(2500)]
    assert await insert_facts(database["facts"], facts) == set()
    assert await find_ids(database["facts"], ["a/7", "a/2499", "a/none"]) == {"a/7": facts[7], "a/2499": facts[2499]}
    assert await find_ids(database["facts"], ["a/7"], {"_id": 1}) == {"a/7": {"_id": "a/7"}}


async def test_repeats_are_named_and_the_first_word_stands(database: Database) -> None:
    await insert_facts(database["facts"], [{"_id": "a", "n": 1}, {"_id": "b", "n": 1}])
    assert await insert_facts(database["facts"], [{"_id": id, "n": 2} for id in "cabd"]) == {"a", "b"}
    held = await find_ids(database["facts"], "abcd")
    assert {id: document["n"] for id, document in held.items()} == {"a": 1, "b": 1, "c": 2, "d": 2}


async def test_a_bulk_may_repeat_itself_or_be_empty(database: Database) -> None:
    assert await insert_facts(database["facts"], [{"_id": "a", "n": 1}, {"_id": "a", "n": 2}]) == {"a"}
    assert await insert_facts(database["facts"], []) == set()


async def test_another_refusal_is_no_repeat(database: Database) -> None:
    await database["facts"].create_index("n", unique=True, name="other")
    await insert_facts(database["facts"], [{"_id": "a", "n": 1}])
    with pytest.raises(PyMongoError):
        await insert_facts(database["facts"], [{"_id": "b", "x": "\0" * (17 << 20)}])


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
async def test_a_store_that_is_away_is_a_transient_fault(driver: Literal["motor", "pymongo"]) -> None:
    client = connect(f"mongodb://127.0.0.1:{free_port()}", driver)
    with pytest.raises(StoreDown):
        await insert_facts(client["test"]["facts"], [{"_id": "a"}])
    with pytest.raises(StoreDown):
        await find_ids(client["test"]["facts"], ["a"])
    with pytest.raises(ZeroDivisionError), store_errors():
        raise ZeroDivisionError
    await settled(client.close())
