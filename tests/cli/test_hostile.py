"""Foreign text from every side, through every command: shown safely, or refused by name."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ccci_upgrade.errors import Exit
from tests.cli.scene import ACK, Ran, Scene, ended

EVIL = "\x1b[2J\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x07\x1b]8;;https://evil.example\x1b\\x\x9b31m\u202egnp\u2066\u200b"
MARKUP = "[/usr/lib] [bold]not bold[/bold] [link=https://evil.example]x[/link] :skull:"
READING = (
    ("status",),
    ("notes", "keycloak"),
    ("plan",),
    ("health",),
    ("history",),
    ("doctor",),
    ("upgrade", "--all"),
)

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_SGR = re.compile(r"\x1b\[[\d;]*m")


def _clean(ran: Ran) -> Ran:
    said = (ran.out + ran.err).decode()
    assert not _CONTROL.search(said), said
    assert "Traceback" not in said
    assert ran.code != 1, said
    return ran


def _everywhere(scene: Scene) -> str:
    """All that the reading commands say, as text, as JSON and at a terminal, when it is clean."""
    calls = [(*words, *more) for words in READING for more in ((), ("--json",))]
    with ThreadPoolExecutor(max_workers=2) as pool:
        every = list(pool.map(lambda words: _clean(scene.run(*words)), calls))
    for words, ran in zip(calls, every, strict=True):
        if "--json" in words and ran.code != Exit.USAGE:
            json.loads(ran.out)
    said = "".join(ran.out.decode() for words, ran in zip(calls, every, strict=True) if "--json" not in words)
    for words in (("status",), ("plan",)):
        child = scene.pty(*words, columns=100)
        ended(child)
        plain = _SGR.sub("", str(child.before)).replace("\r\n", "\n")
        assert not _CONTROL.search(plain)
    return said


def test_a_hostile_note_is_shown_in_escapes(scene: Scene) -> None:
    """ESC, OSC 52, OSC 8, C1, bidi and markup are read, not obeyed; bytes that are no UTF-8 are shown."""
    note = f"# {EVIL}\n\n{MARKUP}\n\n".encode() + b"not \xff\xfe utf-8 \xc3\n"
    _note(scene, note)
    said = _everywhere(scene)
    assert r"\x1b]52;c;ZXZpbA==\x07" in said
    assert r"\x9b31m" in said
    assert r"\u202egnp" in said
    assert MARKUP in said
    assert r"not \xff\xfe utf-8 \xc3" in said


def test_a_huge_note_is_cut_and_says_so(scene: Scene) -> None:
    """10 MB in one line: the first part is shown, at a terminal too, and its size is named."""
    _note(scene, b"a" * 5_000_000 + b" b" * 2_500_000)
    said = _everywhere(scene)
    assert "too large: 10 MB, first 64 KiB shown" in said
    assert len(said) < 3_000_000


def test_a_note_that_is_a_link_is_refused_by_name(scene: Scene) -> None:
    """A symlink could show any file of this machine: it is named and not followed."""
    repo = scene.repos["keycloak"]
    repo.path.joinpath("release", "1.1.0+1.1.0").unlink()
    repo.path.joinpath("release", "1.1.0+1.1.0").symlink_to("/etc/passwd")
    repo.commit({})
    repo.tag("1.1.0+1.1.0", force=True)
    said = _everywhere(scene)
    assert "root:" not in said
    assert re.search(r"1\.1\.0\+1\.1\.0\n +.*link", said)


def test_a_hostile_tag_is_listed_as_no_version(scene: Scene) -> None:
    """Git allows bidi controls and C1 in names: they are shown in escapes."""
    repo = scene.repos["keycloak"]
    for name in ("9.9.9+\u202egnp", "9.9.9\x9b31m", "bold]", "-n"):
        repo.git("update-ref", f"refs/tags/{name}", "HEAD")
    said = _everywhere(scene)
    assert r"9.9.9+\u202egnp" in said
    assert "11.0.0" not in said


def test_hostile_settings_are_shown_in_escapes(scene: Scene) -> None:
    """Values, versions and names of an `.env`, and a file whose name no app can have."""
    scene.env("traefik", f"TYPE=traefik:1.0.0+1.0.0\nDOMAIN={EVIL}\nX={EVIL}\n")
    scene.env("keycloak", f"TYPE=keycloak:{EVIL}\nDOMAIN=keycloak.ci.example.org\n")
    folder = scene.abra_dir / "servers" / "ci.example.org"
    Path(os.fsdecode(os.fsencode(folder) + b"/\x1b[31m\xff.env")).write_bytes(b"TYPE=traefik\n")
    (folder / "broken.ci.example.org.env").write_bytes(b"\xff\xfe\x1b]0;x\x07")
    _everywhere(scene)


def test_hostile_labels_and_errors_of_the_swarm_are_shown_in_escapes(scene: Scene) -> None:
    """A version label, an image, a task's error, an update's message: anyone who may deploy writes them."""
    scene.engine.put("traefik_ci_example_org", f"traefik:{EVIL}", EVIL, error=f"{EVIL} {MARKUP}")
    service = scene.engine.services["traefik_ci_example_org_app"]
    service["UpdateStatus"] = {"State": "paused", "Message": f"{EVIL} {MARKUP}"}
    service["Spec"]["Labels"][f"coop-cloud.traefik_ci_example_org.chaos-version{EVIL}"] = EVIL
    said = _everywhere(scene)
    assert MARKUP in said
    assert r"\x1b]52;c;" in said


def test_hostile_words_of_the_engine_are_shown_in_escapes(scene: Scene) -> None:
    """An error message comes from the other end of a socket."""
    scene.engine.broken = f"{EVIL} {MARKUP}"
    for words in READING:
        for more in ((), ("--json",)):
            ran = _clean(scene.run(*words, *more))
            if words[0] != "history":
                assert ran.code == 13, (words, ran)
                assert MARKUP.encode() in ran.out + ran.err


def test_hostile_output_of_abra_is_shown_in_escapes(scene: Scene) -> None:
    """Lines, carriage returns and bytes that are no text: on the screen in escapes, raw in the log alone."""
    scene.habits(say=[EVIL, MARKUP, "over\rwritten"], raw="ff1b5b326d0a00", exit=1, noop=True)
    ran = _clean(scene.run("upgrade", "traefik"))
    assert ran.code == 13
    assert rb"\x1b]52;c;" in ran.err
    assert MARKUP.encode() in ran.err
    assert rb"  | \xff\x1b[2m" in ran.err
    (log,) = scene.state.glob("*/runs/*/abra.log")
    assert b"\x1b]52;c;" in log.read_bytes()
    _clean(scene.run("history", "--json"))


def test_a_journal_somebody_else_wrote_to_is_shown_in_escapes(scene: Scene) -> None:
    """Lines that fit are shown tamed, torn and foreign ones are passed over and counted."""
    assert scene.run("upgrade", "traefik").code == 0
    (journal,) = scene.state.glob("*/journal.jsonl")
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    mine = next(line for line in lines if line["word"] == "opened")
    mine["run_id"] = mine["run"]["run_id"] = EVIL
    mine["run"] |= {"app": EVIL, "operator": EVIL, "to": MARKUP, "started": EVIL, "host": "\ud800"}
    with journal.open("a") as file:
        file.write(json.dumps(mine) + "\n" + EVIL + "\n[1, 2]\nnull\n" + '{"word": "begin", "run_id": []}\n')
    said = _everywhere(scene)
    assert MARKUP in said
    ran = scene.run("status")
    assert b"never ended" in ran.err
    assert rb"\x1b]52;c;" in ran.err


def test_hostile_arguments_are_shown_in_escapes(scene: Scene) -> None:
    """What a script passes on from elsewhere: names, versions, acknowledgements, files."""
    for words in (
        ("plan", EVIL),
        ("upgrade", "traefik", "--to", EVIL),
        ("upgrade", "traefik", "--ack", EVIL),
        ("upgrade", "--plan", EVIL),
        ("--server", EVIL, "status"),
        ("--config", EVIL, "status"),
        ("history", EVIL),
        ("upgrade", f"--{EVIL}"),
        (EVIL,),
    ):
        _clean(scene.run(*words))


def test_a_question_about_a_hostile_plan_shows_no_control_character(scene: Scene) -> None:
    """At a terminal: evidence and question hold nothing of the note's but its text."""
    _note(scene, f"ATTENTION: a manual migration is needed. {EVIL}{MARKUP}\n".encode())
    child = scene.pty("upgrade", "keycloak", columns=200)
    child.expect_exact("the app's name:")
    said = str(child.before)
    child.sendcontrol("c")
    ended(child)
    assert r"\x1b]52;c;ZXZpbA==\x07" in said
    assert MARKUP in " ".join(said.split())
    assert "\x1b]" not in said
    assert "\x9b" not in said
    assert "\u202e" not in said
    assert f"--ack {ACK}" not in said


def _note(scene: Scene, note: bytes) -> None:
    repo = scene.repos["keycloak"]
    repo.commit({"release/1.1.0+1.1.0": note})
    repo.tag("1.1.0+1.1.0", force=True)
