"""Wires what the quiz does by itself: the keeper of time, the sweeper and the tidier."""

from __future__ import annotations

from functools import partial

from services.events import ContestBook
from services.kit.followed import Followed, events
from services.kit.runtime import Runtime, Work
from services.kit.store import answers
from services.quiz.store import store_of
from services.quiz.worker import QuizWorker


def work(runtime: Runtime) -> Work:
    """The keeper of time, the sweeper and the tidier."""
    book = ContestBook()
    followed = Followed(runtime.bus, "contests", events(book.read), buries=True)
    worker = QuizWorker(runtime, book, store_of(runtime))
    results = Followed(runtime.bus, "results", events(worker.read_result))

    async def start() -> None:
        await followed.start()
        await results.start()

    return Work(
        name="quiz",
        start=start,
        tasks=(followed.run, results.run, worker.keep_time, worker.sweep, worker.tidy),
        ready={"store": partial(answers, runtime.store)},
    )
