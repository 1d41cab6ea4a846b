"""Find models among rows: filters, conditions, order, and which fields are shown (pure; reads and fetches nothing)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mimctl.errors import MimctlError, UsageError, did_you_mean, nearest
from mimctl.zoo.rows import Row, fields_of, match_fields

if TYPE_CHECKING:
    from mimctl.zoo.condition import Condition


class Query(NamedTuple):
    """What is looked for. The first five are parts of names, any of several; conditions must all hold."""

    configs: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    papers: tuple[str, ...] = ()
    """Parts of a paper's title or address."""
    conditions: tuple[str, ...] = ()
    sort: tuple[str, ...] = ()
    """Fields to order by, the first before the others; `-` before one turns its order round."""
    is_descending: bool = False
    fields: tuple[str, ...] = ()
    """Fields to show; empty is all of them."""
    excluded: tuple[str, ...] = ()


class Found(NamedTuple):
    """What was found: rows in order, the fields that were asked for, those that conditions and order looked at."""

    rows: tuple[Row, ...]
    fields: tuple[str, ...]
    used: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def search(rows: Sequence[Row], query: Query) -> Found:
    """Return the rows that fit `query`.

    A row without the field of a condition does not fit; one without the field of the order comes last. Raises
    UsageError[bad-condition | unknown-field], MimctlError[unknown-model] where no row has a part of a name.
    """
    if query.fields and query.excluded:
        raise UsageError("`--field` and `--exclude-field` contradict each other", hints=["name one of them"])
    notes: list[str] = []
    conditions = _conditions(query)
    order = [(word.removeprefix("-"), query.is_descending != word.startswith("-")) for word in query.sort]
    words = (*(each.field for each in conditions), *(word for word, _ in order))
    # All that any model states is looked through only for what a word means.
    known = fields_of(rows) if words or query.fields or query.excluded else []
    meant = {word: match_fields(word, known) for word in words}
    notes += [f"no model states `{word}`" for word, names in meant.items() if not names]
    kept = _filtered(rows, query)
    kept = [row for row in kept if all(_holds(row, each, meant[each.field]) for each in conditions)]
    for word, is_descending in reversed(order):
        kept = _sorted(kept, meant[word], is_descending=is_descending)
    used = tuple(dict.fromkeys(name for names in meant.values() for name in names))
    shown = _shown(known, kept, query, notes)
    return Found(rows=tuple(kept), fields=shown, used=used, notes=tuple(notes))


def as_mapping(found: Found) -> dict[str, dict[str, Any]]:
    """Return model → field → value with the fields that were asked for; a name that comes again is numbered."""
    mapping: dict[str, dict[str, Any]] = {}
    for row in found.rows:
        name, number = row.id, 2
        while name in mapping:
            name, number = f"{row.id}#{number}", number + 1
        mapping[name] = {field: value for field in found.fields if (value := row.value(field)) is not None}
    return mapping


def _conditions(query: Query) -> list[Condition]:
    if not query.conditions:
        return []
    from mimctl.zoo.condition import parse_conditions

    return [each for text in query.conditions for each in parse_conditions(text)]


def _filtered(rows: Sequence[Row], query: Query) -> list[Row]:
    kept = list(rows)
    for each in _FILTERS:
        words = each.words(query)
        for word in words:
            if not any(_has(each.names(row), word) for row in rows):
                raise _nothing(each, word, {name for row in rows for name in each.names(row) if name})
        if words:
            kept = [row for row in kept if any(_has(each.names(row), word) for word in words)]
    return kept


def _holds(row: Row, condition: Condition, names: Sequence[str]) -> bool:
    return any(condition.holds(row.value(name)) for name in names if row.value(name) is not None)


def _sorted(rows: Sequence[Row], names: Sequence[str], *, is_descending: bool) -> list[Row]:
    """Return rows by the first of the fields that each has: numbers, then texts, then those that have none of them."""
    keyed = [(_key(row, names), row) for row in rows]
    stated = [(key, row) for key, row in keyed if key is not None]
    stated.sort(key=lambda pair: pair[0], reverse=is_descending)
    stated.sort(key=lambda pair: pair[0][0])  # texts stay behind the numbers, whichever way
    return [*(row for _, row in stated), *(row for key, row in keyed if key is None)]


def _key(row: Row, names: Sequence[str]) -> tuple[int, float, str] | None:
    from mimctl.zoo.condition import number_of

    value = next((row.value(name) for name in names if row.value(name) is not None), None)
    if value is None:
        return None
    number = number_of(value[0] if isinstance(value, list) and value else value)
    return (1, 0.0, _text(value).casefold()) if number is None else (0, number, "")


def _shown(known: Sequence[str], kept: Sequence[Row], query: Query, notes: list[str]) -> tuple[str, ...]:
    if not query.fields and not query.excluded:
        return tuple(sorted(fields_of(kept)))
    if query.excluded:
        hidden = {name for word in query.excluded for name in match_fields(word, known)}
        return tuple(name for name in sorted(known) if name not in hidden)
    shown: list[str] = []
    for word in query.fields:
        names = match_fields(word, known)
        if not names:
            notes.append(f"no model states `{word}`")
        shown += names
    return tuple(dict.fromkeys(shown))


def _datasets(row: Row) -> list[str]:
    """Return the data that a model was trained on; where nobody says, the data that it was measured on."""
    stated = row.value("training_data")
    if stated is not None:
        return [_text(each) for each in (stated if isinstance(stated, list) else [stated])]
    return list(row.measured_on)


class _Filter(NamedTuple):
    """One way to choose models by parts of names, and the option that lists all such names."""

    what: str
    words: Callable[[Query], tuple[str, ...]]
    names: Callable[[Row], Sequence[str]]
    listing: str


_FILTERS = (
    _Filter(
        what="name of a model or config",
        words=lambda query: query.configs,
        names=lambda row: (row.id, *row.labels, _text(row.value("config"))),
        listing="--valid-config",
    ),
    _Filter(
        what="name of a family",
        words=lambda query: query.models,
        names=lambda row: (_text(row.value("model")),),
        listing="--field model",
    ),
    _Filter(
        what="name of a data set",
        words=lambda query: query.datasets,
        names=_datasets,
        listing="--field training_data",
    ),
    _Filter(
        what="name of a task",
        words=lambda query: query.tasks,
        names=lambda row: (_text(row.value("task")),),
        listing="--field task",
    ),
    _Filter(
        what="title or address of a paper",
        words=lambda query: query.papers,
        names=lambda row: (_text(row.value("title")), _text(row.value("paper"))),
        listing="--field title paper",
    ),
)


def _has(names: Sequence[str], word: str) -> bool:
    wanted = _folded(word)
    return any(wanted in _folded(name) for name in names)


def _folded(text: str) -> str:
    return text.casefold().replace("_", "-").replace(" ", "-")


def _text(value: Any) -> str:
    return "" if value is None else ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _nothing(way: _Filter, word: str, names: set[str]) -> MimctlError:
    near = nearest(word, {*names, *(name.rpartition("/")[2].removesuffix(".py") for name in names)})
    return MimctlError(
        f"no {way.what} has `{word}` in it",
        code="unknown-model",
        hints=did_you_mean(near) or [f"all: `{way.listing}`"],
    )
