/* Starts CellSeg1 Studio from the folder this file lies in.
 *
 * Compiled twice: for the window (python\pythonw.exe program\start.py, no console) and for the command
 * (python\python.exe -m cellseg1).
 * Arguments are passed on as they were typed, in UTF-16, so every file name survives.  The launcher stays until the
 * program ends: its exit code is the program's, whoever ends the launcher ends the program, and an installer sees by
 * the locked file that the program runs.
 */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <wchar.h>

#ifdef WINDOW
#define PYTHON L"pythonw.exe"
#define START L"start.py"
#else
#define PYTHON L"python.exe"
#endif

#define LONGEST 32767 /* of a command line or path, set by Windows */

static int complain(const wchar_t *sentence)
{
#ifdef WINDOW
    MessageBoxW(NULL, sentence, L"CellSeg1 Studio", MB_OK | MB_ICONERROR);
#else
    HANDLE err = GetStdHandle(STD_ERROR_HANDLE);
    DWORD mode, done;
    char text[4096];
    if (GetConsoleMode(err, &mode)) {
        WriteConsoleW(err, sentence, (DWORD)wcslen(sentence), &done, NULL);
        WriteConsoleW(err, L"\r\n", 2, &done, NULL);
    } else {
        int length = WideCharToMultiByte(CP_UTF8, 0, sentence, -1, text, sizeof text - 2, NULL, NULL);
        if (length > 0) {
            text[length - 1] = '\r';
            text[length] = '\n';
            WriteFile(err, text, (DWORD)length + 1, &done, NULL);
        }
    }
#endif
    return 2;
}

/* Where the arguments begin behind the program's own name, by the rules Windows itself uses for that name. */
static const wchar_t *arguments(const wchar_t *line)
{
    if (*line == L'"') {
        for (line++; *line && *line != L'"'; line++) { }
        if (*line) line++;
    } else {
        while (*line > L' ') line++;
    }
    while (*line == L' ' || *line == L'\t') line++;
    return line;
}

#ifndef WINDOW
static BOOL WINAPI leave_to_python(DWORD event)
{
    return event == CTRL_C_EVENT || event == CTRL_BREAK_EVENT; /* Python gets it too and ends in its own way */
}
#endif

static int start(void)
{
    static wchar_t folder[LONGEST], python[LONGEST], command[LONGEST], sentence[LONGEST + 200];
    DWORD length = GetModuleFileNameW(NULL, folder, LONGEST);
    wchar_t *slash;
    STARTUPINFOW how;
    PROCESS_INFORMATION process;
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limit;
    HANDLE job;
    DWORD code = 2;

    if (length == 0 || length >= LONGEST || (slash = wcsrchr(folder, L'\\')) == NULL)
        return complain(L"CellSeg1 Studio cannot find its own folder. Install it again.");
    slash[1] = 0;
    if (wcslen(folder) + 40 >= LONGEST)
        return complain(L"The folder of CellSeg1 Studio has too long a name. Install it elsewhere.");
    wcscpy(python, folder);
    wcscat(python, L"python\\" PYTHON);
    if (GetFileAttributesW(python) == INVALID_FILE_ATTRIBUTES) {
        wcscpy(sentence, L"CellSeg1 Studio is incomplete: the file ");
        wcscat(sentence, python);
        wcscat(sentence, L" is missing. Install it again.");
        return complain(sentence);
    }
    const wchar_t *tail = arguments(GetCommandLineW());
    if (2 * wcslen(python) + wcslen(tail) + 60 >= LONGEST)
        return complain(L"Too many arguments. Name a folder instead of single files.");
    wcscpy(command, L"\"");
    wcscat(command, python);
    wcscat(command, L"\" -B -X utf8 ");
#ifdef WINDOW
    wcscat(command, L"\"");
    wcscat(command, folder);
    wcscat(command, L"program\\" START L"\" ");
#else
    wcscat(command, L"-m cellseg1 ");
#endif
    wcscat(command, tail);

    /* Settings of another program's Qt would make ours load foreign libraries. */
    SetEnvironmentVariableW(L"QT_PLUGIN_PATH", NULL);
    SetEnvironmentVariableW(L"QT_QPA_PLATFORM_PLUGIN_PATH", NULL);

    job = CreateJobObjectW(NULL, NULL);
    if (job != NULL) {
        memset(&limit, 0, sizeof limit);
        limit.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK;
        SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limit, sizeof limit);
    }
    GetStartupInfoW(&how);
#ifndef WINDOW
    SetConsoleCtrlHandler(leave_to_python, TRUE);
    how.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
    how.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE);
    how.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    SetHandleInformation(how.hStdInput, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
    SetHandleInformation(how.hStdOutput, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
    SetHandleInformation(how.hStdError, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
    how.dwFlags |= STARTF_USESTDHANDLES;
#endif
    if (!CreateProcessW(python, command, NULL, NULL, TRUE, CREATE_SUSPENDED, NULL, NULL, &how, &process)) {
        swprintf(sentence, LONGEST, L"%ls cannot be started (Windows error %lu). If an antivirus program guards this computer, "
                 L"allow CellSeg1 Studio in it; else install it again.", python, GetLastError());
        return complain(sentence);
    }
    if (job != NULL) AssignProcessToJobObject(job, process.hProcess);
    ResumeThread(process.hThread);
    CloseHandle(process.hThread);
    WaitForSingleObject(process.hProcess, INFINITE);
    if (!GetExitCodeProcess(process.hProcess, &code)) code = 2;
    CloseHandle(process.hProcess);
    return (int)code;
}

#ifdef WINDOW
int WINAPI wWinMain(HINSTANCE me, HINSTANCE before, wchar_t *line, int show)
{
    (void)me; (void)before; (void)line; (void)show;
    return start();
}
#else
int wmain(void)
{
    return start();
}
#endif
