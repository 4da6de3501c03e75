"""How traefik, keycloak and drone are treated where the configuration does not say, and every other recipe."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """How a recipe's apps are treated where the configuration does not say.

    `order` is the deploy order; upgrades run `upgrade_last` recipes at the end whatever their order.
    `holds_data` None means: where its services mount volumes. `copied_running`: what its volumes hold
    (traefik: certificates) is worth a copy, and can be copied without stopping it.
    """

    recipe: str
    order: int = 50
    upgrade_last: bool = False
    holds_data: bool | None = None
    copied_running: bool = False


_PROFILES = {
    "traefik": Profile(recipe="traefik", order=10, upgrade_last=True, holds_data=False, copied_running=True),
    "keycloak": Profile(recipe="keycloak", order=20, holds_data=True),
    "drone": Profile(recipe="drone", order=30, holds_data=True),
}


def profile(recipe: str) -> Profile:
    """Give the recipe's profile, or the generic one."""
    return _PROFILES.get(recipe) or Profile(recipe=recipe)
