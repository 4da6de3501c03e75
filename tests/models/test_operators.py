"""The model of operators at a quick size; 10,000 steps are in tests/real."""

from collections.abc import Callable

from tests.models.operators import play


def test_operators_under_every_fault_at_once(record_property: Callable[[str, object], None]) -> None:
    """Never two holders, nobody acts who lost the lease, and what was acknowledged is there."""
    record_property("figure", play(examples=16, steps=50))
