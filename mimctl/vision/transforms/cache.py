"""What cached mosaic and mix-up keep of a sample to combine others with."""

from __future__ import annotations

from typing import Any

from mimctl.engine.data.transform import Sample
from mimctl.vision.transforms.instances import INSTANCE_KEYS


def taken(results: Sample, **changed: Any) -> Sample:
    """Return the part of a sample that is combined with others: image and objects, some of it replaced."""
    return {key: results[key] for key in ("img", *INSTANCE_KEYS) if key in results} | changed
