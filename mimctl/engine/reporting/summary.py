"""A table of a training that spreadsheets read: a row for each epoch or validation."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mimctl.engine.reporting.events import plain
from mimctl.files import write_text


class Summary:
    """Rows of numbers, written whole to a CSV file at each change; columns are those of all rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []

    def put(self, epoch: int, iteration: int, values: Mapping[str, Any]) -> None:
        """Add numbers to the row of this iteration, a new one if it is not the last row's."""
        if not self.rows or self.rows[-1]["iter"] != iteration:
            self.rows.append({"epoch": epoch, "iter": iteration})
        self.rows[-1].update({name: value for name, value in plain(values).items() if isinstance(value, (int, float))})
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows)
        write_text(self.path, text.getvalue(), mode=0o666)
