"""RunSpec: all that a child process needs to know of one run, as JSON, written by one half and read by the other."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from mimctl.errors import MimctlError
from mimctl.files import write_text

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LauncherFacts:
    """How the run's processes are started; what one rank finds in its environment is not repeated here."""

    kind: Literal["none", "pytorch", "slurm"] = "none"
    device: Literal["cpu", "cuda"] = "cpu"
    num_procs: int = 1
    """Ranks on one node."""
    num_nodes: int = 1
    node_rank: int = 0
    """Which of the nodes of `pytorch` this machine is."""
    rdzv_endpoint: str | None = None
    """Where the nodes of `pytorch` meet, `host:port`."""
    max_restarts: int = 0
    """How often all ranks are started again after one has failed."""
    is_elastic: bool = False
    """Under Slurm: the engine's agent starts the ranks of a node, not srun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """One run of one verb of one plugin.

    `package` is the plugin's import package; `entry` is `module:function` from its manifest's `[verbs]`, called as
    `function(spec) -> dict` (plain JSON, written to `result_path`). Paths are absolute strings.
    """

    plugin: str
    package: str
    action: str
    entry: str
    mimctl_version: str
    config: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    """Dotted path → value, applied after the file and its bases (`--cfg-options` and what verbs derive)."""
    work_dir: str | None = None
    checkpoint: str | None = None
    inputs: tuple[str, ...] = ()
    """What to infer on: image files or folders."""
    resume: str | None = None
    """None, "auto" (the newest valid checkpoint of the work dir) or a path."""
    seed: int | None = None
    amp: bool = False
    auto_scale_lr: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    """What only this verb knows (out, score_thr, …)."""
    weights: dict[str, str] = field(default_factory=dict)
    """URL named in the config → local file, fetched before the launch."""
    launcher: LauncherFacts = field(default_factory=LauncherFacts)
    events_path: str | None = None
    """Where the child appends progress events (JSON lines); without it the child prints plain lines."""
    result_path: str | None = None
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """Return the spec as indented JSON text."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    def write(self, path: Path) -> None:
        """Write the spec to `path`, whole or not at all."""
        write_text(path, self.to_json())

    @classmethod
    def from_json(cls, text: str) -> RunSpec:
        """Read a spec; raise MimctlError[spec-version] where another mimctl wrote it in another schema."""
        data = json.loads(text)
        found = data.get("schema_version") if isinstance(data, dict) else None
        if found != SCHEMA_VERSION:
            raise _other_schema(found, data.get("mimctl_version") if isinstance(data, dict) else None)
        known = {item.name for item in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        values["launcher"] = LauncherFacts(**values.get("launcher", {}))
        values["inputs"] = tuple(values.get("inputs", ()))
        return cls(**values)

    @classmethod
    def read(cls, path: Path) -> RunSpec:
        """Read a spec from a file."""
        return cls.from_json(path.read_text(encoding="utf-8"))


def _other_schema(found: object, writer: object) -> MimctlError:
    """Return the error for a spec of another generation, with what to type where the older of both halves is."""
    from mimctl import __version__

    is_engine_old = isinstance(found, int) and found > SCHEMA_VERSION
    older = "the engine of this environment" if is_engine_old else "the command line"
    return MimctlError(
        f"this run was written in schema {found}, this engine reads schema {SCHEMA_VERSION}",
        code="spec-version",
        causes=[
            f"written by mimctl {writer or '?'}, read by the engine of mimctl {__version__}",
            f"{older} is the older one",
        ],
        hints=[
            "bring the engine and its toolboxes: `mimctl upgrade --all`"
            if is_engine_old
            else "bring the command line: `pipx upgrade mimctl`, `uv tool upgrade mimctl` or `pip install -U mimctl`"
        ],
    )
