"""Recipes: what `--data`, `--epochs`, `--batch`, `--imgsz` and `--lr` change in a config, as overrides by dotted path.

Each function is pure: it reads a Config and returns overrides; `Config.merge_from_dict` applies them. Where several are
used, apply each before computing the next.
"""

from mimctl.config.recipe.dataset import DatasetFacts, apply_dataset
from mimctl.config.recipe.epochs import set_epochs
from mimctl.config.recipe.image_size import set_image_size
from mimctl.config.recipe.rate import limit_warmup, set_batch, set_lr

__all__ = ["DatasetFacts", "apply_dataset", "limit_warmup", "set_batch", "set_epochs", "set_image_size", "set_lr"]
