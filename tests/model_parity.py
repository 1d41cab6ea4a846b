"""Compare a model with the reference values of its OpenMMLab twin: same weights by rule, same input, same numbers.

A reference is a pair `<name>.json` (shapes, config, gradient norms) and `<name>.npz` (input and outputs).
"""

from __future__ import annotations

import json
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mimctl.config import Config
from mimctl.engine.structures import BaseDataElement


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What is known of one model: `facts` (the JSON) and `arrays` (tag/name → array)."""

    facts: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]]

    @property
    def input(self) -> Tensor:
        """Return the input batch, made by rule and equal to the stored one."""
        made = torch.randn(self.facts["input_shape"], generator=torch.Generator().manual_seed(0))
        assert torch.equal(made, torch.from_numpy(self.arrays["input"])), "the rule for the input does not hold here"
        return made

    def tagged(self, tag: str) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of one output by name."""
        return {key.removeprefix(f"{tag}/"): value for key, value in self.arrays.items() if key.startswith(f"{tag}/")}


def load_reference(folder: Path, name: str) -> Reference:
    """Read the reference of a model, such as `mmdet/rtmdet_s`."""
    path = folder / "models" / name
    facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert facts["errors"] == [] or facts["errors"] == {}, facts["errors"]
    with np.load(path.with_suffix(".npz")) as stored:
        return Reference(facts=facts, arrays={key: stored[key] for key in stored.files})


def upstream_config(folder: Path, package: str, name: str, scratch: Path) -> Config:
    """Return an OpenMMLab config: the file itself where MIMCTL_TEST_CONFIGS is set, else its loaded value.

    MIMCTL_TEST_CONFIGS is a folder that holds `<package>/.mim/configs`, or the package's wheel.
    """
    place = os.environ.get("MIMCTL_TEST_CONFIGS")
    if place is None:
        with tarfile.open(folder / "configs" / f"{package}.tar.gz") as archive:
            member = archive.extractfile(f"{name}.json")
            assert member is not None
            return Config(_decoded(json.load(member)))
    root = Path(place)
    if root.is_file():
        with zipfile.ZipFile(root) as wheel:
            wheel.extractall(scratch, [each for each in wheel.namelist() if each.startswith(f"{package}/.mim/configs")])
        root = scratch
    return Config.fromfile(root / package / ".mim" / "configs" / name)


def fill_by_rule(model: nn.Module) -> None:
    """Fill every parameter and running statistic from a generator seeded by its name (shared ones by their first)."""
    tensors = [*model.named_parameters(), *((key, each) for key, each in model.named_buffers() if ".running_" in key)]
    with torch.no_grad():
        for key, tensor in tensors:
            tensor.copy_(_value(key, tensor))


def assert_same_state(model: nn.Module, reference: Reference) -> None:
    """Fail unless the state dict has the reference's keys, in its order, with its shapes and types."""
    found = {
        key: [list(each.shape), str(each.dtype).removeprefix("torch.")] for key, each in model.state_dict().items()
    }
    assert found == reference.facts["state_dict"]
    assert list(found) == list(reference.facts["state_dict"])
    assert sum(each.numel() for each in model.parameters()) == reference.facts["num_params"]


def assert_close(reference: Reference, tag: str, output: Any, *, relative: Mapping[str, float]) -> None:
    """Fail unless each tensor differs by at most `relative` of the largest magnitude in its reference.

    `relative` maps patterns of names to tolerances; the first that matches counts.
    """
    expected, found = reference.tagged(tag), dict(flattened(output))
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        value = found[name].detach().numpy()
        assert value.shape == array.shape, name
        difference = float(np.abs(value.astype(np.float64) - array).max(initial=0))
        limit = _tolerance(relative, name) * float(np.abs(array).max(initial=0))
        assert difference <= limit, f"{tag}/{name}: differs by {difference:.3g}, allowed {limit:.3g}"


def assert_same_gradients(model: nn.Module, reference: Reference, *, relative: Mapping[str, float]) -> None:
    """Fail unless the norm of each parameter's gradient agrees within `relative` (by pattern of its name)."""
    found = {key: float(each.grad.norm()) for key, each in model.named_parameters() if each.grad is not None}
    expected: Mapping[str, float] = reference.facts["grad_norms"]
    assert found.keys() == expected.keys()
    for name, norm in expected.items():
        assert abs(found[name] - norm) <= _tolerance(relative, name) * norm + 1e-7, f"{name}: {found[name]} for {norm}"


def assert_same_detections(reference: Reference, prefix: str, found: Any, *, score: float, pixels: float) -> None:
    """Fail unless every reference detection has its own partner: label equal, score and box within the tolerances.

    Detections whose scores differ by rounding alone may change places, so they are matched, not compared in order.
    """
    expected = {key.removeprefix(f"{prefix}."): value for key, value in reference.tagged("predict").items()}
    labels, scores = found.labels.numpy(), found.scores.numpy()
    assert len(labels) == len(expected["labels"])
    assert np.all(np.diff(scores) <= 0), "detections must come best first"
    np.testing.assert_allclose(scores, expected["scores"], atol=score, rtol=0)
    free = np.ones(len(labels), dtype=bool)
    for label, value, box in zip(expected["labels"], expected["scores"], expected["bboxes"], strict=True):
        near = np.abs(found.bboxes.numpy() - box).max(axis=1) <= pixels
        partners = (free & near & (labels == label) & (np.abs(scores - value) <= score)).nonzero()[0]
        assert len(partners), f"no partner for label {label}, score {value}, box {box}"
        free[partners[0]] = False


def flattened(output: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of nested outputs by its dotted name, `0.pred_instances.scores`."""
    if isinstance(output, Tensor):
        yield name, output
        return
    if isinstance(output, BaseDataElement):
        items: Any = output.items()
    elif isinstance(output, Mapping):
        items = output.items()
    else:
        items = ((str(number), each) for number, each in enumerate(output))
    for key, each in items:
        yield from flattened(each, f"{name}.{key}" if name else key)


def _value(key: str, tensor: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    if key.endswith(".running_var"):
        return 0.5 + torch.rand(tensor.shape, generator=generator)
    noise = torch.randn(tensor.shape, generator=generator)
    if key.endswith(".running_mean"):
        return 0.1 * noise
    if tensor.ndim <= 1:
        return 1 + 0.1 * noise if key.endswith("weight") else 0.05 * noise
    return noise / tensor[0].numel() ** 0.5


def _tolerance(relative: Mapping[str, float], name: str) -> float:
    return next(value for pattern, value in relative.items() if re.search(pattern, name))


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$tuple"}:
        return tuple(_decoded(each) for each in value["$tuple"])
    return {int(key[5:]) if key.startswith("$int:") else key: _decoded(each) for key, each in value.items()}
