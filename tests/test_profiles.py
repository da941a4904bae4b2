"""Profiles: every key is an option that Snakemake has, and what each executor is asked for."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.cli import get_argument_parser

ROOT = Path(__file__).parent.parent
PROFILES = sorted(path.name for path in (ROOT / "profiles").iterdir() if path.is_dir())
PLUGINS = {
    "slurm": ("slurm-", "snakemake_executor_plugin_slurm"),
    "kubernetes": ("kubernetes-", "snakemake_executor_plugin_kubernetes"),
}


def profile(name: str) -> dict[str, object]:
    return yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())


def dry_run(*arguments: str) -> str:
    # Everything is planned, whatever this clone has trained before.
    planned = ["--configfile", "tests/studies/small.yaml", "--dry-run", "--forceall"]
    command = [sys.executable, "-m", "snakemake", *arguments, *planned]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def resources(planned: str) -> dict[str, dict[str, str]]:
    """What each rule asks for, from a dry-run that prints it; local rules are left out."""
    found = re.findall(r"^rule (\S+):\n(?:    .*\n)*?    resources: (.*)$", planned, flags=re.MULTILINE)
    return {rule: dict(pair.split("=", 1) for pair in text.split(", ") if "=" in pair) for rule, text in found}


@pytest.mark.parametrize("name", PROFILES)
def test_keys_are_options_of_snakemake(name: str) -> None:
    options = {word.removeprefix("--") for action in get_argument_parser()._actions for word in action.option_strings}
    prefix, plugin = PLUGINS.get(name, ("", ""))
    for key in profile(name):
        if prefix and key.startswith(prefix) and importlib.util.find_spec(plugin) is None:
            continue  # the plugin would have to be there to ask it
        assert key in options, f"profiles/{name}: there is no option --{key}"


def test_executors_are_those_of_the_folder() -> None:
    assert {name: profile(name).get("executor", "local") for name in PROFILES} == {
        "default": "local",
        "kubernetes": "kubernetes",
        "slurm": "slurm",
    }


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_a_later_attempt_is_given_more(name: str) -> None:
    asked = profile(name)["default-resources"]
    grows = {key for key, value in asked.items() if "attempt" in str(value)}
    assert grows == {"slurm": {"mem_mb", "runtime"}, "kubernetes": {"mem_mb"}}[name]
    for key in grows:
        first, second, third = (eval(asked[key], {"attempt": attempt, "min": min}) for attempt in (1, 2, 3))
        assert first < second == third


def test_a_login_node_without_a_gpu_asks_for_what_the_profile_says() -> None:
    """As on a cluster: default resources, whose executor is left out here, since nobody has its plugin."""
    given = [f"{key}={value}" for key, value in profile("slurm")["default-resources"].items()]
    planned = dry_run("study_of_runs", "--default-resources", *given, "--quiet", "progress")
    asked = resources(planned)
    trained = {rule: row for rule, row in asked.items() if rule.startswith("train_")}
    assert trained
    for row in trained.values():
        assert (row["gpu"], row["mem_mb"], row["runtime"]) == ("1", "8000", "120")
    shared = dry_run("study_of_runs", "--default-resources", "gres=shard:2", "--quiet", "progress")
    for rule, row in resources(shared).items():
        if rule.startswith("train_"):
            assert row["gres"] == "shard:2"
            assert "gpu" not in row


def test_only_training_and_measuring_go_to_a_cluster() -> None:
    """Rules without a name in the file are those of a study's jobs, and of its data."""
    rules = "\n".join(path.read_text() for path in sorted((ROOT / "pipeline/rules").glob("*.smk")))
    named = set(re.findall(r"^ *rule (\w+):$", rules, flags=re.MULTILINE))
    (local,) = re.findall(r"^localrules:\n((?:    \w+,\n)+)", rules, flags=re.MULTILINE)
    assert named - set(re.findall(r"\w+", local)) == {"train_run"}
    of_jobs = re.findall(r"name:\n +f\"(\w+?)_\{.*?\n(.*?)shell:", rules, flags=re.DOTALL)
    assert {kind: "localrule: True" in body for kind, body in of_jobs} == {
        "data": True,
        "train": False,
        "landscape": False,
    }
