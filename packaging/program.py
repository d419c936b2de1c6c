"""The entry point of the packaged program; everything else is in ceems_grpc."""

import sys

from ceems_grpc.__main__ import main

sys.exit(main())
