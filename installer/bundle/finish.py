"""Last step of freezing, run in the frozen environment: licences, bill of materials, and what the system must bring.

``python -m installer.bundle.finish --report FILE --bundle FOLDER --variant V --out FILE``
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from installer.bundle import BILL, elf, inventory, sbom
from installer.roots import version


def finish(report: Path, bundle: Path, variant: str) -> dict[str, object]:
    """Write licences and bill into the bundle's resources and return what the packages need to know.

    Raises
    ------
    InventoryError
        When something is inside about which not enough is known.
    """
    components = inventory.components_of_files(inventory.read_report(report))
    inventory.check(components)
    resources = bundle / "_internal" / "resources"
    inventory.write_licences(components, resources)
    sbom.write(components, resources / BILL, version(), variant)
    facts: dict[str, object] = {
        "components": len(components),
        "pruned_bytes": json.loads(report.read_text(encoding="utf-8"))["saved"],
        "bytes": sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file() and not path.is_symlink()),
        "files": sum(1 for path in bundle.rglob("*") if path.is_file()),
    }
    if sys.platform == "linux":
        outside, glibc = elf.outside(bundle)
        facts |= {"outside": outside, "glibc": list(glibc)}
    return facts


def main() -> int:
    """Run `finish` from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="installer.bundle.finish", description=__doc__)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--variant", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        facts = finish(options.report, options.bundle, options.variant)
    except inventory.InventoryError as error:
        print(error, file=sys.stderr)
        return 2
    options.out.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
