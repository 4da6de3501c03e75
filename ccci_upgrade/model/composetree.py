"""Compose files as trees: parsed, and with every text interpolated; which names were used is noted."""

from collections.abc import Mapping

from ccci_upgrade.model.composevalues import ComposeError, ComposeUse
from ccci_upgrade.model.interpolate import InterpolationError, interpolate
from ccci_upgrade.model.yamltree import Tree, YamlError, read_tree

SECTIONS = ("configs", "secrets", "volumes", "networks")
LARGEST = 8 * 1024 * 1024
"""Characters all values together may grow to."""


class Trees:
    """The trees of several files, interpolated with one environment."""

    def __init__(self, env: Mapping[str, str]) -> None:
        """Take the environment."""
        self._env = env
        self._uses: dict[ComposeUse, None] = {}
        self._size = 0

    @property
    def uses(self) -> tuple[ComposeUse, ...]:
        """The names in use so far, in the order of the files, where Docker would act on them."""
        return tuple(self._uses)

    def read(self, file: str, text: str) -> dict[str, Tree]:
        """Read one file. Raises ComposeError for one that Docker would refuse."""
        try:
            tree = read_tree(text)
        except YamlError as error:
            raise ComposeError(f"{file}: {error}") from None
        if not isinstance(tree, dict):
            raise ComposeError(f"{file}: a mapping with services was expected")
        return {key: self._filled(value, file, key) for key, value in tree.items()}

    def _filled(self, value: Tree, file: str, path: str) -> Tree:
        if isinstance(value, dict):
            return {k: self._filled(v, file, f"{path}.{k}") for k, v in value.items()}
        if isinstance(value, list):
            return [self._filled(v, file, f"{path}[{i}]") for i, v in enumerate(value)]
        if not isinstance(value, str) or "$" not in value:
            return value
        where = f"{file} {path}"
        try:
            text, uses = interpolate(value, self._env)
        except InterpolationError as error:
            raise ComposeError(f"{where}: {error}") from None
        self._size += len(text)
        if self._size > LARGEST:
            raise ComposeError(f"{where}: all values together grow past {LARGEST // 1024**2} MiB")
        for use in uses if path.partition(".")[0] in ("services", *SECTIONS) else ():
            found = ComposeUse(name=use.name, has_default=use.has_default, required=use.required, where=where)
            self._uses[found] = None
        return text
