"""Loads a contest directory: draws the papers, seals and stores them, and publishes the contest. A second load of the same is no
change.

The order makes a crash harmless: the contest's document comes first, what is inserted then stays, and the event that makes the
contest visible comes last. So a load that was cut off is done again, to the same end. The console finds the contest as if it had
been made there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from bson import Binary

from services.events import ContestBook, ContestPublished, RoundPlan, decode
from services.kit.cloudevents import type_of
from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.store import insert_facts, store_errors
from services.quiz.authoring.drafts import ContestDraft, RoundDraft, Rules
from services.quiz.authoring.publishing import check_size, store_papers
from services.quiz.authoring.store import Drafts
from services.quiz.bank.store import Bank
from services.quiz.contest_files import ContestFiles, read_contest, shift


async def load(runtime: Runtime, directory: Path, *, shifted: bool = False) -> str:
    """Loads a contest and returns its id. `shifted` moves its rounds so that the first is open now.

    Raises FaultsFound with every fault of the files, Problem 422 for too many units, 409 where a contest of that id was loaded
    from other files.
    """
    files = read_contest(directory)
    digest = files.digest
    if shifted:
        files = shift(files, runtime.clock.now())
    published = files.published(runtime.clock.now())
    check_size(published)
    document = await _claim(runtime, files, published, digest)
    await Bank(runtime.store, runtime.clock).add(published.contest, files.questions, "contest load", f"files-{digest}")
    published = msgspec.json.decode(document["published"], type=ContestPublished)
    for plan in published.rounds:
        await store_papers(runtime, plan.id, files.questions, files.blueprint, files.codes)
    await Drafts(runtime.store).adopt(_draft(files, published))
    if published.contest not in await _visible(runtime):
        await runtime.bus.publish([runtime.outgoing(published)])
    return published.contest


async def _claim(runtime: Runtime, files: ContestFiles, published: ContestPublished, digest: str) -> dict[str, Any]:
    """The contest's document: this one, or the one that stands."""
    contests = runtime.store["contests"]
    document = {
        "_id": published.contest,
        "digest": digest,
        "title": published.title,
        "published": Binary(msgspec.json.encode(published)),
        "consent": {"version": files.consent_version, "text": files.consent_text},
    }
    await insert_facts(contests, [document])
    with store_errors():
        standing = await contests.find_one({"_id": published.contest})
    assert standing is not None
    if standing["digest"] != digest:
        raise Problem(
            409,
            "contest-exists",
            "Cuộc thi {id} đã được nạp từ bộ tệp khác. Hãy đặt mã khác cho cuộc thi mới.",
            id=published.contest,
        )
    return standing


def _draft(files: ContestFiles, published: ContestPublished) -> ContestDraft:
    """The contest as the console knows it."""
    rounds = tuple(_round(files, plan) for plan in published.rounds)
    return ContestDraft(
        id=published.contest,
        title=published.title,
        kind=published.kind,
        owner=published.owner,
        timezone=published.timezone,
        documents=published.documents,
        categories=published.categories,
        consent_version=files.consent_version,
        consent_text=files.consent_text,
        units=published.units,
        publish_names=files.publish_names,
        prizes=files.prizes,
        trees=published.trees,
        rules=rounds[0].rules,
        rounds=rounds,
        published=published.revision,
    )


def _round(files: ContestFiles, plan: RoundPlan) -> RoundDraft:
    rules = Rules(
        blueprint=dict(files.blueprint),
        codes=files.codes,
        minutes=plan.minutes,
        attempts=plan.attempts,
        counting=plan.counting,
        ranking=plan.ranking,
        prediction=plan.prediction,
        show_score=plan.show_score,
        show_key=plan.show_key,
    )
    return RoundDraft(id=plan.id, name=plan.name, opens=plan.opens, closes=plan.closes, rules=rules, stage="published")


async def _visible(runtime: Runtime) -> set[str]:
    """The contests that everyone has been told of."""
    book = ContestBook()
    for record in await runtime.bus.read("contests"):
        book.apply(decode(type_of(record.headers), record.value))
    return set(book.contests)
