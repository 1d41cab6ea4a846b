"""The verbs as typed functions: what `mimctl <verb>` does, returning the same data.

Functions take `settings` (see `mimctl.settings.load`; loaded where not given) and raise MimctlError; none prints.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mimctl import settings as settings_module
from mimctl.errors import MimctlError
from mimctl.pages import explain as explain
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.checkup.model import Report
    from mimctl.config import Config
    from mimctl.environment.model import Environment, Target
    from mimctl.index.client import IndexClient
    from mimctl.installer.model import InstallOptions, InstallPlan, InstallResult, UninstallPlan, UninstallResult
    from mimctl.installer.recovery import Repair
    from mimctl.installer.transaction import Unfinished
    from mimctl.launch.dataset import DatasetReport
    from mimctl.launch.model import ConfigOptions, LaunchOptions, Listener, Workplace
    from mimctl.launch.verbs import InferOptions, Models, RunResult, TrainOptions
    from mimctl.plugin.discover import BrokenPlugin, Plugin
    from mimctl.site.build import SiteReport
    from mimctl.site.yank import YankReport
    from mimctl.wheels.audits import Audited
    from mimctl.wheels.build import BuildReport
    from mimctl.wheels.matrix import Matrix
    from mimctl.wheels.verify import Verified
    from mimctl.zoo.download import Downloaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The toolboxes of a target environment."""

    target: Target
    plugins: tuple[Plugin | BrokenPlugin, ...] = field(default=())


class Watch(Protocol):
    """Who is told of a transfer or an installation while it goes."""

    def progress(self, name: str, done: int, total: int | None) -> None:
        """Take how many bytes of a file are there."""

    def note(self, text: str) -> None:
        """Take one line that a person may want to read."""


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


def doctor(*, settings: Settings | None = None) -> Report:
    """Look over the target environment: each check with what it found, why, and what to type; nothing is changed.

    The compiled operators are loaded in a process of the target's own. Raises nothing for what it finds.
    """
    from mimctl.checkup import check_up

    return check_up(settings or settings_module.load(), environ=os.environ, folder=Path.cwd())


def repair(*, watch: Watch | None = None, settings: Settings | None = None) -> Repair | None:
    """Bring the target back to what it was before an installation that was killed; None where none was.

    What others have installed since stays. Raises MimctlError[killed-install] where something cannot be brought back,
    [environment-locked] where it may still go on elsewhere.
    """
    from mimctl.installer.prepare import check_writable
    from mimctl.installer.recovery import repair as bring_back

    facts = env(settings=settings)
    check_writable(facts)
    return bring_back(facts, watch.note if watch else (lambda _line: None))


def find_unfinished(*, settings: Settings | None = None) -> Unfinished | None:
    """Return the installation into the target that was killed and not repaired; None where none was, or one goes on.

    Looks at a few names only, and starts no interpreter.
    """
    from mimctl.environment.target import site_folders

    folders = site_folders(find_target(settings or settings_module.load()))
    if not any((folder.parent / ".mimctl-transaction").is_dir() for folder in folders):
        return None
    from mimctl.installer.transaction import find_unfinished as find

    found = find(folders)
    return None if found is None or found.is_alive else found


def list_package(*, settings: Settings | None = None) -> Listing:
    """Return the toolboxes of the target environment, sorted by name, broken ones with the reason."""
    from mimctl.plugin.discover import discover
    from mimctl.plugin.paths import import_paths

    target = find_target(settings or settings_module.load())
    return Listing(target=target, plugins=tuple(discover(import_paths(None if target.is_own else target.python))))


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
    return verbs.train(
        plugin,
        _config_options(config),
        options or verbs.TrainOptions(),
        launch,
        place=_workplace(settings, launch, watch),
        models=_models(settings, watch),
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
    watch: Watch | None = None,
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
        place=_workplace(settings, launch, watch),
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
    watch: Watch | None = None,
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
        place=_workplace(settings, launch, watch),
        models=_models(settings, watch),
        listener=listener,
    )


def describe_data(plugin: str, folder: Path, *, out: Path, settings: Settings | None = None) -> DatasetReport:
    """Return what a toolbox finds in a folder of data; lists of a split that has to be made go below `out`.

    Raises MimctlError[bad-data] with the report where the folder cannot be trained on.
    """
    from mimctl.launch.dataset import describe_folder
    from mimctl.plugin.discover import get_plugin

    place = _workplace(settings or settings_module.load())
    return describe_folder(get_plugin(plugin, place.plugins), folder, python=place.python, out=out)


def _launch_options() -> LaunchOptions:
    from mimctl.launch.model import LaunchOptions

    return LaunchOptions()


def _config_options(config: ConfigOptions | str) -> ConfigOptions:
    from mimctl.launch.model import ConfigOptions

    return ConfigOptions(config=config) if isinstance(config, str) else config


def _workplace(settings: Settings, launch: LaunchOptions | None = None, watch: Watch | None = None) -> Workplace:
    from mimctl.launch.workplace import find_workplace

    # Looking for GPUs costs a process; no need where the answer would change nothing.
    counts = launch is not None and launch.launcher != "slurm" and launch.gpus != 0 and launch.procs is None
    place = find_workplace(settings, counts_gpus=counts)
    if watch is not None:
        watch.note(f"target: {place.python} ({place.source})")
    return place


def _models(settings: Settings, watch: Watch | None) -> Models:
    from mimctl.zoo.source import ZooModels

    return ZooModels(settings, progress=watch.progress if watch else None, note=watch.note if watch else None)


def show_config(
    plugin: str | None, config: str, cfg_options: Sequence[str] = (), *, settings: Settings | None = None
) -> Config:
    """Return a config with its bases and overrides resolved; a bare name is looked up in `plugin`."""
    from mimctl.launch.experiment import existing_config, load_config, parse_overrides
    from mimctl.plugin.configs import find_config
    from mimctl.plugin.discover import get_plugin

    place = _workplace(settings or settings_module.load())
    path = find_config(config, get_plugin(plugin, place.plugins)) if plugin else existing_config(config)
    return load_config(path, parse_overrides(cfg_options), place.working_plugins)


def lint_config(
    plugin: str | None, config: str, cfg_options: Sequence[str] = (), *, settings: Settings | None = None
) -> None:
    """Check a config against the tables of the target's engine and toolboxes; raise ConfigError for what is wrong."""
    from mimctl.launch.experiment import check_config, type_tables
    from mimctl.plugin.discover import import_roots

    settings = settings or settings_module.load()
    evaluated = show_config(plugin, config, cfg_options, settings=settings)
    place = _workplace(settings)
    check_config(evaluated, type_tables(place.working_plugins, import_roots(place.paths)))


def show_settings(*, settings: Settings | None = None) -> Settings:
    """Return all settings of mimctl, each with its origin."""
    return settings or settings_module.load()


def prepare_install(
    names: Sequence[str], options: InstallOptions | None = None, *, settings: Settings | None = None
) -> InstallPlan:
    """Return what `install` would change, with the decision on every candidate; changes and downloads nothing.

    Raises NoCompatibleBuildError where no build fits, UsageError where no index is named, and what detection raises.
    """
    from mimctl.installer.backend import choose_backend
    from mimctl.installer.prepare import prepare_install as prepare
    from mimctl.zoo.weights import transfer_settings

    settings = settings or settings_module.load()
    facts = env(settings=settings)
    return prepare(
        names,
        env=facts,
        client=_client(settings),
        backend=choose_backend(facts, settings.installer, offline=settings.offline),
        torch_index=settings.torch_index,
        options=options,
        transfer=transfer_settings(settings),
    )


def install(
    names: Sequence[str] | str,
    options: InstallOptions | None = None,
    *,
    plan: InstallPlan | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> InstallResult:
    """Install toolboxes into the target environment and return what changed; torch that is there stays as it is.

    `plan` is what `prepare_install` returned, made anew where not given. On any failure the environment is as before.
    """
    from mimctl.installer.apply import apply
    from mimctl.installer.backend import choose_backend

    settings = settings or settings_module.load()
    wanted = [names] if isinstance(names, str) else names
    plan = plan or prepare_install(wanted, options, settings=settings)
    backend = choose_backend(plan.environment, settings.installer, offline=settings.offline)
    note = watch.note if watch else None
    return apply(plan, client=_client(settings), backend=backend, step=note, note=note)


def prepare_uninstall(names: Sequence[str], *, settings: Settings | None = None) -> UninstallPlan:
    """Return what `uninstall` would remove; changes nothing and needs no index."""
    from mimctl.installer.uninstall import plan_uninstall

    settings = settings or settings_module.load()
    toolboxes = {}
    if settings.index:
        import contextlib

        with contextlib.suppress(MimctlError):  # names of installed distributions are known without any index
            toolboxes = _client(settings).toolboxes()
    return plan_uninstall(names, env=env(settings=settings), toolboxes=toolboxes)


def uninstall(
    names: Sequence[str] | str,
    *,
    plan: UninstallPlan | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> UninstallResult:
    """Remove toolboxes from the target environment; torch is never removed."""
    from mimctl.installer.backend import choose_backend
    from mimctl.installer.uninstall import apply_uninstall

    settings = settings or settings_module.load()
    plan = plan or prepare_uninstall([names] if isinstance(names, str) else names, settings=settings)
    backend = choose_backend(plan.environment, settings.installer, offline=settings.offline)
    return apply_uninstall(plan, backend=backend, note=watch.note if watch else None)


def download(
    plugin: str,
    names: Sequence[str] | str,
    *,
    dest: Path | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> list[Downloaded]:
    """Fetch models of a toolbox's zoo: the weights, verified, and a flattened config beside them.

    `dest` is a folder (None: the cache). The toolbox need not be installed.
    """
    from mimctl.plugin.discover import OPENMMLAB_NAMES
    from mimctl.zoo.download import download_models

    settings = settings or settings_module.load()
    place = _workplace(settings)
    found = next((each for each in place.working_plugins if plugin in (each.name, *each.manifest.aliases)), None)
    return download_models(
        found.name if found else OPENMMLAB_NAMES.get(plugin, plugin),
        [names] if isinstance(names, str) else names,
        dest=dest,
        index=_client(settings),
        settings=settings,
        configs_dir=found.configs_dir if found else None,
        python=place.python,
        progress=watch.progress if watch else None,
        note=watch.note if watch else None,
    )


def build_index(
    wheels: Sequence[Path],
    out: Path,
    *,
    others: Sequence[str] = (),
    zoo: Path | None = None,
    toolboxes: Path | None = None,
    matrix: Path | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> SiteReport:
    """Turn wheels and zoo sources into a static index, replacing the one at `out` in one step.

    `others` are addresses of indexes whose wheels, toolboxes and models it shall hold too.
    """
    from mimctl.site.build import SiteSources, build_site
    from mimctl.zoo.weights import transfer_settings

    settings = settings or settings_module.load()
    sources = SiteSources(wheels=wheels, others=others, zoo=zoo, toolboxes=toolboxes, matrix=matrix)
    return build_site(
        sources,
        out,
        transfer=transfer_settings(settings),
        cache_dir=settings.cache_dir,
        note=watch.note if watch else None,
        progress=watch.progress if watch else None,
    )


def yank_wheels(
    site: Path,
    filenames: Sequence[str] | str,
    *,
    reason: str = "",
    undo: bool = False,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> YankReport:
    """Withdraw wheels of the index in the folder `site`, or bring them back; installers take them only where pinned."""
    from mimctl.site.yank import yank as change

    settings = settings or settings_module.load()
    names = [filenames] if isinstance(filenames, str) else filenames
    note = watch.note if watch else None
    return change(site, names, reason=None if undo else reason, cache_dir=settings.cache_dir, note=note)


def expand_matrix(path: Path) -> Matrix:
    """Read a wheels-matrix.yaml and expand it into build and verify cells."""
    from mimctl.wheels.matrix import read_matrix

    return read_matrix(path)


def build_wheels(
    path: Path,
    names: Sequence[str] = (),
    *,
    out: Path,
    jobs: int = 1,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> BuildReport:
    """Build the named cells of a wheels-matrix.yaml (all that this machine can build where none is named)."""
    from mimctl.wheels.build import BuildPlace
    from mimctl.wheels.build import build_wheels as build

    settings = settings or settings_module.load()
    report = watch.note if watch else (lambda _: None)
    place = BuildPlace(
        out_dir=out, cache_dir=settings.cache_dir, torch_index=settings.torch_index, jobs=jobs, report=report
    )
    return build(expand_matrix(path), names, place=place)


def audit_wheels(
    paths: Sequence[Path], *, with_torch_abi: bool = True, watch: Watch | None = None, settings: Settings | None = None
) -> tuple[Audited, ...]:
    """Prove of finished wheels (files, or folders of them) what their names, requirements and build.json say.

    `with_torch_abi` also asks torch-abi-audit, which is kept in an environment in the cache. Raises
    MimctlError[wheel-audit] with all that is wrong.
    """
    from mimctl.wheels.audits import audit_wheels as audit

    settings = settings or settings_module.load()
    note = watch.note if watch else (lambda _: None)
    return audit(paths, with_torch_abi=with_torch_abi, cache_dir=settings.cache_dir, note=note)


def verify_wheels(
    path: Path,
    names: Sequence[str] = (),
    *,
    wheels: Path,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> tuple[Verified, ...]:
    """Install built wheels beside the torch and the Python of verify cells and run the projects' tests with them.

    `names` are verify cells, or builds; without any, all cells that this machine can verify without a large download.
    """
    from mimctl.wheels.verify import VerifyPlace
    from mimctl.wheels.verify import verify_wheels as verify

    settings = settings or settings_module.load()
    report = watch.note if watch else (lambda _: None)
    place = VerifyPlace(wheels=wheels, cache_dir=settings.cache_dir, torch_index=settings.torch_index, report=report)
    return verify(expand_matrix(path), names, place=place)


def _client(settings: Settings) -> IndexClient:
    from mimctl.index.client import IndexClient
    from mimctl.zoo.weights import transfer_settings

    return IndexClient(settings.index, transfer_settings(settings), settings.cache_dir, settings.offline)
