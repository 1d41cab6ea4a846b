"""User code of trainings that are killed: random data, models with dropout, records of all that they compute."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from mimctl.engine.data import BaseDataset, BaseTransform, SampleCache
from mimctl.engine.evaluation import BaseMetric
from mimctl.engine.hooks import Hook
from mimctl.engine.model import BaseModel
from mimctl.engine.optim import OptimWrapper, OptimWrapperDict
from mimctl.engine.registry import (
    DATASETS,
    HOOKS,
    METRICS,
    MODEL_WRAPPERS,
    MODELS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    TRANSFORMS,
)

FEATURES = 8


@TRANSFORMS.register_module()
class Noise(BaseTransform):
    """Add noise of every generator that augmentations draw from."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        noise = torch.rand(FEATURES) + random.random() + torch.from_numpy(np.random.rand(FEATURES)).float()
        results["inputs"] = torch.linspace(0, 1, FEATURES) * (1 + results["sample_idx"] % 5) + 0.3 * noise
        return results if random.random() < 0.9 else None  # a refused sample is replaced by a random one


@TRANSFORMS.register_module()
class MixWithEarlier(BaseTransform):
    """Add one of the samples that passed by before."""

    remembers_samples = True

    def __init__(self) -> None:
        self.memory = SampleCache(5, random_pop=True)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        self.memory.push({"inputs": results["inputs"]})
        other = self.memory[random.randint(0, len(self.memory) - 1)]
        return {**results, "inputs": 0.7 * results["inputs"] + 0.3 * other["inputs"]}


@TRANSFORMS.register_module()
class Target(BaseTransform):
    """Leave what the model takes."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        return {"inputs": results["inputs"], "target": results["inputs"].square().sum() / 20}


@DATASETS.register_module()
class RandomSet(BaseDataset):
    """As many samples as wanted, all made by the pipeline."""

    def __init__(self, size: int, **options: Any) -> None:
        self.size = size
        super().__init__(**options)

    def load_data_list(self) -> list[dict[str, Any]]:
        return [{"width": 2, "height": 1 + place % 3} for place in range(self.size)]


class Ballast(BaseModel):
    """A model whose checkpoints take a while to write: eight MiB that nothing trains."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("ballast", torch.arange(2**21, dtype=torch.float32))


@MODELS.register_module()
class Regressor(Ballast):
    """Linear layers with batch norm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(FEATURES, 16)
        self.norm = nn.BatchNorm1d(16)
        self.drop = nn.Dropout(0.3)
        self.last = nn.Linear(16, 1)

    def forward(self, inputs: Any, target: Any = None, data_samples: Any = None, mode: str = "tensor") -> Any:
        stacked = torch.stack(list(inputs))
        output = self.last(self.drop(torch.relu(self.norm(self.first(stacked))))).squeeze(1)
        if mode == "loss":
            return {"loss": ((output.float() - torch.stack(list(target))) ** 2).mean()}
        return [{"output": float(value)} for value in output]


@MODELS.register_module()
class Adversaries(Ballast):
    """Two networks that learn against each other, each with an optimizer of its own; noise is drawn in the step."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, FEATURES))
        self.critic = nn.Sequential(nn.Linear(FEATURES, 16), nn.LeakyReLU(0.2), nn.Dropout(0.2), nn.Linear(16, 1))

    def forward(self, inputs: Any, target: Any = None, data_samples: Any = None, mode: str = "tensor") -> Any:
        real = torch.stack(list(inputs))
        if mode == "predict":
            return [{"output": float(value)} for value in self.critic(real).squeeze(1)]
        made = self.generator(torch.randn(len(real), 4))
        against = nn.functional.softplus(-self.critic(real)) + nn.functional.softplus(self.critic(made.detach()))
        return {"loss_critic": against.mean(), "loss_generator": nn.functional.softplus(-self.critic(made)).mean()}

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        return step_both(self, self, data, optim_wrapper)


@MODEL_WRAPPERS.register_module()
class DistributedAdversaries(DistributedDataParallel):
    """Adversaries on several ranks."""

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        return step_both(self, self.module, data, optim_wrapper)

    def val_step(self, data: Any) -> Any:
        return self.module.val_step(data)


def step_both(model: nn.Module, bare: nn.Module, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
    """Step the critic at every call and the generator at about every other one."""
    losses: dict[str, Tensor] = model(**bare.data_preprocessor(data, True), mode="loss")
    optim_wrapper.zero_grad()
    critic, generator = optim_wrapper["critic"], optim_wrapper["generator"]
    total = losses["loss_critic"] + losses["loss_generator"]
    total.backward()
    critic.step()
    if random.random() < 0.5:
        generator.step()
    return {"loss": total.detach(), **{name: each.detach() for name, each in losses.items()}}


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class OneEach:
    """Give each of the two networks an optimizer."""

    def __init__(self, optim_wrapper_cfg: Any, paramwise_cfg: Any = None) -> None:
        pass

    def __call__(self, model: Any) -> OptimWrapperDict:
        bare = getattr(model, "module", model)
        return OptimWrapperDict(
            generator=OptimWrapper(torch.optim.AdamW(bare.generator.parameters(), lr=0.02)),
            critic=OptimWrapper(torch.optim.SGD(bare.critic.parameters(), lr=0.05, momentum=0.9)),
        )


@METRICS.register_module()
class MeanOutput(BaseMetric):
    """The mean of the outputs: it falls as it likes, which schedules and the best checkpoint follow."""

    default_prefix = "toy"

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.extend(sample["output"] for sample in data_samples)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {"accuracy": sum(results) / len(results)}


@HOOKS.register_module()
class Record(Hook):
    """Write what each iteration and validation computed, bit for bit, a line each, and take `pause_s` for each."""

    priority = 80  # before the checkpoint is saved: what it holds is on record

    def __init__(self, folder: str, pause_s: float = 0.0) -> None:
        self.folder = Path(folder)
        self.pause_s = pause_s

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        scaler = getattr(runner.optim_wrapper, "loss_scaler", None)
        self._write(
            runner,
            f"iteration {runner.iter}",
            {
                "losses": {name: float(value).hex() for name, value in outputs.items()},
                "lr": {name: [each.hex() for each in group] for name, group in runner.optim_wrapper.get_lr().items()},
                "scale": None if scaler is None else scaler.get_scale(),
                "batch": float(sum(each.double().sum() for each in data_batch["inputs"])).hex(),
            },
        )
        time.sleep(self.pause_s)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        self._write(runner, f"metrics {runner.iter}", {name: value.hex() for name, value in (metrics or {}).items()})

    def _write(self, runner: Any, place: str, values: dict[str, Any]) -> None:
        line = json.dumps({"at": place, **values}) + "\n"
        handle = os.open(self.folder / f"record-{runner.rank}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, line.encode())
        os.close(handle)


@HOOKS.register_module()
class TakePlainLoader(Hook):
    """Stand for a script that gives the Runner a DataLoader of its own."""

    def before_run(self, runner: Any) -> None:
        loop = runner.train_loop
        plain = DataLoader(loop.dataloader.dataset, batch_size=4, shuffle=True, collate_fn=collate)
        loop.dataloader = loop.feed.dataloader = plain


def collate(samples: list[dict[str, Tensor]]) -> dict[str, list[Tensor]]:
    """Return the batch as pseudo_collate would."""
    return {key: [each[key] for each in samples] for key in samples[0]}
