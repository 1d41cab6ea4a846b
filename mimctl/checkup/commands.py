"""What a person may type for a target, as the hints of several checks say it."""

from __future__ import annotations

from mimctl.environment.model import Environment


def installer_call(env: Environment, verb: str) -> str:
    """Return how to call an installer for the target: `python -m pip install`."""
    if env.pip.value is None and env.uv.value is not None:
        return f"uv pip {verb} --python {env.target.python}"
    return f"{env.target.python} -m pip {verb}"
