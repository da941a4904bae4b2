"""The shell steps of the container recipes. As a program: those of the file that is named, for a shell to run."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def dockerfile_steps(text: str) -> list[str]:
    """The command of every RUN, its continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", text)
    return re.findall(r"^RUN (.+)$", joined, flags=re.MULTILINE)


def apptainer_sections(text: str) -> dict[str, list[str]]:
    """The lines of each section, stripped, without comments and empty lines; those of the head stand under ``""``."""
    sections: dict[str, list[str]] = {"": []}
    current = sections[""]
    for line in text.splitlines():
        if line.startswith("%"):
            current = sections[line.removeprefix("%").strip()] = []
        elif line.strip() and not line.startswith("#"):
            current.append(line.strip())
    return sections


if __name__ == "__main__":
    print("\n".join(dockerfile_steps(Path(sys.argv[1]).read_text())))
