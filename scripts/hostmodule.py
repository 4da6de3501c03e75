"""Write docs/reference/host-module.md from the options of nix/options.nix: `python -m scripts.hostmodule`.

It needs `nix-instantiate`. A test compares the page with what this gives.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "host-module.md"

_HEAD = """# The host module

<!-- The options are written by `python -m scripts.hostmodule`; the rest stands in scripts/hostmodule.py. -->

A NixOS module for the machine below the apps: Docker with a Swarm of one node, the overlay network, firewall, secrets by
path, `ccci-upgrade` and `abra` on the `PATH`. It deploys no app, and no unit of it runs `abra`. How a host comes to it:
[from the reconciled host](../guides/host-module.md).

## What it makes

| unit | when | what it does |
|---|---|---|
| `ccci-swarm-init.service` | at boot, once | makes Swarm and network where there is none; changes nothing that is there |
| `ccci-registry-login.service` | at boot, and when the secret changes; with `registryLogins` | writes logins for root's Docker client |
| `ccci-prune.service` | by its timer; with `prune.enable` | removes images that nothing needs |
| `ccci-host.target` | when Swarm and network are there | for other units to be ordered after |

`ccci-swarm-init` fails, and says what to do, on a worker, on a locked Swarm, where the network is of another kind, and where
no Engine answers. It never leaves a Swarm, never removes a network, and never prints a join token. Another subnet, or a
network that single containers cannot join, is a warning in its journal.

`ccci-prune` leaves what has a tag (`ccci-upgrade` gives one to each image a rollback needs), what any container has, and
what any service names, now or before its last update. It removes nothing while somebody holds the lease. Docker's own
`image prune` knows none of this.

## What it refuses

Each of these ends the evaluation with a sentence that says what to change:

- `package` or `abraPackage` that is not set.
- Docker's live-restore, also where it is forced, or set in `daemon.settings` or `extraOptions`.
- Docker's own `autoPrune` with `--all` or `--volumes`.
- `secrets` without sops-nix, and a `passwordFile` in the Nix store.
- For each app of `forbiddenApps`, another owner: everything that is found is named in one sentence. It looks at system and
  user services, timers, activation scripts, cron, containers of the host, and NixOS' own services of that name. A name
  such as `upgrade-traefik` counts, one of `legacyReconcilers` does, and so does a command that changes the app (`abra app
  deploy`, `docker service update`, `ccci-upgrade upgrade`). A runner, a backup or a command that only reads does not.

What evaluation cannot see is left to [`ccci-upgrade doctor`](cli.md#doctor), which reads the units of the host itself: a
program in the store with a neutral name; a command with a domain that does not name its app (`abra app upgrade
sso.ci.example.org`); units that come from packages.

## What was checked, and what was not

`make test` evaluates the module with Nix 2.8 from Debian, on a small `lib` of the tests' own and on stubs of NixOS' options
(`tests/nix/`). Each option's default, each assertion both ways and each value of the units has a test. The scripts ran as
NixOS would run them on Docker Engine 20.10, from every state named above, and killed after each step.
`CCCI_NIXPKGS_LIB=/path/to/nixpkgs/lib` runs the same evaluation on the real `lib`; it gave the same results with that of June
2026.

No machine here has nixpkgs, so these were **not** tried:

- a build of the package (`nix/package.nix`), and of a host; a boot; `nixos-rebuild switch`
- NixOS' own options: a name that stubs and module misspell alike, or a type that NixOS changes, shows only in a real host
- assertions and merging of NixOS' modules around this one; sops-nix; the firewall's rules
- versions of Python libraries in a given nixpkgs: typer 0.26 to 0.28 and rich 14.3.3 or newer are asked for

## Options

All are below `ccci.host`.
"""


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
    """Give the whole page."""
    return "\n".join([_HEAD, *(_section(option) for option in listed)])


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
