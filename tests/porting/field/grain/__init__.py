"""A small toolbox of the field: it sorts seeds by brightness. Written against MMEngine, MMCV and MMDetection."""

from .datasets import SeedDataset
from .hooks import CountSeeds
from .loops import GentleLoop
from .metrics import Purity
from .models import SeedSorter
from .transforms import BrightenSeed, PackSeed

__all__ = ["BrightenSeed", "CountSeeds", "GentleLoop", "PackSeed", "Purity", "SeedDataset", "SeedSorter"]
