"""``python -m cellseg1``."""

import sys

from cellseg1.cli import main

sys.exit(main())
