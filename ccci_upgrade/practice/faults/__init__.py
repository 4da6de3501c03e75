"""Faults on purpose: one table of all, and what was caused is remembered until it is put back."""

from dataclasses import replace

from ccci_upgrade.errors import UsageError
from ccci_upgrade.practice import engineroom
from ccci_upgrade.practice.faults import abra, engine, files, somebody
from ccci_upgrade.practice.faults.kinds import Caused, Fault
from ccci_upgrade.practice.world.place import Broken, Mark, Place

__all__ = ["FAULTS", "Caused", "Fault", "cause", "mend", "named"]

FAULTS: tuple[Fault, ...] = (*engine.FAULTS, *abra.FAULTS, *somebody.FAULTS, *files.FAULTS)


def named(name: str) -> Fault:
    """The fault of that name. UsageError, with all names, where there is none."""
    for fault in FAULTS:
        if fault.name == name:
            return fault
    raise UsageError(f"no fault `{name}`", hint=f"there are {', '.join(fault.name for fault in FAULTS)}")


def cause(place: Place, mark: Mark, fault: Fault) -> Caused:
    """Cause a fault, and remember it. UsageError where it is caused already."""
    if any(each.name == fault.name for each in mark.faults):
        raise UsageError(f"`{fault.name}` is caused already", hint="ccci-upgrade practice mend puts it back")
    caused = fault.cause(place, mark)
    place.write_mark(replace(mark, faults=(*mark.faults, Broken(name=fault.name, kept=caused.kept))))
    return caused


def mend(place: Place, mark: Mark) -> tuple[str, ...]:
    """Put everything back, the last fault first; gives their names."""
    engineroom.fault(mark, {"clear": True})
    done = []
    for broken in reversed(mark.faults):
        named(broken.name).mend(place, mark, broken.kept)
        mark = mark.without(broken)
        place.write_mark(mark)
        done.append(broken.name)
    return tuple(done)
