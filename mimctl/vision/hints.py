"""Names for types in signatures, as the toolboxes of the field have them: configs, samples, lists of results."""

from __future__ import annotations

from mimctl.config.values import ConfigDict
from mimctl.engine.structures import InstanceData, PixelData
from mimctl.vision.structures.det_data_sample import DetDataSample

ConfigType = ConfigDict | dict  # type: ignore[type-arg]
"""The config of one object."""
OptConfigType = ConfigType | None
MultiConfig = ConfigType | list[ConfigType]
"""One config or several."""
OptMultiConfig = MultiConfig | None

InstanceList = list[InstanceData]
"""The instances of each image."""
OptInstanceList = InstanceList | None
PixelList = list[PixelData]
"""A map of each image."""
OptPixelList = PixelList | None

SampleList = list[DetDataSample]
"""What is known of each image of a batch."""
OptSampleList = SampleList | None
