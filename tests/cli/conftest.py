"""Fixtures of the command line's tests."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.cli.scene import Scene, standing


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Give a server of its own; the folder's name is short because a socket's must be."""
    with (
        TemporaryDirectory(prefix="ccci-", ignore_cleanup_errors=True) as folder,
        standing(Path(folder)) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def calm() -> Iterator[Scene]:
    """Give one server to all tests of a module that change nothing on it."""
    with (
        TemporaryDirectory(prefix="ccci-", ignore_cleanup_errors=True) as folder,
        standing(Path(folder)) as made,
    ):
        yield made
