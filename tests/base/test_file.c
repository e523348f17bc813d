/* test_file.c - reading, change detection, and output that appears whole or not at all */
#include "base/file.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "xt.h"

static const char *write_file(const char *name, const char *text)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", xt_tmpdir(), name);
    FILE *f = fopen(path, "wb");
    XT_CHECK(f);
    fwrite(text, 1, strlen(text), f);
    fclose(f);
    return path;
}

XT_TEST(reads_ranges_and_whole)
{
    struct mu_err err = MU_ERR_INIT;
    const char *path = write_file("a", "0123456789");
    struct mu_file f;
    char part[4] = "";
    XT_OK(mu_file_open(&f, path, &err));
    XT_EQ(f.bytes, 10);
    XT_OK(mu_file_read_at(&f, part, 3, 4, &err));
    XT_STREQ(part, "456");
    XT_FAILS(mu_file_read_at(&f, part, 3, 9, &err), MU_ECHANGED, "ends at byte 10");
    mu_file_close(&f);

    struct mu_buf b = MU_BUF_INIT("a test file", 10);
    XT_OK(mu_file_read_all(&b, path, &err));
    XT_STREQ(b.p, "0123456789");
    mu_buf_fini(&b);
    struct mu_buf small = MU_BUF_INIT("a small file", 9);
    XT_FAILS(mu_file_read_all(&small, path, &err), MU_ELIMIT, "has 10 bytes, at most 9 are read as a small file");
    mu_buf_fini(&small);
}

XT_TEST(opening_what_is_no_file_says_so)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_file f;
    XT_FAILS(mu_file_open(&f, "/nonexistent/x", &err), MU_ENOENT, "/nonexistent/x");
    XT_FAILS(mu_file_open(&f, "/tmp", &err), MU_EINVAL, "not a regular file");
    XT_FAILS(mu_file_open(&f, "/dev/zero", &err), MU_EINVAL, "not a regular file");
    char pipe[512];
    snprintf(pipe, sizeof pipe, "%s/fifo", xt_tmpdir());
    XT_EQ(mkfifo(pipe, 0600), 0);
    XT_FAILS(mu_file_open(&f, pipe, &err), MU_EINVAL, "not a regular file"); /* and does not wait for a writer */
}

XT_TEST(a_file_that_changes_is_found_out)
{
    struct mu_err err = MU_ERR_INIT;
    const char *path = write_file("a", "0123456789");
    struct mu_file f;
    XT_OK(mu_file_open(&f, path, &err));
    XT_OK(mu_file_check(&f, &err));
    XT_EQ(truncate(path, 5), 0);
    XT_FAILS(mu_file_check(&f, &err), MU_ECHANGED, "had 10 bytes when opened and has 5 now");
    mu_file_close(&f);
}

XT_TEST(output_appears_on_commit_only)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_outfile o;
    char path[512];
    snprintf(path, sizeof path, "%s/out", xt_tmpdir());
    XT_OK(mu_outfile_open(&o, path, &err));
    XT_OK(mu_outfile_write(&o, "abc", 3, &err));
    XT_CHECK(!mu_path_exists(path));
    XT_OK(mu_outfile_commit(&o, &err));
    struct mu_buf b = MU_BUF_INIT("output", 100);
    XT_OK(mu_file_read_all(&b, path, &err));
    XT_STREQ(b.p, "abc");
    mu_buf_fini(&b);

    XT_OK(mu_outfile_open(&o, path, &err));
    XT_OK(mu_outfile_write(&o, "xyz", 3, &err));
    mu_outfile_discard(&o);
    XT_OK(mu_file_read_all(&b, path, &err));
    XT_STREQ(b.p, "abc");
    mu_buf_fini(&b);
    XT_FAILS(mu_outfile_open(&o, "/nonexistent/dir/x", &err), MU_ENOENT, "/nonexistent/dir/x");
}

XT_TEST(a_full_disk_leaves_nothing_behind)
{
    struct mu_err err = MU_ERR_INIT;
    struct rlimit old, small = {4096, RLIM_INFINITY};
    struct mu_outfile o;
    char path[512], block[4096];
    memset(block, 'x', sizeof block);
    snprintf(path, sizeof path, "%s/out", xt_tmpdir());
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    XT_OK(mu_outfile_open(&o, path, &err));
    int rc = MU_OK;
    for (int i = 0; i < 8 && rc == MU_OK; i++)
        rc = mu_outfile_write(&o, block, sizeof block, &err);
    if (rc == MU_OK)
        rc = mu_outfile_commit(&o, &err);
    else
        mu_outfile_discard(&o);
    setrlimit(RLIMIT_FSIZE, &old);
    XT_EQ(rc, MU_ENOSPC);
    XT_CHECK(strstr(err.text, "cannot write"));
    XT_CHECK(!mu_path_exists(path));
    char command[600];
    snprintf(command, sizeof command, "test -z \"$(ls -A %s)\"", xt_tmpdir());
    XT_EQ(system(command), 0);
}

XT_MAIN()
