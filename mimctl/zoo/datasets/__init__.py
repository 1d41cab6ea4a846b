"""Published data sets: a table of where they lie, brought to this disk, verified and unpacked."""
