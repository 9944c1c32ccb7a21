/* parts_check.exe LIST FOLDER ANSWER: are the files that LIST names in FOLDER, whole and undamaged?
 *
 * A line of LIST (UTF-8) is  SHA256 SIZE NAME.  Exit code 0: all are; 2: not, and ANSWER (UTF-16) holds one sentence.
 * Used by the setup before it changes anything, because NSIS cannot compute a SHA-256.
 */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <bcrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#define LONGEST 32767
static wchar_t sentence[LONGEST * 2];
static const wchar_t *answer_file;

static int refuse(void)
{
    DWORD done;
    HANDLE file = CreateFileW(answer_file, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    if (file != INVALID_HANDLE_VALUE) {
        WriteFile(file, sentence, (DWORD)(wcslen(sentence) * sizeof(wchar_t)), &done, NULL);
        CloseHandle(file);
    }
    return 2;
}

/* 0 and the digest as text, or -1 when the file cannot be read to its end. */
static int digest(HANDLE file, char *text)
{
    static unsigned char block[1 << 20];
    unsigned char sum[32];
    BCRYPT_ALG_HANDLE algorithm;
    BCRYPT_HASH_HANDLE hash;
    DWORD got = 0;
    BOOL whole;
    if (BCryptOpenAlgorithmProvider(&algorithm, BCRYPT_SHA256_ALGORITHM, NULL, 0)) return -1;
    if (BCryptCreateHash(algorithm, &hash, NULL, 0, NULL, 0, 0)) return -1;
    while ((whole = ReadFile(file, block, sizeof block, &got, NULL)) && got)
        if (BCryptHashData(hash, block, got, 0)) return -1;
    if (!whole || BCryptFinishHash(hash, sum, sizeof sum, 0)) return -1;
    for (int i = 0; i < 32; i++) sprintf(text + 2 * i, "%02x", sum[i]);
    BCryptDestroyHash(hash);
    BCryptCloseAlgorithmProvider(algorithm, 0);
    return 0;
}

static int check(const char *sum, unsigned long long size, const wchar_t *name, const wchar_t *folder)
{
    static wchar_t path[LONGEST];
    char found[65];
    LARGE_INTEGER length;
    if (wcslen(folder) + wcslen(name) + 2 >= LONGEST) return -1;
    wcscpy(path, folder);
    wcscat(path, L"\\");
    wcscat(path, name);
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, FILE_FLAG_SEQUENTIAL_SCAN, NULL);
    if (file == INVALID_HANDLE_VALUE) {
        swprintf(sentence, LONGEST, L"The file %ls is missing in %ls. Put all parts of this setup into one folder, then start it again.",
                 name, folder);
        return -1;
    }
    if (!GetFileSizeEx(file, &length) || (unsigned long long)length.QuadPart != size) {
        swprintf(sentence, LONGEST, L"The file %ls has %llu of %llu bytes: it was not copied or downloaded completely. "
                 L"Copy or download it again.", name, (unsigned long long)length.QuadPart, size);
        CloseHandle(file);
        return -1;
    }
    int bad = digest(file, found);
    CloseHandle(file);
    if (bad || strcmp(found, sum)) {
        swprintf(sentence, LONGEST, L"The file %ls is damaged. Copy or download it again.", name);
        return -1;
    }
    return 0;
}

int wmain(int count, wchar_t **words)
{
    char line[2048], sum[65];
    unsigned long long size;
    int start;
    if (count != 4) return 2;
    answer_file = words[3];
    FILE *list = _wfopen(words[1], L"rb");
    if (list == NULL) {
        wcscpy(sentence, L"The list of this setup's parts cannot be read. Copy or download the setup again.");
        return refuse();
    }
    while (fgets(line, sizeof line, list)) {
        wchar_t name[1024];
        line[strcspn(line, "\r\n")] = 0;
        if (!*line) continue;
        if (sscanf(line, "%64[0-9a-f] %llu %n", sum, &size, &start) != 2
            || !MultiByteToWideChar(CP_UTF8, 0, line + start, -1, name, 1024)) {
            wcscpy(sentence, L"The list of this setup's parts is damaged. Copy or download the setup again.");
            fclose(list);
            return refuse();
        }
        if (check(sum, size, name, words[2])) {
            fclose(list);
            return refuse();
        }
    }
    fclose(list);
    return 0;
}
