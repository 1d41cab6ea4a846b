"""The contract: in the target's interpreter, verbs import, every name builds what the table says, models are built."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mimctl.authoring.model import Examination, Finding
from mimctl.environment.torch import find_torch
from mimctl.errors import MimctlError, Origin
from mimctl.launch.asking import answer_of
from mimctl.launch.model import RunRequest
from mimctl.launch.plan import make_plan

NAME = "contract"
ENTRY = "mimctl.engine.contract:check"


def check_contract(given: Examination) -> Iterator[Finding]:
    """Run the toolbox's contract in a child of the target's interpreter; without torch there, say so."""
    if given.manifest is None or given.table is None:
        yield Finding(check=NAME, status="skip", message="manifest and table of types come first")
        return
    if find_torch(given.place.paths, None).value is None:
        message = f"`{given.place.python}` has no torch to import the toolbox with"
        hint = "name an environment that has it: `--python`"
        yield Finding(check=NAME, status="skip", message=message, hints=(hint,))
        return
    with tempfile.TemporaryDirectory(prefix="mimctl-contract-") as scratch:
        request = RunRequest(
            action=NAME,
            plugin=given.manifest.name,
            package=given.subject.package,
            entry=ENTRY,
            python=given.place.python,
            run_dir=Path(scratch),
            options={
                "verbs": dict(given.manifest.verbs),
                "table": given.table,
                "configs": _inputs(given),
                "root": str(given.subject.package_dir),
            },
        )
        plan = make_plan(request)
        added = _import_path(given, Path(scratch))
        plan = replace(plan, environment={**plan.environment, **added})
        try:
            found = answer_of(plan)
        except MimctlError as err:
            yield _of_child(err)
            return
    for each in found["findings"]:
        place = each.get("file")
        yield Finding(
            check=NAME,
            status=each["status"],
            message=str(each["message"]),
            origin=Origin(file=str(place), line=each.get("line")) if place else None,
            hints=tuple(map(str, each.get("hints", ()))),
        )


def _inputs(given: Examination) -> dict[str, list[int]]:
    """Return each config with the shape of the tensor that its model gets, empty for none."""
    manifest, plugin = given.manifest, given.as_plugin()
    assert manifest is not None
    assert plugin is not None
    shapes = {
        path: shape for pattern, shape in manifest.family_inputs.items() for path in plugin.configs_dir.glob(pattern)
    }
    return {str(path): list(shapes.get(path, manifest.contract_input or ())) for path in given.configs}


def _import_path(given: Examination, scratch: Path) -> dict[str, str]:
    """Return the variables with which the child imports this very toolbox and finds its entry point."""
    if given.subject.distribution is not None:
        return {}
    assert given.manifest is not None
    info = scratch / "site" / f"mimctl_{given.manifest.name}-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mimctl-{given.manifest.name}\nVersion: 0\n")
    (info / "entry_points.txt").write_text(f"[mimctl.plugins]\n{given.manifest.name} = {given.subject.package}\n")
    before = os.environ.get("PYTHONPATH")
    paths = [str(info.parent), str(given.subject.import_root), *([before] if before else [])]
    return {"PYTHONPATH": os.pathsep.join(paths)}


def _of_child(err: MimctlError) -> Finding:
    return Finding(check=NAME, status="fail", message="; ".join([err.message, *err.causes[-3:]]), hints=err.hints)
