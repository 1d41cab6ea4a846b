"""What happens beside the training."""

import mmengine.dist as dist
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class CountSeeds(Hook):
    """Count the seeds that were trained on."""

    priority = "LOW"

    def __init__(self) -> None:
        self.seeds = 0

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self.seeds += len(data_batch["inputs"]) * dist.get_world_size()

    def after_train(self, runner) -> None:
        if dist.is_main_process():
            runner.logger.info("seeds: %d", self.seeds)
            print(f"seeds: {self.seeds}", flush=True)
