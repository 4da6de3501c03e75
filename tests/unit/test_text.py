"""Foreign text: nothing that moves the cursor, hides or reorders text gets through."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.text import decode, tame, tame_line

# All of Unicode, lone surrogates included: an Engine's JSON may hold them.
ANY_TEXT = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=80)


SEEN = frozenset(map(chr, [*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD]))


def is_safe(character: str) -> bool:
    """Whether a character moves, hides and reorders nothing; some format characters are visible signs."""
    unseen = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    return character in "\n\t" or character in SEEN or not unseen


def test_every_single_character_is_safe_to_show() -> None:
    shown = tame("".join(map(chr, range(0x110000))))
    assert [hex(ord(character)) for character in set(shown) if not is_safe(character)] == []


@given(ANY_TEXT)
def test_no_control_character_but_newline_and_tab_gets_through(text: str) -> None:
    shown = tame(text)
    assert all(is_safe(character) for character in shown)
    shown.encode()


@given(ANY_TEXT)
def test_one_line_stays_one_line(text: str) -> None:
    shown = tame_line(text)
    assert all(is_safe(character) for character in shown)
    assert "\n" not in shown
    assert "\t" not in shown
    assert len(shown.splitlines()) <= 1


@given(ANY_TEXT)
def test_taming_twice_changes_nothing(text: str) -> None:
    assert tame(tame(text)) == tame(text)


@given(st.text(alphabet=st.characters(categories=("L", "N", "P", "S")), max_size=80))
def test_plain_text_of_any_language_stays_as_it_is(text: str) -> None:
    assert tame(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("a\r\nb\rc", "a\nb\\x0dc"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("\U00013430", "\\U00013430"),
        ("[/usr/lib] [bold]", "[/usr/lib] [bold]"),
    ],
)
def test_what_is_dangerous_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert tame(text) == shown


@given(st.binary(max_size=80))
def test_any_bytes_can_be_shown(data: bytes) -> None:
    assert all(is_safe(character) for character in tame(decode(data)))


def test_valid_utf8_is_read_as_such() -> None:
    assert decode("sch\u00f6n".encode()) == "sch\u00f6n"
