"""Where probes of a far server connect, from settings alone."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from ccci_upgrade.flows.places import places_of
from tests.builders import app

WEB = {("127.0.0.1", 80), ("127.0.0.1", 443)}
CASES: tuple[tuple[str, tuple[Mapping[str, object], ...] | None, set[tuple[str, int]]], ...] = (
    ("", None, set()),
    ("", ({"name": "p", "url": "https://{domain}/"},), set()),
    ("127.0.0.1", None, WEB),
    ("127.0.0.1:8443", None, {("127.0.0.1", 8443)}),
    ("[::1]:8443", None, {("::1", 8443)}),
    ("127.0.0.1", ({"name": "p", "url": "http://{domain}:8080/"},), {*WEB, ("127.0.0.1", 8080)}),
    ("", ({"name": "p", "tcp": "{domain}:5432", "address": "db.internal"},), {("db.internal", 5432)}),
    ("", ({"name": "p", "url": "https://{domain}/", "address": "10.0.0.1:9"},), {("10.0.0.1", 9)}),
    ("127.0.0.1", ({"name": "p", "command": ["true"]},), WEB),
    ("127.0.0.1", ({"name": "p", "url": "nonsense"},), WEB),
    ("not an address", None, set()),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[1]}"[:60])
def test_places(case: tuple[str, tuple[Mapping[str, object], ...] | None, set[tuple[str, int]]]) -> None:
    """Every fixed address with the port that will be asked; settings that cannot be read hide no other app."""
    address, probes, wanted = case
    other = replace(app(), address="10.9.9.9:1", probes=None)

    assert set(places_of([replace(app(), address=address, probes=probes), other])) == {
        *wanted,
        ("10.9.9.9", 1),
    }
