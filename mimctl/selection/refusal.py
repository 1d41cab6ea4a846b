"""Say why no candidate fits: the facts, the reasons, what to type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mimctl.environment.model import Environment
from mimctl.errors import NoCompatibleBuildError
from mimctl.selection.choose import Rejected, Selection, choose
from mimctl.selection.order import public_version

_MOST_LINES = 12


def refusal(
    env: Environment, project: str, selection: Selection, *, wanted: str, variant: str | None = None
) -> NoCompatibleBuildError:
    """Return the error for a selection that chose nothing: the facts, each candidate's reason, what to type.

    `wanted` is what the person asked for (`det`), so that the hint can be typed. Of many candidates the newest are
    shown and the others counted; `details` holds them all.
    """
    rejected = selection.rejected
    newest = public_version(rejected[0].file.version) if rejected else ""
    builds = [each.file for each in rejected if each.file.build is not None]
    hints = []
    for name, words in _OTHER_VARIANTS.items():
        if variant is None and choose(env, builds, name).chosen is not None:
            hints.append(f"{words}: `mimctl install {wanted} --variant {name}`")
    hints.extend(sorted({hint for each in rejected if (hint := _HINTS.get(each.rule))}))
    if any("no NVIDIA driver here" in each.reason for each in rejected):
        hints.append("if jobs run elsewhere, name the driver of those machines: `MIMCTL_DRIVER=580.65.06`")
    return NoCompatibleBuildError(
        f"no build of `{project}` {newest} fits this environment".replace("  ", " "),
        causes=[describe_facts(env), *_lines(rejected)],
        hints=hints,
        details={
            "project": project,
            "candidates": [{"file": each.file.filename, "rule": each.rule, "reason": each.reason} for each in rejected],
        },
    )


def _lines(rejected: Sequence[Rejected]) -> Iterator[str]:
    # A build may stand in an index twice, with and without its label.
    said = list(dict.fromkeys((each.file.label, each.reason) for each in rejected))
    shown = said if len(said) <= _MOST_LINES else said[: _MOST_LINES - 1]
    width = max((len(label) for label, _ in shown), default=0)
    for label, reason in shown:
        yield f"  {label:<{width}}   rejected: {reason}"
    if len(shown) < len(said):
        yield f"  and {len(said) - len(shown)} more; all with their reasons: `--json`"


def describe_facts(env: Environment) -> str:
    """Return the facts that decide about wheels in one line."""
    accelerator, torch = env.accelerator.value, env.torch.value
    words = [f"torch {torch.version}" if torch else "no torch"]
    if accelerator.kind == "cuda":
        gpus = sorted({gpu.capability for gpu in env.gpus.value if gpu.capability})
        words.append(f"driver {accelerator.driver}" + (f" (compute capability {', '.join(gpus)})" if gpus else ""))
    elif accelerator.kind == "none":
        words.append("no GPU driver")
    else:
        words.append(accelerator.kind)
    words.extend([f"python {env.python.value}", str(env.platform.value)])
    if env.libc.value is not None:
        words.append(str(env.libc.value))
    return ", ".join(words)


_OTHER_VARIANTS = {
    "python": "use the pure-PyTorch ops",
    "cpu": "or take compiled ones that compute on the CPU only",
}
_HINTS = {
    "fits_driver": "or update the NVIDIA driver",
    "fits_torch": "or install a torch that the builds above work with, then repeat the command",
    "not_yanked": "withdrawn builds are never installed",
}
