"""Factories of the user's own models and data sets, named by a dotted path ``package.module:factory``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def is_dotted(name: str) -> bool:
    """Whether ``name`` is a dotted path rather than one of the suite's own names."""
    return ":" in name


def import_factory(path: str) -> Callable[..., Any]:
    """The callable that ``package.module:factory`` names; the module must be importable (see ``sys.path``).

    Raises ValueError for a path of another form, a module that is not there, or a factory that is not in it or is not
    callable. An error inside the module is not hidden.
    """
    module_name, _, attribute = path.partition(":")
    if not (module_name and attribute.isidentifier()):
        raise ValueError(f"{path!r} is not of the form package.module:factory")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ValueError(f"{path!r}: there is no module {error.name!r} on the Python path") from error
    if not hasattr(module, attribute):
        public = ", ".join(sorted(n for n in vars(module) if not n.startswith("_") and callable(getattr(module, n))))
        raise ValueError(f"{path!r}: module {module_name!r} has no {attribute!r}; its callables: {public or 'none'}")
    factory = getattr(module, attribute)
    if not callable(factory):
        raise ValueError(f"{path!r}: {attribute!r} is {type(factory).__name__}, it must be callable")
    return factory
