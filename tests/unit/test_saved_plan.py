"""A plan in a file, and back."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ccci_upgrade.errors import UsageError
from ccci_upgrade.model.plan import make_plan
from ccci_upgrade.store.saved_plan import read_saved, write_saved
from ccci_upgrade.ui.envelope import plan_json
from tests.builders import APP, NEW, facts

PLAN = make_plan(facts(), (), frozenset())


def test_a_plan_comes_back_with_the_facts_it_stands_on(tmp_path: Path) -> None:
    """App, target, and every fingerprint."""
    path = tmp_path / "plan.json"
    write_saved(path, plan_json(PLAN))

    saved = read_saved(path)

    assert (saved.app, saved.to, saved.facts) == (APP, NEW, PLAN.fingerprints)


def test_foreign_text_of_any_kind_can_be_saved(tmp_path: Path) -> None:
    """A lone surrogate of a label is no reason to lose the plan."""
    write_saved(tmp_path / "plan.json", plan_json(replace(PLAN, from_version="\ud800")))

    assert read_saved(tmp_path / "plan.json").app == APP


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"plan_schema": 2, "plan": {}}',
        b'{"plan_schema": 1, "plan": []}',
        b'{"plan_schema": 1, "plan": {"facts": {}}}',
        b'{"plan_schema": 1, "plan": {"facts": {}, "app": "a", "to": null}}',
        b"[" * 100_000,
    ],
)
def test_a_file_that_is_no_plan_is_a_usage_error(tmp_path: Path, data: bytes) -> None:
    """Named by its path."""
    path = tmp_path / "plan.json"
    path.write_bytes(data)

    with pytest.raises(UsageError, match=r"plan\.json"):
        read_saved(path)


def test_no_file_and_a_folder_are_usage_errors(tmp_path: Path) -> None:
    """With the system's reason."""
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(UsageError, match="cannot read"):
            read_saved(path)


@pytest.mark.parametrize("where", ["none/plan.json", "/dev/null", "."])
def test_a_place_that_takes_no_file_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A device stays one."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match="cannot write"):
        write_saved(Path(where), json.loads("{}"))
    assert list(tmp_path.iterdir()) == []
