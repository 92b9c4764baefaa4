"""``python -m animegen``."""

import sys

from animegen.cli import main

sys.exit(main())
