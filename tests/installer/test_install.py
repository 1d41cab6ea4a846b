"""Real installations into real environments, from local indexes, with pip and with uv."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from patience import wait_until
from tiny_wheels import write_ops_wheel

from mimctl.environment.detect import detect
from mimctl.errors import IntegrityError, MimctlError, NetworkError, NoCompatibleBuildError, render
from mimctl.index.client import IndexClient
from mimctl.index.sources import read_sources
from mimctl.installer.apply import apply
from mimctl.installer.backends.backend import choose_backend
from mimctl.installer.backends.uv_backend import UvBackend
from mimctl.installer.prepare import prepare_install
from mimctl.installer.transaction.change import find_unfinished, undone_on_failure
from mimctl.installer.transaction.exclusive import is_being_changed, only_one
from mimctl.installer.transaction.snapshot import claimed_by, distributions_inside
from mimctl.installer.uninstall import apply_uninstall, plan_uninstall
from mimctl.site.build import SiteSources, build_site
from mimctl.transfer import TransferSettings

ROOT = Path(__file__).resolve().parents[2]


def test_install_brings_plugin_ops_torch_and_requirements(bench):
    result = bench.install("det")
    found = {change.name: change.version for change in result.changes}
    assert found == {
        "mimctl": "0.1.0",
        "mimctl-det": "0.1.0",
        "mimctl-ops": "0.1.0",
        "numpy": "2.1.0",
        "opencv-python-headless": "4.10",
        "pillow": "11.0",
        "torch": "2.13.0+cpu",
    }
    after = bench.env
    assert {name: after.distributions[name].version for name in found} == found
    assert '"backend": "cpu"' in (after.paths.purelib / "mimctl_ops/build.json").read_text()
    assert result.installer.split()[0] == bench.choice

    before = bench.files()
    plan = bench.plan("det")
    assert plan.nothing_to_do, "a second run finds everything there"
    assert bench.apply(plan).changes == ()
    assert bench.files() == before


def test_install_leaves_torch_and_everything_else_alone(bench):
    bench.put_torch("2.12.0+cpu")
    bench.public.add_torch("2.14.0")
    bench.put(bench.public.add("numpy", "1.26.0", {"numpy.py": "old = True\n"}))
    bench.public.add("numpy", "2.4.0")
    before = bench.files()
    result = bench.install("det")
    assert "torch" not in {change.name for change in result.changes}
    assert {path: digest for path, digest in bench.files().items() if path in before} == before
    assert bench.env.torch.value.version == "2.12.0+cpu"


def test_an_index_that_site_builds_can_be_installed_from(uv_bench, tmp_path):
    toolboxes = tmp_path / "toolboxes.yaml"
    toolboxes.write_text("det: {distribution: mimctl-det, summary: detection, aliases: [mmdet], scopes: [mmdet]}\n")
    wheels = [each for each in uv_bench.site.wheels.iterdir() if not each.name.startswith("mimctl_ops")]
    wheels += [write_ops_wheel(tmp_path / "ops", "cpu"), write_ops_wheel(tmp_path / "ops", "python")]
    sources = SiteSources(wheels=wheels, toolboxes=toolboxes, matrix=ROOT / "wheels-matrix.yaml")
    report = build_site(sources, tmp_path / "built")
    assert len(report.files) == 4
    uv_bench.public.add_torch(f"{report.torch_verified}+cpu")
    uv_bench.site.url = str(tmp_path / "built")
    assert {change.name for change in uv_bench.install("mmdet").changes} >= {"mimctl-det", "mimctl-ops", "torch"}
    assert uv_bench.plan("det").nothing_to_do


def test_what_is_too_old_for_a_new_requirement_is_upgraded_and_told(bench):
    bench.put_torch("2.12.0+cpu")
    bench.put(bench.public.add("shared", "1.0"))
    bench.put(bench.public.add("other", "1.0"))
    bench.public.add("shared", "2.0")
    bench.public.add("other", "2.0")
    bench.public.add_torch("2.14.0")
    bench.public.add("numpy", "2.2.0", requires=["shared>=2", "torch"])
    bench.public.remove_version("numpy", "2.1.0")
    result = bench.install("det")
    changed = {change.name: (change.action, change.previous, change.version) for change in result.changes}
    assert changed["shared"] == ("upgrade", "1.0", "2.0")
    assert not {"torch", "other"} & changed.keys()


def test_ctrl_c_after_the_installer_is_done_brings_back_what_it_upgraded(bench):
    bench.put_torch("2.12.0+cpu")
    bench.put(bench.public.add("shared", "1.0", {"shared.py": "version = 1\n"}))
    bench.public.add("shared", "2.0", {"shared.py": "version = 2\n", "shared_new.py": ""})
    bench.public.add("numpy", "2.2.0", requires=["shared>=2"])
    bench.public.remove_version("numpy", "2.1.0")
    before = bench.files()

    def press_ctrl_c(line):
        if line.startswith("checking"):
            assert (bench.env.paths.purelib / "shared_new.py").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.apply(bench.plan("det"), step=press_ctrl_c)
    assert bench.files() == before


def test_failing_install_is_undone(bench):
    (bench.env.paths.purelib / "PIL.py/in the way").mkdir(parents=True)
    before = bench.files()
    with pytest.raises(MimctlError) as caught:
        bench.install("det")
    assert caught.value.code == "install-failed"
    assert bench.files() == before


def test_what_no_index_has_is_refused_before_anything_is_fetched(bench):
    bench.public.remove("pillow")
    bench.public.asked.clear()
    with pytest.raises(MimctlError) as caught:
        bench.install("det")
    assert caught.value.code == "not-in-index"
    assert "pillow" in render(caught.value)
    assert not [path for path in bench.public.asked if path.endswith(".whl")]


def test_a_wheel_that_needs_more_than_its_index_says_is_refused(uv_bench):
    uv_bench.install("det")
    before = uv_bench.files()
    uv_bench.site.add_core("0.2.0")
    uv_bench.site.add_ops("cpu", "0.2.0")
    uv_bench.site.add_det(
        "0.2.0", requires=["mimctl[engine]==0.2.0", "mimctl-ops==0.2.0", "numpy"], declared=["ghost>=1"]
    )
    with pytest.raises(MimctlError) as caught:
        uv_bench.install("det", upgrade=True)
    assert caught.value.code == "bad-wheel"
    assert "ghost>=1" in render(caught.value)
    assert uv_bench.files() == before


def test_an_installer_that_leaves_something_out_is_undone(uv_bench, monkeypatch):
    before = uv_bench.files()
    placed = UvBackend.install
    monkeypatch.setattr(
        UvBackend,
        "install",
        lambda self, wheels, **more: placed(self, [w for w in wheels if w.name != "numpy"], **more),
    )
    with pytest.raises(MimctlError) as caught:
        uv_bench.install("det")
    assert caught.value.code == "incomplete-install"
    assert any(cause.startswith("numpy>=1.24") for cause in caught.value.causes)
    assert uv_bench.files() == before


def test_wrong_hash_installs_nothing_and_shows_both_hashes(uv_bench):
    entry = next(each for each in uv_bench.site.entries if each["project"] == "mimctl-det")
    real, entry["sha256"] = entry["sha256"], "0" * 64
    uv_bench.site.write()
    before = uv_bench.files()
    with pytest.raises(IntegrityError) as caught:
        uv_bench.install("det")
    assert caught.value.code == "hash-mismatch"
    assert real in render(caught.value)
    assert "0" * 64 in render(caught.value)
    assert uv_bench.files() == before


def test_a_version_whose_file_changed_since_it_was_fetched_is_refused_unless_it_is_insisted_on(uv_bench):
    uv_bench.install("det")
    apply_uninstall(plan_uninstall(["det"], env=uv_bench.env, toolboxes={}), backend=uv_bench.backend())
    entry = next(each for each in uv_bench.site.entries if each["project"] == "mimctl-det")
    uv_bench.site.entries.remove(entry)
    uv_bench.site.add_det(extra="another file under the same name\n")
    before = uv_bench.files()
    with pytest.raises(IntegrityError) as caught:
        uv_bench.install("det")
    assert caught.value.code == "hash-changed"
    assert entry["sha256"] in caught.value.causes[0]
    assert uv_bench.files() == before
    uv_bench.install("det", reinstall=True)
    assert uv_bench.plan("det").nothing_to_do
    with pytest.raises(IntegrityError):
        uv_bench.site.entries[-1]["sha256"] = entry["sha256"]
        uv_bench.site.write()
        uv_bench.plan("det", upgrade=True)


def test_own_names_never_come_from_the_public_index(bench):
    bench.public.add("mimctl-det", "99", {"stolen.py": ""})
    bench.public.add("mimctl-ops", "99", {"stolen_ops.py": ""})
    bench.public.add("mimctl-evil", "1", {"stolen_evil.py": ""})
    bench.site.add_det("0.1.1", requires=[*("mimctl[engine]==0.1.0", "mimctl-ops==0.1.0"), "mimctl-evil"])
    with pytest.raises(MimctlError) as caught:
        bench.install("det==0.1.1")
    assert caught.value.code == "not-in-index"
    assert "`mimctl-evil` is in none of the indexes" in caught.value.message

    bench.site.add_det("0.1.2")
    bench.install("det")
    after = bench.env
    assert after.distributions["mimctl-det"].version == "0.1.2"
    assert not list(after.paths.purelib.glob("stolen*"))
    assert not [path for path in bench.public.asked if path.startswith(f"/{bench.public.folder.name}/simple/mimctl")]


def test_plan_downloads_no_wheel_and_changes_nothing(bench):
    before = bench.files()
    bench.public.asked.clear()
    plan = bench.plan("det")
    assert {change.name for change in plan.changes} >= {"mimctl-det", "torch", "numpy"}
    assert not [path for path in bench.public.asked if path.endswith(".whl")]
    assert bench.files() == before


def test_another_build_of_the_same_version_is_replaced(uv_bench):
    uv_bench.install("det", variant="python")
    assert uv_bench.plan("det", variant="python").nothing_to_do
    plan = uv_bench.plan("det")
    assert [(change.action, change.name) for change in plan.changes] == [("replace", "mimctl-ops")]
    uv_bench.apply(plan)
    assert '"backend": "cpu"' in (uv_bench.env.paths.purelib / "mimctl_ops/build.json").read_text()


def test_opencv_is_added_only_where_no_cv2_is(uv_bench):
    uv_bench.put(uv_bench.public.add("opencv-python", "4.9", {"cv2/__init__.py": "full = True\n"}))
    result = uv_bench.install("det")
    assert not [change for change in result.changes if "opencv" in change.name]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_while_the_installer_works_leaves_the_environment_as_before(pip_bench, tmp_path, number, code):
    pip_bench.public.add("large", "1.0", {f"large/part{number}.py": "" for number in range(4000)})
    pip_bench.site.add_det("0.1.1", requires=["mimctl[engine]==0.1.0", "mimctl-ops==0.1.0", "large"])
    before = pip_bench.files()
    script = tmp_path / "install.py"
    script.write_text(
        "import os, sys\nfrom pathlib import Path\n"
        "from mimctl.environment.detect import detect\nfrom mimctl.index.client import IndexClient\n"
        "from mimctl.index.sources import read_sources\nfrom mimctl.installer.apply import apply\n"
        "from mimctl.installer.backends.backend import choose_backend\n"
        "from mimctl.installer.prepare import Places, prepare_install\nfrom mimctl.transfer import TransferSettings\n"
        "env, cache = detect(Path(sys.argv[1])), Path(sys.argv[3])\n"
        "client, transfer = IndexClient([sys.argv[2]], None, cache), TransferSettings()\n"
        "places = Places(client=client, sources=read_sources(os.environ), transfer=transfer, cache_dir=cache)\n"
        "plan = prepare_install(['det'], env=env, places=places)\n"
        "apply(plan, transfer=transfer, cache_dir=cache, backend=choose_backend(env, 'pip'))\n"
    )
    argv = [sys.executable, str(script), str(pip_bench.venv), pip_bench.site.url, str(pip_bench.cache)]
    search = pip_bench.env.paths.search
    child = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=_environ(ROOT))
    try:
        wait_until(lambda: child.poll() is not None or find_unfinished(search) is not None)
        child.send_signal(number)
        _, said = child.communicate(timeout=240)
    finally:
        child.kill()
    assert child.returncode == code, said
    assert pip_bench.files() == before


def _environ(root):
    return {**os.environ, "PYTHONPATH": str(root)}


def test_torch_comes_from_its_own_index_where_pip_is_not_configured_with_it(bench, server, tmp_path):
    bench.public.remove("torch")
    folder, url = server
    shelf = folder / f"torch-{tmp_path.name}"
    _move_torch(bench, shelf / "cpu")
    plan = bench.plan("det", torch_index=f"{url}/{shelf.name}")
    assert next(each.source for each in plan.changes if each.name == "torch") == f"{url}/{shelf.name}/cpu"
    bench.apply(plan)
    assert bench.env.torch.value.version == "2.13.0+cpu"


def _move_torch(bench, place):
    wheel = next(bench.public.wheels.glob("torch-2.13.0+cpu-*.whl"))
    project = place / "torch"
    project.mkdir(parents=True)
    shutil.copy(wheel, project / wheel.name)
    (project / "index.html").write_text(f'<a href="{wheel.name.replace("+", "%2B")}">{wheel.name}</a>')


def test_plain_torch_of_the_public_index_is_the_cuda_build(bench, monkeypatch):
    monkeypatch.setenv("MIMCTL_DRIVER", "580.65.06")
    bench.public.add_torch("2.13.0", cuda="13.0")
    result = bench.install("det", variant="python")
    assert result.plan.torch.version == "2.13.0"
    assert (bench.env.torch.value.version, bench.env.torch.value.cuda) == ("2.13.0", "13.0")
    assert bench.plan("det", variant="python").nothing_to_do


def test_a_torch_that_is_not_the_build_it_was_taken_for_is_undone(uv_bench, monkeypatch):
    monkeypatch.setenv("MIMCTL_DRIVER", "580.65.06")
    uv_bench.public.add_torch("2.13.0", cuda=None)
    before = uv_bench.files()
    with pytest.raises(MimctlError) as caught:
        uv_bench.install("det", variant="python")
    assert caught.value.code == "torch-changed"
    assert uv_bench.files() == before


def test_unreachable_torch_index_is_a_network_error_before_anything_changes(pip_bench):
    pip_bench.public.remove("torch")
    before = pip_bench.files()
    with pytest.raises(NetworkError) as caught:
        pip_bench.plan("det", torch_index="http://127.0.0.1:9/whl")
    assert caught.value.exit_code == 4
    assert "torch==2.13.0+cpu" in caught.value.message
    assert pip_bench.files() == before


def test_torch_index_without_the_build_says_so(pip_bench, server, tmp_path):
    pip_bench.public.remove("torch")
    folder, url = server
    (folder / f"empty-{tmp_path.name}/cpu/torch").mkdir(parents=True)
    with pytest.raises(MimctlError) as caught:
        pip_bench.plan("det", torch_index=f"{url}/empty-{tmp_path.name}")
    assert caught.value.code == "torch-unavailable"


def test_environment_without_pip_is_served_by_uv(pip_bench, tmp_path):
    uv = choose_backend(pip_bench.env, "uv").uv
    bare = tmp_path / "bare"
    subprocess.run([str(uv), "venv", "--quiet", "--python", sys.executable, str(bare)], check=True)
    assert isinstance(choose_backend(detect(bare)), UvBackend)
    pip_bench.venv, pip_bench.choice = bare, "auto"
    pip_bench.install("det")
    assert "mimctl-det" in pip_bench.env.distributions


def test_no_fitting_build_is_refused_before_anything_changes(uv_bench):
    uv_bench.put_torch("2.9.1+cpu")
    before = uv_bench.files()
    with pytest.raises(NoCompatibleBuildError) as caught:
        uv_bench.plan("det")
    text = render(caught.value)
    assert "needs torch >= 2.10, found 2.9.1+cpu" in text
    assert "`mimctl install det --variant python`" in text
    assert uv_bench.files() == before


def test_a_second_installation_waits_and_notices_that_its_plan_is_old(uv_bench):
    first, second = uv_bench.plan("det"), uv_bench.plan("det")
    said = []
    with ThreadPoolExecutor() as pool, only_one(uv_bench.env, said.append):
        waiting = pool.submit(uv_bench.apply, second, step=said.append)
        wait_until(lambda: any(line.startswith("waiting for") for line in said))
        uv_bench.put(uv_bench.public.add("between", "1.0"))
    with pytest.raises(MimctlError) as caught:
        waiting.result()
    assert caught.value.code == "environment-changed"
    assert f"waiting for process {os.getpid()}" in "\n".join(said)
    with pytest.raises(MimctlError):
        uv_bench.apply(first)
    uv_bench.install("det")


def test_whether_an_installation_goes_on_is_seen_from_outside(uv_bench):
    env = uv_bench.env
    assert not is_being_changed(env)
    with only_one(env, print), undone_on_failure(env):
        assert is_being_changed(env)
        assert find_unfinished(env.paths.search).is_alive
    assert not is_being_changed(env)
    assert find_unfinished(env.paths.search) is None


def test_offline_installs_from_caches_and_local_indexes(bench, monkeypatch):
    bench.install("det")
    local = bench.public.folder / "simple"
    uninstall = plan_uninstall(["det", "mimctl-ops"], env=bench.env, toolboxes={})
    apply_uninstall(uninstall, backend=bench.backend())
    bench.put(bench.public.add("extra", "1.0"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", local.as_uri())
    offline = TransferSettings(offline=True)
    places = replace(
        bench.places(),
        client=IndexClient([bench.site.url], offline, bench.cache),
        sources=read_sources(os.environ),
        transfer=offline,
    )
    plan = prepare_install(["det"], env=bench.env, places=places)
    apply(plan, transfer=offline, cache_dir=bench.cache, backend=bench.backend())
    assert "mimctl-det" in bench.env.distributions


@pytest.mark.parametrize("compiles", [False, True])
def test_modules_are_compiled_while_they_are_installed_only_where_that_is_asked_for(bench, compiles):
    bench.put_torch("2.13.0+cpu")
    result = bench.apply(bench.plan("det"), compiles=compiles)
    env = bench.env
    brought = {change.name for change in result.changes} - {"mimctl-ops"}  # the check imports the operators
    modules = [
        Path(place)
        for each in distributions_inside(env)
        if each.name in brought
        for place in claimed_by(each)
        if place.endswith("/__init__.py")  # of modules outside packages, uv leaves behind what Python compiled
    ]
    assert len(modules) > 1
    compiled = {path: Path(cache_from_source(str(path))).is_file() for path in modules}
    assert set(compiled.values()) == {compiles}, compiled

    apply_uninstall(plan_uninstall(sorted(brought), env=env, toolboxes={}), backend=bench.backend())
    assert not [path for path in modules if Path(cache_from_source(str(path))).exists()]
