"""`notes`: every release note between what runs and the target. Reads only."""

from contextlib import closing
from dataclasses import dataclass

from ccci_upgrade.config import Config
from ccci_upgrade.flows.host import Host, choose_server, open_host
from ccci_upgrade.flows.look import look_at_versions, versions_on_the_way
from ccci_upgrade.model.notes import Note
from ccci_upgrade.tools.recipes import read_notes


@dataclass(frozen=True, kw_only=True, slots=True)
class AppNotes:
    """The notes of one app's way, ascending; `others` are tags that are no versions."""

    app: str
    recipe: str
    from_version: str | None
    to_version: str | None
    notes: tuple[Note, ...]
    others: tuple[str, ...]


def read_app_notes(
    config: Config,
    server: str | None,
    names: tuple[str, ...],
    *,
    to: str | None,
    offline: bool,
    may_ask: bool = False,
) -> tuple[AppNotes, ...]:
    """Read the notes of apps, each up to the target or the newest version."""
    with closing(open_host(config, choose_server(config, server), may_ask=may_ask)) as host:
        return _notes(host, names, to=to, offline=offline)


def _notes(host: Host, names: tuple[str, ...], *, to: str | None, offline: bool) -> tuple[AppNotes, ...]:
    found = []
    for app in host.find(names):
        facts = look_at_versions(host, app, to=to, offline=offline)
        way = versions_on_the_way(facts.recipe, facts.deployed, facts.target.version) if facts.target else []
        notes = read_notes(facts.recipe, [v.text for v in way])
        found.append(
            AppNotes(
                app=app.name,
                recipe=app.recipe,
                from_version=facts.deployed_text,
                to_version=facts.target.version.text if facts.target else None,
                notes=tuple(notes[v.text] for v in way),
                others=facts.recipe.others,
            )
        )
    return tuple(found)
