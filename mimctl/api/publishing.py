"""What maintainers publish: indexes and op wheels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.site.build import SiteReport
    from mimctl.site.yank import YankReport
    from mimctl.wheels.audits import Audited
    from mimctl.wheels.build import BuildReport
    from mimctl.wheels.matrix import Matrix
    from mimctl.wheels.verify import Verified


def build_index(
    wheels: Sequence[Path],
    out: Path,
    *,
    others: Sequence[str] = (),
    zoo: Path | None = None,
    toolboxes: Path | None = None,
    matrix: Path | None = None,
    verified: Sequence[Path] = (),
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> SiteReport:
    """Turn wheels and zoo sources into a static index, replacing the one at `out` in one step.

    `others` are addresses of indexes whose wheels, toolboxes and models it shall hold too; `verified` are files with
    what `mimctl wheels verify --json` printed, or folders of them.
    """
    from mimctl.site.build import SiteSources, build_site
    from mimctl.zoo.way import transfer_settings

    settings = settings or settings_module.load()
    sources = SiteSources(wheels=wheels, others=others, zoo=zoo, toolboxes=toolboxes, matrix=matrix, verified=verified)
    return build_site(
        sources,
        out,
        transfer=transfer_settings(settings),
        cache_dir=settings.cache_dir,
        note=watch.note if watch else None,
        progress=watch.progress if watch else None,
    )


def yank_wheels(
    site: Path,
    filenames: Sequence[str] | str,
    *,
    reason: str = "",
    undo: bool = False,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> YankReport:
    """Withdraw wheels of the index in the folder `site`, or bring them back; installers take them only where pinned."""
    from mimctl.site.yank import yank as change

    settings = settings or settings_module.load()
    names = [filenames] if isinstance(filenames, str) else filenames
    note = watch.note if watch else None
    return change(site, names, reason=None if undo else reason, cache_dir=settings.cache_dir, note=note)


def expand_matrix(path: Path) -> Matrix:
    """Read a wheels-matrix.yaml and expand it into build and verify cells."""
    from mimctl.wheels.matrix import read_matrix

    return read_matrix(path)


def build_wheels(
    path: Path,
    names: Sequence[str] = (),
    *,
    out: Path,
    jobs: int = 1,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> BuildReport:
    """Build the named cells of a wheels-matrix.yaml (all that this machine can build where none is named)."""
    from mimctl.wheels.build import BuildPlace
    from mimctl.wheels.build import build_wheels as build

    settings = settings or settings_module.load()
    report = watch.note if watch else (lambda _: None)
    place = BuildPlace(
        out_dir=out, cache_dir=settings.cache_dir, torch_index=settings.torch_index, jobs=jobs, report=report
    )
    return build(expand_matrix(path), names, place=place)


def audit_wheels(
    paths: Sequence[Path], *, with_torch_abi: bool = True, watch: Watch | None = None, settings: Settings | None = None
) -> tuple[Audited, ...]:
    """Prove of finished wheels (files, or folders of them) what their names, requirements and build.json say.

    `with_torch_abi` also asks torch-abi-audit, which is kept in an environment in the cache. Raises
    MimctlError[wheel-audit] with all that is wrong.
    """
    from mimctl.wheels.audits import audit_wheels as audit

    settings = settings or settings_module.load()
    note = watch.note if watch else (lambda _: None)
    return audit(paths, with_torch_abi=with_torch_abi, cache_dir=settings.cache_dir, note=note)


def verify_wheels(
    path: Path,
    names: Sequence[str] = (),
    *,
    wheels: Path,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> tuple[Verified, ...]:
    """Install built wheels beside the torch and the Python of verify cells and run the projects' tests with them.

    `names` are verify cells, or builds; without any, all cells that this machine can verify without a large download.
    """
    from mimctl.wheels.verify import VerifyPlace
    from mimctl.wheels.verify import verify_wheels as verify

    settings = settings or settings_module.load()
    report = watch.note if watch else (lambda _: None)
    place = VerifyPlace(wheels=wheels, cache_dir=settings.cache_dir, torch_index=settings.torch_index, report=report)
    return verify(expand_matrix(path), names, place=place)
