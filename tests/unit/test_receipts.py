"""Receipts: the tree is RFC 9162's, each receipt proves itself with the public key alone, and no changed one does."""

from __future__ import annotations

import contextlib
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from services.kit.merkle import BadPath, Tree, leaf_of, root_from
from services.kit.notary import Notary
from services.quiz import receipts
from services.quiz.receipts import CONTEXT, Receipt, check, digest_of, write

NOTARY = Notary(bytes(range(32)))


def issue(attempts: list[str]) -> list[str]:
    """One receipt an attempt, all of one commit."""
    digests = [digest_of(1_700_000_000_000_000 + i, "ABCD", i) for i, _ in enumerate(attempts)]
    leaves = [leaf_of(a, 1_700_000_000_000_000 + i, digests[i]) for i, a in enumerate(attempts)]
    tree = Tree(leaves)
    signature = NOTARY.sign(CONTEXT, tree.root)
    return [
        write(Receipt(1, a, 1_700_000_000_000_000 + i, digests[i], i, len(attempts), tree.path(i), signature))
        for i, a in enumerate(attempts)
    ]


@given(st.integers(1, 70))
def test_every_receipt_of_a_commit_is_valid(size: int) -> None:
    for i, text in enumerate(issue([f"p{i}:r:1" for i in range(size)])):
        report = check(text, NOTARY.public_key)
        assert report.valid
        assert report.attempt == f"p{i}:r:1"


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=40))
def test_the_tree_is_that_of_rfc_9162(data: list[bytes]) -> None:
    other = InmemoryTree(algorithm="sha256")
    for entry in data:
        other.append_entry(entry)
    leaves = [sha256(b"\0" + entry).digest() for entry in data]
    assert Tree(leaves).root == other.get_root()


@given(st.data())
def test_no_changed_byte_passes(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(issue([f"p{i}:r:1" for i in range(5)])))
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(
        st.sampled_from([c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" if c != text[at]])
    )
    changed = text[:at] + other + text[at + 1 :]
    with contextlib.suppress(receipts.BadReceipt):
        assert not check(changed, NOTARY.public_key).valid


def test_a_time_past_the_calendar_is_no_receipt() -> None:
    with pytest.raises(receipts.BadReceipt):
        check(receipts.write(receipts.Receipt(1, "p:r:1", 1 << 62, bytes(16), 0, 1, b"", bytes(64))), NOTARY.public_key)


def test_a_leaf_fits_no_other_place() -> None:
    leaves = [bytes([i]) * 32 for i in range(7)]
    tree = Tree(leaves)
    for i, leaf in enumerate(leaves):
        for place in range(7):
            try:
                fits = root_from(leaf, place, 7, tree.path(i)) == tree.root
            except BadPath:
                fits = False
            assert fits == (place == i)


def test_another_installations_key_does_not_fit() -> None:
    assert not check(issue(["p:r:1"])[0], Notary(bytes(32)).public_key).valid


@pytest.mark.parametrize("text", ["", "x", "AAAA", "biên nhận", write(Receipt(2, "a", 1, b"", 0, 1, b"", b""))])
def test_what_is_no_receipt_is_called_so(text: str) -> None:
    with pytest.raises(receipts.BadReceipt):
        receipts.read(text)


def test_a_receipt_is_short_enough_to_copy() -> None:
    raw = issue([f"abcdefghijklmnopqrst:hai-phong-2023.tuan-1:{i}" for i in range(256)])[17]
    assert len(raw) < 700
    assert msgspec.msgpack.decode(receipts.unb64(raw))[0] == 1
