"""An app's secrets kept with its snapshot, encrypted, and opened again.

Values pass through here only as `Hidden`, and leave the program encrypted or as private files in a folder that
somebody named.
"""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ccci_upgrade.config import Config
from ccci_upgrade.errors import DeclinedError, NotReadyError, TerminalError, UsageError
from ccci_upgrade.flows.host import Host
from ccci_upgrade.model.keptsecrets import KeptSecrets, OpenSecret, PayloadError, SecretsFile, pack, unpack
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.store import secretfolder, snapshots
from ccci_upgrade.store.snapshots import Kept, Store
from ccci_upgrade.tools import secretfiles

IDENTITY_LIMIT = 64 * 1024


class Asker(Protocol):
    """Somebody at a terminal who may be asked for a passphrase."""

    @property
    def interactive(self) -> bool:
        """Whether there is somebody."""

    def new_passphrase(self, app: str) -> str | None:
        """Ask for a new one, twice; None where none is wanted."""

    def passphrase(self, what: str) -> str | None:
        """Ask for one that was set before; None where the person gave up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipients:
    """Who can open what is kept: holders of keys, or whoever knows a passphrase."""

    keys: tuple[str, ...] = ()
    passphrase: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A snapshot's secrets. `secrets` is None where only names were asked for; `files` where they were written."""

    id: str
    app: str
    stack: str
    about: SecretsFile
    secrets: tuple[OpenSecret, ...] | None
    files: tuple[Path, ...]

    @property
    def commands(self) -> tuple[str, ...]:
        """What puts the written files back as secrets: they hold no value."""
        pairs = zip(self.secrets or (), self.files, strict=False)
        return tuple(_command(self.app, each, file) for each, file in pairs)


def recipients_for(config: Config, app: str = "", asker: Asker | None = None) -> Recipients | None:
    """Whom to encrypt for: the configured keys, else a passphrase typed by whoever is there; None for nobody."""
    if asker is not None and not asker.interactive:
        raise TerminalError(
            "a passphrase can only be typed at a terminal",
            hint="leave out `--passphrase`; `age_recipients` in ccci-upgrade.toml needs nobody to type anything",
        )
    if asker is None:
        return Recipients(keys=config.age_recipients) if config.age_recipients else None
    typed = asker.new_passphrase(app)
    return Recipients(passphrase=typed) if typed else None


def keep_secrets(host: Host, stack: Stack, to: Recipients) -> tuple[KeptSecrets, bytes]:
    """Read the secrets of an app while it runs, and encrypt them; no bytes where its services mount none.

    What could not be read is named with its reason. EngineError where the Engine is gone.
    """
    engine = host.swarm.engine
    opened, unread = secretfiles.read(engine, stack, node=host.swarm.node_id())
    kept = KeptSecrets(secrets=tuple(each.about for each in opened), unread=unread)
    return kept, _encrypt(pack(opened), to) if opened or unread else b""


def open_secrets(kept: Kept, *, identity: Path | None, asker: Asker | None) -> tuple[OpenSecret, ...]:
    """Decrypt what a snapshot holds, with an identity's file or a passphrase.

    Raises:
        NotReadyError: there are none, they are damaged, or this does not open them.
        DeclinedError: no passphrase was typed.
        TerminalError: a passphrase is needed and there is nobody to ask.
        UsageError: the identity is missing, or its file cannot be read.
    """
    from ccci_upgrade import age  # noqa: PLC0415 - start-up time is measured

    data = snapshots.read_secrets(kept)
    about = kept.manifest.secrets if kept.manifest else None
    if about is not None and about.by_passphrase:
        plain = age.decrypt_with_passphrase(data, _asked(kept, asker))
    else:
        plain = age.decrypt(data, _identity(identity))
    try:
        return unpack(plain)
    except PayloadError as error:
        raise NotReadyError(
            f"the secrets of snapshot {kept.id} cannot be used: {error}", code="snapshot-damaged"
        ) from None


def look(
    config: Config, snapshot: str, *, identity: Path | None, out: Path | None, asker: Asker | None
) -> Opened:
    """`snapshot secrets`: the names; with an identity or a folder also opened, and written there."""
    kept = _find(config, snapshot)
    manifest = kept.manifest
    if manifest is None or manifest.secrets is None:
        snapshots.read_secrets(kept)  # says why
        raise AssertionError
    secrets: tuple[OpenSecret, ...] | None = None
    files: tuple[Path, ...] = ()
    if out is not None:
        secretfolder.check(out)
    if out is not None or identity is not None:
        secrets = open_secrets(kept, identity=identity, asker=asker)
    if out is not None and secrets is not None:
        files = secretfolder.write(out, {each.about.swarm_name: each.value for each in secrets})
    return Opened(
        id=kept.id,
        app=kept.app,
        stack=manifest.stack,
        about=manifest.secrets,
        secrets=secrets,
        files=files,
    )


def _encrypt(plain: bytes, to: Recipients) -> bytes:
    from ccci_upgrade import age  # noqa: PLC0415 - start-up time is measured

    if to.keys:
        return age.encrypt(plain, to.keys)
    if not to.passphrase:
        raise UsageError("there is neither a key nor a passphrase to encrypt with")
    return age.encrypt_with_passphrase(plain, to.passphrase)


def _find(config: Config, snapshot: str) -> Kept:
    for cluster in snapshots.clusters(config.state_dir):
        for kept in Store(config.state_dir, cluster).listed():
            if kept.id == snapshot:
                return kept
    raise UsageError(f"there is no snapshot `{snapshot}`", hint="`ccci-upgrade snapshot list` names all")


def _asked(kept: Kept, asker: Asker | None) -> str:
    if asker is None or not asker.interactive:
        raise TerminalError(
            f"the secrets of snapshot {kept.id} were encrypted with a passphrase",
            hint="type this at a terminal; the passphrase is never taken from a flag",
        )
    typed = asker.passphrase(f"the secrets of snapshot {kept.id}")
    if not typed:
        raise DeclinedError("no passphrase was given; nothing was opened")
    return typed


def _identity(path: Path | None) -> bytes:
    if path is None:
        raise UsageError(
            "these secrets were encrypted for a key",
            hint="name the file of its private half with `--identity FILE`",
        )
    try:
        with path.open("rb") as file:
            return file.read(IDENTITY_LIMIT)
    except OSError as error:
        raise UsageError(
            f"cannot read the identity `{path}`: {error.strerror or error}", hint="name another file"
        ) from error


def _command(app: str, secret: OpenSecret, file: Path) -> str:
    about = secret.about
    if about.name:
        return shlex.join(
            ("abra", "app", "secret", "insert", app, about.name, about.version, "-f", str(file))
        )
    return shlex.join(("docker", "secret", "create", about.swarm_name, str(file)))
