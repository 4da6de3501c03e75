"""Drift: each way to differ is named once, with who wins; what is the same is never told."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.model.appnow import (
    AppNow,
    Left,
    Running,
    Shape,
    UnfitError,
    env_sha256,
    recorded,
    running_of,
)
from ccci_upgrade.model.drift import compare
from ccci_upgrade.model.driftrow import Row, Side, Weight
from ccci_upgrade.model.lockfile import LockedApp, LockedImage, LockFile
from ccci_upgrade.model.recipe import Moved
from ccci_upgrade.model.swarm import Mount, UpdateState
from tests import builders
from tests.builders import APP, DB_IMAGE, NEW, NEW_IMAGE, OLD, OLD_IMAGE, STACK
from tests.unit.locks import APPS, COMMIT, DIGEST, ENV, LOCK, LOCKED, NOW, RUNNING

OTHER = "f" * 40
RUN = Left(versions=frozenset({NEW}), at="2026-03-02T12:00:00.000Z", run="run-2", who="mia on ci")


def _rows(now: AppNow = NOW, lock: LockFile = LOCK) -> tuple[Row, ...]:
    return compare(lock, [now])


def _one(now: AppNow, lock: LockFile = LOCK) -> Row:
    (row,) = _rows(now, lock)
    return row


def _runs(**changes: object) -> AppNow:
    return replace(NOW, running=replace(RUNNING, **changes))  # type: ignore[arg-type]


def _env(text: str) -> AppNow:
    return replace(NOW, app=builders.app(text))


# -- the same ---------------------------------------------------------------------------------------------------------


def test_what_was_just_recorded_has_not_drifted() -> None:
    """And it is recorded as the lock has it."""
    made = recorded(NOW, LOCKED.verdict)

    assert made == LOCKED
    assert _rows() == ()


@given(APPS, APPS)
def test_only_what_differs_is_told(locked: LockedApp, other: LockedApp) -> None:
    """For any two apps: of equal ones nothing; else each row's sides differ, and no row is told twice."""
    lock, now = _as_now(locked)
    assert compare(lock, [now]) == ()

    rows = compare(lock, [_as_now(replace(other, name=locked.name))[1]])

    assert len({row.what for row in rows}) == len(rows)
    for row in rows:
        sides = [side for side in (row.lock, row.env, row.running, row.recipe) if side is not None]
        assert len(set(sides)) > 1 or len(sides) == 1, row
        assert row.said


def _as_now(locked: LockedApp) -> tuple[LockFile, AppNow]:
    """An app that runs just as it was recorded, and the lock with the hash of an `.env` for it."""
    running = Running(
        version=locked.version,
        images=locked.images,
        shapes={service: Shape(hash=text) for service, text in locked.shapes.items()},
        volumes=locked.volumes,
        secrets=locked.secrets,
        configs=locked.configs,
    )
    text = f"TYPE={locked.recipe}:{locked.version}\n"
    release = replace(builders.release(), version=builders.version(locked.version), commit=locked.commit)
    app = replace(builders.app(text), name=locked.name, recipe=locked.recipe, order=locked.order)
    recipe = replace(builders.recipe(), releases=(release,))
    now = AppNow(name=locked.name, app=app, running=running, recipe=recipe)
    hashed = replace(locked, env_sha256=env_sha256(text, locked.version))
    return LockFile(server="s", apps=(hashed,)), now


# -- version ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pinned", "runs", "wins", "said", "remedy"),
    [
        (NEW, NEW, Side.RUNNING, "deployed after", "lock write"),
        (OLD, NEW, Side.LOCK, "not by a deploy", f"rollback {APP} --to {OLD}"),
        (NEW, OLD, Side.RUNNING, "next deploy", f"write {OLD} behind"),
        ("1.2.0+25.2.0", NEW, None, "all three differ", ""),
        (None, NEW, Side.RUNNING, "deployed after", "lock write"),
        (OLD, None, Side.LOCK, "not by a deploy", f"rollback {APP} --to {OLD}"),
        (OLD, "0.9.0+24.0.0", Side.LOCK, "not by a deploy", f"upgrade {APP} --to {OLD}"),
        (OLD, "main", Side.LOCK, "not by a deploy", f"rollback {APP} --to {OLD}"),
    ],
)
def test_of_three_versions_two_that_agree_win(
    pinned: str | None, runs: str | None, wins: Side | None, said: str, remedy: str
) -> None:
    """All three are told, and where all differ a person decides."""
    env = ENV.replace(f":{OLD}", f":{pinned}" if pinned else "")
    row = _one(replace(_env(env), running=replace(RUNNING, version=runs)))

    assert (row.what, row.lock, row.env, row.running) == ("version", OLD, pinned, runs or "unknown")
    assert (row.weight, row.wins) == (Weight.DRIFT, wins)
    assert said in row.said
    assert remedy in row.remedy
    assert bool(remedy) is bool(row.remedy)


@pytest.mark.parametrize(
    ("left", "other"),
    [
        (RUN, False),
        (replace(RUN, versions=frozenset({OLD})), True),
        (replace(RUN, versions=frozenset({OLD, NEW})), False),
        (replace(RUN, versions=frozenset()), True),
        (None, True),
    ],
)
def test_a_version_that_nobody_in_the_journal_brought_is_another_owners(
    left: Left | None, *, other: bool
) -> None:
    """By the newest word of a journal or of the Swarm's memory; who did it is named where that is known."""
    row = _one(replace(_runs(version=NEW), left=left))

    assert row.other_owner is other
    assert ("another owner" in row.said) is other
    assert ("mia on ci" in row.said) is not other


def test_a_pin_that_was_edited_is_nobodys_upgrade() -> None:
    """What runs is as in the lock: no other owner is suspected."""
    row = _one(_env(ENV.replace(OLD, NEW)))

    assert (row.wins, row.other_owner) == (Side.RUNNING, False)
    assert "next deploy" in row.said


def test_an_app_from_a_work_tree_is_told() -> None:
    """Its label may still say the lock's version."""
    row = _one(_runs(chaos="1a2b3c"))

    assert (row.what, row.running, row.wins) == ("chaos", "1a2b3c", Side.LOCK)


def test_images_and_configs_of_another_version_are_no_drift_of_their_own() -> None:
    """They came with it. Volumes and secrets are told in any case."""
    rows = _rows(
        _runs(version=NEW, images={"app": LockedImage(image=NEW_IMAGE)}, configs={}, shapes={}, volumes=())
    )

    assert [row.what for row in rows] == ["version", *(f"volume:{name}" for name in RUNNING.volumes)]


# -- recipe and `.env` ------------------------------------------------------------------------------------------------


def test_a_tag_that_moved_is_told_here_and_upstream() -> None:
    """With the commit it names now; the lock's wins, for that is what was judged."""
    recipe = builders.recipe()
    here = replace(recipe, releases=tuple(replace(r, commit=OTHER) for r in recipe.releases))
    upstream = replace(recipe, moved=(Moved(NEW, COMMIT, "e" * 40), Moved(OLD, COMMIT, OTHER)))

    for moved, word in ((here, "checkout"), (upstream, "upstream")):
        row = _one(replace(NOW, recipe=moved))
        assert (row.what, row.lock, row.recipe, row.wins) == ("commit", COMMIT, OTHER, Side.LOCK)
        assert (row.weight, word in row.said) == (Weight.DRIFT, True)
    assert "git -C" in _one(replace(NOW, recipe=here)).remedy


def test_a_tag_that_is_gone_is_told() -> None:
    """It could not be deployed any more."""
    row = _one(replace(NOW, recipe=builders.recipe(versions=(NEW,))))

    assert (row.what, row.recipe, "is gone" in row.said) == ("commit", None, True)


def test_a_recipe_that_cannot_be_read_is_unknown() -> None:
    """Neither good nor drift."""
    row = _one(replace(NOW, recipe=None, recipe_problem="abra has no checkout"))

    assert (row.what, row.weight, row.wins) == ("commit", Weight.UNKNOWN, None)
    assert "abra has no checkout" in row.said


def test_another_recipe_is_told() -> None:
    """Its tags say nothing about this lock's."""
    row = _one(_env(ENV), LOCK.having(replace(LOCKED, recipe="authentik", commit=OTHER)))

    assert (row.what, row.lock, row.env, row.wins) == ("recipe", "authentik", "keycloak", None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENV + "ZONE=sentinel\n", "added: ZONE"),
        (ENV.replace(f"DOMAIN={APP}\n", ""), "removed: DOMAIN"),
        (ENV.replace(APP, "sso.ci.example.org"), "same variables"),
        (ENV + "# a comment\n", "same variables"),
    ],
)
def test_an_edited_env_is_told_by_names_alone(text: str, said: str) -> None:
    """No value is in a row. The `.env` wins: the next deploy takes it."""
    row = _one(_env(text))

    assert (row.what, row.wins, row.weight) == ("env", Side.ENV, Weight.DRIFT)
    assert said in row.said
    assert "sentinel" not in str(row)
    assert APP not in row.said


def test_the_pin_is_no_part_of_the_env_hash() -> None:
    """It is compared on its own: written, missing, or another version."""
    assert {env_sha256(f"TYPE=keycloak{pin}\n", OLD) for pin in ("", f":{OLD}", f":{NEW}", ":1a2b3c4+U")} == {
        env_sha256(f"TYPE=keycloak:{OLD}\n", OLD)
    }
    assert env_sha256("TYPE=$X\n", OLD) != env_sha256("TYPE=$Y\n", OLD)


def test_an_env_that_is_missing_or_broken_is_told() -> None:
    """What runs is compared all the same."""
    for now, said in (
        (replace(NOW, app=None), "no `.env`"),
        (replace(NOW, app=None, problem="line 3"), "line 3"),
    ):
        row = _one(now)
        assert (row.what, row.env, row.wins, said in row.said) == ("env", None, Side.LOCK, True)


def test_another_order_is_information() -> None:
    """Configuration is somebody's decision."""
    row = _one(NOW, LOCK.having(replace(LOCKED, order=5)))

    assert (row.what, row.weight, row.lock, row.env) == ("order", Weight.INFO, "5", "20")
    assert row.wins is Side.ENV


# -- what runs --------------------------------------------------------------------------------------------------------


def test_another_image_under_the_same_version_is_drift() -> None:
    """A service that came or went too."""
    images = RUNNING.images
    for changed, service in (
        (dict(images) | {"app": LockedImage(image=NEW_IMAGE, digest=DIGEST)}, "app"),
        ({"app": images["app"]}, "db"),
        (dict(images) | {"worker": LockedImage(image=DB_IMAGE)}, "worker"),
    ):
        row = _one(_runs(images=changed))
        assert (row.what, row.weight, row.wins) == (f"image:{service}", Weight.DRIFT, Side.LOCK)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"digest": DIGEST}, {"digest": DIGEST.replace("ab", "cd")}, True),
        ({"digest": DIGEST}, {"id": DIGEST}, True),
        ({"id": DIGEST}, {"id": DIGEST.replace("ab", "cd")}, True),
        ({}, {"digest": DIGEST}, True),
        ({"digest": DIGEST}, {}, False),
        ({"id": DIGEST}, {"id": DIGEST}, False),
    ],
)
def test_another_digest_under_the_same_tag_is_information(
    old: dict[str, str], new: dict[str, str], *, told: bool
) -> None:
    """An id that nobody asked for is no difference."""
    lock = LOCK.having(replace(LOCKED, images={"app": LockedImage(image=OLD_IMAGE, **old)}))

    rows = _rows(_runs(images={"app": LockedImage(image=OLD_IMAGE, **new)}), lock)

    assert [(row.what, row.weight, row.wins) for row in rows] == [
        ("image:app", Weight.INFO, Side.RUNNING)
    ] * told
    sides = [(next(iter(old.values()), None), next(iter(new.values()), None))]
    assert [(row.lock, row.running) for row in rows] == sides * told


def test_a_service_updated_behind_the_tools_back_is_told() -> None:
    """By its shape; where the `.env` was edited too, it may have been deployed with it."""
    shapes = {"app": Shape(hash="b" * 16, previous="c" * 16, changed=("x",)), "db": Shape(hash="d" * 16)}
    changed = _runs(shapes=shapes)
    row = _one(changed)
    edited = {r.what: r for r in _rows(replace(changed, app=builders.app(ENV + "A=b\n")))}

    assert (row.what, row.wins) == ("service:app", Side.LOCK)
    assert "without abra" in row.said
    assert set(edited) == {"env", "service:app"}
    assert edited["service:app"].wins is Side.RUNNING
    assert (row.remedy.split()[0], edited["service:app"].remedy.split()[0]) == ("abra", "ccci-upgrade")
    assert "(" not in row.said


def test_what_changed_is_named_where_the_engine_still_knows_it() -> None:
    """Its settings before the last update are the lock's; keys, and of many the first ones."""
    for keys, said in ((("Env",), "(Env)"), (tuple("abcdefg"), "(a, b, c, d, e and 2 more)")):
        shapes = {"app": Shape(hash="b" * 16, previous="a" * 16, changed=keys)}
        assert said in _one(_runs(shapes=shapes)).said


def test_a_secret_has_three_sides() -> None:
    """The `.env` names its version too; a config's stands in the recipe."""
    rotated = _runs(secrets=dict(RUNNING.secrets) | {"db_password": "v2"}, configs={"entrypoint": "v8"})
    env = replace(rotated, app=builders.app(f"{ENV.replace('=v1', '=v2')}CONFIG_ENTRYPOINT_VERSION=v9\n"))

    secret, config = (next(r for r in _rows(rotated) if r.what.startswith(k)) for k in ("secret", "config"))
    with_env = {row.what: row for row in _rows(env)}

    assert (secret.what, secret.lock, secret.env, secret.running) == ("secret:db_password", "v1", "v1", "v2")
    assert (secret.wins, with_env["secret:db_password"].wins) == (Side.LOCK, Side.RUNNING)
    assert (config.what, config.env, config.wins) == ("config:entrypoint", None, Side.RUNNING)
    assert with_env["config:entrypoint"].env is None
    assert "env" in with_env


def test_secrets_that_came_or_went_are_told() -> None:
    """Which of them the lock has not, and which nothing mounts any more."""
    rows = _rows(_runs(secrets={"db_password": "v1", "fresh": "v1"}))

    assert [(row.what, row.lock, row.running, row.wins) for row in rows] == [
        ("secret:fresh", None, "v1", Side.RUNNING),
        ("secret:of_somebody", "", None, Side.LOCK),
    ]
    assert [row.remedy.split()[0] for row in rows] == ["ccci-upgrade", "abra"]


def test_a_volume_that_is_not_mounted_any_more_is_the_locks() -> None:
    """A rename is two rows."""
    rows = {row.what: row for row in _rows(_runs(volumes=(f"{STACK}_db", f"{STACK}_data")))}

    assert rows[f"volume:{STACK}_providers"].wins is Side.LOCK
    assert "without its data" in rows[f"volume:{STACK}_providers"].said
    assert rows[f"volume:{STACK}_data"].wins is Side.RUNNING
    assert [rows[f"volume:{STACK}_{name}"].remedy.split()[0] for name in ("providers", "data")] == [
        "docker",
        "ccci-upgrade",
    ]


# -- which apps -------------------------------------------------------------------------------------------------------


def test_an_app_that_does_not_run_is_told() -> None:
    """With the command that brings it back; parts of it are not told one by one."""
    row = _one(replace(NOW, running=None))
    nothing = compare(LOCK, [])

    assert (row.what, row.lock, row.env, row.running) == ("deployed", OLD, OLD, None)
    assert (row.wins, row.remedy) == (Side.LOCK, f"abra app deploy {APP} {OLD}")
    assert [each.what for each in nothing] == ["env", "deployed"]


def test_an_app_that_is_not_in_the_lock_is_told_where_it_runs() -> None:
    """An `.env` alone is no app yet."""
    empty = LockFile(server="s")

    (row,) = compare(empty, [NOW])
    assert (row.what, row.env, row.running, row.wins) == ("lock", OLD, OLD, Side.RUNNING)
    assert compare(empty, [replace(NOW, running=None)]) == ()


def test_apps_come_in_the_order_of_deploys() -> None:
    """As a person would bring them back."""
    lock = LOCK.having(replace(LOCKED, name="a.ci.example.org", order=30))

    assert list(dict.fromkeys(row.app for row in compare(lock, []))) == [APP, "a.ci.example.org"]


# -- recording --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (replace(NOW, app=None), "no `.env`"),
        (replace(NOW, app=None, problem="line 3: junk"), "line 3: junk"),
        (replace(NOW, running=None), "nothing runs"),
        (_runs(chaos="1a2b3c"), "work tree"),
        (_runs(version=None), "unknown"),
        (_runs(version="main"), "unknown"),
        (_runs(unsettled=("app: scaled to 0 replicas",)), "scaled to 0"),
        (replace(NOW, recipe=builders.recipe(versions=(NEW,))), "has no tag"),
        (replace(NOW, recipe=None, recipe_problem="no checkout"), "no checkout"),
    ],
)
def test_what_could_not_be_brought_back_is_not_recorded(now: AppNow, why: str) -> None:
    """With the reason."""
    with pytest.raises(UnfitError, match=why):
        recorded(now, None)


def test_what_runs_is_read_from_services() -> None:
    """Names as abra makes them are split into name and version; bind mounts are no volumes."""
    mounts = (
        Mount(kind="volume", source=f"{STACK}_db", target="/db"),
        Mount(kind="bind", source="/etc/localtime", target="/etc/localtime"),
        Mount(kind="volume", source="", target="/nameless"),
    )
    app = replace(
        builders.service(version=OLD, image=f"docker.io/{OLD_IMAGE}@{DIGEST}", mounts=mounts),
        secrets=(f"{STACK}_db_password_v1", "of_somebody"),
        configs=(f"{STACK}_entry_point_v7",),
    )
    stack = builders.stack(app, builders.service("db", image=DB_IMAGE, mounts=mounts[:1]))

    found = running_of(
        stack,
        {f"{STACK}_app": Shape(hash="a" * 16), "other": Shape(hash="b" * 16)},
        lambda image: f"id of {image}",
    )

    assert found == Running(
        version=OLD,
        images={
            "app": LockedImage(image=OLD_IMAGE, digest=DIGEST),
            "db": LockedImage(image=DB_IMAGE, id=f"id of {DB_IMAGE}"),
        },
        shapes={"app": Shape(hash="a" * 16)},
        volumes=(f"{STACK}_db",),
        secrets={"db_password": "v1", "of_somebody": ""},
        configs={"entry_point": "v7"},
    )
    assert running_of(builders.stack(), {}) is None


@given(st.sampled_from(UpdateState))
def test_what_moves_or_is_not_whole_is_unsettled(state: UpdateState) -> None:
    """It is compared, and not recorded."""
    moving = builders.stack(builders.service(version=OLD, status=builders.update(state)))
    down = builders.stack(builders.service(version=OLD, replicas=0))
    found, stopped = running_of(moving, {}), running_of(down, {})

    assert found is not None
    assert stopped is not None
    held = state.in_flight or state in (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED)
    assert bool(found.unsettled) is held
    assert stopped.unsettled


@pytest.mark.parametrize(
    ("labels", "chaos"),
    [
        ({"chaos": "true"}, "an unknown commit"),
        ({"chaos": "true", "chaos-version": "1a2b"}, "1a2b"),
        ({"chaos-version": "1a2b"}, "1a2b"),
        ({"chaos": "false"}, ""),
    ],
)
def test_a_deployed_work_tree_is_known_by_its_labels(labels: dict[str, str], chaos: str) -> None:
    """Either of the two is enough."""
    full = {f"coop-cloud.{STACK}.{key}": value for key, value in labels.items()}
    found = running_of(builders.stack(builders.service(version=OLD, labels=full)), {})

    assert found is not None
    assert found.chaos == chaos
