"""What the run is doing, in numbers: absolute counters in, windows, rates and one snapshot out. Pure: values and ``now`` in, values out."""
