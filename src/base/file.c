/* file.c - reading in large ranges, mapping, and writing beside then renaming */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

#define PATH_BYTES_MAX 4096
#define READ_ONCE_MAX  ((size_t)1 << 30) /* Linux moves at most 2 GiB - 4 KiB a call */

static int code_of_errno(int err)
{
    switch (err) {
    case ENOENT:
    case ENOTDIR:
        return MU_ENOENT;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: /* the shell's limit of file sizes */
        return MU_ENOSPC;
    case ENOMEM:
        return MU_ENOMEM;
    default:
        return MU_EIO;
    }
}

int mu_fail_errno(struct mu_err *e, int err, const char *verb, const char *what)
{
    const char *way_out = err == ENOSPC || err == EDQUOT ? "; make room and run again" : "";
    return mu_fail(e, code_of_errno(err), "cannot %s %s: %s%s", verb, what, strerror(err), way_out);
}

static int64_t mtime_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

int mu_file_open(struct mu_file *f, const char *path, struct mu_err *e)
{
    struct stat st;
    int rc = MU_OK;

    *f = (struct mu_file)MU_FILE_INIT;
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for who writes */
    if (f->fd < 0)
        return mu_fail_errno(e, errno, "open", path);
    if (fstat(f->fd, &st) != 0) {
        rc = mu_fail_errno(e, errno, "look at", path);
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        rc = mu_fail(e, MU_EINVAL, "%s is not a regular file", path);
        goto out;
    }
    f->bytes = (uint64_t)st.st_size;
    f->mtime_ns = mtime_ns(&st);
    f->path = mu_strdup(path);
    if (!f->path)
        rc = mu_fail_nomem(e, strlen(path) + 1, "a path");
out:
    if (rc != MU_OK)
        mu_file_close(f);
    return rc;
}

void mu_file_close(struct mu_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    mu_free(f->path);
    *f = (struct mu_file)MU_FILE_INIT;
}

int mu_file_read_at(const struct mu_file *f, void *p, size_t n, uint64_t offset, struct mu_err *e)
{
    char *to = p;
    while (n > 0) {
        ssize_t got = pread(f->fd, to, MU_MIN(n, READ_ONCE_MAX), (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return mu_fail_errno(e, errno, "read", f->path);
        if (got == 0)
            return mu_fail(e, MU_ECHANGED,
                           "%s ends at byte %" PRIu64 " though it held %" PRIu64
                           " bytes when opened; is it being written?",
                           f->path, offset, f->bytes);
        to += got;
        n -= (size_t)got;
        offset += (uint64_t)got;
    }
    return MU_OK;
}

int mu_file_check(const struct mu_file *f, struct mu_err *e)
{
    struct stat st;
    if (fstat(f->fd, &st) != 0)
        return mu_fail_errno(e, errno, "look at", f->path);
    if ((uint64_t)st.st_size != f->bytes)
        return mu_fail(e, MU_ECHANGED, "%s had %" PRIu64 " bytes when opened and has %" PRIu64 " now", f->path,
                       f->bytes, (uint64_t)st.st_size);
    if (mtime_ns(&st) != f->mtime_ns)
        return mu_fail(e, MU_ECHANGED, "%s was written to while it was being read", f->path);
    return MU_OK;
}

int mu_file_map(struct mu_map *m, const struct mu_file *f, struct mu_err *e)
{
    m->p = NULL;
    m->n = (size_t)f->bytes;
    if (m->n == 0)
        return MU_OK;
    void *p = mmap(NULL, m->n, PROT_READ, MAP_PRIVATE, f->fd, 0);
    if (p == MAP_FAILED)
        return mu_fail_errno(e, errno, "map", f->path);
    m->p = p;
    return MU_OK;
}

void mu_file_unmap(struct mu_map *m)
{
    if (m->p)
        munmap((void *)(uintptr_t)m->p, m->n);
    *m = (struct mu_map){NULL, 0};
}

int mu_file_read_all(struct mu_buf *b, const char *path, struct mu_err *e)
{
    struct mu_file f;
    int rc = MU_OK;

    MU_TRY_RETURN(mu_file_open(&f, path, e));
    if (f.bytes > b->max) {
        rc = mu_fail(e, MU_ELIMIT, "%s has %" PRIu64 " bytes, at most %zu are read as %s", path, f.bytes, b->max,
                     b->what);
        goto out;
    }
    mu_buf_clear(b);
    MU_TRY(mu_buf_reserve(b, (size_t)f.bytes, e));
    MU_TRY(mu_file_read_at(&f, b->p, (size_t)f.bytes, 0, e));
    b->n = (size_t)f.bytes;
    b->p[b->n] = 0;
out:
    mu_file_close(&f);
    return rc;
}

bool mu_path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

struct mu_str mu_path_name(const char *path)
{
    size_t end = strlen(path), begin;
    while (end > 1 && path[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && path[begin - 1] != '/'; begin--)
        ;
    return (struct mu_str){path + begin, end - begin};
}

bool mu_path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int make_folder(const char *path, struct mu_err *e)
{
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && mu_path_is_dir(path)))
        return MU_OK;
    if (errno == EEXIST)
        return mu_fail(e, MU_EIO, "%s is a file, and a folder is needed there", path);
    return mu_fail_errno(e, errno, "make the folder", path);
}

int mu_path_make_folders(const char *path, struct mu_err *e)
{
    char *part = mu_strdup(path);
    int rc = part ? MU_OK : mu_fail_nomem(e, strlen(path), "a path");
    for (size_t i = 1; rc == MU_OK && path[0] && path[i]; i++) {
        if (path[i] != '/')
            continue;
        part[i] = 0;
        rc = mu_path_is_dir(part) ? MU_OK : make_folder(part, e);
        part[i] = '/';
    }
    if (rc == MU_OK && path[0])
        rc = make_folder(path, e);
    mu_free(part);
    return rc;
}

int mu_path_join(struct mu_buf *out, const char *dir, const char *name, struct mu_err *e)
{
    size_t n = strlen(dir);
    mu_buf_clear(out);
    return mu_buf_printf(out, e, "%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name);
}

int mu_outfile_open(struct mu_outfile *o, const char *path, struct mu_err *e)
{
    struct mu_buf tmp = MU_BUF_INIT("a path", PATH_BYTES_MAX);
    struct stat there;
    int rc = MU_OK;

    *o = (struct mu_outfile)MU_OUTFILE_INIT;
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode))
        return mu_fail(e, MU_EIO, "%s is there and is no file, so it cannot be replaced; name another path", path);
    MU_TRY(mu_buf_printf(&tmp, e, "%s.%ld.tmp", path, (long)getpid()));
    o->path = mu_strdup(path);
    if (!o->path) {
        rc = mu_fail_nomem(e, strlen(path) + 1, "a path");
        goto out;
    }
    o->f = fopen(tmp.p, "wbe");
    if (!o->f) {
        rc = mu_fail_errno(e, errno, "create", tmp.p);
        goto out;
    }
    o->path_tmp = mu_buf_take(&tmp);
out:
    mu_buf_fini(&tmp);
    if (rc != MU_OK)
        mu_outfile_discard(o);
    return rc;
}

int mu_outfile_write(struct mu_outfile *o, const void *p, size_t n, struct mu_err *e)
{
    errno = 0;
    if (n == 0 || fwrite(p, 1, n, o->f) == n)
        return MU_OK;
    return mu_fail_errno(e, errno ? errno : EIO, "write", o->path);
}

int mu_outfile_commit(struct mu_outfile *o, struct mu_err *e)
{
    int rc = MU_OK;
    FILE *f = o->f;
    o->f = NULL;
    errno = 0;
    bool is_synced = fflush(f) == 0 && (o->is_note || fsync(fileno(f)) == 0);
    int err = errno;
    if (fclose(f) != 0 && is_synced) {
        is_synced = false;
        err = errno;
    }
    if (!is_synced)
        rc = mu_fail_errno(e, err ? err : EIO, "write", o->path);
    else if (rename(o->path_tmp, o->path) != 0)
        rc = mu_fail_errno(e, errno, "rename to", o->path);
    if (rc == MU_OK) {
        mu_free(o->path_tmp);
        o->path_tmp = NULL;
    }
    mu_outfile_discard(o);
    return rc;
}

void mu_outfile_discard(struct mu_outfile *o)
{
    if (o->f)
        fclose(o->f);
    if (o->path_tmp)
        unlink(o->path_tmp);
    mu_free(o->path_tmp);
    mu_free(o->path);
    *o = (struct mu_outfile)MU_OUTFILE_INIT;
}

static int write_whole(const char *path, const void *p, size_t n, bool is_note, struct mu_err *e)
{
    struct mu_outfile o = MU_OUTFILE_INIT;
    int rc = MU_OK;
    MU_TRY(mu_outfile_open(&o, path, e));
    o.is_note = is_note;
    MU_TRY(mu_outfile_write(&o, p, n, e));
    MU_TRY(mu_outfile_commit(&o, e));
out:
    mu_outfile_discard(&o);
    return rc;
}

int mu_file_write_all(const char *path, const void *p, size_t n, struct mu_err *e)
{
    return write_whole(path, p, n, false, e);
}

int mu_file_write_note(const char *path, const void *p, size_t n, struct mu_err *e)
{
    return write_whole(path, p, n, true, e);
}
