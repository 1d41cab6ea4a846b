"""Published figures beside measured ones: which of an evaluator's metrics a published name means (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mimctl.zoo.condition import number_of
from mimctl.zoo.rows import fold

NAMES: Mapping[str, str] = {
    "box_ap": "bbox_map",
    "box_ap50": "bbox_map_50",
    "box_ap75": "bbox_map_75",
    "mask_ap": "segm_map",
    "mask_ap50": "segm_map_50",
    "top_1_accuracy": "accuracy/top1",
    "top_5_accuracy": "accuracy/top5",
    "ap": "ap",
    "miou": "miou",
}
"""Names in metafiles → evaluators' names without the prefix of a data set, both as `rows.fold` writes them."""
_MOST_DECIMALS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One published figure; `measured` is in its unit, None where the test gave no such metric."""

    dataset: str
    name: str
    published: float
    measured: float | None
    tolerance: float

    @property
    def is_same(self) -> bool:
        """Return whether both agree within the tolerance."""
        return self.measured is not None and abs(self.published - self.measured) <= self.tolerance * (1 + 1e-9)


def compare(
    results: Iterable[Mapping[str, Any]], metrics: Mapping[str, Any], tolerance: float | None = None
) -> list[Compared]:
    """Return each published number of `results` beside what `metrics` has for it.

    `tolerance` is in the published unit; by default one unit of the last digit that was published, two decimals at
    most. A share (0.445) measured of a percentage (44.5) is taken for one.
    """
    found = []
    for result in results:
        for name, value in (result.get("metrics") or {}).items():
            published = number_of(value)
            if published is None:
                continue
            found.append(
                Compared(
                    dataset=str(result.get("dataset") or ""),
                    name=str(name),
                    published=published,
                    measured=_measured(str(name), published, metrics),
                    tolerance=_last_digit(value) if tolerance is None else tolerance,
                )
            )
    return found


def _measured(name: str, published: float, metrics: Mapping[str, Any]) -> float | None:
    wanted = fold(name)
    meant = (wanted, NAMES.get(wanted, wanted))
    for key, value in metrics.items():
        written = fold(key)
        number = number_of(value)
        if number is not None and (written in meant or written.partition("/")[2] in meant):
            is_share = written != wanted and published > 1.5 and abs(number) <= 1.0
            return number * 100 if is_share else number
    return None


def _last_digit(value: object) -> float:
    decimals = len(str(value).rstrip("%").partition(".")[2]) if "e" not in str(value) else _MOST_DECIMALS
    return float(10.0 ** -min(decimals, _MOST_DECIMALS))


def told(compared: Sequence[Compared]) -> bool:
    """Return whether at least one figure could be compared, and all that could agree."""
    measured = [each for each in compared if each.measured is not None]
    return bool(measured) and all(each.is_same for each in measured)
