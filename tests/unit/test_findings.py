"""Every finding: on what evidence it is raised, and what does not raise it."""

from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import pytest

from ccci_upgrade.model.compose import ComposeConfig, ComposeNetwork, ComposeSecret, ComposeUse
from ccci_upgrade.model.facts import (
    AbraInfo,
    EnvHistory,
    Facts,
    ImageFact,
    ImagePlace,
    OtherOwner,
    OwnerKind,
    SwarmNames,
)
from ccci_upgrade.model.finding import GRAVEST_FIRST, Finding, Severity, in_order
from ccci_upgrade.model.findings import ACK_KINDS, find
from ccci_upgrade.model.findings.host import DISK_NEEDED
from ccci_upgrade.model.findings.recipe import find as find_in_recipe
from ccci_upgrade.model.image import bare_image
from ccci_upgrade.model.notes import make_note
from ccci_upgrade.model.probe import ProbeResult
from ccci_upgrade.model.protection import Protect, Protection
from ccci_upgrade.model.recipe import Moved
from ccci_upgrade.model.swarm import Mount, Port, UpdateState
from tests.builders import (
    DB_IMAGE,
    NEW,
    NEW_IMAGE,
    OLD,
    STACK,
    app,
    compose,
    compose_service,
    facts,
    failed,
    recipe,
    release,
    service,
    stack,
    task,
    update,
    version,
)

CLEAN = facts()
APP, DB = CLEAN.stack.services
NAMES = SwarmNames(secrets=frozenset({"db_v1"}), networks=frozenset({"proxy"}), configs={"entry_v1": b"old"})
DATA = Mount(kind="volume", source=f"{STACK}_data", target="/var/lib/data")
HOST_PORT = (Port(target=80, published=80, mode="host"),)
INGRESS = (Port(target=80, published=80, mode="ingress"),)
MIGRATE = b"# BREAKING\n\nYou must run the database migration by hand before upgrading.\n"


def running(*services: object, **more: object) -> Facts:
    """The clean facts with another stack."""
    return replace(CLEAN, stack=stack(*services, **more))  # type: ignore[arg-type]


def to(target: str, *, was: str = OLD) -> Facts:
    """The clean facts with other versions."""
    return replace(CLEAN, target=release(target), deployed=version(was), deployed_text=was)


def images(old: str, new: str) -> Facts:
    """The clean facts with another database before and after."""
    before = stack(service(version=OLD), service("db", image=old))
    return replace(CLEAN, stack=before, new=compose(compose_service(), compose_service("db", image=new)))


def env(text: str) -> Facts:
    """The clean facts with more lines in the `.env`."""
    return replace(CLEAN, app=app(f"TYPE=keycloak:{OLD}\nDOMAIN=keycloak.ci.example.org\n{text}"))


def variables(*uses: ComposeUse, old: str = "DOMAIN", new: str = "DOMAIN NEW_NAME", own: str = "") -> Facts:
    """A target whose sample has other names, used like this."""
    return replace(
        env(own),
        old_sample=frozenset(old.split()),
        new_sample=frozenset(new.split()),
        new=replace(compose(), uses=uses),
    )


def use(name: str = "NEW_NAME", *, default: bool) -> ComposeUse:
    """One use of a name in a compose file."""
    return ComposeUse(
        name=name, has_default=default, required=False, where="compose.yml services.app.environment"
    )


def names(there: SwarmNames, **parts: object) -> Facts:
    """A target that refers to these objects."""
    return replace(CLEAN, names=there, new=replace(compose(), **parts))  # type: ignore[arg-type]


def secret(name: str) -> tuple[ComposeSecret, ...]:
    """The target's one secret."""
    return (ComposeSecret(key="db", name=name, external=True),)


def config(data: bytes | None, *, swarm: bytes | None = b"old") -> Facts:
    """A target whose rendered config is `data` where the Swarm's is `swarm`."""
    made = (ComposeConfig(key="entry", name="entry_v1", file="entrypoint.sh", external=False),)
    seen = names(replace(NAMES, configs={"entry_v1": swarm}), configs=made)
    return replace(seen, rendered={} if data is None else {"entry_v1": data})


def noted(*texts: bytes | None) -> Facts:
    """Notes of versions 1.0.1, 1.0.2 and so on."""
    made = (make_note(f"1.0.{n}+25.0.6", text) for n, text in enumerate(texts, start=1))
    return replace(CLEAN, notes=tuple(made))


def owner(kind: OwnerKind) -> Facts:
    """Somebody else who deploys."""
    other = OtherOwner(name="reconcile.service", kind=kind, evidence=("ExecStart=abra app deploy",))
    return replace(CLEAN, owners=(other,))


def port(ports: tuple[Port, ...], order: str) -> Facts:
    """A target that publishes like this."""
    return replace(
        CLEAN, new=compose(compose_service(ports=ports, order=order), compose_service("db", image=DB_IMAGE))
    )


def mounts(*new: Mount, image: str = DB_IMAGE) -> Facts:
    """A database with a data volume whose target mounts these."""
    before = stack(service(version=OLD), service("db", image=DB_IMAGE, mounts=(DATA,)))
    return replace(
        CLEAN, stack=before, new=compose(compose_service(), compose_service("db", image=image, mounts=new))
    )


def anonymous() -> Facts:
    """A service whose volume without a name goes away."""
    before = stack(service(version=OLD, mounts=(replace(DATA, source=""),)), service("db", image=DB_IMAGE))
    return replace(CLEAN, stack=before)


def networks(old: str, new: str, *external: str) -> Facts:
    """An app on other networks, some of them external."""
    before = stack(service(version=OLD, networks=(old,)), service("db", image=DB_IMAGE))
    made = tuple(ComposeNetwork(key=name, name=name, external=True) for name in external)
    target = compose(compose_service(networks=(new,)), compose_service("db", image=DB_IMAGE))
    return replace(CLEAN, stack=before, names=NAMES, new=replace(target, networks=made))


def probed(*, ok: bool) -> Facts:
    """One probe, answered before the upgrade."""
    return replace(CLEAN, before=(ProbeResult(name="realm", ok=ok, detail="HTTP 502", seconds=0.1),))


def abra(**more: tuple[str, ...]) -> Facts:
    """An abra whose help says this."""
    return replace(CLEAN, abra=AbraInfo(path="/usr/bin/abra", version="0.13.0", **more))


def protected(how: Protect = Protect.STOPPED, **more: Any) -> Facts:
    """An app whose data is copied like this."""
    return replace(CLEAN, protection=Protection(protect=how, **more))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One finding: facts that raise it with a word of its evidence, and facts that must not."""

    id: str
    severity: Severity
    raised: Facts
    word: str
    not_raised: tuple[Facts, ...] = ()

    def __str__(self) -> str:
        return self.id


CASES = (
    # -- what runs now
    Case(
        id="undeployed",
        severity=Severity.BLOCK,
        raised=running(),
        word=f"com.docker.stack.namespace={STACK}",
    ),
    Case(
        id="updating-now",
        severity=Severity.BLOCK,
        raised=running(replace(APP, update=update(UpdateState.ROLLBACK_STARTED, started=-9))),
        word="app: UpdateStatus rollback_started",
        not_raised=(running(replace(APP, update=update(UpdateState.COMPLETED, started=-9))),),
    ),
    Case(
        id="unhealthy-before",
        severity=Severity.ACK,
        raised=running(APP, DB, tasks=(task(APP), failed(DB, "1", created=-9))),
        word="db: 0 of 1 tasks running (task: non-zero exit (1))",
        not_raised=(probed(ok=True),),
    ),
    Case(
        id="unhealthy-before",
        severity=Severity.ACK,
        raised=probed(ok=False),
        word="probe realm: HTTP 502",
    ),
    Case(
        id="unhealthy-before",
        severity=Severity.ACK,
        raised=running(replace(APP, replicas=0, wanted=0)),
        word="app: scaled to 0 replicas",
    ),
    Case(
        id="unhealthy-before",
        severity=Severity.ACK,
        raised=running(replace(APP, update=update(UpdateState.PAUSED, started=-9, message="why"))),
        word="app: UpdateStatus paused: why",
    ),
    Case(
        id="compose-unreadable",
        severity=Severity.ACK,
        raised=replace(CLEAN, new=None, problems=("compose.yml services.app: not a mapping",)),
        word="compose.yml services.app: not a mapping",
    ),
    Case(
        id="chaos-deployed",
        severity=Severity.ACK,
        raised=replace(CLEAN, chaos="1a2b3c4d"),
        word=f"coop-cloud.{STACK}.chaos-version=1a2b3c4d",
    ),
    Case(
        id="unknown-version",
        severity=Severity.ACK,
        raised=replace(CLEAN, deployed=None, deployed_text="main"),
        word="'main'",
    ),
    Case(
        id="unknown-version",
        severity=Severity.ACK,
        raised=replace(CLEAN, deployed=None, deployed_text=None),
        word="it is missing",
    ),
    Case(
        id="env-behind",
        severity=Severity.ACK,
        raised=replace(to("1.2.0+25.1.0", was=NEW), app=app()),
        word=f"keycloak.ci.example.org.env:1 pins {OLD}",
        not_raised=(
            replace(CLEAN, app=app("TYPE=keycloak\n")),
            replace(CLEAN, app=app(f"TYPE=keycloak:{NEW}\n")),
        ),
    ),
    # -- versions and images
    Case(
        id="downgrade",
        severity=Severity.BLOCK,
        raised=to(OLD, was=NEW),
        word=f"target: {OLD}",
    ),
    Case(
        id="ambiguous-version",
        severity=Severity.BLOCK,
        raised=to("1.0.0+25.0.7"),
        word="target: 1.0.0+25.0.7",
        not_raised=(to("1.0.1+25.0.6"),),
    ),
    Case(
        id="major",
        severity=Severity.ACK,
        raised=to("4.0.0+26.0.0"),
        word="major versions skipped: 2, 3",
        not_raised=(to("1.9.0+26.0.0"),),
    ),
    Case(
        id="major",
        severity=Severity.ACK,
        raised=replace(
            CLEAN,
            new=compose(
                compose_service(image="keycloak/keycloak:26.0.0"), compose_service("db", image=DB_IMAGE)
            ),
        ),
        word="app: keycloak/keycloak:25.0.6 → keycloak/keycloak:26.0.0",
    ),
    Case(
        id="db-major:db",
        severity=Severity.ACK,
        raised=images("postgres:15.8", "postgres:16.1"),
        word="db: postgres:15.8 → postgres:16.1",
        not_raised=(images("postgres:16.1", "postgres:16.4"), images("redis:6", "redis:7")),
    ),
    Case(
        id="db-major:db",
        severity=Severity.ACK,
        raised=images("mariadb:10.6", "mariadb:10.11"),
        word="mariadb:10.6 → mariadb:10.11",
        not_raised=(images("mariadb:10.11.2", "mariadb:10.11.8"),),
    ),
    Case(
        id="notes-migration:1.0.2+25.0.6",
        severity=Severity.ACK,
        raised=noted(b"Bug fixes.\n", MIGRATE),
        word="release/1.0.2+25.0.6:",
        not_raised=(noted(b"Bug fixes.\n"), noted(None)),
    ),
    Case(
        id="notes-missing",
        severity=Severity.WARN,
        raised=noted(b"Bug fixes.\n", None),
        word="release/1.0.2+25.0.6: no such file",
        not_raised=(noted(b"Bug fixes.\n"),),
    ),
    Case(
        id=f"lightweight-tag:{NEW}",
        severity=Severity.BLOCK,
        raised=replace(CLEAN, target=release(annotated=False)),
        word=f"cat-file -t {NEW}",
    ),
    Case(
        id="tag-moved",
        severity=Severity.WARN,
        raised=replace(CLEAN, recipe=replace(recipe(), moved=(Moved(NEW, "a" * 40, "b" * 40),))),
        word="here aaaaaaaaaaaa, upstream bbbbbbbbbbbb",
        not_raised=(replace(CLEAN, recipe=replace(recipe(), moved=(Moved("0.1.0", "a" * 40, "b" * 40),))),),
    ),
    # -- the recipe's files
    Case(
        id="dirty-recipe",
        severity=Severity.BLOCK,
        raised=replace(CLEAN, recipe=recipe(dirty=(" M compose.yml",))),
        word="compose.yml",
    ),
    Case(
        id="recipe-stale",
        severity=Severity.WARN,
        raised=replace(CLEAN, recipe=recipe(stale="git.coopcloud.tech did not answer")),
        word="git.coopcloud.tech",
    ),
    Case(
        id=f"image-unavailable:{NEW_IMAGE}",
        severity=Severity.BLOCK,
        raised=replace(
            CLEAN, images=(ImageFact(image=NEW_IMAGE, place=ImagePlace.NOWHERE, detail="manifest unknown"),)
        ),
        word="manifest unknown",
        not_raised=tuple(
            replace(CLEAN, images=(ImageFact(image=NEW_IMAGE, place=place),))
            for place in (ImagePlace.LOCAL, ImagePlace.REGISTRY, ImagePlace.UNKNOWN)
        ),
    ),
    Case(
        id="env-missing:NEW_NAME",
        severity=Severity.ACK,
        raised=variables(use(default=True), use(default=False)),
        word="compose.yml services.app.environment",
        not_raised=(
            variables(use(default=False), own="NEW_NAME=x"),
            variables(use(default=False), old="DOMAIN NEW_NAME"),
        ),
    ),
    Case(
        id="env-missing:NEW_NAME",
        severity=Severity.INFO,
        raised=variables(use(default=True)),
        word="compose.yml services.app.environment",
    ),
    Case(
        id="env-missing:NEW_NAME",
        severity=Severity.INFO,
        raised=variables(),
        word="in .env.sample only",
    ),
    Case(
        id="env-removed:OLD_NAME",
        severity=Severity.INFO,
        raised=variables(old="DOMAIN OLD_NAME", new="DOMAIN", own="OLD_NAME=x"),
        word="keycloak.ci.example.org.env:3",
        not_raised=(variables(old="DOMAIN OLD_NAME", new="DOMAIN"),),
    ),
    Case(
        id="secret-missing:db",
        severity=Severity.BLOCK,
        raised=names(NAMES, secrets=secret("db_v2")),
        word="db_v2",
        not_raised=(names(NAMES, secrets=secret("db_v1")), replace(CLEAN, names=None)),
    ),
    Case(
        id="config-not-bumped:entry",
        severity=Severity.BLOCK,
        raised=config(b"newer"),
        word="entrypoint.sh of the target: 5 bytes; in the Swarm: 3 bytes",
        not_raised=(config(b"old"), config(None), config(b"newer", swarm=None)),
    ),
    Case(
        id="host-port-start-first:app",
        severity=Severity.ACK,
        raised=port(HOST_PORT, "start-first"),
        word="host ports 80",
        not_raised=(port(HOST_PORT, "stop-first"), port(INGRESS, "start-first")),
    ),
    Case(
        id=f"volume-removed:{STACK}_data",
        severity=Severity.ACK,
        raised=mounts(replace(DATA, source=f"{STACK}_data2")),
        word=f"/var/lib/data will hold {STACK}_data2",
        not_raised=(mounts(DATA), mounts(replace(DATA, target="/data"))),
    ),
    Case(
        id=f"volume-removed:{STACK}_data",
        severity=Severity.ACK,
        raised=mounts(),
        word="/var/lib/data will hold no volume",
        not_raised=(anonymous(),),
    ),
    Case(
        id="network-changed",
        severity=Severity.WARN,
        raised=networks("proxy", "backend"),
        word="app: proxy → backend",
        not_raised=(networks("proxy", "proxy", "proxy"),),
    ),
    Case(
        id="network-changed",
        severity=Severity.WARN,
        raised=networks("proxy", "proxy", "monitoring"),
        word="external network monitoring does not exist",
    ),
    # -- around the app
    Case(
        id="other-owner-acting",
        severity=Severity.BLOCK,
        raised=owner(OwnerKind.ACTING),
        word="reconcile.service: ExecStart=abra app deploy",
        not_raised=(owner(OwnerKind.MAY_ACT), owner(OwnerKind.HOST_REBUILD)),
    ),
    Case(
        id="other-owner",
        severity=Severity.ACK,
        raised=owner(OwnerKind.MAY_ACT),
        word="reconcile.service: ExecStart=abra app deploy",
        not_raised=(owner(OwnerKind.ACTING), owner(OwnerKind.HOST_REBUILD)),
    ),
    Case(
        id="busy",
        severity=Severity.ACK,
        raised=replace(CLEAN, busy=("test stack ci-42 is deployed",)),
        word="ci-42",
    ),
    Case(
        id="disk-space",
        severity=Severity.BLOCK,
        raised=replace(CLEAN, disk_free=DISK_NEEDED - 1),
        word="1024 MiB needed",
        not_raised=(replace(CLEAN, disk_free=DISK_NEEDED), replace(CLEAN, disk_free=None)),
    ),
    Case(
        id="env-upstream",
        severity=Severity.ACK,
        raised=replace(CLEAN, env_history=EnvHistory(upstream="c0ffee by Mia: raise memory")),
        word="by Mia",
    ),
    Case(
        id="env-uncommitted",
        severity=Severity.WARN,
        raised=replace(CLEAN, env_history=EnvHistory(uncommitted=" M keycloak.ci.example.org.env")),
        word="keycloak.ci.example.org.env",
    ),
    Case(
        id="abra-unverified",
        severity=Severity.WARN,
        raised=abra(unread=("abra app upgrade --help",)),
        word="abra app upgrade --help",
        not_raised=(abra(), replace(CLEAN, abra=None)),
    ),
    Case(
        id="abra-unverified",
        severity=Severity.WARN,
        raised=abra(missing=("abra app upgrade: --no-input",)),
        word="--no-input",
    ),
    Case(
        id="image-drift:app",
        severity=Severity.INFO,
        raised=running(
            replace(APP, replicas=2, wanted=2),
            tasks=(task(APP, "1"), replace(task(APP, "2"), image=f"{APP.image}@sha256:{'0' * 64}")),
        ),
        word="sha256:000",
    ),
    # -- whether the data can be copied
    Case(
        id="no-snapshot",
        severity=Severity.ACK,
        raised=protected(refused=("app: /srv is a folder of the host",)),
        word="a folder of the host",
        not_raised=(protected(), protected(Protect.NOTHING, refused=("app: /srv is a folder of the host",))),
    ),
    Case(
        id="secrets-not-kept",
        severity=Severity.WARN,
        raised=protected(secrets=("k_db_v1", "k_admin_v1", "k_db_v1")),
        word="docker secret inspect k_admin_v1",
        not_raised=(
            protected(secrets=("k_db_v1",), recipient=True),
            protected(Protect.RUNNING, secrets=("k_db_v1",)),
            protected(recipient=True),
        ),
    ),
    Case(
        id="disk-space:snapshot",
        severity=Severity.BLOCK,
        raised=protected(sizes={"a": 100}, reserve=50, free=249),
        word="are free where snapshots go",
        not_raised=(protected(sizes={"a": 100}, reserve=50, free=250), protected(sizes={"a": 100})),
    ),
    Case(
        id="remote-snapshot",
        severity=Severity.ACK,
        raised=protected(remote=True, sizes={"a": 10 * 1024**2}, unknown=("b",)),
        word="and what b hold: about 16 s down at 10 MiB/s",
        not_raised=(protected(sizes={"a": 10}), protected(Protect.RUNNING, remote=True)),
    ),
    Case(
        id="remote-snapshot",
        severity=Severity.ACK,
        raised=protected(remote=True, sizes={"a": 10 * 1024**2}),
        word="10.5 MB: about 16 s",
    ),
    Case(
        id="snapshot-suspect",
        severity=Severity.ACK,
        raised=protected(sizes={"db": 0}, databases=frozenset({"db"})),
        word="volume db of a database is empty",
        not_raised=(
            protected(sizes={"db": 0}),
            protected(Protect.RUNNING, sizes={"db": 0}, databases=frozenset({"db"})),
        ),
    ),
    Case(
        id="unseen",
        severity=Severity.WARN,
        raised=replace(CLEAN, unseen=("systemd units are on another machine",)),
        word="systemd units",
    ),
)

KINDS = frozenset(
    {
        "undeployed", "updating-now", "dirty-recipe", "secret-missing", "image-unavailable",
        "config-not-bumped", "downgrade", "ambiguous-version", "lightweight-tag", "disk-space",
        "other-owner-acting", "major", "db-major", "notes-migration", "volume-removed",
        "chaos-deployed", "compose-unreadable", "unknown-version", "unhealthy-before", "env-missing",
        "host-port-start-first", "env-behind", "env-upstream", "other-owner", "busy",
        "notes-missing", "network-changed", "env-uncommitted", "tag-moved", "recipe-stale",
        "abra-unverified", "env-removed", "image-drift", "no-snapshot", "remote-snapshot",
        "snapshot-suspect", "secrets-not-kept", "unseen",
    }
)  # fmt: skip
"""Every finding of an upgrade, by what stands before its colon."""


def raised(seen: Facts, wanted: str) -> list[Finding]:
    """The findings of that id."""
    return [finding for finding in find(seen) if finding.id == wanted]


def test_a_clean_minor_version_has_no_findings() -> None:
    """A false block or a needless acknowledgement sends people back to bare abra."""
    assert list(find(CLEAN)) == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_finding_is_raised_once_with_its_evidence(case: Case) -> None:
    """Its severity is the contract's, its evidence says what was seen."""
    (finding,) = raised(case.raised, case.id)

    assert finding.severity is case.severity
    assert any(case.word in line for line in finding.evidence), finding.evidence


@pytest.mark.parametrize("case", CASES, ids=str)
def test_finding_is_not_raised_without_its_reason(case: Case) -> None:
    """The clean facts never raise it, nor do those that only look like it."""
    for seen in (CLEAN, *case.not_raised):
        assert raised(seen, case.id) == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_finding_says_what_was_seen_and_what_to_do(case: Case) -> None:
    """Whatever else the same facts raise is held to it, too."""
    for finding in find(case.raised):
        assert finding.title.strip()
        assert finding.remedy.strip()
        assert finding.evidence
        assert all(line.strip() for line in finding.evidence), finding


def test_every_finding_has_its_cases_here() -> None:
    """A new kind of finding is not raised anywhere before its cases are written."""
    assert {case.id.split(":")[0] for case in CASES} == KINDS


def test_ids_are_unique_within_a_plan() -> None:
    """An acknowledgement names exactly one finding."""
    for case in CASES:
        ids = [finding.id for finding in find(case.raised)]
        assert len(ids) == len(set(ids)), ids


def test_a_volume_that_two_services_lose_is_one_finding() -> None:
    """Both are in its evidence."""
    before = stack(service(version=OLD, mounts=(DATA,)), service("db", image=DB_IMAGE, mounts=(DATA,)))

    (finding,) = raised(replace(CLEAN, stack=before), f"volume-removed:{STACK}_data")

    assert [line.split(":")[0] for line in finding.evidence] == ["app", "db"]


def test_exactly_the_ack_findings_can_be_acknowledged() -> None:
    """A kind that is never held on is a usage error, one that is held on can always be named."""
    found = chain.from_iterable(find(case.raised) for case in CASES)

    assert {f.id.split(":")[0] for f in found if f.severity is Severity.ACK} == ACK_KINDS


def test_an_image_nobody_explains_still_has_evidence() -> None:
    """The Engine may refuse without a word."""
    silent = ImageFact(image=NEW_IMAGE, place=ImagePlace.NOWHERE)
    (finding,) = raised(replace(CLEAN, images=(silent,)), f"image-unavailable:{NEW_IMAGE}")

    assert all(line.strip() for line in finding.evidence)


def test_an_app_that_is_not_deployed_has_nothing_else_to_say_of_it() -> None:
    """One thing to do, not ten."""
    assert [finding.id for finding in find(replace(running(), target=None))] == ["undeployed"]


def test_without_a_target_only_what_runs_is_judged() -> None:
    """Up to date: the recipe's findings are of no use to anyone."""
    seen = replace(CLEAN, target=None, chaos="1a2b3c", recipe=recipe(dirty=(" M x",)))

    assert [finding.id for finding in find(seen)] == ["chaos-deployed"]


def test_one_major_finding_names_every_reason() -> None:
    """Recipe, images with their pages, and the notes that are missing."""
    seen = replace(
        to("2.0.0+26.0.0"),
        new=compose(compose_service(image="keycloak/keycloak:26.0.0"), compose_service("db", image=DB_IMAGE)),
        notes=(make_note("2.0.0+26.0.0", None),),
    )
    (finding,) = raised(seen, "major")
    text = "\n".join(finding.evidence)

    assert f"recipe: {OLD} → 2.0.0+26.0.0" in text
    assert "keycloak:26.0.0" in text
    assert "https://www.keycloak.org/" in text
    assert "no release note for 2.0.0+26.0.0" in text


def test_the_gravest_come_first() -> None:
    """A person reads from the top."""
    everything = list(chain.from_iterable(find(case.raised) for case in CASES))

    ranks = [GRAVEST_FIRST[finding.severity] for finding in in_order(everything)]

    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2, 3}


def test_without_a_target_nothing_is_said_of_versions_or_files() -> None:
    """There is nothing to go to, and so nothing that could be wrong with it."""
    raised = {each.id for each in find(replace(CLEAN, target=None, new=None, problems=("no compose.yml",)))}

    assert list(find_in_recipe(replace(CLEAN, target=None, new=None))) == []
    assert raised.isdisjoint({"compose-unreadable", "major", "downgrade", "notes-missing"})


def test_a_service_that_the_target_lacks_takes_no_volume_with_it() -> None:
    """Its volume stays where it is; the service that goes is not asked what it mounts."""
    before = stack(service(version=OLD), service("old", mounts=(DATA,)), service("db", image=DB_IMAGE))
    raised = {each.id for each in find(replace(CLEAN, stack=before))}

    assert not {each for each in raised if each.startswith("volume-removed")}


def test_from_an_unknown_version_no_major_is_counted_as_skipped() -> None:
    """How many were passed over cannot be known."""
    seen = replace(to("9.0.0+30.0.0"), deployed=None, deployed_text=None)

    for each in find(seen):
        assert not [line for line in each.evidence if "skipped" in line]


def test_of_an_app_that_is_not_deployed_nothing_else_is_said() -> None:
    """No version runs, so none is unknown."""
    seen = replace(running(), deployed=None, deployed_text=None, chaos="1a2b3c4d", target=None)

    assert [each.id for each in find(seen)] == ["undeployed"]


def test_an_unknown_version_is_shown_with_what_runs() -> None:
    """The images are what a person can go by."""
    (found,) = raised(replace(CLEAN, deployed=None, deployed_text="main"), "unknown-version")

    assert found.evidence[1:] == tuple(f"{s.name} runs {bare_image(s.image)}" for s in CLEAN.stack.services)


def test_where_the_swarm_was_not_asked_nothing_is_missing_in_it() -> None:
    """Unknown names are not missing ones; that they are unknown is said elsewhere."""
    seen = replace(CLEAN, names=None, new=replace(compose(), secrets=secret("db_v2")))

    assert not [each.id for each in find(seen) if each.id.startswith("secret-missing")]


def test_a_service_that_leaves_all_its_networks_is_named_so() -> None:
    """And one that had none."""
    before = stack(service(version=OLD, networks=("old",)), service("db", image=DB_IMAGE, networks=()))
    target = compose(compose_service(networks=()), compose_service("db", image=DB_IMAGE, networks=("new",)))
    (found,) = raised(replace(CLEAN, stack=before, new=target), "network-changed")

    assert found.evidence == ("app: old → none", "db: none → new")


def test_a_target_whose_files_were_not_read_is_never_taken_for_clean() -> None:
    """Even where nobody says why."""
    (found,) = raised(replace(CLEAN, new=None, problems=()), "compose-unreadable")

    assert (found.severity, found.evidence) == (Severity.ACK, ("no reason is known",))


def test_where_nothing_can_be_copied_nothing_is_said_of_the_copy() -> None:
    """Neither its size nor its way nor its secrets are of any matter then."""
    more: dict[str, Any] = {"sizes": {"db": 0}, "databases": frozenset({"db"}), "secrets": ("s",)}
    seen = protected(refused=("app: /srv is a folder of the host",), remote=True, free=0, reserve=1, **more)

    assert [each.id for each in find(seen)] == ["no-snapshot"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("DOMAIN=x\nTYPE=keycloak:0.9.0+1\n", 2),
        ("TYPE=keycloak:0.9.0+1\n", 1),
        ("DOMAIN=x\nX=1\nRECIPE=keycloak:0.9.0+1\n", 3),
        ("TYPE=keycloak:0.9.0+1\nRECIPE=keycloak:0.9.0+1\n", 2),
    ],
)
def test_an_older_pin_is_shown_with_its_line(text: str, line: int) -> None:
    """Whichever of its two names it has."""
    (found,) = raised(replace(CLEAN, app=app(text)), "env-behind")

    assert found.evidence[0].endswith(f".env:{line} pins 0.9.0+1")
