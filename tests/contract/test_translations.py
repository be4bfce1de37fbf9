"""Every sentence that a person may read has its English: those of templates, and every Vietnamese one in the services' code."""

from __future__ import annotations

import ast
import re
import string
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from services.kit.i18n import catalogue, translate
from services.kit.problems import TITLES

SERVICES = Path(__file__).parents[2] / "services"
IN_TEMPLATES = re.compile(r"""(?<![\w.])_\(\s*(?:"([^"]+)"|'([^']+)')""")
CATALOGUES = sorted(SERVICES.glob("*/locale/en.po"))

NOT_SAID = {"description", "examples", "summary"}
"""Keywords of calls that describe something to developers."""
NAME = "Hội Thi"
"""The name of the software is the same in all languages."""


def vietnamese(text: str) -> bool:
    """Whether a text has a letter that only Vietnamese has need of here."""
    letters = unicodedata.normalize("NFC", text.replace(NAME, ""))
    return any(c in "đĐ" or (c.isalpha() and unicodedata.decomposition(c)) for c in letters)


def in_templates() -> Iterator[tuple[str, str]]:
    for path in [*SERVICES.glob("*/templates/*.html"), *SERVICES.glob("kit/web/templates/*.html")]:
        for found in IN_TEMPLATES.finditer(path.read_text()):
            yield str(path.relative_to(SERVICES)), found[1] or found[2]


def in_code() -> Iterator[tuple[str, str]]:
    for path in SERVICES.rglob("*.py"):
        tree = ast.parse(path.read_text())
        skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg in NOT_SAID:
                skipped |= {id(part) for part in ast.walk(node.value)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in skipped:
                continue
            if vietnamese(node.value):
                yield f"{path.relative_to(SERVICES)}:{node.lineno}", node.value
    for title in TITLES.values():  # said as a sentence where there is nothing more to say
        yield "kit/web/app.py", title + "."


def audited_actions() -> Iterator[str]:
    for path in SERVICES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and re.search(r"(^|\.)audited$|audit\.append$", ast.unparse(node.func)):
                texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
                yield from (text for text in texts if re.fullmatch(r"[a-z-]+\.[a-z_-]+", text))


def entries() -> Iterator[tuple[str, str, str]]:
    for path in CATALOGUES:
        with path.open("rb") as file:
            for message in read_po(file):
                if message.id:
                    yield str(path.relative_to(SERVICES)), str(message.id), str(message.string)


def braces(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("source", [in_templates, in_code], ids=["templates", "code"])
def test_every_sentence_has_its_english(source: Callable[[], Iterator[tuple[str, str]]]) -> None:
    english = {sentence: text for _, sentence, text in entries() if text}
    missing = [f"{where}: {sentence}" for where, sentence in source() if sentence not in english]
    assert not missing, "\n".join(missing)


def test_every_action_of_the_audit_log_is_said_in_both_languages() -> None:
    actions = {*audited_actions(), *catalogue("vi")}
    assert len(actions) > 70
    assert not [action for action in actions if not catalogue("vi").get(action) or not catalogue("en").get(action)]


def test_translations_fill_in_the_same_values() -> None:
    said = [(f"{where}: {sentence}", translate(sentence, "vi"), text) for where, sentence, text in entries()]
    wrong = [where for where, sentence, text in said if braces(sentence) != braces(text)]
    assert not wrong, "\n".join(wrong)


def test_a_sentence_has_one_translation() -> None:
    """The catalogues become one dictionary, so that two translations of a sentence would fight."""
    known: dict[str, str] = {}
    wrong = [f"{where}: {sentence}" for where, sentence, text in entries() if known.setdefault(sentence, text) != text]
    assert not wrong, "\n".join(wrong)
