"""How far two right implementations may lie apart, by the type of their result: stated once."""

import torch

# The largest difference of one sample, on a scale of 0 to 255; in uint8 it is one rounding step.
MAX_DIFFERENCE: dict[torch.dtype, float] = {torch.uint8: 1.0, torch.float32: 0.01}
