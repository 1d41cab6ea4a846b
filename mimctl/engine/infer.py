"""Inference without a Runner: build a model from a config and a checkpoint, and run pictures through it."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mimctl.config import Config
from mimctl.config.recipe.loading import file_loader, num_channels
from mimctl.engine.checkpoints.checkpoint import load_state_dict, read_checkpoint
from mimctl.engine.data import Compose, pseudo_collate
from mimctl.engine.lookup.scopes import use_scope
from mimctl.engine.ranks.parallel import wrap_model
from mimctl.engine.registry import DATASETS, MODELS
from mimctl.errors import ConfigError, MimctlError, nearest

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
LOADERS = frozenset({"LoadImageFromFile", "LoadImageFromNDArray"})

Image = str | Path | npt.NDArray[np.uint8]


def init_model(
    config: Config | str | Path | None,
    checkpoint: str | Path | None = None,
    *,
    device: str = "cpu",
    overrides: dict[str, Any] | None = None,
) -> torch.nn.Module:
    """Return the model of a config with a checkpoint's weights, in eval mode.

    Without a config the text in the checkpoint's `meta` is read, as data. The model carries `cfg` and `dataset_meta`
    (class names). Raises ConfigError[model-config-missing] where neither is there.
    """
    loaded = read_checkpoint(checkpoint) if checkpoint is not None else None
    cfg = _config_of(config, loaded, checkpoint)
    if overrides:
        cfg.merge_from_dict(overrides)
    model_cfg = cfg["model"].copy()
    if loaded is not None:
        _drop_pretrained(model_cfg)
    with use_scope(cfg.get("default_scope")):
        preprocessing = {} if cfg.get("data_preprocessor") is None else {"data_preprocessor": cfg["data_preprocessor"]}
        model: Any = MODELS.build({**preprocessing, **model_cfg})
        meta: dict[str, Any] = {}
        if loaded is not None:
            load_state_dict(model, loaded["state_dict"])
            known = loaded.get("meta", {})
            # before MMEngine the class names stood in the meta itself
            meta = dict(known.get("dataset_meta") or {key: known[key] for key in ("CLASSES",) if key in known})
        elif hasattr(model, "init_weights"):
            model.init_weights()
    model.cfg = cfg
    model.dataset_meta = {key.lower(): value for key, value in meta.items()} or _dataset_meta(cfg)
    return wrap_model(model, torch.device(device)).eval()


def inference_model(model: Any, images: Image | Sequence[Image], *, batch_size: int = 1) -> Any:
    """Return the prediction for one image, or a list of them for a list of images.

    An image is a path or an (H, W, 3) uint8 array in BGR order, as OpenCV reads it.
    """
    single = isinstance(images, str | Path | np.ndarray)
    listed: Sequence[Image] = [images] if single else images  # type: ignore[list-item, assignment]
    results = list(iter_predictions(model, listed, batch_size=batch_size))
    return results[0] if single else results


def iter_predictions(model: Any, images: Iterable[Image], *, batch_size: int = 1) -> Iterator[Any]:
    """Yield the prediction of each image in order, `batch_size` images at a time."""
    from_file, from_array = inference_pipelines(model.cfg)
    batch: list[Any] = []
    for number, image in enumerate(images):
        if isinstance(image, np.ndarray):
            sample = from_array(_loaded(image, number))
        else:
            sample = from_file({"img_path": str(image), "img_id": number})
        batch.append(sample)
        if len(batch) == batch_size:
            yield from _predict(model, batch)
            batch = []
    if batch:
        yield from _predict(model, batch)


def inference_pipelines(cfg: Config) -> tuple[Any, Any]:
    """Return the test pipeline for files, and for arrays (without its loader); both without loading labels."""
    dataset = cfg["test_dataloader"]["dataset"]
    while "pipeline" not in dataset and "dataset" in dataset:
        dataset = dataset["dataset"]
    steps = [step for step in dataset["pipeline"] if _name(step) != "LoadAnnotations"]
    bare = [step for step in steps if _name(step) not in LOADERS]
    with use_scope(cfg.get("default_scope")):
        first = _as_trained(cfg, dataset)
        if len(bare) == len(steps):  # the training data were arrays
            steps = [file_loader(cfg), *first, *steps]
        return Compose(steps), Compose([*first, *bare])


def _as_trained(cfg: Config, dataset: dict[str, Any]) -> list[Callable[[dict[str, Any]], dict[str, Any]]]:
    """Return the steps that turn BGR images into what the model was trained on: one channel, or the dataset's RGB."""
    if num_channels(cfg) == 1:
        return [_to_grey]
    kind = dataset.get("type")
    found = DATASETS.get(kind) if isinstance(kind, str) else None
    return [_to_rgb] if getattr(found, "gives_rgb", False) else []


def _to_rgb(results: dict[str, Any]) -> dict[str, Any]:
    results["img"] = np.ascontiguousarray(results["img"][..., ::-1])
    return results


def _to_grey(results: dict[str, Any]) -> dict[str, Any]:
    """Turn a BGR image into the one channel of a model for grey pictures."""
    import cv2

    if results["img"].ndim == 3:
        results["img"] = cv2.cvtColor(results["img"], cv2.COLOR_BGR2GRAY)
    return results


def list_images(inputs: Sequence[str]) -> list[Path]:
    """Return the image files that paths, folders and glob patterns name, in order, each once.

    Raises MimctlError[data-not-found] with the nearest names for a path that is nothing of these.
    """
    found: dict[Path, None] = {}
    for text in inputs:
        path = Path(text).expanduser()
        if path.is_dir():
            matches = sorted(each for each in path.iterdir() if each.suffix.lower() in IMAGE_SUFFIXES)
        elif path.is_file():
            matches = [path]
        else:
            matches = sorted(Path(each) for each in glob.glob(text, recursive=True))  # noqa: PTH207 (absolute patterns)
        if not matches:
            raise _not_found(path)
        found.update(dict.fromkeys(matches))
    return list(found)


def _not_found(path: Path) -> MimctlError:
    if path.is_dir():
        return MimctlError(f"no image in `{path}`", code="data-not-found", causes=["its files have other endings"])
    beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    near = nearest(path.name, beside)
    return MimctlError(
        f"no image `{path}`",
        code="data-not-found",
        hints=[f"did you mean `{path.parent / near[0]}`?"] if near else [],
    )


def _config_of(config: Any, loaded: dict[str, Any] | None, checkpoint: Any) -> Config:
    if isinstance(config, Config):
        return config
    if config is not None:
        return Config.fromfile(config)
    text = (loaded or {}).get("meta", {}).get("cfg")
    if not text:
        raise ConfigError(
            f"`{checkpoint}` does not say which config it belongs to",
            code="model-config-missing",
            causes=["its meta holds no config, and none was given"],
            hints=["name it: `--config FILE`"],
        )
    return Config.fromstring(text, ".py", origin=f"{checkpoint} (meta)")


def _drop_pretrained(node: Any) -> None:
    """Remove `init_cfg` of type Pretrained anywhere below: the checkpoint brings every weight itself."""
    if isinstance(node, dict):
        init_cfg = node.get("init_cfg")
        if isinstance(init_cfg, dict) and init_cfg.get("type") == "Pretrained":
            node["init_cfg"] = None
        for value in node.values():
            _drop_pretrained(value)
    elif isinstance(node, list | tuple):
        for value in node:
            _drop_pretrained(value)


def _dataset_meta(cfg: Config) -> dict[str, Any]:
    for loader in ("test_dataloader", "val_dataloader", "train_dataloader"):
        dataset = (cfg.get(loader) or {}).get("dataset") or {}
        while "dataset" in dataset:
            dataset = dataset["dataset"]
        if dataset.get("metainfo"):
            return dict(dataset["metainfo"])
    return {}


def _loaded(image: npt.NDArray[np.uint8], number: int) -> dict[str, Any]:
    shape = image.shape[:2]
    return {"img": image, "img_path": None, "img_id": number, "img_shape": shape, "ori_shape": shape}


def _name(step: Any) -> str:
    kind = step.get("type")
    return kind.rpartition(".")[2] if isinstance(kind, str) else getattr(kind, "__name__", "")


def _predict(model: Any, batch: list[Any]) -> Iterator[Any]:
    with torch.inference_mode():
        yield from model.test_step(pseudo_collate(batch))
