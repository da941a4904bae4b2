"""The command line: the JSON of design.md, section 3, and errors of a line or two with exit code 2."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli
from pipeline.status import study_status
from pipeline.study import load_study, study_names
from sparse_methods import methods

LAYER_KEYS = ["layer", "shape", "weights", "nonzeros", "sparsity", "masked"]
COST_KEYS = ["dense_inference_flops", "inference_flops", "inference_x", "train_x"]
METHOD_KEYS = ["name", "label", "family", "year", "citation", "dense_parts", "cannot"]
METHODS = sorted(methods.METHODS)

SMALL_EDITIONS = sorted(str(path) for path in (Path(__file__).parents[1] / "studies").glob("*.yaml"))
STUDY = """\
title: A small study
base:
  dataset: digits
  model: lenet300
  protocol: {steps: 4, batch_size: 8, learning_rate: {peak: 0.1}, evaluations: 2}
grid:
  - method: dense
  - method: [static, rigl]
    sparsity: 0.9
seeds: 2
runs_per_job: 3
"""
MODEL = """\
import torch
from torch import nn
from pipeline.models import LayerRule


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, classes)

    def forward(self, inputs):
        return self.head(self.stem(inputs).mean(dim=(2, 3)))


def tiny(input_shape, classes):
    return Net(classes)


def ruled(input_shape, classes):
    return Net(classes)


ruled.layer_rules = (LayerRule("stem", "unmasked"),)


def flat(input_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[1] * input_shape[2], classes))


def settled():
    return Net(5)


class Attentive(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 2)

    def forward(self, inputs):
        return self.head(self.attention(inputs, inputs, inputs)[0])


def attentive():
    return Attentive()


def not_a_model(input_shape, classes):
    return "a string"


count = 3
"""


@dataclass
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Ask = Callable[..., Answer]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Ask:
    """Call the entry point as the console script does, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("RIGL_BENCH_DATA_ROOT", raising=False)

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["rigl-bench", *map(str, arguments)])
        code: object = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Answer(int(code or 0), out, err)

    return call


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """A module of the user's, in the current folder; every test has its own name, because modules are imported once."""
    name = f"mine_{re.sub(r'[^a-z0-9]', '_', tmp_path.name.lower())}"
    (tmp_path / f"{name}.py").write_text(MODEL)
    return name


def refused(answer: Answer, *parts: str) -> str:
    """A user's error: code 2, nothing on stdout, one or two lines on stderr that hold every part."""
    assert answer.code == 2
    assert answer.out == ""
    assert 1 <= len(answer.err.splitlines()) <= 2, answer.err
    for part in parts:
        assert part in answer.err
    return answer.err


# -- layers ---------------------------------------------------------------------------------------------------------------


def test_layers_as_json(ask: Ask) -> None:
    rows = ask("layers", "lenet300", "--sparsity", 0.9, "--json").json
    assert [list(row) for row in rows] == [LAYER_KEYS] * 3
    assert rows == [
        {
            "layer": "fc1",
            "shape": [300, 784],
            "weights": 235200,
            "nonzeros": 23520,
            "sparsity": pytest.approx(0.9),
            "masked": True,
        },
        {
            "layer": "fc2",
            "shape": [100, 300],
            "weights": 30000,
            "nonzeros": 3000,
            "sparsity": pytest.approx(0.9),
            "masked": True,
        },
        {
            "layer": "fc3",
            "shape": [10, 100],
            "weights": 1000,
            "nonzeros": 100,
            "sparsity": pytest.approx(0.9),
            "masked": True,
        },
    ]


def test_layers_of_another_distribution_layout_and_input(ask: Ask) -> None:
    asked = ("layers", "lenet300", "--sparsity", 0.9, "--distribution", "erk", "--input", "1,8,8", "--classes", 5)
    rows = ask(*asked, "--json").json
    assert [row["shape"] for row in rows] == [[300, 64], [100, 300], [5, 100]]
    weights = sum(row["weights"] for row in rows)
    assert weights - sum(row["nonzeros"] for row in rows) == pytest.approx(0.9 * weights, abs=4)
    assert rows[0]["sparsity"] != rows[1]["sparsity"]
    rows = ask("layers", "lenet300", "--sparsity", 0.9, "--layout", "mnist-authors", "--json").json
    assert [(row["sparsity"], row["masked"]) for row in rows] == [
        (pytest.approx(0.9), True),
        (pytest.approx(0.81), True),
        (0.0, False),
    ]


def test_layers_of_a_wide_residual_network(ask: Ask) -> None:
    rows = ask("layers", "wrn22_2", "--sparsity", 0.95, "--distribution", "erk", "--json").json
    assert len(rows) == 23
    assert sum(row["weights"] for row in rows) == 1_076_912
    assert [row["layer"] for row in rows if not row["masked"]] == ["conv1"]


def test_layers_as_a_table(ask: Ask) -> None:
    answer = ask("layers", "lenet300", "--sparsity", 0.9)
    assert answer.code == 0
    for text in ("lenet300, uniform, sparsity 0.9", "300 x 784", "23,520", "266,200", "26,620"):
        assert text in answer.out


# -- flops ----------------------------------------------------------------------------------------------------------------


def test_flops_as_json(ask: Ask) -> None:
    costs = ask("flops", "lenet300", "--sparsity", 0.9, "--json").json
    assert list(costs) == ["macs", "rigl", "size_bytes", "file_bytes", "asked", "layers"]
    assert costs["asked"] == {
        "model": "lenet300",
        "method": "rigl",
        "sparsity": 0.9,
        "distribution": "uniform",
        "multiplier": 1.0,
    }
    dense, sparse = 532_400, 53_240
    for convention, outputs in (("macs", 0), ("rigl", 410)):
        f_dense, f_sparse = dense + outputs, sparse + outputs
        assert list(costs[convention]) == COST_KEYS
        assert costs[convention] == {
            "dense_inference_flops": f_dense,
            "inference_flops": f_sparse,
            "inference_x": pytest.approx(f_sparse / f_dense, rel=1e-12),
            "train_x": pytest.approx((302 * f_sparse + f_dense) / (303 * f_dense), rel=1e-12),
        }
    assert costs["size_bytes"] == (32 * 26_620 + 266_200 + 32 * 410) // 8
    # Values and biases, and the places: a byte for each active weight and for each row of 255.
    places = sum(math.ceil(n / 255) + n // 10 for n in (235_200, 30_000, 1_000))
    assert 0 < costs["file_bytes"] - (4 * (26_620 + 410) + places) < 2_000  # the header


def test_flops_of_every_layer_as_json(ask: Ask) -> None:
    rows = ask("flops", "lenet300", "--sparsity", 0.9, "--json").json["layers"]
    assert [row["layer"] for row in rows] == ["fc1", "fc2", "fc3"]
    assert rows[1] == {
        "layer": "fc2",
        "shape": [100, 300],
        "weights": 30_000,
        "nonzeros": 3_000,
        "sparsity": 0.9,
        "masked": True,
        "multiply_adds": 30_000,
        "macs_flops": 6_000,
        "rigl_flops": 6_100,
    }


def test_options_of_the_model(ask: Ask) -> None:
    half = ask("flops", "lenet300", "--option", "width=0.5", "--option", "hidden=[300, 100]", "--json").json
    assert half["macs"]["dense_inference_flops"] == 2 * (784 * 150 + 150 * 50 + 50 * 10)
    refused(ask("flops", "lenet300", "--option", "width"), "--option is 'width', it must be KEY=VALUE")
    refused(ask("flops", "lenet300", "--option", "depth=3"), "does not take the option 'depth'; valid: width, hidden")


def test_flops_beside_what_was_published(ask: Ask) -> None:
    asked = ("flops", "resnet50", "--sparsity", 0.8, "--distribution", "erk", "--compare", "published")
    cells = ask(*asked, "--json").json["published"]
    five_times = [
        c for c in cells if c["method"] == "RigL" and c["multiplier"] == "5" and c["metric"] == "train_flops_x"
    ]
    assert {(c["published"], c["verdict"]) for c in five_times} == {("2.09", "agrees")}
    assert all(c["sparsity"] == "0.8" for c in cells)
    table = ask(*asked).out
    assert "resnet50 as published, beside recomputed" in table and "2.0861" in table
    refused(ask("flops", "lenet5", "--compare", "published"), "no cost of 'lenet5' was published; there are some of")
    none = ("flops", "resnet50", "--sparsity", 0.85, "--distribution", "erk", "--compare", "published")
    refused(ask(*none), "nothing was published of resnet50 at sparsity 0.85, erk; leave out --sparsity")


def test_flops_at_equal_flops(ask: Ask) -> None:
    costs = ask("flops", "lenet300", "--sparsity", 0.9, "--multiplier", "equal-flops", "--json").json
    assert costs["rigl"]["train_x"] == pytest.approx(1, abs=1e-3)
    dense, sparse = 532_400 + 410, 53_240 + 410
    assert costs["asked"]["multiplier"] == round(303 * dense / (302 * sparse + dense), 3)
    refused(
        ask("flops", "lenet300", "--multiplier", "equal-flop"),
        "is 'equal-flop', it must be a number above 0, or equal-",
    )


def test_widths_as_json_and_as_a_table(ask: Ask) -> None:
    found = ask("width", "lenet300", "--sparsity", 0.9, "--json").json
    assert [(row["measure"], row["sparse"]) for row in found[:2]] == [("parameters", False), ("parameters", True)]
    assert found[0]["target"] == 26_620 + 410
    own = ("width", "lenet300", "--sparsity", 0.9, "--measure", "size_bytes", "--target", 200_000)
    assert [row["sparse"] for row in ask(*own, "--json").json] == [False, True]
    assert "200,000" in ask(*own).out
    refused(ask(*own[:-2]), "--measure and --target go together")
    refused(ask(*own[:-1], 100), "no width gives at most 100.0 bytes: the narrowest network has")
    refused(ask(*own[:-1], "nan"), "the target is nan, it must be above 0 and finite")


def test_a_width_that_is_not_there_is_a_row_with_its_reason(ask: Ask) -> None:
    # LeNet's narrowest dense network has 784 + 1 + 10 weights; 2,000 FLOPs are for the sparse one alone.
    rows = ask("width", "lenet300", "--sparsity", 0.9, "--measure", "macs", "--target", 1_500, "--json").json
    assert [(row["sparse"], row["width"] is None) for row in rows] == [(False, True), (True, False)]
    assert "no width gives at most 1500.0 FLOPs" in rows[0]["reason"]


def test_a_printed_width_keeps_its_promise(ask: Ask) -> None:
    for row in ask("width", "lenet300", "--sparsity", 0.9, "--json").json:
        width, sparsity = f"width={row['width']:.4f}", 0.9 if row["sparse"] else 0.0
        costs = ask("flops", "lenet300", "--option", width, "--sparsity", sparsity, "--json").json
        if row["measure"] in ("macs", "rigl"):
            assert costs[row["measure"]]["inference_flops"] == row["reached"] <= row["target"]
        if row["measure"] == "size_bytes":
            assert costs["size_bytes"] == row["reached"] <= row["target"]


def test_numbers_of_a_network_that_the_record_leaves_open_say_so(ask: Ask) -> None:
    assert "The paper leaves much of this network open" in ask("layers", "charlm_gru").out
    assert "leaves" not in ask("layers", "lenet300").out


def test_flops_depend_on_method_and_length(ask: Ask) -> None:
    def train_x(*options: object) -> float:
        return ask("flops", "lenet300", "--sparsity", 0.9, "--json", *options).json["macs"]["train_x"]

    assert train_x("--method", "static") == pytest.approx(0.1)
    assert train_x("--method", "static", "--multiplier", 5) == pytest.approx(0.5)
    assert train_x("--method", "snfs") == pytest.approx(1.2 / 3)
    assert train_x("--method", "dense") == 1.0
    assert train_x("--update-every", 9) == pytest.approx((29 * 0.1 + 1) / 30)
    pruning = train_x("--method", "pruning", "--steps", 1000, "--begin", 100, "--end", 500)
    assert 0.1 < pruning < train_x("--method", "pruning", "--steps", 1000, "--begin", 500, "--end", 900) < 1


def test_flops_as_a_table(ask: Ask) -> None:
    answer = ask("flops", "lenet300", "--sparsity", 0.9)
    assert answer.code == 0
    for text in ("235,200", "532,400", "53,240", "macs", "rigl", "train x", "141,395 bytes"):
        assert text in answer.out


# -- methods --------------------------------------------------------------------------------------------------------------


def test_methods_as_json(ask: Ask) -> None:
    rows = ask("methods", "--json").json
    assert [list(row) for row in rows] == [METHOD_KEYS] * len(rows)
    assert [row["name"] for row in rows] == METHODS
    by_name = {row["name"]: row for row in rows}
    assert by_name["rigl"] == {
        "name": "rigl",
        "label": "RigL",
        "family": "sparse-to-sparse",
        "year": 2020,
        "citation": "evci2020rigl",
        "dense_parts": ["gradient, at topology updates (momentum growth: always)"],
        "cannot": [],
    }
    assert by_name["static"]["dense_parts"] == []
    assert by_name["small_dense"]["cannot"] == ["models without a width option"]
    assert {row["family"] for row in rows} == {"dense", "sparse-to-sparse", "dense-to-sparse", "one-shot"}


def test_methods_as_a_table(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    answer = ask("methods")
    assert answer.code == 0
    assert all(name in answer.out for name in METHODS)


# -- studies --------------------------------------------------------------------------------------------------------------


def test_runs_as_json(ask: Ask, study: Path) -> None:
    status = ask("runs", study, "--json").json
    assert list(status) == ["study", "runs", "counts", "seconds_left"]
    assert status["study"] == "small"
    assert status["counts"] == {"left": 6}
    assert status["seconds_left"] is None
    left = {"status": "left", "seconds": None, "devices": 1}
    assert status["runs"] == [{"run": run.path, **left} for run in load_study(study).runs]


def test_runs_as_a_table(ask: Ask, study: Path) -> None:
    answer = ask("runs", study)
    assert answer.code == 0
    assert "A small study" in answer.out
    assert "small: 6 left; time left unknown until a run is done" in answer.out


def test_validate(ask: Ask, study: Path, mine: str) -> None:
    assert ask("validate", study).out == "small is valid: 6 runs in 3 jobs\n"
    study.write_text(STUDY.replace("lenet300", f"{mine}:flat") + "add: [{method: small_dense, sparsity: 0.9}]\n")
    valid, reason = ask("validate", study).out.splitlines()
    assert valid == "small is valid: 8 runs in 4 jobs, 2 to be skipped"
    assert re.fullmatch(r"skipped \(2\) .*/small_dense/s90: model '.*:flat' does not take the option 'width'.*", reason)
    study.write_text(STUDY.replace("digits", "my_data:load"))
    answer = ask("validate", study)
    assert "6 on a data set of your own" in answer.out


@pytest.mark.parametrize("study", [*study_names(), *SMALL_EDITIONS])
def test_studies_of_the_suite_are_valid(ask: Ask, study: str) -> None:
    answer = ask("validate", study)
    assert answer.code == 0
    assert answer.out.startswith(f"{Path(study).stem} is valid: ")


def test_resolve_writes_every_run_of_every_job(ask: Ask, study: Path) -> None:
    answer = ask("resolve", study, "--output", "plans/small.json")
    assert (answer.code, answer.out) == (0, "6 runs in 3 jobs: plans/small.json\n")
    plan = json.loads(Path("plans/small.json").read_text())
    assert {name: len(specs) for name, specs in plan.items()} == {
        job.name: len(job.runs) for job in load_study(study).jobs()
    }
    assert list(plan) == ["dense-000", "rigl-000", "static-000"]
    assert [spec["run"]["seed"] for spec in plan["dense-000"]] == [0, 1]
    assert plan["rigl-000"][0]["input_shape"] == [1, 8, 8]


def test_run_trains_what_is_left_and_retry_clears_it(ask: Ask, study: Path) -> None:
    answer = ask("run", study, "--only", "dense", "--device", "cpu")
    assert answer.code == 0, answer.err
    assert ask("runs", study, "--json").json["counts"] == {"done": 2, "left": 4}
    answer = ask("run", study, "--device", "cpu")
    assert (answer.code, answer.err) == (0, "")
    assert "small: 6 done; nothing is left to do" in answer.out.replace("\n", " ")
    assert ask("retry", study, "--failed").out == "0 runs cleared; run the study again to train them\n"
    record = Path("results/runs", load_study(study).runs[0].path, "record.json")
    failed = {**json.loads(record.read_text()), "status": "failed: RuntimeError: lost"}
    for name in ("record.json", ".record.json"):
        record.with_name(name).write_text(json.dumps(failed))
    assert ask("runs", study, "--json").json["counts"] == {"failed": 1, "done": 5}
    cleared = ask("retry", study, "--failed")
    assert cleared.out.replace("\n", " ").startswith(f"cleared {load_study(study).runs[0].path}")
    assert "1 runs cleared" in cleared.out
    assert study_status(load_study(study), Path("results")).counts == {"left": 1, "done": 5}


def test_a_run_that_is_asked_for_alone_brings_its_parents(ask: Ask, study: Path) -> None:
    row = "  - {method: set, sparsity: 0.9, start_from: {method: snip, start_from: {method: dense, take: weights}}}\n"
    study.write_text(STUDY.replace("seeds:", row + "seeds:"))
    answer = ask("run", study, "--only", "set/s90/seed0", "--device", "cpu")
    assert (answer.code, answer.err) == (0, "")
    status = ask("runs", study, "--json").json
    assert status["counts"]["done"] == 3
    assert "failed" not in status["counts"]


# -- a model of the user's ------------------------------------------------------------------------------------------------


def test_a_users_model_with_its_input(ask: Ask, mine: str) -> None:
    rows = ask("layers", f"{mine}:tiny", "--input", "3,6,6", "--classes", 7, "--sparsity", 0.5, "--json").json
    assert [(row["layer"], row["shape"], row["nonzeros"], row["masked"]) for row in rows] == [
        ("stem", [4, 3, 3, 3], 54, True),
        ("head", [7, 4], 14, True),
    ]
    rows = ask("layers", f"{mine}:ruled", "--input", "3,6,6", "--sparsity", 0.5, "--json").json
    assert [(row["layer"], row["masked"]) for row in rows] == [("stem", False), ("head", True)]
    costs = ask("flops", f"{mine}:tiny", "--input", "3,6,6", "--json").json
    assert costs["macs"]["dense_inference_flops"] == 2 * (108 * 36 + 40)
    assert costs["rigl"]["dense_inference_flops"] == 2 * (108 * 36 + 40) + 4 * 36 + 10


def test_a_users_model_that_knows_its_sizes(ask: Ask, mine: str) -> None:
    costs = ask(
        "flops", f"{mine}:settled", "--input", "3,6,6", "--distribution", "erk", "--sparsity", 0.5, "--json"
    ).json
    assert costs["macs"]["dense_inference_flops"] == 2 * (108 * 36 + 20)


def test_a_users_model_with_an_operation_of_unknown_cost_is_refused(ask: Ask, mine: str) -> None:
    reason = "the cost of module 'attention' (MultiheadAttention) is not known"
    refused(ask("flops", f"{mine}:attentive", "--input", "5,8"), reason)


def test_a_users_model_needs_its_input(ask: Ask, mine: str) -> None:
    refused(ask("layers", f"{mine}:tiny"), f"say the shape of one sample that '{mine}:tiny' takes", "--input 3,224,224")


# -- errors ---------------------------------------------------------------------------------------------------------------

ALL_METHODS = ", ".join(METHODS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("runs", "quik"),
            "unknown study 'quik'; there are " + ", ".join(study_names()) + ", or give the path of a .yaml file",
        ),
        (
            ("validate", "nowhere/quick.yaml"),
            "there is no file nowhere/quick.yaml; studies known by name are " + ", ".join(study_names()),
        ),
        (("layers", "lenet300", "--method", "rigll"), f"method: unknown method 'rigll'; there are {ALL_METHODS}"),
        (("flops", "lenet300", "--method", "rigll"), f"method: unknown method 'rigll'; there are {ALL_METHODS}"),
        (
            ("layers", "lenet300", "--layout", "mine"),
            "model 'lenet300' has no layout 'mine'; valid: default, mnist-authors",
        ),
        (("layers", "lenet300", "--sparsity", "1.5"), "sparsity: is 1.5, it must be within [0, 1)"),
        (("layers", "lenet300", "--input", "a,b"), "--input is 'a,b', it must be sizes"),
        (("layers", "wrn22_2", "--input", "3,32"), "wrn22_2 takes images [C, H, W], not inputs of shape [3, 32]"),
        (
            ("layers", "nowhere:tiny", "--input", "3"),
            "'nowhere:tiny': there is no module 'nowhere' on the Python path",
        ),
        (
            ("data", "dgits"),
            "there is no data set 'dgits'; valid: digits, mnist, cifar10, cifar10-jpeg, wikitext103, wikitext-mini, "
            "imagenet, imagenet-sample, or package.module:factory",
        ),
        (("retry", "quick"), "say what to clear: --failed, --diverged or both"),
        (
            ("flops", "lenet300", "--method", "pruning", "--sparsity", "0.9", "--begin", "5", "--end", "5", "--json"),
            "gradual pruning needs begin < end, both are 5",
        ),
        (("flops", "lenet300", "--multiplier", "0", "--json"), "multiplier: is 0.0, it must be above 0"),
        (("run", "quick", "--only", "nothing", "--device", "cpu"), "no run of quick matches nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_users_error_is_a_line_or_two(ask: Ask, arguments: tuple[str, ...], message: str) -> None:
    assert message in refused(ask(*arguments))


def test_an_unknown_model_lists_the_known_ones(ask: Ask) -> None:
    refused(ask("layers", "lenet301"), "there is no model 'lenet301'; valid: lenet300, wrnDEPTH_WIDTH")


@pytest.mark.parametrize("shape", ["0", "-3", "3,0,4", ""])
def test_sizes_that_are_none_are_refused(ask: Ask, shape: str) -> None:
    refused(ask("layers", "lenet300", "--input", shape), "--input is", "it must be")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("not_a_model", "it must return a torch.nn.Module"),
        ("missing", "has no 'missing'"),
        ("count", "must be callable"),
    ],
)
def test_a_users_model_that_is_none_is_refused(ask: Ask, mine: str, name: str, part: str) -> None:
    refused(ask("layers", f"{mine}:{name}", "--input", "3,6,6"), f"{mine}:{name}", part)


def test_a_multiplier_of_infinity_is_refused(ask: Ask) -> None:
    refused(ask("flops", "lenet300", "--multiplier", "inf", "--json"), "multiplier: is inf")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("layers", "lenet300", "--distribution", "er"), ("'er'", "uniform", "erdos_renyi", "erk")),
        (("nope",), ("nope",)),
        (("flops", "lenet300", "--sparsity", "x"), ("--sparsity",)),
        (("layers", "lenet300", "--spasity", "0.9"), ("--spasity", "--sparsity")),
    ],
    ids=["distribution", "command", "number", "option"],
)
def test_a_mistyped_command_line_is_exit_code_2(ask: Ask, arguments: tuple[str, ...], parts: tuple[str, ...]) -> None:
    answer = ask(*arguments)
    assert (answer.code, answer.out) == (2, "")
    for part in parts:
        assert part in answer.err


def test_a_study_with_an_unknown_layer_names_it(ask: Ask, study: Path) -> None:
    study.write_text(STUDY.replace("sparsity: 0.9", "sparsity: 0.9\n    layers: {fc4: unmasked}"))
    refused(ask("validate", study), "unknown layer 'fc4'; there are fc1, fc2, fc3")


def test_a_folder_that_cannot_be_written_is_named(ask: Ask, study: Path) -> None:
    Path("results").write_text("a file where the folder should be")
    refused(ask("resolve", study, "--output", "plan.json"), "results")


def test_a_corrupt_record_is_named(ask: Ask, study: Path) -> None:
    record = Path("results/runs", load_study(study).runs[0].path, "record.json")
    record.parent.mkdir(parents=True)
    record.write_text("{")
    refused(ask("runs", study), str(record), "is corrupt", f"delete {record.parent} and run again")
