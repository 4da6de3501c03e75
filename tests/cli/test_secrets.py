"""Passphrases at a real terminal, and `snapshot secrets`: what is typed is seen nowhere, what is kept neither."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pexpect
import pytest

from ccci_upgrade.age import encrypt, encrypt_with_passphrase
from ccci_upgrade.model.keptsecrets import KeptSecrets, pack
from ccci_upgrade.store.snapshots import Store, verify
from tests.cli.scene import ended
from tests.documents import problems
from tests.unit.test_age import pair
from tests.unit.test_keptsecrets import UNREAD, VALUE, secret
from tests.unit.test_snapshots import APP, FIRST, manifest, tar

ROOT = Path(__file__).parents[2]
PASSPHRASE = "correct horse battery"
ASK = """
import sys
from pathlib import Path
from ccci_upgrade.ui.console import Terminal
from ccci_upgrade.ui.prompt import prompter
from ccci_upgrade.errors import DeclinedError
try:
    said = repr(prompter(Terminal(json=False), no_input=False).new_passphrase("keycloak"))
except DeclinedError:
    said = "declined"
Path(sys.argv[1]).write_text(said)
"""


def spawn(folder: Path, argv: Sequence[str]) -> "pexpect.spawn[str]":
    """Start something at a terminal."""
    env = dict(os.environ) | {"TERM": "xterm-256color", "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    return pexpect.spawn(
        sys.executable,
        list(argv),
        cwd=str(folder),
        env=env,
        encoding="utf-8",
        timeout=30,
        dimensions=(40, 120),
    )


def typed(child: "pexpect.spawn[str]", *pairs: tuple[str, str]) -> str:
    """Wait for a question, answer it, and so on; gives all that the terminal showed."""
    shown = ""
    for question, line in pairs:
        child.expect(question)
        shown += f"{child.before}{child.after}"
        child.sendline(line)
    child.expect(pexpect.EOF)
    return shown + str(child.before)


FIRST_TIME, AGAIN = "not kept.*passphrase:", "the same again:"
DIFFER, SHORT = "not the same.*passphrase:", "at least 10.*passphrase:"


@pytest.mark.parametrize(
    ("pairs", "result"),
    [
        (((FIRST_TIME, PASSPHRASE), (AGAIN, PASSPHRASE)), repr(PASSPHRASE)),
        (((FIRST_TIME, "short"), (SHORT, PASSPHRASE), (AGAIN, PASSPHRASE)), repr(PASSPHRASE)),
        (
            ((FIRST_TIME, PASSPHRASE), (AGAIN, "another one"), (DIFFER, PASSPHRASE), (AGAIN, PASSPHRASE)),
            repr(PASSPHRASE),
        ),
        (((FIRST_TIME, ""),), "None"),
        (((FIRST_TIME, "\x03"),), "None"),
        (((FIRST_TIME, "1"), (SHORT, "2"), (SHORT, "3")), "declined"),
    ],
    ids=["twice", "too short", "not the same", "enter", "ctrl-c", "three times"],
)
def test_a_new_passphrase_is_typed_twice_and_not_seen(
    tmp_path: Path, pairs: tuple[tuple[str, str], ...], result: str
) -> None:
    """Too short, not the same, none: asked again three times at most."""
    child = spawn(tmp_path, ["-c", ASK, str(tmp_path / "said")])
    shown = typed(child, *pairs)

    assert ended(child) == 0, shown
    assert (tmp_path / "said").read_text() == result
    assert PASSPHRASE not in shown


class Place:
    """A state folder with one snapshot that has secrets."""

    def __init__(self, folder: Path, data: bytes, recipients: tuple[str, ...]) -> None:
        """Write it."""
        self.folder = folder
        self.config = folder / "c.toml"
        self.config.write_text(f'state_dir = "{folder}/state"\nabra_dir = "{folder}"\n')
        store = Store(folder / "state", "abc")
        writing = store.begin(APP, FIRST)
        written = writing.archive(0, [tar()])
        kept = KeptSecrets(secrets=(secret().about,), unread=(UNREAD,))
        writing.seal(replace(manifest(written), secrets=writing.secrets(kept, data, recipients)))
        assert verify(store.listed()[0]) == ()

    def argv(self, *words: str) -> list[str]:
        """The command's line, without the interpreter."""
        return ["-m", "ccci_upgrade", "--config", str(self.config), "snapshot", "secrets", *words]

    def run(self, *words: str) -> "subprocess.CompletedProcess[bytes]":
        """Run it without a terminal."""
        ran = subprocess.run(
            [sys.executable, *self.argv(*words)],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=60,
        )
        for form in (VALUE, base64.b64encode(VALUE), b"sesame"):
            assert form not in ran.stdout + ran.stderr
        return ran


def test_names_values_and_commands(tmp_path: Path) -> None:
    """Without a key the names; with it the proof that it opens; with a folder the files and the commands."""
    (public, private), (_, other) = pair(), pair()
    place = Place(tmp_path, encrypt(pack([secret()]), (public,)), (public,))
    (tmp_path / "key").write_bytes(private)
    (tmp_path / "other").write_bytes(other)

    names = place.run(FIRST)
    proof = json.loads(place.run(FIRST, "--identity", "key", "--json").stdout)
    out = json.loads(place.run(FIRST, "--identity", "key", "--out", "out", "--json").stdout)
    text = place.run(FIRST, "--identity", "key", "--out", "out2").stdout.decode()
    wrong = place.run(FIRST, "--identity", "other", "--json")
    codes = {
        words: place.run(*words).returncode
        for words in ((FIRST, "--out", "new"), (FIRST, "--identity", "none"), ("20260301T120000-ffff",))
    }

    assert names.returncode == 0
    assert b"keycloak_db_password_v1" in names.stdout
    assert b"NOT kept: keycloak_token_v1: app: no task of it runs" in names.stdout
    assert (proof["data"]["opened"], proof["data"]["commands"]) == (True, [])
    (row,) = out["data"]["secrets"]
    assert Path(row["file"]).read_bytes() == VALUE
    assert out["data"]["commands"] == [
        f"abra app secret insert {APP} db_password v1 -f {tmp_path}/out/keycloak_db_password_v1"
    ]
    assert f"abra app secret insert {APP} db_password v1 -f" in text
    assert wrong.returncode == 13
    document = json.loads(wrong.stdout)
    assert [each["code"] for each in document["errors"]] == ["age"]
    assert [problems(each) for each in (proof, out, document)] == [[], [], []]
    assert set(codes.values()) == {2}
    assert not (tmp_path / "new").exists()


def test_a_passphrase_is_typed_at_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    """Once, unseen; without a terminal exit 18; a wrong one is exit 13 and writes nothing."""
    place = Place(tmp_path, encrypt_with_passphrase(pack([secret()]), PASSPHRASE), ())
    nobody = place.run(FIRST, "--out", "out", "--json")
    child = spawn(tmp_path, place.argv(FIRST, "--out", "out"))
    shown = typed(child, ("passphrase:", PASSPHRASE))
    wrong = spawn(tmp_path, place.argv(FIRST, "--out", "wrong"))
    refused = typed(wrong, ("passphrase:", "another passphrase"))

    assert nobody.returncode == 18
    assert problems(json.loads(nobody.stdout)) == []
    assert ended(child) == 0, shown
    assert (tmp_path / "out" / "keycloak_db_password_v1").read_bytes() == VALUE
    assert PASSPHRASE not in shown
    assert "sesame" not in shown
    assert ended(wrong) == 13, refused
    assert not (tmp_path / "wrong").exists()
