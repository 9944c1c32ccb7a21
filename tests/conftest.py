"""Makes the tests' shared helpers importable (``tests/core/golden_models.py``), and keeps each process to one core."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent / "core"))
