"""What the GPUs of a machine can do for the farm, and whether they do it right."""
