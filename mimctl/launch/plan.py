"""Turn a request into a plan: which launcher, how many processes, which argv and environment (pure)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from mimctl import __version__
from mimctl.errors import UsageError
from mimctl.launch.model import RANK_VARIABLES, LaunchPlan, RunRequest
from mimctl.launch.node_place import place_among
from mimctl.launch.slurm.script import render_script, sbatch_options
from mimctl.launch.slurm.watched import render_rank, srun_options
from mimctl.spec import LauncherFacts, RunSpec

LauncherKind = Literal["none", "pytorch", "slurm"]

CHILD = "mimctl.engine.child"
AGENT = "mimctl.engine.agent"
MAX_GPUS_PER_NODE = 8


def choose_launcher(
    *,
    kind: LauncherKind | None,
    gpus: int | None,
    procs: int | None = None,
    gpus_per_node: int | None = None,
    nodes: int | None = None,
    node_rank: int | None = None,
    rdzv_endpoint: str | None = None,
    port: int | None = None,
    max_restarts: int = 0,
    elastic: bool = False,
    visible_gpus: int = 0,
    most_gpus_per_node: int = MAX_GPUS_PER_NODE,
) -> LauncherFacts:
    """Return how many processes run where; `gpus` and `procs` count those of all nodes.

    Nothing given: on each node one GPU if one is visible, else the CPU (under Slurm: one GPU, as the login node may see
    none). `gpus_per_node` 0 is the CPU; not given, a node of Slurm gets `most_gpus_per_node` or what there is to give.
    More than one process implies `pytorch`, as do several nodes and `max_restarts`. Raises UsageError where the counts
    contradict each other, or an option says nothing to this launcher.
    """
    if gpus is None:
        gpus = _usual_gpus(kind, procs, gpus_per_node, nodes or 1, visible_gpus)
    if gpus:
        _require_agreement(gpus, gpus_per_node, procs)
    total = gpus or procs or nodes or 1
    place = place_among(nodes, node_rank, rdzv_endpoint, port=port, is_slurm=kind == "slurm")
    if kind == "slurm":
        _require_agents(max_restarts, elastic)
        facts = _slurm_facts(gpus, total, gpus_per_node, nodes, most_gpus_per_node)
        return replace(facts, max_restarts=max_restarts, is_elastic=elastic)
    if elastic:
        raise UsageError("`--elastic` is for Slurm", hints=["`--launcher pytorch` is an agent by itself"])
    facts = _local_facts(gpus, total, gpus_per_node, nodes or 1, visible_gpus)
    chosen = _local_kind(kind, total, max_restarts)
    return replace(facts, kind=chosen, node_rank=place[0], rdzv_endpoint=place[1], max_restarts=max_restarts)


def _usual_gpus(
    kind: LauncherKind | None, procs: int | None, gpus_per_node: int | None, nodes: int, visible_gpus: int
) -> int:
    """Return how many GPUs all nodes take where none are asked for."""
    if procs or gpus_per_node == 0:
        return 0
    return nodes * (gpus_per_node or (1 if kind == "slurm" else min(visible_gpus, 1)))


def _require_agents(max_restarts: int, elastic: bool) -> None:
    if max_restarts and not elastic:
        raise UsageError("an agent on each node starts ranks again", hints=["`--max-restarts` wants `--elastic`"])


def _require_agreement(gpus: int, gpus_per_node: int | None, procs: int | None) -> None:
    if gpus_per_node == 0:
        raise UsageError(
            f"`--gpus {gpus}` and `--gpus-per-node 0` contradict each other", hints=["leave one of them out"]
        )
    if procs and procs != gpus:
        raise UsageError(f"`--gpus {gpus}` and `--procs {procs}` contradict each other: one process per GPU")


def _local_kind(kind: LauncherKind | None, total: int, max_restarts: int) -> LauncherKind:
    chosen: LauncherKind = "pytorch" if total > 1 or max_restarts else "none"
    if chosen == "pytorch" and kind == "none":
        told = f"starts one process, {total} were asked for" if total > 1 else "starts nothing again"
        raise UsageError(f"`--launcher none` {told}", hints=["`--launcher pytorch`"])
    return kind or chosen


def _local_facts(gpus: int, total: int, gpus_per_node: int | None, nodes: int, visible_gpus: int) -> LauncherFacts:
    per_node = _even_share(gpus, total, gpus_per_node, nodes)
    if gpus:
        _require_visible(gpus, per_node, nodes, visible_gpus)
    return LauncherFacts(device="cuda" if gpus else "cpu", num_procs=per_node, num_nodes=nodes)


def _require_visible(gpus: int, per_node: int, nodes: int, visible_gpus: int) -> None:
    if per_node <= visible_gpus:
        return
    told = f"`--gpus {gpus}` wants more GPUs" if nodes == 1 else f"{per_node} GPUs of each of {nodes} nodes are more"
    raise UsageError(
        f"{told} than this machine shows ({visible_gpus})",
        code="no-such-gpu",
        hints=["train on the CPU: `--gpus 0`", "see what is there: `mimctl env`"],
    )


def _even_share(gpus: int, total: int, gpus_per_node: int | None, nodes: int) -> int:
    if gpus and gpus_per_node and gpus != gpus_per_node * nodes:
        raise UsageError(
            f"`--gpus {gpus}` on {nodes} node{'s' * (nodes > 1)} are not `--gpus-per-node {gpus_per_node}`",
            hints=["`--gpus` counts those of all nodes: leave one of them out"],
        )
    if total % nodes:
        raise UsageError(f"{total} processes do not fit `--nnodes {nodes}`: each node has as many as the others")
    return total // nodes


def _slurm_facts(gpus: int, total: int, gpus_per_node: int | None, nodes: int | None, most: int) -> LauncherFacts:
    per_node = gpus_per_node if gpus_per_node and gpus else min(total, most) if gpus else total
    if nodes is not None:
        if total % nodes or (gpus_per_node and gpus and total != nodes * gpus_per_node):
            told = f" and `--gpus-per-node {gpus_per_node}`" if gpus_per_node else ""
            raise UsageError(f"{total} processes do not fit `--nodes {nodes}`{told}")
        per_node = total // nodes
    if total % per_node:
        raise UsageError(
            f"`--gpus {gpus}` does not divide into nodes of `--gpus-per-node {per_node}`",
            hints=[f"ask for {total + per_node - total % per_node}, or name another `--gpus-per-node`"],
        )
    device: Literal["cpu", "cuda"] = "cuda" if gpus else "cpu"
    return LauncherFacts(kind="slurm", device=device, num_procs=per_node, num_nodes=total // per_node)


def make_plan(request: RunRequest) -> LaunchPlan:
    """Return exactly what `request` starts."""
    spec = make_spec(request)
    spec_path = request.run_dir / "spec.json"
    if request.launcher.kind == "slurm":
        return _slurm_plan(request, spec)
    module = AGENT if request.launcher.kind == "pytorch" else CHILD
    argv = (str(request.python), "-P", "-m", module, str(spec_path))
    environment = {"CUDA_VISIBLE_DEVICES": ""} if request.launcher.device == "cpu" else {}
    # What another launcher left in the shell must not make this run wait for ranks that never come.
    return LaunchPlan(spec=spec, spec_path=spec_path, argv=argv, environment=environment, unset=RANK_VARIABLES)


def make_spec(request: RunRequest) -> RunSpec:
    """Return the specification that the child reads."""
    options = dict(request.options)
    if request.port is not None:
        options["port"] = request.port
    return RunSpec(
        plugin=request.plugin,
        package=request.package,
        action=request.action,
        entry=request.entry,
        mimctl_version=__version__,
        config=str(request.config) if request.config else None,
        overrides=dict(request.overrides),
        work_dir=str(request.work_dir) if request.work_dir else None,
        checkpoint=str(request.checkpoint) if request.checkpoint else None,
        inputs=request.inputs,
        resume=request.resume,
        seed=request.seed,
        amp=request.amp,
        auto_scale_lr=request.auto_scale_lr,
        options=options,
        weights=dict(request.weights),
        launcher=request.launcher,
        events_path=str(request.run_dir / "events.jsonl"),
        result_path=str(request.run_dir / "result.json"),
    )


def _slurm_plan(request: RunRequest, spec: RunSpec) -> LaunchPlan:
    if request.slurm.foreground:
        rank = request.run_dir / "rank.sh"
        spec_path = request.run_dir / "spec.json"
        argv = ("srun", *srun_options(request), "bash", str(rank), str(spec_path))
        return LaunchPlan(spec=spec, spec_path=spec_path, argv=argv, files={rank: render_rank(request)})
    script_path = request.run_dir / "job.sbatch"
    script = render_script(request)
    argv = ("sbatch", "--parsable", *sbatch_options(request), str(script_path))
    return LaunchPlan(
        spec=spec,
        spec_path=request.run_dir / "spec.json",
        argv=argv,
        files={script_path: script},
        script=script,
        python=None if request.slurm.container else request.python,
    )
