"""What a person should look at before a round is ranked. A case accuses nobody: a person clears it or disqualifies.

Pure. The same attempts in any order give the same cases under the same ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal

Kind = Literal["too_fast", "shared_device", "identical_answers", "phone_block"]

KINDS: tuple[Kind, ...] = ("too_fast", "shared_device", "identical_answers", "phone_block")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """From where on something is a case."""

    pace_ms: int = 1500
    """Milliseconds a question: nobody reads and answers faster. 0: it does not matter."""
    fast_share: float = 0.5
    """… and only with at least this share of right answers: who guesses blindly wins nothing."""
    people: int = 6
    """So many people with one device, the same wrong answers, or phone numbers that differ in their last two digits only.
    0: none are too many."""
    faults: int = 3
    """Answers alike in so many faults are hardly found by several people on their own."""


@dataclass(frozen=True, slots=True)
class Sight:
    """An attempt as far as it can be odd. `answers` is a digest of what was chosen question by question, `faults` counts the
    wrong ones; `device` and `block` are opaque, empty where unknown."""

    attempt: str
    participant: str
    elapsed_ms: int
    correct: int
    total: int
    answers: bytes
    faults: int
    device: str
    block: bytes


@dataclass(frozen=True)
class Case:
    """Attempts that are odd for one reason. `figure` says how odd: milliseconds a question, or people."""

    kind: Kind
    attempts: tuple[str, ...]
    figure: int

    @property
    def id(self) -> str:
        """The same for the same reason and the same attempts; with one attempt more it is another case."""
        text = "\n".join((self.kind, *self.attempts))
        return blake2b(text.encode(), digest_size=10).hexdigest()


@dataclass
class Watch:
    """Takes attempts in, one by one, and tells the cases."""

    limits: Limits = field(default_factory=Limits)
    _fast: list[Case] = field(default_factory=list)
    _devices: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    _answers: dict[bytes, list[tuple[str, str]]] = field(default_factory=dict)
    _blocks: dict[bytes, list[tuple[str, str]]] = field(default_factory=dict)

    def see(self, sight: Sight) -> None:
        """Takes in one attempt."""
        limits, who = self.limits, (sight.participant, sight.attempt)
        pace = sight.elapsed_ms // max(1, sight.total)
        if pace < limits.pace_ms and sight.correct >= limits.fast_share * sight.total:
            self._fast.append(Case("too_fast", (sight.attempt,), pace))
        if sight.device:
            self._devices.setdefault(sight.device, []).append(who)
        if sight.faults >= limits.faults:
            self._answers.setdefault(sight.answers, []).append(who)
        if sight.block:
            self._blocks.setdefault(sight.block, []).append(who)

    def cases(self) -> list[Case]:
        """All cases, in order of kind and id."""
        found = [
            *self._fast,
            *self._groups("shared_device", self._devices),
            *self._groups("identical_answers", self._answers),
            *self._groups("phone_block", self._blocks),
        ]
        return sorted(found, key=lambda case: (KINDS.index(case.kind), case.id))

    def _groups(self, kind: Kind, groups: Mapping[Any, Sequence[tuple[str, str]]]) -> Iterator[Case]:
        for members in groups.values():
            people = len({participant for participant, _ in members})
            if 0 < self.limits.people <= people:
                yield Case(kind, tuple(sorted(attempt for _, attempt in members)), people)
