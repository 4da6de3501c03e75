"""A Swarm config as a place to keep labels, against an Engine that answers oddly: one error, never a guess."""

from collections.abc import Iterator

import pytest

from ccci_upgrade.errors import EngineError
from ccci_upgrade.tools import swarmconfig
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarmconfig import Purpose
from tests.fakeengine import FakeEngine

PURPOSE = Purpose(data="x", code="odd", hint="look at it")
ROW = {"Spec": {"Name": "ours-a", "Labels": {"a": "b", "n": 5}}, "Version": {"Index": 7}, "UpdatedAt": "junk"}
Both = tuple[FakeEngine, Engine]


@pytest.fixture
def both() -> Iterator[Both]:
    """Give an Engine and a client of it."""
    with FakeEngine() as fake:
        engine = Engine(fake.path, seconds=5)
        yield fake, engine
        engine.close()


def test_a_config_is_read_with_its_texts_and_its_index(both: Both) -> None:
    """Labels that are no text are no labels; a time that is none is unknown; none is None."""
    fake, engine = both
    fake.says("/configs/ours-a", ROW)
    fake.says("/configs/bare", {"Spec": {"Name": "bare"}, "Version": {"Index": 1}})
    found, bare = (swarmconfig.read(engine, name, PURPOSE) for name in ("ours-a", "bare"))

    assert found is not None
    assert bare is not None
    assert (found.labels, found.index, found.updated) == ({"a": "b"}, 7, None)
    assert (bare.labels, bare.updated) == ({}, None)
    assert swarmconfig.read(engine, "none", PURPOSE) is None


@pytest.mark.parametrize("answer", [[], {}, {"Spec": {}}, {"Spec": 1, "Version": {"Index": 1}}])
def test_what_is_no_config_is_an_error(both: Both, answer: object) -> None:
    """To take it for none would make a second one."""
    fake, engine = both
    fake.says("/configs/ours-a", answer)

    with pytest.raises(EngineError, match="is no config") as caught:
        swarmconfig.read(engine, "ours-a", PURPOSE)
    assert caught.value.code == "odd"


def test_all_of_a_kind_are_listed_by_their_names(both: Both) -> None:
    """The Engine's filter finds a part of a name as well; what cannot be read is passed over."""
    fake, engine = both
    other = ROW | {"Spec": {"Name": "not-ours-a"}}
    nameless = ROW | {"Spec": {"Name": 5}}
    fake.says("/configs", [ROW | {"Spec": {"Name": "ours-b"}}, ROW, other, nameless, "junk"])

    assert list(swarmconfig.listed(engine, "ours-", PURPOSE)) == ["ours-a", "ours-b"]


def test_a_list_that_is_none_is_an_error(both: Both) -> None:
    """And so is a refusal."""
    fake, engine = both
    fake.says("/configs", {})
    with pytest.raises(EngineError, match="is no list"):
        swarmconfig.listed(engine, "ours-", PURPOSE)
    fake.says("/configs", {"message": "no"}, status=500)
    with pytest.raises(EngineError, match="would not list"):
        swarmconfig.listed(engine, "ours-", PURPOSE)


@pytest.mark.parametrize(("status", "made"), [(201, True), (200, True), (409, False)])
def test_whoever_was_quicker_made_it(both: Both, status: int, made: bool) -> None:  # noqa: FBT001 - a table's column
    """Then it is not made a second time."""
    fake, engine = both
    fake.says("/configs/create", {"ID": "x"}, status=status)

    assert swarmconfig.create(engine, "ours-a", {}, PURPOSE) is made


@pytest.mark.parametrize(
    ("status", "message", "swapped"),
    [(200, "", True), (404, "config not found", False), (500, "update out of sequence", False)],
)
def test_whoever_was_quicker_wrote_it(
    both: Both,
    status: int,
    message: str,
    swapped: bool,  # noqa: FBT001 - a table's column
) -> None:
    """Only who has the index of now writes."""
    fake, engine = both
    fake.says("/configs/ours-a/update", {"message": message}, status=status)

    assert swarmconfig.swap(engine, "ours-a", {}, 7, PURPOSE) is swapped


def test_any_other_refusal_is_told_in_the_engines_words(both: Both) -> None:
    """With what was meant to be done, and what to do."""
    fake, engine = both
    for path in ("/configs/ours-a", "/configs/create", "/configs/ours-a/update"):
        fake.says(path, {"message": "the disk is full"}, status=500)
    for word, ask in (
        ("read", lambda: swarmconfig.read(engine, "ours-a", PURPOSE)),
        ("create", lambda: swarmconfig.create(engine, "ours-a", {}, PURPOSE)),
        ("write", lambda: swarmconfig.swap(engine, "ours-a", {}, 7, PURPOSE)),
    ):
        with pytest.raises(EngineError, match=f"would not {word} .*: the disk is full") as caught:
            ask()
        assert (caught.value.code, caught.value.hint) == ("odd", "look at it")
