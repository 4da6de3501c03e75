"""Faults in the files of the host: recipes and `.env`s."""

import re
from collections.abc import Mapping

from ccci_upgrade.errors import UsageError
from ccci_upgrade.practice.faults.kinds import Caused, Fault, live, newest, subject
from ccci_upgrade.practice.world import repositories
from ccci_upgrade.practice.world.place import Mark, Place, app, stack
from ccci_upgrade.practice.world.recipes import PRACTICE
from ccci_upgrade.practice.world.source import Step, changed

_LOCAL = "local.txt"
_SECRET = {"drone": "SECRET_RPC_SECRET_VERSION", "keycloak": "SECRET_DB_PASSWORD_VERSION"}
_NOT_THERE = "v9"
_LIGHT = "1.9.1+2.26.0"
_UNBUMPED = "1.2.1+3.2.0"
_RENAMED = "1.9.2+2.26.0"
_BAD = "1.9.3+2.26.0"
_TIMEOUT = r"^TIMEOUT=(\S+)"
_SHORT = "6"


def _dirty(place: Place, mark: Mark) -> Caused:
    recipe = subject(mark)
    (place.checkout(recipe) / _LOCAL).write_text("somebody tried something here\n", encoding="utf-8")
    return Caused(
        did=f"the checkout of {recipe} has a file of somebody's: {_LOCAL}",
        see=(f"ccci-upgrade plan {recipe}",),
        kept={"recipe": recipe},
    )


def _clean(place: Place, _mark: Mark, kept: Mapping[str, str]) -> None:
    (place.checkout(kept["recipe"]) / _LOCAL).unlink(missing_ok=True)


def _light_tag(place: Place, _mark: Mark) -> Caused:
    compose = _newest_compose("drone")
    files = {
        "compose.yml": changed(compose, Step(version=_LIGHT)),
        f"release/{_LIGHT}": "A fix of the recipe. Nothing to do.\n",
    }
    repositories.publish(place.checkout("drone"), _LIGHT, files, annotated=False)
    return Caused(
        did=f"drone {_LIGHT} was published with a lightweight tag", see=("ccci-upgrade plan drone",)
    )


def _take_light_tag_back(place: Place, _mark: Mark, _kept: Mapping[str, str]) -> None:
    repositories.withdraw(place.checkout("drone"), _LIGHT)


def _unbumped(place: Place, _mark: Mark) -> Caused:
    compose = changed(_newest_compose("traefik"), Step(version=_UNBUMPED))
    old = next(source for source in PRACTICE if source.name == "traefik").files["traefik.yml.tmpl"]
    files = {
        "compose.yml": compose.replace("      - EXIT=3 # practice: it ends at once\n", ""),
        "traefik.yml.tmpl": f"{old}accessLog:\n  format: json\n",
        f"release/{_UNBUMPED}": "The access log is JSON now.\n",
    }
    repositories.publish(place.checkout("traefik"), _UNBUMPED, files)
    return Caused(
        did=f"traefik {_UNBUMPED} was published with another traefik.yml.tmpl and the old TRAEFIK_YML_VERSION",
        see=("ccci-upgrade plan traefik",),
    )


def _take_unbumped_back(place: Place, _mark: Mark, _kept: Mapping[str, str]) -> None:
    repositories.withdraw(place.checkout("traefik"), _UNBUMPED)


def _renamed_volume(place: Place, _mark: Mark) -> Caused:
    swap = (("      - data:/data\n", "      - content:/data\n"), ("\n  data:\n", "\n  content:\n"))
    compose = changed(_newest_compose("drone"), Step(version=_RENAMED, swap=swap))
    files = {"compose.yml": compose, f"release/{_RENAMED}": "The volume has a better name. Nothing to do.\n"}
    repositories.publish(place.checkout("drone"), _RENAMED, files)
    acks = f"--ack volume-removed:{stack('drone')}_data"
    return Caused(
        did=f"drone {_RENAMED} was published: it keeps its data in another volume, which is empty",
        see=("ccci-upgrade plan drone", f"ccci-upgrade upgrade drone {acks}"),
    )


def _take_renamed_back(place: Place, _mark: Mark, _kept: Mapping[str, str]) -> None:
    repositories.withdraw(place.checkout("drone"), _RENAMED)


def _bad_version(place: Place, _mark: Mark) -> Caused:
    line = "      - DATA_DIR=/data\n"
    swap = ((line, f"{line}      - CRASH_AFTER=0.2 # practice: it migrates its data, then ends\n"),)
    compose = changed(_newest_compose("drone"), Step(version=_BAD, swap=swap))
    files = {"compose.yml": compose, f"release/{_BAD}": "Drone starts faster. Nothing to do.\n"}
    repositories.publish(place.checkout("drone"), _BAD, files)
    before = _set(place, "drone", _TIMEOUT, _SHORT)  # else abra waits for as long as a person would
    return Caused(
        did=f"drone {_BAD} was published: it migrates its data, then ends again and again",
        see=("ccci-upgrade upgrade drone", "ccci-upgrade upgrade drone --on-failure leave"),
        kept={"before": before},
    )


def _take_bad_back(place: Place, _mark: Mark, kept: Mapping[str, str]) -> None:
    repositories.withdraw(place.checkout("drone"), _BAD)
    _set(place, "drone", _TIMEOUT, kept["before"])


def _secret_missing(place: Place, mark: Mark) -> Caused:
    recipe = subject(mark, ("drone", "keycloak"))
    name = _SECRET[recipe]
    before = _set(place, recipe, rf"^{name}=(\S+)", _NOT_THERE)
    return Caused(
        did=f"{name} is {_NOT_THERE} in {app(recipe)}.env, and no such secret was generated",
        see=(f"ccci-upgrade plan {recipe}",),
        kept={"recipe": recipe, "before": before},
    )


def _secret_back(place: Place, _mark: Mark, kept: Mapping[str, str]) -> None:
    if re.search(rf"^{_SECRET[kept['recipe']]}={_NOT_THERE}", _read(place, kept["recipe"]), re.MULTILINE):
        _set(place, kept["recipe"], rf"^{_SECRET[kept['recipe']]}=(\S+)", kept["before"])


def _env_behind(place: Place, mark: Mark) -> Caused:
    recipe, older = "drone", "1.7.0+2.24.0"
    if live(mark, recipe) == newest(recipe):
        recipe, older = "keycloak", "10.0.0+26.0.0"
        if live(mark, recipe) in (older, newest(recipe)):
            raise UsageError(
                "no app has both an older and a newer version than the one it runs",
                hint="ccci-upgrade practice stop, then ccci-upgrade practice, makes a new host",
            )
    before = _set(place, recipe, _PIN, older)
    return Caused(
        did=f"{app(recipe)}.env pins {older}, and {live(mark, recipe)} runs",
        see=(f"ccci-upgrade plan {recipe}",),
        kept={"recipe": recipe, "older": older, "before": before},
    )


def _env_back(place: Place, _mark: Mark, kept: Mapping[str, str]) -> None:
    if f":{kept['older']}\n" in _read(place, kept["recipe"]):
        _set(place, kept["recipe"], _PIN, kept["before"])


_PIN = r"^TYPE=\w+:(\S+)"


def _read(place: Place, recipe: str) -> str:
    return place.env(recipe).read_text(encoding="utf-8")


def _set(place: Place, recipe: str, pattern: str, value: str) -> str:
    """Replace the one group of a line; gives what was there. UsageError where a person took the line away."""
    text = _read(place, recipe)
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise UsageError(f"{place.env(recipe)}: no line matches {pattern}")
    place.env(recipe).write_text(text[: found.start(1)] + value + text[found.end(1) :], encoding="utf-8")
    return found[1]


def _newest_compose(recipe: str) -> str:
    source = next(source for source in PRACTICE if source.name == recipe)
    *_, (_, files) = source.releases()
    return files["compose.yml"]


FAULTS = (
    Fault(
        name="dirty-recipe", summary="a recipe's checkout has a file of somebody's", cause=_dirty, mend=_clean
    ),
    Fault(
        name="lightweight-tag",
        summary="a version is published with a tag that abra refuses",
        cause=_light_tag,
        mend=_take_light_tag_back,
    ),
    Fault(
        name="config-not-bumped",
        summary="a version changes a config and keeps its name",
        cause=_unbumped,
        mend=_take_unbumped_back,
    ),
    Fault(
        name="volume-lost",
        summary="a version renames its volume: green, and the data is gone",
        cause=_renamed_volume,
        mend=_take_renamed_back,
    ),
    Fault(
        name="bad-version",
        summary="a version migrates its data and then ends: the upgrade is undone, data and all",
        cause=_bad_version,
        mend=_take_bad_back,
    ),
    Fault(
        name="secret-missing",
        summary="an app's .env names a secret that was never generated",
        cause=_secret_missing,
        mend=_secret_back,
    ),
    Fault(
        name="env-behind",
        summary="an app's .env pins an older version than what runs",
        cause=_env_behind,
        mend=_env_back,
    ),
)
