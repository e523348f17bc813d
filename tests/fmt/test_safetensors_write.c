/* test_safetensors_write.c - what is written reads back; what fails leaves nothing behind */
#include "fmt/safetensors_write.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/mem.h"
#include "fmt_files.h"

static const struct mu_tensor_info tensors[] = {
    {.name = "bytes", .dtype = MU_U8, .n_dims = 1, .dims = {3}},
    {.name = "matrix \"1\" ü", .dtype = MU_F32, .n_dims = 2, .dims = {5, 7}},
    {.name = "halves", .dtype = MU_BF16, .n_dims = 2, .dims = {11, 3}},
    {.name = "scalar", .dtype = MU_F64, .n_dims = 0},
    {.name = "empty", .dtype = MU_F32, .n_dims = 2, .dims = {0, 9}},
};
#define N ((int64_t)MU_COUNT(tensors))

static unsigned char byte_of(int64_t tensor, size_t i)
{
    return (unsigned char)(31 * tensor + (int64_t)i);
}

static int write_all(struct mu_safetensors_writer *w, struct mu_err *e)
{
    for (int64_t i; (i = mu_safetensors_writer_next(w)) >= 0;) {
        uint64_t n = 1, bytes;
        for (int d = 0; d < tensors[i].n_dims; d++)
            n *= tensors[i].dims[d];
        mu_dtype_bytes(tensors[i].dtype, n, &bytes);
        for (size_t k = 0; k < bytes; k++) { /* a byte at a time: the hardest stream */
            unsigned char byte = byte_of(i, k);
            MU_TRY_RETURN(mu_safetensors_writer_write(w, &byte, 1, e));
        }
    }
    return MU_OK;
}

static int write_checkpoint(const char *folder, uint64_t shard_bytes_max, struct mu_err *e)
{
    struct mu_safetensors_writer *w = NULL;
    int rc = MU_OK;
    MU_TRY(mu_safetensors_writer_open(&w, folder, tensors, N, shard_bytes_max, e));
    MU_TRY(write_all(w, e));
    MU_TRY(mu_safetensors_writer_commit(w, e));
out:
    mu_safetensors_writer_free(w);
    return rc;
}

static void check_reads_back(const char *path)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_weights *w;
    unsigned char raw[256];
    XT_OK(mu_weights_open(&w, path, MU_READ_DIRECT, &err));
    XT_EQ(mu_weights_count(w), N);
    for (int64_t i = 0; i < N; i++) {
        const struct mu_tensor_info *t = mu_weights_find(w, tensors[i].name);
        XT_CHECK(t);
        XT_EQ(t->dtype, tensors[i].dtype);
        XT_EQ(t->n_dims, tensors[i].n_dims);
        for (int d = 0; d < t->n_dims; d++)
            XT_EQ(t->dims[d], tensors[i].dims[d]);
        XT_EQ(t->offset % mu_dtype_block_bytes(t->dtype), 0);
        XT_OK(mu_weights_read(w, t, 0, t->n_bytes, raw, &err));
        for (uint64_t k = 0; k < t->n_bytes; k++)
            XT_EQ(raw[k], byte_of(i, k));
    }
    mu_weights_close(w);
}

static int count_files(const char *folder)
{
    DIR *d = opendir(folder);
    int n = -2;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

XT_TEST(one_file_reads_back)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(write_checkpoint(xt_tmpdir(), 0, &err));
    XT_EQ(count_files(xt_tmpdir()), 1);
    check_reads_back(in_tmp("model.safetensors"));
}

XT_TEST(shards_read_back)
{
    struct mu_err err = MU_ERR_INIT;
    XT_OK(write_checkpoint(xt_tmpdir(), 100, &err)); /* 3 | 140 | 66+8+0 */
    XT_EQ(count_files(xt_tmpdir()), 4);
    XT_CHECK(mu_path_exists(in_tmp("model-00002-of-00003.safetensors")));
    check_reads_back(xt_tmpdir());
}

XT_TEST(no_tensors_at_all)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_safetensors_writer *out;
    struct mu_weights *w;
    XT_OK(mu_safetensors_writer_open(&out, xt_tmpdir(), NULL, 0, 0, &err));
    XT_EQ(mu_safetensors_writer_next(out), -1);
    XT_OK(mu_safetensors_writer_commit(out, &err));
    mu_safetensors_writer_free(out);
    XT_OK(mu_weights_open(&w, xt_tmpdir(), MU_READ_DIRECT, &err));
    XT_EQ(mu_weights_count(w), 0);
    mu_weights_close(w);
}

XT_TEST(misuse_is_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_safetensors_writer *w;
    struct mu_tensor_info bad[2] = {tensors[0], tensors[0]};
    const char *dir = xt_tmpdir();
    XT_FAILS(mu_safetensors_writer_open(&w, dir, bad, 2, 0, &err), MU_EINVAL, "holds tensor \"bytes\" twice");
    bad[1].name = "";
    XT_FAILS(mu_safetensors_writer_open(&w, dir, bad, 2, 0, &err), MU_EINVAL, "cannot be the name of a tensor");
    bad[1].name = "q";
    bad[1].dtype = MU_Q8_0;
    XT_FAILS(mu_safetensors_writer_open(&w, dir, bad, 2, 0, &err), MU_EINVAL, "which safetensors cannot hold");
    bad[1].dtype = MU_F32;
    bad[1].dims[0] = UINT64_MAX;
    XT_FAILS(mu_safetensors_writer_open(&w, dir, bad, 2, 0, &err), MU_EINVAL, "impossible dimensions");
    XT_FAILS(mu_safetensors_writer_open(&w, "/nonexistent", tensors, N, 0, &err), MU_ENOENT, "/nonexistent");
    XT_OK(mu_safetensors_writer_open(&w, dir, tensors, 1, 0, &err));
    XT_FAILS(mu_safetensors_writer_write(w, "abcd", 4, &err), MU_EINVAL, "has 3 bytes, 4 are written");
    XT_FAILS(mu_safetensors_writer_commit(w, &err), MU_EINVAL, "has 0 of its bytes written, not 3");
    XT_OK(mu_safetensors_writer_write(w, "abc", 3, &err));
    XT_FAILS(mu_safetensors_writer_write(w, "d", 1, &err), MU_EINVAL, "left over");
    mu_safetensors_writer_free(w); /* not committed */
    XT_EQ(count_files(dir), 0);
}

static int write_sharded(void *folder, struct mu_err *e)
{
    return write_checkpoint(folder, 100, e);
}

XT_TEST(any_allocation_may_fail)
{
    xt_each_alloc_fails(write_sharded, (void *)(uintptr_t)xt_tmpdir());
    XT_EQ(count_files(xt_tmpdir()), 4);
}

/* ---- a disk that fills up ---- */

static const struct mu_tensor_info large[] = {
    {.name = "a", .dtype = MU_F32, .n_dims = 1, .dims = {64 << 10}},
    {.name = "b", .dtype = MU_F32, .n_dims = 1, .dims = {64 << 10}},
};

static int write_large(const char *folder, struct mu_err *e)
{
    static const char zeros[4 << 10];
    struct mu_safetensors_writer *w = NULL;
    int rc = MU_OK;
    MU_TRY(mu_safetensors_writer_open(&w, folder, large, 2, 300 << 10, e));
    while (mu_safetensors_writer_next(w) >= 0)
        MU_TRY(mu_safetensors_writer_write(w, zeros, sizeof zeros, e));
    MU_TRY(mu_safetensors_writer_commit(w, e));
out:
    mu_safetensors_writer_free(w);
    return rc;
}

XT_TEST(a_file_size_limit_leaves_nothing_behind)
{
    struct mu_err err = MU_ERR_INIT;
    struct rlimit old, small;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 100 << 10;
    setrlimit(RLIMIT_FSIZE, &small);
    int rc = write_large(xt_tmpdir(), &err);
    setrlimit(RLIMIT_FSIZE, &old);
    XT_EQ(rc, MU_ENOSPC);
    XT_CHECK(strstr(err.text, "cannot write"));
    XT_EQ(count_files(xt_tmpdir()), 0);
}

enum { CHILD_OK, CHILD_NO_MOUNT, CHILD_WRONG };

/* In a mount namespace of its own: a tmpfs of 400 KB for 512 KB of tensors. */
static int write_to_a_small_disk(const char *folder)
{
    struct mu_err err = MU_ERR_INIT;
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return CHILD_NO_MOUNT;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount("none", folder, "tmpfs", 0, "size=400k") != 0)
        return CHILD_NO_MOUNT;
    int rc = write_large(folder, &err);
    printf("# %s\n", err.text);
    return rc == MU_ENOSPC && strstr(err.text, "No space left") && count_files(folder) == 0 ? CHILD_OK : CHILD_WRONG;
}

XT_TEST(a_full_disk_leaves_nothing_behind)
{
    int status;
    const char *folder = xt_tmpdir();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int rc = write_to_a_small_disk(folder);
        fflush(stdout);
        _exit(rc);
    }
    XT_EQ(waitpid(child, &status, 0), child);
    XT_CHECK(WIFEXITED(status));
    if (WEXITSTATUS(status) == CHILD_NO_MOUNT)
        xt_skip("cannot mount a small tmpfs here");
    XT_EQ(WEXITSTATUS(status), CHILD_OK);
}

XT_MAIN()
