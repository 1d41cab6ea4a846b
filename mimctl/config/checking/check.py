"""Runs every rule over a config, and gives all that is wrong at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mimctl.config.checking.arguments import find_idle_deletions, find_wrong_arguments
from mimctl.config.checking.case import Case
from mimctl.config.checking.classes import find_class_mismatches
from mimctl.config.checking.completeness import find_contradicting_checkpoints, find_halves
from mimctl.config.checking.foreign import find_foreign_names
from mimctl.config.checking.hooks import find_repeated_hooks
from mimctl.config.checking.literals import find_repeated_keys
from mimctl.config.checking.mistake import Mistakes
from mimctl.config.checking.overrides import find_idle_overrides, find_unknown_overrides
from mimctl.config.checking.parameters import find_idle_custom_keys
from mimctl.config.checking.pipelines import find_incomplete_pipelines
from mimctl.config.checking.plain_keys import (
    find_misspelled_dataset_keys,
    find_misspelled_model_keys,
    find_unknown_default_hooks,
    find_unknown_paramwise_keys,
    find_unknown_plain_keys,
)
from mimctl.config.checking.ranges import find_numbers_out_of_range
from mimctl.config.checking.schedule import find_idle_schedules, find_mixed_units
from mimctl.config.checking.tables import Tables
from mimctl.config.checking.top_level import find_unknown_keys
from mimctl.config.checking.types import (
    find_bare_names,
    find_unknown_names,
    find_unknown_scopes,
    find_wrong_types,
)
from mimctl.config.checking.values import find_wrong_values
from mimctl.config.config import Config
from mimctl.config.language.environment import conceal_in
from mimctl.errors import ConfigError

OVERRIDE_RULES: tuple[Callable[[Case], Mistakes], ...] = (find_unknown_overrides, find_idle_overrides)
"""What is looked at where the command line is read, and nowhere later."""

RULES: tuple[Callable[[Case], Mistakes], ...] = (
    find_unknown_keys,
    find_foreign_names,
    find_unknown_scopes,
    find_wrong_types,
    find_unknown_names,
    find_bare_names,
    find_wrong_arguments,
    find_unknown_plain_keys,
    find_unknown_paramwise_keys,
    find_unknown_default_hooks,
    find_idle_deletions,
    find_wrong_values,
    find_numbers_out_of_range,
    find_misspelled_dataset_keys,
    find_misspelled_model_keys,
    find_idle_custom_keys,
    find_idle_schedules,
    find_mixed_units,
    find_halves,
    find_contradicting_checkpoints,
    find_repeated_hooks,
    find_incomplete_pipelines,
    find_class_mismatches,
    find_repeated_keys,
)
"""Every other rule, those first that explain what others would stumble over at the same place."""


def check(config: Config, tables: Sequence[Mapping[str, Any]], *, knows_user_code: bool = False) -> list[ConfigError]:
    """Return every mistake that can be known from the types.json `tables`; an empty list means none was found.

    Only what a run reads is looked at: variables of the config are free. Types of toolboxes without a table, and
    unknown types of a config with `custom_imports`, are left to the run itself, which imports these modules and checks
    again with a table of what they register (`knows_user_code`). Of several mistakes at one path the first is given.
    """
    is_open = bool(config.get("custom_imports")) and not knows_user_code
    case = Case(config, Tables(tables), is_open=is_open)
    found: dict[str, ConfigError] = {}
    for rule in RULES if knows_user_code else (*OVERRIDE_RULES, *RULES):
        for mistake in rule(case):
            if mistake.path not in found:
                found[mistake.path] = mistake.to_error(config)
    return conceal_in(list(found.values()), config)
