"""Numbers as people read them."""

from __future__ import annotations

import pytest

from services.kit.i18n import show_number


@pytest.mark.parametrize(
    ("number", "decimals", "shown"),
    [
        (48210, None, "48.210"),
        (1245.12, 3, "1.245,120"),
        (75, 3, "75,000"),
        (0.214, 2, "0,21"),
        (-0.001, 2, "0,00"),
        (-0.3, 2, "-0,30"),
    ],
)
def test_a_column_of_numbers_has_the_decimals_it_asks_for_and_no_minus_nought(
    number: float, decimals: int | None, shown: str
) -> None:
    assert show_number(number, "vi", decimals) == shown
