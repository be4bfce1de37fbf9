"""Wires what scoring does: the judge, and the ranker beside it."""

from __future__ import annotations

from functools import partial

from services.events import ContestBook
from services.kit.followed import Followed, events
from services.kit.replay import rebuild
from services.kit.runtime import Runtime, Work
from services.kit.store import answers
from services.scoring.handlers import Library
from services.scoring.headcounts import Headcounts
from services.scoring.ranking import Ranker
from services.scoring.worker import TOPICS, ScoringWorker


def work(runtime: Runtime) -> Work:
    """The judge, and the ranker beside it."""
    library = Library(ContestBook())
    contests = Followed(runtime.bus, "contests", events(library.book.read))
    keys = Followed(runtime.bus, "keys", events(library.read_key), buries=True)
    headcounts = Headcounts()
    counts = Followed(runtime.bus, "headcounts", events(headcounts.read))
    worker = ScoringWorker(runtime, library)
    ranker = Ranker(runtime, library, worker.derived.owned, headcounts)

    async def start() -> None:
        for followed in (contests, keys, counts):
            await followed.start()

    return Work(
        name="scoring",
        start=start,
        tasks=(contests.run, keys.run, counts.run, worker.consume, worker.follow_plans, worker.write, ranker.run),
        ready={"store": partial(answers, runtime.store)},
        rebuild=partial(rebuild, runtime.bus, worker, worker.derived, TOPICS),
    )
