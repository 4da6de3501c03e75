"""Recipe versions: what is one, their order, how big a step is, and which lie in a range."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.model.version import (
    Bump,
    RecipeVersion,
    ambiguous,
    bump_between,
    highest,
    in_range,
    split_tags,
)

UPSTREAMS = st.sampled_from(
    ["", "1.9.0", "1.10.0", "1.010.0", "26.0.8-alpine", "v3.1", "1.24.2-rootless", "a", "B1"]
)
NUMBERS = st.integers(0, 12)


@st.composite
def version_texts(draw: st.DrawFn) -> str:
    numbers = ".".join(str(draw(NUMBERS)) for _ in range(3))
    upstream = draw(UPSTREAMS)
    return f"{numbers}+{upstream}" if upstream else numbers


JUNK = st.sampled_from(
    [
        "v2.4.8",
        "1.0",
        "1.0.0.0",
        "01.0.0",
        "1.0.0+",
        "1.0.0-rc1",
        "latest",
        "",
        " 1.0.0",
        "1.0.0\n",
        "1.0.0+a b",
        "\u0661.0.0",
    ]
)


def version(text: str) -> RecipeVersion:
    found = RecipeVersion.parse(text)
    assert found is not None
    return found


def test_a_version_is_read_into_its_parts_and_printed_as_the_tag() -> None:
    found = version("10.7.1+26.6.2-alpine")
    assert (found.major, found.minor, found.patch, found.upstream) == (10, 7, 1, "26.6.2-alpine")
    assert str(found) == "10.7.1+26.6.2-alpine"


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "1.2", "1.2.3.4", "v1.2.3", "01.2.3", "1.02.3", "1.2.03", "1.2.3+", "1.2.3+ x", " 1.2.3", "1.2.3 ",
        "1.2.3\n", "1.2.3+a\n", "1.2.3+a\x1b[2J", "1.2.3-rc1", "1.2.3+a+b", "1.2.3+a/b", "1.2.3+..", "-1.2.3",
        "9999999999.0.0", "1.2.3+" + "9" * 5000, "\u0661.2.3", "1.2.3+\u0661", "latest", "1.2.3+-x",
    ],
)  # fmt: skip
def test_what_is_not_exactly_a_version_is_none(text: str) -> None:
    assert RecipeVersion.parse(text) is None


@given(st.text(max_size=40))
def test_any_text_is_a_version_with_exactly_that_text_or_none(text: str) -> None:
    found = RecipeVersion.parse(text)
    assert found is None or (str(found) == text and text.isascii() and text.isprintable())


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("1.9.0+1", "1.10.0+1"),
        ("1.0.0", "1.0.0+1.0.0"),
        ("1.0.0+1.9.0", "1.0.0+1.10.0"),
        ("1.0.9+9.9.9", "1.1.0+1.0.0"),
        ("9.0.0+1", "10.0.0+1"),
    ],
)
def test_numbers_are_compared_as_numbers_recipe_part_first(low: str, high: str) -> None:
    assert version(low) < version(high)
    assert not version(high) < version(low)


@given(version_texts(), version_texts(), version_texts())
def test_the_order_is_total(a_text: str, b_text: str, c_text: str) -> None:
    a, b, c = version(a_text), version(b_text), version(c_text)
    assert (a < b) + (a == b) + (a > b) == 1
    assert (a == b) == (a_text == b_text)
    assert (a <= b) == (not b < a)
    if a <= b <= c:
        assert a <= c


@given(st.lists(version_texts(), max_size=12))
def test_sorting_does_not_depend_on_where_one_starts(texts: list[str]) -> None:
    ordered = sorted(version(text) for text in texts)
    assert ordered == sorted(version(text) for text in reversed(texts))


@pytest.mark.parametrize(
    ("old", "new", "bump"),
    [
        ("1.0.0+1", "2.0.0+1", Bump.MAJOR),
        ("1.0.0+1", "1.1.0+9", Bump.MINOR),
        ("1.0.0+1", "1.0.1+1", Bump.PATCH),
        ("1.0.0+1", "1.0.0+1", Bump.NONE),
        ("1.0.0+1", "1.0.0+2", Bump.NONE),
        ("2.0.0+1", "1.9.9+2", Bump.UNKNOWN),
        ("1.0.1+1", "1.0.0+1", Bump.UNKNOWN),
    ],
)
def test_a_step_is_as_big_as_the_recipe_says_and_unknown_backwards(old: str, new: str, bump: Bump) -> None:
    assert bump_between(version(old), version(new)) is bump


def test_the_biggest_step_counts_and_unknown_lies_between_minor_and_major() -> None:
    order = [Bump.NONE, Bump.PATCH, Bump.MINOR, Bump.UNKNOWN, Bump.MAJOR]
    for (low, small), (high, big) in itertools.product(enumerate(order), repeat=2):
        assert highest([small, big]) is order[max(low, high)]
    assert highest([]) is Bump.NONE


def test_one_recipe_version_with_two_upstreams_is_ambiguous() -> None:
    assert ambiguous(version("1.0.0+1"), version("1.0.0+2"))
    assert ambiguous(version("1.0.0+1"), version("1.0.0"))
    assert not ambiguous(version("1.0.0+1"), version("1.0.0+1"))
    assert not ambiguous(version("1.0.0+1"), version("1.0.1+2"))


@given(st.lists(st.one_of(version_texts(), JUNK), max_size=20))
def test_tags_are_split_without_loss_versions_ascending(tags: list[str]) -> None:
    versions, others = split_tags(tags)
    assert sorted([v.text for v in versions] + list(others)) == sorted(set(tags))
    assert all(a < b for a, b in itertools.pairwise(versions))
    assert all(RecipeVersion.parse(tag) is None for tag in others)


def newer(a: str, b: str) -> bool:
    """Whether `a` is newer than `b`, told a plodding way: number by number, then run by run, then the text."""

    def runs(text: str) -> list[str]:
        return ["".join(group) for _, group in itertools.groupby(text, str.isdigit)]

    (a_recipe, _, a_up), (b_recipe, _, b_up) = a.partition("+"), b.partition("+")
    for x, y in zip(a_recipe.split("."), b_recipe.split("."), strict=True):
        if int(x) != int(y):
            return int(x) > int(y)
    for x, y in itertools.zip_longest(runs(a_up), runs(b_up)):
        if x is None or y is None:
            return y is None
        if x.isdigit() != y.isdigit():
            return y.isdigit()
        if x.isdigit() and int(x) != int(y):
            return int(x) > int(y)
        if not x.isdigit() and x != y:
            return x > y
    return a > b


@given(
    st.lists(st.one_of(version_texts(), JUNK), max_size=20),
    st.one_of(st.none(), version_texts()),
    version_texts(),
)
def test_a_range_is_what_going_through_all_tags_one_by_one_finds(
    tags: list[str], after: str | None, upto: str
) -> None:
    versions, _ = split_tags(tags)
    chosen = in_range(versions, None if after is None else version(after), version(upto))
    expected = {
        tag
        for tag in tags
        if RecipeVersion.parse(tag) and not newer(tag, upto) and (after is None or newer(tag, after))
    }
    assert {v.text for v in chosen} == expected
    assert list(chosen) == sorted(chosen)
