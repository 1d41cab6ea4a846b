"""A model that sees each sample several ways and merges what it predicts (test-time augmentation)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from mimctl.engine.model.base_model import BaseModel
from mimctl.engine.registry import MODELS


@MODELS.register_module()
class BaseTTAModel(BaseModel):
    """Run `module` on every view of a batch; a subclass merges the predictions (`merge_preds`).

    Batches are those of TestTimeAug and `pseudo_collate`: under each key a list over the views, in it a list over the
    samples. `module` is a model or its config; `data_preprocessor` takes the place of that in its config.
    """

    def __init__(
        self,
        module: nn.Module | Mapping[str, Any],
        data_preprocessor: Mapping[str, Any] | nn.Module | None = None,
    ) -> None:
        super().__init__(nn.Identity())
        if isinstance(module, nn.Module):
            self.module: Any = module
        else:
            given = {} if data_preprocessor is None else {"data_preprocessor": data_preprocessor}
            self.module = MODELS.build({**module, **given})
        if not hasattr(self.module, "test_step"):
            raise TypeError(f"a {type(self.module).__name__} has no `test_step`, which each view goes through")

    @abstractmethod
    def merge_preds(self, data_samples_list: Sequence[Sequence[Any]]) -> list[Any]:
        """Return one prediction a sample from the predictions of all its views."""

    def test_step(self, data: Mapping[str, Sequence[Any]] | Sequence[Sequence[Any]]) -> list[Any]:
        """Return one prediction for each sample of a batch."""
        views = [self.module.test_step(view) for view in _views(data)]
        return self.merge_preds(list(zip(*views, strict=True)))

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        """Raise NotImplementedError: there is only `test_step`."""
        raise NotImplementedError(f"{type(self).__name__} has several views of a sample: call `test_step`")


def _views(data: Any) -> list[Any]:
    if isinstance(data, Mapping):
        num_views = len(next(iter(data.values())))
        return [{key: value[view] for key, value in data.items()} for view in range(num_views)]
    if isinstance(data, list | tuple):
        return [[part[view] for part in data] for view in range(len(data[0]))]
    raise TypeError(f"a batch of several views is a dict or a list, not a {type(data).__name__}")
