"""Find the checkpoint that a person means, and the config that lies beside one."""

from __future__ import annotations

from pathlib import Path

from mimctl.errors import MimctlError, nearest

SUFFIXES = (".pth", ".pt", ".safetensors")


def find_checkpoint(text: str, work_dir: Path) -> Path:
    """Return a checkpoint: `best` or `last` of `work_dir`, a work dir (its best, else its last), or a path.

    Raises MimctlError[checkpoint-not-found] saying what is there.
    """
    if text in ("best", "last"):
        found = _best(work_dir) if text == "best" else _last(work_dir)
        if found is None:
            raise _not_found(f"`{work_dir}` has no {text} checkpoint", work_dir)
        return found
    path = Path(text).expanduser()
    if path.is_dir():
        found = _best(path) or _last(path)
        if found is None:
            raise _not_found(f"`{text}` has no checkpoint", path)
        return found.absolute()
    if not path.is_file():
        raise _not_found(f"checkpoint `{text}` does not exist", path.parent, path.name)
    return path.absolute()


def _best(folder: Path) -> Path | None:
    found = [path for path in folder.glob("best_*") if path.suffix in SUFFIXES]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _last(folder: Path) -> Path | None:
    pointer = folder / "last_checkpoint"
    if pointer.is_file():
        named = Path(pointer.read_text(encoding="utf-8").strip())
        # The pointer may name the place where the run was made; a moved work dir keeps the file itself.
        for path in (named, folder / named, folder / named.name):
            if path.is_file():
                return path.absolute()
    found = [path for path in folder.glob("*_*.pth") if path.stem.startswith(("epoch_", "iter_"))]
    return max(found, key=_number, default=None)


def _number(path: Path) -> int:
    digits = path.stem.rpartition("_")[2]
    return int(digits) if digits.isdigit() else -1


def _not_found(message: str, folder: Path, name: str | None = None) -> MimctlError:
    there = {path.name for path in folder.iterdir() if path.suffix in SUFFIXES} if folder.is_dir() else set()
    near = nearest(name, there, most=2) if name else sorted(there)[:5]
    return MimctlError(
        message,
        code="checkpoint-not-found",
        causes=[] if folder.is_dir() else [f"there is no folder `{folder}`"],
        hints=[f"there is {' and '.join(f'`{folder / each}`' for each in near)}"] if near else [],
    )


def config_beside(checkpoint: Path) -> Path | None:
    """Return the config that lies beside a checkpoint, None where there is none (its own meta may hold one)."""
    from mimctl.config.beside import config_for_checkpoint

    found = config_for_checkpoint(checkpoint)
    return found.path if found is not None else None
