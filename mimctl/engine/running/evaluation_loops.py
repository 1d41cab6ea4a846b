"""The loops that measure: validation and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from mimctl.engine.evaluation import Evaluator
from mimctl.engine.random import preserved_rng
from mimctl.engine.ranks import distributed
from mimctl.engine.ranks.parallel import require_equal_batches
from mimctl.engine.ranks.split_tensors import has_split_parameters
from mimctl.engine.registry import LOOPS
from mimctl.engine.running.base_loop import BaseLoop
from mimctl.engine.running.feed import stop_workers

if TYPE_CHECKING:
    from mimctl.engine.runner import Runner


class EvaluationLoop(BaseLoop):
    """One pass over the data with the model in eval mode, its predictions given to the evaluator."""

    mode: str
    is_running: bool = False
    """Whether a pass has begun and has not come to its end, by an error too."""

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | Mapping[str, Any],
        evaluator: Evaluator | Mapping[str, Any] | Sequence[Mapping[str, Any]],
        fp16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader)
        self.evaluator = evaluator if isinstance(evaluator, Evaluator) else Evaluator(evaluator)
        metainfo = getattr(self.dataloader.dataset, "metainfo", None)
        if metainfo is not None:
            self.evaluator.dataset_meta = metainfo
        self.fp16 = fp16
        self._iterator: Any = None

    def stop(self) -> None:
        """End the processes that load data."""
        stop_workers(self.dataloader, self._iterator)
        self._iterator = None

    def try_out(self, batches: int) -> None:
        """Predict some batches and evaluate them, so that a mistake shows early; no hook is called, nothing is kept."""
        with preserved_rng():
            self.runner.model.eval()
            self._iterator = iter(self.dataloader)
            for data_batch in islice(self._iterator, batches):
                self._predict(data_batch)
            self.stop()
            self.evaluator.evaluate(len(self.dataloader.dataset))  # type: ignore[arg-type]

    def run(self) -> dict[str, float]:
        """Return the metrics. What a training draws at random afterwards does not depend on this pass."""
        call, mode = self.runner.call_hook, self.mode
        self.is_running = True
        if has_split_parameters(self.runner.model):
            require_equal_batches(len(self.dataloader), mode)
        with preserved_rng():
            call(f"before_{mode}")
            call(f"before_{mode}_epoch")
            # Without SyncBN each rank has statistics of its own; what is measured is what a checkpoint would hold.
            distributed.share(self.runner.bare_model.buffers())
            self.runner.model.eval()
            self._iterator = iter(self.dataloader)
            for idx, data_batch in enumerate(self._iterator):
                self.run_iter(idx, data_batch)
            self._iterator = None
            metrics: dict[str, float] = self.evaluator.evaluate(len(self.dataloader.dataset))  # type: ignore[arg-type]
            call(f"after_{mode}_epoch", metrics=metrics)
            call(f"after_{mode}")
        self.is_running = False
        return metrics

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Predict one batch."""
        self.runner.call_hook(f"before_{self.mode}_iter", batch_idx=idx, data_batch=data_batch)
        outputs = self._predict(data_batch)
        self.runner.call_hook(f"after_{self.mode}_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)

    @torch.no_grad()
    def _predict(self, data_batch: Any) -> Any:
        model: Any = self.runner.model
        step = model.val_step if self.mode == "val" else model.test_step
        with torch.autocast(self.runner.device.type, enabled=self.fp16):
            outputs = step(data_batch)
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        return outputs


@LOOPS.register_module()
class ValLoop(EvaluationLoop):
    """Validate."""

    mode = "val"


@LOOPS.register_module()
class TestLoop(EvaluationLoop):
    """Test."""

    mode = "test"
