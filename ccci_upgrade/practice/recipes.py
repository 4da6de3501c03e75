"""One recipe's checkout: the single work tree that every abra command moves between tags."""

from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade.model.envfile import parse_exports, sample_names
from ccci_upgrade.model.version import RecipeVersion, split_tags
from ccci_upgrade.practice.console import FatalError
from ccci_upgrade.process import Completed, run
from ccci_upgrade.text import decode

_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkout:
    """A recipe at `path`, named `name`."""

    name: str
    path: Path

    def ensure_clean(self) -> None:
        """Refuse a tree with changes, as abra does before each checkout."""
        if self._git("status", "--porcelain"):
            raise FatalError(f"{self.name} ({self.path}) has locally unstaged changes?")

    def fetch(self) -> None:
        """Fetch new tags where the checkout has an upstream."""
        if self._git("remote") and self._try("fetch", "--quiet", "--tags", "--force", "origin").code != 0:
            raise FatalError(f"unable to fetch tags in {self.path}")

    def lint(self) -> None:
        """Refuse lightweight tags, abra's rule R014: they stop every deploy but a chaos one."""
        listed = self._git("for-each-ref", "--format=%(objecttype) %(refname:short)", "refs/tags")
        light = [line.split(" ", 1)[1] for line in listed.splitlines() if not line.startswith("tag ")]
        if light:
            raise FatalError(
                "lint error in R014: only annotated tags used for recipe version: "
                f"invalid lightweight tag detected ({', '.join(light)})"
            )

    def versions(self) -> tuple[RecipeVersion, ...]:
        """All tags that are versions, ascending."""
        return split_tags(self._git("tag", "--list").split())[0]

    def version(self, text: str) -> RecipeVersion:
        """The version of exactly that tag. Raises FatalError where there is none."""
        for version in self.versions():
            if version.text == text:
                return version
        raise FatalError(f"{text} is not a version of {self.name}: unable to find tag")

    def note(self, version: RecipeVersion) -> str:
        """The release note in the present tree, "" where there is none."""
        return self._text(f"release/{version.text}")

    def checkout(self, version: RecipeVersion) -> None:
        """Move the shared work tree to the version's tag."""
        done = self._try("checkout", "--quiet", f"refs/tags/{version.text}")
        if done.code != 0:
            raise FatalError(f"unable to checkout {version.text}: {decode(done.err).strip()}")

    def to_newest(self) -> None:
        """Move to the main branch, where notes that were added after a release are."""
        for branch in ("main", "master"):
            if self._try("checkout", "--quiet", branch).code == 0:
                return

    def chaos_version(self) -> str:
        """The commit in short, with `+U` for uncommitted changes."""
        dirty = "+U" if self._git("status", "--porcelain") else ""
        return self._git("rev-parse", "--short=8", "HEAD") + dirty

    def exports(self) -> dict[str, str]:
        """The names that the present `abra.sh` exports."""
        return parse_exports(self._text("abra.sh"))

    def sample_names(self) -> tuple[str, ...]:
        """The names of the present `.env.sample`."""
        return sample_names(self._text(".env.sample"))

    def _text(self, name: str) -> str:
        path = self.path / name
        return decode(path.read_bytes()) if path.is_file() else ""

    def _git(self, *arguments: str) -> str:
        done = self._try(*arguments)
        if done.code != 0:
            raise FatalError(f"unable to open {self.path}: {decode(done.err).strip()}")
        return decode(done.out).strip()

    def _try(self, *arguments: str) -> Completed:
        return run(["git", "-C", str(self.path), *arguments], seconds=_SECONDS)


def open_recipe(abra_dir: Path, folder: str) -> Checkout:
    """The checkout in a folder of `recipes/`. Raises FatalError where there is none."""
    path = abra_dir / "recipes" / folder
    if not path.is_dir():
        raise FatalError(f"{folder}: recipe does not exist in {abra_dir / 'recipes'}")
    return Checkout(name=folder, path=path)
