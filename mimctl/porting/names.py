"""Old name → new name: pure look-ups in what the engine, vision and the installed toolboxes offer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from mimctl.names import RENAMED
from mimctl.porting.model import Left, Target

ENGINE, VISION = "mimctl.engine", "mimctl.vision"

TOOLBOXES = {
    "mmdet": "det",
    "mmcls": "cls",
    "mmpretrain": "cls",
    "mmseg": "seg",
    "mmpose": "pose",
    "mmocr": "ocr",
    "mmaction": "action",
    "mmedit": "edit",
    "mmagic": "edit",
    "mmdet3d": "det3d",
    "mmrotate": "rotated",
    "mmtrack": "track",
    "mmyolo": "yolo",
    "mmdeploy": "deploy",
}
"""Import packages of OpenMMLab's toolboxes → our toolboxes."""

OLD_PACKAGES = frozenset({"mmengine", "mmcv", *TOOLBOXES})

HOMES: Mapping[str, tuple[str, ...]] = {
    "mmengine": (ENGINE, VISION),
    "mmcv": (VISION, ENGINE),
}
"""Old package → the modules that its names may live in now; names move between its modules from release to release."""

SHARED: Mapping[str, bool] = {
    "mmdet.structures": True,
    "mmdet.datasets.transforms": False,
    "mmdet.models": False,
    "mmdet.utils": False,
}
"""Modules of a toolbox whose names are vision's now, and whether its functions are too or classes alone."""

_INNER = {
    "mmengine": (
        "analysis config dataset device dist evaluator fileio hooks hub infer logging model optim registry runner "
        "structures testing utils visualization"
    ),
    "mmcv": "cnn image ops transforms utils video visualization",
    **dict.fromkeys(TOOLBOXES, "apis datasets engine evaluation models registry structures utils visualization"),
}

MODULES = frozenset(f"{package}.{part}" for package, parts in _INNER.items() for part in parts.split())
"""Old names that are modules."""

HINTS = frozenset({"ConfigType", "MultiConfig", "OptConfigType", "OptMultiConfig", "InstanceList", "OptInstanceList"})
"""Names for types in signatures that mean the same in every toolbox; they are vision's."""

GONE: Mapping[str, str] = {
    "mmengine._strategy": "there are no strategies: the Runner wraps the model for several processes itself",
    "mmengine.analysis": "nothing here counts operations; fvcore does",
    "mmengine.hub": "models of the zoo come by `mimctl download`, in Python by `mimctl.download`",
    "mmengine.infer": "`mimctl.engine.infer` has `init_model` and `inference_model`",
    "mmengine.testing": "`torch.testing` compares tensors",
    "mmcv.image": "images are arrays of OpenCV here: `cv2` does this",
    "mmcv.runner": "this is mmcv 1.x: write it as MMEngine has it first",
    "mmcv.parallel": "this is mmcv 1.x: write it as MMEngine has it first",
    "mmcv.video": "`cv2.VideoCapture` reads videos",
    "mmcv.visualization": "`mimctl.engine.Visualizer` draws",
}
"""Old modules without a counterpart → what to do instead."""

INSTEAD: Mapping[str, str] = {
    "ApexOptimWrapper": "`mimctl.engine.AmpOptimWrapper` is torch's own mixed precision",
    "FileClient": "`mimctl.engine.get` and `put` take `backend_args`",
    "FlexibleRunner": "`mimctl.engine.Runner` is the only one",
    "MMFullyShardedDataParallel": "models are not sharded yet",
    "VideoReader": "`cv2.VideoCapture` reads videos",
    "_ParamScheduler": "`mimctl.engine.ParamScheduler` is the base of schedules",
    "__version__": "`mimctl.__version__` is ours",
    "bgr2gray": "`cv2.cvtColor` does this",
    "bgr2rgb": "`cv2.cvtColor` does this",
    "collect_env": "`mimctl env` tells it",
    "get_file_backend": "`mimctl.engine.get`, `put` and `exists` take `backend_args`",
    "imcrop": "an array can be sliced",
    "imflip": "`cv2.flip` does this",
    "imfrombytes": "`cv2.imdecode` does this",
    "imread": "`cv2.imread` does this",
    "imrescale": "`cv2.resize` does this",
    "imresize": "`cv2.resize` does this",
    "imrotate": "`cv2.warpAffine` does this",
    "imwrite": "`cv2.imwrite` does this",
    "read_base": "only configs need it, and they are read without its import",
    "rgb2bgr": "`cv2.cvtColor` does this",
}
"""Old names without a counterpart, wherever they were imported from → what to do instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What there is now: engine and vision, and the installed toolboxes.

    `modules` maps a module to its public names, `toolboxes` an old package (`mmdet`) to the modules of the installed
    toolbox that takes its place.
    """

    modules: Mapping[str, Collection[str]]
    toolboxes: Mapping[str, tuple[str, ...]]

    def find(self, old: str) -> Target | None:
        """Return where the old name (`mmengine.hooks.Hook`) lives now, None for none and for a module."""
        if self.is_module(old):
            return None
        if old in RENAMED:
            return Target(*RENAMED[old].rsplit(".", 1))
        module, _, name = old.rpartition(".")
        if module == "mmcv.runner" and name.upper().endswith(("HOOK", "HOOKS")):
            return None
        held = [each for each in self.places(module, name) if name in self.modules.get(each, ())]
        return Target(held[0], name) if held else None

    def places(self, module: str, name: str) -> Iterator[str]:
        """Yield the modules that a name of an old module may live in, the likeliest first."""
        top, *words = module.split(".")
        if top not in TOOLBOXES:
            yield from HOMES.get(top, ())
            return
        if name.isupper():  # registries, wherever a toolbox keeps them
            yield ENGINE
        if name in HINTS:
            yield VISION
        # A function of one toolbox may be called like that of another and do something else: classes and `apis` alone.
        own = [each for each in self.toolboxes.get(top, ()) if name[:1].isupper() or each.endswith(".apis")]
        yield from sorted(own, key=lambda each: (-len({*words} & {*each.split(".")}), each.count("."), each))
        shared = next((each for each in SHARED if f"{module}.".startswith(f"{each}.")), None)
        if shared is not None and (name[:1].isupper() or SHARED[shared]):
            yield VISION

    def home(self, module: str) -> str | None:
        """Return the module that stands for a whole old module, None for none."""
        top, _, inner = module.partition(".")
        if top in HOMES:
            return HOMES[top][0]
        if inner == "registry":
            return ENGINE
        own = self.toolboxes.get(top, ())
        if not inner:
            return own[0].partition(".")[0] if own else None
        return next((each for each in own if each.partition(".")[2] == inner), None)

    def is_module(self, old: str) -> bool:
        """Whether an old dotted name is a module rather than something in one."""
        return old in MODULES or old in OLD_PACKAGES

    def missing(self, old: str, line: int) -> Left:
        """Say why an old name has no counterpart, and what comes near it."""
        top = old.partition(".")[0]
        name = old.rpartition(".")[2]
        instead = INSTEAD.get(name) if top in HOMES else None
        inner = old
        while inner and instead is None:
            instead = GONE.get(inner)
            inner = inner.rpartition(".")[0]
        if instead is not None:
            return Left(line=line, name=old, reason=instead)
        places = list(dict.fromkeys(self.places(old.rpartition(".")[0], name)))
        held = {each: place for place in reversed(places) for each in self.modules.get(place, ())}
        likes = get_close_matches(name, sorted(held), n=2, cutoff=0.75) if not name.islower() else []
        near = tuple(f"{held[each]}.{each}" for each in likes)
        if top in TOOLBOXES and top not in self.toolboxes:
            reason = f"it belongs to toolbox `{TOOLBOXES[top]}`, which is not installed"
        else:
            packages = dict.fromkeys(each if each in (ENGINE, VISION) else each.partition(".")[0] for each in places)
            where = " and ".join(f"`{each}`" for each in packages) or f"toolbox `{TOOLBOXES.get(top, top)}`"
            reason = f"there is no `{name}` in {where}"
        return Left(line=line, name=old, reason=reason, near=near)
