"""environment.yml and constraints.txt say what pyproject.toml says."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
CONDA_NAMES = {"pytorch": "torch"}


def declared() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [
        *project["dependencies"],
        *(entry for extra in project["optional-dependencies"].values() for entry in extra),
    ]
    return {requirement.name: requirement for requirement in map(Requirement, listed)}


def test_environment_lists_the_same_packages_and_ranges() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    found = {}
    for entry in conda + pip:
        requirement = Requirement(entry)
        name = CONDA_NAMES.get(requirement.name, requirement.name)
        assert name not in found, f"{name} is listed twice"
        found[name] = requirement.specifier
    assert found.pop("python") == Requirement("python>=3.11").specifier
    found.pop("pip")
    assert found == {name: requirement.specifier for name, requirement in declared().items()}


def test_every_dependency_has_both_bounds() -> None:
    for requirement in declared().values():
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators == {">=", "<"}, f"{requirement}: needs a lower and an upper bound"


def test_constraints_pin_every_dependency_within_its_range() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {pin.name.lower(): next(iter(pin.specifier)).version for pin in pins}
    assert all(str(pin.specifier).startswith("==") for pin in pins)
    for name, requirement in declared().items():
        assert name in versions, f"{name} is not pinned in constraints.txt"
        assert requirement.specifier.contains(versions[name]), f"{name}=={versions[name]} is outside {requirement}"
