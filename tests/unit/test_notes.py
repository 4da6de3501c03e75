"""Notes: what asks for hands, what does not, folding, and notes that are no text."""

import hashlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.model.notes import Folded, Note, fold, make_note, markers, notes_count

HOLDS = [
    "ATTENTION: the env file was restructured and secrets moved. Start from the new .env.sample.",
    "ATTENTION! This release needs your hands.",
    "⚠ Read this first",
    "BREAKING: the database is now postgres.",
    "This is a breaking change for everybody who uses the LDAP overlay.",
    "Breaking change: `compose.smtp.yml` no longer exists.",
    "This release is backwards incompatible.",
    "It is not backward compatible with 3.x.",
    "You need to migrate the database by hand.",
    "Please migrate from mariadb to postgres, see the README.",
    "This requires a manual migration of the uploads folder.",
    "Some manual steps are necessary.",
    "You will have to manually rename the volume.",
    "Before upgrading, take a backup.",
    "Before you upgrade: export all realms.",
    "Prior to upgrading, stop the runner.",
    "After upgrading, run `abra app cmd keycloak.ci.example.org app migrate_realms`.",
    "After the upgrade, please set the admin password again.",
    "Run `abra app secret generate keycloak.ci.example.org admin_password v2` first.",
    "```\nabra app secret insert drone.ci.example.org rpc_secret v2 x\n```",
    "abra app volume remove traefik.ci.example.org letsencrypt",
    "Undeploy the app first: abra app undeploy traefik.ci.example.org",
    "Make a full backup first, there is no way back.",
    "Back up your data.",
    "The secret `db_password` has been renamed to `postgres_password`.",
    "`SMTP_HOST` was renamed to `MAIL_HOST`.",
    "Rename DRONE_SECRET to DRONE_RPC_SECRET in the env.",
    "Removed the secret oauth_id.",
    "The variable LETS_ENCRYPT_ENV is now called ACME_ENV.",
    "The search backend elasticsearch is removed, switch to meilisearch, see README.",
    "All secrets must be regenerated.",
    "The database needs to be dumped and restored.",
    "The config has to be re-created under a new name.",
    "You must recreate the postgres volume.",
    "Update your .env: add KC_HOSTNAME.",
    "Add `compose.host.yml` to your COMPOSE_FILE.",
    "Compare your env with .env.sample, several names are new.",
    "Requires a new secret: `abra app secret generate -a`.",
    "Action required: rotate the signing keys.",
    "Once upgraded, it cannot be rolled back.",
    "The schema upgrade is irreversible.",
    "The data is not migrated automatically.",
    "Users cannot be migrated automatically to the new realm.",
    "No migration is needed for small sites, but you must rename the volume `data` to `app_data`.",
    "Nothing to do for most. However, if you use LDAP you need to change the bind DN.",
    "Follow the migration guide: https://doc.traefik.io/traefik/migrate/v2-to-v3/",
    "See https://www.keycloak.org/docs/latest/upgrading/#migrating-to-26-0-0",
    "- Bump keycloak to 26.0\n- You need to set KC_PROXY_HEADERS to xforwarded",
    "Updates postgres to 16. It cannot read the old data:\ndump the database with pg_dump before deploying.",
    "docker volume rm keycloak_ci_example_org_providers",
    "feat!: breaking: sessions are kept in the database",
    "The routers' rule syntax changed; rules with several hosts need to be rewritten, please adjust.",
    "WARNING you will be logged out, and tokens will be lost.",
    "Drone now needs DRONE_DATABASE_SECRET; generate it before the upgrade.",
    "KC_PROXY is gone: use KC_PROXY_HEADERS.",
    "If you use a custom traefik.yml you'll have to change providers.docker to providers.swarm.",
    "The swarmMode option is removed; switch to the swarm provider.",
    "The env file layout has changed, please redo yours.",
    "Rotate the rpc secret afterwards.",
    "Everybody has to log in again.",
    "Needs a new DNS record for auth.",
    "Make sure to set POSTGRES_VERSION.",
    "Do not skip this version.",
    "Delete the old volume when all is well.",
    "Upgrade to 5.1.1 first.",
    "Set KC_HOSTNAME in the env.",
    "1. Stop the app\n2. Run the migration script\n3. Start it",
    "**WARNING** reads on",
    "The `internal` network must be removed by hand:\n\n    docker network rm traefik_internal\n",
]

FREE = [
    "Fix typo.",
    "Bump image.",
    "chore: bump drone to 2.26.0",
    "Bump traefik to v3.6.2, no manual steps.",
    "No manual steps needed.",
    "No manual intervention required.",
    "No migration needed.",
    "No migrations or manual steps are necessary.",
    "There is nothing to migrate.",
    "Nothing to do.",
    "The migration is automatic.",
    "The database is migrated automatically on first start.",
    "Database migrations run automatically.",
    "Migrations are applied on startup.",
    "Keycloak migrates its schema at the first start.",
    "The migration is handled by the entrypoint.",
    "No breaking changes.",
    "Breaking changes: none",
    "## Breaking changes\n\nNone.",
    "This is not a breaking change.",
    "There are no known breaking changes in this version.",
    "Migration: none",
    "You do not need to do anything.",
    "You don't need to migrate anything.",
    "It is no longer necessary to manually restart the app.",
    "No action required.",
    "No backup is needed for this one, nothing is touched.",
    "Upgrades without downtime.",
    "Upgrade works without any manual action.",
    "Fix backup hook.",
    "Fixes a crash during database migration.",
    "Fixed a bug that broke migrations from 25.x.",
    "Adds backupbot labels.",
    "Backups now include the providers volume.",
    "Adds an optional SMTP overlay.",
    "You can now optionally set LOG_LEVEL in your env.",
    "Users can now manually trigger a build.",
    "Adds support for Postgres 16 as an option.",
    "New optional variable EXTRA_DOMAINS.",
    "See the user manual for the new dashboard.",
    "Performance improvements and bug fixes.",
    "Security release: CVE-2026-1234.",
    "Upstream release notes: https://github.com/traefik/traefik/releases/tag/v3.6.2",
    "docs: clarify the manual installation steps",
    "Improve error message when the secret is missing.",
    "Longer start_period, so that slow machines converge.",
    "The health check now runs every 10 s.",
    "Raise TIMEOUT to 600.",
    "Use the official image instead of our own.",
    "Thanks to everybody who helped with this release!",
    "Groundbreaking new dashboard.",
    "Non-breaking: the label order changed.",
    "fix: remove obsolete version key from compose files",
    "Refactor entrypoint, behaviour is unchanged.",
    "Updates mariadb from 10.11.6 to 10.11.9.",
    "Logs are less noisy.",
    "Adds a healthcheck to the db.",
    "Uses start-first for updates.",
    "Removed unused volumes section from compose.yml.",
    "Moved CI from drone to woodpecker.",
    "The default for LOG_LEVEL is now INFO.",
    "Upstream 26.0.8 contains several migration fixes.",
    "Backports the migration fix from upstream.",
    "Requires Docker 20.10 or newer.",
    "Important security fix, please upgrade soon.",
    "Please update as soon as possible.",
    "All admins must upgrade.",
    "Silences WARNING messages in the log.",
    "This release fixes an important migration issue.",
    "Nothing breaking here.",
    "Zero downtime.",
    "Same as before, with newer images.",
    "Certificates are renewed before they expire.",
    "README: how to rotate logs.",
    "Dashboards load faster after upgrading.",
    "No env changes.",
    "No changes to the env file or secrets are required.",
    "",
    "1.2.3",
]


@pytest.mark.parametrize("text", HOLDS)
def test_a_note_that_asks_for_hands_is_marked(text: str) -> None:
    assert markers(text)


@pytest.mark.parametrize("text", FREE)
def test_a_note_that_asks_for_nothing_is_not_marked(text: str) -> None:
    assert markers(text) == ()


def test_a_marker_names_the_line_its_words_stand_on() -> None:
    text = "Bumps drone.\n\nThe new scheduler wants a queue,\nso you need to set DRONE_QUEUE\nfor it.\n- No downtime."
    (marker,) = markers(text)
    assert (marker.line, marker.text, marker.rule) == (4, "so you need to set DRONE_QUEUE", "must")


def test_a_heading_without_anything_under_it_is_not_a_marker_but_one_with_text_is() -> None:
    assert markers("## Breaking changes\n\n- none\n") == ()
    assert [m.line for m in markers("## Breaking changes\n\n- the API moved\n")] == [1]


def test_reading_a_full_note_of_anything_ends_soon() -> None:
    """64 KiB is what a note is cut to; a hostile one must not hold the plan up."""
    started = time.monotonic()
    for unit in ("please ", "https://", "no ", "(", " ", "#", "- \n", "SECRET_A ", "is not n't ", "```\n"):
        markers(unit * (65536 // len(unit)))
    assert time.monotonic() - started < 20


@given(st.text(alphabet=st.sampled_from("a.!;\n\r #-*`:no migrate manual ATTENTION\x1b\u2028"), max_size=200))
def test_markers_take_any_text_and_name_lines_that_exist(text: str) -> None:
    lines = text.split("\n")
    found = markers(text)
    assert [m.line for m in found] == sorted({m.line for m in found})
    assert all(lines[m.line - 1].strip() == m.text for m in found)


def test_paragraphs_are_shown_once_with_all_their_versions_in_order() -> None:
    notes = [
        Note(version="1.10.0+2", text="Thanks!\n\nNew: B"),
        Note(version="1.9.0+1", text="New: A\r\n\r\nThanks! "),
        Note(version="1.9.1+1"),
    ]
    assert fold(notes) == [
        Folded("New: A", ("1.9.0+1",)),
        Folded("Thanks!", ("1.9.0+1", "1.10.0+2")),
        Folded("New: B", ("1.10.0+2",)),
    ]


def test_a_fenced_block_stays_whole() -> None:
    text = "Run:\n\n```\none\n\ntwo\n```\n\nDone."
    assert [f.paragraph for f in fold([Note(version="1.0.0", text=text)])] == [
        "Run:",
        "```\none\n\ntwo\n```",
        "Done.",
    ]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.lists(st.sampled_from(["a", "b b", "c\nd", "e"]), max_size=4)))
)
def test_folding_loses_no_paragraph_and_invents_none(drawn: list[tuple[int, list[str]]]) -> None:
    notes = [Note(version=f"1.{minor}.0", text="\n\n".join(parts)) for minor, parts in drawn]
    expected = {(f"1.{minor}.0", part) for minor, parts in drawn for part in parts}
    folded = fold(notes)
    assert {(version, f.paragraph) for f in folded for version in f.versions} == expected
    assert len({f.paragraph for f in folded}) == len(folded)


def test_counting_says_how_many_versions_have_a_note() -> None:
    counted = notes_count([Note(version="1.0.0", text="x"), Note(version="1.1.0", problem="symlink")])
    assert (counted.found, counted.total, str(counted)) == (1, 2, "1 of 2 versions have notes")


def test_a_large_note_is_cut_and_says_so() -> None:
    data = b"x" * (10 * 1024 * 1024)
    note = make_note("1.0.0", data)
    assert note.text is not None
    assert len(note.text) == 64 * 1024
    assert note.problem == "too large: 10 MB, first 64 KiB shown"
    assert note.sha256 == hashlib.sha256(data).hexdigest()


def test_a_cut_never_shows_half_a_character() -> None:
    note = make_note("1.0.0", b"a" + "\u00fc".encode() * 40_000)
    assert note.text is not None
    assert set(note.text) == {"a", "\u00fc"}


def test_bytes_that_are_no_text_are_shown_as_escapes() -> None:
    assert make_note("1.0.0", b"caf\xe9").text == "caf\\xe9"


@pytest.mark.parametrize("data", [b"", b" \n\t\n"])
def test_a_blank_note_is_none(data: bytes) -> None:
    note = make_note("1.0.0", data)
    assert (note.text, note.problem) == (None, "empty")


def test_a_note_that_was_not_read_keeps_its_reason() -> None:
    assert make_note("1.0.0", None, problem="symlink") == Note(version="1.0.0", problem="symlink")


@given(st.binary(max_size=300))
def test_any_bytes_make_a_note(data: bytes) -> None:
    note = make_note("1.0.0", data)
    assert (note.text is None) == (note.problem == "empty")
