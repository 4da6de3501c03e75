"""The JSON document: its frame, and that it is UTF-8 whatever the terminal speaks."""

import json
import os
import subprocess
import sys

from ccci_upgrade.errors import Exit, NotReadyError
from ccci_upgrade.ui.envelope import document


def test_the_frame() -> None:
    """Schema, command, exit code, data, errors: these keys and no others."""
    said = json.loads(
        document("plan", Exit.HELD, {"plans": []}, [NotReadyError("what", hint="do", code="c")])
    )
    assert said == {
        "schema_version": 1,
        "command": "plan",
        "exit_code": 12,
        "data": {"plans": []},
        "errors": [{"code": "c", "message": "what", "hint": "do"}],
    }


def test_an_error_without_a_hint_has_null() -> None:
    """Readers need not tell an empty text from none."""
    assert json.loads(document("plan", Exit.OK, {}, [NotReadyError("what")]))["errors"][0]["hint"] is None


def test_the_document_is_json_in_every_locale() -> None:
    """Where stdout is not UTF-8 the document still is one: JSON has its own escapes, Python's would break it."""
    script = (
        "from ccci_upgrade.ui import envelope\n"
        "from ccci_upgrade.errors import Exit\n"
        "envelope.write('status', Exit.OK, {'text': 'a → b é'})\n"
    )
    for encoding in ("utf-8", "latin-1", "ascii"):
        ran = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert json.loads(ran.stdout.decode("utf-8"))["data"] == {"text": "a → b é"}
