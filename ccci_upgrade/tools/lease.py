"""The lease's Swarm config through the Engine API: read, create, compare-and-swap. It is never deleted.

Tried on Engine 20.10.24: creating a taken name answers 409; an update with an old version index answers 500
"update out of sequence"; a config's data never changes, and an update may leave it out.
"""

import base64
import http
from collections.abc import Mapping
from datetime import datetime

from ccci_upgrade import clock
from ccci_upgrade.errors import EngineError
from ccci_upgrade.model.lease import NAME, Kept
from ccci_upgrade.tools.engine import Answer, Engine, Json

_PATH = f"/configs/{NAME}"
_DATA = b"One operator at a time: see `ccci-upgrade lease show`.\n"
_LOST_RACE = "update out of sequence"


def read(engine: Engine, *, seconds: float | None = None) -> Kept | None:
    """The config as it is; None where there is none yet. `seconds` bounds the question where it must be short."""
    answer = engine.ask("GET", _PATH, seconds=seconds)
    if answer.status == http.HTTPStatus.NOT_FOUND:
        return None
    if answer.status != http.HTTPStatus.OK:
        raise _refused("read", answer)
    raw = answer.json
    spec = raw.get("Spec") if isinstance(raw, dict) else None
    version = raw.get("Version") if isinstance(raw, dict) else None
    index = version.get("Index") if isinstance(version, dict) else None
    if not isinstance(raw, dict) or not isinstance(spec, dict) or not isinstance(index, int):
        raise EngineError(f"the Engine's answer to {_PATH} is no config", code="lease-refused")
    updated = raw.get("UpdatedAt")
    return Kept(
        labels=_labels(spec.get("Labels")),
        index=index,
        updated=clock.parse_stamp(updated) if isinstance(updated, str) else None,
    )


def create(engine: Engine, labels: Mapping[str, str]) -> bool:
    """Create the config; False where somebody was quicker."""
    body: Json = {"Name": NAME, "Labels": dict(labels), "Data": base64.b64encode(_DATA).decode()}
    answer = engine.ask("POST", "/configs/create", body=body)
    if answer.status == http.HTTPStatus.CONFLICT:
        return False
    if answer.status not in (http.HTTPStatus.OK, http.HTTPStatus.CREATED):
        raise _refused("create", answer)
    return True


def swap(engine: Engine, labels: Mapping[str, str], index: int, *, seconds: float | None = None) -> bool:
    """Write labels where the config still has this version index; False where somebody was quicker."""
    body: Json = {"Name": NAME, "Labels": dict(labels)}
    answer = engine.ask("POST", f"{_PATH}/update", {"version": index}, body=body, seconds=seconds)
    if answer.status == http.HTTPStatus.OK:
        return True
    if answer.status == http.HTTPStatus.NOT_FOUND or _LOST_RACE in answer.message:
        return False
    raise _refused("write", answer)


def engine_clock(engine: Engine) -> datetime | None:
    """The Engine's own clock, asked now: ours may jump, and may be another machine's."""
    info = engine.get("/info")
    said = info.get("SystemTime") if isinstance(info, dict) else None
    return clock.parse_stamp(said) if isinstance(said, str) else None


def _refused(what: str, answer: Answer) -> EngineError:
    return EngineError(
        f"the Engine would not {what} the Swarm config `{NAME}`: {answer.message} (HTTP {answer.status})",
        hint="nothing was changed; the lease needs a Swarm manager that keeps configs: `docker config ls` tells",
        code="lease-refused",
    )


def _labels(value: Json) -> dict[str, str]:
    return {k: v for k, v in value.items() if isinstance(v, str)} if isinstance(value, dict) else {}
