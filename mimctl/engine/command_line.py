"""Config options on the command line of a script of one's own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from mimctl.config import parse_override
from mimctl.errors import MimctlError


class DictAction(argparse.Action):
    """Collect `key=value` arguments in a dict, with the values that `mimctl train --cfg-options` reads from them.

    `parser.add_argument("--cfg-options", nargs="+", action=DictAction)`
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Add what was given to what there is; a mistake ends the program with the parser's usage."""
        options = dict(getattr(namespace, self.dest, None) or {})
        for each in [values] if isinstance(values, str) else values or ():
            try:
                key, value = parse_override(each)
            except MimctlError as err:
                raise argparse.ArgumentError(self, err.message) from err
            options[key] = value
        setattr(namespace, self.dest, options)
