"""environment.yml and constraints.txt say what pyproject.toml says, and the pins are what is installed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
CONDA_NAMES = {"pytorch": "torch"}
EXECUTORS = ("slurm", "kubernetes")
"""Extras that no environment has unless somebody asks for them: installed, they slow every call of Snakemake down."""

BUNDLED = {"pip", "setuptools"}


def declared(without: tuple[str, ...] = ()) -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name: entries for name, entries in project["optional-dependencies"].items() if name not in without}
    listed = [*project["dependencies"], *(entry for entries in extras.values() for entry in entries)]
    return {requirement.name: requirement for requirement in map(Requirement, listed)}


def pinned() -> dict[str, Requirement]:
    """The pins by canonical name."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


def needed(requirement: Requirement, seen: set[tuple[str, str]]) -> Iterator[str]:
    """The canonical name of a package that is installed, and of all that it needs here with the extras that are asked for."""
    name = canonicalize_name(requirement.name)
    for extra in {"", *requirement.extras}:
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        yield name
        for entry in metadata.requires(name) or ():
            further = Requirement(entry)
            if further.marker is None or further.marker.evaluate({"extra": extra}):
                yield from needed(further, seen)


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
    assert found == {name: requirement.specifier for name, requirement in declared(without=EXECUTORS).items()}


def test_every_dependency_has_both_bounds() -> None:
    for requirement in declared().values():
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators == {">=", "<"}, f"{requirement}: needs a lower and an upper bound"


def test_constraints_pin_every_dependency_within_its_range() -> None:
    assert all(str(pin.specifier).startswith("==") for pin in pinned().values())
    versions = {name: next(iter(pin.specifier)).version for name, pin in pinned().items()}
    for name, requirement in declared().items():
        assert name in versions, f"{name} is not pinned in constraints.txt"
        assert requirement.specifier.contains(versions[name]), f"{name}=={versions[name]} is outside {requirement}"


def test_what_is_installed_is_what_is_pinned() -> None:
    """Of every package that the suite needs, directly or not, but for the executors' and what venv itself brings along."""
    seen: set[tuple[str, str]] = set()
    found = {name for requirement in declared(without=EXECUTORS).values() for name in needed(requirement, seen)}
    assert len(found) > len(declared())
    pins = pinned()
    for name in sorted(found - BUNDLED):
        assert name in pins, f"{name} is installed and needed, and not pinned in constraints.txt"
        version = Version(metadata.version(name)).public
        assert pins[name].specifier.contains(version), f"constraints.txt says {pins[name]}, {version} is installed"
