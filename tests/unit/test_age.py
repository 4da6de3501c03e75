"""Encryption: what was encrypted comes back for whoever may, for nobody else, and no error repeats a key."""

import shutil
import subprocess
from pathlib import Path

import pytest
from pyrage import x25519

from ccci_upgrade.age import (
    AgeError,
    decrypt,
    decrypt_with_passphrase,
    encrypt,
    encrypt_with_passphrase,
    problem_of,
)
from ccci_upgrade.errors import UsageError

DATA = bytes(range(256)) * 2000
PASSPHRASE = "correct horse battery"


def pair() -> tuple[str, bytes]:
    """A public key, and an identity file with its private half as `age-keygen` writes it."""
    identity = x25519.Identity.generate()
    public = str(identity.to_public())
    return public, f"# created: today\n# public key: {public}\n{identity}\n".encode()


def ssh_pair(folder: Path, kind: str, passphrase: str = "") -> tuple[str, bytes]:
    """The same as ssh-keygen makes it."""
    file = folder / f"{kind}{len(passphrase)}"
    argv = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(file)]
    argv += ["-b", "2048"] if kind == "rsa" else []
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, timeout=60)
    return file.with_suffix(".pub").read_text(), file.read_bytes()


def test_each_recipient_alone_can_decrypt() -> None:
    """Two keys, one file; the second identity of a file counts too."""
    (one, first), (two, second), (_, other) = pair(), pair(), pair()
    made = encrypt(DATA, (one, two))

    assert made.startswith(b"age-encryption.org/v1\n")
    assert decrypt(made, first) == decrypt(made, second) == decrypt(made, other + second) == DATA
    assert DATA[:64] not in made
    assert encrypt(DATA, (one,)) != encrypt(DATA, (one,))


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_ssh_keys_are_recipients(tmp_path: Path, kind: str) -> None:
    """With the comment that ssh-keygen puts behind them."""
    public, private = ssh_pair(tmp_path, kind)

    assert problem_of(public) == ""
    assert decrypt(encrypt(DATA, (public,)), private) == DATA


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_a_locked_ssh_key_is_told_as_that(tmp_path: Path) -> None:
    """Its own passphrase is not asked for."""
    public, locked = ssh_pair(tmp_path, "ed25519", "passphrase")
    with pytest.raises(AgeError, match="needs its own passphrase"):
        decrypt(encrypt(DATA, (public,)), locked)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_an_ecdsa_key_is_none(tmp_path: Path) -> None:
    """The format has no place for it."""
    assert "no public key that can be used" in problem_of(ssh_pair(tmp_path, "ecdsa")[0])


def test_another_identity_does_not_open_it() -> None:
    """One clear error, without anything of the key."""
    (public, _), (_, other) = pair(), pair()
    with pytest.raises(AgeError) as caught:
        decrypt(encrypt(DATA, (public,)), other)

    assert "No matching keys" in caught.value.message
    assert "AGE-SECRET-KEY" not in f"{caught.value.message}{caught.value.hint}{caught.value.__context__}"


@pytest.mark.parametrize("at", [5, 60, 150, -1, -40_000])
def test_a_file_that_was_changed_or_cut_is_refused(at: int) -> None:
    """One byte in the head, the key's stanza, the content, the end; or the end missing."""
    public, private = pair()
    made = bytearray(encrypt(DATA, (public,)))
    cut = bytes(made[:at])
    made[at] ^= 1

    for damaged in (bytes(made), cut, b"", b"age-encryption.org/v1\n"):
        with pytest.raises(AgeError):
            decrypt(damaged, private)


@pytest.mark.parametrize(
    "file", [b"", b"# nothing\n", b"hello", b"\xff\xfe", b"-----BEGIN OPENSSH PRIVATE KEY-----\nx\n"]
)
def test_what_is_no_identity_is_told(file: bytes) -> None:
    """An empty file, another file, a damaged one."""
    with pytest.raises(AgeError):
        decrypt(encrypt(DATA, (pair()[0],)), file)


def test_a_passphrase_opens_its_file_and_no_other() -> None:
    """Wrong passphrase, a key's file; and a key does not open a passphrase's."""
    made = encrypt_with_passphrase(DATA, PASSPHRASE)
    public, private = pair()

    assert decrypt_with_passphrase(made, PASSPHRASE) == DATA
    for data, typed in ((made, PASSPHRASE + "!"), (encrypt(DATA, (public,)), PASSPHRASE)):
        with pytest.raises(AgeError) as caught:
            decrypt_with_passphrase(data, typed)
        assert PASSPHRASE not in f"{caught.value.message}{caught.value.hint}"
    with pytest.raises(AgeError):
        decrypt(made, private)


def test_a_private_key_is_no_recipient_and_not_repeated() -> None:
    """Somebody mixed the two up: the error must not show it once more."""
    _, private = pair()
    key = private.decode().splitlines()[-1]

    for text in (key, key.lower(), "-----BEGIN OPENSSH PRIVATE KEY-----\nabc"):
        assert "PRIVATE key" in problem_of(text)
        assert text not in problem_of(text)


@pytest.mark.parametrize("text", ["", "age1", "age1" + "q" * 58, "ssh-ed25519 AAAA", "hello\nworld", "\0"])
def test_what_is_no_key_is_no_recipient(text: str) -> None:
    """A typing error is found by the checksum."""
    assert "no public key that can be used" in problem_of(text)
    with pytest.raises(UsageError):
        encrypt(DATA, (text,))


def test_nobody_is_no_recipient() -> None:
    """Encrypted for nobody would be lost."""
    with pytest.raises(UsageError):
        encrypt(DATA, ())
