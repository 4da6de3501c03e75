"""What a stack says of itself as it stands, nothing compared and nothing planned."""

from ccci_upgrade.model.swarm import Service, Stack


def unhealthy_lines(stack: Stack) -> tuple[str, ...]:
    """One line for each service that is not as it should be; none means healthy as far as Swarm sees."""
    lines = []
    for service in stack.services:
        running = sum(task.running for task in stack.tasks_of(service))
        if service.replicas == 0:
            lines.append(f"{service.name}: scaled to 0 replicas")
        elif running < service.wanted:
            lines.append(
                f"{service.name}: {running} of {service.wanted} tasks running{_last_error(stack, service)}"
            )
        if service.update and service.update.state.value in ("paused", "rollback_paused"):
            lines.append(
                f"{service.name}: UpdateStatus {service.update.state.value}: {service.update.message}"
            )
    return tuple(lines)


def _last_error(stack: Stack, service: Service) -> str:
    errors = [task.error for task in stack.tasks_of(service) if task.error]
    return f" ({errors[-1]})" if errors else ""
