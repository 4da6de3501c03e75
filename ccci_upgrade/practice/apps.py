"""The apps of an abra directory: `servers/<server>/<domain>.env`."""

from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade.model.envfile import EnvFile, EnvFileError, parse_env, pin_version, stack_name
from ccci_upgrade.practice.console import FatalError


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """One app, named by its file."""

    domain: str
    server: str
    path: Path
    env: EnvFile

    @property
    def stack(self) -> str:
        """The stack's name."""
        return stack_name(self.env.values, self.domain)

    def pin(self, version: str) -> None:
        """Write the version behind the recipe in the file, and touch nothing else."""
        try:
            text = pin_version(self.path.read_bytes().decode(), version, name=str(self.path))
            self.path.write_bytes(text.encode())
        except (OSError, EnvFileError, UnicodeDecodeError) as error:
            raise FatalError(f"unable to write {self.path}: {error}") from error


def find(abra_dir: Path, domain: str) -> App:
    """The app of that name. Raises FatalError where there is none."""
    for path in sorted((abra_dir / "servers").glob("*/*.env")):
        if path.stem == domain:
            return _read(path)
    raise FatalError(f"cannot find app with name {domain}")


def every(abra_dir: Path) -> list[App]:
    """All apps, by server and name."""
    return [_read(path) for path in sorted((abra_dir / "servers").glob("*/*.env"))]


def _read(path: Path) -> App:
    try:
        env = parse_env(path.read_bytes(), name=str(path))
    except (OSError, EnvFileError) as error:
        raise FatalError(f"unable to read {path}: {error}") from error
    if not env.recipe:
        raise FatalError(f"{path}: TYPE is missing")
    return App(domain=path.stem, server=path.parent.name, path=path, env=env)
