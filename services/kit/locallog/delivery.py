"""What any bus does with a record that will not go through: when to try again, and when to stop trying altogether."""

from __future__ import annotations

import random
from collections import deque


def backoff(tries: int, base: float, cap: float) -> float:
    """Seconds to wait after so many failures: doubled each time, capped, jittered so that members do not fall into step."""
    wait: float = min(cap, base * 2.0 ** min(tries, 30))
    return wait * random.uniform(0.5, 1.0)


class PoisonGuard:
    """Trips when too many of the last records were poison: more likely a bad deploy than bad records."""

    def __init__(self, *, window: int, least: int, ratio: float) -> None:
        self._recent: deque[bool] = deque(maxlen=window)
        self._least, self._ratio = least, ratio

    def trips(self, poison: bool) -> bool:
        """Notes one record's end and says whether that was too much."""
        self._recent.append(poison)
        dead = sum(self._recent) if poison else 0
        return dead >= self._least and dead > self._ratio * len(self._recent)

    def reset(self) -> None:
        self._recent.clear()
