"""Whatever a driver, a kernel file or a variable says, detection comes to an end with facts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mimctl.environment.amd import arch_of
from mimctl.environment.installed import release_of
from mimctl.environment.model import Gpu
from mimctl.environment.nvidia import mark_visible, parse_smi, split_mig
from mimctl.environment.torch import parse_version_file

LINES = st.lists(
    st.lists(
        st.one_of(st.text(max_size=6), st.sampled_from(["0", "580.65.06", "9.0", "Enabled", "GPU-1"])), max_size=9
    ),
    max_size=4,
).map(lambda rows: "\n".join(",".join(row) for row in rows))
SHOWN = st.one_of(
    st.text(max_size=20), st.lists(st.sampled_from(["0", "1", "9", "-1", "", "GPU-", "MIG-x"])).map(",".join)
)


@given(LINES)
def test_answers_of_nvidia_smi(text):
    driver, gpus, has_mig = parse_smi(text)
    assert len(gpus) == len(has_mig)
    assert (driver is None) == (not gpus)
    for gpu in gpus:
        assert gpu.capability == "" or len(release_of(gpu.capability)) == 2
    divided = list(split_mig(gpus, has_mig, text))
    assert len(divided) == sum(not each for each in has_mig)


@given(SHOWN, st.lists(st.sampled_from(["8.0", "9.0"]), max_size=3))
def test_values_of_cuda_visible_devices(shown, capabilities):
    gpus = [
        Gpu(name="GPU", capability=each, index=place, uuid=f"GPU-{place}") for place, each in enumerate(capabilities)
    ]
    marked = mark_visible(gpus, {"CUDA_VISIBLE_DEVICES": shown})
    assert [gpu.index for gpu in marked] == [gpu.index for gpu in gpus]
    if shown in ("", "-1"):
        assert not any(gpu.is_visible for gpu in marked)


VALUES = st.one_of(st.none(), st.text(max_size=8), st.just("9" * 5000), st.sampled_from(["13.0", "12", "²", "x.y"]))


@given(VALUES, VALUES, VALUES)
def test_version_files_of_torch(version, cuda, hip):
    found = parse_version_file(f"__version__ = {version!r}\ncuda: Optional[str] = {cuda!r}\nhip = {hip!r}\n")
    if found is not None:
        assert found.version
        assert found.backend in ("cpu", "cuda", "rocm")
        assert found.cuda_major is None or found.cuda_major >= 0
        assert all(number >= 0 for number in found.release)


@given(st.text())
def test_files_that_are_no_version_files(text):
    found = parse_version_file(text)
    assert found is None or found.version


@given(st.integers())
def test_numbers_of_architectures(number):
    name = arch_of(number)
    assert name is None or name.startswith("gfx")
