"""What is inside the installers: the frozen program, its pruning list, its licences and its bill of materials."""

#: The bill of materials, in the bundle's resources.
BILL = "sbom.cdx.json"
