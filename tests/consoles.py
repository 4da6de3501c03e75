"""Console blocks of the documents: the commands they show and the output beside each."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
GUIDES = tuple(sorted((ROOT / "docs" / "guides").glob("*.md")))
SHOWN = (ROOT / "README.md", *GUIDES)
"""Documents whose commands are tried."""

_COMMAND = re.compile(r"\$ (?!abra )(.*)")
"""A line with abra's command is output: the program says what it runs."""

_BLOCK = re.compile(r"(?<=^```console\n)(.*?)(?=^```$)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One command and the lines shown under it, none where the document leaves them out."""

    command: str
    output: tuple[str, ...]

    @property
    def on_a_server(self) -> bool:
        """Whether it needs a server: the tool itself, or the exit code of the command before it."""
        return self.command.startswith("ccci-upgrade ") or self.command == "echo $?"


def steps(text: str) -> list[Step]:
    """Every command of a document, in its order."""
    found: list[Step] = []
    for block in _BLOCK.findall(text):
        for line in block.splitlines():
            if match := _COMMAND.fullmatch(line):
                found.append(Step(command=match[1], output=()))
            else:
                assert found, f"output without a command: {line}"
                last = found.pop()
                found.append(Step(command=last.command, output=(*last.output, line)))
    return found


def with_output(text: str, outputs: list[tuple[str, ...]]) -> str:
    """Give the document with new output, one for each command; where none was shown none is put."""
    given = iter(zip(steps(text), outputs, strict=True))

    def block(match: re.Match[str]) -> str:
        lines: list[str] = []
        for line in match[1].splitlines():
            if _COMMAND.fullmatch(line):
                step, output = next(given)
                lines += [line, *(output if step.output else ())]
        return "".join(f"{line}\n" for line in lines)

    return _BLOCK.sub(block, text)
