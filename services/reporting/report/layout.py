"""How official papers are set, the same in Word and PDF: as Phụ lục I of Nghị định 30/2020/NĐ-CP wants it of state bodies,
Phụ lục 3 of Hướng dẫn 36-HD/VPTW of the Party. Sizes are in points, lengths in millimetres."""

from __future__ import annotations

from typing import Literal

import msgspec


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between the two. `sides` are the widths of the columns at the top, `rules` the lengths of the lines below the
    issuer and below the nation (0: none), `apart` whether the pages of an appendix are numbered on their own."""

    sides: tuple[float, float]
    rules: tuple[float, float]
    superior: float
    issuer: float
    nation: float
    number: float
    place: float
    name: float
    recipients_title: float
    recipients: float
    apart: bool


FONTS = ("Times New Roman", "Tinos", "Liberation Serif", "Libertinus Serif")
"""The prescribed one, two of the same widths, and the one that comes with Typst."""

TOP, BOTTOM, LEFT, RIGHT = 20, 20, 30, 15
"""Margins, on pages turned on their side too: the Party's. State bodies may have 20–25, 20–25, 30–35, 15–20."""
WIDTH, WIDTH_TURNED = 210 - LEFT - RIGHT, 297 - LEFT - RIGHT

BODY, CELL, SUBJECT = 14, 11, 12
"""Texts, tables, and what a letter is about."""

LAYOUTS: dict[Literal["state", "party"], Layout] = {
    "state": Layout(
        sides=(70, 95), rules=(24, 56), superior=12, issuer=12, nation=12, number=13, place=13, name=14, recipients_title=12,
        recipients=11, apart=True,
    ),
    "party": Layout(
        sides=(82, 83), rules=(0, 72), superior=14, issuer=14, nation=15, number=14, place=14, name=16, recipients_title=14,
        recipients=12, apart=False,
    ),
}  # fmt: skip
