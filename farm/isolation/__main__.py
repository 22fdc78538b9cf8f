"""The entry of a zygote, and of a GPU's process.

`python -m farm.isolation CONTROL_FD LANE_MEMORY_BYTES --isolation none|process|sandbox`, or
`python -m farm.isolation CONTROL_FD MEMORY_BYTES --device cuda|cpu`
"""

import sys


def _main(control_fd: int, memory_bytes: int, option: str, value: str) -> None:
    if option == "--isolation":
        from farm.isolation import zygote
        from farm.settings import Isolation

        zygote.main(control_fd, memory_bytes, Isolation(value))
    else:
        from farm.isolation import gpu

        gpu.main(control_fd, memory_bytes, device="cuda" if value == "cuda" else "cpu")


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
