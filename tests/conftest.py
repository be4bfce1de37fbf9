"""What all tests share. With HOITHI_REQUIRE_ALL=1 (.ci/run) a skipped test is a failed one."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes is the machine's business, and no property's.
settings.register_profile("hoithi", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hoithi")

pytest_plugins = ["tests.integration.kafka_brokers"]


@pytest.hookimpl(tryfirst=True)  # xdist looks for the groups in a hook of the same name
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Which tests stay together where several processes share them (`make test`): those of a folder that use Kafka, for the sake
    of the session's brokers; all that use the house that they share; else the tests of a file."""
    for item in items:
        fixtures, params = getattr(item, "fixturenames", ()), getattr(item, "callspec", None)
        if "kafka_jars" in fixtures or (params and "kafka" in params.params.values()):
            group = f"kafka-{item.path.parent.name}"
        else:
            group = "house" if "hoithi_site" in fixtures else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("HOITHI_REQUIRE_ALL") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be: {report.longrepr}"
    return report
