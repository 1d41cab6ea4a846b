"""What starts a toolbox's process: training, testing, inference, a look at data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.api.datasets import naming_data_sets
from mimctl.api.place import as_config_options, workplace, zoo_models
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.launch.experiments.dataset import DatasetReport
    from mimctl.launch.inferring import InferOptions
    from mimctl.launch.model import ConfigOptions, LaunchOptions, Listener
    from mimctl.launch.place import Workplace
    from mimctl.launch.verbs import RunResult, TrainOptions


def train(
    plugin: str,
    config: ConfigOptions | str,
    options: TrainOptions | None = None,
    launch: LaunchOptions | None = None,
    *,
    listener: Listener | None = None,
    watch: Watch | None = None,
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
    place = _place(plugin, settings, launch, watch)
    with naming_data_sets():
        return verbs.train(
            plugin,
            as_config_options(config),
            options or verbs.TrainOptions(),
            launch,
            place=place,
            models=zoo_models(settings, watch),
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
    tta: bool = False,
    dry_run: bool = False,
    listener: Listener | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> RunResult:
    """Measure a checkpoint on the config's test set; `result["metrics"]` holds the figures.

    `checkpoint` is a path, a work dir, or `best` or `last` of the config's work dir. `out` gets the raw predictions,
    `show_dir` the drawn images. With `tta` each sample is seen as the config's `tta_pipeline` says and its predictions
    are merged. Raises as `train` does.
    """
    from mimctl.launch import verbs

    settings = settings or settings_module.load()
    launch = launch or _launch_options()
    place = _place(plugin, settings, launch, watch)
    with naming_data_sets():
        return verbs.test(
            plugin,
            as_config_options(config),
            checkpoint,
            launch,
            place=place,
            out=out,
            show_dir=show_dir,
            tta=tta,
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
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> RunResult:
    """Run a model (a checkpoint, or a name of the zoo) on images or folders of images.

    The config is `options.config`, else the one beside the checkpoint, else what the checkpoint itself carries, read
    as data. Raises as `train` does.
    """
    from mimctl.launch import inferring

    settings = settings or settings_module.load()
    launch = launch or _launch_options()
    return inferring.infer(
        plugin,
        model,
        inputs,
        options or inferring.InferOptions(),
        launch,
        place=_place(plugin, settings, launch, watch),
        models=zoo_models(settings, watch),
        listener=listener,
    )


def _place(plugin: str, settings: Settings, launch: LaunchOptions, watch: Watch | None) -> Workplace:
    """Return the workplace; `watch` is told of it, and of the toolbox that an alias means."""
    from mimctl.launch.toolbox import find_working_plugin, refuse_package, say_which

    place = workplace(settings, launch, watch)
    found = find_working_plugin(plugin, place)
    if found is None:
        refuse_package(plugin, place)
    if watch is not None and found is not None and (told := say_which(plugin, found, place)):
        watch.note(told)
    return place


def describe_data(plugin: str, folder: Path, *, out: Path, settings: Settings | None = None) -> DatasetReport:
    """Return what a toolbox finds in a folder of data; lists of a split that has to be made go below `out`.

    Raises MimctlError[bad-data] with the report where the folder cannot be trained on.
    """
    from mimctl.launch.experiments.dataset import describe_folder
    from mimctl.plugin.discover import get_plugin

    place = workplace(settings or settings_module.load())
    found = get_plugin(plugin, place.plugins)
    return describe_folder(found, folder, python=place.python, out=out, others=place.working_plugins)


def _launch_options() -> LaunchOptions:
    from mimctl.launch.model import LaunchOptions

    return LaunchOptions()
