"""What is wanted of models that are downloaded, and what is told of them afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimctl.errors import ExitCode, MimctlError
from mimctl.zoo.config_file import Written
from mimctl.zoo.weights import Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is wanted of each model besides its weights and its config in one file."""

    bases: bool = False
    """The config as its authors keep it, with the files that it is built on; what lies beside the weights names it."""
    log: bool = False
    """The log of the training, where it was published."""
    from_cache: bool = False
    """Nothing that does not lie in the cache already; goes with settings that are offline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """A model that lies on disk. `config` says where its settings are, `checkpoint` where its weights are."""

    name: str
    config: Path
    checkpoint: Path
    sha256: str
    check: Check
    """What stands behind the weights: their whole SHA-256, the digits in their name ("32-bit"), nothing."""
    config_source: str
    """"mimctl" (a config of ours) or the distribution it was taken from, as `mmdet==3.3.0`."""
    config_state: Written
    """"new", "same" (nothing to do) or "kept" (the file there was edited, or is not ours)."""
    needs_trust: bool
    """Whether the config imports code of others, so that using it needs `--trust-config`."""
    is_new: bool
    """Whether anything was written."""
    log: Path | None = None
    """The log of the training, where it was wanted and is published."""
    bases: tuple[Path, ...] = ()
    """The files that the config is built on, its own copy among them, where they were wanted."""


class ModelsFailedError(MimctlError):
    """Some of several models could not be fetched; `done` are the others."""

    default_code = "models-failed"

    def __init__(self, done: Sequence[Downloaded], failures: Mapping[str, MimctlError]) -> None:
        codes = {each.exit_code for each in failures.values()}
        super().__init__(
            f"{len(failures)} of {len(failures) + len(done)} models could not be fetched",
            causes=[
                f"{name}: {each.message}" + (f" ({each.causes[0]})" if each.causes else "")
                for name, each in failures.items()
            ],
            hints=[f"the others are there; run this again for these: {' '.join(failures)}"],
            exit_code=codes.pop() if len(codes) == 1 else ExitCode.FAILED,
            details={"failed": {name: each.to_dict() for name, each in failures.items()}},
        )
        self.done = tuple(done)
