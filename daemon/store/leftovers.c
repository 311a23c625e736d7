/* SPDX-License-Identifier: MIT */
#include "store/leftovers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/span.h"

#define FOLDER_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

static bool is_set_aside(const char *name)
{
    struct span text = span_of(name);

    return span_starts_with(text, SPAN_LIT("cookies.sqlite.corrupt-")) ||
           span_starts_with(text, SPAN_LIT("cookies.sqlite.former-"));
}

static bool is_any(const char *name)
{
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool is_answer(const char *name)
{
    return span_ends_with(span_of(name), SPAN_LIT(".meta"));
}

/* Takes @folder. Removes the files for which @is_meant. Return: 0 or -errno. */
static int
remove_files(int folder, bool (*is_meant)(const char *name), struct leftovers *leftovers)
{
    DIR *dir = fdopendir(folder);
    int result = 0;

    if (!dir) {
        result = fault(-errno);
        (void)close(folder);
        return result;
    }
    for (struct dirent *at = readdir(dir); at; at = readdir(dir)) {
        if (!is_meant(at->d_name))
            continue;
        if (unlinkat(dirfd(dir), at->d_name, 0) == 0)
            leftovers->answers += is_answer(at->d_name);
        else if (result == 0 && errno != ENOENT && errno != EISDIR)
            result = -errno;
    }
    (void)closedir(dir);
    return result;
}

/* Those of all profiles. The folders stay: they may be in use. */
static int remove_answers(int parent, struct leftovers *leftovers)
{
    int folder = openat(parent, "cache", FOLDER_FLAGS | O_NOFOLLOW);
    DIR *dir = folder < 0 ? NULL : fdopendir(folder);
    int result = 0;

    if (!dir) {
        result = errno == ENOENT ? 0 : -errno;
        if (folder >= 0)
            (void)close(folder);
        return result;
    }
    for (struct dirent *at = readdir(dir); at; at = readdir(dir)) {
        int profile =
            is_any(at->d_name) ? openat(dirfd(dir), at->d_name, FOLDER_FLAGS | O_NOFOLLOW) : -1;
        int r = profile < 0 ? 0 : remove_files(profile, is_any, leftovers);

        result = result == 0 ? r : result;
    }
    (void)closedir(dir);
    return result;
}

int leftovers_remove(struct leftovers *leftovers)
{
    int state = open(leftovers->state_dir, FOLDER_FLAGS);

    leftovers->answers = 0;
    if (state < 0)
        return errno == ENOENT ? 0 : -errno;
    int folder =
        openat(state, leftovers->folder ? leftovers->folder : ".", FOLDER_FLAGS | O_NOFOLLOW);
    int result = folder < 0 && errno != ENOENT ? -errno : 0;
    (void)close(state);
    if (folder < 0)
        return result;
    result = remove_answers(folder, leftovers);
    int r = remove_files(folder, is_set_aside, leftovers);
    return result == 0 ? r : result;
}
