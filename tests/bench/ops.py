"""The operators of mimctl-ops against their pure-PyTorch twins, torchvision and mmcv, in one process on the same data.

python tests/bench/ops.py                     # the installed mimctl_ops against mimctl_ops.reference
python tests/bench/ops.py --peer PYTHON       # the same in the interpreter of an environment with torchvision or mmcv
python tests/bench/ops.py --peer PYTHON --wheel WHEEL roi_align nms

Each round calls every library once in turn, so that a slow moment hits all alike; a figure is the median over the
rounds. `cpu ms` is the CPU time of one thread, ratios are `theirs / ours`; scaling compares elapsed time of one and two
threads. Results are compared too: a library that returns something else is marked `differs`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

OURS = "mimctl_ops"
REFERENCE = "reference"
Call = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One operator on one input; `make` returns its arguments in the order that `mmcv.ops` has them in."""

    name: str
    op: str
    make: Callable[[], Sequence[Any]]
    wrt: tuple[int, ...] = ()
    """Positions of the arguments whose gradients are timed as a second figure."""
    scales: bool = False
    """Whether two threads are compared with one."""
    targets: tuple[tuple[str, str, float], ...] = ()
    """(library, "forward" or "backward", least ratio) that the operator is held to."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Times of one direction of one case."""

    case: str
    direction: str
    ms: dict[str, float]
    ratio: dict[str, float]
    differs: list[str]
    misses: list[str]


# ---------------------------------------------------------------------------------------------------------------------
# Inputs


def _generator() -> Any:
    import torch

    return torch.Generator().manual_seed(0)


def boxes(count: int, side: float) -> Sequence[Any]:
    """Return `count` boxes of 10 to 60 pixels in a picture of `side` pixels, distinct scores."""
    import torch

    generator = _generator()
    corner = torch.rand(count, 2, generator=generator) * side
    size = 10 + 50 * torch.rand(count, 2, generator=generator)
    scores = torch.randperm(count, generator=generator).float() / count
    return torch.cat([corner, corner + size], dim=1), scores


def nms_inputs(count: int, side: float) -> Sequence[Any]:
    """Return the arguments of nms."""
    return *boxes(count, side), 0.5


def batched_nms_inputs(count: int, num_classes: int) -> Sequence[Any]:
    """Return the arguments of batched_nms."""
    import torch

    labels = torch.randint(0, num_classes, (count,), generator=_generator())
    return *boxes(count, 1000), labels, {"type": "nms", "iou_threshold": 0.5}


def soft_nms_inputs(count: int, method: str) -> Sequence[Any]:
    """Return the arguments of soft_nms."""
    return *boxes(count, 600), 0.3, 0.5, 1e-3, method


def roi_align_inputs(num_rois: int, size: tuple[int, int], mode: str = "avg") -> Sequence[Any]:
    """Return the arguments of roi_align: 256 channels at 1/4 of the picture, bins of 7 x 7, 2 x 2 samples each."""
    import torch

    height, width = size
    generator = _generator()
    features = torch.randn(1, 256, height, width, generator=generator)
    corner = torch.rand(num_rois, 2, generator=generator) * torch.tensor([width * 4 - 120.0, height * 4 - 120.0])
    extent = 20 + 100 * torch.rand(num_rois, 2, generator=generator)
    rois = torch.cat([torch.zeros(num_rois, 1), corner, corner + extent], dim=1)
    return features, rois, (7, 7), 0.25, 2, mode, True


def rotated_boxes(count: int, side: float, seed: int = 0) -> Any:
    """Return (count, 5) boxes of 10 to 60 pixels, `x, y, width, height, angle` in radians."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    center = torch.rand(count, 2, generator=generator) * side
    extent = 10 + 50 * torch.rand(count, 2, generator=generator)
    angle = (2 * torch.rand(count, 1, generator=generator) - 1) * math.pi
    return torch.cat([center, extent, angle], dim=1)


def box_iou_rotated_inputs(count: int, side: float) -> Sequence[Any]:
    """Return the arguments of box_iou_rotated."""
    return rotated_boxes(count, side, 1), rotated_boxes(count, side, 2)


def nms_rotated_inputs(count: int, side: float) -> Sequence[Any]:
    """Return the arguments of nms_rotated."""
    return rotated_boxes(count, side), boxes(count, side)[1], 0.3


def roi_align_rotated_inputs(num_rois: int, size: tuple[int, int]) -> Sequence[Any]:
    """Return the arguments of roi_align_rotated, like those of roi_align."""
    import torch

    height, width = size
    features = torch.randn(1, 256, height, width, generator=_generator())
    rois = torch.cat([torch.zeros(num_rois, 1), rotated_boxes(num_rois, min(height, width) * 4)], dim=1)
    return features, rois, (7, 7), 0.25, 2, True, False


def deform_conv2d_inputs(side: int, *, masked: bool) -> Sequence[Any]:
    """Return the arguments of (modulated_)deform_conv2d: 128 channels, 3 x 3, offsets of about a pixel."""
    import torch

    generator = _generator()
    input = torch.randn(1, 128, side, side, generator=generator)
    offset = torch.randn(1, 18, side, side, generator=generator)
    mask = torch.rand(1, 9, side, side, generator=generator)
    weight = torch.randn(128, 128, 3, 3, generator=generator) / 34
    bias = torch.randn(128, generator=generator)
    return (input, offset, mask, weight, bias, 1, 1) if masked else (input, offset, weight, 1, 1)


def ms_deform_attn_inputs(num_queries: int | None) -> Sequence[Any]:
    """Return the arguments of ms_deform_attn for a picture of 800 x 1066; None: a query for each key (an encoder)."""
    import torch

    generator = _generator()
    shapes = torch.tensor([(100, 134), (50, 67), (25, 34), (13, 17)])
    starts = torch.cat([shapes.new_zeros(1), shapes.prod(dim=1).cumsum(dim=0)[:-1]])
    num_keys = int(shapes.prod(dim=1).sum())
    value = torch.randn(1, num_keys, 8, 32, generator=generator)
    # Samples lie around the place of their query, as trained models have them; an encoder asks for every pixel.
    if num_queries is None:
        center = torch.cat([pixel_centers(height, width) for height, width in shapes.tolist()])
    else:
        center = torch.rand(num_queries, 2, generator=generator)
    num_queries = len(center)
    spread = torch.randn(1, num_queries, 8, 4, 4, 2, generator=generator)
    locations = center.view(1, num_queries, 1, 1, 1, 2) + 3 * spread / shapes.flip(1)[:, None, :]
    weights = torch.rand(1, num_queries, 8, 16, generator=generator).softmax(dim=-1).view(1, num_queries, 8, 4, 4)
    return value, shapes, starts, locations, weights, 64


def pixel_centers(height: int, width: int) -> Any:
    """Return (height * width, 2) places `x, y` between 0 and 1."""
    import torch

    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([(x + 0.5) / width, (y + 0.5) / height], dim=-1).view(-1, 2)


def sigmoid_focal_loss_inputs(count: int) -> Sequence[Any]:
    """Return the arguments of sigmoid_focal_loss: 80 classes, one sample in a hundred has one."""
    import torch

    generator = _generator()
    logits = torch.randn(count, 80, generator=generator) - 4
    target = torch.where(torch.rand(count, generator=generator) < 0.01, 3, 80)
    return logits, target, 2.0, 0.25, None, "mean"


BOTH = ("torchvision", "mmcv")
CASES = [
    Case(
        name="nms, 1k boxes",
        op="nms",
        make=partial(nms_inputs, 1000, 1000),
        targets=tuple((peer, "forward", 5.0) for peer in BOTH),
    ),
    Case(
        name="nms, 10k boxes, sparse",
        op="nms",
        make=partial(nms_inputs, 10000, 8000),
        targets=tuple((peer, "forward", 5.0) for peer in BOTH),
    ),
    Case(
        name="nms, 10k boxes, crowded",
        op="nms",
        make=partial(nms_inputs, 10000, 1000),
        targets=tuple((peer, "forward", 5.0) for peer in BOTH),
    ),
    Case(name="batched_nms, 10k boxes, 80 classes", op="batched_nms", make=partial(batched_nms_inputs, 9999, 80)),
    Case(name="soft_nms linear, 1k boxes", op="soft_nms", make=partial(soft_nms_inputs, 1000, "linear")),
    Case(name="soft_nms gaussian, 1k boxes", op="soft_nms", make=partial(soft_nms_inputs, 1000, "gaussian")),
    Case(
        name="roi_align, 512 RoIs, 200x272",
        op="roi_align",
        make=partial(roi_align_inputs, 512, (200, 272)),
        wrt=(0,),
        scales=True,
        targets=tuple((p, d, r) for p in BOTH for d, r in (("forward", 1.5), ("backward", 1.0))),
    ),
    Case(
        name="roi_align, 256 RoIs, 50x68",
        op="roi_align",
        make=partial(roi_align_inputs, 256, (50, 68)),
        wrt=(0,),
        targets=tuple((p, d, r) for p in BOTH for d, r in (("forward", 1.5), ("backward", 1.0))),
    ),
    Case(
        name="roi_align max, 256 RoIs, 50x68",
        op="roi_align",
        make=partial(roi_align_inputs, 256, (50, 68), "max"),
        wrt=(0,),
    ),
    Case(
        name="roi_align_rotated, 256 RoIs, 100x136",
        op="roi_align_rotated",
        make=partial(roi_align_rotated_inputs, 256, (100, 136)),
        wrt=(0,),
    ),
    Case(
        name="box_iou_rotated, 400x400, crowded",
        op="box_iou_rotated",
        make=partial(box_iou_rotated_inputs, 400, 60),
        targets=tuple((peer, "forward", 1.0) for peer in BOTH),
    ),
    Case(
        name="box_iou_rotated, 400x400, sparse",
        op="box_iou_rotated",
        make=partial(box_iou_rotated_inputs, 400, 1000),
        targets=tuple((peer, "forward", 1.0) for peer in BOTH),
    ),
    Case(name="nms_rotated, 500 boxes", op="nms_rotated", make=partial(nms_rotated_inputs, 500, 400)),
    Case(
        name="deform_conv2d, 128 ch 64x64",
        op="deform_conv2d",
        make=partial(deform_conv2d_inputs, 64, masked=False),
        wrt=(0, 1, 2),
        scales=True,
        targets=tuple((p, d, 1.0) for p in BOTH for d in ("forward", "backward")),
    ),
    Case(
        name="modulated_deform_conv2d, 128 ch 64x64",
        op="modulated_deform_conv2d",
        make=partial(deform_conv2d_inputs, 64, masked=True),
        wrt=(0, 1, 2, 3, 4),
        scales=True,
        targets=tuple((p, d, 1.0) for p in BOTH for d in ("forward", "backward")),
    ),
    Case(
        name="ms_deform_attn, encoder, 17821 queries",
        op="ms_deform_attn",
        make=partial(ms_deform_attn_inputs, None),
        wrt=(0, 3, 4),
        scales=True,
    ),
    Case(
        name="ms_deform_attn, decoder, 300 queries",
        op="ms_deform_attn",
        make=partial(ms_deform_attn_inputs, 300),
        wrt=(0, 3, 4),
    ),
    Case(
        name="sigmoid_focal_loss, 20k x 80",
        op="sigmoid_focal_loss",
        make=partial(sigmoid_focal_loss_inputs, 20000),
        wrt=(0,),
    ),
]


def tiny_inputs() -> dict[str, Sequence[Any]]:
    """Return arguments with next to nothing to compute, for the time that a call itself takes."""
    import torch

    one_box, one_score = torch.tensor([[0.0, 0, 1, 1]]), torch.ones(1)
    one_rotated = torch.tensor([[1.0, 1, 1, 1, 0]])
    pixel, kernel = torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    no_offset, level, start = torch.zeros(1, 2, 1, 1), torch.tensor([[1, 1]]), torch.tensor([0])
    place, weight = torch.full((1, 1, 1, 1, 1, 2), 0.5), torch.ones(1, 1, 1, 1, 1)
    return {
        "nms": (one_box, one_score, 0.5),
        "batched_nms": (one_box, one_score, torch.zeros(1, dtype=torch.int64), {"type": "nms", "iou_threshold": 0.5}),
        "soft_nms": (one_box, one_score),
        "roi_align": (pixel, torch.tensor([[0.0, 0, 0, 1, 1]]), (1, 1), 1.0, 1),
        "roi_align_rotated": (pixel, torch.tensor([[0.0, 1, 1, 1, 1, 0]]), (1, 1), 1.0, 1),
        "box_iou_rotated": (one_rotated, one_rotated),
        "nms_rotated": (one_rotated, one_score, 0.5),
        "deform_conv2d": (pixel, no_offset, kernel),
        "modulated_deform_conv2d": (pixel, no_offset, pixel, kernel),
        "ms_deform_attn": (pixel, level, start, place, weight, 64),
        "sigmoid_focal_loss": (torch.ones(1, 1), torch.zeros(1, dtype=torch.int64)),
    }


# ---------------------------------------------------------------------------------------------------------------------
# Libraries: each a table from the operator's name to a callable with the argument order of `mmcv.ops`


def libraries() -> dict[str, dict[str, Call]]:
    """Return the operators of every library that can be imported here, ours first (peers alone where ours is not)."""
    found = {}
    for name, load in ((OURS, _ours), (REFERENCE, _references), ("torchvision", _torchvision), ("mmcv", _mmcv)):
        try:
            found[name] = load()
        except ImportError as err:
            print(f"without {name}: {err}", file=sys.stderr)
    return found


def _ours() -> dict[str, Call]:
    import mimctl_ops

    return {op: getattr(mimctl_ops, op) for op in OPS if hasattr(mimctl_ops, op)}


def _references() -> dict[str, Call]:
    from mimctl_ops import reference

    return {op: getattr(reference, op) for op in OPS if hasattr(reference, op)}


def _torchvision() -> dict[str, Call]:
    import torch
    from torchvision import ops

    def box_iou_rotated(first: Any, second: Any) -> Any:
        to_degrees = torch.tensor([1, 1, 1, 1, -180 / math.pi])  # torchvision's angles turn the other way
        return ops.box_iou(first * to_degrees, second * to_degrees, fmt="cxcywhr")

    return {
        "nms": lambda boxes, scores, iou_threshold: ops.nms(boxes, scores, iou_threshold),
        "batched_nms": lambda boxes, scores, labels, cfg: ops.batched_nms(boxes, scores, labels, cfg["iou_threshold"]),
        "roi_align": lambda input, rois, size, scale, ratio, mode="avg", aligned=True: (
            ops.roi_align(input, rois, size, scale, ratio, aligned) if mode == "avg" else None
        ),
        "box_iou_rotated": box_iou_rotated,
        "deform_conv2d": lambda input, offset, weight, stride=1, padding=0: ops.deform_conv2d(
            input, offset, weight, None, stride, padding
        ),
        "modulated_deform_conv2d": lambda input, offset, mask, weight, bias=None, stride=1, padding=0: (
            ops.deform_conv2d(input, offset, weight, bias, stride, padding, mask=mask)
        ),
    }


def _mmcv() -> dict[str, Call]:
    from mmcv import ops
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    found = {op: getattr(ops, op) for op in OPS if hasattr(ops, op)}
    del found["sigmoid_focal_loss"]  # it has a CUDA kernel only
    return found | {
        "ms_deform_attn": lambda value, shapes, starts, locations, weights, step: multi_scale_deformable_attn_pytorch(
            value, shapes, locations, weights
        )
    }


OPS = sorted({case.op for case in CASES})


# ---------------------------------------------------------------------------------------------------------------------
# Timing


def interleaved(calls: dict[str, Call], clock: Callable[[], float], *, rounds: int, seconds: float) -> dict[str, float]:
    """Return the median seconds per call of each entry: every round runs each of them once for 5 ms or more.

    Ends early, after three rounds or more, when `seconds` are spent.
    """
    repeats = {}
    for name, call in calls.items():
        call()  # warm up
        start = time.perf_counter()
        call()
        repeats[name] = max(1, math.ceil(0.005 / max(time.perf_counter() - start, 1e-7)))
    samples: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    for index in range(rounds):
        if index >= 3 and time.perf_counter() > end:
            break
        for name, call in calls.items():
            start = clock()
            for _ in range(repeats[name]):
                call()
            samples[name].append((clock() - start) / repeats[name])
    return {name: statistics.median(values) for name, values in samples.items()}


def forward_calls(case: Case, tables: dict[str, dict[str, Call]], inputs: Sequence[Any]) -> dict[str, Call]:
    """Return a call without arguments for each library that has the case."""
    found = {name: partial(table[case.op], *inputs) for name, table in tables.items() if case.op in table}
    return {name: call for name, call in found.items() if call() is not None}


def backward_call(case: Case, forward: Call) -> Call:
    """Return a call that computes the gradients of one recorded forward call."""
    import torch

    inputs = list(forward.args)  # type: ignore[attr-defined]
    for position in case.wrt:
        inputs[position] = inputs[position].detach().requires_grad_()
    output = forward.func(*inputs)  # type: ignore[attr-defined]
    grad = torch.ones_like(output)
    return partial(torch.autograd.grad, output, [inputs[position] for position in case.wrt], grad, retain_graph=True)


def time_case(
    case: Case, tables: dict[str, dict[str, Call]], options: argparse.Namespace
) -> tuple[list[Figure], dict[str, float]]:
    """Return the figures of each direction of a case, and its speed-ups by a second thread."""
    import torch

    forward = forward_calls(case, tables, case.make())
    directions = {"forward": forward}
    if case.wrt:
        directions["backward"] = {name: backward_call(case, call) for name, call in forward.items()}
    figures, speedups = [], {}
    for direction, calls in directions.items():
        taken = interleaved(calls, time.process_time, rounds=options.rounds, seconds=options.seconds)
        figures.append(_figure(case, direction, taken, _different(calls)))
        if case.scales and OURS in calls and len(os.sched_getaffinity(0)) > 1:
            by_threads = {str(count): partial(_with_threads, count, calls[OURS]) for count in (1, 2)}
            elapsed = interleaved(by_threads, time.perf_counter, rounds=options.rounds, seconds=options.seconds)
            speedups[direction] = elapsed["1"] / elapsed["2"]
            torch.set_num_threads(1)
    return figures, speedups


def _with_threads(count: int, call: Call) -> None:
    import torch

    torch.set_num_threads(count)
    call()


def _figure(case: Case, direction: str, taken: dict[str, float], differs: list[str]) -> Figure:
    ratio = {name: seconds / taken[OURS] for name, seconds in taken.items() if OURS in taken and name != OURS}
    misses = [
        f"{ratio[peer]:.2f}x {peer}, {least}x wanted"
        for peer, wanted, least in case.targets
        if wanted == direction and ratio.get(peer, least) < least
    ]
    ms = {name: 1000 * seconds for name, seconds in taken.items()}
    return Figure(case=case.name, direction=direction, ms=ms, ratio=ratio, differs=differs, misses=misses)


def _different(calls: dict[str, Call]) -> list[str]:
    """Return the libraries whose result is not that of the first."""
    results = {name: _essence(call()) for name, call in calls.items()}
    first = next(iter(results.values()))
    return [name for name, result in results.items() if not _alike(result, first)]


def _essence(result: Any) -> tuple[Any, ...]:
    """Return the tensors to compare: of boxes with scores and rows only the rows, as torchvision has no others."""
    import torch

    tensors = result if isinstance(result, (tuple, list)) else (result,)
    return tensors[-1:] if tensors[-1].dtype == torch.int64 else tuple(tensors)


def _alike(first: tuple[Any, ...], second: tuple[Any, ...]) -> bool:
    def close(a: Any, b: Any) -> bool:
        return bool((a.double() - b.double()).abs().max() <= 1e-4 * b.double().abs().max() + 1e-7)

    return all(a.shape == b.shape and (not a.numel() or close(a, b)) for a, b in zip(first, second, strict=True))


def is_chosen(case: Case, options: argparse.Namespace) -> bool:
    """Return whether the words on the command line, if any, ask for the case."""
    return not options.cases or any(word in case.name for word in options.cases)


def time_overhead(tables: dict[str, dict[str, Call]], options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return µs per call of each operator and library on inputs with next to nothing to compute."""
    chosen = {case.op for case in CASES if is_chosen(case, options)}
    found = {}
    for op, inputs in tiny_inputs().items():
        calls = {name: partial(table[op], *inputs) for name, table in tables.items() if op in table}
        if op in chosen:
            taken = interleaved(calls, time.process_time, rounds=4 * options.rounds + 1, seconds=options.seconds)
            found[op] = {name: 1e6 * seconds for name, seconds in taken.items()}
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Printing


def print_figures(figures: list[Figure], names: list[str]) -> None:
    """Print CPU time and ratio, a line per case and direction."""
    print(f"\n{'one thread, CPU ms (theirs / ours)':50}" + "".join(f"{name:>20}" for name in names))
    for figure in figures:
        cells = [_cell(figure, name) for name in names]
        print(f"{figure.case + ', ' + figure.direction:50}" + "".join(f"{cell:>20}" for cell in cells))
        for miss in figure.misses:
            print(f"    misses: {miss}")
        if figure.differs:
            print(f"    differs from {next(iter(figure.ms))}: {', '.join(figure.differs)}")


def _cell(figure: Figure, name: str) -> str:
    if name not in figure.ms:
        return "-"
    ratio = f" ({figure.ratio[name]:.1f}x)" if name in figure.ratio else ""
    return f"{figure.ms[name]:.2f}{ratio}"


def print_overhead(overhead: dict[str, dict[str, float]], names: list[str]) -> None:
    """Print µs per call, a line per operator."""
    print(f"\n{'tiny input, µs a call (at most 30 wanted)':50}" + "".join(f"{name:>20}" for name in names))
    for op, taken in overhead.items():
        cells = [f"{taken[name]:.1f}" if name in taken else "-" for name in names]
        print(f"{op:50}" + "".join(f"{cell:>20}" for cell in cells))


def print_scaling(scaling: dict[str, dict[str, float]]) -> None:
    """Print how much faster two threads are, a line per case."""
    print("\ntwo threads against one, elapsed time (at least 1.6x wanted; needs two idle cores)")
    for case, speedups in scaling.items():
        print(f"{case:50}" + "   ".join(f"{direction} {ratio:.2f}x" for direction, ratio in speedups.items()))


# ---------------------------------------------------------------------------------------------------------------------
# Running


def run_in_peer(options: argparse.Namespace, arguments: list[str]) -> int:
    """Run this script in the interpreter of the peer environment, with our package on its path, and return its code."""
    with tempfile.TemporaryDirectory() as folder:
        if options.wheel:
            pip = [options.peer, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", folder]
            subprocess.run([*pip, str(options.wheel)], check=True)
        else:
            import mimctl_ops

            package = Path(mimctl_ops.__file__).parent
            (Path(folder) / package.name).symlink_to(package, target_is_directory=True)
        environment = os.environ | {"PYTHONPATH": folder}
        return subprocess.run([options.peer, __file__, *arguments], env=environment, check=False).returncode


def describe() -> dict[str, Any]:
    """Return what the figures were taken with."""
    import torch

    found: dict[str, Any] = {"python": platform.python_version(), "torch": torch.__version__}
    for name in (OURS, "torchvision", "mmcv"):
        if module := sys.modules.get(name):
            found[name] = getattr(module, "__version__", None)
    if OURS in sys.modules:
        found[OURS] = asdict(sys.modules[OURS].status()) | {"library": None}
    return found


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", nargs="*", help="words: only cases whose name contains one of them")
    parser.add_argument("--peer", help="interpreter of an environment that has torchvision or mmcv")
    parser.add_argument("--wheel", type=Path, help="wheel of mimctl-ops to measure in the peer environment")
    parser.add_argument("--without", action="append", default=[], help="a library to leave out (may be repeated)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds at most (default 9)")
    parser.add_argument("--seconds", type=float, default=20, help="time for a case, beyond three rounds (default 20)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Measure and print."""
    options = parse(arguments)
    if options.peer:
        rest = [
            *options.cases,
            *(f"--without={name}" for name in options.without),
            "--rounds",
            str(options.rounds),
            "--seconds",
            str(options.seconds),
        ]
        return run_in_peer(options, rest + (["--json", str(options.json.resolve())] if options.json else []))
    import torch

    torch.set_num_threads(1)
    tables = {name: table for name, table in libraries().items() if name not in options.without}
    figures: list[Figure] = []
    scaling: dict[str, dict[str, float]] = {}
    for case in CASES:
        if is_chosen(case, options) and any(case.op in table for table in tables.values()):
            print(f"{case.name} …", file=sys.stderr, flush=True)
            more, speedups = time_case(case, tables, options)
            figures += more
            scaling |= {case.name: speedups} if speedups else {}
    overhead = time_overhead(tables, options)
    names = list(tables)
    print(json.dumps(describe()))
    print_figures(figures, names)
    print_scaling(scaling)
    print_overhead(overhead, names)
    if options.json:
        document = {
            "environment": describe(),
            "figures": [asdict(figure) for figure in figures],
            "scaling": scaling,
            "overhead_us": overhead,
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
