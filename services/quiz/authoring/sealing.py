"""Papers and keys at rest: sealed with AES-256-GCM under a secret of the installation, until their round opens.

A seal is bound to its round and to what it holds, so that one cannot be put in the place of another.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.kit.security import BadToken, Secrets

_NONCE = 12


class Seal:
    """Closes and opens. `what` is `papers` or `key`."""

    def __init__(self, secrets: Secrets) -> None:
        self._cipher = AESGCM(secrets.get("paper.key"))

    def close(self, round: str, what: str, body: bytes) -> bytes:
        """The body, sealed; another text each time."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, body, f"{round}/{what}".encode())

    def open(self, round: str, what: str, sealed: bytes) -> bytes:
        """The body of a seal of ours. Raises BadToken where it was changed, moved, or is of another installation."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], f"{round}/{what}".encode())
        except InvalidTag as error:
            raise BadToken(f"the seal of {round}/{what} does not fit") from error
