"""The zygote's entry: `python -m farm.isolation CONTROL_FD LANE_MEMORY_BYTES`."""

import sys

from farm.isolation.zygote import main

if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
