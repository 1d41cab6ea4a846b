"""All checks of a toolbox in their order: what is cheap and explains the rest comes first."""

from __future__ import annotations

from mimctl.authoring.configs_check import check_configs
from mimctl.authoring.contract_check import check_contract
from mimctl.authoring.find import find_subject
from mimctl.authoring.manifest_check import check_manifest
from mimctl.authoring.model import CheckReport, Examination, Finding
from mimctl.authoring.packaging_check import check_packaging
from mimctl.authoring.source_check import check_source, check_types, gather_tables
from mimctl.launch.place import Workplace


def check_toolbox(text: str, place: Workplace, *, writes: bool = True, runs: bool = True) -> CheckReport:
    """Check the toolbox that `text` means (a folder, or an installed toolbox's name).

    Where it is edited in place a `types.json` that is behind its source is written anew; it is a failure where `writes`
    is off. `runs` starts the target's interpreter for what only running code tells. Raises UsageError
    [no-toolbox-here], MimctlError[plugin-not-installed | engine-missing].
    """
    subject = find_subject(text, place)
    given = Examination(subject=subject, place=place, writes=writes and subject.is_source)
    findings: list[Finding] = [*check_manifest(given), *check_source(given), *check_types(given)]
    gather_tables(given)
    findings += [*check_configs(given), *check_packaging(given)]
    if runs:
        findings += check_contract(given)
    return CheckReport(subject=subject, findings=tuple(findings))
