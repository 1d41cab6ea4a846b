"""Turn a child's end into the error that a person reads."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Mapping
from typing import Any

from mimctl.errors import MimctlError
from mimctl.launch.model import LaunchPlan, Outcome

SHOWN_LINES = 12


def error_of(outcome: Outcome, plan: LaunchPlan) -> MimctlError:
    """Return the error for a child that did not end with 0; its exit code is the child's own."""
    if outcome.error is not None:
        return _told(outcome.error, outcome, plan)
    if plan.is_script:
        return _of_script(outcome, plan)
    last = [line for line in outcome.last_lines if line.strip()][-SHOWN_LINES:]
    if any(f"No module named {name!r}" in line for line in last for name in ("mimctl", "mimctl.engine")):
        return MimctlError(
            f"`{plan.argv[0]}` has no mimctl engine",
            code="engine-missing",
            causes=last[-1:],
            hints=[f"install it there: `mimctl install {plan.spec.plugin} --python {plan.argv[0]}`"],
            exit_code=outcome.exit_code,
        )
    if outcome.exit_code == 128 + signal.SIGTERM:
        saved = (outcome.result or {}).get("last_checkpoint")
        return MimctlError(
            f"{plan.spec.action} was stopped by SIGTERM",
            code="terminated",
            hints=[f"its state is saved as `{saved}`: go on with `--resume`"] if saved else [],
            exit_code=outcome.exit_code,
        )
    hints = ["out of memory? try a smaller `--batch`"] if outcome.exit_code == 128 + signal.SIGKILL else []
    return MimctlError(
        f"{plan.spec.action} ended with {_name(outcome.exit_code)}",
        code="child-died",
        causes=last or ["it said nothing"],
        hints=hints,
        exit_code=outcome.exit_code,
    )


def _of_script(outcome: Outcome, plan: LaunchPlan) -> MimctlError:
    """Return the error of a script, which has said itself what there was to say."""
    name = plan.spec.options.get("name", plan.spec.action)
    return MimctlError(
        f"`{name}` of `{plan.spec.plugin}` ended with exit code {outcome.exit_code}",
        code="script-failed",
        causes=[f"the line was: {shlex.join(plan.argv)}"],
        exit_code=outcome.exit_code,
    )


def _told(event: Mapping[str, Any], outcome: Outcome, plan: LaunchPlan) -> MimctlError:
    message = str(event.get("message", f"{plan.spec.action} failed"))
    code = str(event.get("code", "child-crashed"))
    hints = [str(each) for each in event.get("hints", ())]
    raw = event.get("details")
    details: dict[str, object] = dict(raw) if isinstance(raw, Mapping) else {}
    causes = [str(each) for each in event.get("causes", ())]
    if code == "child-crashed":
        trace = [line for line in str(details.get("traceback", "")).splitlines() if line.strip()]
        causes = [*([str(details["where"])] if "where" in details else []), *trace[-SHOWN_LINES:]] or causes
    error = MimctlError(message, code=code, causes=causes, hints=hints, details=details, exit_code=outcome.exit_code)
    if event.get("origin"):
        from mimctl.errors import Origin

        error.origin = Origin(file=str(event["origin"]))
    return error


def _name(code: int) -> str:
    if code > 128:
        try:
            return f"signal {signal.Signals(code - 128).name}"
        except ValueError:
            return f"exit code {code}"
    return f"exit code {code}"
