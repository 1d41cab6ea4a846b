"""Where the wanted build of torch comes from: pip's own configuration if it offers it, else torch's wheel index."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from mimctl.environment.model import Environment
from mimctl.errors import MimctlError, NetworkError
from mimctl.installer.backend import Backend
from mimctl.installer.model import TorchChange
from mimctl.selection.tags import supported_tags
from mimctl.selection.torch_build import is_plain
from mimctl.transfer import TransferSettings, get_bytes, redact


def locate_torch(
    torch: TorchChange, env: Environment, *, backend: Backend, torch_index: str, transfer: TransferSettings
) -> TorchChange:
    """Return `torch` with its source; looks at listings only, no wheel is downloaded.

    Raises NetworkError where torch's wheel index cannot be reached, MimctlError[torch-unavailable] where it has no
    such wheel for this interpreter.
    """
    if backend.offers("torch", torch.version) or torch.tag is None:
        return torch
    plain = torch.version.partition("+")[0]
    if is_plain(plain, torch.tag, env) and backend.offers("torch", plain):
        return replace(torch, version=plain, reason=f"{torch.reason}; without label it is the {torch.tag} build")
    index_url = f"{torch_index.rstrip('/')}/{torch.tag}"
    page = _page(f"{index_url}/torch/", torch, transfer)
    if not any(_mentions(page, torch.version, tag) for tag in supported_tags(env)):
        raise MimctlError(
            f"no `{torch.requirement}` for this interpreter",
            code="torch-unavailable",
            causes=[
                "pip's own configuration does not offer it",
                f"{redact(index_url)} has no such wheel for {env.interpreter_tag}",
            ],
            hints=["choose another: `--torch cpu`, `--torch 2.12.0`, …", "or install torch yourself, then repeat"],
        )
    return replace(torch, index_url=index_url)


def _page(url: str, torch: TorchChange, transfer: TransferSettings) -> str:
    try:
        answer = get_bytes(url, settings=transfer, headers={"Accept": "text/html"}, is_missing_ok=True)
    except NetworkError as err:
        raise NetworkError(
            f"cannot reach torch's wheel index for `{torch.requirement}`",
            code=err.code,
            causes=[f"pip's own configuration does not offer `{torch.requirement}`", *err.causes],
            hints=[
                "name a mirror: `mimctl settings set torch_index ADDRESS`",
                "or install torch yourself, then repeat the command",
            ],
        ) from err
    return answer.body.decode("utf-8", "replace")


def _mentions(page: str, version: str, tag: str) -> bool:
    name = f"torch-{version}-{tag}.whl"
    return name in page or quote(name) in page
