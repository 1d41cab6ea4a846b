"""What Slurm is told: typed before variables before what is set for the cluster, and nothing twice."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimctl.errors import UsageError
from mimctl.launch.model import LaunchOptions, SlurmOptions
from mimctl.launch.slurm.arguments import read_arguments
from mimctl.launch.slurm.asking import ask_for
from mimctl.launch.slurm.cluster import NodeKind
from mimctl.launch.slurm.fitting import Wish, find_kinds, gpus_of, require_room
from mimctl.settings.clusters import ClusterDefaults
from mimctl.spec import LauncherFacts


def ask(defaults: ClusterDefaults | None = None, environ: dict[str, str] | None = None, **typed) -> SlurmOptions:
    return ask_for(LaunchOptions(**typed), defaults or ClusterDefaults(), environ or {}, job_name="net_train")


CLUSTER = ClusterDefaults(
    partition="gpu",
    account="a",
    time="90",
    cpus_per_task=8,
    setup=("module load cuda",),
    container="apptainer exec --nv 'my x.sif'",
    sbatch_args="--mem=32G --constraint=fast",
    srun_args="--label",
)


def test_what_is_set_for_a_cluster_is_asked_for():
    asked = ask(CLUSTER)
    assert (asked.partition, asked.account, asked.time, asked.cpus_per_task) == ("gpu", "a", "90", 8)
    assert asked.container == ("apptainer", "exec", "--nv", "my x.sif")
    assert (asked.setup, asked.srun_args) == (("module load cuda",), ("--label",))
    assert asked.sbatch_args == ("--mem=32G", "--constraint=fast")
    assert ask().cpus_per_task == 2


def test_a_variable_beats_the_cluster_and_what_is_typed_beats_both():
    environ = {"SBATCH_PARTITION": "p", "SBATCH_ACCOUNT": "q"}
    asked = ask(CLUSTER, environ, account="typed", cpus_per_task=1, sbatch_args="--mem 64G -t 5")
    assert (asked.partition, asked.account, asked.time, asked.cpus_per_task) == ("p", "typed", "5", 1)
    assert asked.sbatch_args == ("--constraint=fast", "--mem=64G")


def test_set_up_lines_add_up_and_an_empty_one_leaves_the_clusters_out():
    assert ask(CLUSTER, setup=("x=1",)).setup == ("module load cuda", "x=1")
    assert ask(CLUSTER, setup=("", "x=1")).setup == ("x=1",)
    assert ask(CLUSTER, container="").container == ()


def test_what_srun_is_told_of_nodes_and_memory_counts_for_the_job_as_under_mim():
    asked = ask(srun_args='--mem 64G -x n9 --comment="two words" --label -l --gres=gpu:a100:2')
    assert asked.sbatch_args == ("--mem=64G", "--exclude=n9", "--comment=two words", "--gres=gpu:a100:2")
    assert asked.srun_args == ("--label", "-l")
    both = ask(sbatch_args="--mem=64G --gpus-per-node=2", srun_args="--mem=4G --gres=gpu:1")
    assert both.sbatch_args == ("--mem=64G", "--gpus-per-node=2")
    assert both.srun_args == ("--mem=4G", "--gres=gpu:1"), "said of both, it is meant of both"


def test_a_watched_run_asks_srun_for_its_nodes_and_for_nothing_that_only_sbatch_knows():
    asked = ask(foreground=True, sbatch_args="--no-requeue --mem=4G", srun_args="--label")
    assert (asked.sbatch_args, asked.srun_args) == (("--mem=4G",), ("--label",))


def test_a_jobs_name_partition_and_time_may_be_typed_as_arguments():
    asked = ask(sbatch_args="-J 'my job' -pfast --qos=high --time=1-0", partition="slow", job_name="x")
    assert (asked.job_name, asked.partition, asked.qos, asked.time) == ("my job", "fast", "high", "1-0")
    assert asked.sbatch_args == ()


@pytest.mark.parametrize(
    ("option", "text", "told"),
    [
        ("sbatch_args", "gpu", "`gpu` in `--sbatch-args` is no argument"),
        ("sbatch_args", "--mem 4 G", "`G` in `--sbatch-args` is no argument"),
        ("srun_args", "--exclusive python", "`python` in `--srun-args` is no argument"),
        ("srun_args", "-- python", "`--` in `--srun-args` is no argument"),
        ("sbatch_args", "--nodes=4", "`--nodes=4` in `--sbatch-args` is not for you to say"),
        ("srun_args", "-n 4", "`--ntasks=4` in `--srun-args` is not for you to say"),
        ("sbatch_args", "-o log", "`--output=log` in `--sbatch-args` is not for you to say"),
        ("sbatch_args", "--wrap 'rm -rf /'", "is not for you to say"),
        ("sbatch_args", "--comment 'open", "`--sbatch-args` is not quoted as a shell would read it"),
        ("container", 'x "y', "`--container` is not quoted"),
    ],
)
def test_words_that_would_mean_something_else_are_refused(option, text, told):
    with pytest.raises(UsageError, match=re.escape(told)):
        ask(**{option: text})


@given(st.lists(st.tuples(st.from_regex(r"[a-z][a-z-]{3,9}", fullmatch=True), st.text(max_size=9)), max_size=4))
def test_arguments_read_back_as_they_were_typed(pairs):
    words = [f"--x{name}={value}" for name, value in pairs]
    assert [each.word for each in read_arguments("--sbatch-args", shlex.join(words))] == words
    apart = [word for name, value in pairs for word in (f"--x{name}", f"v{value}")]
    read = read_arguments("--srun-args", shlex.join(apart))
    assert [(each.name, each.value) for each in read] == [(f"x{name}", f"v{value}") for name, value in pairs]


@pytest.mark.parametrize("line", ["a\r\nb", "a\0b"])
def test_a_set_up_line_that_sbatch_cannot_read_is_refused(line):
    with pytest.raises(UsageError, match="no batch script may"):
        ask(setup=(line,))


def nodes(partition: str, count: int, gres: str, cpus: int = 64, *, is_default: bool = False) -> NodeKind:
    return NodeKind(
        partition=partition,
        is_default=is_default,
        count=count,
        cpus=cpus,
        memory_mib=1000,
        gres=tuple(gres.split(",")) if gres else (),
        names=f"{partition}[1-{count}]",
    )


KINDS = (
    nodes("gpu", 6, "gpu:a100:4", is_default=True),
    nodes("gpu", 2, "gpu:h100:8,lustre:1", is_default=True),
    nodes("cpu", 40, "", cpus=48),
)


@pytest.mark.parametrize(
    ("wish", "partition", "told"),
    [
        ({"gpus": {"": 8}, "nodes": 2}, None, ""),
        ({"gpus": {"": 8}, "nodes": 3}, None, "partition `gpu` has 2 nodes for this job, 3 are wanted"),
        ({"gpus": {"": 4}, "nodes": 8}, "gpu", ""),
        ({"gpus": {"": 9}}, "gpu", "no node of partition `gpu` has 9 GPUs"),
        ({"gpus": {"a100": 5}}, "gpu", "no node of partition `gpu` has 5 a100 GPUs"),
        ({"gpus": {"v100": 1}}, "gpu", "no node of partition `gpu` has 1 v100 GPU"),
        ({"gpus": {"": 1}}, "cpu", "no node of partition `cpu` has 1 GPU"),
        ({"gpus": {"": 1}}, "cpu,gpu", ""),
        ({"procs": 8, "cpus_per_task": 7}, "cpu", "no node of partition `cpu` has 56 CPUs"),
        ({"procs": 8, "cpus_per_task": 6, "nodes": 40}, "cpu", ""),
    ],
)
def test_a_job_is_held_against_what_nodes_have(wish, partition, told):
    wanted = Wish(**{"nodes": 1, "procs": 1, "cpus_per_task": 2, **wish})
    chosen = find_kinds(KINDS, partition)
    if not told:
        require_room(chosen, wanted)
        return
    with pytest.raises(UsageError) as caught:
        require_room(chosen, wanted)
    assert (caught.value.code, caught.value.message) == ("partition-too-small", told)
    has = "`cpu[1-40]` (40 nodes): 48 CPUs, 1000 MiB, no GPU" if partition == "cpu" else "`gpu[1-6]` (6 nodes): 64 CPUs"
    assert caught.value.causes[0].startswith(has)


def test_a_partition_that_is_not_there_names_those_that_are():
    with pytest.raises(UsageError) as caught:
        find_kinds(KINDS, "cpu,gpuu")
    assert (caught.value.code, caught.value.hints) == ("unknown-partition", ("did you mean `gpu`?",))
    assert caught.value.causes == ("it has `gpu`, `cpu`",)
    assert find_kinds((), None) == {}


@pytest.mark.parametrize(
    ("text", "per_node"),
    [
        ("--gres=gpu:a100:4,lustre:1", {"a100": 4}),
        ("--gres gpu:2", {"": 2}),
        ("--gres=gpu", {"": 1}),
        ("--gres=gpu:a100", {"a100": 1}),
        ("--gpus-per-node=a100:2,v100:1", {"a100": 2, "v100": 1}),
        ("--gpus-per-task=a100:1", {"a100": 4}),
        ("-G 7", {"": 4}),
        ("--gres=lustre:1 --mem=4G", None),
    ],
)
def test_gpus_are_read_in_each_of_slurms_forms(text, per_node):
    facts = LauncherFacts(kind="slurm", device="cuda", num_procs=4, num_nodes=2)
    assert gpus_of(read_arguments("--sbatch-args", text), facts) == per_node
