"""Locks for tests: one app as it is recorded, strategies for all of them, and apps as they are now."""

import string

from hypothesis import strategies as st

from ccci_upgrade.model.appnow import AppNow, Running, Shape, env_sha256
from ccci_upgrade.model.lockfile import Judged, LockedApp, LockedImage, LockFile
from ccci_upgrade.model.verdict import State
from tests import builders
from tests.builders import APP, DB_IMAGE, OLD, OLD_IMAGE, STACK

ENV = f"TYPE=keycloak:{OLD}\nDOMAIN={APP}\nSECRET_DB_PASSWORD_VERSION=v1\n"
DIGEST = "sha256:" + "ab" * 32
COMMIT = builders.release(OLD).commit

RUNNING = Running(
    version=OLD,
    images={"app": LockedImage(image=OLD_IMAGE, digest=DIGEST), "db": LockedImage(image=DB_IMAGE)},
    shapes={"app": Shape(hash="a" * 16), "db": Shape(hash="d" * 16)},
    volumes=(f"{STACK}_db", f"{STACK}_providers"),
    secrets={"db_password": "v1", "of_somebody": ""},
    configs={"entrypoint": "v7"},
)
NOW = AppNow(name=APP, app=builders.app(ENV), running=RUNNING, recipe=builders.recipe())
LOCKED = LockedApp(
    name=APP,
    recipe="keycloak",
    version=OLD,
    commit=COMMIT,
    order=20,
    stack=STACK,
    env_sha256=env_sha256(ENV, OLD),
    env_names=("DOMAIN", "SECRET_DB_PASSWORD_VERSION", "TYPE"),
    volumes=RUNNING.volumes,
    images=RUNNING.images,
    shapes={"app": "a" * 16, "db": "d" * 16},
    secrets=RUNNING.secrets,
    configs=RUNNING.configs,
    verdict=Judged(state=State.CONVERGED, at="2026-03-01T12:00:00.000Z", run="run-1"),
)
LOCK = LockFile(server="ci.example.org", apps=(LOCKED,))

# All that is shown as it is: no control, format or private characters, no variation selectors.
_SHOWN = st.characters(exclude_categories=("C", "Zl", "Zp"), max_codepoint=0xDFFFF)
_LINE = st.text(_SHOWN, min_size=1, max_size=40)
_HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
_NAME = st.text(string.ascii_letters + string.digits + "_.-", max_size=20).map(lambda rest: f"a{rest}")
_NAMES = st.lists(_LINE, unique=True, max_size=4).map(lambda names: tuple(sorted(names)))
_VERSION = st.builds(
    "{}.{}.{}+{}".format,
    *[st.integers(0, 99)] * 3,
    st.from_regex(r"[0-9A-Za-z][0-9A-Za-z._-]{0,9}", fullmatch=True),
)
_DIGESTS = st.just("") | _HEX.map("sha256:".__add__)
_VERSIONS = st.dictionaries(_LINE, st.just("") | _LINE, max_size=3)
_JUDGED = st.builds(
    Judged,
    state=st.sampled_from(State),
    at=st.datetimes().map(lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.000Z".rjust(24, "0")),
    run=_LINE,
)
APPS = st.builds(
    LockedApp,
    name=_NAME,
    recipe=_NAME,
    version=_VERSION,
    commit=_HEX.map(lambda text: text[:40]) | _HEX,
    order=st.integers(-1000, 1000),
    stack=_LINE,
    env_sha256=_HEX,
    env_names=_NAMES,
    volumes=_NAMES,
    images=st.dictionaries(
        _LINE, st.builds(LockedImage, image=_LINE, digest=_DIGESTS, id=_DIGESTS), max_size=3
    ),
    shapes=st.dictionaries(_LINE, _HEX.map(lambda text: text[:16]), max_size=3),
    secrets=_VERSIONS,
    configs=_VERSIONS,
    verdict=st.none() | _JUDGED,
)
LOCKS = st.builds(
    lambda server, apps: LockFile(server=server).having(*apps),
    _LINE,
    st.lists(APPS, max_size=3, unique_by=lambda each: each.name),
)
