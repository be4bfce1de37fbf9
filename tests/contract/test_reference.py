"""Every setting and every metric stands in docs/reference.md, with its default and its labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import Counter

from services.kit import metrics
from services.kit.settings import Settings

TEXT = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")
ROWS = {
    cells[1].strip(" `"): [cell.strip(" `") for cell in cells[2:]]
    for cells in (row.split("|") for row in TEXT.splitlines())
    if cells[1:]
}
METRICS = [metric for metric in vars(metrics).values() if hasattr(metric, "describe") and not isinstance(metric, type)]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_stands_there_with_its_default(name: str) -> None:
    default = Settings.model_fields[name].default
    shown = getattr(default, "get_secret_value", lambda: default)()
    assert ROWS[f"HOITHI_{name.upper()}"][0] == ("" if shown is None else str(shown))


@pytest.mark.parametrize("metric", METRICS, ids=str)
def test_every_metric_stands_there_with_its_labels(metric: Counter) -> None:
    (described,) = metric.describe()
    name = f"{described.name}_total" if isinstance(metric, Counter) else described.name
    labels, what = ROWS[name][:2]
    assert [label.strip(" `") for label in labels.split(",") if label] == list(metric._labelnames)
    assert what == described.documentation
