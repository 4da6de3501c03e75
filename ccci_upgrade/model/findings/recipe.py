"""Findings about the target's compose files against the Swarm and the `.env`."""

from collections.abc import Iterator
from shlex import quote

from ccci_upgrade.model.compose import Compose
from ccci_upgrade.model.facts import Facts, ImagePlace
from ccci_upgrade.model.finding import Finding, Severity


def find(facts: Facts) -> Iterator[Finding]:
    """What the recipe's files say."""
    if facts.recipe.dirty:
        yield Finding(
            id="dirty-recipe",
            severity=Severity.BLOCK,
            title="abra's checkout of the recipe has changes of its own",
            evidence=facts.recipe.dirty[:10],
            remedy=f"abra wants a clean one, stash or remove what this shows: git -C {facts.recipe.path} status",
        )
    if facts.recipe.stale:
        yield Finding(
            id="recipe-stale",
            severity=Severity.WARN,
            title="the recipe could not be refreshed: newer versions and notes may be missing",
            evidence=(facts.recipe.stale,),
            remedy=f"check the network: git -C {facts.recipe.path} ls-remote origin",
        )
    yield from _images(facts)
    if facts.new is None:
        yield from _unreadable(facts)
        return
    yield from _variables(facts, facts.new)
    yield from _names(facts, facts.new)
    yield from _ports(facts.new)
    yield from _volumes(facts, facts.new)
    yield from _networks(facts, facts.new)


def _unreadable(facts: Facts) -> Iterator[Finding]:
    """Unknown is not fine: without the files no image, volume, port, secret or variable was checked."""
    if facts.target is not None:
        yield Finding(
            id="compose-unreadable",
            severity=Severity.ACK,
            title="the target's compose files cannot be read: images, volumes, ports, secrets are not checked",
            evidence=facts.problems or ("no reason is known",),
            remedy=f"git -C {facts.recipe.path} show {quote(facts.target.version.text)}:compose.yml",
        )


def _images(facts: Facts) -> Iterator[Finding]:
    for fact in facts.images:
        if fact.place is ImagePlace.NOWHERE:
            yield Finding(
                id=f"image-unavailable:{fact.image}",
                severity=Severity.BLOCK,
                title="an image of the target can be had neither here nor from its registry",
                evidence=(fact.detail or f"{fact.image}: refused without a reason",),
                remedy=f"docker pull {fact.image}",
            )


def _variables(facts: Facts, new: Compose) -> Iterator[Finding]:
    """New names: judged by where the active compose files use them; a default there makes them harmless."""
    for name in sorted(facts.new_sample - facts.old_sample - facts.app.env.values.keys()):
        uses = [use for use in new.uses if use.name == name]
        bare = [use for use in uses if not use.has_default]
        where = tuple(use.where for use in bare or uses) or ("in .env.sample only",)
        yield Finding(
            id=f"env-missing:{name}",
            severity=Severity.ACK if bare else Severity.INFO,
            title=f"{name} is new in the target and not in your `.env`",
            evidence=where,
            remedy=f"set it: abra app config {facts.app.name}",
        )
    for name in sorted((facts.old_sample - facts.new_sample) & facts.app.env.values.keys()):
        line = facts.app.env.lines.get(name, 0)
        yield Finding(
            id=f"env-removed:{name}",
            severity=Severity.INFO,
            title=f"{name} is no longer in the target's sample",
            evidence=(f"{facts.app.path.name}:{line}",),
            remedy=f"it may be removed after the upgrade: abra app config {facts.app.name}",
        )


def _names(facts: Facts, new: Compose) -> Iterator[Finding]:
    if facts.names is None:
        return
    for secret in new.secrets:
        if secret.name not in facts.names.secrets:
            yield Finding(
                id=f"secret-missing:{secret.key}",
                severity=Severity.BLOCK,
                title=f"the target needs a secret that the Swarm does not have: {secret.name}",
                evidence=(f"docker secret inspect {secret.name}",),
                remedy=f"abra app secret generate {facts.app.name} {secret.key} <version>  # or `secret insert`",
            )
    for config in new.configs:
        there, wanted = facts.names.configs.get(config.name), facts.rendered.get(config.name)
        if there is not None and wanted is not None and there != wanted:
            yield Finding(
                id=f"config-not-bumped:{config.key}",
                severity=Severity.BLOCK,
                title=f"the Swarm has another config of the name {config.name}, and configs never change",
                evidence=(
                    f"{config.file} of the target: {len(wanted)} bytes; in the Swarm: {len(there)} bytes",
                ),
                remedy="the recipe forgot to raise the config's version in abra.sh: tell its maintainers",
            )


def _ports(new: Compose) -> Iterator[Finding]:
    for service in new.services:
        ports = [str(p.published) for p in service.ports if p.mode == "host"]
        if ports and service.order == "start-first":
            yield Finding(
                id=f"host-port-start-first:{service.name}",
                severity=Severity.ACK,
                title=f"{service.name} starts first on a host port its old task holds: Swarm's update will hang",
                evidence=(f"{service.name}: update_config.order start-first, host ports {', '.join(ports)}",),
                remedy="use the recipe's overlay without host mode, or ask its maintainers for stop-first",
            )


def _volumes(facts: Facts, new: Compose) -> Iterator[Finding]:
    """One finding for each volume, whoever mounts it; anonymous ones do not outlive a task anyway."""
    lines: dict[str, list[str]] = {}
    for old in facts.stack.services:
        service = new.service(old.name)
        if service is None:
            continue
        kept = {mount.source for mount in service.mounts if mount.kind == "volume"}
        at = {mount.target: mount.source for mount in service.mounts}
        for mount in old.mounts:
            if mount.kind == "volume" and mount.source and mount.source not in kept:
                then = f"will hold {at[mount.target]}" if at.get(mount.target) else "will hold no volume"
                line = f"{old.name}: {mount.target} holds it now; in the target {mount.target} {then}"
                lines.setdefault(mount.source, []).append(line)
    for source, evidence in lines.items():
        yield Finding(
            id=f"volume-removed:{source}",
            severity=Severity.ACK,
            title=f"volume {source} is no longer where it was mounted",
            evidence=tuple(evidence),
            remedy="a renamed volume starts empty: copy the data by hand first, or do not upgrade",
        )


def _networks(facts: Facts, new: Compose) -> Iterator[Finding]:
    lines = []
    for old in facts.stack.services:
        service = new.service(old.name)
        if service is not None and set(service.networks) != set(old.networks):
            was, will = ", ".join(sorted(old.networks)), ", ".join(sorted(service.networks))
            lines.append(f"{old.name}: {was or 'none'} → {will or 'none'}")
    if facts.names is not None:
        missing = [n.name for n in new.networks if n.external and n.name not in facts.names.networks]
        lines += [f"external network {name} does not exist in the Swarm" for name in missing]
    if lines:
        yield Finding(
            id="network-changed",
            severity=Severity.WARN,
            title="networks change",
            evidence=tuple(lines),
            remedy="other apps may reach this one by the old network: docker network ls",
        )
