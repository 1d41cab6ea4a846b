"""Models as rows of fields, whoever published them: the names that mim gives the fields, and which a word means (pure).

A field's name is lower case with `_` for blanks: `epochs`, `training_memory(gb)`, `coco/box_ap`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

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


class Stated(NamedTuple):
    """What a model states: field → value, and the data sets that it has results on."""

    fields: Mapping[str, Any]
    measured_on: tuple[str, ...]


class Row:
    """One model: its name, whose it is, its fields; `labels` are further names that it goes by.

    What it states may be given as a function, which is called once, when somebody looks: a search by name reads
    hundreds of models and looks at a few. `known` are fields that are at hand before that.
    """

    __slots__ = ("_known", "_read", "_stated", "id", "labels", "package")

    def __init__(
        self,
        *,
        id: str,
        package: str,
        fields: Mapping[str, Any] | None = None,
        labels: tuple[str, ...] = (),
        measured_on: tuple[str, ...] = (),
        known: Mapping[str, Any] | None = None,
        read: Callable[[], Stated] | None = None,
    ) -> None:
        self.id = id
        self.package = package
        self.labels = labels
        self._known = known or {}
        self._read = read
        self._stated = None if read else Stated(fields or {}, measured_on)

    @property
    def fields(self) -> Mapping[str, Any]:
        """What the model states; a list where several figures of one name were published: two tasks of one data set."""
        return self._all().fields

    @property
    def measured_on(self) -> tuple[str, ...]:
        """Names of data sets that it has results on."""
        return self._all().measured_on

    def value(self, name: str) -> Any:
        """Return a field, None where the model does not state it."""
        if name in OWN:
            return self.id if name == "id" else self.package
        if name in self._known:
            return self._known[name]
        return (self._stated or self._all()).fields.get(name)

    def _all(self) -> Stated:
        if self._stated is None:
            assert self._read is not None
            self._stated = self._read()
        return self._stated


def row_of_facts(model: Mapping[str, Any], package: str) -> Row:
    """Return the row of a model as `metafile.read_models` returns it."""
    known = {"model": model["collection"] or None, "config": model["config"]}
    return Row(
        id=model["name"],
        package=package,
        labels=tuple(model["alias"]),
        known=known,
        read=partial(_stated_in_facts, model, known),
    )


def row_of_item(item: Mapping[str, Any], package: str, collection: Mapping[str, str] | None = None) -> Row:
    """Return the row of a model as `zoo/<plugin>.json` states it; `collection` is what is said of its family.

    A search reads hundreds of models to show a few, as text that the output makes harmless: none becomes a ModelEntry.
    Raises KeyError, TypeError or AttributeError where the model is malformed; looking at its fields raises
    IntegrityError[bad-zoo].
    """
    known = {"model": item.get("collection") or None, "config": item.get("config") or item.get("config_file")}
    return Row(
        id=str(item["name"]),
        package=package,
        labels=tuple(map(str, item.get("aliases", ()))),
        known=known,
        read=partial(_stated_in_item, item, known, collection or {}),
    )


def _stated_in_facts(model: Mapping[str, Any], known: Mapping[str, Any]) -> Stated:
    results, weights = model["results"], model["weights"]
    fields = {**dict(_metadata(model["metadata"])), **_figures(results), **known}
    fields["weight"] = weights[0] if len(weights) == 1 else list(weights) or None
    fields["task"] = _tasks(results)
    fields.update({name: model[name] for name in ("paper", "title", "readme")})
    return _stated(fields, results)


def _stated_in_item(item: Mapping[str, Any], known: Mapping[str, Any], collection: Mapping[str, str]) -> Stated:
    try:
        results, weights = item.get("results", ()), item.get("weights")
        fields = {**dict(_metadata(item.get("metadata") or {})), **_figures(results), **known}
        fields.update({name: collection.get(name) for name in ("paper", "title", "readme")})
        fields["task"] = _tasks(results)
        file = (weights.get("url") or weights.get("file")) if weights else None
        fields["weight"] = file if weights else list(item.get("parts", ())) or None
        fields["source"] = item.get("config_source") or "mimctl"
        fields["buildable"] = item.get("buildable") is True
        return _stated(fields, results)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        from mimctl.zoo.document import malformed

        raise malformed("the index", problem) from problem


def _stated(fields: Mapping[str, Any], results: Iterable[Mapping[str, Any]]) -> Stated:
    return Stated({name: value for name, value in fields.items() if value is not None}, _measured_on(results))


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
