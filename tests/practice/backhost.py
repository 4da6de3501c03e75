"""The practice host of the kill matrix for tests in this process: ways back, and runs that never ended."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ccci_upgrade.config import read_config
from ccci_upgrade.flows.gates import Result
from ccci_upgrade.flows.host import Host, open_host
from ccci_upgrade.flows.memory import remember
from ccci_upgrade.flows.resume import EndRequest, end_open_run
from ccci_upgrade.flows.rollback import BackRequest, go_back
from ccci_upgrade.flows.snapshot import create
from ccci_upgrade.flows.upgrade import Request, upgrade
from ccci_upgrade.model.memory import LastGood, config_name
from ccci_upgrade.model.openrun import Way
from ccci_upgrade.model.run import UPGRADE, Phase, Run
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.model.verdict import State
from ccci_upgrade.store.journal import Journal, read_all
from ccci_upgrade.store.snapshots import Store
from ccci_upgrade.tools.scaling import scale
from ccci_upgrade.ui.prompt import Nobody
from tests.killing.lab import Lab, lab
from tests.killing.recipe import APP, NAME, NEW, OLD, SERVER, SERVICES, STACK, VOLUMES
from tests.unit.test_steps import Told

BOTH = f"{SERVICES[1]}=1 {SERVICES[0]}=1"
"""The replicas of both services, as a run notes them."""

LOSS = "data-loss"


class DiedError(BaseException):
    """The process ends here: nothing that catches errors hears of it."""


class Doing(Told):
    """A Reporter that does something as soon as a step of that title begins."""

    def __init__(self, title: str, act: Callable[[], object]) -> None:
        """Nothing is done yet."""
        super().__init__()
        self._title = title
        self._act = act

    def phase(self, app: str, text: str) -> None:
        """Do it once."""
        super().phase(app, text)
        if text == self._title:
            self._title = ""
            self._act()


def die() -> None:
    """End here."""
    raise DiedError


def press() -> None:
    """Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


class Place:
    """One host that tests put back to a picture of it; `host` is it as the flows have it."""

    def __init__(self, lab_: Lab) -> None:
        """It runs the old version, and nothing is kept."""
        self.lab = lab_
        self.host = open_host(read_config(lab_.folder / "ccci-upgrade.toml"), SERVER)
        self.told = Told()
        self._pictures = {"fresh": lab_.picture()}

    def close(self) -> None:
        """Let go of the Engine."""
        self.host.swarm.engine.close()
        self.host.close()

    # -- where a test starts -------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Be fresh, saved (a snapshot of what then was changed), or upgraded (with a snapshot from before)."""
        if name not in self._pictures:
            self.start("fresh")
            getattr(self, f"_{name}")()
            self._pictures[name] = self.lab.picture()
        self.lab.restore(self._pictures[name])
        self.told = Told()

    def _saved(self) -> None:
        made, _ = create(self.host, self.host.apps, self.told)
        assert made[0].error is None
        self.lab.spoil()

    def _upgraded(self) -> None:
        request = Request(apps=(APP,), offline=True)
        done = upgrade(self.host, request, reporter=self.told, prompter=Nobody())
        assert done.exit == 0, done
        self.lab.spoil()

    # -- what is done --------------------------------------------------------------------------------------

    def back(self, *acks: str, told: Told | None = None, host: Host | None = None, **more: Any) -> Result:
        """Ask for a way back."""
        request = BackRequest(app=APP, acks=acks, offline=True, **more)
        return go_back(host or self.host, request, reporter=told or self.told, prompter=Nobody())

    def died(self, title: str, *acks: str, **more: Any) -> Run:
        """A way back whose process ended where the step of that title was to begin; gives what is left open."""
        try:
            self.back(*acks, told=Doing(title, die), **more)
        except DiedError:
            (left,) = read_all(self.state).open
            return left
        raise AssertionError(title)

    def stop(self, *names: str) -> None:
        """Leave services at 0 as a run does that stopped them."""
        for name in names or SERVICES:
            scale(self.lab.engine, name, 0)

    def start_services(self) -> None:
        """Somebody starts the app again as it is."""
        for name in SERVICES:
            scale(self.lab.engine, name, 1)
        self.lab.wait(self.lab.running, "the app did not come up")

    def unlabel(self) -> None:
        """Take away what says which version runs."""
        found = self.lab.engine.get(f"/services/{SERVICES[0]}")
        assert isinstance(found, dict)
        spec, version = found["Spec"], found["Version"]
        assert isinstance(spec, dict)
        assert isinstance(version, dict)
        spec["Labels"] = {"com.docker.stack.namespace": STACK}
        query = {"version": version["Index"]}
        answer = self.lab.engine.ask("POST", f"/services/{SERVICES[0]}/update", query, body=spec)
        assert answer.status == 200, answer.message

    def left_open(self, *phases: Phase, command: str = UPGRADE, here: bool = True, **more: Any) -> Run:
        """A run in the journal that never ended, by a process that is gone; not `here` it is only given."""
        run = Run(
            run_id="20260301T120000-dead",
            command=command,
            app=APP,
            recipe=NAME,
            server=SERVER,
            cluster=self.host.cluster.id,
            from_version=OLD,
            to_version=NEW,
            started="2026-03-01T12:00:00.000Z",
            operator="mia",
            host="laptop",
            pid=1,
        )
        run = replace(run, **more)
        if here:
            journal = Journal(self.state, run.cluster)
            journal.open(run)
            for each in phases:
                journal.begin(run.run_id, each.name, detail=each.detail)
                if each.ok is not None:
                    journal.end(run.run_id, each.name, ok=each.ok, seconds=each.seconds, detail=each.detail)
        return replace(run, phases=phases)

    def remembers(self, *versions: str) -> None:
        """What the maintainers of this Swarm know to be good, and nothing else."""
        self.lab.engine.ask("DELETE", f"/configs/{config_name(STACK)}")
        for version in versions:
            good = LastGood(
                app=APP,
                stack=STACK,
                recipe=NAME,
                version=version,
                recorded="2026-03-01T12:00:00.000Z",
                operator="mia",
                host="laptop",
                run_id="run-1",
            )
            remember(self.host.swarm, good)

    def without_data(self) -> Host:
        """The same host, where the app is said to hold no data."""
        (app,) = self.host.apps
        return replace(self.host, apps=(replace(app, holds_data=False),))

    def rewrite(self, snapshot: str, **values: Any) -> None:
        """Change what the manifest of a snapshot says."""
        path = self.files(snapshot) / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    def fit_for_all(self) -> None:
        """Let no version refuse the data: nobody is known to have written it."""
        for name in VOLUMES:
            (self.volumes / name / "version").unlink(missing_ok=True)

    def migrated(self) -> None:
        """Let the older version refuse the data."""
        for name in VOLUMES:
            (self.volumes / name / "version").write_text("999.0\n")

    # -- what is seen --------------------------------------------------------------------------------------

    @property
    def state(self) -> Path:
        """Where journal and snapshots are."""
        return self.host.config.state_dir

    @property
    def volumes(self) -> Path:
        """Where the Engine keeps data."""
        return self.lab.root / "e" / "volumes"

    @property
    def env(self) -> Path:
        """The app's `.env`."""
        return self.host.apps[0].path

    @property
    def store(self) -> Store:
        """Its snapshots."""
        return Store(self.state, self.host.cluster.id)

    @property
    def stack(self) -> Stack:
        """It as it runs."""
        return self.host.swarm.stack(STACK)

    @property
    def replicas(self) -> list[int | None]:
        """Those wanted of each service, by name."""
        return [each.replicas for each in sorted(self.stack.services, key=lambda each: each.name)]

    @property
    def first(self) -> str:
        """The id of the oldest snapshot."""
        return self.lab.snapshots[0]

    @property
    def runs(self) -> tuple[Run, ...]:
        """All that the journal has."""
        return read_all(self.state).runs

    def files(self, snapshot: str) -> Path:
        """Where a snapshot is."""
        (found,) = self.state.glob(f"*/snapshots/*/{snapshot}")
        return found


@contextmanager
def place() -> Iterator[Place]:
    """Give one, and leave nothing."""
    with lab() as made:
        ours = Place(made)
        try:
            yield ours
        finally:
            ours.close()


def phase(name: str, detail: str = "", *, ok: bool | None = True) -> Phase:
    """One phase as the journal has it; `ok` is None where it never ended."""
    return Phase(name=name, seconds=1.0, ok=ok, detail=detail)


# -- runs that never ended, and their end ---------------------------------------------------------------------


def end(there: Place, way: Way, *, told: Told | None = None, host: Host | None = None, **more: Any) -> Result:
    """End its open run one way."""
    request = EndRequest(way=way, **{"app": APP, "offline": True, **more})
    return end_open_run(host or there.host, request, reporter=told or there.told, prompter=Nobody())


def only(result: Result) -> Run:
    """The one run of a result, which ended."""
    (run,) = result.runs
    assert run.finished is not None
    return run


def names(run: Run) -> list[str]:
    """The phases of a run."""
    return [each.name for each in run.phases]


def said(run: Run) -> list[str]:
    """What its phases came to."""
    return [each.detail for each in run.phases]


def state(run: Run) -> State | None:
    """What its verdict says."""
    return run.verdict.state if run.verdict else None


def row(there: Place) -> str:
    """What is in a file of the data that `spoil` changes."""
    return (there.volumes / VOLUMES[0] / "sub" / "rows").read_bytes()[:6].decode(errors="replace")


def in_snapshot(there: Place) -> bool:
    """Whether the data is that of the snapshot, and not what was written since."""
    return row(there) != "spoilt" and not (there.volumes / VOLUMES[0] / "sub" / "new").exists()
