"""Tensor functions of the farm: resize, crop, colour; the torch reference defines what is right."""
