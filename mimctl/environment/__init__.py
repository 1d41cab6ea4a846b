"""Facts about the target environment, each with its source; imports nothing heavy, and torch never."""

from mimctl.environment.detect import detect
from mimctl.environment.model import Environment, Fact, Torch

__all__ = ["Environment", "Fact", "Torch", "detect"]
