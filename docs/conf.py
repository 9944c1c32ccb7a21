"""The documentation as a site: ``bash installer/from_source.sh docs`` builds it into ``site``.

Guide, installing, decisions and measurements are the Markdown files that GitHub shows too; the reference is generated from
the docstrings.
"""

import runpy
import sys
from pathlib import Path

root = Path(__file__).parent.parent
sys.path.insert(0, str(root))

project = "CellSeg1 Studio"
author = "The CellSeg1 Studio developers"
release = version = runpy.run_path(str(root / "cellseg1" / "_version.py"))["__version__"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
default_role = "code"

# Headings of Markdown files can be linked to, as GitHub does.
myst_heading_anchors = 3

napoleon_google_docstring = False
napoleon_use_ivar = True
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"CellSeg1 Studio {release}"
html_copy_source = False
html_show_copyright = False
