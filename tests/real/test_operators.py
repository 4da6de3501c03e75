"""The model of operators, 10,000 steps long."""

from collections.abc import Callable

import pytest

from tests.models.operators import Operators, play

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]


def test_ten_thousand_steps_under_every_fault_at_once(record_property: Callable[[str, object], None]) -> None:
    """The same rules as at the quick size; and each kind of thing that may happen did happen."""
    record_property("figure", play(examples=200, steps=55))

    assert Operators.steps >= 10_000
    rare = {name: count for name, count in Operators.seen.items() if not count}
    assert rare == {}
