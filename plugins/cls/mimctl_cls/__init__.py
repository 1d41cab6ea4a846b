"""Image classification for mimctl: models, data sets, metrics and configs of the scope `cls`."""
