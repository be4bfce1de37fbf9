"""What makes a question, from whatever file: its cells by column (`text`, `a` … `h`, `answer`, …) become a `Question`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from anyascii import anyascii

from services.quiz.bank.sheet import Note as Note
from services.quiz.bank.sheet import Row
from services.quiz.bank.text import old_font
from services.quiz.domain import LETTERS, Question

OPTIONS = LETTERS.lower()
LONGEST = {"text": 2000, "option": 500, "topic": 100, "source": 500, "explanation": 2000, "alt": 300}
"""Characters of each cell: what a phone's screen can bear."""

DIFFICULTIES = ("easy", "medium", "hard")
_DIFFICULTY = {
    "easy": "easy", "de": "easy", "nhan biet": "easy", "1": "easy",
    "medium": "medium", "trung binh": "medium", "vua": "medium", "thong hieu": "medium", "2": "medium",
    "hard": "hard", "kho": "hard", "van dung": "hard", "van dung cao": "hard", "3": "hard",
}  # fmt: skip
_OTHERS = re.compile(
    r"^(?:tat )?ca (?:cac |\d |hai |ba |bon )*(?:phuong an|dap an|y|cau|dap)\b.*\b(?:tren|deu|con lai|neu)\b"
    r"|^(?:ca )?[a-h](?: [a-h])* (?:va )?[a-h](?: deu (?:dung|sai))?$"
)
"""Options that speak of the others by their place ("Tất cả các phương án trên", "Cả A và B"), without diacritics."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


def fold(text: str) -> str:
    """Letters and digits without diacritics, in lower case, with single spaces ("Đáp án:" → "dap an")."""
    return " ".join(re.findall(r"[a-z0-9]+", anyascii(text).lower()))


def question_of(cells: Mapping[str, str], row: Row) -> Question:
    """The question that cleaned cells hold. What is wrong is noted on the row; then the question is for showing only."""
    for column in ("text", "answer"):
        if not cells.get(column):
            row.fault(column, "Để trống.")
    cells = _without_labels(cells, row)
    options, letters = options_of(cells, row.fault)
    for letter, option in zip(letters, options, strict=True):
        if _OTHERS.search(fold(option)):
            row.warn(letter, "Phương án này nói đến các phương án khác, mà thứ tự các phương án bị xáo trộn trong đề.")
    right = right_of(cells.get("answer", ""), letters, row.fault)
    _check_lengths(cells, row)
    id = cells.get("id", "")
    if id and not _ID.fullmatch(id):
        row.fault("id", "Mã chỉ gồm a–z, 0–9, dấu chấm và gạch nối, nhiều nhất 40 ký tự.")
    if old_font(" ".join(cells.values())):
        row.warn("text", "Có vẻ gõ bằng phông cũ (TCVN3, .VnTime). Hãy chuyển sang Unicode.")
    return Question(
        id=id,
        topic=" ".join(cells.get("topic", "").split()),
        text=cells.get("text", ""),
        options=options,
        right=right,
        source=cells.get("source", ""),
        difficulty=_difficulty(cells.get("difficulty", ""), row),
        picture_alt=cells.get("alt", ""),
        explanation=cells.get("explanation", ""),
    )


def _without_labels(cells: Mapping[str, str], row: Row) -> Mapping[str, str]:
    """The cells without "A.", "B." … in front of the options, where all have them: papers put their own there."""
    labelled = {x: re.fullmatch(rf"{x}\s*[.):/-]\s*(.+)", cells[x], re.IGNORECASE | re.DOTALL) for x in OPTIONS if cells.get(x)}
    if len(labelled) < 2 or not all(labelled.values()):
        return cells
    row.warn("", "Đã bỏ các chữ A., B.… đứng đầu phương án.")
    return {**cells, **{x: found[1] for x, found in labelled.items() if found}}


def _check_lengths(cells: Mapping[str, str], row: Row) -> None:
    for column, text in cells.items():
        most = LONGEST.get("option" if column in OPTIONS else column)
        if most and len(text) > most:
            row.fault(column, "Dài {found} ký tự, nhiều nhất {most}.", found=len(text), most=most)


def _difficulty(text: str, row: Row) -> str:
    known = _DIFFICULTY.get(fold(text), "")
    if text and not known:
        row.fault("difficulty", "Độ khó là dễ, trung bình hoặc khó.")
    return known


def options_of(cells: Mapping[str, str], note: Note) -> tuple[tuple[str, ...], str]:
    """The options that are filled in, and their letters in lower case."""
    letters = "".join(letter for letter in OPTIONS if cells.get(letter))
    options = tuple(cells[letter] for letter in letters)
    gap = next((letter for letter in OPTIONS if letter not in letters), "")
    if len(options) < 2:
        note(gap, "Cần ít nhất hai phương án.")
    elif not OPTIONS.startswith(letters):
        note(gap, "Phương án bị bỏ trống ở giữa.")
    for place, option in enumerate(options):
        if option in options[:place]:
            first = letters[options.index(option)]
            note(letters[place], "Phương án này trùng với phương án {letter}.", letter=first.upper())
    return options, letters


def right_of(answer: str, letters: str, note: Note) -> frozenset[int]:
    """The positions of the right options: `b`, `ac` or `a,c`."""
    named = [letter for letter in answer.lower() if letter not in " ,;"]
    for letter in dict.fromkeys(named):
        if letter not in letters:
            note("answer", "Không có phương án {letter}.", letter=letter.upper())
        if named.count(letter) > 1:
            note("answer", "Đáp án nêu {letter} hai lần.", letter=letter.upper())
    if len(letters) > 1 and set(named) == set(letters):
        note("answer", "Mọi phương án đều đúng thì không còn gì để chọn.")
    return frozenset(letters.index(letter) for letter in named if letter in letters)
