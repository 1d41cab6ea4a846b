"""Compiling what was placed, for environments that those who run from them cannot write to."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from mimctl.environment.detect import child_environ
from mimctl.environment.model import Environment
from mimctl.installer.transaction.snapshot import claimed_by, distributions_inside


def compile_bytecode(env: Environment, names: Iterable[str], *, environ: Mapping[str, str]) -> None:
    """Compile the modules of distributions with the target's own interpreter, on all cores.

    Python does so by itself at the first import wherever it may write; no file that cannot be compiled is an error, as
    packages ship templates and sources for other versions.
    """
    wanted = set(names)
    modules = [
        path
        for each in distributions_inside(env)
        if each.name in wanted
        for path in claimed_by(each)
        if path.endswith(".py") and Path(path).is_relative_to(env.paths.prefix)
    ]
    line = [str(env.target.python), "-m", "compileall", "-q", "-q", "-j", "0", "-i", "-"]
    variables = child_environ(environ)
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run(
        line,
        input="\n".join(modules),
        text=True,
        env=variables,
        cwd=env.paths.prefix,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
