"""Receipts that anyone can check: each group commit is a Merkle tree of its submissions, and its root is signed once.

The tree is that of RFC 9162 (services/kit/merkle.py). A receipt holds one submission's leaf,
its path to the root and the signature (Ed25519), so it proves what was received, and when, without trusting the organiser.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Annotated

import msgspec

from services.kit.clock import time_of
from services.kit.merkle import BadPath, leaf_of, root_from
from services.kit.notary import is_signed
from services.kit.security import BadToken, b64, unb64

CONTEXT = b"hoithi receipts 1\n"
"""Stands before every signed root, so that the signature says nothing else."""

_LAST_US = 253_402_300_799_999_999
"""The end of the year 9999: what a calendar can still show."""


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """As it travels: msgpack, then URL-safe base64. `received_us` is microseconds since the epoch."""

    version: int
    attempt: str
    received_us: Annotated[int, msgspec.Meta(ge=0, le=_LAST_US)]
    digest: bytes
    index: int
    size: int
    path: bytes
    signature: bytes


@dataclass(frozen=True)
class ReceiptReport:
    """What a receipt says, and whether it is to be believed; `reason` is a Vietnamese sentence where it is not."""

    attempt: str
    received_at: datetime
    digest: str
    valid: bool
    reason: str = ""


class BadReceipt(ValueError):
    """The text is no receipt at all."""


def digest_of(received_us: int, answers: str, prediction: int | None) -> bytes:
    """16 bytes that stand for a submission's content and time."""
    return blake2b(f"{received_us}|{answers}|{'' if prediction is None else prediction}".encode(), digest_size=16).digest()


def write(receipt: Receipt) -> str:
    """The receipt as text."""
    return b64(msgspec.msgpack.encode(receipt))


def read(text: str) -> Receipt:
    """The receipt that a text holds. Raises BadReceipt."""
    try:
        receipt = msgspec.msgpack.decode(unb64("".join(text.split())), type=Receipt)
    except (BadToken, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadReceipt(str(error)) from error
    if receipt.version != 1:
        raise BadReceipt(f"version {receipt.version}")
    return receipt


def check(text: str, public_key: bytes) -> ReceiptReport:
    """Checks a receipt against a public key, with nothing else. Raises BadReceipt where there is nothing to check."""
    receipt = read(text)
    try:
        root = root_from(leaf_of(receipt.attempt, receipt.received_us, receipt.digest), receipt.index, receipt.size, receipt.path)
    except BadPath:
        valid = False
    else:
        valid = is_signed(public_key, receipt.signature, CONTEXT, root)
    return ReceiptReport(
        attempt=receipt.attempt,
        received_at=time_of(receipt.received_us),
        digest=receipt.digest.hex(),
        valid=valid,
        reason="" if valid else "Chữ ký không khớp: biên nhận đã bị sửa, hoặc do hệ thống khác cấp.",
    )
