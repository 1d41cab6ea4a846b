"""`mimctl config lint`: every mistake of configs at once, as a compiler tells them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mimctl import api
from mimctl.cli.completing import configs_argument, plugin_option
from mimctl.cli.options import Context, config_options, verb
from mimctl.cli.result import Line, Result, Styled
from mimctl.errors import ExitCode, counted

if TYPE_CHECKING:
    from mimctl.errors import ConfigError

_NEAR = re.compile(r"did you mean (?P<names>.*)\?$")


@verb(
    "lint",
    examples=[
        "mimctl config lint my_config.py",
        "mimctl config lint configs/ --json",
        "mimctl config lint rtmdet_s --cfg-options train_cfg.max_epochs=20",
    ],
    target=True,
    uses=("python",),
)
@configs_argument
@plugin_option
@config_options
def lint(
    context: Context, configs: tuple[str, ...], plugin: str | None, cfg_options: tuple[str, ...], **_: Any
) -> Result:
    """Check configs, or all below a folder, against what the installed engine and toolboxes accept.

    Every mistake is told, each once, with file and line. Exit code 2 where there is one.
    """
    linted = api.lint_config(plugin, configs, cfg_options, note=context.output.note, settings=context.settings)
    lines = [line for error, paths in linted.mistakes for line in _lines(error, paths)]
    told = f"{counted(len(linted.mistakes), 'mistake')} in {counted(linted.num_files, 'config')}"
    return Result(
        data={
            "ok": not linted.mistakes,
            "files": linted.num_files,
            "mistakes": [_data(error, paths) for error, paths in linted.mistakes],
        },
        lines=lines or ["no mistake found" + (f" in {linted.num_files} configs" if linted.num_files != 1 else "")],
        quiet=lines,
        closing=[Styled(told, "bold")] if lines else [],
        exit_code=int(ExitCode.USAGE) if lines else 0,
    )


def _lines(error: ConfigError, paths: tuple[str, ...]) -> list[Line]:
    place = str(error.origin) if error.origin is not None else paths[0]
    lines: list[Line] = [Styled(f"{place}: error[{error.code}]: {error.message}", "red")]
    lines += [f"  cause: {cause}" for cause in error.causes]
    if len(paths) > 1:
        lines.append(f"  cause: {counted(len(paths), 'config')} are built on it, {paths[0]} first")
    elif error.origin is None or error.origin.file != paths[0]:
        lines.append(f"  cause: read for {paths[0]}")
    return [*lines, *(Styled(f"  hint: {hint}", "cyan") for hint in error.hints)]


def _data(error: ConfigError, paths: tuple[str, ...]) -> dict[str, Any]:
    return {
        "code": error.code,
        "message": error.message,
        "file": error.origin.file if error.origin is not None else paths[0],
        "line": error.origin.line if error.origin is not None else None,
        "near": _near(error),
        "causes": list(error.causes),
        "hints": list(error.hints),
        "configs": list(paths),
    }


def _near(error: ConfigError) -> list[str]:
    """Return the names that a mistake was probably meant to be."""
    found = (_NEAR.match(hint) for hint in error.hints)
    return [name for each in found if each is not None for name in re.findall(r"`([^`]+)`", each["names"])]
