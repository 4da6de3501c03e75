"""Write the options of nix/options.nix into docs/reference/host-module.md: `python -m scripts.hostmodule`.

What stands above a mark in the page is kept. It needs `nix-instantiate`. A test compares the page with what this gives.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "host-module.md"

_BELOW = "<!-- What follows is written by `python -m scripts.hostmodule`. -->\n"


def options() -> list[dict[str, object]]:
    """Every option as Nix tells it, in the order of their names."""
    expression = (
        f"import {ROOT}/tests/nix/options.nix {{ lib = import {ROOT}/tests/nix/minilib.nix; root = {ROOT}; }}"
    )
    done = subprocess.run(
        ["nix-instantiate", "--store", "dummy://", "--eval", "--strict", "--json", "-E", expression],  # noqa: S607
        env=os.environ | {"NIX_CONFIG": "build-users-group =\n"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = json.loads(done.stdout)
    assert isinstance(found, list)  # noqa: S101 - the expression gives one
    return found


def page(listed: Iterable[Mapping[str, object]]) -> str:
    """Give the whole page: what it says above the mark, and the options."""
    above, mark, _ = PAGE.read_text(encoding="utf-8").partition(_BELOW)
    return "\n".join([above + mark, *(_section(option) for option in listed)])


def _section(option: Mapping[str, object]) -> str:
    name = str(option["name"]).removeprefix("ccci.host.")
    facts = [f"- type: {option['type']}"]
    if option["readOnly"]:
        facts.append(f"- read-only: {_code(str(option['shown']))}")
    elif option["has"]:
        facts.append(f"- default: {_code(str(option['shown'] or _nix(option['default'])))}")
    else:
        facts.append("- must be set")
    if option["example"]:
        facts.append(f"- example: {_code(' '.join(str(option['example']).split()))}")
    text = " ".join(str(option["description"]).split())
    return f"### `{name}`\n\n{text}\n\n" + "\n".join(facts) + "\n"


def _code(text: str) -> str:
    return f"`{text}`"


def _nix(value: object) -> str:
    """Write a value as Nix does."""
    if isinstance(value, list):
        return f"[ {' '.join(map(_nix, value))} ]" if value else "[ ]"
    if isinstance(value, dict):
        inner = " ".join(f"{key} = {_nix(each)};" for key, each in value.items())
        return f"{{ {inner} }}" if value else "{ }"
    return json.dumps(value)


if __name__ == "__main__":
    PAGE.write_text(page(options()), encoding="utf-8")
