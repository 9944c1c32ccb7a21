Target amd64-unicode
; One part of a setup that is too large for one file; started by the setup that lies beside it, never by hand.
; Defined by setup_exe.py: VERSION VERSION4 OUTFILE ICON SETUP (the setup's file name), PART (the generated code), COMPRESSOR.

!include LogicLib.nsh
!include FileFunc.nsh

SetCompressor ${COMPRESSOR}
!if ${COMPRESSOR} == lzma
    SetCompressorDictSize 32
!endif
Name "CellSeg1 Studio"
OutFile "${OUTFILE}"
Icon "${ICON}"
InstallDir "$TEMP\cellseg1-part" ; always replaced by /D
RequestExecutionLevel user
ManifestSupportedOS all
CRCCheck force
AllowSkipFiles off
SetOverwrite on
VIProductVersion "${VERSION4}"
VIAddVersionKey "ProductName" "CellSeg1 Studio"
VIAddVersionKey "ProductVersion" "${VERSION}"
VIAddVersionKey "FileVersion" "${VERSION}"
VIAddVersionKey "FileDescription" "A part of the CellSeg1 Studio ${VERSION} setup"
VIAddVersionKey "CompanyName" "The CellSeg1 Studio developers"
VIAddVersionKey "LegalCopyright" "Copyright 2026 The CellSeg1 Studio developers. Apache License 2.0."

!ifdef SIGN_COMMAND
    !finalize '${SIGN_COMMAND} "%1"' = 0
!endif

Page instfiles

Function .onInit
    ${GetParameters} $0
    ClearErrors
    ${GetOptions} $0 "/PART" $1
    ${If} ${Errors}
    ${OrIfNot} ${Silent}
        MessageBox MB_OK|MB_ICONINFORMATION "This file is a part of a larger setup. Leave it where it is, and start ${SETUP} in the same folder." /SD IDOK
        SetErrorLevel 2
        Quit
    ${EndIf}
FunctionEnd

Section
    ClearErrors
    !include "${PART}"
    ${If} ${Errors}
        SetErrorLevel 2
        Quit
    ${EndIf}
SectionEnd
