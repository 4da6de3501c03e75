"""Replacing a volume against an Engine that refuses: nothing is touched too early, and each refusal is one error."""

import io
import json
import socket
import tarfile
from collections.abc import Iterator
from contextlib import closing

import pytest

from ccci_upgrade.errors import CcciError, EngineError
from ccci_upgrade.tools import volumes
from ccci_upgrade.tools.engine import Engine
from tests.fakeengine import FakeEngine, answer

GONE = (404, {"message": "get data: no such volume"})
HELD = (409, {"message": "remove data: volume is in use - [abc]"})
DONE = (204, None)
TASK = {"Id": "abc", "State": "exited", "Labels": {"com.docker.swarm.task.id": "t"}}
RUNS = {"Id": "def", "State": "running", "Labels": {}}


class Volumes:
    """An Engine with one volume `data`; what it answers next can be said."""

    def __init__(self, fake: FakeEngine) -> None:
        """Answer as if all went well and nobody had the volume."""
        self.fake = fake
        self.held: list[list[object]] = []
        self.deleted: list[tuple[int, object]] = []
        self.options: dict[str, str] | None = None
        self.pieces = [_archive()]
        self.created: tuple[int, object] = (201, {"Name": "data"})
        fake.replies["/containers/json"] = self._containers
        fake.replies["/volumes/data"] = self._volume
        fake.replies["/volumes/create"] = self._create
        fake.says("/containers/create", {"Id": "c"}, status=201)
        fake.replies["/containers/abc"] = answer(b"", status=204)

    def asked(self) -> list[str]:
        """What changed something, in order; a carrier's random name is left out."""
        found = [request for request in self.fake.requests if request.method != "GET"]
        return [f"{each.method} {each.path.partition('/ccci-upgrade-')[0]}" for each in found]

    def archives(self, data: bytes = b"") -> None:
        """Take any archive for a carrier, and give this one."""
        self.fake.otherwise = answer(data)

    def _containers(self, connection: socket.socket) -> bool:
        return _say(connection, 200, self.held.pop(0) if self.held else [])

    def _volume(self, connection: socket.socket) -> bool:
        if self.fake.requests[-1].method == "GET":
            return _say(connection, 200, {"Name": "data", "Driver": "local", "Options": self.options})
        return _say(connection, *(self.deleted.pop(0) if self.deleted else DONE))

    def _create(self, connection: socket.socket) -> bool:
        return _say(connection, *self.created)


def _say(connection: socket.socket, status: int, value: object) -> bool:
    return answer(b"" if value is None else json.dumps(value).encode(), status=status)(connection)


@pytest.fixture
def there() -> Iterator[Volumes]:
    """Give the Engine."""
    with FakeEngine() as fake:
        yield Volumes(fake)


def replace(there: Volumes, name: str = "data", *, cancelled: bool = False) -> CcciError:
    """Replace the volume; gives why that did not come to its end."""
    engine = Engine(there.fake.path, seconds=5)
    try:
        with pytest.raises(CcciError) as caught:
            volumes.replace(
                engine,
                stack="s",
                image="i",
                name=name,
                driver="local",
                options={},
                labels={"a": "b"},
                pieces=there.pieces,
                cancelled=lambda: cancelled,
            )
    finally:
        engine.close()
    return caught.value


def _archive() -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        root = tarfile.TarInfo("__v")
        root.type = tarfile.DIRTYPE
        tar.addfile(root)
    return sink.getvalue()


@pytest.mark.parametrize("name", ["", "x", "../containers/abc", "a/b", "-a", "ä" * 3, "a b", "a\n"])
def test_a_name_that_no_volume_has_asks_nothing(there: Volumes, name: str) -> None:
    """It becomes part of a path, and stands in a file that somebody may have written."""
    error = replace(there, name)

    assert error.code == "volume-name"
    assert there.fake.requests == []


def test_a_running_container_beside_an_ended_one_leaves_both(there: Volumes) -> None:
    """Nothing is removed before all is known."""
    there.held = [[TASK, RUNS]]
    error = replace(there)

    assert (error.code, error.message) == (
        "volume-in-use",
        "the volume data is in use: container def is running",
    )
    assert there.asked() == []


def test_a_container_on_its_way_out_is_waited_for(there: Volumes) -> None:
    """The Engine says 409 until it is gone; then the volume is made with its labels."""
    there.held = [[TASK], [TASK], []]
    there.deleted = [HELD, HELD, GONE]
    replace(there)
    (made,) = there.fake.asked("/volumes/create")

    assert there.asked()[:6] == ["DELETE /containers/abc", "DELETE /volumes/data"] * 2 + [
        "DELETE /volumes/data",
        "POST /volumes/create",
    ]
    assert json.loads(made.body) == {
        "Name": "data",
        "Driver": "local",
        "DriverOpts": {},
        "Labels": {"a": "b"},
    }


def test_a_volume_that_cannot_be_removed_is_told_in_the_engines_words(there: Volumes) -> None:
    """And is not written into."""
    there.deleted = [(500, {"message": "device or resource busy"})]
    error = replace(there)

    assert error.message == "the volume data cannot be removed: device or resource busy"
    assert there.asked() == ["DELETE /volumes/data"]


def test_a_volume_that_cannot_be_made_anew_is_told_in_the_engines_words(there: Volumes) -> None:
    """The next try begins where this one ended."""
    there.created = (500, {"message": "no space left on device"})
    error = replace(there)

    assert error.message == "the volume data cannot be made anew: no space left on device"
    assert there.asked() == ["DELETE /volumes/data", "POST /volumes/create"]


def test_a_missing_image_is_told_and_the_carrier_is_not_left(there: Volumes) -> None:
    """Nothing can carry the archive then."""
    there.fake.says("/containers/create", {"message": "No such image: i"}, status=404)

    assert replace(there).message == "no container of i can be made with data: No such image: i"


def test_cancelled_before_it_began_it_touches_nothing(there: Volumes) -> None:
    """As if it had never been called."""
    assert replace(there, cancelled=True).code == "engine-cancelled"
    assert there.asked() == []


STRANGE = {"Id": "fed", "State": "exited", "Labels": None}


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ([], ()),
        ([TASK, {"Id": "f", "State": "exited", "Labels": {volumes.MARK: "s"}}], ()),
        ([RUNS], ("container def is running",)),
        ([STRANGE, "junk"], ("container fed is no task of a service (`docker rm fed` removes it)",)),
    ],
)
def test_what_stands_against_a_replacement_is_known_before(
    there: Volumes, held: list[object], said: tuple[str, ...]
) -> None:
    """Ended tasks and carriers of ours are removed; an ended container of somebody's is not."""
    there.held = [held]
    with closing(Engine(there.fake.path, seconds=5)) as engine:
        assert volumes.against(engine, "data") == said


def test_who_starts_with_the_volume_while_it_is_filled_is_noticed(there: Volumes) -> None:
    """It saw half of it; a container without a good id is not removed by its name."""
    there.held = [[{"Id": "../x", "State": "exited", "Labels": TASK["Labels"]}], [RUNS]]
    there.archives()

    assert replace(there).message.endswith("a container was started with it meanwhile")
    assert not [each for each in there.asked() if each == "DELETE /containers/../x"]


def test_a_volume_that_is_none_of_the_engines_own_is_not_replaced(there: Volumes) -> None:
    """Its data is elsewhere: deleting it would leave that as it is."""
    there.options = {"type": "nfs", "o": "addr=10.0.0.1"}

    assert replace(there).code == "volume-kind"
    assert there.asked() == []


def test_an_archive_that_is_not_whole_is_no_proof(there: Volumes) -> None:
    """That the Engine broke off is told as its error, not as another content."""
    there.archives(_archive()[:700])
    with (
        closing(Engine(there.fake.path, seconds=5)) as engine,
        pytest.raises(EngineError, match="is not whole"),
    ):
        volumes.same(engine, stack="s", image="i", name="data", digest="", cancelled=lambda: False)


def test_a_damaged_archive_is_told_as_the_snapshots_fault(there: Volumes) -> None:
    """Before the Engine is told that this was all."""
    there.archives()
    there.pieces = [_archive()[:700]]

    assert replace(there).code == "snapshot-damaged"


def test_only_sizes_that_the_engine_tells_are_known(there: Volumes) -> None:
    """It says -1 where it has not added up; one that does not answer knows none."""
    rows: list[object] = [
        {"Name": "data", "UsageData": {"Size": 5}},
        {"Name": "other", "UsageData": {"Size": -1}},
        {"Name": "third"},
        "junk",
    ]
    with closing(Engine(there.fake.path, seconds=5)) as engine:
        assert volumes.sizes(engine) == {}
        there.fake.says("/system/df", {"Volumes": rows})
        assert volumes.sizes(engine) == {"data": 5}
        there.fake.says("/system/df", [])
        assert volumes.sizes(engine) == {}


def test_carriers_that_a_killed_run_left_are_removed(there: Volumes) -> None:
    """By their ids; what is no id is not asked for."""
    there.held = [[TASK, {"Id": "../x"}, "junk"]]
    with closing(Engine(there.fake.path, seconds=5)) as engine:
        volumes.remove_left(engine, stack="s")

    assert there.asked() == ["DELETE /containers/abc"]
