"""The container recipes install what `make setup` installs. No container engine runs here: .ci/container runs their steps."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import yaml
from container_recipes import apptainer_sections, dockerfile_steps
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
QUIETER = {"--quiet", "--disable-pip-version-check", "--no-cache-dir"}


def installed(commands: list[str]) -> list[list[str]]:
    """What pip is told to install, command by command, however quietly."""
    words = [shlex.split(command) for step in commands for command in step.split("&&")]
    return [
        [word for word in line[line.index("install") + 1 :] if word not in QUIETER] for line in words if "pip" in line
    ]


def without_extras(lines: list[list[str]]) -> list[list[str]]:
    return [[re.sub(r"\[.*]$", "", word) for word in line] for line in lines]


def test_recipes_take_the_steps_of_the_setup() -> None:
    makefile = [line.strip() for line in (ROOT / "Makefile").read_text().splitlines() if "pip install" in line]
    setup = installed(makefile)
    docker = installed(dockerfile_steps((ROOT / "Dockerfile").read_text()))
    apptainer = installed(apptainer_sections((ROOT / "apptainer.def").read_text())["post"])
    assert setup == [["-c", "constraints.txt", "torch"], ["-c", "constraints.txt", "-e", ".[dev,sparse]"]]
    assert without_extras(docker) == without_extras(apptainer) == without_extras(setup)
    extras = [Requirement("rigl-bench" + line[-1].removeprefix(".")).extras for line in (docker[-1], apptainer[-1])]
    assert extras == [{"sparse", "kubernetes"}, {"sparse"}]


def test_the_image_has_what_storage_on_kubernetes_calls() -> None:
    (packages,) = (step for step in dockerfile_steps((ROOT / "Dockerfile").read_text()) if "apt-get install" in step)
    assert re.search(r"\brsync=", packages)  # by which the storage provider fs copies


def test_recipes_start_from_the_same_base() -> None:
    (base,) = re.findall(r"^FROM (\S+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert f"From: {base}" in apptainer_sections((ROOT / "apptainer.def").read_text())[""]


def test_apptainer_takes_all_that_the_workflow_reads() -> None:
    """Everything that git tracks beside tests, results, papers for people, and what only a clone is set up with."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = {name.partition("/")[0] for name in listed.splitlines()}
    taken = {line.split()[0] for line in apptainer_sections((ROOT / "apptainer.def").read_text())["files"]}
    assert taken <= tracked
    left = {name for name in tracked - taken if not name.startswith(".")}
    people = {"CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "Dockerfile", "apptainer.def"}
    assert left <= {"tests", "results", *people}


def test_kubernetes_runs_that_image() -> None:
    profile = yaml.safe_load((ROOT / "profiles/kubernetes/config.yaml").read_text())
    (tag,) = re.findall(r"docker build -t (\S+) \.", (ROOT / "Dockerfile").read_text())
    assert re.split("[:@]", profile["container-image"])[0].rpartition("/")[2] == tag
