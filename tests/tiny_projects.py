"""Projects of a few lines, and a build backend of a few more that builds them: tests need no real one."""

from __future__ import annotations

from pathlib import Path

BUILD_BACKEND = """
import os, tomllib, zipfile


def _write(folder, text, needs=""):
    with open("pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    name, version = project["name"].replace("-", "_"), project["version"]
    info = f"{name}-{version}.dist-info"
    head = f"Metadata-Version: 2.1\\nName: {project['name']}\\nVersion: {version}\\n"
    head += "".join(f"Requires-Dist: {each}\\n" for each in project.get("dependencies", []))
    wheel = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, wheel), "w") as archive:
        members = {member.format(name=name): data.format(here=os.getcwd()) for member, data in text.items()}
        members[f"{info}/METADATA"] = head
        members[f"{info}/WHEEL"] = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        members[f"{info}/RECORD"] = "".join(f"{member},,\\n" for member in [*members, f"{info}/RECORD"])
        for member, data in members.items():
            archive.writestr(member, data)
    return wheel


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if os.path.exists("needs_torch"):
        import torch
    return _write(wheel_directory, {"{name}.py": "BUILT = True\\n"})


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return _write(wheel_directory, {"{name}.pth": "{here}\\n"})
"""


def write_project(
    folder: Path, *, name: str = "mine", version: str = "1.5", is_dynamic: bool = False, needs_torch: bool = False
) -> Path:
    """Write a project that the tiny backend builds, once `tiny-build` with `BUILD_BACKEND` in it can be installed.

    Its build alone tells what it requires where `is_dynamic`, and imports torch where it `needs_torch`.
    """
    folder.mkdir(parents=True)
    lines = ["[project]", f'name = "{name}"', f'version = "{version}"', 'requires-python = ">=3.11"']
    if is_dynamic:
        lines.append('dynamic = ["dependencies"]')
    else:
        lines += ['dependencies = ["numpy>=1.24"]', 'optional-dependencies.Some_Extra = ["rich"]']
    lines += ["[build-system]", 'requires = ["tiny-build"]', 'build-backend = "tiny_build"', ""]
    (folder / "pyproject.toml").write_text("\n".join(lines), encoding="utf-8")
    (folder / f"{name}.py").write_text("BUILT = False\n", encoding="utf-8")
    if needs_torch:
        (folder / "needs_torch").write_text("", encoding="utf-8")
    return folder
