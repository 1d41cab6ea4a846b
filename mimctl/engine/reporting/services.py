"""Back ends that hand scalars and pictures to other programs: each an extra, imported when it is first written to."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mimctl.engine.registry import VISBACKENDS
from mimctl.engine.reporting.backends import BaseVisBackend
from mimctl.engine.reporting.events import plain
from mimctl.errors import ConfigError


@VISBACKENDS.register_module()
class TensorboardVisBackend(BaseVisBackend):
    """Write event files for TensorBoard: scalars, pictures, the config as text, the graph of a model."""

    def __init__(self, save_dir: str | None = None) -> None:
        super().__init__(save_dir)
        self._writer: Any = None

    @property
    def experiment(self) -> Any:
        """Return torch's SummaryWriter."""
        if self._writer is None:
            _needed("tensorboard")
            tensorboard = _needed("torch.utils.tensorboard", extra="tensorboard")
            self._writer = tensorboard.SummaryWriter(str(self.save_dir) if self.save_dir else None)
        return self._writer

    def add_config(self, config: Any, **kwargs: Any) -> None:
        self.experiment.add_text("config", _text(config))

    def add_graph(self, model: Any, data_batch: Any, **kwargs: Any) -> None:
        self.experiment.add_graph(model, data_batch, **kwargs)

    def add_image(self, name: str, image: np.ndarray[Any, Any], step: int = 0, **kwargs: Any) -> None:
        self.experiment.add_image(name, image, step, dataformats="HWC")

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        for name, value in _numbers(scalar_dict).items():
            self.experiment.add_scalar(name, value, step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


@VISBACKENDS.register_module()
class WandbVisBackend(BaseVisBackend):
    """Log to Weights & Biases; `init_kwargs=dict(mode="offline")` keeps everything in `save_dir`.

    `init_kwargs` go to `wandb.init`, `watch_kwargs` to `watch`. `define_metric_cfg` is metric → summary, or a list of
    arguments for `define_metric`. Scalars are logged with their `step` beside them, which may be chosen as the axis.
    """

    def __init__(
        self,
        save_dir: str | None = None,
        init_kwargs: Mapping[str, Any] | None = None,
        define_metric_cfg: Mapping[str, str] | Sequence[Mapping[str, Any]] | None = None,
        commit: bool | None = True,
        log_code_name: str | None = None,
        watch_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(save_dir)
        self._init_kwargs = dict(init_kwargs or {})
        self._metrics = define_metric_cfg or ()
        self._commit = commit
        self._log_code_name = log_code_name
        self._watch_kwargs = dict(watch_kwargs or {})
        self._run: Any = None

    @property
    def experiment(self) -> Any:
        """Return the module `wandb`, with a run begun."""
        wandb = _needed("wandb")
        if self._run is None:
            options: dict[str, Any] = {"dir": str(self.save_dir)} if self.save_dir else {}
            if self.save_dir is not None:
                self.save_dir.mkdir(parents=True, exist_ok=True)
            self._run = wandb.init(**{**options, **self._init_kwargs})
            for metric in self._metrics:
                given = {"name": metric, "summary": self._metrics[metric]} if isinstance(metric, str) else metric  # type: ignore[call-overload]
                self._run.define_metric(**given)
        return wandb

    def add_config(self, config: Any, **kwargs: Any) -> None:
        _ = self.experiment
        changes = self._init_kwargs.get("allow_val_change", False)
        self._run.config.update(_flat(config), allow_val_change=changes)
        if self._log_code_name is not None:
            self._run.log_code(name=self._log_code_name)

    def add_graph(self, model: Any, data_batch: Any, **kwargs: Any) -> None:
        _ = self.experiment
        self._run.watch(model, **self._watch_kwargs)

    def add_image(self, name: str, image: np.ndarray[Any, Any], step: int = 0, **kwargs: Any) -> None:
        picture = self.experiment.Image(image)
        self._run.log({name: picture, "step": step}, commit=self._commit)

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        _ = self.experiment
        self._run.log({**_numbers(scalar_dict), "step": step}, commit=self._commit)

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()
            self._run = None


@VISBACKENDS.register_module()
class MLflowVisBackend(BaseVisBackend):
    """Log to MLflow; without `tracking_uri` into an SQLite file and a folder of artifacts in `save_dir`.

    `exp_name`, `run_name`, `tags` and `params` describe the run. Of the config all keys are logged as parameters, or
    the top-level `tracked_config_keys`. When it closes, files of the run's folder that end in `artifact_suffix` are
    kept as artifacts, which lie at `artifact_location`.
    """

    def __init__(
        self,
        save_dir: str | None = None,
        exp_name: str | None = None,
        run_name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        tracking_uri: str | None = None,
        artifact_suffix: str | Sequence[str] = (".json", ".log", ".py", "yaml"),
        tracked_config_keys: Sequence[str] | None = None,
        artifact_location: str | None = None,
    ) -> None:
        super().__init__(save_dir)
        self._exp_name = exp_name or "Default"
        self._run_name = run_name
        self._tags = dict(tags or {})
        self._params = dict(params or {})
        self._tracking_uri = tracking_uri
        self._suffixes = (artifact_suffix,) if isinstance(artifact_suffix, str) else tuple(artifact_suffix)
        self._tracked = tracked_config_keys
        self._artifact_location = artifact_location
        self._mlflow: Any = None

    @property
    def experiment(self) -> Any:
        """Return the module `mlflow`, with a run begun."""
        if self._mlflow is None:
            mlflow = _needed("mlflow")
            folder = (self.save_dir or Path("mlflow")).resolve()
            folder.mkdir(parents=True, exist_ok=True)
            mlflow.set_tracking_uri(self._tracking_uri or f"sqlite:///{folder / 'mlflow.db'}")
            location = self._artifact_location
            if location is None and self._tracking_uri is None:
                location = (folder / "artifacts").as_uri()
            known = mlflow.get_experiment_by_name(self._exp_name)
            number = known.experiment_id if known else mlflow.create_experiment(self._exp_name, location)
            mlflow.start_run(experiment_id=number, run_name=self._run_name, tags=self._tags)
            mlflow.log_params(self._params)
            self._mlflow = mlflow
        return self._mlflow

    def add_config(self, config: Any, **kwargs: Any) -> None:
        tracked = config if self._tracked is None else {key: config[key] for key in self._tracked}
        # MLflow before 2.8 refuses longer values.
        self.experiment.log_params({key: str(value)[:500] for key, value in _flat(tracked).items()})
        self.experiment.log_text(_text(config), "config.py")

    def add_image(self, name: str, image: np.ndarray[Any, Any], step: int = 0, **kwargs: Any) -> None:
        self.experiment.log_image(image, artifact_file=f"{name}_{step}.png")

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        self.experiment.log_metrics(_numbers(scalar_dict), step=step)

    def close(self) -> None:
        if self._mlflow is None:
            return
        for path in self._files():
            self._mlflow.log_artifact(str(path), artifact_path="files")
        self._mlflow.end_run()
        self._mlflow = None

    def _files(self) -> list[Path]:
        if self.save_dir is None:
            return []
        found = [*self.save_dir.parent.glob("*"), *self.save_dir.glob("*")]
        return sorted(path for path in found if path.is_file() and path.name.endswith(self._suffixes))


def _needed(module: str, *, extra: str | None = None) -> Any:
    """Import what a back end writes with; ConfigError[missing-extra] where it is not installed."""
    name = extra or module
    try:
        return importlib.import_module(module)
    except ImportError as err:
        raise ConfigError(
            f"the config's `vis_backends` write to {name}, which cannot be imported here",
            code="missing-extra",
            causes=[str(err)],
            hints=[f"install it into the environment that trains: `pip install 'mimctl[{name}]'`"],
        ) from err


def _numbers(scalars: Mapping[str, Any]) -> dict[str, float]:
    values: dict[str, Any] = plain(dict(scalars))
    return {name: value for name, value in values.items() if isinstance(value, int | float)}


def _text(config: Any) -> str:
    return str(getattr(config, "pretty_text", config))


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of a config by dotted paths; lists without dicts are leaves."""
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, list | tuple) and any(isinstance(each, Mapping) for each in value):
        pairs = list(enumerate(value))
    else:
        return {prefix: value if isinstance(value, int | float | str | None) else str(value)}
    found: dict[str, Any] = {}
    for key, each in pairs:
        found.update(_flat(each, f"{prefix}.{key}" if prefix else str(key)))
    return found
