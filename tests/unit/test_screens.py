"""What people and scripts are shown: laid out for a width, or whole, and never with a control character."""

import io
import json
import re
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from ccci_upgrade.errors import CcciError, Exit
from ccci_upgrade.flows import doctor
from ccci_upgrade.flows.gates import Result
from ccci_upgrade.flows.health import Check, Health
from ccci_upgrade.flows.notes import AppNotes
from ccci_upgrade.flows.status import AppStatus, ServerLease, Status
from ccci_upgrade.model.finding import Finding, Severity
from ccci_upgrade.model.lease import Claim, LeaseState, Standing
from ccci_upgrade.model.memory import LastGood
from ccci_upgrade.model.notes import Note, make_note
from ccci_upgrade.model.plan import ImageJump, Plan
from ccci_upgrade.model.protection import NO_SNAPSHOT, Protect, Protection
from ccci_upgrade.model.run import Phase, Run
from ccci_upgrade.model.verdict import Evidence, Outcome, State, Verdict
from ccci_upgrade.model.version import Bump
from ccci_upgrade.ui import documents, envelope, screens, tables
from ccci_upgrade.ui.console import Terminal
from ccci_upgrade.ui.layout import Block, Grid, Line, lay_out
from ccci_upgrade.ui.streams import Lasting, Patient

NASTY = (
    "\x1b[31mred",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]8;;https://evil.example\x1b\\good\x1b]8;;\x1b\\",
    "\x9b2J\x90q",
    "\u202egnp.exe",
    "\u2066a\u2069\u200b\ufeff\U000e0041",
    "[/usr/lib] [bold]x[/] [link=https://evil.example]y",
    ":skull: \r overwritten",
    "\x00\x07\x08\x7f\x85\ud800",
    "a\tb\nc\r\nd\x0b\x0c\u2028\u2029",
)
foreign = st.one_of(
    st.sampled_from(NASTY), st.text(max_size=60), st.lists(st.sampled_from(NASTY), max_size=4).map("".join)
)
several = st.lists(foreign, max_size=3).map(tuple)

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
_SGR = re.compile(r"\x1b\[[\d;]*m")


class Tty(io.StringIO):
    """What a terminal was sent."""

    def isatty(self) -> bool:
        """Say that it is one."""
        return True


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A plan in which every text is foreign."""
    findings = tuple(
        Finding(
            id=draw(foreign),
            severity=draw(st.sampled_from(Severity)),
            title=draw(foreign),
            evidence=draw(several),
            remedy=draw(foreign),
        )
        for _ in range(draw(st.integers(0, 3)))
    )
    jump = ImageJump(
        service=draw(foreign), old=draw(foreign), new=draw(foreign), bump=Bump.MAJOR, links=draw(several)
    )
    return Plan(
        app=draw(foreign),
        recipe=draw(foreign),
        server=draw(foreign),
        from_version=draw(st.none() | foreign),
        to_version=draw(st.none() | foreign),
        bump=draw(st.sampled_from(Bump)),
        images=(jump,),
        notes=draw(st.lists(notes(), max_size=3).map(tuple)),
        findings=findings,
        fingerprints={draw(foreign): draw(foreign)},
        acknowledged=frozenset(f.id for f in findings[:1]),
    )


def notes() -> st.SearchStrategy[Note]:
    """Notes, readable and not."""
    made = st.builds(make_note, foreign, foreign.map(lambda text: text.encode(errors="surrogatepass")))
    return made | st.builds(Note, version=foreign, text=st.none() | foreign, problem=foreign)


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """A run in which every text is foreign."""
    evidence = tuple(Evidence(text=text, service=draw(foreign)) for text in draw(several))
    verdict = Verdict(state=draw(st.sampled_from(State)), evidence=evidence)
    phases = tuple(Phase(name=name, seconds=1.0, ok=True, detail=draw(foreign)) for name in draw(several))
    return Run(
        run_id=draw(foreign),
        command=draw(foreign),
        app=draw(foreign),
        recipe=draw(foreign),
        server=draw(foreign),
        cluster=draw(foreign),
        from_version=draw(st.none() | foreign),
        to_version=draw(foreign),
        started=draw(foreign),
        operator=draw(foreign),
        host=draw(foreign),
        pid=1,
        outcome=draw(st.none() | st.sampled_from(Outcome)),
        verdict=draw(st.none() | st.just(verdict)),
        holds=draw(several),
        phases=phases,
        next_steps=draw(several),
        notices=draw(several),
        logs=draw(several),
    )


goods = st.builds(
    LastGood,
    app=foreign,
    stack=foreign,
    recipe=foreign,
    version=foreign,
    recorded=foreign,
    operator=foreign,
    host=foreign,
    run_id=foreign,
    snapshot=st.none() | foreign,
    snapshot_host=foreign,
)
standings = st.builds(
    Standing,
    state=st.sampled_from(LeaseState),
    why=foreign,
    claim=st.none()
    | st.builds(
        Claim,
        user=foreign,
        host=foreign,
        pid=st.just(1),
        boot=foreign,
        command=foreign,
        since=foreign,
        heartbeat=foreign,
        token=foreign,
    ),
)


@st.composite
def statuses(draw: st.DrawFn) -> Status:
    """A status in which every text is foreign."""
    rows = tuple(
        AppStatus(
            app=draw(foreign),
            recipe=draw(foreign),
            server=draw(foreign),
            stack=draw(foreign),
            deployed=draw(st.none() | foreign),
            newest=draw(st.none() | foreign),
            upgrades=draw(several),
            state=draw(foreign),
            chaos=draw(st.booleans()),
            problem=draw(foreign),
            last_run=draw(st.none() | runs()),
            last_good=draw(st.none() | goods),
            back_to=draw(st.none() | goods),
            recorded=draw(st.booleans()),
        )
        for _ in range(draw(st.integers(0, 3)))
    )
    leases = draw(
        st.lists(st.builds(ServerLease, server=foreign, standing=st.none() | standings), max_size=2)
    )
    return Status(apps=rows, leases=tuple(leases), open_runs=(), situations={}, damaged=0, errors=())


everything: st.SearchStrategy[list[Block]] = st.one_of(
    plans().map(lambda plan: list(screens.plan_screen(plan))),
    plans().map(lambda plan: list(tables.after_plans([plan]))),
    runs().map(lambda run: list(screens.run_screen(run))),
    st.tuples(runs(), plans()).map(lambda two: list(screens.refusals(two[:1], two[1:]))),
    runs().map(lambda run: list(tables.history([run]))),
    statuses().map(lambda found: list(tables.status(found))),
    st.builds(
        AppNotes,
        app=foreign,
        recipe=foreign,
        from_version=foreign,
        to_version=st.none() | foreign,
        notes=st.lists(notes(), max_size=3).map(tuple),
        others=several,
    ).map(lambda each: list(tables.notes([each]))),
    st.builds(
        Health,
        app=foreign,
        verdict=foreign,
        checks=st.lists(
            st.builds(
                Check, name=foreign, ok=st.none() | st.booleans(), detail=foreign, seconds=st.just(0.1)
            ),
            max_size=3,
        ).map(tuple),
    ).map(lambda each: list(tables.health([each]))),
    st.builds(
        doctor.Check, name=foreign, health=st.sampled_from(doctor.Health), detail=foreign, remedy=foreign
    ).map(lambda check: list(tables.doctor([check]))),
)


@given(blocks=everything, width=st.sampled_from([None, 20, 40, 80, 120]))
@settings(deadline=None)
def test_no_foreign_text_reaches_a_line_untamed(blocks: list[Block], width: int | None) -> None:
    """Every screen, at every width: one line is one line, with no control character and no blanks at its end."""
    for text in lay_out(blocks, width):
        assert not _CONTROL.search(text.plain)
        assert "\n" not in text.plain
        assert text.plain == text.plain.rstrip()


@given(blocks=everything)
@settings(deadline=None)
def test_a_terminal_is_sent_our_colours_and_nothing_else(blocks: list[Block]) -> None:
    """Without our colours it is what a pipe gets: no escape of anybody else's, no markup eaten."""
    with pytest.MonkeyPatch.context() as env:
        env.setenv("TERM", "xterm-256color")
        env.setenv("COLUMNS", "1000000")
        env.delenv("NO_COLOR", raising=False)
        coloured, plain = Tty(), io.StringIO()
        Terminal(json=False, out=Lasting(coloured)).show(blocks)
        Terminal(json=False, out=Lasting(plain)).show(
            [b if isinstance(b, Grid) else Line(text=b.text, indent=b.indent, whole=True) for b in blocks]
        )
    if any(len(text.plain) > 100 for text in lay_out(blocks, None)):
        return  # prose has a widest line at a terminal
    assert _SGR.sub("", coloured.getvalue()) == plain.getvalue()
    assert not _CONTROL.search(plain.getvalue())


REPORTS: dict[str, Callable[[Terminal, str], None]] = {
    "phase": lambda terminal, text: terminal.phase(text, text),
    "command": lambda terminal, text: terminal.command((text, text)),
    "output": lambda terminal, text: terminal.output(text),
    "waiting": lambda terminal, text: terminal.waiting(text),
    "note": lambda terminal, text: terminal.note(text),
    "error": lambda terminal, text: terminal.error(CcciError(text, hint=text)),
    "last_word": lambda terminal, text: terminal.last_word(text),
}


@pytest.mark.parametrize("method", REPORTS)
@given(text=foreign)
@settings(deadline=None, max_examples=60)
def test_progress_is_tamed(method: str, text: str) -> None:
    """Whatever the reporter is told, stderr gets no control character, and a line for a sentence."""
    said = io.StringIO()
    REPORTS[method](Terminal(json=True, err=Patient(said)), text)
    assert not _CONTROL.search(said.getvalue())
    assert all(line == line.rstrip() or method == "last_word" for line in said.getvalue().split("\n"))


@given(plan=plans(), run=runs(), found=statuses(), text=foreign)
@settings(deadline=None)
def test_the_document_is_tamed(plan: Plan, run: Run, found: Status, text: str) -> None:
    """One JSON document, whatever the texts; a reader that prints its strings prints nothing dangerous."""
    result = Result(runs=(run,), plans=(plan,), exit=Exit.OK)
    for data in (documents.upgrade(result), documents.status(found), documents.history([run], 0)):
        said = envelope.document("upgrade", Exit.OK, data, [CcciError(text, hint=text)])
        assert not _CONTROL.search(said)
        assert not _CONTROL.search("".join(_strings(json.loads(said))))


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(text for each in value.values() for text in _strings(each))]
    if isinstance(value, list):
        return [text for each in value for text in _strings(each)]
    return [value] if isinstance(value, str) else []


# -- layout -----------------------------------------------------------------------------------------------

words = st.lists(
    st.sampled_from(["a", "keycloak.ci.example.org", "10.0.0+26.0.0", "字字", "→", "x" * 50]), max_size=20
)


@given(said=words, width=st.integers(1, 120), indent=st.integers(0, 8), hang=st.integers(0, 8))
def test_folding_breaks_no_word_and_loses_none(
    said: Sequence[str], width: int, indent: int, hang: int
) -> None:
    """Lines are no wider than the terminal, but for a single word that is."""
    line = Line(text=Text(" ".join(said)), indent=indent, hang=hang)
    lines = [text.plain for text in lay_out([line], width)]
    assert " ".join(lines).split() == " ".join(said).split()
    assert all(cell_len(text) <= width or len(text.split()) == 1 for text in lines)


@given(
    rows=st.lists(
        st.tuples(*[st.sampled_from(["a", "10.0.0+26.0.0", "two words", "字" * 9])] * 3), min_size=1
    )
)
def test_a_table_loses_nothing_at_any_width(rows: list[tuple[str, ...]]) -> None:
    """Where a table has no room it becomes a list; versions are never broken in either."""
    grid = Grid(columns=("one", "two", "three"), rows=[tuple(map(Text, row)) for row in rows])
    for width in (None, 10, 30, 60, 100):
        said = "\n".join(text.plain for text in lay_out([grid], width))
        assert all(word in said for row in rows for cell in row for word in cell.split())


def test_commands_links_and_ids_are_never_folded() -> None:
    """What is copied stays on one line, however narrow the terminal."""
    page = "https://www.postgresql.org/docs/16/release-16.html#RELEASE-16-MIGRATION"
    finding = Finding(
        id="notes-migration:11.0.0+26.2.0", severity=Severity.ACK, title="t" * 60, evidence=(page,)
    )
    blocks = [*screens.finding_block(finding), screens.command(f"ccci-upgrade plan {'x' * 60} --to 1")]
    said = [text.plain.strip() for text in lay_out(blocks, 40)]
    assert page in said
    assert "id: notes-migration:11.0.0+26.2.0" in said
    assert f"$ ccci-upgrade plan {'x' * 60} --to 1" in said


def test_a_page_is_shown_once() -> None:
    """A link that stands under its image is not said again as evidence."""
    page = "https://www.postgresql.org/docs/current/upgrading.html"
    jump = ImageJump(service="db", old="postgres:15", new="postgres:16", bump=Bump.MAJOR, links=(page,))
    held = Finding(id="db-major:db", severity=Severity.ACK, title="a jump", evidence=("db: 15 → 16", page))
    plan = Plan(
        app="a", recipe="a", server="s", from_version="1", to_version="2", bump=Bump.MAJOR,
        images=(jump, jump), notes=(), findings=(held,), fingerprints={},
    )  # fmt: skip
    said = "\n".join(text.plain for text in lay_out(screens.plan_screen(plan), 80))
    assert said.count(page) == 1
    assert page in "\n".join(text.plain for text in lay_out(screens.finding_block(held), 80))


@pytest.mark.parametrize(
    ("acknowledged", "expected"),
    [
        ((), "data  2.0 MB in 1 volume, copied first; the app is down for about 15 s"),
        ((NO_SNAPSHOT,), "data  2.0 MB in 1 volume, not copied: no-snapshot is acknowledged"),
    ],
)
def test_a_plan_says_what_is_done_for_the_data(acknowledged: tuple[str, ...], expected: str) -> None:
    """Whoever goes without a copy is not told that there will be one."""
    protection = Protection(protect=Protect.STOPPED, sizes={"data": 2_000_000})
    plan = Plan(
        app="a", recipe="a", server="s", from_version="1", to_version="2", bump=Bump.PATCH, images=(), notes=(),
        findings=(), fingerprints={}, acknowledged=frozenset(acknowledged), protection=protection,
    )  # fmt: skip
    assert expected in [text.plain.strip() for text in lay_out(screens.plan_screen(plan), None)]


def test_paragraphs_of_one_version_share_a_heading() -> None:
    """A heading stands where the version changes, and folded paragraphs name all that have them."""
    given_notes = [
        Note(version="1.0.0+1", text="same\n\nfirst\n\nsecond\n"),
        Note(version="1.1.0+1", text="same\n\n- item\n"),
    ]
    said = [text.plain.strip() for text in lay_out(screens.notes_screen(given_notes), 80)]
    assert said[1:] == ["1.0.0+1, 1.1.0+1", "same", "1.0.0+1", "first", "", "second", "1.1.0+1", "- item"]


def test_options_before_the_command_are_repeated() -> None:
    """A command that is shown can be typed as it is: with the configuration that was named."""
    said = io.StringIO()
    terminal = Terminal(json=False, options=("--config", "my conf.toml"), out=Lasting(said))
    terminal.show([screens.command("ccci-upgrade plan a"), screens.command("docker ps")])
    assert said.getvalue() == "  $ ccci-upgrade --config 'my conf.toml' plan a\n  $ docker ps\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("look first: git -C /a b", ["→ look first:", "  $ git -C /a b"]),
        ("abra app deploy a <version>", ["$ abra app deploy a <version>"]),
        ("wait; docker ps tells", ["→ wait; docker ps tells"]),
        ("mend it (ccci-upgrade health a) first", ["→ mend it (ccci-upgrade health a) first"]),
        ("", []),
    ],
)
def test_a_command_in_a_remedy_can_be_copied(text: str, expected: list[str]) -> None:
    """It stands on a line of its own, unfolded; prose stays prose."""
    assert [line.plain for line in lay_out(screens.remedy(text, 0), 16 if "look" in text else 80)] == expected
