"""Interpolation: every form Docker knows, the names in use, and errors that quote the place."""

import contextlib
import json
import tempfile
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ccci_upgrade.model.interpolate import InterpolationError, Use, interpolate
from tests.unit.dockerconfig import needs_docker, stack_config

ENV = {"A": "1", "EMPTY": "", "STACK_NAME": "drone_ci"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$A", "1"),
        ("${A}x", "1x"),
        ("${STACK_NAME}_cfg_${A}", "drone_ci_cfg_1"),
        ("$NONE", ""),
        ("$$A", "$A"),
        ("$$$A", "$1"),
        ("$$$$", "$$"),
        ("${NONE:-d}", "d"),
        ("${NONE-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${A:-d}", "1"),
        ("${A-d}", "1"),
        ("${NONE:-}", ""),
        ("${A:?needed}", "1"),
        ("${A?needed}", "1"),
        ("${NONE:?needed}", ""),
        ("${A:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${NONE+x}", ""),
        ("${NONE:-${A}}", "1"),
        ("${NONE:-a${NONE:-b${A}c}d}", "ab1cd"),
        ("${NONE:-a-b:c}", "a-b:c"),
        ("${NONE:-a\nb}", "a\nb"),
        ("${NONE:-$$}", "$"),
        ("$A-x y", "1"),
        ("$NONE:-x", "x"),
        ("{$A}", "{1}"),
        ("$1/$A", "1/1"),
        ("${${A}", "{1"),
    ],
)
def test_every_form_is_filled_in(text: str, expected: str) -> None:
    assert interpolate(text, ENV)[0] == expected


@pytest.mark.parametrize(
    ("text", "uses"),
    [
        ("no names, $$ANY", []),
        ("$A${B}", [("A", False, False), ("B", False, False)]),
        ("${A:-x}${B-}", [("A", True, False), ("B", True, False)]),
        ("${A:?x}${B?}", [("A", False, True), ("B", False, True)]),
        ("${A:+x}", [("A", True, False)]),
        ("${NONE:-${B:-$C}}", [("NONE", True, False), ("B", True, False), ("C", False, False)]),
        ("${A:-$B}", [("A", True, False)]),
    ],
)
def test_the_names_that_matter_are_told(text: str, uses: list[tuple[str, bool, bool]]) -> None:
    """A default that is not needed uses nothing: what it names need not be set."""
    expected = tuple(Use(name=n, has_default=d, required=r) for n, d, r in uses)
    assert interpolate(text, ENV)[1] == expected


@pytest.mark.parametrize(
    "text", ["$", "a $ b", "$1", "${", "${A", "${}", "${1A}", "${A!}", "${A:}", "${A:x}", "$(date)", "${ A}"]
)
def test_what_docker_would_refuse_is_an_error_that_quotes_it(text: str) -> None:
    with pytest.raises(InterpolationError, match=r"\$"):
        interpolate(text, ENV)


@pytest.mark.parametrize("text", ["${N:-" * 40 + "}" * 40, "$BIG" * 2000])
def test_endless_growth_is_an_error(text: str) -> None:
    with pytest.raises(InterpolationError):
        interpolate(text, {"BIG": "x" * 1000})


@pytest.mark.parametrize("unit", ["${", "${a ", "${A:-", "$1", "$$", "${A}", "$"])
def test_a_long_hostile_text_ends_soon(unit: str) -> None:
    started = time.monotonic()
    with contextlib.suppress(InterpolationError):
        interpolate(unit * (500_000 // len(unit)), ENV)
    assert time.monotonic() - started < 20


@given(
    st.text(alphabet="$A{}:-+?_1 \n", max_size=40),
    st.dictionaries(st.sampled_from("A_"), st.text(max_size=5)),
)
def test_any_text_is_filled_in_or_refused_with_the_one_error(text: str, env: dict[str, str]) -> None:
    with contextlib.suppress(InterpolationError):
        filled, uses = interpolate(text, env)
        assert isinstance(filled, str)
        assert all(use.name in text for use in uses)


WORDS = st.text(alphabet="ab:-? ./{", max_size=4)
NAMES = st.sampled_from(["A", "b_1", "UNSET", "EMPTY"])
FORMS = st.one_of(
    st.builds("${{{}}}".format, NAMES),
    st.builds(
        "${{{}{}{}}}".format, NAMES, st.sampled_from(["-", ":-"]), st.text(alphabet="ab ./{", max_size=4)
    ),
    st.builds("${}".format, NAMES),
    st.just("$$"),
    st.just("$"),
    st.just("${"),
    WORDS,
)


@needs_docker
@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(FORMS, max_size=4).map("".join), min_size=1, max_size=4))
def test_docker_fills_in_the_same(texts: list[str]) -> None:
    """One file with several texts; it is refused as a whole when one of them is."""
    env = {"A": "one", "b_1": "x y", "EMPTY": ""}
    with tempfile.TemporaryDirectory() as folder:
        values = {f"V{i}": f"<{text}>" for i, text in enumerate(texts)}
        file = json.dumps({"services": {"app": {"image": "a", "environment": values}}})
        theirs = stack_config(Path(folder), [file], env)
    try:
        ours = {name: interpolate(text, env)[0] for name, text in values.items()}
    except InterpolationError:
        assert theirs.code != 0
        return
    assert theirs.code == 0, theirs.err
    assert yaml.safe_load(theirs.out)["services"]["app"]["environment"] == ours
