"""Audits several wheels with both judges, our own and torch-abi-audit, and reports all that is wrong at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mimctl.errors import MimctlError, UsageError
from mimctl.wheels.audit import AuditReport, audit_wheel
from mimctl.wheels.build_environment import Report
from mimctl.wheels.torch_abi import TorchAbi, torch_abi

_FAULTS = ("wheel-audit", "bad-wheel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """A wheel that is what it says it is, and what was found."""

    report: AuditReport
    torch_abi: TorchAbi | None
    """None where torch-abi-audit was not asked."""

    def to_dict(self) -> dict[str, object]:
        """Return it as plain JSON data."""
        return {**asdict(self.report), "torch_abi": asdict(self.torch_abi) if self.torch_abi else None}


def audit_wheels(
    paths: Sequence[Path], *, with_torch_abi: bool, cache_dir: Path, note: Report = lambda _: None
) -> tuple[Audited, ...]:
    """Audit wheel files; those of one folder where a folder is given.

    Raises MimctlError[wheel-audit] once all were looked at, with what is wrong with each (`details["wheels"]` holds the
    others too), UsageError[no-wheels] where there is nothing to audit, and MimctlError[build-environment] where
    torch-abi-audit is wanted and cannot be had.
    """
    good: list[Audited] = []
    bad: list[tuple[str, MimctlError]] = []
    for path in _wheels(paths):
        try:
            report = audit_wheel(path)
            abi = torch_abi(path, report, cache_dir=cache_dir, note=note) if with_torch_abi else None
        except MimctlError as err:
            if err.code not in _FAULTS:
                raise
            bad.append((path.name, err))
        else:
            good.append(Audited(report=report, torch_abi=abi))
    if bad:
        raise _refusal(good, bad)
    return tuple(good)


def _wheels(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"`{path}` does not exist", code="no-wheels")
        found += sorted(path.glob("*.whl")) if path.is_dir() else [path]
    if not found:
        raise UsageError("no wheels to audit", code="no-wheels", hints=["build them: `mimctl wheels build --out DIR`"])
    return found


def _refusal(good: Sequence[Audited], bad: Sequence[tuple[str, MimctlError]]) -> MimctlError:
    details: list[object] = [each.to_dict() for each in good]
    details += [{"filename": name, "error": err.to_dict()} for name, err in bad]
    if len(bad) == 1:
        (_, err) = bad[0]
        message, code, causes = err.message, err.code, err.causes
    else:
        message, code = f"{len(bad)} of {len(good) + len(bad)} wheels are not what they say", "wheel-audit"
        causes = tuple(f"{name}: {cause}" for name, err in bad for cause in err.causes)
    hints = tuple(dict.fromkeys(hint for _, err in bad for hint in err.hints))
    return MimctlError(message, code=code, causes=causes, hints=hints, details={"wheels": details})
