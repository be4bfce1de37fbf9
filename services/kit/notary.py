"""Signatures that anyone can check (Ed25519): of receipts' roots, of published rounds, of the audit log."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class Notary:
    """Signs with one of the installation's keys, made from `seed` (32 bytes)."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public_key(self) -> bytes:
        """32 bytes, for all to know."""
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, context: bytes, message: bytes) -> bytes:
        """The signature, 64 bytes. `context` stands before the message, so that the signature of one kind says nothing else."""
        return self._key.sign(context + message)


def is_signed(public_key: bytes, signature: bytes, context: bytes, message: bytes) -> bool:
    """Whether the holder of that key has signed this message. Raises ValueError where the key is none."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    try:
        key.verify(signature, context + message)
    except InvalidSignature:
        return False
    return True
