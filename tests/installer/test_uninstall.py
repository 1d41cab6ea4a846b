"""Uninstalling removes what was named and nothing else; a failure changes nothing."""

from __future__ import annotations

import pytest

from mimctl.errors import MimctlError
from mimctl.installer.transaction.change import undone_on_failure
from mimctl.installer.uninstall import apply_uninstall, plan_uninstall


def test_uninstall_removes_what_was_named(bench):
    bench.install("det")
    toolboxes = bench.client().toolboxes()
    plan = plan_uninstall(["mmdet"], env=bench.env, toolboxes=toolboxes)
    result = apply_uninstall(plan, backend=bench.backend())
    assert [(change.action, change.name, change.previous) for change in result.changes] == [
        ("remove", "mimctl-det", "0.1.0")
    ]
    after = bench.env.distributions
    assert "mimctl-det" not in after
    assert {"torch", "numpy", "mimctl-ops", "mimctl"} <= set(after)
    again = plan_uninstall(["det"], env=bench.env, toolboxes=toolboxes)
    assert again.nothing_to_do
    assert again.not_installed == ("mimctl-det",)


def test_uninstall_needs_no_index_and_keeps_what_is_needed(uv_bench):
    uv_bench.install("det")
    with pytest.raises(MimctlError) as caught:
        plan_uninstall(["mimctl-ops"], env=uv_bench.env, toolboxes={})
    assert caught.value.code == "still-needed"
    assert caught.value.causes == ("mimctl-det requires mimctl-ops",)
    both = plan_uninstall(["det", "mimctl-ops"], env=uv_bench.env, toolboxes={})
    assert [change.name for change in both.changes] == ["mimctl-det", "mimctl-ops"]
    with pytest.raises(MimctlError) as caught:
        plan_uninstall(["det", "torch"], env=uv_bench.env, toolboxes={})
    assert caught.value.code == "torch-kept"


def test_undo_brings_back_removed_changed_and_linked_files(uv_bench):
    uv_bench.install("det")
    before = uv_bench.files()
    purelib = uv_bench.env.paths.purelib
    with pytest.raises(KeyboardInterrupt), undone_on_failure(uv_bench.env):
        uv_bench.backend().uninstall(["mimctl-det"])
        (purelib / "new/deep").mkdir(parents=True)
        (purelib / "new/deep/file.py").touch()
        (purelib / "new/link").symlink_to(purelib)
        (purelib / "mimctl_det").mkdir()
        (purelib / "mimctl_det/__init__.py").write_text("other")
        raise KeyboardInterrupt
    assert uv_bench.files() == before
    assert not (purelib / "new").exists()


def test_a_failing_uninstall_is_undone(uv_bench):
    uv_bench.install("det")
    before = uv_bench.files()

    class Half:
        label = "half an installer"

        def uninstall(self, names, *, note=None):
            uv_bench.backend().uninstall(names[:1])

    plan = plan_uninstall(["det", "mimctl-ops"], env=uv_bench.env, toolboxes={})
    with pytest.raises(MimctlError) as caught:
        apply_uninstall(plan, backend=Half())
    assert caught.value.code == "install-failed"
    assert uv_bench.files() == before
