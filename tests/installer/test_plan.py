"""The plan is pure: requests, facts, indexes and what is installed in, changes and refusals out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mimctl.environment.detect import detect
from mimctl.environment.installed import Distribution, Fact, Torch
from mimctl.environment.model import Accelerator
from mimctl.errors import IntegrityError, MimctlError, NoCompatibleBuildError
from mimctl.index.model import Build, Index, IndexFile, Toolbox
from mimctl.installer.asking.requests import read_requests
from mimctl.installer.asking.requirements_file import FileContents, Line
from mimctl.installer.model import InstallOptions
from mimctl.installer.prepare import plan_requests
from mimctl.resolution.model import Metadata, Present, Project

ADDRESS = "https://index.example"
CORE = ("click>=8.1", "torch>=2.6 ; extra == 'engine'", "numpy>=1.24 ; extra == 'engine'")
DET = ("mimctl[engine]==0.1.0", "mimctl-ops==0.1.0", "faster-coco-eval>=1.6", "tomli ; python_version < '3.11'")


def wheel(project, version="0.1.0", *, requires=(), build=None, sha="a"):
    name = project.replace("-", "_")
    backend = f"-{build.backend}" if build else ""
    return IndexFile(
        project=project,
        filename=f"{name}-{version}-py3-none-any{backend}.whl",
        url=f"{ADDRESS}/files/{name}.whl",
        sha256=sha * 64,
        size=10,
        version=version,
        tags=("py3-none-any",),
        requires_dist=tuple(requires),
        build=build,
        address=ADDRESS,
    )


OPS = (
    wheel("mimctl-ops", build=Build(backend="cpu", min_torch="2.10"), sha="c"),
    wheel("mimctl-ops", build=Build(backend="cu13", min_torch="2.10", min_driver="580"), sha="d"),
)
FILES = (wheel("mimctl", requires=CORE), wheel("mimctl-det", requires=DET, sha="b"), *OPS)
BOXES = {"det": Toolbox(name="det", distribution="mimctl-det", aliases=("mmdet", "mmdetection"))}
INDEX = Index(addresses=(ADDRESS,), files=FILES, torch_verified="2.13.0", toolboxes=BOXES)
TORCHES = tuple(
    wheel("torch", f"{version}+{tag}") for version in ("2.12.0", "2.13.0", "2.16.0") for tag in ("cpu", "cu130")
)
PUBLIC = (
    *(wheel(name, version) for name, version in (("click", "8.2"), ("numpy", "2.0"), ("faster-coco-eval", "1.7"))),
    *(wheel(name, version) for name, version in (("opencv-python-headless", "4.10"), ("mmdet", "3.3.0"))),
    *TORCHES,
)


@dataclass
class Catalog:
    """What mimctl's index and the public one hold."""

    index: Index

    def prefetch(self, names):
        """Do nothing beforehand."""

    def prefetch_metadata(self, files):
        """Do nothing beforehand."""
        return ()

    def project(self, name):
        """Return what there is of a project."""
        files = self.index.project(name) or tuple(file for file in PUBLIC if file.project == name)
        return Project(name=name, files=files, looked_in=(ADDRESS,))

    def metadata(self, file):
        """Return what a wheel says of itself."""
        return Metadata(name=file.project, version=file.version, requires_dist=file.requires_dist)

    def refresh(self):
        """Know nothing newer."""
        return False


@dataclass
class Installed:
    """Our installed distributions with their requirements, others' without."""

    own: Sequence[tuple[Present, tuple[str, ...]]]
    env: object

    def names(self):
        """Return all names."""
        return {*self.env.distributions, *(present.name for present, _ in self.own)}

    def get(self, name):
        """Return one."""
        for present, _ in self.own:
            if present.name == name:
                return present
        there = self.env.distributions.get(name)
        return Present(name=name, version=there.version) if there else None

    def requires_dist(self, name):
        """Return what one requires."""
        return next((requires for present, requires in self.own if present.name == name), ())


@pytest.fixture(scope="module")
def facts():
    return detect(environ={"MIMCTL_DRIVER": "none"})


@pytest.fixture
def env(facts):
    """Make an environment of `name==version` words; torch stands among them with its label."""

    def make(*pins, driver=None, cv2=True):
        there = {
            name: Distribution(name=name, version=version, path=Path(f"/site/{name}.dist-info"))
            for name, _, version in (pin.partition("==") for pin in pins)
        }
        version = there["torch"].version if "torch" in there else None
        torch = (
            Torch(version=version, cuda="13.0" if "+cu130" in version else None, hip=None, path=None)
            if version
            else None
        )
        found = Accelerator(kind="cuda", driver=driver) if driver else Accelerator(kind="none")
        return replace(
            facts,
            distributions=there,
            torch=Fact(value=torch, source="a test"),
            accelerator=Fact(value=found, source="a test"),
            cv2=Fact(value=Path("/site/cv2") if cv2 else None, source="a test"),
        )

    return make


def own(project, version="0.1.0", *, requires=(), sha=None, backend=None, source=False):
    present = Present(name=project, version=version, sha256=sha, backend=backend, is_from_source=source)
    return present, tuple(requires)


def plan(env, *names, index=INDEX, installed=(), **options):
    requests = read_requests(
        FileContents(lines=tuple(Line(text=name) for name in names)),
        index=index,
        installed=[*env.distributions, *(present.name for present, _ in installed)],
        is_served=lambda name: True,
        provider=None,
    )
    return plan_requests(
        requests,
        env=env,
        catalog_for=lambda torch: Catalog(index),
        index=index,
        installed=Installed(installed, env),
        options=InstallOptions(**options),
    )


def words(made):
    return [f"{change.action} {change.name} {change.version}" for change in made.changes]


def test_bare_environment_gets_everything(env):
    made = plan(env(cv2=False), "det")
    assert words(made) == [
        "install mimctl-det 0.1.0",
        "install mimctl 0.1.0",
        "install mimctl-ops 0.1.0",
        "install torch 2.13.0+cpu",
        "install click 8.2",
        "install faster-coco-eval 1.7",
        "install numpy 2.0",
        "install opencv-python-headless 4.10",
    ]
    assert made.torch.reason == "no NVIDIA driver was found"


def test_a_driver_decides_torch_and_ops_together(env):
    made = plan(env(driver="580.65"), "det")
    assert made.torch.version == "2.13.0+cu130"
    assert [file.build.backend for file in made.wheels if file.build] == ["cu13"]


def test_what_is_there_and_serves_stays(env):
    made = plan(env("torch==2.12.0+cpu", "numpy==1.26.0", "scipy==1.0", "torchvision==0.27.0+cpu"), "det")
    assert made.torch is None
    assert not {"torch", "torchvision", "numpy", "scipy"} & {change.name for change in made.changes}


def test_what_must_be_upgraded_is_said_with_its_reason(env):
    made = plan(env("torch==2.12.0+cpu", "numpy==1.20.0", "click==8.1"), "det")
    change = next(each for each in made.changes if each.name == "numpy")
    assert (change.action, change.previous, change.version) == ("upgrade", "1.20.0", "2.0")
    assert change.reason == "for mimctl[engine]"
    assert "click" not in {each.name for each in made.changes}


def test_a_downgrade_is_called_so(env):
    made = plan(env("click==9"), "click<9")
    assert words(made) == ["downgrade click 8.2"]


def test_every_file_is_known_before_anything_is_fetched(env):
    made = plan(env(cv2=False), "det")
    assert {file.project for file in made.wheels} == {change.name for change in made.changes}
    assert all(change.sha256 and change.size and change.source == ADDRESS for change in made.changes)
    assert {change.name: change.reason for change in made.changes}["opencv-python-headless"] == (
        "the engine reads images with it; no cv2 module is installed"
    )


INSTALLED = (
    own("mimctl", requires=CORE, source=True),
    own("mimctl-det", requires=DET, sha="b" * 64),
    own("mimctl-ops", sha="c" * 64, backend="cpu"),
)
SATISFIED = ("torch==2.13.0+cpu", "numpy==2.0", "click==8.2", "faster-coco-eval==1.7")


def test_nothing_to_do(env):
    assert plan(env(*SATISFIED), "det", installed=INSTALLED).nothing_to_do


def test_a_missing_requirement_of_what_is_there_is_added(env):
    made = plan(env("torch==2.13.0+cpu", "click==8.2", "faster-coco-eval==1.7"), "det", installed=INSTALLED)
    assert words(made) == ["install numpy 2.0"]


def test_the_same_version_with_another_hash_is_refused_unless_it_is_insisted_on(env):
    other = (INSTALLED[0], own("mimctl-det", requires=DET, sha="f" * 64), INSTALLED[2])
    with pytest.raises(IntegrityError) as caught:
        plan(env(*SATISFIED), "det", installed=other)
    assert caught.value.code == "hash-changed"
    insisted = plan(env(*SATISFIED), "det", installed=other, reinstall=True)
    assert words(insisted) == ["replace mimctl-det 0.1.0"]
    assert insisted.reinstalled == ("mimctl-det",)


def test_a_plugin_installed_from_source_is_left_alone(env):
    other = (*INSTALLED[:1], own("mimctl-det", requires=DET, source=True), INSTALLED[2])
    assert plan(env(*SATISFIED), "det", installed=other).nothing_to_do


def test_an_op_package_without_recorded_hash_is_known_by_its_build(env):
    same = (*INSTALLED[:2], own("mimctl-ops", backend="cpu"))
    other = (*INSTALLED[:2], own("mimctl-ops", backend="python"))
    assert plan(env(*SATISFIED), "det", installed=same).nothing_to_do
    assert words(plan(env(*SATISFIED), "det", installed=other)) == ["replace mimctl-ops 0.1.0"]


def test_ops_of_a_torch_that_was_changed_are_replaced(env):
    there = env("torch==2.13.0+cu130", *SATISFIED[1:], driver="580.65")
    assert words(plan(there, "det", installed=INSTALLED)) == ["replace mimctl-ops 0.1.0"]


LABELLED = (
    wheel("mimctl-ops", "0.1.0+cpu", build=Build(backend="cpu", min_torch="2.10"), sha="5"),
    wheel("mimctl-ops", "0.1.0+cu13", build=Build(backend="cu13", min_torch="2.10", min_driver="580"), sha="6"),
    wheel("mimctl-ops", "0.1.0", build=Build(backend="cu13", min_torch="2.10", min_driver="580"), sha="7"),
)
WITH_LABELS = replace(INDEX, files=(*FILES[:2], *LABELLED))


@pytest.mark.parametrize(
    ("torch", "driver", "there", "expected"),
    [
        ("2.13.0+cpu", None, ("0.1.0+cpu", "cpu"), []),
        ("2.13.0+cu130", "580.65", ("0.1.0+cu13", "cu13"), []),
        ("2.13.0+cu130", "580.65", ("0.1.0", "cu13"), []),  # as pip and uv install it
        ("2.13.0+cu130", "580.65", ("0.1.0+cpu", "cpu"), ["replace mimctl-ops 0.1.0+cu13"]),
        ("2.13.0+cpu", None, ("0.1.0", "python"), ["replace mimctl-ops 0.1.0+cpu"]),
    ],
)
def test_builds_of_one_version_are_told_apart_by_what_they_are_not_by_their_labels(env, torch, driver, there, expected):
    version, backend = there
    installed = (*INSTALLED[:2], own("mimctl-ops", version, backend=backend))
    made = plan(env(f"torch=={torch}", *SATISFIED[1:], driver=driver), "det", index=WITH_LABELS, installed=installed)
    assert words(made) == expected
    assert made.notes == ()


def test_a_local_version_of_ones_own_is_kept(env):
    own_det = own("mimctl-det", "0.1.0+mine", requires=DET, sha="9" * 64)
    assert plan(env(*SATISFIED), "det", installed=(INSTALLED[0], own_det, INSTALLED[2])).nothing_to_do


@pytest.mark.parametrize("installed", [(), INSTALLED], ids=["install", "nothing to do"])
def test_a_torch_newer_than_every_verified_one_is_taken_with_one_warning(env, installed):
    made = plan(env("torch==2.16.0a0+git1234", *SATISFIED[1:]), "det", installed=installed)
    assert made.warnings == (
        "torch 2.16.0a0+git1234 is newer than 2.13.0, the newest that the index was verified with",
    )
    assert made.nothing_to_do == bool(installed)
    assert plan(env(*SATISFIED), "det", installed=installed).warnings == ()


def test_a_torch_that_is_asked_for_warns_too(env):
    made = plan(env(), "det", torch="2.16.0")
    assert made.warnings == ("torch 2.16.0+cpu is newer than 2.13.0, the newest that the index was verified with",)


def test_what_needs_no_torch_does_not_warn(env):
    assert plan(env("torch==2.16.0", "click==8.2"), "mimctl").warnings == ()


NEWER = Index(
    addresses=(ADDRESS,),
    files=(*FILES, wheel("mimctl-det", "0.2.0", requires=("mimctl[engine]>=0.1.0", "mimctl-ops==0.1.0"), sha="e")),
    torch_verified="2.13.0",
    toolboxes=BOXES,
)


def test_a_newer_version_is_told_and_taken_only_with_upgrade(env):
    made = plan(env(*SATISFIED), "det", index=NEWER, installed=INSTALLED)
    assert made.nothing_to_do
    assert made.notes == ("mimctl-det 0.2.0 is in the index, 0.1.0 is installed",)
    assert words(plan(env(*SATISFIED), "det", index=NEWER, installed=INSTALLED, upgrade=True)) == [
        "upgrade mimctl-det 0.2.0"
    ]


@pytest.mark.parametrize("name", ["det", "DET", "mmdet", "mmdetection", "mimctl-det", "mimctl_det", "det==0.1.0"])
def test_names_that_mean_the_plugin(env, name):
    assert plan(env(), name).requested == ("mimctl-det",)


def test_an_alias_with_a_version_is_that_other_distribution(env):
    made = plan(env("torch==2.13.0+cpu"), "mmdet==3.3.0")
    assert words(made) == ["install mmdet 3.3.0"]


def test_a_requirement_of_ours_that_no_index_has_is_refused(env):
    index = replace(INDEX, files=tuple(file for file in FILES if file.project != "mimctl-ops"))
    with pytest.raises(MimctlError) as caught:
        plan(env(), "det", index=index)
    assert caught.value.code == "not-in-index"
    assert caught.value.causes[0] == "wanted: mimctl-ops==0.1.0 (for mimctl-det)"


def test_a_version_that_the_index_lacks_is_refused_with_those_it_has(env):
    with pytest.raises(MimctlError) as caught:
        plan(env(), "det>=7")
    assert caught.value.code == "not-in-index"
    assert "the index has 0.1.0" in caught.value.causes


def test_requirements_that_meet_later_are_honoured(env):
    files = (
        wheel("mimctl-a", requires=("mimctl-c", "mimctl-b")),
        wheel("mimctl-b", requires=("mimctl-c<2",)),
        wheel("mimctl-c", "1"),
        wheel("mimctl-c", "2"),
    )
    made = plan(env(), "mimctl-a", index=replace(INDEX, files=files))
    assert "install mimctl-c 1" in words(made)


def test_extras_of_ours_are_followed_and_markers_hold(env):
    made = plan(env(), "mimctl", torch="none")
    assert words(made) == ["install mimctl 0.1.0", "install click 8.2"]
    made = plan(env(), "mimctl[engine]", torch="none")
    assert words(made) == ["install mimctl 0.1.0", "install click 8.2", "install numpy 2.0"]
    assert "tomli" not in str(plan(env(), "det").changes)


def test_torch_none_leaves_torch_out(env):
    made = plan(env(), "det", torch="none")
    assert "torch" not in {change.name for change in made.changes}
    assert "mimctl-ops" in {change.name for change in made.changes}


def test_another_torch_than_the_one_there_is_refused(env):
    with pytest.raises(MimctlError) as caught:
        plan(env("torch==2.13.0+cpu"), "det", torch="cu130")
    assert caught.value.code == "torch-present"
    for same in ("auto", "cpu", "2.13.0", "2.13.0+cpu"):
        plan(env("torch==2.13.0+cpu"), "det", torch=same)


def test_a_torch_too_old_for_anything_is_refused(env):
    index = replace(INDEX, files=(wheel("mimctl-det", requires=("torch>=2.6",)),))
    with pytest.raises(NoCompatibleBuildError) as caught:
        plan(env("torch==2.5.0"), "det", index=index)
    assert caught.value.code == "torch-too-old"


def test_torch_is_not_wanted_where_nothing_needs_it(env):
    assert plan(env(), "mimctl").torch is None


def test_the_torch_that_the_index_chooses_comes_before_the_newest_verified_one(env):
    made = plan(env(), "det", index=replace(INDEX, torch_default="2.12.0"))
    assert made.torch is not None
    assert made.torch.version.startswith("2.12.0")


def test_a_version_of_torch_that_is_asked_for_by_name_is_the_one_that_joins(env):
    made = plan(env(), "det", "torch==2.12.0")
    assert made.torch.version == "2.12.0+cpu"
    assert plan(env(), "torch==2.12.0", index=Index(addresses=())).torch.version == "2.12.0+cpu"
    assert plan(env(), "torch==2.12.0", torch="cu130").torch.version == "2.12.0+cu130"
    assert plan(env(), "torch==2.12.0+cu130", torch="cpu").torch.version == "2.12.0+cu130"


def test_an_index_without_a_verified_torch_says_what_to_type(env):
    with pytest.raises(MimctlError) as caught:
        plan(env(), "det", index=replace(INDEX, torch_verified=None))
    assert any("--torch" in hint for hint in caught.value.hints)
    assert plan(env(), "det", index=replace(INDEX, torch_verified=None), torch="2.12.0").torch is not None
