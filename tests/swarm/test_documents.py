"""Documents for scripts from a real Swarm fit docs/reference/schema.json, with no key that it does not name."""

from tests.documents import problems
from tests.swarm.host import Host


def test_documents_of_all_commands_fit_the_schema(host: Host) -> None:
    """Reading, held, acted and done-already: every document, and what the exit codes should be."""
    host.deploy("traefik", "keycloak")
    host.release("traefik", "1.2.0+3.1.0", note=b"\xff\x1b]52;c;AAAA\x07")
    codes = []
    for words in (
        "status",
        "notes traefik keycloak --offline",
        "plan --offline",
        "health",
        "doctor",
        "upgrade keycloak --offline",
        "upgrade traefik keycloak --offline --dry-run --ack keycloak:major",
        "upgrade traefik --offline --to 1.1.0+3.1.0",
        "upgrade traefik --offline --to 1.1.0+3.1.0",
        "history",
        "status --exit-code",
    ):
        ran = host.run_tool(*words.split(), "--json")
        document = ran.document()
        codes.append(ran.code)

        assert problems(document) == [], words
        assert document["exit_code"] == ran.code

    assert codes == [0, 0, 0, 16, 0, 12, 12, 0, 0, 0, 10]
