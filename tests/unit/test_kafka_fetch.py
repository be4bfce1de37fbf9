"""Apache Kafka's jars: a download that fails is tried again, without what Maven kept of it; half a download is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from deploy.kafka.cluster import POM, KafkaMissing, fetch

MAVEN = """#!/bin/sh
echo "$@" >> "$CALLS"
for word in "$@"; do case "$word" in -DoutputDirectory=*) out="${word#*=}";; esac; done
mkdir -p "$out"; touch "$out/half.jar"
[ "$(wc -l < "$CALLS")" -gt "$FAILURES" ] || { echo "[ERROR] Failed to copy artifact"; exit 1; }
touch "$out/kafka.jar"
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a Maven that fails $FAILURES times writes how it was called."""
    for tool, script in (("mvn", MAVEN), ("java", "#!/bin/sh\n")):
        (tmp_path / tool).write_text(script)
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    with stamina.set_testing(True, attempts=3):
        yield tmp_path / "calls"


def test_a_download_that_fails_is_tried_again_from_scratch(calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILURES", "1")
    libs = tmp_path / "kafka" / "libs"
    fetch(libs)
    fetch(libs)
    first, second = calls.read_text().splitlines()
    assert "maven.repo.local" not in first
    assert f"-Dmaven.repo.local={libs.parent / 'repository'}" in second
    assert (libs / "kafka.jar").exists()


def test_what_never_comes_is_said_and_nothing_half_is_left(calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILURES", "9")
    libs = tmp_path / "kafka" / "libs"
    with pytest.raises(KafkaMissing, match="Failed to copy artifact"):
        fetch(libs)
    assert len(calls.read_text().splitlines()) == 3
    assert not libs.exists()
    assert not (libs.parent / POM.name).exists()
