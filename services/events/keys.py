"""The key of a round: read by scoring alone."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from services.events.base import PREFIX, Event


class RoundKeyed(Event, frozen=True, kw_only=True):
    """The right answers of every paper (mã đề) of a round, at one version.

    `papers` maps a paper's code to one character a question, the letter in the order shown; several correct options
    stand as a group, e.g. "AB(AC)D". `layouts` says for each paper what stands at each place: the question's id and the
    original places of its options in the order shown, e.g. "q17:2031"; without it answers are counted by paper only.
    A `proposed` version is computed and compared, and judges nobody until a record of the same version proposes it no more;
    `dropped` takes a proposal back.
    """

    type: ClassVar[str] = PREFIX + "round.keyed.v1"
    topic: ClassVar[str] = "keys"

    round: str
    version: int
    papers: dict[str, str]
    layouts: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    reason: str = ""
    proposed: bool = False
    dropped: bool = False

    @property
    def key(self) -> str:
        return f"{self.round}/{self.version}"

    @property
    def id(self) -> str:
        return self.key
