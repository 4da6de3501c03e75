"""Configs and secrets: names are taken once, data never changes, and secrets are never given out."""

import base64

import pytest

from ccci_upgrade.tools.engine import Answer
from tests.contract.jsontree import Tree, number, rows, text, tree
from tests.contract.lab import Lab
from tests.contract.specs import STACK


def _spec(lab: Lab, name: str, data: str = "one", **labels: str) -> Tree:
    encoded = base64.b64encode(data.encode()).decode()
    return {"Name": f"{lab.stack}_{name}", "Labels": {STACK: lab.stack, **labels}, "Data": encoded}


def _update(lab: Lab, kind: str, identity: str, spec: Tree, index: int | None) -> Answer:
    return lab.engine.ask("POST", f"/{kind}s/{identity}/update", {"version": index}, body=spec)


def test_a_config_is_made_once_and_only_its_labels_change(lab: Lab) -> None:
    """201 with an id; 409 for a taken name; 500 for an old index; 400 for other data; 204 and 404 for deletes."""
    identity = text(lab.post("/configs/create", _spec(lab, "c"), status=201), "ID")
    again = lab.engine.ask("POST", "/configs/create", body=_spec(lab, "c", "two"))
    first = number(lab.engine.get(f"/configs/{identity}"), "Version", "Index")
    same_data = _update(lab, "config", identity, _spec(lab, "c", holder="me"), first)
    stale = _update(lab, "config", identity, _spec(lab, "c", holder="you"), first)
    other_data = _update(lab, "config", identity, _spec(lab, "c", "two"), (first or 0))
    found = tree(lab.engine.get(f"/configs/{lab.stack}_c"))
    now = number(found, "Version", "Index") or 0
    changed_data = _update(lab, "config", identity, _spec(lab, "c", "two"), now)
    without_data = {k: v for k, v in _spec(lab, "c", holder="free").items() if k != "Data"}
    without = _update(lab, "config", identity, without_data, now)

    assert again.status == 409
    assert again.message.startswith("rpc error: code = AlreadyExists")
    assert (same_data.status, stale.status) == (200, 500)
    assert stale.message == "rpc error: code = Unknown desc = update out of sequence"
    assert other_data.status in (400, 500)
    assert changed_data.status == 400
    assert (
        changed_data.message == "rpc error: code = InvalidArgument desc = only updates to Labels are allowed"
    )
    assert without.status == 200
    found = tree(lab.engine.get(f"/configs/{identity}"))
    assert tree(found, "Spec", "Labels") == {STACK: lab.stack, "holder": "free"}
    assert text(found, "Spec", "Data") == base64.b64encode(b"one").decode()
    assert text(found, "UpdatedAt") > text(found, "CreatedAt")
    assert lab.engine.ask("DELETE", f"/configs/{identity}").status == 204
    assert lab.engine.ask("DELETE", f"/configs/{identity}").status == 404
    assert lab.engine.ask("GET", f"/configs/{identity}").status == 404


def test_labels_hold_kilobytes_and_lists_are_filtered_by_them(lab: Lab) -> None:
    """By a label's name or value, all of them at once; 32 KB come back whole, created and updated."""
    big, more = 'é"\\x' * 2500, "y" * 32_000
    first = text(lab.post("/configs/create", _spec(lab, "big", memory=big), status=201), "ID")
    second = text(lab.post("/configs/create", _spec(lab, "small", other="1"), status=201), "ID")

    def listed(*labels: str) -> list[str]:
        wanted: Tree = {"label": [f"{STACK}={lab.stack}", *labels]}
        return sorted(text(each, "ID") for each in rows(lab.engine.get("/configs", {"filters": wanted})))

    assert listed() == sorted([first, second])
    assert listed("memory") == [first]
    assert listed("other=1") == [second]
    assert listed("other=2") == listed("memory", "other") == []
    found = tree(lab.engine.get(f"/configs/{first}"))
    assert text(found, "Spec", "Labels", "memory") == big
    index = number(found, "Version", "Index")
    assert _update(lab, "config", first, _spec(lab, "big", memory=more), index).status == 200
    assert text(lab.engine.get(f"/configs/{first}"), "Spec", "Labels", "memory") == more


def test_configs_are_listed_by_the_beginning_of_their_names(lab: Lab) -> None:
    """`name` compares beginnings; several are one or the other; an unknown filter answers 400."""
    ids = {
        name: text(lab.post("/configs/create", _spec(lab, name), status=201), "ID")
        for name in ("ab", "ac", "b")
    }

    def listed(*begins: str) -> list[str]:
        wanted: Tree = {"name": [f"{lab.stack}_{begin}" for begin in begins]}
        return sorted(text(each, "ID") for each in rows(lab.engine.get("/configs", {"filters": wanted})))

    assert listed("a") == sorted([ids["ab"], ids["ac"]])
    assert listed("ab", "b") == sorted([ids["ab"], ids["b"]])
    assert listed("c") == []
    assert lab.engine.ask("GET", "/configs", {"filters": {"nam": ["a"]}}).status == 400


def test_a_configs_name_has_at_most_64_characters(lab: Lab) -> None:
    """64 are taken, 65 are refused; names that differ only in capitals are the same one."""
    fits = "n" * (64 - len(lab.stack) - 1)

    assert lab.engine.ask("POST", "/configs/create", body=_spec(lab, fits)).status == 201
    refused = lab.engine.ask("POST", "/configs/create", body=_spec(lab, f"{fits}n"))
    assert refused.status == 400
    assert refused.message == (
        "rpc error: code = InvalidArgument desc = invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, "
        "and the start and end character must be [a-zA-Z0-9]"
    )
    assert lab.engine.ask("POST", "/configs/create", body=_spec(lab, "a_")).status == 400
    assert lab.engine.ask("POST", "/configs/create", body=_spec(lab, fits.upper())).status == 409


def test_secrets_are_never_readable(lab: Lab) -> None:
    """Neither the list nor the one has `Data`; a taken name answers 409."""
    identity = text(lab.post("/secrets/create", _spec(lab, "s", "sesame"), status=201), "ID")
    wanted = {"filters": f'{{"name": ["{lab.stack}_s"]}}'}

    assert "Data" not in tree(lab.engine.get(f"/secrets/{identity}"), "Spec")
    assert [text(each, "ID") for each in rows(lab.engine.get("/secrets", wanted))] == [identity]
    assert b"sesame" not in lab.engine.ask("GET", "/secrets").body
    assert base64.b64encode(b"sesame") not in lab.engine.ask("GET", "/secrets").body
    assert lab.engine.ask("POST", "/secrets/create", body=_spec(lab, "s")).status == 409
    assert lab.engine.ask("DELETE", f"/secrets/{identity}").status == 204


@pytest.mark.parametrize("kind", ["config", "secret"])
def test_what_a_service_uses_cannot_be_deleted(lab: Lab, kind: str) -> None:
    """400 with the service's name, and 204 when it is gone."""
    identity = text(lab.post(f"/{kind}s/create", _spec(lab, "x"), status=201), "ID")
    file: Tree = {"Name": "/x", "UID": "0", "GID": "0", "Mode": 0o444}
    word = kind.capitalize()
    reference: Tree = {"File": file, f"{word}ID": identity, f"{word}Name": f"{lab.stack}_x"}
    lab.create("app", replicas=0, **{f"{kind}s": [reference]})
    refused = lab.engine.ask("DELETE", f"/{kind}s/{identity}")
    lab.remove("app")

    assert refused.status == 400
    assert refused.message == (
        f"rpc error: code = InvalidArgument desc = {kind} '{lab.stack}_x' is in use by the following service: "
        f"{lab.stack}_app"
    )
    assert lab.engine.ask("DELETE", f"/{kind}s/{identity}").status == 204
