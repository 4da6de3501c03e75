"""Secrets never show, however a stream is cut into pieces."""

import base64
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ccci_upgrade.redact import MASK, SHORTEST, Masker, secret_values

plain = st.characters(codec="utf-8", exclude_characters="[maskedMASKED]\0", exclude_categories=["Cs"])
secrets = st.text(plain, min_size=SHORTEST, max_size=24).filter(
    lambda text: len(text.strip().encode()) >= SHORTEST and len(text.splitlines()) == 1
)
noise = st.binary(max_size=30)


def forms(secret: str) -> list[bytes]:
    """What must not be seen of a secret."""
    raw = secret.strip().encode()
    return [raw, quote(raw, safe="").encode(), base64.b64encode(raw)]


def streamed(masker: Masker, data: bytes, cuts: list[int]) -> bytes:
    """The data through a stream, cut at these places."""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    stream = masker.stream()
    out = b"".join(stream.feed(data[a:b]) for a, b in pairwise(edges))
    return out + stream.flush()


@given(
    known=st.lists(secrets, min_size=1, max_size=4),
    parts=st.data(),
    cuts=st.lists(st.integers(0, 400), max_size=12),
)
def test_no_secret_shows_however_the_stream_is_cut(
    known: list[str], parts: st.DataObject, cuts: list[int]
) -> None:
    """As it is, url-encoded and base64-encoded, next to each other and between junk."""
    hidden = [form for secret in known for form in forms(secret)]
    pieces = parts.draw(st.lists(st.one_of(st.sampled_from(hidden), noise), max_size=8))

    shown = streamed(Masker(known), b"".join(pieces), cuts)

    # Junk beside a mask could spell a secret that was never printed; what is between masks could not.
    for part in shown.split(MASK):
        assert not [form for form in hidden if form in part]


@given(secret=secrets, before=noise, after=noise, cut=st.integers(0, 100))
def test_what_is_no_secret_is_shown_as_it_was(secret: str, before: bytes, after: bytes, cut: int) -> None:
    """Masking adds nothing and drops nothing else."""
    whole = before + after
    assume(not any(form in whole for form in forms(secret)))

    assert streamed(Masker([secret]), whole, [cut]) == whole


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=5))
def test_without_secrets_bytes_go_through_at_once(data: bytes, cuts: list[int]) -> None:
    """Nothing is held back: progress is shown as it comes."""
    stream = Masker([]).stream()

    assert stream.feed(data) == data
    assert streamed(Masker([]), data, cuts) == data


def test_of_two_secrets_one_of_which_begins_the_other_nothing_is_left() -> None:
    """The longer one may still be on its way when the shorter one is complete."""
    masker = Masker(["hunter22", "hunter22-and-more"])

    assert streamed(masker, b"<hunter22-and-more>", [9]) == b"<" + MASK + b">"
    assert streamed(masker, b"<hunter22>", [9]) == b"<" + MASK + b">"


def test_secrets_that_overlap_are_masked_together() -> None:
    """No end of the second one is left because the first one took its beginning."""
    assert Masker(["abcdefgh", "efghijkl"]).mask(b"<abcdefghijkl>") == b"<" + MASK + b">"


def test_every_line_of_a_key_is_masked() -> None:
    """A program may print one line of it."""
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nabc\n"

    assert Masker([key]).mask(b"loaded MIIEvQIBADANBg\n") == b"loaded " + MASK + b"\n"


def test_short_values_are_not_masked() -> None:
    """`true` or `443` would blank half the log."""
    assert Masker(["true", "443", ""]).mask(b"true 443") == b"true 443"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("DB_PASSWORD", True),
        ("ADMIN_PASSWD", True),
        ("DRONE_RPC_SECRET", True),
        ("api_token", True),
        ("SMTP_CREDENTIALS", True),
        ("SECRET_DB_PASSWORD_VERSION", False),
        ("SECRETS_ENABLED", False),
        ("DOMAIN", False),
        ("LETS_ENCRYPT_ENV", False),
    ],
)
def test_settings_are_secret_by_their_names(*, name: str, secret: bool) -> None:
    """Versions of secrets are names in the Swarm, not secrets."""
    assert secret_values([(name, "value-of-it")]) == (["value-of-it"] if secret else [])


def test_a_lot_of_output_is_masked_in_time() -> None:
    """2 MB with twenty secrets, in pieces as a pipe gives them; linear, so never a minute."""
    masker = Masker([f"secret-number-{n}" for n in range(20)])
    block = (b"x" * 900 + b" secret-number-7 " + b"\n") * 70
    stream = masker.stream()

    out = b"".join(stream.feed(block) for _ in range(32)) + stream.flush()

    assert out.count(MASK) == 70 * 32
