"""The evidence that one look gives, in words: one line for each thing that can be checked by hand."""

from ccci_upgrade.model.image import bare_image
from ccci_upgrade.model.look import Look
from ccci_upgrade.model.swarm import Service, Task
from ccci_upgrade.model.verdict import Evidence

Lines = tuple[Evidence, ...]


def task_line(service: Service, task: Task) -> Evidence:
    """One task: its state, its exit code, its error."""
    code = f" (exit {task.exit_code})" if task.exit_code is not None else ""
    return _of(service.name, f"task {task.id[:12]} {task.state}{code}: {task.error or 'no reason given'}")


def green(look: Look) -> Lines:
    """What makes a stack green."""
    lines = [Evidence(text=f"version label {look.now.label('version')}")]
    for service in look.services():
        running = sum(task.running for task in look.new_tasks(service))
        status = look.fresh(service)
        word = f"UpdateStatus {status.value}" if status else "no UpdateStatus of this run"
        image = bare_image(service.image)
        lines.append(_of(service.name, f"{running}/{service.wanted} running {image}, {word}"))
    return tuple(lines)


def foreign(look: Look) -> Lines:
    """What somebody else changed."""
    lines = [
        Evidence(service=name, text=f"service {name} was removed during the run") for name in look.removed()
    ]
    lines += [_of(service.name, _what_changed(look, service)) for service in look.changed_again()]
    label = look.odd_label()
    if label is not None:
        lines.append(Evidence(text=f"the version label became {label} during the run"))
    lines += [_of(service.name, "changed, though not part of it") for service in look.strangers()]
    return tuple(lines)


def halted(look: Look) -> Lines:
    """Updates that Swarm gave up."""
    return tuple(
        _of(s.name, f"Swarm's UpdateStatus is {s.update.state.value}: {s.update.message}")
        for s in look.halted()
        if s.update
    )


def emptied(look: Look) -> Lines:
    """Services at 0 replicas."""
    return tuple(
        _of(name, f"0 replicas, {look.wanted(name).replicas or 1} in the recipe") for name in look.emptied()
    )


def crashing(look: Look) -> Lines:
    """The tasks of a service that fails again and again."""
    found = look.crashing()
    return tuple(task_line(found[0], task) for task in found[1]) if found else ()


def port_deadlock(look: Look, service: Service) -> Lines:
    """A start-first task and the port it waits for."""
    task = look.waits_for_port(service)
    if task is None:
        return ()
    ports = ", ".join(str(port.published) for port in service.ports if port.mode == "host")
    return (_of(service.name, f"start-first, and its old task holds host port {ports}: {task.error}"),)


def flapped(look: Look, lacking: str) -> Lines:
    """What was green and is not any more."""
    lines = [Evidence(text=f"was green, then within {look.goal.settle:g} s {lacking}")]
    for service in look.services():
        lines += [task_line(service, task) for task in look.new_tasks(service) if task.failed][-1:]
    return tuple(lines)


def went_back(look: Look, service: Service) -> Evidence:
    """Why Swarm rolled a service back."""
    name = service.name
    said = service.update.message if service.update and look.fresh(service) else ""
    text = f"Swarm rolled it back to {look.goal.was} ({said or 'silently'})"
    failed = [t for t in look.now.tasks_of(service) if t.failed and t.created > look.goal.acted]
    if failed:
        text += f"; {task_line(service, failed[-1]).text.removeprefix(f'{name}: ')}"
    return _of(name, text)


def unchanged(look: Look) -> Lines:
    """Nothing happened."""
    return (Evidence(text=f"no service changed; the version label is still {look.now.label('version')}"),)


def mixed(look: Look) -> Lines:
    """Where each service is."""
    lines = []
    for name, place in look.places().items():
        service = look.now.service(name)
        lines.append(_of(name, f"{place.value} ({bare_image(service.image) if service else 'no service'})"))
    return tuple(lines)


def wrong_version(look: Look) -> Lines:
    """The label that should be another, and where each service is."""
    text = f"the version label is {look.now.label('version')}, not {look.goal.version}"
    return (Evidence(text=text), *mixed(look))


def _what_changed(look: Look, service: Service) -> str:
    wanted = look.wanted(service.name).replicas
    if service.replicas is not None and wanted is not None and service.replicas != wanted:
        return f"somebody set its replicas to {service.replicas} during the run ({wanted} in the recipe)"
    return "its spec was changed again by somebody else during the run"


def _of(name: str, text: str) -> Evidence:
    return Evidence(service=name, text=f"{name}: {text}")
