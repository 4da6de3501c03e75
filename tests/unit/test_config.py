"""The configuration file: what it may say, and one clear error for everything else."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.config import LONGEST, NAME, AppSettings, read_config, seconds
from ccci_upgrade.errors import UsageError

WHOLE = """
abra = "/usr/local/bin/abra"
abra_dir = "abra"
state_dir = "/var/lib/ccci-upgrade"
server = "ci.example.org"

[servers."ci.example.org"]
docker_host = "unix:///var/run/docker.sock"

[apps."keycloak.ci.example.org"]
recipe = "keycloak"
order = 20
holds_data = true
address = "127.0.0.1"
budget = "10m"
settle = "500ms"
backup = "abra"
backup_command = ["/usr/local/bin/my-backup", "key cloak", ""]
backup_budget = "30m"

[[apps."keycloak.ci.example.org".probes]]
name = "realm"
url = "https://{domain}/realms/master"
"""


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to work in, a home without settings, no variables."""
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("ABRA_DIR", "CCCI_UPGRADE_STATE", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


def written(text: str | bytes, path: str = "settings.toml") -> Path:
    """A file with this text."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_every_setting_of_the_documents_is_read(tmp_path: Path) -> None:
    """Relative paths are seen from the file, durations become seconds."""
    config = read_config(written(WHOLE, "etc/settings.toml"))

    assert config.abra == "/usr/local/bin/abra"
    assert config.abra_dir in (tmp_path / "etc" / "abra", Path("etc/abra").absolute())
    assert config.state_dir == Path("/var/lib/ccci-upgrade")
    assert config.server == "ci.example.org"
    assert config.docker_hosts == {"ci.example.org": "unix:///var/run/docker.sock"}
    assert config.apps["keycloak.ci.example.org"] == AppSettings(
        recipe="keycloak",
        order=20,
        holds_data=True,
        address="127.0.0.1",
        budget=600.0,
        settle=0.5,
        backup=True,
        backup_command=("/usr/local/bin/my-backup", "key cloak", ""),
        backup_budget=1800.0,
        probes=({"name": "realm", "url": "https://{domain}/realms/master"},),
    )


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    """A plain server needs no configuration."""
    config = read_config(None)

    assert (config.source, config.abra, config.server, config.apps) == (None, "abra", None, {})
    assert config.abra_dir == tmp_path / "home" / ".abra"


def test_the_first_file_found_holds(tmp_path: Path) -> None:
    """The working directory before the user's own folder; a named one before both."""
    own = tmp_path / "home" / ".config" / "ccci-upgrade" / NAME
    written('server = "own"', str(own))
    assert read_config(None).server == "own"

    written('server = "here"', NAME)
    assert read_config(None).server == "here"
    assert read_config(written('server = "named"')).server == "named"


def test_variables_name_folders_where_the_file_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Abra's own, and ours for state."""
    monkeypatch.setenv("ABRA_DIR", "/srv/abra")
    monkeypatch.setenv("CCCI_UPGRADE_STATE", "/srv/state")

    assert (read_config(None).abra_dir, read_config(None).state_dir) == (
        Path("/srv/abra"),
        Path("/srv/state"),
    )
    config = read_config(written('abra_dir = "~/a"\nstate_dir = "s"\n'))
    assert (config.abra_dir, config.state_dir) == (tmp_path / "home" / "a", tmp_path / "s")


def test_no_probes_is_not_the_same_as_none_said() -> None:
    """An empty list switches the profile's off."""
    config = read_config(written("[apps.a]\nprobes = []\n[apps.b]\norder = 1\n"))

    assert (config.apps["a"].probes, config.apps["b"].probes) == ((), None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("abra_dri = 'x'", "`abra_dri` is no setting"),
        ("[apps.a]\nordre = 1", "`ordre` is no setting"),
        ("[servers.a]\nhost = 'x'", "`host` is no setting"),
        ("abra = 5", "`abra` must be a text"),
        ("abra = ''", "`abra` must be a text"),
        ('abra = "a\\u0000b"', "`abra` must be a text"),
        ("apps = 5", "`apps` must be a table"),
        ("[apps]\na = 5", "must be a table"),
        ("servers = []", "`servers` must be a table"),
        ("[servers]\na = 5", "must be a table"),
        ("[apps.a]\norder = true", "`order` must be a whole number"),
        ("[apps.a]\norder = 1.5", "`order` must be a whole number"),
        ("[apps.a]\nholds_data = 'yes'", "`holds_data` must be true or false"),
        ("[apps.a]\nbudget = 600", "`budget` must be a text"),
        ("[apps.a]\nbudget = 'soon'", "`soon` is no duration"),
        ("[apps.a]\nprobes = 5", "`probes` must be a list of tables"),
        ("[apps.a]\nprobes = [5]", "`probes` must be a list of tables"),
        ("abra_dir = '~nobody-of-that-name/x'", "home folder"),
        ("a = ", "is no TOML"),
        ("a = " + "[" * 10_000, "is no TOML"),
        (b"abra = '\xff'", "is not UTF-8"),
        ("a = 1\na = 2", "is no TOML"),
    ],
)
def test_what_is_wrong_is_one_error_that_names_file_and_key(text: str | bytes, words: str) -> None:
    """With the way out in its hint or in itself."""
    with pytest.raises(UsageError) as caught:
        read_config(written(text))

    assert words in caught.value.message
    assert "settings.toml" in caught.value.message or "home folder" in words


@pytest.mark.parametrize("path", ["none.toml", ".", "none/of/these"])
def test_a_named_file_that_cannot_be_read_is_an_error(path: str) -> None:
    """Unlike the usual places it was asked for."""
    with pytest.raises(UsageError, match="cannot read"):
        read_config(Path(path))


@pytest.mark.parametrize(
    ("text", "value"),
    [("90s", 90.0), ("1m30s", 90.0), ("1.5h", 5400.0), ("500ms", 0.5), ("0s", 0.0), ("2h5m", 7500.0)],
)
def test_durations_are_read(text: str, value: float) -> None:
    """In the units people write."""
    assert seconds(text, "here") == pytest.approx(value)


@pytest.mark.parametrize(
    "text", ["", "90", "s", "-5s", "5 s", "5x", "1e3s", "٣s", "9" * 400 + "h", "300h", "nan", "inf"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Also one that no clock could wait for."""
    with pytest.raises(UsageError, match=r"no duration|longer than a week"):
        seconds(text, "here")


@given(text=st.text(st.sampled_from("0123456789.smh "), max_size=12))
def test_a_duration_is_finite_or_refused(text: str) -> None:
    """Nothing in between."""
    try:
        value = seconds(text, "here")
    except UsageError:
        return
    assert 0 <= value <= LONGEST


@given(data=st.binary(max_size=60))
def test_any_bytes_are_settings_or_one_error(data: bytes) -> None:
    """Never a traceback for a broken file."""
    with contextlib.suppress(UsageError):
        read_config(written(data))


@pytest.mark.parametrize(
    "line",
    [
        'backup = "yes"',
        "backup = true",
        'backup_command = "/bin/true"',
        "backup_command = []",
        'backup_command = [""]',
        'backup_command = ["", "x"]',
        'backup_command = ["/bin/true", 5]',
        'backup_command = ["/bin/true", "a\\u0000b"]',
        'backup_command = ["./backup"]',
        'backup_command = ["~/backup"]',
        'backup_budget = "soon"',
    ],
)
def test_a_second_copy_that_makes_no_sense_is_refused(line: str) -> None:
    """With the file, the app and the key."""
    with pytest.raises(UsageError) as caught:
        read_config(written(f'[apps."k"]\n{line}\n'))

    assert "settings.toml" in caught.value.message
    assert "'k'" in caught.value.message
    assert f"`{line.partition(' ')[0]}`" in caught.value.message
