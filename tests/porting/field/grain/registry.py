"""The toolbox's own registries, children of the engine's."""

from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import MODELS as ROOT_MODELS, Registry

MODELS = Registry("model", parent=ROOT_MODELS, scope="grain", locations=["grain.models"])
DATASETS = Registry("dataset", parent=ROOT_DATASETS, scope="grain", locations=["grain.datasets"])
