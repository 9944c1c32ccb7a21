"""The software bill of materials, in the format CycloneDX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component as Part
from cyclonedx.model.component import ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from installer.bundle.inventory import Component

_SCHEMA = SchemaVersion.V1_6


def make(components: Iterable[Component], version: str, variant: str) -> str:
    """Return the bill as JSON text.

    Parameters
    ----------
    version, variant
        Of the program.
    """
    licences = LicenseFactory()
    bom = Bom()
    root = Part(
        name="cellseg1-studio",
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref="cellseg1-studio",
        description=f"CellSeg1 Studio, {variant}",
        licenses=[licences.make_from_string("Apache-2.0")],
    )
    bom.metadata.component = root
    parts = []
    for one in components:
        kind = {"package": "pypi", "python": "generic", "system": "deb"}[one.kind]
        url = PackageURL(kind, "debian" if kind == "deb" else None, one.name.lower(), one.version or None)
        part = Part(
            name=one.name,
            version=one.version or None,
            type=ComponentType.LIBRARY,
            bom_ref=url.to_string(),
            purl=url,
            licenses=[licences.make_from_string(one.licence)] if one.licence else [],
        )
        if one.homepage.startswith("http"):
            part.external_references.add(ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri(one.homepage)))
        bom.components.add(part)
        parts.append(part)
    bom.register_dependency(root, parts)
    text: str = make_outputter(bom, OutputFormat.JSON, _SCHEMA).output_as_string(indent=1)
    return text


def write(components: Iterable[Component], path: Path, version: str, variant: str) -> None:
    """Write the bill into a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(make(components, version, variant), encoding="utf-8")
