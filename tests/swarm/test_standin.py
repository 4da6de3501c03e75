"""The stand-in abra on a real Engine: what the tool's own tests rely on."""

from tests.swarm.host import Host


def test_an_upgrade_moves_the_label_and_then_the_env(host: Host) -> None:
    """After an upgrade label, page and `.env` agree."""
    host.deploy("traefik")
    ran = host.abra("app", "upgrade", host.app("traefik"), "1.0.1+3.0.1", "-n")
    assert ran.code == 0, ran.out
    assert host.label("traefik") == "1.0.1+3.0.1"
    assert host.label("traefik", "recipe") == "traefik"
    assert host.label("traefik", "chaos") == "false"
    assert host.pinned("traefik") == "1.0.1+3.0.1"
    assert '"3.0.1"' in host.engine.get(8080, "/api/version")[1]
