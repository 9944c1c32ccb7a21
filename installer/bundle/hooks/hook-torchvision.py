"""torchvision's compiled parts are loaded by name, so that PyInstaller does not see them.

They have been called `_C` and `image`, and since 0.29 `_C_stable` and `image_stable`; the hook that comes with
PyInstaller knows the first name only.
"""

import os

from PyInstaller.utils.hooks import collect_dynamic_libs

# Sources, because torch.jit reads them.
module_collection_mode = "pyz+py"
# Where they cannot be loaded (torchvision_shim.py), they and what they need would only take room.
if os.environ.get("CELLSEG1_SHIM") == "1":
    excludedimports = ["torchvision._C", "torchvision._C_stable", "torchvision.image", "torchvision.image_stable"]
else:
    binaries = collect_dynamic_libs("torchvision", search_patterns=["*.so", "*.pyd", "*.dll"])
