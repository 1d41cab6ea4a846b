"""Necks: mix feature maps of several strides."""

from mimctl.vision.necks.cspnext_pafpn import CSPNeXtPAFPN

__all__ = ["CSPNeXtPAFPN"]
