"""Service specs, networks and configs of the Engine API, as `docker stack deploy` makes them of compose files.

The reference is the docker client's own conversion, `cli/compose/convert` in docker/cli. Pure: what needs the
Engine (the ids of configs and secrets) is passed in, what needs the disk (their contents) is the caller's.
"""

from ccci_upgrade.model.composevalues import ComposeError
from ccci_upgrade.practice.stackfiles import StackFiles, Table
from ccci_upgrade.practice.stackparts import (
    filled,
    labelled,
    network_keys,
    network_of,
    object_of,
    table,
    tables,
)
from ccci_upgrade.practice.stackservice import Ids, ServiceSpec


def networks(files: StackFiles) -> tuple[dict[str, Table], tuple[str, ...]]:
    """Give the networks to create, by name, and the names of those that must be there.

    Only networks that a service uses are named.
    """
    wanted = {key for service in files.services.values() for key in network_keys(service)}
    made: dict[str, Table] = {}
    outside: list[str] = []
    for key in sorted(wanted):
        network = network_of(files, key)
        if network["external"]:
            outside.append(str(network["name"]))
        else:
            made[str(network["name"])] = _new_network(files.stack, network)
    return made, tuple(outside)


def objects(files: StackFiles, section: str) -> dict[str, tuple[str, Table]]:
    """Give the `configs` or `secrets` to create, by name: the file, and the spec without its data."""
    made: dict[str, tuple[str, Table]] = {}
    for key, said in sorted(files.objects[section].items()):
        if said["external"]:
            continue
        if not said.get("file"):
            raise ComposeError(f"{section}.{key}: no file")
        spec: Table = {"Name": said["name"], "Labels": labelled(files.stack, said.get("labels"))}
        if driver := said.get("template_driver"):
            spec["Templating"] = {"Name": driver}
        made[str(said["name"])] = (str(said["file"]), spec)
    return made


def references(files: StackFiles, section: str) -> set[str]:
    """Give the names of the `configs` or `secrets` that services use."""
    return {
        str(object_of(files, section, name, use)["name"])
        for name, service in files.services.items()
        for use in tables(service.get(section))
    }


def services(files: StackFiles, ids: Ids, *, folder: str) -> dict[str, Table]:
    """Give the service specs by service, sorted; binds that start with a dot lie in `folder`."""
    return {
        key: ServiceSpec(files, key, service, folder).spec(ids)
        for key, service in sorted(files.services.items())
    }


def _new_network(stack: str, said: Table) -> Table:
    network: Table = {
        "Driver": said.get("driver") or "overlay",
        "Labels": labelled(stack, said.get("labels")),
        "Options": said.get("driver_opts"),
        "Internal": said.get("internal"),
        "Attachable": said.get("attachable"),
    }
    plan = table(said.get("ipam"))
    subnets = plan.get("config")
    if plan.get("driver") or subnets:
        listed = subnets if isinstance(subnets, list) else []
        network["IPAM"] = {
            "Driver": plan.get("driver") or "",
            "Config": [{"Subnet": subnet} for subnet in listed],
        }
    return filled(network)
