"""Documents say what the code does: links, names, tables, examples and commands are compared with it."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ccci_upgrade.cli.app import app
from ccci_upgrade.cli.boundary import NO_DOCUMENT
from ccci_upgrade.config import default_state_dir, read_config
from ccci_upgrade.errors import Exit, UsageError
from ccci_upgrade.flows.host import BUDGET_SECONDS, SETTLE_SECONDS
from ccci_upgrade.model.finding import Severity
from ccci_upgrade.model.findings import ACK_KINDS, goingback
from ccci_upgrade.model.probe_config import probe_from_config
from ccci_upgrade.model.profile import profile
from ccci_upgrade.model.verdict import TABLE, Outcome, State
from ccci_upgrade.model.version import Bump
from scripts.docs import PAGE, cli_page, command_names
from scripts.man import PAGE as MAN_PAGE
from scripts.man import man_page
from tests.consoles import ROOT, SHOWN, Step, steps
from tests.documents import problems, schema
from tests.test_architecture import LAYERS

DOCUMENTS = tuple(sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]))
REFERENCE = ROOT / "docs" / "reference"

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"`((?:ccci_upgrade|tests|scripts|docs)/[\w./-]*|[\w-]+\.(?:md|txt))`")
_KNOWN_HOSTS = {
    "ci.example.org", "keepachangelog.com", "doc.traefik.io", "www.keycloak.org", "mariadb.com", "github.com",
}  # fmt: skip

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))


# -- links, names, places ---------------------------------------------------------------------------------


@each_document
def test_links_lead_somewhere(path: Path) -> None:
    """A link within the tree names a file that exists, and a heading of it."""
    for target in _LINK.findall(_prose(path)):
        name, _, anchor = target.partition("#")
        if urlsplit(name).scheme:
            continue
        file = (path.parent / name).resolve() if name else path

        assert file.is_file(), target
        assert file.is_relative_to(ROOT), target
        assert not anchor or anchor in _anchors(file), target


@each_document
def test_named_files_exist(path: Path) -> None:
    """A file of the tree that is named in backticks is there."""
    for name in _NAMED.findall(_prose(path)):
        assert (ROOT / name).exists() or (path.parent / name).exists(), name


@each_document
def test_documents_tell_of_no_machine(path: Path) -> None:
    """No folder of whoever wrote them, and no host but known ones and those of example.org."""
    text = path.read_text(encoding="utf-8")
    hosts = {urlsplit(url).hostname or "" for url in re.findall(r"https?://[^\s)`'\"<>{}]+", text)}

    assert not re.findall(r"/(?:work|home|tmp|root|Users)/\S*", text)
    assert hosts <= _KNOWN_HOSTS


def test_every_document_can_be_found() -> None:
    """From the README all documents are reached by links."""
    todo, seen = [ROOT / "README.md"], set[Path]()
    while todo:
        path = todo.pop()
        if path in seen or path.suffix != ".md":
            continue
        seen.add(path)
        names = (target.partition("#")[0] for target in _LINK.findall(_prose(path)))
        todo += [(path.parent / name).resolve() for name in names if name and not urlsplit(name).scheme]

    assert set(DOCUMENTS) == seen


# -- reference pages against the code ---------------------------------------------------------------------


def test_the_command_line_page_is_the_programs_help() -> None:
    """Written by `python -m scripts.docs`."""
    assert cli_page() == PAGE.read_text(encoding="utf-8"), "write it anew: python -m scripts.docs"


def test_the_man_page_is_the_programs_help() -> None:
    """Written by `python -m scripts.man`; every option and every exit code is in it."""
    page = man_page()

    assert page == MAN_PAGE.read_text(encoding="utf-8"), "write it anew: python -m scripts.man"
    assert {rf".B \-\-{word}" for word in ("json", r"no\-input", r"dry\-run")} <= set(page.splitlines())
    assert {f".B {code.value}" for code in Exit} <= set(page.splitlines())


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_man_page_is_well_formed() -> None:
    """The formatter has nothing to warn of."""
    ran = subprocess.run(
        ["groff", "-man", "-ww", "-z", str(MAN_PAGE)],  # noqa: S607 - groff from PATH
        capture_output=True,
        check=True,
        timeout=60,
    )

    assert not ran.stderr


def test_the_verdicts_page_is_the_table() -> None:
    """State, outcome and exit, in the table's order."""
    rows = [(row[0].strip("`"), row[1].strip("`"), int(row[2])) for row in _table("verdicts.md")]

    assert [(state.value, outcome.value, int(code)) for state, (outcome, code) in TABLE.items()] == rows


def test_the_exit_codes_page_has_every_code() -> None:
    """Number, name, and whether there is a document."""
    rows = {(int(row[0]), row[1]): row[3] for row in _table("exit-codes.md")}

    assert {(int(code), code.name) for code in Exit} == set(rows)
    assert {int(code) for code in NO_DOCUMENT} == {
        number for (number, _), there in rows.items() if there == "no"
    }


def test_the_findings_page_has_every_finding() -> None:
    """Id and severity of every `Finding(...)` in the code, each with when and remedy."""
    rows = [row for row in _table("findings.md") if len(row) == 4]
    written = {(row[0].strip("`").partition(":")[0], row[1]) for row in rows}

    assert set(_findings()) == written
    assert all(row[2] and row[3] for row in rows)
    assert {kind for kind, severity in written if severity == Severity.ACK} == ACK_KINDS | goingback.ACK_KINDS


def test_the_configuration_page_has_every_key(tmp_path: Path) -> None:
    """The keys that the code names when it refuses another one, table by table."""
    rows = _sections("configuration.md")

    assert _accepted(tmp_path, "nonsense = 1") == rows["Top level"].keys()
    assert _accepted(tmp_path, '[servers."s"]\nnonsense = 1') == rows['`[servers."NAME"]`'].keys()
    assert _accepted(tmp_path, "[snapshots]\nnonsense = 1") == rows["`[snapshots]`"].keys()
    assert _accepted(tmp_path, '[apps."a"]\nnonsense = 1') == rows['`[apps."NAME"]`'].keys()
    assert _probe_keys() == rows['`[[apps."NAME".probes]]`'].keys()


def test_the_configuration_page_tells_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is said of defaults is what holds without a file."""
    rows = _sections("configuration.md")
    apps = rows['`[apps."NAME"]`']
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ABRA_DIR", raising=False)
    monkeypatch.delenv("CCCI_UPGRADE_STATE", raising=False)
    config = read_config(_file(tmp_path, ""))

    assert rows["Top level"]["abra"] == f"`{config.abra}`"
    assert config.abra_dir == Path("~/.abra").expanduser()
    assert os.geteuid() != 0 or default_state_dir() == "/var/lib/ccci-upgrade"
    assert apps["budget"] == f"`{BUDGET_SECONDS:g}s`"
    assert apps["settle"] == f"`{SETTLE_SECONDS:g}s`"
    orders = ", ".join(f"{name} {profile(name).order}" for name in ("traefik", "keycloak", "drone", "others"))
    assert apps["order"] == orders


def test_the_documents_page_has_every_error_code() -> None:
    """Every code that an error can carry stands in the table, and no other."""
    rows = _sections("json.md")["Error codes"]
    written = {code for cell in rows for code in re.findall(r"[a-z-]+", cell)}

    assert _error_codes() == written


def test_the_documents_page_has_every_command_and_its_keys() -> None:
    """The first table names the commands of the program and the keys of their data."""
    defs = schema()["$defs"]
    for command, cell, *_ in _table("json.md")[: len(_commands())]:
        required = defs[f"{command.strip('`').replace(' ', '_')}_data"]["required"]
        assert [f"`{key}" in cell for key in required] == [True] * len(required), command

    assert {row[0].strip("`") for row in _table("json.md")[: len(_commands())]} == _commands()


def test_the_schema_knows_every_word() -> None:
    """Closed sets of words are the code's."""
    defs = schema()["$defs"]

    assert [state.value for state in State] == defs["state"]["enum"]
    assert [outcome.value for outcome in Outcome] == defs["outcome"]["enum"]
    assert [bump.value for bump in Bump] == defs["bump"]["enum"]
    assert [severity.value for severity in Severity] == defs["finding"]["properties"]["severity"]["enum"]
    assert set(schema()["properties"]["command"]["enum"]) == _commands()


def test_the_architecture_page_has_the_layers() -> None:
    """Each layer and what it may import, as the code is held to; and every package is a layer."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [row for row in _rows(text) if row[0].startswith("`ccci_upgrade/")]
    written = {
        row[0].strip("`").removeprefix("ccci_upgrade/").rstrip("/").removesuffix(".py"): set(
            re.findall(r"`(\w+)`", row[2])
        )
        for row in rows
    }
    glue = {"version", "main"}

    assert {name: set(may) - glue for name, may in LAYERS.items() if name not in glue} == written
    packages = {path.parent.name for path in (ROOT / "ccci_upgrade").glob("*/__init__.py")}
    assert packages <= written.keys()


def test_decisions_are_numbered_and_dated() -> None:
    """One, two, three, each with a date that does not go back."""
    text = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    parsed = [re.fullmatch(r"(\d+)\. .+ \((\d{4}-\d\d-\d\d)\)", heading) for heading in headings]

    assert [int(match[1]) for match in parsed if match] == list(range(1, len(headings) + 1))
    assert sorted(dates := [match[2] for match in parsed if match]) == dates


# -- examples and commands --------------------------------------------------------------------------------


@each_document
def test_examples_can_be_read(path: Path, tmp_path: Path) -> None:
    """TOML examples are configurations this program accepts, JSON examples fit the schema."""
    for language, body in _FENCED.findall(path.read_text(encoding="utf-8")):
        if language == "toml":
            config = read_config(_file(tmp_path, body))
            for name, settings in config.apps.items():
                for raw in settings.probes or ():
                    probe_from_config(raw, name, path.name)
        elif language == "json":
            assert problems(json.loads(body)) == []
        elif language == "sh":
            assert subprocess.run(["sh", "-n"], input=body.encode(), check=False).returncode == 0  # noqa: S607


def test_documents_without_a_server_fit_the_schema(tmp_path: Path) -> None:
    """Commands that cannot reach an Engine, or need none, print a whole document all the same."""
    env = os.environ | {"CCCI_UPGRADE_STATE": str(tmp_path / "state"), "ABRA_DIR": str(tmp_path)}
    file = _file(tmp_path, f'[servers."s"]\ndocker_host = "unix://{tmp_path}/none"\n')
    (tmp_path / "servers" / "s").mkdir(parents=True)
    (tmp_path / "servers" / "s" / "drone.ci.example.org.env").write_text("TYPE=drone:1.8.0+2.25.0\n")
    (tmp_path / "servers" / "s" / "bad.ci.example.org.env").write_bytes(b"\xff")
    codes = {}
    for words in (("status",), ("plan",), ("upgrade", "drone"), ("health",), ("history",), ("doctor",)):
        argv = [sys.executable, "-m", "ccci_upgrade", "--config", str(file), *words, "--json"]
        done = subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, check=False, timeout=60)
        assert done.stdout, done.stderr.decode()
        document = json.loads(done.stdout)
        codes[words[0]] = done.returncode

        assert problems(document) == [], words
        assert document["exit_code"] == done.returncode

    down = dict.fromkeys(("status", "plan", "upgrade", "health", "doctor"), 13)
    assert down | {"history": 0} == codes


def test_every_command_shown_is_tried_somewhere() -> None:
    """Commands of this program are played on a Swarm (tests/swarm/test_readme.py), the README's others here."""
    others = [
        (path, step) for path in SHOWN for step in steps(path.read_text("utf-8")) if not step.on_a_server
    ]

    assert {path.name for path, _ in others} == {"README.md"}
    assert [step.command.split()[0] for _, step in others] == ["make", "make", "python3"]


def test_make_test_is_a_target() -> None:
    """Dry, for it would run this test."""
    done = subprocess.run(
        ["make", "--dry-run", "test"],  # noqa: S607 - make from PATH
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "-m pytest" in done.stdout


@pytest.mark.slow
def test_the_readme_installs_the_program(tmp_path: Path) -> None:
    """The install line as it stands, in other folders, with its man page."""
    (tmp_path / "bin").mkdir()
    for step in _readme_steps("python3"):
        line = step.command.replace("/opt/", f"{tmp_path}/").replace("/usr/local/bin", f"{tmp_path}/bin")
        line = line.replace("python3 ", f"{sys.executable} ", 1)
        done = subprocess.run(
            ["sh", "-c", line],  # noqa: S607 - sh from PATH
            cwd=ROOT,
            env=os.environ
            | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONSTRAINT": str(ROOT / "constraints.txt")},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, f"$ {step.command}\n{done.stdout}{done.stderr}"
    (tmp_path / "elsewhere").mkdir()
    program = shutil.which("ccci-upgrade", path=str(tmp_path / "bin"))
    assert program is not None
    done = subprocess.run(
        [program, "--version"], cwd=tmp_path / "elsewhere", capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith("ccci-upgrade ")
    assert (tmp_path / "ccci-upgrade" / "share" / "man" / "man1" / "ccci-upgrade.1").is_file()


# -- reading documents and code ---------------------------------------------------------------------------


def _prose(path: Path) -> str:
    return _FENCED.sub("", path.read_text(encoding="utf-8"))


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", _prose(path), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _rows(text: str) -> list[list[str]]:
    """The rows of all tables but their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rules = [at for at, line in enumerate(lines) if set(line) <= set("|-")]
    heads = {at - 1 for at in rules}
    kept = [line for at, line in enumerate(lines) if at not in heads and at not in rules]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in kept]


def _table(name: str) -> list[list[str]]:
    return _rows((REFERENCE / name).read_text(encoding="utf-8"))


def _sections(name: str) -> dict[str, dict[str, str]]:
    """By heading: the first cell of each row, without its ticks, and the third (or the last)."""
    found: dict[str, dict[str, str]] = {}
    for part in re.split(r"^## ", (REFERENCE / name).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        found[heading] = {row[0].replace("`", ""): row[min(2, len(row) - 1)] for row in _rows(body)}
    return found


def _readme_steps(*programs: str) -> list[Step]:
    return [s for s in steps((ROOT / "README.md").read_text("utf-8")) if s.command.split()[0] in programs]


def _commands() -> set[str]:
    """Every command that can be typed, those of groups with the group before them."""
    return set(command_names(app))


def _file(folder: Path, text: str) -> Path:
    file = folder / "c.toml"
    file.write_text(text, encoding="utf-8")
    return file


def _accepted(folder: Path, text: str) -> set[str]:
    with pytest.raises(UsageError) as caught:
        read_config(_file(folder, text))
    return set(caught.value.hint.removeprefix("the settings here are ").split(", "))


def _probe_keys() -> set[str]:
    with pytest.raises(UsageError) as caught:
        probe_from_config({"name": "a", "tcp": "a:1", "nonsense": 1}, "ci.example.org", "here")
    return set(caught.value.hint.removeprefix("the settings are ").split(", "))


def _calls(folder: str) -> Iterator[ast.Call]:
    for path in sorted((ROOT / "ccci_upgrade" / folder).rglob("*.py")):
        yield from (node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Call))


def _findings() -> Iterator[tuple[str, str]]:
    for call in _calls("model/findings"):
        if isinstance(call.func, ast.Name) and call.func.id == "Finding":
            given = {keyword.arg: keyword.value for keyword in call.keywords}
            texts = [n.value for n in ast.walk(given["id"]) if isinstance(n, ast.Constant)]
            words = [n.attr for n in ast.walk(given["severity"]) if isinstance(n, ast.Attribute)]
            kind = str(texts[0]).partition(":")[0]
            yield from ((kind, Severity[word].value) for word in words if word in Severity.__members__)


def _strings(tree: ast.Module) -> dict[str, object]:
    """A module's constants, by name."""
    return {
        target.id: line.value.value
        for line in tree.body
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant)
        for target in line.targets
        if isinstance(target, ast.Name)
    }


def _error_codes() -> set[str]:
    """`code="…"` of raised errors, and `code = "…"` of their classes (of `CcciError` itself none is raised)."""
    found: set[object] = set()
    for path in (ROOT / "ccci_upgrade").rglob("*.py"):
        if "practice" in path.parts:
            continue
        tree = ast.parse(path.read_bytes())
        named = _strings(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                found.add(node.value.value)
            elif isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Name):
                found.add(named.get(node.value.id))
            elif isinstance(node, ast.ClassDef) and node.name != "CcciError":
                found |= {
                    line.value.value
                    for line in node.body
                    if isinstance(line, ast.Assign)
                    and isinstance(line.value, ast.Constant)
                    and isinstance(line.targets[0], ast.Name)
                    and line.targets[0].id == "code"
                }
    return {code for code in found if isinstance(code, str)}
