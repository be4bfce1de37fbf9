"""What scoring can prove: the verdict that stands for each attempt, and how it came to be, from its facts alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.kit.clock import time_of
from services.kit.runtime import Runtime
from services.scoring.domain import Judged, Verdict
from services.scoring.store import Standings, Verdicts


async def verdicts(runtime: Runtime) -> Mapping[str, Verdict]:
    """The verdict of the highest revision of every attempt, by attempt id. Raises StoreDown."""
    standing: dict[str, tuple[int, Verdict]] = {}
    async for attempt, revision, verdict in Verdicts(runtime.store).all():
        held = standing.get(attempt)
        if held is None or revision > held[0]:
            standing[attempt] = revision, verdict
    return {attempt: verdict for attempt, (_, verdict) in standing.items()}


async def trace(runtime: Runtime, attempt: str) -> list[dict[str, Any]]:
    """Every verdict on one attempt, in order of revision, and its rank: `at` (of the submission judged, or of the ranking),
    `what`, `where`, and details. Raises StoreDown."""
    chain = (await Verdicts(runtime.store).chains([attempt])).get(attempt, [])
    steps = [_step(judged) for judged in chain]
    standings = Standings(runtime.store)
    head = await standings.head(chain[-1].round) if chain else None
    if head is not None:
        n, rank = await standings.rank(chain[-1].round, head, chain[-1].participant) or (0, None)
        where = f"rounds/{chain[-1].round}"
        step = {
            "at": head.ranked_at,
            "what": "round ranked",
            "where": where,
            "revision": head.revision,
            "counts": n == chain[-1].n,
        }
        steps.append(step | {"rank": rank if n == chain[-1].n else None})
    return steps


def _step(judged: Judged) -> dict[str, Any]:
    return {
        "at": time_of(judged.received),
        "what": "attempt.scored",
        "where": f"verdicts/{judged.attempt}/{judged.revision}",
        "verdict": judged.verdict,
        "correct": judged.correct,
        "total": judged.total,
        "elapsed_ms": judged.elapsed_ms,
        "digest": judged.digest.hex(),
        "key_version": judged.key_version,
        "revision": judged.revision,
    }
