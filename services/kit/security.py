"""Secrets of an installation, and tokens signed with them."""

from __future__ import annotations

import base64
import hmac
import os
import secrets
from hashlib import blake2b
from pathlib import Path


class BadToken(ValueError):
    """The token is not one of ours, or was changed."""


class Secrets:
    """Random keys kept in files under one folder, made at first use, so that papers and receipts outlive a restart."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, name: str, size: int = 32) -> bytes:
        """The secret of this name, `size` random bytes. Safe when several processes ask for it first."""
        path = self._directory / name
        if not path.exists():
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._create(path, secrets.token_bytes(size))
        return path.read_bytes()

    def _create(self, path: Path, value: bytes) -> None:
        # Written whole and synced under a name of its own, then linked: a process that finds it finds all of it.
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        with open(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()


class Signer:
    """Signs short payloads with keyed BLAKE2b. `purpose` keeps one kind of token from passing for another."""

    _MAC = 16

    def __init__(self, key: bytes, purpose: str) -> None:
        self._base = blake2b(key=key, digest_size=self._MAC, person=purpose.encode()[:16])

    def _mac(self, payload: bytes) -> bytes:
        mac = self._base.copy()
        mac.update(payload)
        return mac.digest()

    def sign(self, payload: bytes) -> str:
        """A token of URL-safe characters that carries the payload in the open."""
        return b64(payload + self._mac(payload))

    def verify(self, token: str) -> bytes:
        """The payload of a token of ours. Raises BadToken."""
        raw = unb64(token)
        payload, mac = raw[: -self._MAC], raw[-self._MAC :]
        if len(mac) < self._MAC or not hmac.compare_digest(mac, self._mac(payload)):
            raise BadToken("the signature does not fit")
        return payload


def b64(raw: bytes) -> str:
    """URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """The reverse of `b64`; only its exact output is taken. Raises BadToken."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise BadToken("not base64") from error
    # Lax decoders skip foreign characters and loose trailing bits: two texts must never be one token.
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != text.encode():
        raise BadToken("not canonical base64")
    return raw
