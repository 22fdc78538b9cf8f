"""The entry of a zygote, and of a GPU's process.

`python -m farm.isolation CONTROL_FD LANE_MEMORY_BYTES`, or
`python -m farm.isolation CONTROL_FD MEMORY_BYTES --device cuda|cpu`
"""

import sys


def _main(control_fd: int, memory_bytes: int, device: str | None) -> None:
    if device is None:
        from farm.isolation import zygote

        zygote.main(control_fd, memory_bytes)
    else:
        from farm.isolation import gpu

        gpu.main(control_fd, memory_bytes, device="cuda" if device == "cuda" else "cpu")


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[4] if len(sys.argv) > 3 else None)
