"""Documents for scripts, held to docs/reference/schema.json, more strictly than readers should."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMA = Path(__file__).parents[1] / "docs" / "reference" / "schema.json"


def problems(document: object) -> list[str]:
    """What does not fit the schema, a key that it does not name included."""
    found = _validator().iter_errors(document)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in found]


def schema() -> Any:
    """The schema as it is published."""
    return json.loads(SCHEMA.read_text(encoding="utf-8"))


@cache
def _validator() -> Draft202012Validator:
    published = schema()
    Draft202012Validator.check_schema(published)
    return Draft202012Validator(_closed(published))


def _closed(part: Any) -> Any:
    """A schema whose objects have no other keys than those it names."""
    if isinstance(part, list):
        return [_closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    closed = {key: _closed(each) for key, each in part.items()}
    named = isinstance(part.get("properties"), dict) and isinstance(part.get("required"), list)
    return closed | {"additionalProperties": False} if named else closed
