"""Turn a request into a plan: which launcher, how many processes, which argv and environment (pure)."""

from __future__ import annotations

from typing import Literal

from mimctl import __version__
from mimctl.errors import UsageError
from mimctl.launch.model import LaunchPlan, RunRequest
from mimctl.launch.slurm.script import render_rank, render_script, sbatch_options, srun_options
from mimctl.spec import LauncherFacts, RunSpec

LauncherKind = Literal["none", "pytorch", "slurm"]

CHILD = "mimctl.engine.child"
AGENT = "mimctl.engine.agent"
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
MAX_GPUS_PER_NODE = 8


def choose_launcher(
    *,
    kind: LauncherKind | None,
    gpus: int | None,
    procs: int | None = None,
    gpus_per_node: int | None = None,
    nodes: int | None = None,
    visible_gpus: int = 0,
    most_gpus_per_node: int = MAX_GPUS_PER_NODE,
) -> LauncherFacts:
    """Return how many processes run where.

    Nothing given: one GPU if one is visible, else the CPU (under Slurm: one GPU, as the login node may see none).
    `gpus_per_node` 0 is the CPU; not given, a node of Slurm gets `most_gpus_per_node` or what there is to give.
    More than one process implies `pytorch`. Raises UsageError where the counts contradict each other.
    """
    if gpus is None:
        gpus = 0 if procs or gpus_per_node == 0 else 1 if kind == "slurm" else min(visible_gpus, 1)
    if gpus and gpus_per_node == 0:
        raise UsageError(
            f"`--gpus {gpus}` and `--gpus-per-node 0` contradict each other", hints=["leave one of them out"]
        )
    if gpus and procs and procs != gpus:
        raise UsageError(f"`--gpus {gpus}` and `--procs {procs}` contradict each other: one process per GPU")
    total = gpus or procs or 1
    if kind == "slurm":
        return _slurm_facts(gpus, total, gpus_per_node, nodes, most_gpus_per_node)
    if nodes is not None and nodes > 1:
        raise UsageError("several nodes are Slurm's business here", hints=["`--launcher slurm`"])
    if gpus > visible_gpus:
        raise UsageError(
            f"`--gpus {gpus}` wants more GPUs than this machine shows ({visible_gpus})",
            code="no-such-gpu",
            hints=["train on the CPU: `--gpus 0`", "see what is there: `mimctl env`"],
        )
    if total > 1 and kind == "none":
        raise UsageError(
            f"`--launcher none` starts one process, {total} were asked for", hints=["`--launcher pytorch`"]
        )
    chosen: LauncherKind = kind or ("pytorch" if total > 1 else "none")
    return LauncherFacts(kind=chosen, device="cuda" if gpus else "cpu", num_procs=total, num_nodes=1)


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
        spec=spec, spec_path=request.run_dir / "spec.json", argv=argv, files={script_path: script}, script=script
    )
