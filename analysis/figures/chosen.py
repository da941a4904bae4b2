"""Which points a figure of the paper shows: the paper's own numbers, and of our runs those that differ in nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis import points as record
from analysis import stats, text
from analysis.records import DISTRIBUTIONS

PLACE = ["model_words", "dataset"]
"""What panels are of; published and reproduced numbers that share it share a panel."""

PAPER = ("evci2020rigl", "evci2020issue8", "evci2020code")
"""Sources of the paper's own numbers, the first that has one before the others."""
UPDATES = ["update_every", "drop_fraction", "decay"]
SETTING = [*PLACE, "method", "distribution", "sparsity", "multiplier"]


def of(points: pd.DataFrame, metric: str, methods: Sequence[str], model: str) -> pd.DataFrame:
    """The points of ``methods`` that a figure of the paper about ``model`` chooses from.

    Of the paper's numbers those of that model, one a setting, the printed before the one read off a picture, and none that
    the errata doubt. Of ours those of any model that start from no other run, at the default layout, and of each model, data
    set and method those of the commonest protocol. Options of methods are left to the figure (see ``plain``).
    """
    asked = points[(points["metric"] == metric) & points["method"].isin(methods)]
    return pd.concat([_papers(asked[asked["model_words"] == model]), _ours(asked)], ignore_index=True)


def _papers(points: pd.DataFrame) -> pd.DataFrame:
    doubted = points["suspect"].str.split().map(lambda fields: not {"mean", "sparsity"}.isdisjoint(fields))
    own = points[
        (points["kind"] == record.REPORTED) & points["source"].isin(PAPER) & (points["variant"] == "") & ~doubted
    ]
    own = commonest(own, ["source", "method"], ["label"])
    first = own.assign(rank=own["source"].map(PAPER.index)).sort_values(["rank", "digitised"], kind="stable")
    return first.drop_duplicates(SETTING).drop(columns="rank").sort_index()


def _ours(points: pd.DataFrame) -> pd.DataFrame:
    own = points[(points["kind"] == record.REPRODUCED) & (points["start"] == "") & (points["layout"] == "default")]
    return commonest(own, [*PLACE, "method"], ["protocol"])


def plain(points: pd.DataFrame) -> pd.DataFrame:
    """Those with default options and the usual updates of each model, data set and method: one a setting."""
    own = points[points["options"] == ""]
    own = commonest(own, ["kind", *PLACE, "method"], UPDATES)
    own = commonest(own, ["kind", *PLACE, "method", "distribution"], ["variant"])
    return own.drop_duplicates(["kind", *SETTING])


def usual_length(points: pd.DataFrame) -> pd.DataFrame:
    """Those of the usual training length of each model and data set, and those whose length is not stated."""
    return points[(relative_length(points) == 1) | points["multiplier"].isna()]


def relative_length(points: pd.DataFrame) -> pd.Series:
    """Of each point its training length over the usual one of its model and data set."""
    keys = ["kind", *PLACE]
    usual = {key: _usual(group["multiplier"], key[0]) for key, group in points.groupby(keys)}
    return points["multiplier"] / [usual[key] for key in points[keys].itertuples(index=False, name=None)]


def dense_of(points: pd.DataFrame, shown: pd.DataFrame, metric: str = record.ACCURACY) -> pd.DataFrame:
    """Dense points for the panels of ``shown``: one a kind, model and data set, of its usual length, else the shortest."""
    models = shown.loc[shown["kind"] == record.REPORTED, "model_words"]
    own = of(points, metric, [stats.DENSE], models.iloc[0] if len(models) else "")
    found = []
    for key, group in own.groupby(["kind", *PLACE]):
        like = shown[(shown[["kind", *PLACE]] == list(key)).all(axis=1)]
        nearest = group.assign(far=group["multiplier"] != _usual(like["multiplier"], key[0]))
        found.append(nearest.sort_values(["far", "multiplier"]).drop(columns="far").head(1))
    return pd.concat(found, ignore_index=True) if found else own


def commonest(points: pd.DataFrame, by: list[str], what: list[str]) -> pd.DataFrame:
    """Of each group of equal ``by`` the points with its commonest ``what``; of equally common ones the first."""
    if points.empty:
        return points
    groups, keys = (points.groupby(names, dropna=False).ngroup() for names in (by, by + what))
    size = keys.map(keys.value_counts())
    best = size.groupby(groups).transform("idxmax").map(keys)
    return points[keys == best]


def varied(points: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The panels in which numbers of one kind differ in ``columns``."""
    settings = (
        points.dropna(subset=columns).drop_duplicates(["panel", "kind", *columns]).groupby(["panel", "kind"]).size()
    )
    return points[points["panel"].isin(settings[settings > 1].index.get_level_values("panel"))]


def several(points: pd.DataFrame, by: list[str], what: str) -> pd.DataFrame:
    """Of ``points`` the groups of equal ``by`` with more than one value of ``what``."""
    return points[points.groupby(by)[what].transform("nunique") > 1]


def panel_each(points: pd.DataFrame, *parts: str) -> pd.DataFrame:
    """``points`` with a ``panel``, its title: model and data set, and below them what of ``parts`` the panel is of.

    Parts are label, sparsity, distribution, drop_fraction, and last the length where it is not 1: the usual one, once for
    all kinds of numbers or by kind.
    """
    lengths = (
        points.groupby(PLACE)[["kind", "multiplier"]].apply(_length) if "multiplier" in parts and len(points) else {}
    )
    titles = [_title(point, parts, lengths) for _, point in points.iterrows()]
    return points.assign(panel=pd.Series(titles, index=points.index, dtype="str"))


def _usual(multipliers: pd.Series, kind: str) -> float:
    """Of the paper's lengths 1 where it is there; else, and of ours, the commonest; of equally common ones 1, or the least."""
    stated = multipliers.dropna()
    candidates = stated if kind == record.REPORTED and (stated == 1).any() else stated.mode()
    return 1.0 if (candidates == 1).any() else candidates.min()


def _length(points: pd.DataFrame) -> str:
    lengths = {kind: _usual(group, kind) for kind, group in points.groupby("kind")["multiplier"]}
    usual = pd.Series(lengths, dtype="float64").dropna()
    if usual.nunique() < 2:
        return "" if usual.empty or usual.iloc[0] == 1 else f"{text.length(usual.iloc[0])} training"
    return ", ".join(f"{kind} at {text.length(length)}" for kind, length in usual.items())


def _title(point: pd.Series, parts: Sequence[str], lengths: Mapping[tuple, str]) -> str:
    words = {
        "label": str,
        "sparsity": text.sparsity,
        "distribution": lambda value: DISTRIBUTIONS.get(value, ""),
        "drop_fraction": lambda value: f"drop fraction {value:g}",
    }
    below = [words[part](point[part]) for part in parts if part in words]
    below.append(lengths.get(tuple(point[PLACE]), "") if "multiplier" in parts else "")
    return "\n".join(filter(None, (f"{point['model_words']} on {point['dataset']}", ", ".join(filter(None, below)))))
