/* SPDX-License-Identifier: MIT */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "target.h"

void output_to(struct output *ret, const char *file, bool append)
{
    *ret = (struct output){.fd = -1, .append = append, .save = XHR_SAVEFILE_NONE};
    ret->to_stdout = !file || strcmp(file, "-") == 0;
    ret->explicitly = ret->to_stdout && file;
    if (!ret->to_stdout)
        strbuf_add_text(&ret->path, file);
}

int output_choose(struct output *ret,
                  const struct cli_options *options,
                  size_t index,
                  const char *url,
                  struct trouble *why)
{
    struct output_choice choice = {OUTPUT_STDOUT, NULL};

    if (index < options->n_outputs)
        choice = options->outputs[index];
    if (choice.kind == OUTPUT_STDOUT || (choice.file && strcmp(choice.file, "-") == 0)) {
        output_to(ret, choice.file, false);
        return 0;
    }
    *ret = (struct output){.fd = -1, .save = XHR_SAVEFILE_NONE};
    if (options->output_dir && options->output_dir[0]) {
        strbuf_add_text(&ret->path, options->output_dir);
        strbuf_add_char(&ret->path, '/');
    }
    size_t before = ret->path.len;
    if (choice.kind == OUTPUT_FILE)
        strbuf_add_text(&ret->path, choice.file);
    else
        target_add_file_name(&ret->path, url);
    if (ret->path.failed)
        return trouble_set(why, EXIT_RESOURCES, "out of memory");
    if (ret->path.len == before)
        return trouble_set(why, EXIT_WRITE,
                           "no file name: the path of %s ends in '/'; name one with -o", url);
    return 0;
}

const char *output_name(const struct output *output)
{
    return output->to_stdout ? "stdout" : strbuf_text(&output->path);
}

int output_trouble(const struct output *output, int error, struct trouble *why)
{
    if (error == -EILSEQ)
        return trouble_set(why, EXIT_WRITE,
                           "the answer is binary and would garble the terminal; write it to a "
                           "file with -o FILE, or with -o - all the same");
    if (error == -EBUSY)
        return trouble_set(why, EXIT_WRITE, "%s is being downloaded already; wait for it",
                           output_name(output));
    return trouble_set(why, EXIT_WRITE, "could not write to %s: %s", output_name(output),
                       strerror(-error));
}

/* A file that appears when it is whole. */
static int open_save(struct output *output)
{
    int r = xhr_savefile_init(&output->save, strbuf_text(&output->path), false);

    if (r == 0)
        r = xhr_savefile_create(&output->save);
    if (r == 0)
        output->fd = output->save.fd;
    return r;
}

static int open_file(struct output *output)
{
    int how = output->append ? O_APPEND : O_TRUNC;
    struct stat status;

    if (output->path.failed)
        return -ENOMEM;
    if (output->as_file)
        return open_save(output);
    output->fd = open(strbuf_text(&output->path), O_WRONLY | O_CREAT | O_CLOEXEC | how, 0666);
    if (output->fd < 0)
        return -errno;
    output->regular = fstat(output->fd, &status) == 0 && S_ISREG(status.st_mode);
    return 0;
}

/* curl's guard: text with a NUL in it is none, and terminals obey what they are sent. */
static int open_stdout(struct output *output, const void *bytes, size_t len)
{
    if (!output->explicitly && len > 0 && memchr(bytes, '\0', len) && isatty(STDOUT_FILENO))
        return -EILSEQ;
    output->fd = STDOUT_FILENO;
    return 0;
}

int output_write(struct output *output, const void *bytes, size_t len)
{
    int r = 0;

    if (output->error < 0)
        return output->error;
    if (output->fd < 0)
        r = output->to_stdout ? open_stdout(output, bytes, len) : open_file(output);
    if (r == 0 && len > 0) {
        output->written = true;
        output->size += len;
        r = write_all(output->fd, bytes, len);
    }
    output->error = r;
    return r;
}

bool output_may_be_shared(const struct output *output)
{
    struct rlimit limit;

    return output->fd >= 0 && output->error == 0 && getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
           limit.rlim_cur == RLIM_INFINITY;
}

static int commit_save(struct output *output)
{
    struct xhr_savefile *save = &output->save;

    if (output->is_shared) { /* the daemon wrote behind us */
        off_t end = lseek(save->fd, 0, SEEK_CUR);

        if (end < 0)
            return -errno;
        output->size = (uint64_t)end;
    }
    return xhr_savefile_commit(save, output->size,
                               save->has_target ? XHR_SAVE_ALL : XHR_SAVE_LAZY);
}

int output_finish(struct output *output)
{
    if (output->fd < 0 && !output->to_stdout && output->error == 0)
        output->error = open_file(output);
    if (output->as_file) {
        if (output->error == 0)
            output->error = commit_save(output);
        xhr_savefile_done(&output->save);
    } else if (output->fd >= 0 && !output->to_stdout && close(output->fd) < 0 &&
               output->error == 0) {
        output->error = -errno;
    }
    output->fd = -1;
    return output->error;
}

void output_discard(struct output *output)
{
    if (output->fd < 0 || output->to_stdout)
        return;
    if (output->as_file) {
        xhr_savefile_done(&output->save);
        output->fd = -1;
        output->written = false;
        return;
    }
    (void)close(output->fd);
    output->fd = -1;
    if (output->regular && unlink(strbuf_text(&output->path)) < 0)
        output->regular = false; /* it is gone, or was never ours to remove */
}

bool output_rewind(struct output *output)
{
    if (!output->written)
        return true;
    return output->regular && !output->append && truncate(strbuf_text(&output->path), 0) == 0;
}

void output_done(struct output *output)
{
    if (output->as_file)
        xhr_savefile_done(&output->save);
    else if (output->fd >= 0 && !output->to_stdout)
        (void)close(output->fd);
    strbuf_done(&output->path);
    *output = (struct output){.fd = -1, .save = XHR_SAVEFILE_NONE};
}
