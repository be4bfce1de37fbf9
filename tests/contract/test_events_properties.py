"""Whatever an event holds: it comes back from the wire as it was, and its id and key depend on its content alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.events import Event, decode, encode, registry

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


def strategy(type: Any) -> st.SearchStrategy[Any]:
    """Values of a type, as msgspec describes it."""
    match msgspec.inspect.type_info(type) if not isinstance(type, msgspec.inspect.Type) else type:
        case msgspec.inspect.StrType():
            return TEXT
        case msgspec.inspect.IntType():
            return INTEGERS
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case msgspec.inspect.DateTimeType():
            return MOMENTS
        case msgspec.inspect.NoneType():
            return st.none()
        case msgspec.inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case msgspec.inspect.UnionType(types=types):
            return st.one_of([strategy(one) for one in types])
        case msgspec.inspect.VarTupleType(item_type=item):
            return st.lists(strategy(item), max_size=3).map(tuple)
        case msgspec.inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(strategy(key), strategy(value), max_size=3)
        case msgspec.inspect.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{field.name: strategy(field.type) for field in fields})
        case other:
            raise NotImplementedError(f"no event holds a {other} yet")


every_event = pytest.mark.parametrize("type", sorted(registry))


@every_event
@given(data=st.data())
def test_an_event_comes_back_from_the_wire_as_it_was(type: str, data: st.DataObject) -> None:
    event: Event = data.draw(strategy(registry[type]))
    body = encode(event)
    again = decode(type, body)
    assert again == event
    assert encode(again) == body


@every_event
@given(data=st.data())
def test_the_same_fact_has_the_same_id_and_key(type: str, data: st.DataObject) -> None:
    event: Event = data.draw(strategy(registry[type]))
    again = decode(type, encode(event))
    assert (again.id, again.key) == (event.id, event.key)
    assert isinstance(event.id, str)
    assert isinstance(event.key, str)
