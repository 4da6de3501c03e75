"""The code is held to its layers: who may import whom, and who may touch the world.

The tables below are the layers; docs/architecture.md describes them in words.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "ccci_upgrade"

LAYERS: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "text": frozenset(),
    "clock": frozenset(),
    "process": frozenset(),
    "redact": frozenset(),
    "age": frozenset({"errors"}),
    "version": frozenset(),
    "model": frozenset({"text", "errors"}),
    "config": frozenset({"age", "errors"}),
    "store": frozenset({"model", "clock", "text", "errors"}),
    "tools": frozenset({"model", "process", "redact", "clock", "text", "errors"}),
    "flows": frozenset(
        {"tools", "store", "model", "config", "process", "redact", "age", "clock", "text", "errors"}
    ),
    "ui": frozenset({"flows", "model", "clock", "text", "errors"}),
    "cli": frozenset(
        {"flows", "ui", "store", "model", "practice", "config", "process", "clock", "text", "errors"}
        | {"version"}
    ),
    "main": frozenset({"cli"}),
    "practice": frozenset({"tools", "model", "process", "clock", "text", "errors"}),
}
"""Each layer and the layers it may import; a layer may always import itself. `version` is the package's
`__init__`, `main` its `__main__`. `practice` is for practising: nothing but its own command imports it."""

EVERYWHERE = frozenset(sys.stdlib_module_names) | {"typing_extensions"}
THIRD_PARTY: dict[str, frozenset[str]] = {
    "model": frozenset({"yaml"}),
    "config": frozenset({"platformdirs"}),
    "age": frozenset({"pyrage"}),
    "tools": frozenset({"httpx", "httpcore", "certifi"}),
    "ui": frozenset({"rich", "questionary", "prompt_toolkit"}),
    "cli": frozenset({"typer"}),
    "practice": frozenset({"yaml"}),
}
"""What may be imported from outside, by layer; the standard library is allowed but for `WORLD`."""

ONE_FILE: dict[str, tuple[str, ...]] = {
    "subprocess": ("process.py", "practice/"),
    "questionary": ("ui/prompt.py",),
    "prompt_toolkit": ("ui/prompt.py",),
}
"""Modules that only these files (or folders) may import."""

WORLD = frozenset(
    {
        "asyncio", "ctypes", "fcntl", "fileinput", "getpass", "glob", "http", "io", "locale",
        "logging", "mmap", "multiprocessing", "os", "platform", "pwd", "queue", "random",
        "readline", "resource", "sched", "secrets", "select", "selectors", "shutil", "signal",
        "smtplib", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "termios",
        "threading", "time", "tty", "urllib.request", "uuid", "webbrowser", "zoneinfo",
    }
)  # fmt: skip
"""Standard modules that do I/O, tell the time, or are different on every run: not for `model`."""

PURE_PATH = frozenset({"Path", "PurePath", "PurePosixPath"})
TOUCHING = frozenset(
    {
        "exists", "is_file", "is_dir", "is_symlink", "stat", "lstat", "open", "read_text",
        "read_bytes", "write_text", "write_bytes", "iterdir", "glob", "rglob", "mkdir", "unlink",
        "touch", "chmod", "resolve", "expanduser", "cwd", "home", "samefile", "symlink_to", "rmdir",
    }
)  # fmt: skip
"""Methods of `pathlib.Path` that ask the disk."""

STREAMS = frozenset({"sys.stdin", "sys.stdout", "sys.stderr"})
CLOCKS = frozenset({"now", "utcnow", "today"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """One import: which file, which module (dotted), which line."""

    file: Path
    module: str
    line: int

    @property
    def top(self) -> str:
        """The module's top package."""
        return self.module.partition(".")[0]


def files() -> list[Path]:
    """Every module of the package, relative to it."""
    root = ROOT / PACKAGE
    found = sorted(path.relative_to(root) for path in root.rglob("*.py"))
    assert len(found) > 50
    return found


def tree(file: Path) -> ast.Module:
    """A module, parsed."""
    return ast.parse((ROOT / PACKAGE / file).read_bytes())


def layer(file: Path) -> str:
    """The layer a file belongs to: its folder, or its own name beside `cli`."""
    names = {"__init__.py": "version", "__main__.py": "main"}
    return file.parts[0] if len(file.parts) > 1 else names.get(file.name, file.stem)


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`, which never run."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            for other in child.orelse:
                yield other
                yield from walk(other)
            continue
        yield child
        yield from walk(child)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def imports(file: Path) -> Iterator[Import]:
    """Every import of a file that can run, in functions too; of our own ones the module, not the name."""
    for node in walk(tree(file)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file=file, module=alias.name, line=node.lineno)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports are absolute"
            for alias in node.names:
                yield Import(file=file, module=_module(node.module or "", alias.name), line=node.lineno)


def _module(module: str, name: str) -> str:
    """`from ccci_upgrade.ui import envelope` imports a module, `from ccci_upgrade.text import tame` does not."""
    inner = f"{module}.{name}"
    return inner if module.partition(".")[0] == PACKAGE and _file(inner) is not None else module


def _file(module: str) -> Path | None:
    """The file of one of our modules, relative to the package; None where it is none."""
    parts = module.split(".")[1:]
    for candidate in (Path(*parts).with_suffix(".py") if parts else Path(), Path(*parts, "__init__.py")):
        if (ROOT / PACKAGE / candidate).is_file():
            return candidate
    return None


def own_imports() -> Iterator[tuple[Import, Path]]:
    """Every import of one of our modules, with the file imported."""
    for file in files():
        for each in imports(file):
            if each.top == PACKAGE:
                target = _file(each.module)
                assert target is not None, f"{file}:{each.line} imports {each.module}, which is not there"
                yield each, target


def complain(lines: list[str]) -> None:
    """Fail with every violation, not only the first."""
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


def test_every_file_belongs_to_a_layer() -> None:
    """A new top-level module must be put into the table before it can be imported."""
    complain([f"{file}: no layer {layer(file)!r}" for file in files() if layer(file) not in LAYERS])


def test_layers_import_only_downwards() -> None:
    """The flow is cli, flows, tools and store, model; nothing reaches back up."""
    complain(
        [
            f"{each.file}:{each.line} ({layer(each.file)}) must not import {target} ({layer(target)})"
            for each, target in own_imports()
            if layer(target) not in LAYERS[layer(each.file)] | {layer(each.file)}
        ]
    )


def test_the_table_of_layers_has_no_cycle() -> None:
    """A layer never reaches itself through others, whatever the table is changed to."""
    left = dict(LAYERS)
    while left:
        free = [name for name, below in left.items() if not below & left.keys()]
        assert free, f"cycle among {sorted(left)}"
        for name in free:
            del left[name]


def test_no_import_cycles() -> None:
    """Imports in functions count: a cycle that loads late is still one thing in two files."""
    edges: dict[Path, set[Path]] = {file: set() for file in files()}
    for each, target in own_imports():
        if target != each.file:
            edges[each.file].add(target)
    complain([" → ".join(map(str, cycle)) for cycle in _cycles(edges)])


def _cycles(edges: dict[Path, set[Path]]) -> list[list[Path]]:
    """One cycle for each file that begins one; empty where the graph is a tree of layers."""
    found: list[list[Path]] = []
    done: set[Path] = set()

    def visit(file: Path, way: list[Path]) -> None:
        if file in way:
            found.append([*way[way.index(file) :], file])
        elif file not in done:
            for target in sorted(edges[file]):
                visit(target, [*way, file])
            done.add(file)

    for file in sorted(edges):
        visit(file, [])
    return found


def test_third_party_stays_where_it_belongs() -> None:
    """Printers alone know rich, tools alone know httpx, the model knows parsers only."""
    complain(
        [
            f"{each.file}:{each.line} ({layer(file)}) must not import {each.module}"
            for file in files()
            for each in imports(file)
            if each.top not in EVERYWHERE | THIRD_PARTY.get(layer(file), frozenset()) | {PACKAGE}
        ]
    )


def test_some_modules_have_one_home() -> None:
    """One module starts children, one asks questions."""
    complain(
        [
            f"{each.file}:{each.line} must not import {each.top}: only {', '.join(ONE_FILE[each.top])} may"
            for file in files()
            for each in imports(file)
            if each.top in ONE_FILE and not file.as_posix().startswith(ONE_FILE[each.top])
        ]
    )


def test_children_are_started_by_tools() -> None:
    """Above them `process` is only asked who we are, or told to end what runs."""
    starting = {"run", "Child", "Companion"}
    complain(
        [
            f"{file}:{node.lineno}: starts a child, which is for tools"
            for file in files()
            if layer(file) not in ("tools", "practice", "process")
            for node in walk(tree(file))
            if (
                isinstance(node, ast.ImportFrom)
                and node.module == f"{PACKAGE}.process"
                and _names(node) & starting
            )
            or (isinstance(node, ast.Attribute) and _dotted(node) in {f"process.{name}" for name in starting})
        ]
    )


def _names(node: ast.ImportFrom) -> set[str]:
    return {alias.name for alias in node.names}


def _dotted(node: ast.Attribute) -> str:
    return f"{node.value.id}.{node.attr}" if isinstance(node.value, ast.Name) else node.attr


def test_the_model_is_pure() -> None:
    """No disk, no network, no clock, no chance: the same facts give the same plan and the same verdict."""
    lines = []
    for file in files():
        if layer(file) != "model":
            continue
        lines += [
            f"{each.file}:{each.line} must not import {each.module}"
            for each in imports(file)
            if each.module in WORLD or each.top in WORLD
        ]
        for node in walk(tree(file)):
            lines += [f"{file}:{line}: {what}" for line, what in _impure(node)]
    complain(lines)


def _impure(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.ImportFrom) and node.module == "pathlib":
        for alias in node.names:
            if alias.name not in PURE_PATH:
                yield node.lineno, f"pathlib.{alias.name}"
    if not isinstance(node, ast.Call):
        return
    called = node.func
    if isinstance(called, ast.Name) and called.id in {"open", "input", "exec", "eval", "__import__"}:
        yield node.lineno, f"calls {called.id}()"
    if isinstance(called, ast.Attribute) and called.attr in CLOCKS:
        yield node.lineno, f"asks a clock: .{called.attr}()"
    if isinstance(called, ast.Attribute) and called.attr in TOUCHING and _is_path(called.value):
        yield node.lineno, f"asks the disk: .{called.attr}()"


def _is_path(value: ast.expr) -> bool:
    """Whether an expression looks like a path: `Path(…)`, or something named path, file or folder."""
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id in PURE_PATH
    name = value.attr if isinstance(value, ast.Attribute) else value.id if isinstance(value, ast.Name) else ""
    return name in {"Path", "path", "file", "folder", "cache"}


def test_only_printers_print() -> None:
    """`ui` writes to standard streams; the boundary writes the one line of a bug; `practice` is its own."""
    complain(
        [
            f"{file}:{line}: {what}"
            for file in files()
            if layer(file) not in ("ui", "practice") and file.as_posix() != "cli/boundary.py"
            for node in walk(tree(file))
            for line, what in _printing(node)
        ]
    )


def _printing(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Call):
        called = node.func
        name = called.id if isinstance(called, ast.Name) else ""
        if name in {"print", "input", "Console"}:
            yield node.lineno, f"calls {name}()"
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        if f"{node.value.id}.{node.attr.strip('_')}" in STREAMS:
            yield node.lineno, f"uses sys.{node.attr}"
    elif isinstance(node, ast.ImportFrom) and node.module == "sys":
        names = [alias.name for alias in node.names if f"sys.{alias.name}" in STREAMS]
        yield from ((node.lineno, f"imports {name} from sys") for name in names)


def test_only_the_command_line_ends_the_program() -> None:
    """Below it an error is raised, so that a run is always recorded and a document always written."""
    complain(
        [
            f"{file}:{line}: {what}"
            for file in files()
            if layer(file) not in ("cli", "practice")
            for node in walk(tree(file))
            for line, what in _ending(node)
        ]
    )


def _ending(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.Attribute):
        dotted = _dotted(node)
        if dotted in {"sys.exit", "os._exit", "os.abort", "typer.Exit", "typer.Abort"}:
            yield node.lineno, f"uses {dotted}"
    elif isinstance(node, ast.Call | ast.Raise):
        named = node.func if isinstance(node, ast.Call) else node.exc
        if isinstance(named, ast.Name) and named.id in {"SystemExit", "exit", "quit"}:
            yield node.lineno, f"uses {named.id}"


def loaded(*arguments: str) -> set[str]:
    """The modules that one call of the tool loads."""
    done = subprocess.run(
        (sys.executable, "-X", "importtime", "-m", PACKAGE, *arguments),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "import time:" in line]
    assert f"{PACKAGE}.cli.start" in lines, done.stderr[-500:]
    return set(lines)


@pytest.mark.parametrize("flag", ["--version", "--help"])
def test_help_is_quick(flag: str) -> None:
    """What a shell's completion or a person's first look needs loads nothing heavy."""
    heavy = {"httpx", "httpcore", "questionary", "prompt_toolkit", "rich", "yaml", "ssl", f"{PACKAGE}.flows"}

    assert sorted(loaded(flag) & heavy) == []


def test_status_loads_neither_client_nor_prompts(tmp_path: Path) -> None:
    """A timer may ask `status` every minute: it needs no web client, asks nobody, and plans nothing.

    The values of a plan alone cost two empty interpreter starts.
    """
    config = tmp_path / "ccci-upgrade.toml"
    config.write_text('abra_dir = "abra"\nstate_dir = "state"\nserver = "ci.example.org"\n')
    (tmp_path / "abra" / "servers" / "ci.example.org").mkdir(parents=True)
    planning = {f"{PACKAGE}.model.{name}" for name in ("facts", "plan", "compose", "probe", "markers")}
    heavy = {"httpx", "httpcore", "questionary", "prompt_toolkit"} | planning

    modules = loaded("--config", str(config), "status", "--json", "--offline")

    assert f"{PACKAGE}.flows.status" in modules
    assert sorted(modules & heavy) == []
