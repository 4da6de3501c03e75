"""Kept secrets: packed and read back, beside a snapshot, opened, written out, and never shown."""

import json
import os
import pickle
import stat
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.age import encrypt, encrypt_with_passphrase
from ccci_upgrade.config import read_config
from ccci_upgrade.errors import CcciError, DeclinedError, NotReadyError, TerminalError, UsageError
from ccci_upgrade.flows.keptsecrets import Opened, Recipients, look, open_secrets, recipients_for
from ccci_upgrade.model.findings.secrets import secrets_not_kept
from ccci_upgrade.model.keptsecrets import (
    FILE,
    Hidden,
    KeptSecret,
    KeptSecrets,
    OpenSecret,
    PayloadError,
    SecretFile,
    SecretsFile,
    Unread,
    file_from_json,
    pack,
    split_name,
    unpack,
)
from ccci_upgrade.model.snapshot import ManifestError, from_json, to_json
from ccci_upgrade.store import secretfolder
from ccci_upgrade.store.snapshots import Kept, Store, read_secrets, verify
from tests.unit.test_age import PASSPHRASE, pair
from tests.unit.test_snapshots import APP, FIRST, manifest, tar

VALUE = b"sesame-\x00\xff-open"
KEYS = ("schema_version", "secrets", "data", "files", "labels", "swarm_name")
UNREAD = Unread(swarm_name="keycloak_token_v1", reason="app: no task of it runs")


def secret(name: str = "db_password", value: bytes = VALUE) -> OpenSecret:
    """One of a service's."""
    file = SecretFile(service="db", file=name, uid="0", gid="999", mode=0o440)
    about = KeptSecret(
        swarm_name=f"keycloak_{name}_v1", name=name, version="v1", labels={"a": "b"}, files=(file,)
    )
    return OpenSecret(about=about, value=Hidden(value))


def saved(folder: Path, data: bytes, recipients: tuple[str, ...]) -> Kept:
    """A snapshot with secrets, as `snapshot create` will write it."""
    store = Store(folder, "abc")
    writing = store.begin(APP, FIRST)
    written = writing.archive(0, [tar()])
    kept = KeptSecrets(secrets=(secret().about,), unread=(UNREAD,))
    about = writing.secrets(kept, data, recipients)
    writing.seal(replace(manifest(written), secrets=about))
    (found,) = store.listed()
    assert verify(found) == ()
    return store.listed()[0]


class Typing:
    """Somebody who types one passphrase."""

    def __init__(self, typed: str | None, *, interactive: bool = True) -> None:
        self._typed = typed
        self.interactive = interactive

    def new_passphrase(self, app: str) -> str | None:
        """Type it."""
        assert app == APP
        return self._typed

    def passphrase(self, what: str) -> str | None:
        """Type it."""
        assert FIRST in what
        return self._typed


# -- values -----------------------------------------------------------------------------------------------


def test_a_value_is_shown_by_nothing() -> None:
    """Not by repr or str, alone or within others; not in a traceback; it is not pickled and is no JSON."""
    held = secret()
    told = "".join(traceback.format_exception(ValueError(held)))

    assert "sesame" not in f"{held!r} {held} {held.value!r} {[held.value]} {told}"
    assert "sesame" not in repr(Recipients(passphrase="sesame"))
    with pytest.raises(TypeError):
        pickle.dumps(held.value)
    with pytest.raises(TypeError):
        json.dumps(held.value)  # what it would become is shown to nobody


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_what_was_packed_is_read_back(values: list[bytes]) -> None:
    """Any bytes, with names, owners, modes and labels."""
    held = tuple(secret(f"s{number}", value) for number, value in enumerate(values))
    assert unpack(pack(held)) == held


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner),
    )
)
def test_another_payload_is_one_clear_error(raw: object) -> None:
    """Whatever JSON it is."""
    with pytest.raises(PayloadError):
        unpack(json.dumps({"schema_version": 1, "secrets": [raw]}).encode())
    with pytest.raises(PayloadError):
        unpack(json.dumps(raw).encode())


@pytest.mark.parametrize("name", ["../x", "/etc/x", "", ".", "..", "a/b", "a\n", "a" * 65])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    """It becomes a file's name."""
    raw = json.loads(pack([secret()]))
    raw["secrets"][0]["swarm_name"] = name
    with pytest.raises(PayloadError):
        unpack(json.dumps(raw).encode())


def test_an_error_holds_no_value() -> None:
    """A payload that is nearly right: what is wrong is named, what it holds is not."""
    whole = pack([secret(value=b"sesame")])
    raw = json.loads(whole)
    raw["secrets"][0]["data"] = "sesame!"
    for damaged in (whole[:-3], json.dumps(raw).encode()):
        with pytest.raises(PayloadError) as caught:
            unpack(damaged)
        told = "".join(traceback.format_exception(caught.value))
        assert "sesame" not in told
        assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("keycloak_db_password_v1", ("db_password", "v1")),
        ("keycloak_a_v12", ("a", "v12")),
        ("other_a_v1", ("", "")),
        ("keycloak_v1", ("", "")),
        ("keycloak__v1", ("", "")),
        ("keycloak", ("", "")),
    ],
)
def test_names_are_taken_apart_as_abra_puts_them_together(name: str, parts: tuple[str, str]) -> None:
    """`<stack>_<name>_<version>`; what is named otherwise was not made by abra."""
    assert split_name("keycloak", name) == parts


# -- beside a snapshot ------------------------------------------------------------------------------------


def test_secrets_lie_beside_the_snapshot_encrypted_and_private(tmp_path: Path) -> None:
    """0600, in the manifest by name; a manifest without them reads as before."""
    public, private = pair()

    kept = saved(tmp_path, encrypt(pack([secret()]), (public,)), (public,))

    assert kept.good
    assert kept.manifest is not None
    assert kept.manifest.secrets is not None
    assert kept.manifest.secrets.names == ("keycloak_db_password_v1",)
    assert kept.manifest.secrets.unread == (UNREAD,)
    assert stat.S_IMODE((kept.folder / FILE).stat().st_mode) == 0o600
    assert [
        each.value.reveal() for each in open_secrets(kept, identity=_file(tmp_path, private), asker=None)
    ] == [VALUE]
    raw = json.loads(json.dumps(to_json(kept.manifest)))
    assert from_json(raw) == kept.manifest
    del raw["secrets"]
    assert from_json(raw).secrets is None


@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "gone", "link"])
def test_damage_is_found(tmp_path: Path, damage: str) -> None:
    """By verify, which takes the mark away, and before anything is decrypted."""
    kept = saved(tmp_path, b"age-encryption.org/v1\n" + bytes(500), ("age1",))
    file = kept.folder / FILE
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[100] ^= 1
        file.write_bytes(data)
    elif damage == "gone":
        file.unlink()
    elif damage == "link":
        file.rename(file.with_name("other"))
        file.symlink_to("other")
    else:
        file.write_bytes(data[:-1] if damage == "cut" else data + b"x")

    (problem,) = verify(kept)
    assert FILE in problem
    (again,) = Store(tmp_path, "abc").listed()
    assert not again.good
    with pytest.raises(NotReadyError, match="cannot be used"):
        read_secrets(kept)


def test_without_secrets_there_are_none(tmp_path: Path) -> None:
    """A snapshot of before."""
    store = Store(tmp_path, "abc")
    writing = store.begin(APP, FIRST)
    writing.seal(manifest(writing.archive(0, [tar()])))
    with pytest.raises(NotReadyError) as caught:
        read_secrets(store.listed()[0])
    assert caught.value.code == "no-secrets"


GOOD = {"file": FILE, "sha256": "0" * 64, "size": 1, "names": ["a"], "unread": [], "recipients": []}


@pytest.mark.parametrize(
    "change",
    [{"file": "../x"}, {"sha256": "x"}, {"size": -1}, {"size": True}, {"names": [1]}, {"unread": [{}]},
     {"recipients": None}],
)  # fmt: skip
def test_a_manifest_that_says_nonsense_of_them_is_none(change: dict[str, object]) -> None:
    """One clear error."""
    assert file_from_json(GOOD) == SecretsFile(
        file=FILE, sha256="0" * 64, size=1, names=("a",), unread=(), recipients=()
    )
    with pytest.raises(PayloadError):
        file_from_json(GOOD | change)
    with pytest.raises(PayloadError):
        file_from_json([])


def test_the_manifest_reader_passes_that_on(tmp_path: Path) -> None:
    """As the error of a manifest, so that the snapshot is listed as damaged."""
    writing = Store(tmp_path, "abc").begin(APP, FIRST)
    raw = json.loads(json.dumps(to_json(manifest(writing.archive(0, [tar()]))))) | {"secrets": {}}
    with pytest.raises(ManifestError, match="sha256"):
        from_json(raw)


# -- opened -----------------------------------------------------------------------------------------------


def _file(folder: Path, data: bytes) -> Path:
    path = folder / "identity"
    path.write_bytes(data)
    return path


def test_a_passphrase_is_asked_for_and_nobody_gives_none(tmp_path: Path) -> None:
    """Right, given up, and no terminal: exit 18, for no flag takes a passphrase."""
    kept = saved(tmp_path, encrypt_with_passphrase(pack([secret()]), PASSPHRASE), ())

    (opened,) = open_secrets(kept, identity=None, asker=Typing(PASSPHRASE))
    assert opened == secret()
    for asker, error in (
        (Typing(None), DeclinedError),
        (Typing(PASSPHRASE, interactive=False), TerminalError),
        (None, TerminalError),
    ):
        with pytest.raises(error) as caught:
            open_secrets(kept, identity=None, asker=asker)
        assert isinstance(caught.value, CcciError)
        assert PASSPHRASE not in f"{caught.value.message}{caught.value.hint}"


def test_they_are_written_out_for_abra(tmp_path: Path) -> None:
    """A folder 0700, files 0600 under a loose umask, the commands that read them; and never over anything."""
    public, private = pair()

    foreign = OpenSecret(
        about=replace(secret().about, swarm_name="shared", name="", version=""), value=Hidden(b"other")
    )
    saved(tmp_path, encrypt(pack([secret(), foreign]), (public,)), (public,))
    config = replace(read_config(None), state_dir=tmp_path)
    identity, out = _file(tmp_path, private), tmp_path / "a b"
    names = look(config, FIRST, identity=None, out=None, asker=None)
    old = os.umask(0)
    try:
        found = look(config, FIRST, identity=identity, out=out, asker=None)
    finally:
        os.umask(old)

    assert (names.secrets, names.files) == (None, ())
    assert isinstance(found, Opened)
    assert (out / "keycloak_db_password_v1").read_bytes() == VALUE
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in out.iterdir()} == {0o600}
    assert found.commands == (
        f"abra app secret insert {APP} db_password v1 -f '{out}/keycloak_db_password_v1'",
        f"docker secret create shared '{out}/shared'",
    )
    with pytest.raises(UsageError, match="not empty"):
        look(config, FIRST, identity=identity, out=out, asker=None)
    with pytest.raises(UsageError, match="encrypted for a key"):
        look(config, FIRST, identity=None, out=tmp_path / "new", asker=None)
    with pytest.raises(UsageError, match="cannot read"):
        look(config, FIRST, identity=tmp_path / "none", out=None, asker=None)
    with pytest.raises(UsageError, match="no snapshot"):
        look(config, "20260301T120000-ffff", identity=None, out=None, asker=None)


@pytest.mark.parametrize("what", ["file", "link", "below a file"])
def test_no_other_place_is_written_to(tmp_path: Path, what: str) -> None:
    """What is no folder, and a link to one."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    with pytest.raises((UsageError, NotReadyError)):
        secretfolder.write(tmp_path / {"below a file": "file/x"}.get(what, what), {"a": Hidden(b"x")})
    assert (tmp_path / "file").read_text() == "mine"
    assert list((tmp_path / "folder").iterdir()) == []


def test_an_empty_folder_is_closed_to_others_first(tmp_path: Path) -> None:
    """One that was made by hand is mostly open."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine").chmod(0o755)
    secretfolder.write(tmp_path / "mine", {"a": Hidden(b"x")})
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Whoever owns it could read what comes in."""
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 1234, 1234)
    with pytest.raises(UsageError, match="somebody else"):
        secretfolder.write(tmp_path / "theirs", {"a": Hidden(b"x")})


# -- for whom ---------------------------------------------------------------------------------------------


def test_configured_keys_come_first_then_a_passphrase_then_nobody(tmp_path: Path) -> None:
    """Who asked for a passphrase is asked; whoever presses Enter keeps none; without a terminal it is refused."""
    public, _ = pair()
    file = tmp_path / "c.toml"
    file.write_text(f'[snapshots]\nage_recipients = ["{public}"]\n')
    plain = replace(read_config(file), age_recipients=())

    assert recipients_for(read_config(file), APP) == Recipients(keys=(public,))
    assert recipients_for(read_config(file), APP, Typing("x")) == Recipients(passphrase="x")
    assert recipients_for(plain, APP, Typing(PASSPHRASE)) == Recipients(passphrase=PASSPHRASE)
    assert recipients_for(plain, APP, Typing(None)) is None
    with pytest.raises(TerminalError):
        recipients_for(plain, APP, Typing(PASSPHRASE, interactive=False))
    assert recipients_for(plain) is None


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('age_recipients = "age1"', "must be a list of texts"),
        ("age_recipients = [1]", "must be a list of texts"),
        ('age_recipients = ["age1nonsense"]', "entry 1: it is no public key"),
        ('recipients = ["age1"]', "`recipients` is no setting"),
    ],
)
def test_a_wrong_key_is_an_error_when_the_file_is_read(tmp_path: Path, said: str, told: str) -> None:
    """Later would be too late: after the disk is lost."""
    file = tmp_path / "c.toml"
    file.write_text(f"[snapshots]\n{said}\n")
    with pytest.raises(UsageError) as caught:
        read_config(file)
    assert told in caught.value.message
    assert str(file) in caught.value.message


def test_a_private_key_in_the_configuration_is_refused_and_not_repeated(tmp_path: Path) -> None:
    """The second entry; the first is good."""
    public, private = pair()
    key = private.decode().splitlines()[-1]
    file = tmp_path / "c.toml"
    file.write_text(f'[snapshots]\nage_recipients = ["{public}", "{key}"]\n')
    with pytest.raises(UsageError) as caught:
        read_config(file)
    assert "entry 2: it is a PRIVATE key" in caught.value.message
    assert key not in f"{caught.value.message}{caught.value.hint}"


def test_secrets_that_nobody_could_decrypt_are_a_warning() -> None:
    """With their names, sorted, once each; none where somebody is named, or nothing is mounted."""
    names = ["keycloak_db_password_v1", "keycloak_admin_password_v1", "keycloak_db_password_v1"]
    found = secrets_not_kept(names, has_recipient=False)

    assert found is not None
    assert (found.id, found.severity.value) == ("secrets-not-kept", "warn")
    assert found.evidence == (
        "docker secret inspect keycloak_admin_password_v1",
        "docker secret inspect keycloak_db_password_v1",
    )
    assert "[snapshots]" in found.remedy
    assert 'age_recipients = ["age1' in found.remedy
    assert secrets_not_kept(names, has_recipient=True) is None
    assert secrets_not_kept([], has_recipient=False) is None
