"""Which places a far Engine's side must be reached at: known from settings alone, before ssh is started."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from ccci_upgrade.errors import UsageError
from ccci_upgrade.model.app import App
from ccci_upgrade.model.probe import ProbeKind, split_address
from ccci_upgrade.model.probe_config import probes_from_config

_WEB = {"https": 443, "http": 80}


def places_of(apps: Iterable[App]) -> tuple[tuple[str, int], ...]:
    """Every (host, port) that probes of these apps connect to by a fixed address, once each, sorted.

    Settings that cannot be read are left out here: whoever asks those probes says what is wrong with them.
    """
    found: set[tuple[str, int]] = set()
    for app in apps:
        try:
            found.update(_places(app))
        except (UsageError, ValueError):
            continue
    return tuple(sorted(found))


def _places(app: App) -> Iterator[tuple[str, int]]:
    if app.address:
        # Built-in probes ask by https, and routes may be plain; a Drone's builds are asked for in any case.
        host, port = split_address(app.address)
        yield from ((host, port or web) for web in _WEB.values())
    for probe in probes_from_config(app.probes or (), app.domain, app.name):
        if probe.kind is ProbeKind.COMMAND or not (address := probe.address or app.address):
            continue
        parts = urlsplit(probe.url)
        host, port = split_address(address)
        yield host, port or parts.port or _WEB.get(parts.scheme, 443)
