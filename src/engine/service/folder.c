/* folder.c - see folder.h */
#include "engine/service/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"

#define FILE_BYTES (MU_SERVICE_NAME_MAX + 64) /* a record's name as a file, or that of one being written */
#define ENDING     ".json"

/* ---- where ---- */

int mu_service_usual_folder(char folder[MU_SERVICE_PATH_MAX], struct mu_err *e)
{
    const char *named = getenv("MUSTER_SERVICES"), *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;
    if (named && named[0])
        n = snprintf(folder, MU_SERVICE_PATH_MAX, "%s", named);
    else if (state && state[0] == '/')
        n = snprintf(folder, MU_SERVICE_PATH_MAX, "%s/muster/services", state);
    else if (home && home[0] == '/')
        n = snprintf(folder, MU_SERVICE_PATH_MAX, "%s/.local/state/muster/services", home);
    else
        return mu_fail(
            e, MU_ENOENT,
            "neither MUSTER_SERVICES, XDG_STATE_HOME nor HOME names a folder for services: write FOLDER/NAME");
    return n < MU_SERVICE_PATH_MAX ? MU_OK : mu_fail(e, MU_ELIMIT, "the folder of services has too long a path");
}

int mu_service_place(const char *text, char folder[MU_SERVICE_PATH_MAX], char name[MU_SERVICE_NAME_MAX + 1],
                     struct mu_err *e)
{
    const char *slash = strrchr(text, '/'), *last = slash ? slash + 1 : text;
    size_t n = slash ? (size_t)(slash - text) : 0;
    if (!mu_service_name_is_good(last))
        return mu_fail(e, MU_EUSAGE,
                       "%.200s names no service: letters, digits, \".\", \"_\" and \"-\", %d at most, behind a folder "
                       "if not in the usual one",
                       text, MU_SERVICE_NAME_MAX);
    memcpy(name, last, strlen(last) + 1);
    if (!slash)
        return mu_service_usual_folder(folder, e);
    if (n >= MU_SERVICE_PATH_MAX)
        return mu_fail(e, MU_ELIMIT, "the folder of a service has a path of %zu bytes, at most %d", n,
                       MU_SERVICE_PATH_MAX - 1);
    memcpy(folder, text, n);
    memcpy(folder + n, n ? "" : "/", n ? 1 : 2);
    return MU_OK;
}

/* ---- the folder ---- */

static int make_folder(const char *path, struct mu_err *e)
{
    char above[MU_SERVICE_PATH_MAX];
    struct mu_str last = mu_path_name(path);
    size_t n = (size_t)(last.p - path);
    memcpy(above, path, n);
    above[n] = '\0';
    if (n > 0)
        MU_TRY_RETURN(mu_path_make_folders(above, e));
    return mkdir(path, 0700) == 0 || errno == EEXIST ? MU_OK : mu_fail_errno(e, errno, "make the folder", path);
}

static int check_folder(const struct mu_service_folder *f, struct mu_err *e)
{
    struct stat st;
    if (fstat(f->fd, &st) != 0)
        return mu_fail_errno(e, errno, "look at", f->path);
    if (st.st_uid != geteuid())
        return mu_fail(e, MU_EINVAL,
                       "the folder of services %s belongs to user %ld and this is user %ld: whoever writes there "
                       "could send requests elsewhere; use a folder of your own",
                       f->path, (long)st.st_uid, (long)geteuid());
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return mu_fail(e, MU_EINVAL,
                       "the folder of services %s can be written to by others (mode %03o), who could send requests "
                       "elsewhere: chmod go-w",
                       f->path, (unsigned)st.st_mode & 0777u);
    return MU_OK;
}

int mu_service_folder_open(struct mu_service_folder *f, const char *path, bool makes, struct mu_err *e)
{
    f->fd = -1;
    if (!path[0] || strlen(path) >= sizeof f->path)
        return mu_fail(e, MU_EUSAGE, "the folder of services needs a path of 1 to %zu bytes", sizeof f->path - 1);
    memcpy(f->path, path, strlen(path) + 1);
    if (makes)
        MU_TRY_RETURN(make_folder(path, e));
    f->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->fd < 0)
        return mu_fail_errno(e, errno, "open the folder of services", path);
    int rc = check_folder(f, e);
    if (rc != MU_OK)
        mu_service_folder_close(f);
    return rc;
}

void mu_service_folder_close(struct mu_service_folder *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

static void name_file(char file[FILE_BYTES], const char *name)
{
    snprintf(file, FILE_BYTES, "%s" ENDING, name);
}

/* ---- reading ---- */

static int check_file(const struct mu_service_folder *f, const char *file, int fd, struct mu_err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return mu_fail_errno(e, errno, "look at", file);
    if (!S_ISREG(st.st_mode) || st.st_nlink > 1)
        return mu_fail(e, MU_EINVAL, "%s/%s is not a plain file with one name, so it is not trusted as a service",
                       f->path, file);
    if (st.st_uid != geteuid())
        return mu_fail(e, MU_EINVAL,
                       "%s/%s belongs to user %ld and this is user %ld: only one's own services are trusted", f->path,
                       file, (long)st.st_uid, (long)geteuid());
    if (st.st_mode & 0077)
        return mu_fail(e, MU_EINVAL,
                       "%s/%s holds a token that others may read or change (mode %03o), so it is not used: end the "
                       "service, remove the file and start it again",
                       f->path, file, (unsigned)st.st_mode & 0777u);
    if (st.st_size > MU_SERVICE_RECORD_BYTES_MAX)
        return mu_fail(e, MU_EINVAL, "%s/%s has %lld bytes, and the record of a service has at most %d", f->path, file,
                       (long long)st.st_size, MU_SERVICE_RECORD_BYTES_MAX);
    return MU_OK;
}

static int read_bytes(int fd, const char *file, char *to, size_t most, size_t *n, struct mu_err *e)
{
    *n = 0;
    while (*n < most) {
        ssize_t got = read(fd, to + *n, most - *n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return mu_fail_errno(e, errno, "read", file);
        if (got == 0)
            break;
        *n += (size_t)got;
    }
    return MU_OK;
}

static int open_file(const struct mu_service_folder *f, const char *name, const char *file, int *fd, struct mu_err *e)
{
    *fd = openat(f->fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (*fd >= 0)
        return MU_OK;
    if (errno == ENOENT)
        return mu_fail(e, MU_ENOENT, "no service %s is in %s: it has ended, or is not up yet", name, f->path);
    if (errno == ELOOP)
        return mu_fail(e, MU_EINVAL, "%s/%s is a symbolic link, which is not followed", f->path, file);
    return mu_fail_errno(e, errno, "open", file);
}

int mu_service_read(const struct mu_service_folder *f, const char *name, struct mu_service_record *r, struct mu_err *e)
{
    char file[FILE_BYTES], text[MU_SERVICE_RECORD_BYTES_MAX + 1]; /* one more: found too long while it grows */
    size_t n = 0;
    int fd;
    name_file(file, name);
    MU_TRY_RETURN(open_file(f, name, file, &fd, e));
    int rc = check_file(f, file, fd, e);
    if (rc == MU_OK)
        rc = read_bytes(fd, file, text, sizeof text, &n, e);
    close(fd);
    if (rc == MU_OK)
        rc = mu_err_while(e, mu_service_record_parse(r, (struct mu_str){text, n}, e), "reading %s/%s", f->path, file);
    explicit_bzero(text, n);
    if (rc == MU_OK && strcmp(r->name, name) != 0)
        return mu_fail(e, MU_EFORMAT, "%s/%s says that it is the service %s", f->path, file, r->name);
    return rc;
}

/* ---- writing ---- */

static int write_bytes(int fd, struct mu_str text)
{
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        text.p += n;
        text.n -= (size_t)n;
    }
    return 0;
}

/* A file of that name is one that a killed process left. */
static int make_file(const struct mu_service_folder *f, const char *file, struct mu_str text)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    int fd = openat(f->fd, file, flags, 0600);
    if (fd < 0 && errno == EEXIST && unlinkat(f->fd, file, 0) == 0)
        fd = openat(f->fd, file, flags, 0600);
    if (fd < 0)
        return errno;
    int err = write_bytes(fd, text);
    return close(fd) != 0 && err == 0 ? errno : err;
}

/* Where the storage has no links, renaming does, though two that begin at one moment may both think they were first. */
static int put(const struct mu_service_folder *f, const char *from, const char *to, bool is_first)
{
    if (is_first && linkat(f->fd, from, f->fd, to, 0) == 0)
        return unlinkat(f->fd, from, 0) == 0 ? 0 : errno;
    if (is_first && errno == EEXIST)
        return EEXIST;
    return renameat(f->fd, from, f->fd, to) == 0 ? 0 : errno;
}

static int spell(struct mu_buf *text, const struct mu_service_record *r, struct mu_err *e)
{
    json_t *o;
    MU_TRY_RETURN(mu_service_record_json(r, true, &o, e));
    int rc = mu_json_dump(text, o, true, e);
    json_decref(o);
    return rc == MU_OK ? mu_buf_putc(text, '\n', e) : rc;
}

int mu_service_write(const struct mu_service_folder *f, const struct mu_service_record *r, bool is_first,
                     struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("the record of a service", MU_SERVICE_RECORD_BYTES_MAX);
    char file[FILE_BYTES], beside[FILE_BYTES];
    int rc = MU_OK, err;
    MU_TRY(spell(&text, r, e));
    if (is_first) /* what is written can be read */
        MU_TRY(mu_service_record_parse(&(struct mu_service_record){.port = 0}, mu_buf_str(&text), e));
    name_file(file, r->name);
    snprintf(beside, sizeof beside, ".%s.%.8s.tmp", r->name, r->id);
    err = make_file(f, beside, mu_buf_str(&text));
    if (err == 0)
        err = put(f, beside, file, is_first);
    if (err != 0)
        (void)unlinkat(f->fd, beside, 0);
    if (err == EEXIST)
        rc = mu_fail(e, MU_EINVAL, "a service %s is in %s already", r->name, f->path);
    else if (err != 0)
        rc = mu_fail_errno(e, err, "write the record of a service in", f->path);
out:
    if (text.p)
        explicit_bzero(text.p, text.n);
    mu_buf_fini(&text);
    return rc;
}

void mu_service_remove(const struct mu_service_folder *f, const char *name, const char *id)
{
    struct mu_service_record r;
    char file[FILE_BYTES];
    name_file(file, name);
    if (mu_service_read(f, name, &r, NULL) == MU_OK && strcmp(r.id, id) == 0)
        (void)unlinkat(f->fd, file, 0);
}

/* ---- all of them ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Whether a file's name is that of a record; its service's name then. */
static bool is_record(const char *file, char name[MU_SERVICE_NAME_MAX + 1])
{
    size_t n = strlen(file), end = sizeof ENDING - 1;
    if (n <= end || n - end > MU_SERVICE_NAME_MAX || strcmp(file + n - end, ENDING) != 0)
        return false;
    memcpy(name, file, n - end);
    name[n - end] = '\0';
    return mu_service_name_is_good(name);
}

int mu_service_names(const struct mu_service_folder *f, char (**names)[MU_SERVICE_NAME_MAX + 1], int *n,
                     struct mu_err *e)
{
    int fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    *n = 0;
    *names = NULL;
    if (!d) {
        int err = errno;
        if (fd >= 0)
            close(fd);
        return mu_fail_errno(e, err, "read the folder of services", f->path);
    }
    int rc = MU_NEW_ARRAY(names, MU_SERVICES_MAX, "the names of services", e);
    for (const struct dirent *entry; rc == MU_OK && (entry = readdir(d)) != NULL;) {
        if (*n < MU_SERVICES_MAX && is_record(entry->d_name, (*names)[*n]))
            ++*n;
    }
    closedir(d);
    if (rc == MU_OK)
        qsort(*names, (size_t)*n, sizeof **names, compare_names);
    return rc;
}
