"""What a third party might write into a submission to harm whoever reads it: texts, and whole submissions made of them.

``SHOWN`` are texts that are accepted, because a name may look so, and must then be escaped wherever they are shown;
``REFUSED`` never reach a page. A test of something that shows submissions writes one with ``submission(folder)``, loads it
with ``analysis.submissions.load`` and looks for what must not be in its output.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

EXAMPLE = Path(__file__).parent / "example"
MARK = "hacked"
"""Is in every script below: a page on which it is defined, or runs, has been broken."""
SHOWN = (
    f"<script>{MARK}=1</script>",
    f"</script><script>{MARK}()</script>",
    f"<img src=x onerror={MARK}()>",
    f'"onmouseover={MARK}() x="',
    f"'-{MARK}()-'",
    f"`${{{MARK}()}}`",
    f"{{{{{MARK}()}}}} {{% x %}} {{# y #}}",
    f"x--><svg onload={MARK}()>",
    "]]><!--",
    r"\input{/etc/passwd} \write18{id} $&%#_^~",
    '","injected":"1',
    "a, b; c: {d} [e] #f | g",
    "Ünï‐çødé ✓ 稀疏",
    "&lt;b&gt; &amp; &#60;",
)
"""Texts of at most 40 characters, as a label's."""
REFUSED = {
    "formula": "=HYPERLINK(1)",
    "formula after a space": " =1+1",
    "formula by plus": "+1",
    "formula by minus": "-2+3",
    "formula by at": "@SUM(A1)",
    "right-to-left override": "abc\u202etxt.exe",
    "isolate": "a\u2066b\u2069",
    "zero width": "Rig\u200bL",
    "byte order mark": "a\ufeffb",
    "null": "a\0b",
    "escape sequence": "\x1b[2J\x1b[31mred",
    "carriage return": "good\rbad",
    "new line": "one\ntwo",
    "tab": "one\ttwo",
    "line separator": "one\u2028two",
    "private use": "a\ue000",
    "no character": "a\ufffe",
    "too long": "x" * 4001,
}
"""By what is wrong with them."""
NAMES = (
    "..",
    "a/../b",
    "A",
    "a_b",
    "a--b",
    "-a",
    "a.b",
    "a b",
    "%2e%2e",
    "a\u202eb",
    "a\nb",
    "con\x1b[2J",
    "x" * 61,
    "café",
)
"""Names that a submission must not have."""


def card(**changes: Any) -> dict[str, Any]:
    """The example's card with other values; None leaves a key out."""
    fields = yaml.safe_load((EXAMPLE / "card.yaml").read_text(encoding="utf-8")) | changes
    return {name: value for name, value in fields.items() if value is not None}


def records() -> list[dict[str, Any]]:
    """The example's records."""
    return [json.loads(line) for line in (EXAMPLE / "records.jsonl").read_text(encoding="utf-8").splitlines()]


def write(folder: Path, fields: Mapping[str, Any] | None = None, lines: list[Any] | None = None) -> Path:
    """The example at ``folder``, with another card or with other records (objects, or the text of a line)."""
    shutil.copytree(EXAMPLE, folder)
    if fields is not None:
        text = yaml.safe_dump(dict(fields), allow_unicode=False, sort_keys=False)
        (folder / "card.yaml").write_text(text, encoding="utf-8")
    if lines is not None:
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (folder / "records.jsonl").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return folder


def submission(folder: Path, text: str = SHOWN[0]) -> Path:
    """An accepted submission at ``folder`` in which every text that its author may choose is ``text``."""
    fields = card(
        label=text, contact=text, training=text, dense_parts=[text], cheaper=text, exempt={"zero state": text}
    )
    fields["paper"] = {"title": text, "link": "https://example.org/?q=%3Cscript%3E&x='"[:-1]}
    lines = records()
    for line in lines:
        line["provenance"] |= {"hardware": text, "numerics": text}
        line["provenance"]["versions"] = dict.fromkeys(line["provenance"]["versions"], text)
    lines[-1] |= {"status": f"failed: {text}"} | dict.fromkeys(("sparsity", "size_bytes", "result", "work", "timing"))
    lines[-1] |= {"layers": [], "flops": {}} | dict.fromkeys(("explored", "file_bytes", "peak_parameter_bytes"))
    return write(folder, fields, lines)
