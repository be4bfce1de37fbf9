"""Which part of the board somebody asks for, checked against what is known."""

from __future__ import annotations

from dataclasses import dataclass

from services.events import ContestBook, ContestPublished
from services.events.units import trees_of
from services.kit.problems import Problem


@dataclass(frozen=True, slots=True)
class Selection:
    """`parent` is the unit whose children are wanted, None for the top; empty `category` and `round` mean all."""

    contest: ContestPublished
    tree: str
    parent: str | None
    category: str
    round: str


def select(book: ContestBook, contest: str, parent: str = "", category: str = "", round: str = "", tree: str = "") -> Selection:
    """Without a tree, the contest's first. Raises Problem 404 for a contest, 422 for a unit, category, round or tree that there
    is not, naming the field."""
    found = book.contests.get(contest)
    if found is None:
        raise Problem(404, "contest", "Không có cuộc thi này.", field="contest")
    if parent and parent not in book.units(contest):
        raise Problem(422, "unit", "Không có đơn vị này trong cuộc thi.", field="parent")
    if category and category not in {c.id for c in found.categories}:
        raise Problem(422, "category", "Không có đối tượng này trong cuộc thi.", field="category")
    if round and round not in {plan.id for plan in book.rounds(contest)}:
        raise Problem(422, "round", "Không có vòng thi này trong cuộc thi.", field="round")
    trees = [each.id for each in trees_of(found)]
    if tree and tree not in trees:
        raise Problem(422, "tree", "Không có hệ thống đơn vị này trong cuộc thi.", field="tree")
    return Selection(found, tree or trees[0], parent or None, category, round)
