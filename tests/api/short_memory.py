"""The plugin, except that it remembers rights for only a fraction of a second, so that tests need not wait."""

import sys

from ceems_grpc.__main__ import main
from ceems_grpc.domain.access import Rights

if __name__ == "__main__":
    Rights.LIFETIME = 0.2
    sys.exit(main())
