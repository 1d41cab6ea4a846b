"""Installed toolboxes, read off entry-point names and static manifests; no plugin code is ever imported here."""

from mimctl.plugin.discover import BrokenPlugin, Plugin, discover, get_plugin
from mimctl.plugin.manifest import Manifest, read_manifest

__all__ = ["BrokenPlugin", "Manifest", "Plugin", "discover", "get_plugin", "read_manifest"]
