"""What protects an app's data, read before an upgrade: mounts, sizes, room, and the last snapshot."""

from ccci_upgrade.flows.host import Host
from ccci_upgrade.model.app import App
from ccci_upgrade.model.image import is_database
from ccci_upgrade.model.profile import profile
from ccci_upgrade.model.protection import Protect, Protection
from ccci_upgrade.model.snapshotscope import scope_of
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.store.snapshots import RESERVE, Store
from ccci_upgrade.tools import volumes

SIZES_SECONDS = 20.0
"""How long the Engine may add up sizes for a plan; before the copy itself it gets as long as it takes."""


def copied_running(app: App) -> bool:
    """Whether an app's volumes are copied while it runs: only where its profile says so."""
    return profile(app.recipe).copied_running and not app.holds_data


def read_protection(host: Host, app: App, stack: Stack) -> Protection:
    """Look at what a snapshot of this stack would take. Only the sizes may be missing afterwards."""
    mounts = [m for service in stack.services for m in service.mounts if m.kind == "volume" and m.source]
    running = copied_running(app)
    if app.holds_data is False and not (running and mounts):
        return Protection()
    if not mounts and app.holds_data is None:
        return Protection()
    scope = scope_of(stack, node=host.swarm.node_id(), stopping=not running)
    known = volumes.sizes(host.swarm.engine, seconds=SIZES_SECONDS)
    names = [source.volume.name for source in scope.sources]
    store = Store(host.config.state_dir, host.cluster.id)
    usable = [kept for kept in store.listed(app.name) if kept.usable]
    last = usable[-1].manifest if usable else None
    return Protection(
        protect=Protect.RUNNING if running else Protect.STOPPED,
        refused=scope.refused,
        sizes={name: known[name] for name in names if name in known},
        unknown=tuple(name for name in names if name not in known),
        free=store.free(),
        reserve=RESERVE,
        remote=not host.local,
        last={volume.name: volume.size for volume in last.volumes} if last else {},
        last_id=last.id if last else "",
        secrets=tuple(sorted({name for service in stack.services for name in service.secrets})),
        recipient=bool(host.config.age_recipients),
        databases=frozenset(s.volume.name for s in scope.sources if is_database(s.service.image)),
    )
