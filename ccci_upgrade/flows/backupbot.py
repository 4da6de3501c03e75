"""The service that makes abra's backups, and the apps it takes: found by their labels in the Swarm."""

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.model.app import App
from ccci_upgrade.tools.swarm import Swarm

BOT = "coop-cloud.backupbot.enabled"
"""The label of the service that makes backups, as far as it is known; its recipe's name is looked for too."""

BOT_RECIPE = "backup-bot-two"
WANTED = "backupbot.backup"
"""The label of a service whose data the bot takes."""


def find_bot(swarm: Swarm) -> str:
    """The service that makes backups, with a running task; NotReadyError where there is none."""
    for stack in swarm.stacks().values():
        of_recipe = stack.label("recipe") == BOT_RECIPE
        for service in stack.services:
            named = service.labels.get(BOT, "").lower() == "true"
            if (named or (of_recipe and service.name == "app")) and any(
                task.running for task in stack.tasks_of(service)
            ):
                return service.full_name
    raise NotReadyError(
        "no backup bot runs in this Swarm: nothing can make abra's backups",
        hint=f'deploy the recipe `{BOT_RECIPE}`, or take `backup = "abra"` out of ccci-upgrade.toml',
        code="no-backup-bot",
    )


def check_marked(swarm: Swarm, app: App) -> None:
    """NotReadyError where no service of the app is marked for backups: the copy would have nothing of it."""
    services = swarm.stack(app.stack).services
    if not any(service.labels.get(WANTED, "false").lower() not in ("", "false") for service in services):
        raise NotReadyError(
            f"{app.name} is not marked for backups: no service has the label `{WANTED}=true`",
            hint="set ENABLE_BACKUPS=true in its `.env` if its recipe has that, and deploy; "
            "else use `backup_command`",
            code="not-backed-up",
        )
