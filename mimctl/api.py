"""The verbs as typed functions: what `mimctl <verb>` does, returning the same data.

Functions take `settings` (see `mimctl.settings.load`; loaded where not given) and raise MimctlError; none prints.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.errors import UsageError, nearest
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.config import Config
    from mimctl.environment.model import Environment, Target
    from mimctl.launch.model import ConfigOptions, LaunchOptions, Listener, Workplace
    from mimctl.launch.verbs import InferOptions, Models, RunResult, TrainOptions
    from mimctl.plugin.discover import BrokenPlugin, Plugin


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The toolboxes of a target environment."""

    target: Target
    plugins: tuple[Plugin | BrokenPlugin, ...] = field(default=())


def find_target(settings: Settings) -> Target:
    """Return the interpreter that is worked on."""
    from mimctl.environment.target import find_target as find

    source = str(settings.origin("python"))
    return find(settings.python, environ=os.environ, folder=Path.cwd(), source=source)


def env(*, settings: Settings | None = None) -> Environment:
    """Detect the facts about the target environment, each with its source; torch is not imported."""
    from mimctl.environment.detect import describe

    settings = settings or settings_module.load()
    return describe(find_target(settings), environ=os.environ)


def list_package(*, settings: Settings | None = None) -> Listing:
    """Return the toolboxes of the target environment, sorted by name, broken ones with the reason."""
    from mimctl.plugin.discover import discover
    from mimctl.plugin.paths import import_paths

    target = find_target(settings or settings_module.load())
    return Listing(target=target, plugins=tuple(discover(import_paths(None if target.is_own else target.python))))


def find_workplace(settings: Settings, *, counts_gpus: bool = False) -> Workplace:
    """Return the environment that runs go into; `counts_gpus` looks at the accelerator too."""
    from mimctl.launch.model import Workplace
    from mimctl.plugin.discover import discover
    from mimctl.plugin.paths import import_paths

    target = find_target(settings)
    paths = import_paths(None if target.is_own else target.python)
    return Workplace(
        python=target.python,
        source=target.source,
        paths=paths,
        plugins=tuple(discover(paths)),
        visible_gpus=_count_gpus(paths) if counts_gpus else 0,
    )


def _count_gpus(paths: Sequence[Path]) -> int:
    from mimctl.environment.accelerator import detect_accelerator
    from mimctl.environment.torch import find_torch

    torch = find_torch(paths, None).value
    if torch is None or torch.backend == "cpu":
        return 0
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = None if shown is None else len([each for each in shown.split(",") if each.strip() not in ("", "-1")])
    if named == 0:
        return 0
    _, gpus = detect_accelerator(os.environ)
    return len(gpus.value) if named is None else min(named, len(gpus.value) or named)


def train(
    plugin: str,
    config: ConfigOptions | str,
    options: TrainOptions | None = None,
    launch: LaunchOptions | None = None,
    *,
    listener: Listener | None = None,
    settings: Settings | None = None,
) -> RunResult:
    """Train a toolbox's model to the end of its config.

    `config` names a config (a path, or a name in the toolbox) and what is changed in it; `options.data` a folder in a
    layout that the toolbox reads. Raises ConfigError for mistakes in the config before anything starts, NetworkError
    where weights are not at hand, MimctlError with the child's exit code where it failed.
    """
    from mimctl.launch import verbs

    settings = settings or settings_module.load()
    launch = launch or _launch_options()
    return verbs.train(
        plugin,
        _config_options(config),
        options or verbs.TrainOptions(),
        launch,
        place=find_workplace(settings, counts_gpus=_looks_at_gpus(launch)),
        models=_models(settings),
        listener=listener,
    )


def test(
    plugin: str,
    config: ConfigOptions | str,
    checkpoint: str,
    launch: LaunchOptions | None = None,
    *,
    out: Path | None = None,
    show_dir: Path | None = None,
    dry_run: bool = False,
    listener: Listener | None = None,
    settings: Settings | None = None,
) -> RunResult:
    """Measure a checkpoint on the config's test set; `result["metrics"]` holds the figures.

    `checkpoint` is a path, a work dir, or `best` or `last` of the config's work dir. `out` gets the raw predictions,
    `show_dir` the drawn images. Raises as `train` does.
    """
    from mimctl.launch import verbs

    settings = settings or settings_module.load()
    launch = launch or _launch_options()
    return verbs.test(
        plugin,
        _config_options(config),
        checkpoint,
        launch,
        place=find_workplace(settings, counts_gpus=_looks_at_gpus(launch)),
        out=out,
        show_dir=show_dir,
        dry_run=dry_run,
        listener=listener,
    )


def infer(
    plugin: str,
    model: str,
    inputs: Sequence[str],
    options: InferOptions | None = None,
    launch: LaunchOptions | None = None,
    *,
    listener: Listener | None = None,
    settings: Settings | None = None,
) -> RunResult:
    """Run a model (a checkpoint, or a name of the zoo) on images or folders of images.

    The config is `options.config`, else the one beside the checkpoint, else what the checkpoint itself carries, read
    as data. Raises as `train` does.
    """
    from mimctl.launch import verbs

    settings = settings or settings_module.load()
    launch = launch or _launch_options()
    return verbs.infer(
        plugin,
        model,
        inputs,
        options or verbs.InferOptions(),
        launch,
        place=find_workplace(settings, counts_gpus=_looks_at_gpus(launch)),
        models=_models(settings),
        listener=listener,
    )


def _launch_options() -> LaunchOptions:
    from mimctl.launch.model import LaunchOptions

    return LaunchOptions()


def _config_options(config: ConfigOptions | str) -> ConfigOptions:
    from mimctl.launch.model import ConfigOptions

    return ConfigOptions(config=config) if isinstance(config, str) else config


def _looks_at_gpus(launch: LaunchOptions) -> bool:
    return launch.launcher != "slurm" and launch.gpus != 0 and launch.procs is None


def _models(settings: Settings) -> Models:
    from mimctl.zoo.source import ZooModels

    return ZooModels(settings)


def show_config(
    plugin: str | None, config: str, cfg_options: Sequence[str] = (), *, settings: Settings | None = None
) -> Config:
    """Return a config with its bases and overrides resolved; a bare name is looked up in `plugin`."""
    from mimctl.launch.experiment import load_config, parse_overrides
    from mimctl.plugin.configs import find_config
    from mimctl.plugin.discover import get_plugin

    place = find_workplace(settings or settings_module.load())
    path = find_config(config, get_plugin(plugin, place.plugins)) if plugin else _existing(config)
    return load_config(path, parse_overrides(cfg_options), place.working_plugins)


def lint_config(
    plugin: str | None, config: str, cfg_options: Sequence[str] = (), *, settings: Settings | None = None
) -> None:
    """Check a config against the tables of the target's engine and toolboxes; raise ConfigError for what is wrong."""
    from mimctl.launch.experiment import check_config, type_tables
    from mimctl.plugin.discover import import_roots

    settings = settings or settings_module.load()
    evaluated = show_config(plugin, config, cfg_options, settings=settings)
    place = find_workplace(settings)
    check_config(evaluated, type_tables(place.working_plugins, import_roots(place.paths)))


def _existing(config: str) -> Path:
    path = Path(config).expanduser()
    if not path.is_file():
        raise UsageError(
            f"config `{config}` does not exist",
            code="config-not-found",
            hints=["a toolbox's config by name: put the toolbox before it, `mimctl config show det NAME`"],
        )
    return path


def show_settings(*, settings: Settings | None = None) -> Settings:
    """Return all settings of mimctl, each with its origin."""
    return settings or settings_module.load()


def explain(code: str) -> str:
    """Return the page on an error code (Markdown); raise UsageError[unknown-code] with the nearest codes."""
    pages = error_pages()
    if code in pages:
        return pages[code].read_text(encoding="utf-8")
    near = nearest(code, set(pages))
    raise UsageError(
        f"there is no page on `{code}`",
        code="unknown-code",
        hints=[f"did you mean {' or '.join(f'`{each}`' for each in near)}?"] if near else ["all codes: `mimctl explain`"],
    )


def error_pages() -> dict[str, Path]:
    """Return error code → its page, shipped with the package, or in a checkout's docs."""
    package = Path(__file__).parent
    for folder in (package / "error_pages", package.parent / "docs" / "errors"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.md"))}
    return {}
