"""The libraries that the page carries: DataTables from the package itables, and Bokeh, as classic scripts.

Both are read from the installed packages, licences and all, so that the page needs no network and no copy of them lies in
this repository.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from importlib.resources import files

from analysis.errors import AnalysisError

PACKAGES = {
    "itables": "DataTables, its Buttons and jQuery",
    "bokeh": "the scatter plot",
}
"""Packages that scripts are taken from, and what they bring."""

_EXPORTS = re.compile(r"\bexport\s*\{([^{}]*)\}\s*;?\s*(?=(?:/\*.*)?\Z)", re.DOTALL)
"""The last statement of a module before the licences that end it."""


def datatables() -> str:
    """The script of DataTables; it sets ``globalThis.itables`` to what the module exports, jQuery among it.

    Raises AnalysisError when the installed itables is built in another way than the one that was tested.
    """
    module = _inside_a_page(_read("itables", "html/dt_bundle.js"))
    exports = _EXPORTS.search(module)
    if exports is None or "jQuery" not in exports[1]:
        raise _foreign("itables", "dt_bundle.js does not end by exporting jQuery")
    names = [re.split(r"\s+as\s+", pair.strip()) for pair in exports[1].split(",") if pair.strip()]
    given = ",".join(f"{name[-1]!r}:{name[0]}" for name in names)
    body = f"{module[: exports.start()]}globalThis.itables={{{given}}};{module[exports.end() :]}"
    return f'(()=>{{"use strict";{body}\n}})();'


def style() -> str:
    """The style sheet of DataTables; its pictures are inside it."""
    sheet = _read("itables", "html/dt_bundle.css")
    if re.search(r"@import|</style|url\((?!['\"]?data:)", sheet, re.IGNORECASE):
        raise _foreign("itables", "dt_bundle.css loads other files, or cannot stand inside a page")
    return sheet


def bokeh() -> str:
    """The script of Bokeh; it sets ``globalThis.Bokeh``."""
    return _inside_a_page(_read("bokeh", "server/static/js/bokeh.min.js"))


def versions() -> list[tuple[str, str, str]]:
    """Package, version and what it brings."""
    return [(name, version(name), words) for name, words in PACKAGES.items()]


def _read(package: str, path: str) -> str:
    return files(package).joinpath(path).read_text(encoding="utf-8")


def _inside_a_page(script: str) -> str:
    """The same script without what would end, or keep from ending, the element that it stands in.

    In a string or a regular expression, and nowhere else do these stand in a script, the backslash changes nothing.
    """
    return re.sub(r"<(!--|/script)", r"<\\\1", script, flags=re.IGNORECASE)


def _foreign(package: str, defect: str) -> AnalysisError:
    return AnalysisError(f"{package} {version(package)}: {defect}\ninstall the version that constraints.txt names")
