"""The key of a round: read by scoring alone."""

from __future__ import annotations

from typing import ClassVar

from services.events.base import PREFIX, Event


class RoundKeyed(Event, frozen=True, kw_only=True):
    """The right answers of every paper (mã đề) of a round, at one version.

    `papers` maps a paper's code to one character a question, the letter in the order shown; several correct options
    stand as a group, e.g. "AB(AC)D".
    """

    type: ClassVar[str] = PREFIX + "round.keyed.v1"
    topic: ClassVar[str] = "keys"

    round: str
    version: int
    papers: dict[str, str]

    @property
    def key(self) -> str:
        return f"{self.round}/{self.version}"

    @property
    def id(self) -> str:
        return self.key
