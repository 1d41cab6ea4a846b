"""The shelf that torch comes from where it joins a resolution, and what is said where it cannot come."""

from __future__ import annotations

from mimctl.errors import MimctlError, NetworkError
from mimctl.resolution.model import Catalog, Project
from mimctl.selection.torch_build import TorchBuild


def torch_project(catalog: Catalog, build: TorchBuild) -> Project:
    """Return what the catalog has of torch. Raises NetworkError where the place that should have it does not answer."""
    try:
        return catalog.project("torch")
    except NetworkError as err:
        raise NetworkError(
            f"cannot reach an index for `torch=={build.full_version}`",
            code=err.code,
            causes=err.causes,
            hints=[
                "name a mirror: `mimctl settings set torch_index ADDRESS`",
                "or install torch yourself, then repeat the command",
            ],
        ) from err


def torch_unavailable(build: TorchBuild, project: Project, interpreter: str) -> MimctlError:
    """Return the error for a build that no place has for this interpreter."""
    return MimctlError(
        f"no `torch=={build.full_version}` for this interpreter",
        code="torch-unavailable",
        causes=[f"no such wheel for {interpreter}", *(f"looked in {each}" for each in project.looked_in)],
        hints=["choose another: `--torch cpu`, `--torch 2.12.0`, …", "or install torch yourself, then repeat"],
    )
