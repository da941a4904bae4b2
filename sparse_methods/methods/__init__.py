"""The methods, found by listing this folder: one file, one subclass of ``Method``, named like its file."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from typing import Any, get_args

from sparse_methods.method import Family, Method


def _discover() -> dict[str, type[Method]]:
    found = {}
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        own = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Method) and value.__module__ == module.__name__
        ]
        if len(own) != 1 or getattr(own[0], "name", None) != module_info.name:
            names = ", ".join(getattr(cls, "name", cls.__name__) for cls in own) or "none"
            raise ImportError(
                f"{module.__file__} must define exactly one method, named {module_info.name!r}; it defines {names}"
            )
        if "label" not in vars(own[0]) or own[0].family not in get_args(Family):
            families = ", ".join(get_args(Family))
            raise ImportError(f"{module.__file__} must give a label of its own, and a family among {families}")
        found[module_info.name] = own[0]
    return found


METHODS: dict[str, type[Method]] = _discover()


def make(name: str, options: dict[str, Any] | None = None) -> Method:
    """The method ``name`` with its options. Raises ValueError that lists the valid names for an unknown one."""
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; there are {', '.join(METHODS)}")
    known = [f.name for f in dataclasses.fields(METHODS[name])]
    for option in options or {}:
        if option not in known:
            raise ValueError(f"method {name!r} has no option {option!r}; it has {', '.join(known) or 'none'}")
    return METHODS[name](**(options or {}))
