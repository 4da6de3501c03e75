"""Small makers of the values tests are about: a stack of `app` and `db` before and after an upgrade.

Times are seconds around the act, which is at 0. A service's hashes are made of what it is made of, so two
that are alike have equal ones, as in the Swarm.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from ccci_upgrade.model.app import App
from ccci_upgrade.model.compose import Compose, ComposeService
from ccci_upgrade.model.envfile import parse_env
from ccci_upgrade.model.facts import Facts
from ccci_upgrade.model.goal import Goal, Wanted
from ccci_upgrade.model.recipe import Recipe, Release
from ccci_upgrade.model.swarm import Mount, Port, Service, Stack, Task, UpdateState, UpdateStatus, Volume
from ccci_upgrade.model.version import RecipeVersion

STACK = "keycloak_ci_example_org"
APP = "keycloak.ci.example.org"
OLD = "1.0.0+25.0.6"
NEW = "1.1.0+25.1.0"
OLD_IMAGE = "keycloak/keycloak:25.0.6"
NEW_IMAGE = "keycloak/keycloak:25.1.0"
DB_IMAGE = "postgres:16.4"
ACT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def moment(seconds: float) -> datetime:
    """A time by the Engine's clock, in seconds after the act."""
    return ACT + timedelta(seconds=seconds)


def update(state: UpdateState, *, started: float = 1.0, message: str = "") -> UpdateStatus:
    """An UpdateStatus that began `started` seconds after the act."""
    return UpdateStatus(state=state, started=moment(started), completed=None, message=message or state.value)


def service(
    name: str = "app",
    *,
    image: str = OLD_IMAGE,
    version: str | None = None,
    replicas: int | None = 1,
    order: str = "stop-first",
    tweak: str = "",
    ports: tuple[Port, ...] = (),
    mounts: tuple[Mount, ...] = (),
    status: UpdateStatus | None = None,
    labels: dict[str, str] | None = None,
    networks: tuple[str, ...] = (),
) -> Service:
    """One service; `version` sets the version label, `tweak` stands for all else in a task's template."""
    own = dict(labels or {}) | ({f"coop-cloud.{STACK}.version": version} if version else {})
    template = f"{image}|{tweak}|{mounts}|{networks}"
    return Service(
        id=f"id-{name}",
        name=name,
        full_name=f"{STACK}_{name}",
        stack=STACK,
        image=image,
        labels=own,
        spec_hash=f"{template}|{sorted(own.items())}|{replicas}|{order}|{ports}",
        template_hash=template,
        previous_hash=None,
        replicas=replicas,
        wanted=1 if replicas is None else replicas,
        order=order,
        failure_action="rollback",
        has_healthcheck=True,
        mounts=mounts,
        ports=ports,
        networks=networks,
        update=status,
    )


def task(
    of: Service,
    name: str = "1",
    *,
    state: str = "running",
    desired: str = "running",
    created: float = -100.0,
    changed: float | None = None,
    error: str = "",
    exit_code: int | None = None,
    container: bool = True,
) -> Task:
    """One task of a service as it is now."""
    return Task(
        id=f"{of.name}-{name}",
        service_id=of.id,
        slot=1,
        node_id="node",
        template_hash=of.template_hash,
        image=of.image,
        state=state,
        desired=desired,
        error=error,
        exit_code=exit_code,
        container_id=f"c-{of.name}-{name}" if container else "",
        created=moment(created),
        changed=moment(created if changed is None else changed),
    )


def failed(of: Service, name: str, *, created: float, error: str = "task: non-zero exit (1)") -> Task:
    """One task that crashed."""
    return task(
        of, name, state="failed", desired="shutdown", created=created, changed=created + 0.5, error=error,
        exit_code=1,
    )  # fmt: skip


def volume(name: str, *, created: float | None = -1000.0) -> Volume:
    """One local volume."""
    when = None if created is None else moment(created)
    return Volume(name=name, driver="local", created=when, labels={})


def stack(
    *services: Service, tasks: tuple[Task, ...] | None = None, volumes: tuple[Volume, ...] = ()
) -> Stack:
    """A stack at one moment; without `tasks` every service has as many old running ones as it wants."""
    if tasks is None:
        tasks = tuple(task(s, str(n)) for s in services for n in range(s.wanted))
    return Stack(name=STACK, taken=ACT, services=services, tasks=tasks, volumes=volumes)


def goal(
    *,
    services: dict[str, Wanted] | None = None,
    version: str = NEW,
    was: str | None = OLD,
    settle: float = 5.0,
    holds_data: bool = True,
) -> Goal:
    """Where the act leads: a new image for `app`, the same for `db`."""
    wanted = {
        "app": Wanted(image=NEW_IMAGE, replicas=1, version_label=version),
        "db": Wanted(image=DB_IMAGE, replicas=1),
    }
    return Goal(
        version=version,
        was=was,
        services=wanted if services is None else services,
        acted=ACT,
        settle=settle,
        holds_data=holds_data,
    )


def app(env: str = f"TYPE=keycloak:{OLD}\nDOMAIN={APP}\n", *, holds_data: bool | None = True) -> App:
    """A keycloak."""
    return App(
        name=APP,
        server="ci.example.org",
        recipe="keycloak",
        recipe_folder="keycloak",
        domain=APP,
        stack=STACK,
        env=parse_env(env),
        path=Path(f"/home/maintainer/.abra/servers/ci.example.org/{APP}.env"),
        text=env,
        order=20,
        upgrade_last=False,
        holds_data=holds_data,
        address="",
        budget=600.0,
        settle=5.0,
        token_file="",
        probes=None,
    )


def version(text: str) -> RecipeVersion:
    """A version that can be parsed."""
    parsed = RecipeVersion.parse(text)
    assert parsed is not None
    return parsed


def release(text: str = NEW, *, annotated: bool = True) -> Release:
    """A published version."""
    return Release(version=version(text), commit="c0ffee" * 6 + "c0ff", annotated=annotated)


def recipe(
    *,
    versions: tuple[str, ...] = (OLD, NEW),
    dirty: tuple[str, ...] = (),
    stale: str = "",
) -> Recipe:
    """A recipe with these versions."""
    return Recipe(
        name="keycloak",
        path=Path("/home/maintainer/.abra/recipes/keycloak"),
        releases=tuple(release(text) for text in versions),
        dirty=dirty,
        stale=stale,
    )


def compose_service(
    name: str = "app",
    *,
    image: str = NEW_IMAGE,
    order: str = "stop-first",
    ports: tuple[Port, ...] = (),
    mounts: tuple[Mount, ...] = (),
    networks: tuple[str, ...] = (),
) -> ComposeService:
    """One service of the target's files."""
    return ComposeService(
        name=name,
        image=image,
        replicas=1,
        order=order,
        ports=ports,
        mounts=mounts,
        networks=networks,
        labels={f"coop-cloud.{STACK}.version": NEW} if name == "app" else {},
        environment={},
    )


def compose(*services: ComposeService) -> Compose:
    """The target's files; without services: `app` with the new image and `db` as before."""
    made = services or (compose_service(), compose_service("db", image=DB_IMAGE))
    return Compose(services=made, configs=(), secrets=(), volumes=(), networks=(), uses=())


def facts(*, running: Stack | None = None) -> Facts:
    """A healthy keycloak with one clean minor version to go to; nothing speaks against it."""
    return Facts(
        app=app(),
        stack=running or stack(service(version=OLD), service("db", image=DB_IMAGE)),
        deployed=version(OLD),
        deployed_text=OLD,
        chaos=None,
        recipe=recipe(),
        target=release(),
        old=compose(compose_service(image=OLD_IMAGE), compose_service("db", image=DB_IMAGE)),
        new=compose(),
    )
