"""A small trained model of a toolbox, and pictures to run it on."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write_model(folder: Path) -> tuple[Path, list[Path]]:
    """Write a LeNet with its config and five grey pictures, two of them of one name; return checkpoint and pictures."""
    import cv2
    import numpy as np
    import torch

    import mimctl_cls
    from mimctl.config import Config
    from mimctl.engine.infer import init_model

    config = Config.fromfile(Path(mimctl_cls.__file__).parent / "configs/lenet/lenet5_mnist.py")
    torch.manual_seed(3)
    model: Any = init_model(config)
    checkpoint = folder / "lenet.pth"
    torch.save({"state_dict": model.state_dict(), "meta": {"cfg": config.pretty_text}}, checkpoint)
    dice = np.random.default_rng(5)
    pictures = [folder / "photos" / name for name in ("a.png", "b.png", "c.png", "more/a.png", "more/d.png")]
    for path in pictures:
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), dice.integers(0, 255, (28, 28, 3), np.uint8))
    return checkpoint, pictures
