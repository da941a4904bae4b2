"""The source digest: what counts as code, and which methods a change reaches."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline import provenance
from pipeline.provenance import method_digest, source_digest, tokens_digest
from pipeline.run import Run
from pipeline.source_code import tree_digest
from pipeline.study import parse_run
from sparse_methods.methods import METHODS

REPOSITORY = Path(__file__).resolve().parents[2]

CODE = '''
"""A module."""

import math


class Method:
    """A class."""

    size = 3  # its size

    def score(self, values):
        """Say what it does."""
        total = 0
        for value in values:
            if value > 0:
                total += value
                total *= 2
        return {"total": total, "name": "score"}
'''


def same(one: str, other: str) -> bool:
    return tokens_digest(textwrap.dedent(one)) == tokens_digest(textwrap.dedent(other))


@pytest.mark.parametrize(
    "change",
    [
        lambda code: code.replace("  # its size", ""),
        lambda code: code.replace("import math", "# why\nimport math  # and how"),
        lambda code: code.replace('"""Say what it does."""', '"""Say it\n\n        better, over lines.\n        """'),
        lambda code: code.replace('        """Say what it does."""\n', ""),
        lambda code: code.replace('"""A module."""\n', ""),
        lambda code: code.replace("\n\n", "\n\n\n\n").replace("total = 0\n", "total = 0\n\n"),
        lambda code: code.replace("        total = 0", "        total  =  0"),
        lambda code: code.replace('{"total": total, "name"', '{\n            "total": total,\n            "name"'),
        lambda code: code.replace("total += value", "total += \\\n                    value"),
        lambda code: code.replace("    ", "  "),
        lambda code: code.rstrip("\n"),
    ],
    ids=[
        "comment",
        "comments added",
        "docstring reworded",
        "docstring removed",
        "module docstring removed",
        "blank lines",
        "spaces",
        "line breaks in brackets",
        "continued line",
        "width of the indent",
        "no last newline",
    ],
)
def test_what_explains_code_does_not_count(change: Any) -> None:
    assert change(CODE) != CODE
    assert same(CODE, change(CODE))


@pytest.mark.parametrize(
    "change",
    [
        lambda code: code.replace("value > 0", "value >= 0"),
        lambda code: code.replace("size = 3", "size = 4"),
        lambda code: code.replace('"name": "score"', '"name": "rank"'),
        lambda code: code.replace("total", "amount"),
        lambda code: code.replace("                total *= 2", "            total *= 2"),
        lambda code: code.replace("                total *= 2", "        total *= 2"),
        lambda code: code.replace("                total *= 2\n", ""),
        lambda code: code.replace("import math\n", "import math, os\n"),
        lambda code: code.replace("total += value", "total -= value"),
        lambda code: code.replace("def score", "async def score"),
        lambda code: code.replace("        total = 0\n", '        total = """0"""\n'),
    ],
    ids=[
        "operator",
        "number",
        "string",
        "name",
        "block left",
        "two blocks left",
        "line removed",
        "import",
        "assignment",
        "keyword",
        "string as a value",
    ],
)
def test_what_changes_code_counts(change: Any) -> None:
    assert change(CODE) != CODE
    assert not same(CODE, change(CODE))


def test_tokens_do_not_run_together() -> None:
    assert not same("ab = 1", "a = b1")
    assert not same("x = [1, 23]", "x = [12, 3]")


@pytest.mark.parametrize(
    ("one", "other"),
    [("x = a\n(b)\n", "x = a(b)\n"), ("x = a\n-b\n", "x = a - b\n"), ("x = a\n[0]\n", "x = a[0]\n")],
    ids=["call", "difference", "subscript"],
)
def test_two_statements_are_not_one(one: str, other: str) -> None:
    assert not same(one, other)


def test_a_string_statement_is_no_code() -> None:
    assert same('x = 1\n"""What x is."""\ny = 2\n', "x = 1\ny = 2\n")


def test_a_digest_is_the_same_under_every_python() -> None:
    # Pinned under 3.11, 3.12 and 3.13: since 3.12 the tokenizer takes an f-string apart, and records of another Python
    # must stay comparable all the same.
    source = 'x = f"a{b!r:>{c}} {{}}" + rf"""{d:.{e}f}\n{f(g)}"""\n'
    assert tokens_digest(source)[:16] == "ea3f22114bfd273d"


def test_strings_that_are_used_at_the_start_of_a_line_count() -> None:
    assert not same('x = {\n    "a": 1,\n}', 'x = {\n    "b": 1,\n}')
    assert not same('f(\n"a")', 'f(\n"b")')


# -- which files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_digest_is_twelve_hex_digits(method: str) -> None:
    assert len(method_digest(method)) == 12
    int(method_digest(method), 16)


def test_methods_have_different_digests() -> None:
    assert len({method_digest(method) for method in METHODS}) == len(METHODS)


REACH = """
import json, sys
from pathlib import Path
import sparse_methods
from pipeline.provenance import method_digest
from sparse_methods.methods import METHODS

package = Path(sparse_methods.__file__).parent
assert package.is_relative_to(sys.argv[1]), package

def digests():
    method_digest.cache_clear()
    return {method: method_digest(method) for method in METHODS}

def after(file, old, new):
    path = package / file
    before = path.read_text()
    assert old in before, (file, old)
    path.write_text(before.replace(old, new))
    try:
        return digests()
    finally:
        path.write_text(before)

plain = digests()
changes = {name: after(*change) for name, change in json.load(sys.stdin).items()}
assert digests() == plain
print(json.dumps({name: [m for m in plain if plain[m] != found[m]] for name, found in changes.items()}))
"""


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """For each change of a copy of the package, the methods whose digest it changes."""
    changes = {
        "comment": ("methods/set.py", "return layer.random()", "return layer.random()  # uniform"),
        "docstring": ("methods/set.py", "Drop the weights nearest to zero", "Remove the smallest weights"),
        "set": ("methods/set.py", "return layer.random()", "return -layer.random()"),
        "rigl": ("methods/rigl.py", "growth.SCORES[self.growth](layer)", "-growth.SCORES[self.growth](layer)"),
        "pruning": ("methods/pruning.py", "return 0.0", "return 0.1"),
        "engine": ("topology.py", "values > threshold", "values >= threshold"),
        "schedules": ("schedules.py", "math.cos(", "math.sin("),
        "optimizer state": ("optimizer_state.py", "value.mul_(mask)", "value.mul_(1)"),
        "contract": ("method.py", "else 3 * cost.sparse", "else 4 * cost.sparse"),
        "distributions": ("distributions.py", "if eps * top <= 1:", "if eps * top < 1:"),
        "growth": ("growth.py", "1 - momentum", "momentum"),
        "first masks": ("first_mask.py", "1 - (1 - layer.sparsity)", "1 - (2 - layer.sparsity)"),
        "dense parameters": ("dense_parameters.py", "weights - topology.zero_count", "topology.zero_count"),
        "sparse parameters": ("sparse_parameters.py", "min(active, target)", "target"),
    }
    folder = tmp_path_factory.mktemp("copy")
    for package in ("sparse_methods", "pipeline"):
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", REACH, str(folder)],
        input=json.dumps(changes),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("change", ["comment", "docstring"])
def test_explaining_a_method_reaches_nothing(reached: dict[str, list[str]], change: str) -> None:
    assert reached[change] == []


@pytest.mark.parametrize(
    ("change", "methods"),
    [
        ("set", {"set", "set_itop", "mest", "snfs", "snfs_redistributed", "rigl", "rigl_itop", "srigl"}),
        ("rigl", {"rigl", "rigl_itop", "srigl"}),
        ("pruning", {"pruning", "granet"}),
    ],
)
def test_a_method_reaches_itself_and_what_builds_on_it(
    reached: dict[str, list[str]], change: str, methods: set[str]
) -> None:
    assert set(reached[change]) == methods


ENGINE_CHANGES = ["engine", "schedules", "optimizer state", "contract", "distributions", "growth", "first masks"]
ENGINE_CHANGES += ["dense parameters", "sparse parameters"]


@pytest.mark.parametrize("change", ENGINE_CHANGES)
def test_the_engine_reaches_every_method(reached: dict[str, list[str]], change: str) -> None:
    assert set(reached[change]) == set(METHODS)


def a_run(**fields: Any) -> Run:
    protocol = {"steps": 3, "batch_size": 1, "learning_rate": {"peak": 0.1}}
    return parse_run({"model": "lenet300", "dataset": "digits", "method": "rigl", "protocol": protocol, **fields})


def test_a_run_is_also_made_by_the_code_of_what_it_starts_from() -> None:
    alone, child = a_run(sparsity=0.9), a_run(sparsity=0.9, start_from={"method": "static"})
    assert source_digest(alone) == method_digest("rigl")
    assert child.start_from is not None
    assert source_digest(child.start_from.run) == method_digest("static")
    assert source_digest(child) not in (method_digest("rigl"), method_digest("static"))


# -- the record's block ----------------------------------------------------------------------------------------------------


def test_provenance_of_a_cpu_run() -> None:
    run = a_run()
    found = provenance.provenance(run, torch.device("cpu"), "d1d2")
    assert found.data_digest == "d1d2"
    assert found.device == "cpu"
    assert found.numerics == "float32, bit-reproducible"
    assert found.source_digest == source_digest(run)
    assert found.versions["torch"] == torch.__version__
    assert set(found.versions) == {"python", "torch", "rigl-bench"}
    assert found.hardware


def test_provenance_of_a_gpu_run_says_whether_it_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "hardware_of", lambda device: "a GPU")
    device = torch.device("cuda")
    protocol = {"steps": 3, "batch_size": 1, "learning_rate": {"peak": 0.1}}
    for deterministic, words in ((True, "float32, bit-reproducible"), (False, "float32, not bit-reproducible")):
        run = a_run(protocol={**protocol, "deterministic": deterministic})
        assert provenance.provenance(run, device, None).numerics == words


def test_a_tree_with_a_broken_file_has_a_digest_that_changes_with_it(tmp_path: Path) -> None:
    """The workflow takes digests while it loads the study, which says where the mistake is."""
    (tmp_path / "mine.py").write_text("def f(:\n")
    broken = tree_digest(tmp_path)
    (tmp_path / "mine.py").write_text("x = (1,\n")
    unclosed = tree_digest(tmp_path)
    (tmp_path / "mine.py").write_text("if x:\n        a\n    b\n")
    assert len({broken, unclosed, tree_digest(tmp_path)}) == 3
