"""Which of a lock's environments a target is: by platform and Python, by its torch, else by its driver (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from mimctl.environment.installed import release_of
from mimctl.environment.model import Environment
from mimctl.errors import MimctlError, UsageError
from mimctl.installer.locking.cells import Cell
from mimctl.installer.locking.reading import Entry, Lock, not_locked
from mimctl.resolution.requirements import is_same_version
from mimctl.selection.cuda import MIN_DRIVERS, is_at_least
from mimctl.selection.torch_build import PLAIN_TAG, is_plain


def choose_cell(lock: Lock, env: Environment, words: str | None = None) -> Cell | None:
    """Return which environment of a lock a target is, None for a lock that names none.

    By platform and Python, then by the torch that is installed, else by driver and C library: the newest CUDA that the
    driver runs, else the CPU. Raises MimctlError[not-locked | torch-locked], UsageError where `words` name none.
    """
    if words is not None and not any(words in (cell.words, cell.group) for cell in lock.cells):
        known = ", ".join(f"`{each}`" for each in dict.fromkeys(cell.words for cell in lock.cells))
        raise UsageError(
            f"`{lock.path.name}` has no environment `{words}`",
            causes=[f"it has {known}" if known else "it names none"],
        )
    if not lock.cells:
        return None
    minor = ".".join(map(str, env.python_release))
    here = [
        cell
        for cell in lock.cells
        if str(cell.platform) == str(env.platform.value)
        and cell.minor == minor
        and (words is None or words in (cell.words, cell.group))
    ]
    if not here:
        raise not_locked(lock, f"found Python {env.python.value}, {env.platform.value}")
    if words is None and len(here) > 1 and env.torch.value is not None:
        here = [cell for cell in here if _has_torch(lock, cell, env)] or _raise(_other_torch(lock, env, here))
    running = [cell for cell in here if _runs(cell, env)] or here
    return max(running, key=lambda cell: (_rank(cell), -running.index(cell)))


def _raise(error: MimctlError) -> list[Cell]:
    raise error


def _has_torch(lock: Lock, cell: Cell, env: Environment) -> bool:
    entry = lock.entries_for(env, lock.groups_of(cell)).get("torch")
    return entry is None or _is_same_torch(env, entry.version)


def _runs(cell: Cell, env: Environment) -> bool:
    libc, wanted = env.libc.value, cell.environment.libc.value
    if libc is not None and wanted is not None and (libc.family != wanted.family or libc.version < wanted.version):
        return False
    accelerator = env.accelerator.value
    if cell.accelerator.startswith("cu"):
        floor = MIN_DRIVERS.get(int(cell.accelerator[2:4]))
        return (
            accelerator.driver is not None
            and accelerator.kind == "cuda"
            and (floor is None or is_at_least(accelerator.driver, floor))
        )
    if cell.accelerator.startswith("rocm"):
        return accelerator.kind == "rocm"
    return cell.accelerator != "mps" or env.platform.value.system == "darwin"


def _rank(cell: Cell) -> tuple[object, ...]:
    """Order the environments that a machine could be: what computes fastest, then the newest C library."""
    kind = 0 if cell.accelerator == "cpu" else 1
    libc = cell.environment.libc.value
    digits = release_of(cell.accelerator[2:]) if cell.accelerator.startswith("cu") else ()
    return (kind, str(digits[0])[:2] if digits else "", libc.version if libc else ())


def _is_same_torch(env: Environment, version: str) -> bool:
    """Return whether the installed torch is the locked one; the wheel without label may be the CUDA build."""
    there = env.torch.value
    if there is None or is_same_version(there.version, version):
        return there is not None
    public, _, label = version.partition("+")
    own, _, own_label = there.version.partition("+")
    if not is_same_version(own, public) or (label and own_label):
        return False
    return (label or own_label) == PLAIN_TAG and is_plain(public, PLAIN_TAG, env)


def check_torch(lock: Lock, env: Environment, entry: Entry) -> None:
    """Raise MimctlError[torch-locked] where another torch is installed than the locked one."""
    if env.torch.value is not None and not _is_same_torch(env, entry.version):
        raise _other_torch(lock, env, [], entry.version)


def _other_torch(lock: Lock, env: Environment, cells: Sequence[Cell], version: str | None = None) -> MimctlError:
    there = env.torch.value
    assert there is not None
    locked = [version] if version else []
    for cell in cells:
        entry = lock.entries_for(env, lock.groups_of(cell)).get("torch")
        locked += [entry.version] if entry else []
    return MimctlError(
        f"`{lock.path.name}` has torch {', '.join(dict.fromkeys(locked))}, {there.version} is installed",
        code="torch-locked",
        causes=[f"found in {env.torch.source}", "mimctl never replaces a torch that is there"],
        hints=[
            f"remove it first: `{env.target.python} -m pip uninstall torch torchvision torchaudio`",
            f"or lock for the one that is there: `mimctl lock --torch {there.version}`",
            "or sync into another environment: `--python PATH`",
        ],
    )
