"""Models as rows of fields, whoever published them: the names that mim gives the fields, and which a word means (pure).

A field's name is lower case with `_` for blanks: `epochs`, `training_memory(gb)`, `coco/box_ap`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from mimctl.errors import UsageError, did_you_mean, nearest

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "params": ("parameters",),
    "dataset": ("training_data",),
    "weights": ("weight",),
    "collection": ("model",),
    "memory": ("training_memory(gb)",),
    "name": ("id",),
}
"""Words people use → the fields that they mean."""

COMMON = (
    "architecture",
    "batch_size",
    "buildable",
    "config",
    "epochs",
    "flops",
    "iterations",
    "model",
    "paper",
    "parameters",
    "readme",
    "task",
    "title",
    "training_data",
    "training_memory(gb)",
    "training_resources",
    "training_techniques",
    "weight",
)
"""Fields that a model may have: asking for one that none of the models states is no mistake."""

OWN = ("id", "package")
"""What every row has beside its fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model: its name, whose it is, its fields; `labels` are further names that it goes by.

    A field is a list where several figures of one name were published (both tasks of one data set).
    """

    id: str
    package: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    measured_on: tuple[str, ...] = ()
    """Names of data sets."""

    def value(self, name: str) -> Any:
        """Return a field, None where the model does not state it."""
        return self.id if name == "id" else self.package if name == "package" else self.fields.get(name)


def row_of_facts(model: Mapping[str, Any], package: str) -> Row:
    """Return the row of a model as `metafile.read_models` returns it."""
    fields = dict(_metadata(model["metadata"]))
    fields.update(_figures(model["results"]))
    weights = model["weights"]
    fields["weight"] = weights[0] if len(weights) == 1 else list(weights) or None
    fields["model"] = model["collection"] or None
    fields["task"] = _tasks(model["results"])
    fields.update({name: model[name] for name in ("config", "paper", "title", "readme")})
    known = {name: value for name, value in fields.items() if value is not None}
    return Row(
        id=model["name"],
        package=package,
        fields=known,
        labels=tuple(model["alias"]),
        measured_on=_measured_on(model["results"]),
    )


def row_of_item(item: Mapping[str, Any], package: str, collection: Mapping[str, str] | None = None) -> Row:
    """Return the row of a model as `zoo/<plugin>.json` states it; `collection` is what is said of its family.

    A search reads hundreds of models to show a few, as text that the output makes harmless: none becomes a ModelEntry.
    Raises KeyError, TypeError, ValueError or AttributeError where the model is malformed.
    """
    results, weights = item.get("results", ()), item.get("weights")
    fields: dict[str, Any] = {**dict(_metadata(item.get("metadata") or {})), **_figures(results)}
    fields.update({name: (collection or {}).get(name) for name in ("paper", "title", "readme")})
    fields["task"] = _tasks(results)
    fields["weight"] = (weights.get("url") or weights.get("file")) if weights else list(item.get("parts", ())) or None
    fields["model"] = item.get("collection") or None
    fields["config"] = item.get("config") or item.get("config_file")
    fields["source"] = item.get("config_source") or "mimctl"
    fields["buildable"] = item.get("buildable") is True
    known = {name: value for name, value in fields.items() if value is not None}
    return Row(
        id=str(item["name"]),
        package=package,
        fields=known,
        labels=tuple(map(str, item.get("aliases", ()))),
        measured_on=_measured_on(results),
    )


def fields_of(rows: Iterable[Row]) -> list[str]:
    """Return the names of all fields that any of `rows` has, those of the most rows first."""
    counts: dict[str, int] = {}
    for row in rows:
        for name in row.fields:
            counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name))


def match_fields(word: str, fields: Sequence[str]) -> list[str]:
    """Return the fields that `word` means, in their order: the first of these that there is.

    The field itself; what the word is a synonym of; a metric on whatever data set (`box_ap` → `coco/box_ap`); a field
    without its unit; all that have the word in them. None for a common field that no model states. Raises
    UsageError[unknown-field] with the nearest names.
    """
    wanted = fold(word)
    names = [*OWN, *fields]
    loose = {name: _loose(name) for name in names}
    meant = tuple(_loose(each) for each in (wanted, *SYNONYMS.get(wanted, ())))
    for fits in (
        lambda name: name == wanted,
        lambda name: loose[name] in meant,
        lambda name: loose[name].rpartition("/")[2] in meant,
        lambda name: re.split(r"[(\[]", loose[name])[0] in meant,
        lambda name: any(each in loose[name] for each in meant),
    ):
        found = [name for name in names if fits(name)] if wanted else []
        if found:
            return found
    if any(each in COMMON or each in (re.split(r"\(", name)[0] for name in COMMON) for each in meant):
        return []
    short = {name.rpartition("/")[2] for name in names}
    near = nearest(wanted, {*names, *short, *COMMON, *SYNONYMS})
    raise UsageError(
        f"no model has a field `{word}`",
        code="unknown-field",
        hints=[
            *did_you_mean(near),
            "all fields: `--valid-field`",
        ],
    )


@cache
def fold(text: str) -> str:
    """Return a name as fields are named: lower case, `_` for blanks."""
    return "_".join(text.lower().split())


def _loose(text: str) -> str:
    return text.replace("-", "_")


def _metadata(metadata: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for key, value in metadata.items():
        name = fold(key).replace("_(", "(")
        if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
            for each in value:  # figures that were taken somewhere: inference times
                place = ",".join(
                    str(each.get(key)) for key in ("hardware", "backend", "batch size", "mode", "resolution")
                )
                yield f"{name}[{place}]".lower(), each.get("value")
        elif isinstance(value, Mapping):
            yield name, ", ".join(f"{key}: {each}" for key, each in value.items())
        else:
            yield name, value


def _tasks(results: Iterable[Mapping[str, Any]]) -> str | None:
    return ", ".join(dict.fromkeys(task for each in results if (task := each.get("task")))) or None


def _measured_on(results: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(data) for each in results if (data := each.get("dataset"))))


def _figures(results: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return figure → value; several values where different ones are published under one name."""
    found: dict[str, list[Any]] = {}
    for result in results:
        data, metrics = result.get("dataset"), result.get("metrics")
        for name, value in metrics.items() if isinstance(metrics, Mapping) else ():
            values = found.setdefault(f"{fold(str(data or ''))}/{fold(str(name))}".lstrip("/"), [])
            if value not in values:
                values.append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}
