"""What the tests of a whole installation share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.site import Site


@pytest.fixture(scope="module")
def hoithi_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running installation with the example contest, whose first round is open."""
    with Site(tmp_path_factory.mktemp("site")) as site:
        yield site
