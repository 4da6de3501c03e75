"""Tab in a shell offers what is here, and never breaks the line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.scene import SERVER, Scene

PROGRAM = Path(sys.executable).with_name("ccci-upgrade")
APPS = [f"traefik.{SERVER}", f"keycloak.{SERVER}", "traefik", "keycloak"]


def tab(scene: Scene, line: str) -> list[str]:
    """Press Tab at the end of a line in bash, with the script that the program gives."""
    words = line.split(" ")
    shown = " ".join(word or "''" for word in words)
    script = (
        'eval "$(env _CCCI_UPGRADE_COMPLETE=source_bash "$PROGRAM")"\n'
        f"COMP_WORDS=({shown}); COMP_CWORD={len(words) - 1}\n"
        '_ccci_upgrade_completion "$PROGRAM"\n'
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    env = {"PATH": os.environ["PATH"], "PROGRAM": str(PROGRAM), "HOME": str(scene.folder)}
    ran = subprocess.run(
        [shutil.which("bash") or "bash", "--norc", "-c", script],
        env=env | {"ABRA_DIR": str(scene.abra_dir)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert not ran.stderr
    return ran.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("ccci-upgrade upgrade ", APPS),
        ("ccci-upgrade upgrade key", [f"keycloak.{SERVER}", "keycloak"]),
        ("ccci-upgrade plan keycloak tra", [f"traefik.{SERVER}", "traefik"]),
        ("ccci-upgrade upgrade keycloak --to ", ["1.1.0+1.1.0", "1.0.0+1.0.0"]),
        (f"ccci-upgrade --server {SERVER} notes traefik --to 1.1", ["1.1.0+1.1.0"]),
        ("ccci-upgrade --server ", [SERVER]),
        ("ccci-upgrade hist", ["history"]),
        ("ccci-upgrade --server nowhere upgrade ", []),
    ],
)
def test_tab_offers_what_is_here(calm: Scene, line: str, offered: list[str]) -> None:
    """Apps by both their names, versions newest first, servers, commands; nothing where nothing is known."""
    assert tab(calm, line) == offered


def test_a_hostile_name_is_not_offered(calm: Scene) -> None:
    """A file's name must not become more than a word on a person's command line."""
    for name in ("a b", "$(id)", "*", "\x1b[31mred"):
        (calm.abra_dir / "servers" / SERVER / f"{name}.env").write_text("TYPE=traefik\n")

    assert tab(calm, "ccci-upgrade upgrade ") == APPS
