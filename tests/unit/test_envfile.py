"""An app's `.env`: reading as abra's users write it, refusing what is none, and pinning a version in one line."""

import contextlib
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ccci_upgrade.model.envfile import (
    EnvFile,
    EnvFileError,
    parse_env,
    parse_exports,
    pin_version,
    sample_names,
    stack_name,
)

SAMPLE = """\
# keycloak for the CI server
RECIPE=keycloak:10.7.1+26.6.2
DOMAIN=sso.ci.example.org
## Domain aliases
#EXTRA_DOMAINS=', `www.sso.ci.example.org`'
LETS_ENCRYPT_ENV=production

COMPOSE_FILE="compose.yml"
COMPOSE_FILE="$COMPOSE_FILE:compose.mariadb.yml"
SECRET_ADMIN_PASSWORD_VERSION=v1 # length=64 charset=hex
SECRET_DB_VERSION="v2"   # length=32
WELCOME='no $EXPANSION here, it'
export TIMEOUT=600
"""


def value(text: str, name: str = "A") -> str:
    return parse_env(text).values[name]


def test_a_whole_file_is_read() -> None:
    env = parse_env(SAMPLE.encode())
    assert env.values == {
        "RECIPE": "keycloak:10.7.1+26.6.2",
        "DOMAIN": "sso.ci.example.org",
        "LETS_ENCRYPT_ENV": "production",
        "COMPOSE_FILE": "compose.yml:compose.mariadb.yml",
        "SECRET_ADMIN_PASSWORD_VERSION": "v1",
        "SECRET_DB_VERSION": "v2",
        "WELCOME": "no $EXPANSION here, it",
        "TIMEOUT": "600",
    }
    assert env.lines["COMPOSE_FILE"] == 9
    assert env.modifiers == {
        "SECRET_ADMIN_PASSWORD_VERSION": {"length": "64", "charset": "hex"},
        "SECRET_DB_VERSION": {"length": "32"},
    }
    assert (env.recipe, env.recipe_folder, env.recipe_source) == (
        "keycloak",
        "keycloak",
        "keycloak:10.7.1+26.6.2",
    )
    assert (env.pinned, env.domain, env.problems) == ("10.7.1+26.6.2", "sso.ci.example.org", ())
    assert (str(env.pinned_version), env.pin_is_hash, env.pin_dirty) == ("10.7.1+26.6.2", False, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=b", "b"),
        ("A=", ""),
        ("A= # nothing", ""),
        ("A=b#c", "b#c"),
        ("A=#c", "#c"),
        ("A=b # c", "b"),
        ("A = b  ", "b"),
        ("A: b", "b"),
        ("  A=b", "b"),
        ("export A=b", "b"),
        ("A=it's", "it's"),
        ("A=b c", "b c"),
        ("A='b # c' # d", "b # c"),
        ('A="b # c"', "b # c"),
        ('A="b\\nc"', "b\nc"),
        ('A="b\nc"', "b\nc"),
        ('A="say \\"hi\\""', 'say "hi"'),
        ("A='b\\nc'", "b\\nc"),
        ("A=', `www.x`'", ", `www.x`"),
        ("B=x\nA=$B-${B}", "x-x"),
        ('B=x\nA="${B}y"', "xy"),
        ("B=x\nA='$B'", "$B"),
        ("A=$NONE.", "."),
        ("A=${NONE}", ""),
        ("A=${NONE:-d}", "d"),
        ("B=\nA=${B:-d}", "d"),
        ("B=\nA=${B-d}", ""),
        ("B=x\nA=${B:-d}", "x"),
        ("A=$B\nB=x", ""),
        ("A=\\$B", "$B"),
        ("A=cost$", "cost$"),
        ("A=1\nA=${A}2", "12"),
        ("A=b\r\nB=c\r\n", "b"),
        ("\ufeffA=b", "b"),
    ],
)
def test_a_value_is_read_as_abras_users_mean_it(text: str, expected: str) -> None:
    assert value(text) == expected


def test_the_process_environment_is_never_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTSIDE", "leaked")
    assert value("A=$OUTSIDE") == ""


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"A=1\nnonsense\n", 2, "NAME=value"),
        (b"A=1\n\nB='x\n", 3, "never closed"),
        (b'A="b\nc\n', 1, "never closed"),
        (b'A="a"b', 1, "behind the closing quote"),
        (b"1A=b", 1, "NAME=value"),
        (b"=b", 1, "NAME=value"),
        (b"A=\n\nB=\xff", 3, "UTF-8"),
        (b"A=1\nB=\0", 2, "NUL"),
        (b"A=" + b"x" * 1024 * 1024, 0, "larger than 1024 KiB"),
        (b"A=xx\n" + b"A=$A$A\n" * 30, 0, "grows past"),
        (b"TYPE=../../etc", 1, "no recipe name"),
        (b"TYPE=", 1, "no recipe name"),
        (b"TYPE=a b", 1, "no recipe name"),
        (b"TYPE=-x", 1, "no recipe name"),
        (b"TYPE=a:1 0", 1, "no version"),
        (b"TYPE=a:\x1b[2J", 1, "no version"),
    ],
)
def test_what_cannot_be_read_is_refused_with_file_line_and_reason(data: bytes, line: int, words: str) -> None:
    with pytest.raises(EnvFileError, match=words) as caught:
        parse_env(data, name="sso.env")
    assert str(caught.value).startswith("sso.env")
    assert not line or (caught.value.line == line and f"line {line}" in str(caught.value))


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
def test_any_content_is_read_or_refused_with_the_one_error(data: str | bytes) -> None:
    with contextlib.suppress(EnvFileError):
        assert isinstance(parse_env(data), EnvFile)


@given(st.text(alphabet="A=B$'\"{}:-\\ #\n\rexport", max_size=60))
def test_anything_like_a_file_is_read_or_refused_with_the_one_error(text: str) -> None:
    try:
        env = parse_env(text)
    except EnvFileError:
        return
    assert set(env.lines) == set(env.values)


@given(
    st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True), st.text(max_size=20), max_size=6)
)
def test_single_quoted_text_comes_back_as_it_was(values: dict[str, str]) -> None:
    assume(not any(set(v) & set("'\\\0") for v in values.values()))
    assume(not values.keys() & {"TYPE", "RECIPE"})
    text = "".join(f"{name}='{v}' # length=1\n" for name, v in values.items())
    assert parse_env(text).values == values


@pytest.mark.parametrize(
    ("source", "recipe", "folder", "pinned"),
    [
        ("traefik", "traefik", "traefik", None),
        ("traefik:", "traefik", "traefik", None),
        ("traefik:5.1.1+v3.6.2", "traefik", "traefik", "5.1.1+v3.6.2"),
        ("mygit.org/myorg/cool-recipe", "cool-recipe", "mygit_org_myorg_cool-recipe", None),
        ("git.x/org/repo:1.0.0+1", "repo", "git_x_org_repo", "1.0.0+1"),
        ("https://git.x/org/repo", "repo", "git_x_org_repo", None),
        ("https://git.x:3000/org/repo.git:1.0.0+1", "repo", "git_x_3000_org_repo", "1.0.0+1"),
        ("ssh://git@git.x:2222/org/repo", "repo", "git_x_2222_org_repo", None),
        ("git@git.x:org/repo.git:abc1234", "repo", "git_x_org_repo", "abc1234"),
    ],
)
def test_the_recipe_may_be_a_name_or_an_address(
    source: str, recipe: str, folder: str, pinned: str | None
) -> None:
    env = parse_env(f"TYPE={source}\n")
    assert (env.recipe, env.recipe_folder, env.pinned) == (recipe, folder, pinned)


@pytest.mark.parametrize(
    ("pin", "expected"),
    [
        ("1.0.0+1.2.3", {"version": "1.0.0+1.2.3"}),
        ("1.0.0+1.2.3+U", {"dirty": True, "version": "1.0.0+1.2.3"}),
        ("1.0.0+U", {"dirty": True, "version": "1.0.0"}),
        ("06a57de", {"hash": True}),
        ("06a57de+U", {"hash": True, "dirty": True}),
        ("main", {}),
    ],
)
def test_a_pin_is_a_version_or_a_hash_either_may_be_dirty(pin: str, expected: dict[str, object]) -> None:
    env = parse_env(f"TYPE=drone:{pin}")
    version = None if env.pinned_version is None else str(env.pinned_version)
    found = {"hash": env.pin_is_hash, "dirty": env.pin_dirty, "version": version}
    assert {key: value for key, value in found.items() if value} == expected


def test_recipe_holds_over_type_and_the_difference_is_told() -> None:
    env = parse_env("RECIPE=drone:1.9.0+2.26.0\nTYPE=drone:1.8.0+2.25.0\n")
    assert env.pinned == "1.9.0+2.26.0"
    assert env.problems == ("line 2: RECIPE= holds, TYPE= says something else",)


def test_a_file_without_a_recipe_is_read_and_says_so() -> None:
    env = parse_env("DOMAIN=x.example.org")
    assert (env.recipe, env.pinned, env.problems) == ("", None, ("neither RECIPE= nor TYPE= is set",))


def test_a_name_set_twice_is_told_with_both_lines() -> None:
    assert parse_env("TYPE=a\nB=1\nB=2").problems == ("line 3: B is set again (before in line 2)",)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("TYPE=drone:1.8.0+2.25.0\n", "TYPE=drone:1.9.0+2.26.0\n"),
        ("TYPE=drone\n", "TYPE=drone:1.9.0+2.26.0\n"),
        ("TYPE=drone", "TYPE=drone:1.9.0+2.26.0"),
        ("A=1\r\nTYPE=drone:abc1234+U\r\nB=2\r\n", "A=1\r\nTYPE=drone:1.9.0+2.26.0\r\nB=2\r\n"),
        ('TYPE="drone:1.8.0+2.25.0"  # mine\n', 'TYPE="drone:1.9.0+2.26.0"  # mine\n'),
        ("export TYPE = 'drone' #x\n", "export TYPE = 'drone:1.9.0+2.26.0' #x\n"),
        ("TYPE=drone:1 # TYPE=drone:1\n", "TYPE=drone:1.9.0+2.26.0 # TYPE=drone:1\n"),
        ("#TYPE=drone:1\nTYPE=x\nTYPE=drone:1\n", "#TYPE=drone:1\nTYPE=x\nTYPE=drone:1.9.0+2.26.0\n"),
        ("TYPE=drone:1\nRECIPE=drone:1\n", "TYPE=drone:1\nRECIPE=drone:1.9.0+2.26.0\n"),
        ("TYPE=https://git.x:3000/o/drone\n", "TYPE=https://git.x:3000/o/drone:1.9.0+2.26.0\n"),
        ("\ufeffTYPE=drone", "\ufeffTYPE=drone:1.9.0+2.26.0"),
        ("A='\nTYPE=drone:1\n'\nTYPE=drone:1", "A='\nTYPE=drone:1\n'\nTYPE=drone:1.9.0+2.26.0"),
    ],
)
def test_pinning_changes_the_one_effective_line_and_nothing_else(before: str, after: str) -> None:
    assert pin_version(before, "1.9.0+2.26.0") == after


PIECES = st.sampled_from(
    [
        "A=1",
        "# TYPE=x:1",
        "",
        "B='two\nlines' # length=3",
        'C="$A"',
        "  D = x",
        "TYPE=old",
        "export E=1 ",
        "\t",
        "TYPE=old:2",
    ]
)


@given(st.lists(PIECES, max_size=6), st.lists(PIECES, max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_pinning_reads_back_and_leaves_all_other_characters(
    before: list[str], after: list[str], end: str
) -> None:
    assume(not any(re.match("TYPE", piece) for piece in after))
    text = end.join([*before, "TYPE=drone:1.0.0+1   # mine", *after])
    pinned = pin_version(text, "1.9.0+2.26.0")
    assert parse_env(pinned).pinned == "1.9.0+2.26.0"
    assert pinned.replace("drone:1.9.0+2.26.0", "drone:1.0.0+1") == text


@pytest.mark.parametrize(
    ("text", "version", "words"),
    [
        ("A=1", "1.0.0", "nothing to pin"),
        ("B=x\nTYPE=$B", "1.0.0", "by hand"),
        ('TYPE="dr\\one"', "1.0.0", "by hand"),
        ("TYPE=a", "1.0.0\nEVIL=1", "no version"),
        ("TYPE=a", "", "no version"),
        ("TYPE=a", "1 # x", "no version"),
        ("TYPE=a\nbroken", "1.0.0", "line 2"),
    ],
)
def test_a_pin_that_would_not_hold_is_refused(text: str, version: str, words: str) -> None:
    with pytest.raises(EnvFileError, match=words):
        pin_version(text, version)


def test_the_stack_is_named_like_the_app_unless_said_otherwise_and_cut_at_45() -> None:
    assert stack_name({}, "traefik.ci.example.org") == "traefik_ci_example_org"
    assert stack_name({"STACK_NAME": "mine"}, "traefik.ci.example.org") == "mine"
    assert stack_name({}, "a" * 60) == "a" * 45


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("export A=v1", {"A": "v1"}),
        ("export A=v1 B=v2", {"A": "v1", "B": "v2"}),
        ("export A=v1; export B='v2' # c", {"A": "v1", "B": "v2"}),
        ('export A="v1"\r\nexport B=v2\r\n', {"A": "v1", "B": "v2"}),
        ("# export A=v1\nexport B=v2", {"B": "v2"}),
        ("A=v1\n  export B=v2\nexported=1", {}),
        ("f() {\n  export A=v1\n}\n", {}),
        ("export A", {}),
        ("export A=", {"A": ""}),
        ("export A='v1\nexport B=v2", {"B": "v2"}),
        ("export A=$(rm -rf x)", {"A": "$"}),
        ("export A=v1 && rm x=y", {"A": "v1"}),
        ("export A=1\nexport A=2", {"A": "2"}),
        ("\ufeffexport A=v1", {"A": "v1"}),
    ],
)
def test_exports_are_read_and_nothing_is_run(text: str, expected: dict[str, str]) -> None:
    assert parse_exports(text) == expected


@given(st.text(max_size=200))
def test_any_script_and_any_sample_can_be_read(text: str) -> None:
    assert isinstance(parse_exports(text), dict)
    assert isinstance(parse_exports("export " + text), dict)
    assert isinstance(sample_names(text), tuple)


def test_the_sample_names_what_it_sets_not_what_it_comments_out() -> None:
    assert sample_names("TYPE=x\n#OLD=1\n  B='y\nexport C=1 # d\nB=2\n!?") == ("TYPE", "B", "C")
