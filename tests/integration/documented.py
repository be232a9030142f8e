# SPDX-License-Identifier: MIT
"""The files that docs/pytest.md shows: a block whose fence says ```python NAME is the file NAME of its section.

```python NAME after SECTION: it comes after what the file NAME has there.
"""

import re

from harness import ROOT

DOCUMENT = ROOT / "docs" / "pytest.md"


def files(whole=True):
    """{heading: {name: text}}; not whole: without what the block comes after."""
    found, heading, name, lines = {}, None, None, []
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if name:
            if line == "```":
                found.setdefault(heading, {})[name] = "".join(f"{line}\n" for line in lines)
                name = None
            else:
                lines.append(line)
        elif match := re.fullmatch(r"```\w+ (\S+)(?: after (.+))?", line):
            name, lines = match[1], [found[match[2]][match[1]]] if match[2] and whole else []
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    return found
