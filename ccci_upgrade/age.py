"""Encryption in the age format, by pyrage: the only module that knows it. Reads no file, asks nobody.

Recipients are public keys as texts (`age1…`, `ssh-ed25519 …`, `ssh-rsa …`). No error repeats what it was given:
somebody may have put a private key where a public one belongs.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ccci_upgrade.errors import NotReadyError, UsageError

if TYPE_CHECKING:
    from pyrage import ssh, x25519

    Recipient = ssh.Recipient | x25519.Recipient
    Identity = ssh.Identity | x25519.Identity

KEY_HINT = "a public key: `age1…` (made by `age-keygen`), `ssh-ed25519 …` or `ssh-rsa …`"


class AgeError(NotReadyError):
    """It cannot be decrypted with what was given."""

    code = "age"


def problem_of(recipient: str) -> str:
    """Why a text is no recipient; empty where it is one."""
    from pyrage import RecipientError  # noqa: PLC0415 - start-up time is measured

    if "PRIVATE KEY" in recipient or recipient.upper().startswith("AGE-SECRET-KEY-"):
        return "it is a PRIVATE key: whoever reads this file can use it. Make a new one, and name its public half"
    try:
        _recipient(recipient)
    except RecipientError as error:
        return f"it is no public key that can be used ({error})"
    return ""


def encrypt(data: bytes, recipients: Sequence[str]) -> bytes:
    """Encrypt for the holders of some keys, any of whom can decrypt it alone."""
    import pyrage  # noqa: PLC0415 - start-up time is measured

    if not recipients:
        raise UsageError("nobody is named who could decrypt it", hint=f"name {KEY_HINT}")
    try:
        return pyrage.encrypt(data, [_recipient(each) for each in recipients])
    except pyrage.RecipientError as error:
        raise UsageError(f"a recipient cannot be used: {error}", hint=f"name {KEY_HINT}") from None


def encrypt_with_passphrase(data: bytes, passphrase: str) -> bytes:
    """Encrypt with a passphrase; made slow on purpose (scrypt), for a second or two."""
    from pyrage import passphrase as by_passphrase  # noqa: PLC0415 - start-up time is measured

    return by_passphrase.encrypt(data, passphrase)


def decrypt(data: bytes, identities: bytes) -> bytes:
    """Decrypt with what an identity file holds: `AGE-SECRET-KEY-…` lines, or an ssh key without a passphrase."""
    import pyrage  # noqa: PLC0415 - start-up time is measured

    try:
        return pyrage.decrypt(data, _identities(identities))
    except pyrage.IdentityError as error:
        said = "it needs its own passphrase first" if "decrypted first" in str(error) else str(error)
        raise AgeError(
            f"the identity cannot be used: {said}",
            hint="the file is plain age: `age --decrypt --identity KEY secrets.age` may do it",
        ) from None
    except pyrage.DecryptError as error:
        raise AgeError(
            f"it cannot be decrypted: {error}", hint="is it the right identity, and the file whole?"
        ) from None


def decrypt_with_passphrase(data: bytes, passphrase: str) -> bytes:
    """Decrypt with a passphrase."""
    from pyrage import DecryptError  # noqa: PLC0415 - start-up time is measured
    from pyrage import passphrase as by_passphrase  # noqa: PLC0415 - same

    try:
        return by_passphrase.decrypt(data, passphrase)
    except DecryptError as error:
        raise AgeError(
            f"it cannot be decrypted: {error}", hint="is it the right passphrase, and the file whole?"
        ) from None


def _recipient(text: str) -> "Recipient":
    from pyrage import ssh, x25519  # noqa: PLC0415 - start-up time is measured

    return ssh.Recipient.from_str(text) if text.startswith("ssh-") else x25519.Recipient.from_str(text)


def _identities(file: bytes) -> "Sequence[Identity]":
    """What can decrypt, from an age identity file or an ssh private key."""
    from pyrage import ssh, x25519  # noqa: PLC0415 - start-up time is measured

    if b"PRIVATE KEY-----" in file:
        return [ssh.Identity.from_buffer(file)]
    lines = [line.strip() for line in file.decode("utf-8", errors="replace").splitlines()]
    found = [x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    if not found:
        raise AgeError("there is no identity in the file", hint="it must have a line `AGE-SECRET-KEY-…`")
    return found
