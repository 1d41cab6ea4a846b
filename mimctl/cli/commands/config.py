"""`mimctl config`: look into experiment configs; nothing is started and torch is not imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimctl import api
from mimctl.cli.commands.config_diff import diff
from mimctl.cli.commands.config_lint import lint
from mimctl.cli.completing import config_argument, plugin_option
from mimctl.cli.config_text import bare, json_shown, leaves, near_key, plain, shown, text_of
from mimctl.cli.options import PATH, Context, config_options, verb
from mimctl.cli.result import Code, Line, Result, Styled
from mimctl.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from mimctl.config import Config
    from mimctl.config.writing.history import History, Step

_FORMATS = {".py": "py", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}
_ABSENT = object()


@verb(
    "show",
    examples=[
        "mimctl config show my_config.py",
        "mimctl config show rtmdet_s model.backbone --cfg-options model.backbone.deepen_factor=0.5",
        "mimctl config show rtmdet_s train_dataloader --origin",
        "mimctl config show my_config.py --out whole.yaml",
    ],
    target=True,
    uses=("python",),
)
@config_argument
@click.argument("key", required=False, metavar="[KEY.PATH]")
@plugin_option
@click.option("--origin", is_flag=True, help="Print the file and line of every value.")
@click.option(
    "--format", "kind", type=click.Choice(["py", "yaml", "json"]), help="How to write it.  [default: as --out, or py]"
)
@click.option("-o", "--out", type=PATH, metavar="FILE", help="Write it to FILE, whole or not at all.")
@config_options
def show(context: Context, config: str, key: str | None, plugin: str | None, **values: Any) -> Result:
    """Print a config with its bases and overrides resolved, as a config that stands alone.

    KEY.PATH prints a part: `model.backbone`, `train_pipeline.0.type`.
    """
    if values["origin"] and (values["kind"] or values["out"]):
        raise click.UsageError("--origin goes with neither --format nor --out")
    evaluated = api.show_config(plugin, config, values["cfg_options"], settings=context.settings)
    value = evaluated.to_dict() if key is None else _select(evaluated, key)
    data = {"config": plain(value), "key": key}
    if values["origin"]:
        origins = {path: str(evaluated.origin(path) or "derived") for path in leaves(value, key or "")}
        text = "\n".join(f"{path} = {shown(evaluated.select(path))}  # {place}" for path, place in origins.items())
        return Result(data={**data, "origins": origins}, lines=[Code(text, "py")], quiet=[text])
    out: Path | None = values["out"]
    kind = values["kind"] or (_format_of(out) if out is not None else "py")
    if out is None:
        text, note = json_shown(value) if kind == "json" else (text_of(value, kind, key), None)
        text = text.rstrip("\n")
        return Result(data=data, lines=[Code(text, kind)], quiet=[text], notes=[f"note: {note}"] if note else [])
    text = text_of(value, kind, key)
    _write(out, text)
    return Result(data={**data, "out": str(out)}, notes=[f"written: {out}"], lines=[str(out)], quiet=[str(out)])


def _format_of(out: Path) -> str:
    if out.suffix.lower() not in _FORMATS:
        raise UsageError(f"a config is written as {', '.join(_FORMATS)}, not `{out.suffix}`", code="config-format")
    return _FORMATS[out.suffix.lower()]


def _write(path: Path, text: str) -> None:
    from mimctl.files import write_text

    if not path.parent.is_dir():
        raise UsageError(f"there is no folder `{path.parent}`", code="missing-file")
    write_text(path, text, mode=0o666)


def _select(config: Config, key: str) -> Any:
    value = config.select(key, _ABSENT)
    if value is _ABSENT:
        raise _no_key(config, key)
    return bare(value)


def _no_key(config: Config, key: str, causes: list[str] | None = None) -> UsageError:
    near = near_key(config.to_dict(), key)
    hints = did_you_mean(near)
    return UsageError(f"the config has no `{key}`", code="config-key", hints=hints, causes=causes or [])


@verb(
    "origin",
    examples=[
        "mimctl config origin my_config.py model.backbone.deepen_factor",
        "mimctl config origin rtmdet_s optim_wrapper --cfg-options optim_wrapper.optimizer.lr=0.01",
    ],
    target=True,
    uses=("python",),
)
@config_argument
@click.argument("key", required=False, metavar="[KEY.PATH]")
@plugin_option
@config_options
def origin(
    context: Context, config: str, key: str | None, plugin: str | None, cfg_options: tuple[str, ...], **_: Any
) -> Result:
    """Say which file and line a value comes from, and what was there before.

    Without KEY.PATH all values are told.
    """
    history = api.trace_config(plugin, config, cfg_options, settings=context.settings)
    value = history.config.to_dict() if key is None else history.config.select(key, _ABSENT)
    if value is _ABSENT:
        assert key is not None
        raise _no_key(history.config, key, _was_set(history, key))
    found = {path: history.of(path) for path in leaves(bare(value), key or "")}
    lines: list[Line] = []
    for path, steps in found.items():
        lines.append(f"{path} = {shown(history.config.select(path))}  ({_place(steps)})")
        lines += [Styled(f"    was {shown(each.value)}  ({each.origin or 'derived'})", "dim") for each in steps[-2::-1]]
    data = {
        path: {
            "value": plain(history.config.select(path)),
            "origin": _place(steps),
            "steps": [{"value": plain(each.value), "origin": str(each.origin or "derived")} for each in steps],
        }
        for path, steps in found.items()
    }
    return Result(data={"origins": data}, lines=lines, quiet=lines)


def _place(steps: list[Step]) -> str:
    return str(steps[-1].origin or "derived") if steps else "derived"


def _was_set(history: History, key: str) -> list[str]:
    return [f"it was set at {each.origin} and removed since" for each in history.of(key) if each.origin is not None]


COMMANDS = {"show": show, "diff": diff, "origin": origin, "lint": lint}
