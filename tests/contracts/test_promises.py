"""Which test shows which promise of the command line, and of what older installers did that must not happen here.

A table that is checked: each test that it names is there. Whoever renames one finds the promise that hangs on it.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

COMMAND_LINE: dict[str, list[str]] = {
    "alone: short help by topic, two examples; -h with examples on every verb": [
        "cli/test_usage.py::test_alone_it_prints_short_help_by_topic_with_two_examples",
        "cli/test_usage.py::test_every_verb_has_help_with_examples_that_parse",
    ],
    "--version: one line, with a broken toolbox, without HOME": [
        "cli/test_usage.py::test_version_is_one_line_without_home_and_with_a_broken_toolbox",
    ],
    "misspelled commands, options and toolboxes suggest and run nothing": [
        "cli/test_usage.py::test_a_misspelled_command_suggests_and_runs_nothing",
        "cli/test_usage.py::test_a_misspelled_option_suggests_and_runs_nothing",
        "installer/test_command_line.py::test_the_nearest_toolbox_is_suggested",
    ],
    "install --dry-run downloads no wheel; with --json one document is all": [
        "installer/test_command_line.py::test_a_dry_run_is_one_document_and_downloads_no_wheel",
        "installer/test_install.py::test_plan_downloads_no_wheel_and_changes_nothing",
    ],
    "install again: nothing to do, decided without network": [
        "installer/test_command_line.py::test_without_a_terminal_nothing_is_asked_and_again_there_is_nothing_to_do",
        "installer/test_satisfied.py::test_a_second_install_asks_no_server_anything",
    ],
    "no fit: 3, with facts, builds and a command; pure operators only where nothing is compiled": [
        "installer/test_command_line.py::test_no_fitting_build_is_3_with_the_facts_the_builds_and_a_command",
        "installer/test_install.py::test_no_fitting_build_is_refused_before_anything_changes",
    ],
    "a failure is error, cause and hint; a traceback only with --debug; a page for every code": [
        "installer/test_command_line.py::test_a_traceback_is_shown_only_where_it_is_asked_for",
        "cli/test_explain.py::test_every_code_in_the_source_has_a_page",
    ],
    "Ctrl-C: 130 and as before; kill -9: told by every command, repaired by doctor --fix": [
        "installer/test_command_line.py::test_ctrl_c_is_130_and_leaves_the_environment_as_before",
        "installer/test_killed.py::test_whatever_hundreds_of_kills_leave_is_repaired",
        "cli/test_doctor.py::test_a_killed_install_is_told_by_every_command_and_fixed",
        "installer/test_recovery.py::test_what_was_installed_after_the_crash_survives",
    ],
    "torch stays; a wrong hash installs nothing and both are shown": [
        "installer/test_install.py::test_install_leaves_torch_and_everything_else_alone",
        "installer/test_command_line.py::test_a_wrong_hash_is_1_with_both_hashes",
    ],
    "list --json is sorted, piped output plain and whole, colour as asked, progress on a terminal alone": [
        "cli/test_list.py::test_list_json_is_one_sorted_document",
        "cli/test_usage.py::test_long_lines_are_never_wrapped_or_cut_in_a_pipe",
        "cli/test_usage.py::test_piped_output_has_no_ansi_and_obeys_the_colour_switches",
        "cli/test_usage.py::test_a_terminal_gets_colour_unless_no_color_is_set",
        "cli/test_terminal.py::test_a_terminal_sees_a_bar_and_the_pipe_only_data",
    ],
    "stdout carries data only; -q errors only; -v sources": [
        "zoo/test_download_verb.py::test_stdout_is_the_two_paths",
        "cli/test_list.py::test_quiet_list_is_names_alone",
        "installer/test_command_line.py::test_verbose_says_where_settings_come_from",
    ],
    "no prompt without a terminal; --yes skips it": [
        "installer/test_command_line.py::test_a_terminal_is_asked_and_yes_skips_the_question",
        "cli/test_consent.py::test_without_a_terminal_a_new_index_is_refused",
    ],
    "env: facts with sources; doctor: ok, warn, fail with hints": [
        "cli/test_env.py::test_each_fact_has_a_source_and_stands_in_the_reference",
        "cli/test_env.py::test_it_works_without_home_without_path_and_on_another_interpreter",
        "cli/test_doctor.py::test_a_bare_environment_has_warnings_and_no_failure",
    ],
    "--offline uses caches, else 4 with what is missing; the cache verbs": [
        "installer/test_command_line.py::test_offline_without_caches_is_4_and_names_what_is_missing",
        "installer/test_install.py::test_offline_installs_from_caches_and_local_indexes",
        "cli/test_cache.py::test_dir_and_size_say_where_and_how_much",
        "cli/test_cache.py::test_prune_and_clean_remove_and_say_what",
    ],
    "settings show --origin; flag, environment, project, user, default": [
        "cli/test_settings.py::test_each_source_of_a_setting_beats_the_next_and_says_where_it_stands",
        "cli/test_settings.py::test_passwords_in_addresses_are_never_shown",
    ],
    "lock twice changes nothing, sync --locked fails if stale, a bundle installs without any route": [
        "lock/test_lock.py::test_locking_twice_changes_no_byte_though_newer_versions_came",
        "installer/test_lock_and_sync.py::test_a_lock_goes_stale_with_its_requirements",
        "installer/test_bundle.py::test_the_command_installs_where_there_is_no_route",
    ],
    "a broken toolbox is listed with the reason, all else works": [
        "cli/test_list.py::test_a_broken_toolbox_is_listed_with_its_reason_and_breaks_nothing_else",
    ],
    "completions without network; blanks and unicode; two installs at once": [
        "cli/test_completions.py::test_a_shell_completes_verbs_options_and_toolboxes",
        "cli/test_completions.py::test_completion_never_touches_the_network",
        "cli/test_train.py::test_names_with_blanks_and_unicode_work",
        "installer/test_install.py::test_a_second_installation_waits_and_notices_that_its_plan_is_old",
        "installer/test_exclusive.py::test_a_second_one_waits_and_says_for_whom",
    ],
}

NEVER_AGAIN: dict[str, list[str]] = {
    "does not start with a new setuptools; pins old ones and downgrades what was there": [
        "installer/test_politeness.py::test_nothing_of_setuptools_or_pip_is_imported",
        "installer/test_politeness.py::test_installing_mimctl_changes_no_package_that_was_there",
        "installer/test_politeness.py::test_no_python_makes_a_difference",
    ],
    "exit 0 with a requirement silently skipped": [
        "installer/test_install.py::test_an_installer_that_leaves_something_out_is_undone",
    ],
    "no matching wheel: an hour of compiling, or a wheel without any operator": [
        "installer/test_install.py::test_no_fitting_build_is_refused_before_anything_changes",
        "installer/test_install.py::test_what_no_index_has_is_refused_before_anything_is_fetched",
        "installer/test_recovery.py::test_operators_that_do_not_load_are_an_error",
    ],
    "a wheel of ours loses to something newer of that name on a public index": [
        "installer/test_install.py::test_own_names_never_come_from_the_public_index",
        "hostile/test_lying_index.py::test_a_public_index_cannot_outbid_a_private_one",
    ],
    "builds of one name are mixed by caches; torch upgraded later breaks the import": [
        "installer/test_install.py::test_another_build_of_the_same_version_is_replaced",
        "installer/test_mending.py::test_operators_that_another_torch_deserves_better_are_replaced",
        "checkup/test_glance.py::test_a_torch_that_the_operators_cannot_be_loaded_into_is_found",
    ],
    "ROCm and others get the CPU's page; driver and GPU never looked at": [
        "cli/test_install_for_machine.py::test_what_cannot_run_is_refused_before_anything_changes",
        "cli/test_install_for_machine.py::test_no_torch_for_the_cpu_joins_unasked_where_another_makers_gpu_is",
    ],
    "the system's environment, or one that cannot be written, is broken half-way": [
        "installer/test_recovery.py::test_the_systems_and_read_only_environments_are_refused",
    ],
    "an error page saved as weights; truncated files kept": [
        "transfer/test_download.py::test_missing_file_is_an_error_and_its_page_is_not_saved",
        "transfer/test_download.py::test_next_run_resumes_what_the_last_one_left",
        "transfer/test_download.py::test_file_without_a_length_is_read_to_its_end",
    ],
    "a misspelled word runs something": ["cli/test_usage.py::test_a_misspelled_command_suggests_and_runs_nothing"],
    "unknown settings ignored": ["cli/test_settings.py::test_an_unknown_key_names_the_file_and_the_line"],
}


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("promise", "tests"), [*COMMAND_LINE.items(), *NEVER_AGAIN.items()])
def test_a_promise_is_shown_by_tests_that_are_there(promise: str, tests: list[str]) -> None:
    assert tests, promise
    for each in tests:
        file, _, name = each.partition("::")
        assert name in names_in(file), f"{promise}: {each} is gone"
