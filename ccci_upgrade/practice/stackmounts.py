"""A service's mounts in its spec."""

from pathlib import PurePosixPath

from ccci_upgrade.model.composevalues import ComposeError
from ccci_upgrade.practice.stackfiles import StackFiles, Table
from ccci_upgrade.practice.stackparts import filled, labelled


def mount_spec(files: StackFiles, where: str, said: Table, folder: str) -> Table:
    """Give one mount. Raises ComposeError for a kind that is not known, or a volume no file defines."""
    kind, source = said["type"], str(said["source"])
    mount: Table = {"Type": kind, "Target": said["target"], "ReadOnly": said.get("read_only")}
    mount["Consistency"] = said.get("consistency")
    if kind == "volume" and source:
        mount |= _volume(files, where, said)
    elif kind == "bind":
        mount["Source"] = _bind(where, source, folder)
        if "propagation" in said:
            mount["BindOptions"] = filled({"Propagation": said["propagation"]})
    elif kind == "tmpfs" and not source:
        if "size" in said:
            mount["TmpfsOptions"] = filled({"SizeBytes": said["size"]})
    elif kind != "volume":
        raise ComposeError(f"{where}: type {kind!r} with {source!r} is not supported")
    return filled(mount)


def _volume(files: StackFiles, where: str, said: Table) -> Table:
    source = str(said["source"])
    volume = files.objects["volumes"].get(source)
    if volume is None:
        raise ComposeError(f"{where}: no file defines {source!r}")
    options: Table = {"NoCopy": said.get("nocopy"), "Subpath": said.get("subpath")}
    if not volume["external"]:
        options["Labels"] = labelled(files.stack, volume.get("labels"))
        if volume.get("driver") or "driver_opts" in volume:
            driver = {"Name": volume.get("driver"), "Options": volume.get("driver_opts")}
            options["DriverConfig"] = filled(driver)
    return {"Source": volume["name"], "VolumeOptions": filled(options)}


def _bind(where: str, source: str, folder: str) -> str:
    if not source:
        raise ComposeError(f"{where}: a bind needs a source")
    if source.startswith("~"):
        raise ComposeError(f"{where}: {source!r}: a home folder is not supported")
    return _clean(source) if source.startswith("/") else _clean(f"{folder}/{source}")


def _clean(path: str) -> str:
    """Take `.` and `..` out of a path without asking the disk."""
    parts: list[str] = []
    for part in PurePosixPath(path).parts[1:]:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/" + "/".join(parts)
