"""Swarm configs as shared, small values in their labels: read, list, create, compare-and-swap. Never deleted.

Tried on Engine 20.10.24: creating a taken name answers 409; an update with an old version index answers 500
"update out of sequence"; a config's data never changes, and an update may leave it out; the filter `name` of the
list compares beginnings.
"""

import base64
import http
from collections.abc import Mapping
from typing import NamedTuple

from ccci_upgrade import clock
from ccci_upgrade.errors import EngineError
from ccci_upgrade.model.lease import Kept
from ccci_upgrade.tools.engine import Answer, Engine, Json

_LOST_RACE = "update out of sequence"


class Purpose(NamedTuple):
    """What a config is for: the text in it for people who find it, and how its errors are called."""

    data: str
    code: str
    hint: str


def read(engine: Engine, name: str, purpose: Purpose, *, seconds: float | None = None) -> Kept | None:
    """The config as it is; None where there is none. `seconds` bounds the question where it must be short."""
    path = f"/configs/{name}"
    answer = engine.ask("GET", path, seconds=seconds)
    if answer.status == http.HTTPStatus.NOT_FOUND:
        return None
    if answer.status != http.HTTPStatus.OK:
        raise _refused("read", name, purpose, answer)
    found = _kept(answer.json)
    if found is None:
        raise EngineError(f"the Engine's answer to {path} is no config", code=purpose.code)
    return found


def listed(engine: Engine, begin: str, purpose: Purpose) -> dict[str, Kept]:
    """Every config whose name begins so, in one question."""
    answer = engine.ask("GET", "/configs", {"filters": {"name": [begin]}})
    if answer.status != http.HTTPStatus.OK:
        raise _refused("list", f"{begin}…", purpose, answer)
    rows = answer.json
    if not isinstance(rows, list):
        raise EngineError("the Engine's answer to /configs is no list", code=purpose.code)
    found = {_name(row): kept for row in rows if (kept := _kept(row)) is not None}
    return {name: found[name] for name in sorted(found) if name.startswith(begin)}


def create(engine: Engine, name: str, labels: Mapping[str, str], purpose: Purpose) -> bool:
    """Create the config; False where somebody was quicker."""
    data = base64.b64encode(purpose.data.encode()).decode()
    body: Json = {"Name": name, "Labels": dict(labels), "Data": data}
    answer = engine.ask("POST", "/configs/create", body=body)
    if answer.status == http.HTTPStatus.CONFLICT:
        return False
    if answer.status not in (http.HTTPStatus.OK, http.HTTPStatus.CREATED):
        raise _refused("create", name, purpose, answer)
    return True


def swap(
    engine: Engine,
    name: str,
    labels: Mapping[str, str],
    index: int,
    purpose: Purpose,
    *,
    seconds: float | None = None,
) -> bool:
    """Write labels where the config still has this version index; False where somebody was quicker."""
    body: Json = {"Name": name, "Labels": dict(labels)}
    answer = engine.ask("POST", f"/configs/{name}/update", {"version": index}, body=body, seconds=seconds)
    if answer.status == http.HTTPStatus.OK:
        return True
    if answer.status == http.HTTPStatus.NOT_FOUND or _LOST_RACE in answer.message:
        return False
    raise _refused("write", name, purpose, answer)


def _kept(raw: Json) -> Kept | None:
    if not isinstance(raw, dict):
        return None
    spec, version, updated = raw.get("Spec"), raw.get("Version"), raw.get("UpdatedAt")
    index = version.get("Index") if isinstance(version, dict) else None
    if not isinstance(spec, dict) or not isinstance(index, int):
        return None
    labels = spec.get("Labels")
    return Kept(
        labels={k: v for k, v in labels.items() if isinstance(v, str)} if isinstance(labels, dict) else {},
        index=index,
        updated=clock.parse_stamp(updated) if isinstance(updated, str) else None,
    )


def _name(raw: Json) -> str:
    spec = raw.get("Spec") if isinstance(raw, dict) else None
    name = spec.get("Name") if isinstance(spec, dict) else None
    return name if isinstance(name, str) else ""


def _refused(what: str, name: str, purpose: Purpose, answer: Answer) -> EngineError:
    return EngineError(
        f"the Engine would not {what} the Swarm config `{name}`: {answer.message} (HTTP {answer.status})",
        hint=purpose.hint,
        code=purpose.code,
    )
