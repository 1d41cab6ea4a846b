"""A training that stops by itself."""

from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop


@LOOPS.register_module()
class GentleLoop(EpochBasedTrainLoop):
    """Leave out every third batch."""

    def __init__(self, runner, dataloader, max_epochs: int, rest: int = 3, **options) -> None:
        super().__init__(runner, dataloader, max_epochs, **options)
        self.rest = rest
        self.skipped = 0

    def run_iter(self, idx: int, data_batch) -> None:
        if idx % self.rest == self.rest - 1:
            self.skipped += 1
            print("rested", flush=True)
        super().run_iter(idx, data_batch)
