"""Who is calling: the bearer token that a person gets at registration and shows from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from services.kit.problems import Problem
from services.kit.security import BadToken, Secrets, Signer

if TYPE_CHECKING:
    from datetime import datetime

    from fastapi import Request


class Bearer(msgspec.Struct, frozen=True, array_like=True):
    """What a token says of its owner. Opaque ids only: a token may be logged by a proxy."""

    participant: str
    contest: str
    unit: str
    categories: tuple[str, ...]


class Bearers:
    """Issues and checks bearer tokens."""

    def __init__(self, secrets: Secrets) -> None:
        self._signer = Signer(secrets.get("token.key"), "participant")
        self._decoder = msgspec.msgpack.Decoder(Bearer)

    def issue(self, bearer: Bearer) -> str:
        """A token for this person."""
        return self._signer.sign(msgspec.msgpack.encode(bearer))

    def check(self, request: Request) -> Bearer:
        """The owner of the token in a request's `Authorization: Bearer …`. Raises Problem 401."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise BadToken("no bearer token")
            return self._decoder.decode(self._signer.verify(token))
        except (BadToken, msgspec.DecodeError) as error:
            raise Problem(
                401, "token", "Bạn cần đăng ký dự thi trên máy này trước.", headers={"WWW-Authenticate": "Bearer"}
            ) from error


def looked_at(secrets: Secrets) -> Signer:
    """Signs a `trial` for who was shown it: scoring gives it, quiz asks for it."""
    return Signer(secrets.get("token.key"), "trial")


def trial(round: str, version: int, closes: datetime) -> bytes:
    """What names the trial of a version of a key on all papers of a round. Opened again, it has another end and more papers."""
    return f"{round}/{version}/{closes.timestamp()}".encode()
