"""Studies: the runs of a matrix of settings, made one after the other on the devices there are."""
