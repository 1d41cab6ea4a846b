"""The resolver: requests, an environment, indexes and what is installed in; one consistent set out."""

from __future__ import annotations

import pytest
from made_environment import make_env
from packaging.requirements import Requirement
from resolution.made_catalog import MadeCatalog, MadeInstalled, make_installed, make_wheel, wants

from mimctl.errors import IntegrityError, MimctlError, NoCompatibleBuildError, UsageError
from mimctl.index.model import Build
from mimctl.resolution.model import Metadata, Present, Provided, ResolveOptions, Wanted
from mimctl.resolution.resolve import resolve
from mimctl.selection.torch_build import TorchBuild


def answer(*names, files=(), there=None, env=None, sdists=None, provided=None, catalog=None, **options):
    """Return the resolution of `names`; what is installed is in the environment too."""
    there = there or MadeInstalled()
    pins = [f"{name}=={there.get(name).version}" for name in there.names()]
    torch = there.get("torch")
    env = env or make_env(torch=torch.version if torch else None, distributions=pins)
    catalog = catalog or MadeCatalog(files=files, sdists=sdists or {})
    return resolve(
        wants(*names),
        env=env,
        catalog=catalog,
        installed=there,
        provided=provided or {},
        options=ResolveOptions(**options),
    )


def words(resolution):
    return sorted(f"{each.name} {each.version}{' stays' if each.is_kept else ''}" for each in resolution.picks.values())


def refused(*args, **kwargs):
    with pytest.raises(MimctlError) as caught:
        answer(*args, **kwargs)
    return caught.value


NUMPY = (make_wheel("numpy 1.26"), make_wheel("numpy 2.0"), make_wheel("numpy 2.1"))


def test_the_newest_that_satisfies_everyone():
    files = (*NUMPY, make_wheel("a 1", "numpy<2.1", "b"), make_wheel("b 1", "numpy>=2"))
    assert words(answer("a", files=files)) == ["a 1", "b 1", "numpy 2.0"]


def test_who_needs_what_is_told():
    files = (*NUMPY, make_wheel("a 1", "numpy<2.1", "b"), make_wheel("b 1", "numpy>=2"))
    needed = answer("a", "numpy", files=files).picks["numpy"].needed_by
    assert {(each.by, str(each.requirement)) for each in needed} == {
        ("a", "numpy<2.1"),
        ("b", "numpy>=2"),
        ("", "numpy"),
    }


def test_an_older_version_is_taken_where_the_newest_needs_what_is_not_there():
    files = (make_wheel("a 1"), make_wheel("a 2", "ghost"))
    assert words(answer("a", files=files)) == ["a 1"]


def test_what_is_installed_is_preferred_and_no_index_is_asked():
    catalog = MadeCatalog(files=(*NUMPY, make_wheel("a 1", "numpy")))
    there = make_installed(numpy="1.26")
    assert words(answer("a", catalog=catalog, there=there)) == ["a 1", "numpy 1.26 stays"]
    assert "numpy" not in catalog.asked
    assert there.read == [], "requirements of what is installed are read only where something installed changes"


def test_upgrade_names_what_is_to_be_newer_and_nothing_else():
    files = (*NUMPY, make_wheel("a 1", "numpy"), make_wheel("a 2", "numpy"))
    there = make_installed(a="1", numpy="1.26")
    assert words(answer("a", files=files, there=there, upgrade=frozenset({"A"}))) == ["a 2", "numpy 1.26 stays"]
    assert words(answer("a", files=files, there=there, upgrade_all=True)) == ["a 2", "numpy 2.1"]


def test_an_upgrade_may_need_more_than_what_is_there():
    files = (*NUMPY, make_wheel("a 1", "numpy"), make_wheel("a 2", "numpy>=2"))
    there = make_installed(a="1", numpy="1.26")
    assert words(answer("a", files=files, there=there, upgrade=frozenset({"a"}))) == ["a 2", "numpy 2.1"]


def test_upgrade_never_goes_back():
    there = make_installed(numpy="3.0")
    assert words(answer("numpy", files=NUMPY, there=there, upgrade=frozenset({"numpy"}))) == ["numpy 3.0 stays"]


def test_a_requirement_upgrades_what_is_too_old():
    files = (*NUMPY, make_wheel("a 1", "numpy>=2"))
    assert words(answer("a", files=files, there=make_installed(numpy="1.26"))) == ["a 1", "numpy 2.1"]


def test_an_older_helper_is_taken_before_something_installed_changes():
    files = (
        *NUMPY,
        make_wheel("a 1", "helper"),
        make_wheel("helper 1"),
        make_wheel("helper 2", "numpy>=2"),
    )
    assert words(answer("a", files=files, there=make_installed(numpy="1.26"))) == ["a 1", "helper 1"]


def test_what_was_asked_for_comes_in_its_newest_version_though_something_installed_changes():
    files = (*NUMPY, make_wheel("a 1"), make_wheel("a 2", "numpy>=2"))
    assert words(answer("a", files=files, there=make_installed(numpy="1.26"))) == ["a 2", "numpy 2.1"]


def test_whoever_requires_what_changes_joins_and_changes_only_where_it_must():
    files = (*NUMPY, make_wheel("a 1", "numpy>=2"), make_wheel("scipy 1", "numpy<2"), make_wheel("scipy 2", "numpy>=2"))
    there = make_installed(numpy="1.26", scipy=("1", "numpy<2"), pandas=("1", "numpy"), other="1")
    made = answer("a", files=files, there=there)
    assert words(made) == ["a 1", "numpy 2.1", "pandas 1 stays", "scipy 2"]
    assert made.picks["scipy"].goes_with == ("numpy",)


def test_what_nothing_can_be_done_about_is_refused_rather_than_broken():
    files = (*NUMPY, make_wheel("a 1", "numpy>=2"), make_wheel("scipy 1", "numpy<2"))
    error = refused("a", files=files, there=make_installed(numpy="1.26", scipy=("1", "numpy<2")))
    assert error.code == "conflicting-requirements"
    assert "a wants numpy>=2" in error.causes[0]
    assert "scipy wants numpy<2" in error.causes[0]
    assert "numpy 2.1, 2.0, 1.26" in error.causes[0]
    assert any("mimctl uninstall scipy" in hint for hint in error.hints)


def test_what_was_broken_before_is_not_ours_to_mend():
    files = (*NUMPY, make_wheel("a 1", "numpy>=2"))
    there = make_installed(numpy="1.26", broken=("1", "numpy>=9", "ghost", "not a requirement !"))
    assert words(answer("a", files=files, there=there)) == ["a 1", "numpy 2.1"]


def test_what_is_asked_for_is_completed_where_it_was_broken():
    assert words(answer("a", files=NUMPY, there=make_installed(a=("1", "numpy>=2")))) == ["a 1 stays", "numpy 2.1"]
    there = make_installed(mimctl_det=("1", "numpy"))
    assert words(answer("mimctl-det", files=NUMPY, there=there)) == ["mimctl-det 1 stays", "numpy 2.1"]


def test_extras_are_followed_and_belong_to_the_version_that_is_taken():
    files = (
        make_wheel("a 1", "b[fast]", "c"),
        make_wheel("b 2", "speed>=2; extra == 'fast'"),
        make_wheel("b 1", "speed; extra == 'fast'", "nothing-else; extra == 'slow'"),
        make_wheel("c 1", "b<2"),
        make_wheel("speed 1"),
    )
    assert words(answer("a", files=files)) == ["a 1", "b 1", "c 1", "speed 1"]
    assert words(answer("a", files=files, there=make_installed(b=("1", "speed; extra == 'fast'"), c="1", a="1"))) == [
        "a 1 stays"
    ]


def test_an_extra_of_what_is_installed_brings_what_it_adds():
    files = (make_wheel("speed 1"),)
    there = make_installed(mimctl=("1", "speed; extra == 'engine'"), opencv_python="4")
    assert words(answer("mimctl[engine]", files=files, there=there)) == ["mimctl 1 stays", "speed 1"]


def test_markers_are_those_of_the_target():
    files = (make_wheel("a 1", "b; sys_platform == 'win32'", "c; python_version < '3.12'"), make_wheel("b 1"))
    files = (*files, make_wheel("c 1"))
    assert words(answer("a", files=files)) == ["a 1", "c 1"]
    assert words(answer("a", files=files, env=make_env(platform="windows", python="3.13.1", torch=None))) == [
        "a 1",
        "b 1",
    ]


@pytest.mark.parametrize(
    ("request_", "options", "expected"),
    [
        ("a", {}, "1.0"),
        ("a", {"pre": True}, "2.0rc1"),
        ("a>=2.0rc1", {}, "2.0rc1"),
        ("only-pre", {}, "1.0b2"),
    ],
)
def test_prereleases_only_where_they_are_asked_for_or_alone(request_, options, expected):
    files = (make_wheel("a 1.0"), make_wheel("a 2.0rc1"), make_wheel("only-pre 1.0b1"), make_wheel("only-pre 1.0b2"))
    assert next(iter(answer(request_, files=files, **options).picks.values())).version == expected


def test_an_installed_prerelease_serves():
    assert words(answer("a>=1", there=make_installed(a="2.0rc1"))) == ["a 2.0rc1 stays"]


def test_wheels_for_others_are_passed_over():
    files = (
        make_wheel("a 3", tag="cp313-cp313-manylinux_2_17_x86_64"),
        make_wheel("a 2", requires_python=">=3.12"),
        make_wheel("a 1.5", yanked="broken"),
        make_wheel("a 1"),
    )
    assert words(answer("a", files=files)) == ["a 1"]
    assert words(answer("a==1.5", files=files)) == ["a 1.5"], "a withdrawn file is taken where it is named (PEP 592)"


def test_requires_python_that_only_the_metadata_tells_is_honoured():
    files = (make_wheel("a 2"), make_wheel("a 1"))
    catalog = MadeCatalog(files=files, requires_python={files[0].filename: ">=3.12"})
    assert words(answer("a", catalog=catalog)) == ["a 1"]
    catalog = MadeCatalog(files=files[:1], requires_python={files[0].filename: ">=3.12"})
    error = refused("a", catalog=catalog)
    assert isinstance(error, NoCompatibleBuildError)
    assert error.causes == ("a 2 needs Python >=3.12",)


def test_a_version_whose_requirements_cannot_be_read_is_passed_over():
    files = (make_wheel("a 2", "what is this"), make_wheel("a 1"))
    assert words(answer("a", files=files)) == ["a 1"]


def test_a_requirement_that_names_an_address_is_not_followed():
    error = refused("a", files=(make_wheel("a 1", "b @ https://evil.example/b-1-py3-none-any.whl"), make_wheel("b 1")))
    assert error.code == "conflicting-requirements"
    assert "a names an address for b" in error.causes[0]


TORCH = TorchBuild(version="2.13.0", tag="cpu", reason="no NVIDIA driver was found")


def test_torch_joins_in_the_build_that_was_chosen():
    files = (
        make_wheel("torch 2.13.0+cpu", "sympy"),
        make_wheel("torch 2.13.0+cu130"),
        make_wheel("torch 2.14.0+cpu"),
        make_wheel("sympy 1"),
        make_wheel("a 1", "torch>=2"),
    )
    assert words(answer("a", files=files, torch=TORCH)) == ["a 1", "sympy 1", "torch 2.13.0+cpu"]
    assert words(answer("a", files=files, torch=TORCH, leaves_torch_out=True)) == ["a 1"]
    assert "name a version: `--torch 2.13.0`" in refused("a", files=files).hints


def test_the_plain_torch_of_the_public_index_is_the_cuda_build():
    files = (make_wheel("torch 2.13.0"), make_wheel("a 1", "torch"))
    cuda = TorchBuild(version="2.13.0", tag="cu130", reason="driver")
    assert words(answer("a", files=files, torch=cuda)) == ["a 1", "torch 2.13.0"]
    assert refused("a", files=files, torch=TORCH).code == "torch-unavailable"


def test_a_torch_that_would_join_and_does_not_satisfy_is_refused():
    error = refused("a", files=(make_wheel("torch 2.13.0+cpu"), make_wheel("a 1", "torch>=3")), torch=TORCH)
    assert isinstance(error, UsageError)
    assert (error.code, error.causes) == ("torch-too-old", ("torch>=3 (for a)",))


@pytest.mark.parametrize("name", ["torch", "torchvision", "torchaudio"])
def test_torch_and_its_family_never_change(name):
    files = (make_wheel(f"{name} 9.0"), make_wheel("a 1", f"{name}>=1"), make_wheel("b 1", f"{name}>=9"))
    there = make_installed(**{name: "2.0+cpu"})
    assert f"{name} 2.0+cpu stays" in words(answer("a", name, files=files, there=there, upgrade_all=True))
    error = refused("b", files=files, there=there)
    assert error.code == ("torch-too-old" if name == "torch" else "conflicting-requirements")
    assert f"mimctl never replaces {name}" in error.causes


@pytest.mark.parametrize("version", ["2.14.0a0+git1234567", "2.6.0a0+ecf3bae40a.nv25.1", "2.13.0+cpu"])
def test_an_unusual_torch_satisfies_what_its_version_does(version):
    assert f"torch {version} stays" in words(
        answer("a", files=(make_wheel("a 1", "torch>=2.5"),), there=make_installed(torch=version))
    )


def test_torch_without_a_distribution_is_there_all_the_same():
    made = answer("a", files=(make_wheel("a 1", "torch"),), env=make_env(torch="2.12.0"))
    assert words(made) == ["a 1", "torch 2.12.0 stays"]


def test_what_torch_requires_goes_on_to_hold():
    files = (make_wheel("sympy 1.14"), make_wheel("sympy 1.13"), make_wheel("a 1", "sympy>=1.14"), make_wheel("a 0.9"))
    there = make_installed(torch=("2.6.0", "sympy<1.14"), sympy="1.12")
    assert words(answer("a", files=files, there=there)) == ["a 0.9"]
    error = refused("a==1", files=files, there=there)
    assert "torch wants sympy<1.14" in error.causes[0]
    assert any("never replaces torch" in cause for cause in error.causes)


def test_a_provided_distribution_is_the_only_candidate_of_its_name():
    metadata = Metadata(name="a", version="5+mine", requires_dist=("numpy<2",))
    given = {"a": Provided(metadata=metadata, origin="./a")}
    made = answer(files=(*NUMPY, make_wheel("a 9")), provided=given)
    assert words(made) == ["a 5+mine", "numpy 1.26"]
    assert made.picks["a"].provided is given["a"]
    assert refused("b", files=(*NUMPY, make_wheel("b 1", "a<5")), provided=given).code == "conflicting-requirements"


def test_a_provided_torch_does_not_replace_one():
    given = {"torch": Provided(metadata=Metadata(name="torch", version="9"), origin="./torch.whl")}
    assert refused(
        "a", "torch==9", files=(make_wheel("a 1"),), provided=given, there=make_installed(torch="2.13.0")
    ).code == ("torch-present")


CORE = make_wheel("mimctl 1", "numpy; extra == 'engine'")
CV2 = tuple(
    make_wheel(f"{name} 4.{minor}")
    for name in ("opencv-python", "opencv-python-headless", "opencv-contrib-python-headless")
    for minor in (9, 10)
)


def test_opencv_is_added_where_there_is_none():
    files = (CORE, *NUMPY, *CV2)
    assert "opencv-python-headless 4.10" in words(answer("mimctl[engine]", files=files))
    assert "opencv" not in str(words(answer("mimctl", files=files)))
    env = make_env(torch=None, cv2=True)
    assert "opencv" not in str(words(answer("mimctl[engine]", files=files, env=env)))


def test_one_opencv_serves_all_its_names():
    files = (make_wheel("a 1", "opencv-python<4.10"), make_wheel("b 1", "opencv-python-headless"), *CV2)
    assert words(answer("a", "b", files=files)) == ["a 1", "b 1", "opencv-python-headless 4.9"]
    assert words(answer("a", "b", files=files, there=make_installed(opencv_python="4.1"))) == [
        "a 1",
        "b 1",
        "opencv-python 4.1 stays",
    ]
    assert words(answer("b", "opencv-python", files=files)) == ["b 1", "opencv-python 4.10"]
    more = (*files, make_wheel("c 1", "opencv-contrib-python"))
    assert words(answer("a", "c", files=more)) == ["a 1", "c 1", "opencv-contrib-python-headless 4.9"]


OPS = tuple(
    make_wheel("mimctl-ops 1", build=Build(backend=backend, min_torch="2.10", min_driver=driver), sha=sha)
    for backend, driver, sha in (("cpu", None, "c"), ("cu13", "580", "d"))
)


def test_the_build_fits_the_torch_that_joins():
    cuda = TorchBuild(version="2.13.0", tag="cu130", reason="driver")
    env = make_env(torch=None, driver="580.65")
    files = (*OPS, make_wheel("torch 2.13.0+cu130"))
    made = resolve(
        wants("mimctl-ops"),
        env=env,
        catalog=MadeCatalog(files),
        installed=MadeInstalled(),
        options=ResolveOptions(torch=cuda),
    )
    assert made.picks["mimctl-ops"].file.build.backend == "cu13"
    trace = made.decisions["mimctl-ops"]
    assert trace.chosen is made.picks["mimctl-ops"].file
    assert [each.file.build.backend for each in trace.rejected] == ["cpu"]


def test_no_fitting_build_is_told_with_every_reason():
    files = (make_wheel("mimctl-det 1", "mimctl-ops==1"), *OPS)
    error = refused("mimctl-det", files=files, there=make_installed(torch="2.9.1+cpu"), typed="det")
    assert isinstance(error, NoCompatibleBuildError)
    assert sum("needs torch >= 2.10, found 2.9.1+cpu" in cause for cause in error.causes) == 2


def present(**facts):
    return MadeInstalled([Present(name="mimctl-ops", version="1", **facts)])


def test_an_installed_build_that_does_not_fit_is_replaced_by_one_that_does():
    env = make_env(torch="2.13.0+cu130", driver="580.65")
    made = answer("mimctl-ops", files=OPS, there=present(backend="cpu"), env=env)
    assert made.picks["mimctl-ops"].file.build.backend == "cu13"
    same = answer("mimctl-ops", files=OPS, there=present(backend="cu13", sha256="d" * 64), env=env)
    assert same.picks["mimctl-ops"].is_kept


@pytest.mark.parametrize("facts", [{"backend": "cpu", "sha256": "e" * 64}])
def test_the_same_version_with_another_hash_is_refused_unless_it_is_insisted_on(facts):
    with pytest.raises(IntegrityError) as caught:
        answer("mimctl-ops", files=OPS[:1], there=present(**facts), env=make_env())
    assert caught.value.code == "hash-changed"
    assert ["e" * 64 in caught.value.causes[0], "c" * 64 in caught.value.causes[1]] == [True, True]
    made = answer(
        "mimctl-ops", files=OPS[:1], there=present(**facts), env=make_env(), reinstall=frozenset({"mimctl-ops"})
    )
    assert made.picks["mimctl-ops"].file is OPS[0]


def test_what_was_installed_from_source_is_left_alone():
    there = present(backend="python", is_from_source=True)
    assert answer("mimctl-ops", files=OPS, there=there, env=make_env()).picks["mimctl-ops"].is_kept


def test_a_project_with_nothing_but_source_is_refused_with_what_to_type():
    error = refused(
        "a", files=(make_wheel("a 1", "b>=2"), make_wheel("b 1")), sdists={"b": ["b-2.0.tar.gz", "b-1.0.tar.gz"]}
    )
    assert (error.code, error.exit_code) == ("only-sdist", 3)
    assert "--build b" in error.hints[0]
    assert "source distributions: 2.0; building one runs its code" in error.causes


def test_a_wheel_is_taken_though_a_newer_source_is_there():
    assert words(answer("b", files=(make_wheel("b 1"),), sdists={"b": ["b-2.0.tar.gz"]})) == ["b 1"]


def test_names_that_no_index_has():
    assert refused("ghost").message == "`ghost` is in none of the indexes"
    error = refused("mimctl-a", files=(make_wheel("mimctl-a 1", "mimctl-b>=7"), make_wheel("mimctl-b 1")))
    assert (error.code, error.message) == ("not-in-index", "no fitting version of `mimctl-b` in the index")
    assert error.causes[:2] == ("wanted: mimctl-b>=7 (for mimctl-a)", "the index has 1")


def test_a_conflict_between_requests_is_one_sentence():
    files = (*NUMPY, make_wheel("a 1", "numpy>=2"), make_wheel("b 1", "numpy<2"))
    error = refused("a", "b", files=files)
    assert error.message == "no version of `numpy` suits everyone who wants it"
    assert error.causes == ("a wants numpy>=2, b wants numpy<2; there are numpy 2.1, 2.0, 1.26",)


def test_constraints_hold_and_bring_nothing():
    files = (*NUMPY, make_wheel("a 1", "numpy"))
    held = (Wanted(requirement=Requirement("numpy<2.1")), Wanted(requirement=Requirement("other==3")))
    assert words(answer("a", files=files, constraints=held)) == ["a 1", "numpy 2.0"]


def test_too_many_steps_end_with_an_error(monkeypatch):
    monkeypatch.setattr("mimctl.resolution.resolve.MAX_ROUNDS", 3)
    files = [make_wheel(f"p{number} 1", f"p{number + 1}") for number in range(9)] + [make_wheel("p9 1")]
    assert refused("p0", files=files).code == "resolution-too-long"


def test_circles_are_no_trouble():
    files = (make_wheel("a 1", "b"), make_wheel("b 1", "a", "a[x]"))
    assert words(answer("a", files=files)) == ["a 1", "b 1"]


def test_what_cannot_go_with_what_is_installed_is_not_tried_beside_every_version_of_everything_else():
    others = [f"other{number}" for number in range(12)]
    files = [make_wheel(f"{name} {version}") for name in others for version in range(1, 7)]
    files += [make_wheel("app 1", *others, "tail"), make_wheel("tail 1", "tool>=2"), make_wheel("tool 2")]
    found = words(answer("app", files=files, there=make_installed(tool="1")))
    assert "tool 2" in found
    assert {f"{name} 6" for name in others} <= set(found)


def test_an_older_version_is_taken_where_only_that_goes_with_what_is_installed():
    files = (*NUMPY, make_wheel("a 1", "mid"), make_wheel("mid 2", "numpy>=2"), make_wheel("mid 1", "numpy"))
    assert words(answer("a", files=files, there=make_installed(numpy="1.26"))) == ["a 1", "mid 1", "numpy 1.26 stays"]


def test_no_answer_is_leapt_over():
    files = (
        *(make_wheel("a 1", "b"), make_wheel("b 1", "d>3"), make_wheel("c 1", "d")),
        *(make_wheel("d 1"), make_wheel("d 2", "a")),
    )
    assert words(answer("c", files=files)) == ["c 1", "d 1"]
