Target amd64-unicode
; The Windows installer of CellSeg1 Studio: per user, no administrator.  Compiled by setup_exe.py, which defines
;   VERSION VERSION4 VARIANT OUTFILE ICON WELCOME_BMP HEADER_BMP SIZE_KB LONGEST HELPER
; and writes beside this run's other files, in the folder GENERATED:
;   payload.nsh      Section code that unpacks every file, one File instruction each
;   taken.nsh        checks of the payload's own top-level names
;   installed_files.txt  what the uninstaller may delete: UTF-16LE, files first, then folders (ending in \) deepest first
;   parts.nsh        the number and names of part files that belong to this setup (none in small variants)
;   parts.txt        their sizes and SHA-256
; Exit codes: 0 installed, 2 not possible (the sentence is in %TEMP%\cellseg1-setup.log), 3 the program is running.

!include MUI2.nsh
!include LogicLib.nsh
!include FileFunc.nsh
!include Sections.nsh
!include x64.nsh
!include WinVer.nsh
!include "${GENERATED}/parts.nsh"

!define NAME "CellSeg1 Studio"
!define PROGRAM "CellSeg1Studio.exe"
!define COMMAND "cellseg1.exe"
!define LIST "installed_files.txt"
!define ORIGIN "installed_from.txt"
!define UNINSTALL_KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\CellSeg1Studio"
!define APP_PATHS "Software\Microsoft\Windows\CurrentVersion\App Paths"
!define CLASSES "Software\Classes"

SetCompressor ${COMPRESSOR}
!if ${COMPRESSOR} == lzma
    SetCompressorDictSize 32
!endif
Name "${NAME}"
OutFile "${OUTFILE}"
BrandingText "${NAME} ${VERSION}"
InstallDir "$LOCALAPPDATA\Programs\${NAME}"
InstallDirRegKey HKCU "${UNINSTALL_KEY}" "InstallLocation"
RequestExecutionLevel user
ManifestDPIAware true
ManifestSupportedOS all
CRCCheck force
AllowSkipFiles off
SetOverwrite on
ShowInstDetails nevershow
ShowUninstDetails nevershow

VIProductVersion "${VERSION4}"
VIAddVersionKey "ProductName" "${NAME}"
VIAddVersionKey "ProductVersion" "${VERSION}"
VIAddVersionKey "FileVersion" "${VERSION}"
VIAddVersionKey "FileDescription" "${NAME} ${VERSION} setup (${VARIANT})"
VIAddVersionKey "CompanyName" "The CellSeg1 Studio developers"
VIAddVersionKey "LegalCopyright" "Copyright 2026 The CellSeg1 Studio developers. Apache License 2.0."

!ifdef SIGN_COMMAND
    !finalize '${SIGN_COMMAND} "%1"' = 0
    !uninstfinalize '${SIGN_COMMAND} "%1"' = 0
!endif

!define MUI_ICON "${ICON}"
!define MUI_UNICON "${ICON}"
!define MUI_WELCOMEFINISHPAGE_BITMAP "${WELCOME_BMP}"
!define MUI_UNWELCOMEFINISHPAGE_BITMAP "${WELCOME_BMP}"
!define MUI_HEADERIMAGE
!define MUI_HEADERIMAGE_RIGHT
!define MUI_HEADERIMAGE_BITMAP "${HEADER_BMP}"
!define MUI_ABORTWARNING
!define MUI_COMPONENTSPAGE_SMALLDESC

!define MUI_WELCOMEPAGE_TITLE "${NAME} ${VERSION}"
!define MUI_WELCOMEPAGE_TEXT "This puts ${NAME} on this computer, for you alone: no administrator is needed, and no internet.$\r$\n$\r$\nAn older version is replaced. Your projects, models and settings stay as they are, now and when you remove the program.$\r$\n$\r$\nLicence: Apache 2.0. The licences of everything inside are installed with it."
!insertmacro MUI_PAGE_WELCOME
!insertmacro MUI_PAGE_COMPONENTS
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!define MUI_FINISHPAGE_RUN "$INSTDIR\${PROGRAM}"
!define MUI_FINISHPAGE_RUN_TEXT "Start ${NAME}"
!insertmacro MUI_PAGE_FINISH

!define MUI_UNCONFIRMPAGE_TEXT_TOP "${NAME} is removed from this computer. Your projects, models, weights and settings are not touched."
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"

Var What     ; the file or folder at work
Var Handle
Var Answer
Var Before   ; where an older version is installed
Var Need     ; kB

; ---- what installer and uninstaller share

!macro Shared un

; Say why nothing can be done, in a window or in the log, and end.
Function ${un}Refuse
    Exch $0
    FileOpen $Handle "$TEMP\cellseg1-setup.log" w
    FileWriteUTF16LE /BOM $Handle "$0$\r$\n"
    FileClose $Handle
    MessageBox MB_OK|MB_ICONEXCLAMATION "$0" /SD IDOK
    SetErrorLevel 2
    Quit
FunctionEnd

; Push 1 when the program file $What cannot be opened for writing because it runs.
Function ${un}Runs
    StrCpy $Answer 0
    ${If} ${FileExists} "$What"
        ClearErrors
        FileOpen $Handle "$What" a
        ${If} ${Errors}
            StrCpy $Answer 1
        ${Else}
            FileClose $Handle
        ${EndIf}
    ${EndIf}
    Push $Answer
FunctionEnd

; Wait until the program in the folder on the stack does not run any more, or end with 3.
Function ${un}MustNotRun
    Exch $R0
    again:
    StrCpy $R2 0
    StrCpy $What "$R0\${PROGRAM}"
    Call ${un}Runs
    Pop $R1
    IntOp $R2 $R2 + $R1
    StrCpy $What "$R0\${COMMAND}"
    Call ${un}Runs
    Pop $R1
    IntOp $R2 $R2 + $R1
    StrCpy $What "$R0\python\pythonw.exe"
    Call ${un}Runs
    Pop $R1
    IntOp $R2 $R2 + $R1
    StrCpy $What "$R0\python\python.exe"
    Call ${un}Runs
    Pop $R1
    IntOp $R2 $R2 + $R1
    ${If} $R2 > 0
        MessageBox MB_RETRYCANCEL|MB_ICONEXCLAMATION "${NAME} is running. Close its window (a training in progress goes on where it was when you start it again), then press Retry." /SD IDCANCEL IDRETRY again
        FileOpen $Handle "$TEMP\cellseg1-setup.log" w
        FileWriteUTF16LE /BOM $Handle "${NAME} is running in $R0. Close it and start this again.$\r$\n"
        FileClose $Handle
        SetErrorLevel 3
        Quit
    ${EndIf}
    Pop $R0
FunctionEnd

; Delete what the list in the folder on the stack names, and the folders that are empty then; nothing else.
Function ${un}RemoveListed
    Exch $R0
    SetDetailsPrint none
    ClearErrors
    FileOpen $R1 "$R0\${LIST}" r
    ${IfNot} ${Errors}
        ${Do}
            ClearErrors
            FileReadUTF16LE $R1 $R2
            ${If} ${Errors}
                ${ExitDo}
            ${EndIf}
            StrCpy $R2 $R2 -2 ; the line's end
            StrCpy $R3 $R2 1 -1
            ${If} $R3 == "\"
                StrCpy $R2 $R2 -1
                Delete "$R0\$R2\__pycache__\*.pyc"
                RMDir "$R0\$R2\__pycache__"
                RMDir "$R0\$R2"
            ${ElseIf} $R2 != ""
                Delete "$R0\$R2"
            ${EndIf}
        ${Loop}
        FileClose $R1
        Delete "$R0\${LIST}"
        Delete "$R0\${ORIGIN}"
    ${EndIf}
    SetDetailsPrint both
    Pop $R0
FunctionEnd

; Tell the desktop that file types changed.
Function ${un}TellShell
    System::Call 'shell32::SHChangeNotify(i 0x08000000, i 0, p 0, p 0)'
FunctionEnd

!macroend
!insertmacro Shared ""
!insertmacro Shared "un."

; ---- installing

Function MakeType
    ; suffix, kind, description on the stack
    Exch $2
    Exch
    Exch $1
    Exch 2
    Exch $0
    WriteRegStr HKCU "${CLASSES}\$1" "" "$2"
    WriteRegStr HKCU "${CLASSES}\$1\DefaultIcon" "" '"$INSTDIR\${PROGRAM}",0'
    WriteRegStr HKCU "${CLASSES}\$1\shell\open\command" "" '"$INSTDIR\${PROGRAM}" "%1"'
    WriteRegNone HKCU "${CLASSES}\$0\OpenWithProgids" "$1"
    ; A suffix that another program has taken stays with it; ours is then one of "Open with".
    ReadRegStr $3 HKCU "${CLASSES}\$0" ""
    ${If} $3 == ""
        WriteRegStr HKCU "${CLASSES}\$0" "" "$1"
    ${EndIf}
    Pop $0
    Pop $2
    Pop $1
FunctionEnd

Section "${NAME}" TheProgram
    SectionIn RO
    SetOutPath "$PLUGINSDIR"

    ; Everything that can refuse comes before the first change.
    StrCpy $0 $INSTDIR "" -1
    ${If} $0 == "\"
        StrCpy $INSTDIR $INSTDIR -1 ; as the registry has it
    ${EndIf}
    StrLen $0 $INSTDIR
    IntOp $0 $0 + ${LONGEST}
    ${If} $0 > 258
        Push "The folder $INSTDIR has so long a name that Windows could not hold the program's files in it. Choose a folder with a shorter name."
        Call Refuse
    ${EndIf}
    ReadRegStr $Before HKCU "${UNINSTALL_KEY}" "InstallLocation"
    Push $INSTDIR
    Call MustNotRun
    ${If} $Before != ""
    ${AndIf} $Before != $INSTDIR
        Push $Before
        Call MustNotRun
    ${EndIf}
    ${IfNot} ${FileExists} "$INSTDIR\${LIST}"
        !include "${GENERATED}/taken.nsh"
    ${EndIf}
    !if ${PARTS} > 0
        DetailPrint "Checking the parts of this setup"
        File "/oname=$PLUGINSDIR\parts.txt" "${GENERATED}/parts.txt"
        File "/oname=$PLUGINSDIR\parts_check.exe" "${HELPER}"
        nsExec::ExecToStack /OEM '"$PLUGINSDIR\parts_check.exe" "$PLUGINSDIR\parts.txt" "$EXEDIR" "$PLUGINSDIR\answer.txt"'
        Pop $0
        Pop $1
        ${If} $0 != 0
            StrCpy $1 "The parts of this setup cannot be checked."
            ClearErrors
            FileOpen $Handle "$PLUGINSDIR\answer.txt" r
            ${IfNot} ${Errors}
                FileReadUTF16LE $Handle $1
                FileClose $Handle
            ${EndIf}
            Push $1
            Call Refuse
        ${EndIf}
    !endif
    StrCpy $Need ${SIZE_KB}
    ${If} $Before == $INSTDIR
    ${AndIf} $Before != ""
        ReadRegDWORD $0 HKCU "${UNINSTALL_KEY}" "EstimatedSize"
        IntOp $Need $Need - $0
    ${EndIf}
    CreateDirectory "$INSTDIR"
    ${GetRoot} "$INSTDIR" $0
    ClearErrors
    ${DriveSpace} "$0\" "/D=F /S=K" $1
    ${IfNot} ${Errors}
    ${AndIf} $1 < $Need
        IntOp $Need $Need / 1024
        IntOp $1 $1 / 1024
        Push "The disk $0 has $1 MB free and $Need MB are needed. Free some space, or choose another disk."
        Call Refuse
    ${EndIf}
    ClearErrors
    FileOpen $Handle "$INSTDIR\${ORIGIN}" w
    ${If} ${Errors}
        Push "Nothing can be written into $INSTDIR. Choose another folder."
        Call Refuse
    ${EndIf}
    ; The program looks there for weights that came with the setup.
    FileWriteUTF16LE /BOM $Handle "$EXEDIR$\r$\n"
    FileClose $Handle

    ${If} $Before != ""
    ${AndIf} $Before != $INSTDIR
    ${AndIf} ${FileExists} "$Before\${LIST}"
        DetailPrint "Removing the older version from $Before"
        Push $Before
        Call RemoveListed
        Delete "$Before\uninstall.exe"
        RMDir "$Before"
    ${EndIf}
    ${If} ${FileExists} "$INSTDIR\${LIST}"
        DetailPrint "Removing the older version"
        Push $INSTDIR
        Call RemoveListed
        CreateDirectory "$INSTDIR"
        FileOpen $Handle "$INSTDIR\${ORIGIN}" w
        FileWriteUTF16LE /BOM $Handle "$EXEDIR$\r$\n"
        FileClose $Handle
    ${EndIf}

    ; List and uninstaller come first: an installation that is cut short can be repaired and removed.
    SetOutPath "$INSTDIR"
    File "${GENERATED}/${LIST}"
    WriteUninstaller "$INSTDIR\uninstall.exe"
    WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayName" "${NAME}"
    WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayVersion" "${VERSION}"
    WriteRegStr HKCU "${UNINSTALL_KEY}" "Publisher" "The CellSeg1 Studio developers"
    WriteRegStr HKCU "${UNINSTALL_KEY}" "InstallLocation" "$INSTDIR"
    WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayIcon" "$INSTDIR\${PROGRAM}"
    WriteRegStr HKCU "${UNINSTALL_KEY}" "UninstallString" '"$INSTDIR\uninstall.exe"'
    WriteRegStr HKCU "${UNINSTALL_KEY}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
    WriteRegStr HKCU "${UNINSTALL_KEY}" "Comments" "Variant ${VARIANT}"
    WriteRegDWORD HKCU "${UNINSTALL_KEY}" "EstimatedSize" ${SIZE_KB}
    WriteRegDWORD HKCU "${UNINSTALL_KEY}" "NoModify" 1
    WriteRegDWORD HKCU "${UNINSTALL_KEY}" "NoRepair" 1

    DetailPrint "Unpacking the program"
    SetDetailsPrint none
    ClearErrors
    !include "${GENERATED}/payload.nsh"
    SetDetailsPrint both
    ${If} ${Errors}
        Push "Not all of the program's files could be written into $INSTDIR. Free some space, pause the antivirus program for the time of the installation if it interferes, and start this setup again."
        Call Refuse
    ${EndIf}
    !if ${PARTS} > 0
        !insertmacro RunParts
    !endif

    WriteRegStr HKCU "${APP_PATHS}\${PROGRAM}" "" "$INSTDIR\${PROGRAM}"
    WriteRegStr HKCU "${APP_PATHS}\${COMMAND}" "" "$INSTDIR\${COMMAND}"
SectionEnd

Section "Start menu" InStartMenu
    SetOutPath "$PROFILE" ; becomes the link's working folder
    CreateShortcut "$SMPROGRAMS\${NAME}.lnk" "$INSTDIR\${PROGRAM}" "" "$INSTDIR\${PROGRAM}" 0 SW_SHOWNORMAL "" "Segment cells after painting a few dozen"
SectionEnd

Section /o "Link on the desktop" OnDesktop
    SetOutPath "$PROFILE"
    CreateShortcut "$DESKTOP\${NAME}.lnk" "$INSTDIR\${PROGRAM}" "" "$INSTDIR\${PROGRAM}" 0 SW_SHOWNORMAL "" "Segment cells after painting a few dozen"
SectionEnd

Section "Open projects and models with it" OpenTypes
    Push ".cs1project"
    Push "CellSeg1Studio.Project"
    Push "CellSeg1 project"
    Call MakeType
    Push ".cs1zip"
    Push "CellSeg1Studio.Archive"
    Push "CellSeg1 project in one file"
    Call MakeType
    Push ".cs1"
    Push "CellSeg1Studio.Model"
    Push "CellSeg1 model"
    Call MakeType
    ; A project is a folder: Windows has no file type for folders, but a menu entry for those with the right name.
    WriteRegStr HKCU "${CLASSES}\Directory\shell\CellSeg1Studio" "" "Open with ${NAME}"
    WriteRegStr HKCU "${CLASSES}\Directory\shell\CellSeg1Studio" "Icon" '"$INSTDIR\${PROGRAM}",0'
    WriteRegStr HKCU "${CLASSES}\Directory\shell\CellSeg1Studio" "AppliesTo" 'System.FileName:~>".cs1project"'
    WriteRegStr HKCU "${CLASSES}\Directory\shell\CellSeg1Studio\command" "" '"$INSTDIR\${PROGRAM}" "%1"'
    Call TellShell
SectionEnd

LangString ABOUT_PROGRAM ${LANG_ENGLISH} "The program, with everything it needs."
LangString ABOUT_START ${LANG_ENGLISH} "An entry in the Start menu."
LangString ABOUT_DESKTOP ${LANG_ENGLISH} "A link on the desktop."
LangString ABOUT_TYPES ${LANG_ENGLISH} "A double click opens projects (.cs1project, .cs1zip) and models (.cs1)."
!insertmacro MUI_FUNCTION_DESCRIPTION_BEGIN
    !insertmacro MUI_DESCRIPTION_TEXT ${TheProgram} $(ABOUT_PROGRAM)
    !insertmacro MUI_DESCRIPTION_TEXT ${InStartMenu} $(ABOUT_START)
    !insertmacro MUI_DESCRIPTION_TEXT ${OnDesktop} $(ABOUT_DESKTOP)
    !insertmacro MUI_DESCRIPTION_TEXT ${OpenTypes} $(ABOUT_TYPES)
!insertmacro MUI_FUNCTION_DESCRIPTION_END

Function .onInstFailed
    FileOpen $Handle "$TEMP\cellseg1-setup.log" w
    FileWriteUTF16LE /BOM $Handle "The installation into $INSTDIR did not come to its end: a file could not be written. Free some space and start this setup again.$\r$\n"
    FileClose $Handle
    SetErrorLevel 2
FunctionEnd

Function .onInit
    InitPluginsDir
    ${IfNot} ${RunningX64}
    ${OrIfNot} ${AtLeastWin10}
        Push "${NAME} needs a 64-bit Windows 10 or later."
        Call Refuse
    ${EndIf}
    SectionSetSize ${TheProgram} ${SIZE_KB}
    ${GetParameters} $0
    ClearErrors
    ${GetOptions} $0 "/DESKTOP" $1
    ${IfNot} ${Errors}
    ${OrIf} ${FileExists} "$DESKTOP\${NAME}.lnk"
        !insertmacro SelectSection ${OnDesktop}
    ${EndIf}
    ClearErrors
    ${GetOptions} $0 "/NOSHORTCUTS" $1
    ${IfNot} ${Errors}
        !insertmacro UnselectSection ${InStartMenu}
        !insertmacro UnselectSection ${OnDesktop}
    ${EndIf}
    ClearErrors
    ${GetOptions} $0 "/NOFILETYPES" $1
    ${IfNot} ${Errors}
        !insertmacro UnselectSection ${OpenTypes}
    ${EndIf}
FunctionEnd

; ---- removing

; Take the registration of one file type away, where it is ours.
Function un.ForgetType
    Exch $1 ; the kind
    Exch
    Exch $0 ; the suffix
    ReadRegStr $2 HKCU "${CLASSES}\$0" ""
    ${If} $2 == $1
        DeleteRegValue HKCU "${CLASSES}\$0" ""
    ${EndIf}
    DeleteRegValue HKCU "${CLASSES}\$0\OpenWithProgids" "$1"
    DeleteRegKey /ifempty HKCU "${CLASSES}\$0\OpenWithProgids"
    ; /ifempty looks at subkeys only: a default that belongs to another program must stay.
    ReadRegStr $2 HKCU "${CLASSES}\$0" ""
    ${If} $2 == ""
        DeleteRegKey /ifempty HKCU "${CLASSES}\$0"
    ${EndIf}
    DeleteRegKey HKCU "${CLASSES}\$1"
    Pop $0
    Pop $1
FunctionEnd

Function un.ForgetTypes
    Push ".cs1project"
    Push "CellSeg1Studio.Project"
    Call un.ForgetType
    Push ".cs1zip"
    Push "CellSeg1Studio.Archive"
    Call un.ForgetType
    Push ".cs1"
    Push "CellSeg1Studio.Model"
    Call un.ForgetType
    DeleteRegKey HKCU "${CLASSES}\Directory\shell\CellSeg1Studio"
FunctionEnd

Section "Uninstall"
    Push $INSTDIR
    Call un.MustNotRun
    ${IfNot} ${FileExists} "$INSTDIR\${LIST}"
        Push "The list of installed files is missing in $INSTDIR, so it is not known what may be deleted. Start the setup of ${NAME} again, then remove it."
        Call un.Refuse
    ${EndIf}
    SetOutPath "$TEMP"
    DetailPrint "Removing the program's files"
    Push $INSTDIR
    Call un.RemoveListed
    Delete "$INSTDIR\uninstall.exe"
    RMDir "$INSTDIR" ; only when nothing else is in it
    Delete "$SMPROGRAMS\${NAME}.lnk"
    Delete "$DESKTOP\${NAME}.lnk"
    Call un.ForgetTypes
    DeleteRegKey HKCU "${APP_PATHS}\${PROGRAM}"
    DeleteRegKey HKCU "${APP_PATHS}\${COMMAND}"
    DeleteRegKey HKCU "${UNINSTALL_KEY}"
    Call un.TellShell
SectionEnd
