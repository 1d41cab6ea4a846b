"""Which of several nodes this one is, and where they meet, without a scheduler that would say so (pure)."""

from __future__ import annotations

from mimctl.errors import UsageError

_LINE = "the same line on each node, with its own rank: `--nnodes 2 --node-rank 0 --rdzv-endpoint HOST:29400`"


def place_among(
    nodes: int | None, node_rank: int | None, rdzv_endpoint: str | None, *, port: int | None, is_slurm: bool
) -> tuple[int, str | None]:
    """Return this node's rank, from 0, and where the nodes meet (`host:port`), None where there is one.

    Raises UsageError where options are missing, contradict each other or are no host and port.
    """
    typed = {"--node-rank": node_rank, "--rdzv-endpoint": rdzv_endpoint}
    given = [f"`{name}`" for name, value in typed.items() if value is not None]
    if is_slurm:
        if given:
            raise UsageError(f"{given[0]} is for nodes without a scheduler: Slurm knows which node is which")
        return 0, None
    if nodes is None:
        if given:
            raise UsageError(f"{given[0]} is for several nodes", hints=["say how many there are: `--nnodes N`"])
        return 0, None
    if node_rank is not None and node_rank >= nodes:
        raise UsageError(
            f"`--node-rank {node_rank}` is none of {nodes} nodes", hints=[f"they go from 0 to {nodes - 1}"]
        )
    if nodes == 1:
        return 0, None
    missing = [f"`{name}`" for name, value in typed.items() if value is None]
    if node_rank is None or rdzv_endpoint is None:
        raise UsageError(
            f"`--nnodes {nodes}` without Slurm wants {' and '.join(missing)} too",
            hints=[_LINE, "on a cluster: `--launcher slurm`"],
        )
    if port is not None:
        raise UsageError("the port of several nodes stands in `--rdzv-endpoint`, not in `--port`", hints=[_LINE])
    _require_endpoint(rdzv_endpoint)
    return node_rank, rdzv_endpoint


def _require_endpoint(text: str) -> None:
    host, _, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not host or (":" in host and not is_bracketed) or any(map(str.isspace, host)):
        raise UsageError(f"`--rdzv-endpoint {text}` is no `HOST:PORT`", hints=["`node0:29400`, `[fd00::1]:29400`"])
    if not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
        raise UsageError(f"`--rdzv-endpoint {text}`: `{port}` is no port", hints=["one from 1 to 65535"])
