"""Names of OpenMMLab's toolboxes."""

from __future__ import annotations

from mimctl.config.published import publishers_of


def test_names_are_traced_to_their_toolboxes() -> None:
    assert publishers_of("RTMDet", "model") == ["det"]
    assert publishers_of("RTMDet", "dataset") == []
    assert publishers_of("EncoderDecoder") == ["seg"]
    assert {"det", "pose"} <= set(publishers_of("CocoMetric", "metric"))
    assert publishers_of("NobodysName") == []
