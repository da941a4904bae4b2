"""YAML with the line of every key, so that an error can say where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Key = tuple[str | int, ...]
Lines = dict[Key, int]


class StudyError(ValueError):
    """What is wrong with a study, where, and what would be right; one line a defect."""


def read(path: Path) -> tuple[dict[str, Any], Lines]:
    """The mapping in ``path`` and the line (from 1) of every nested key. Raises StudyError that names file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read: {error}") from error
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        lines: Lines = {}
        if node is not None:
            _walk(path, node, (), lines)
        value = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise StudyError(f"{path}:{mark.line + 1 if mark else '?'}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise StudyError(f"{path}: not valid YAML: {error}") from error
    finally:
        loader.dispose()
    if not isinstance(value, dict):
        raise StudyError(f"{path}:1: a study is a mapping of keys, this is {type(value).__name__}")
    return value, lines


def _walk(path: Path, node: yaml.Node, key: Key, lines: Lines) -> None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise StudyError(f"{path}:{line}: a key must be a word, this is a {key_node.id}")
            inner = (*key, key_node.value)
            if inner in lines:
                raise StudyError(f"{path}:{line}: {key_node.value}: given twice, first on line {lines[inner]}")
            lines[inner] = line
            _walk(path, value_node, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*key, index)] = item.start_mark.line + 1
            _walk(path, item, (*key, index), lines)
