/* test_packed.c - packed models: the bits of the checkpoint on every layout, what is refused, and that layouts which
 * change change their name */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "model/packed.h"
#include "rig.h"
#include "shard_rig.h"

/* ---- packing a golden checkpoint into a folder of the test ---- */

static void copy_config(const char *from, const char *to)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf b = MU_BUF_INIT("config.json", (size_t)1 << 20);
    struct mu_outfile out;
    char path[700];

    snprintf(path, sizeof path, "%s/config.json", from);
    XT_OK(mu_file_read_all(&b, path, &err));
    snprintf(path, sizeof path, "%s/config.json", to);
    XT_OK(mu_outfile_open(&out, path, &err));
    XT_OK(mu_outfile_write(&out, b.p, b.n, &err));
    XT_OK(mu_outfile_commit(&out, &err));
    mu_buf_fini(&b);
}

static int read_spec(struct mu_spec *s, const char *dir, struct mu_err *e)
{
    json_t *config = NULL;
    char path[700];
    snprintf(path, sizeof path, "%s/config.json", dir);
    MU_TRY_RETURN(mu_json_load(&config, path, e));
    int rc = mu_spec_from_config(s, config, path, e);
    json_decref(config);
    return rc;
}

struct packed {
    char dir[512], file[600];
    struct mu_packed_head head;
};

static int pack_to(const char *file, struct mu_packed_head *h, const char *from, enum mu_wformat format,
                   enum mu_mla_form mla, struct mu_err *e)
{
    struct mu_cpu_opts cpu = {.level = "ref", .n_threads = 2};
    struct mu_pack_opts o = {.format = format, .mla = mla};
    struct mu_spec s = MU_SPEC_INIT;
    struct mu_weights *w = NULL;
    struct mu_device *d = NULL;
    int rc = MU_OK;

    MU_TRY(read_spec(&s, from, e));
    MU_TRY(mu_weights_open(&w, from, MU_READ_DIRECT, e));
    MU_TRY(mu_device_open_cpu(&d, &cpu, e));
    MU_TRY(mu_model_pack(file, h, &s, w, d, &o, e));
out:
    mu_spec_fini(&s);
    mu_weights_close(w);
    mu_device_close(d);
    return rc;
}

static void pack(struct packed *p, const char *name, enum mu_wformat format, enum mu_mla_form mla)
{
    struct mu_err err = MU_ERR_INIT;
    char from[256];
    snprintf(from, sizeof from, "tests/golden/%s", name);
    snprintf(p->dir, sizeof p->dir, "%s", xt_tmpdir());
    snprintf(p->file, sizeof p->file, "%s/%s", p->dir, MU_PACKED_NAME);
    copy_config(from, p->dir);
    XT_OK(pack_to(p->file, &p->head, from, format, mla, &err));
}

/* ---- the same bits ---- */

struct packed_case {
    const char *name;
    enum mu_wformat format;
    enum mu_mla_form mla;
};

static const struct packed_case cases[] = {
    {"llama_bf16", MU_WBF16, 0},                 /* dense */
    {"llama_bias", MU_WINT8, 0},                 /* biases, cut with their rows */
    {"llama2", MU_WINT4, 0},                     /* quantised while packing */
    {"llama_f16", MU_WF16, 0},                   /* */
    {"qwen2", MU_WINT8, 0},                      /* a tied head */
    {"gpt2", MU_WF32, 0},                        /* transposed, learned positions, tied */
    {"falcon_alibi", MU_WF32, 0},                /* a table of slopes */
    {"falcon_40b", MU_WINT4, 0},                 /* fused, parallel norms */
    {"mixtral", MU_WINT8, 0},                    /* experts */
    {"deepseek_v3", MU_WBF16, MU_MLA_ABSORBED},  /* latent, shared experts, biases of routers */
    {"deepseek_v3_fp8", MU_WINT4, MU_MLA_NAIVE}, /* scaled blocks */
    {"llama_longrope_v5", MU_WF32, 0},           /* rotated by length: no table */
};

static const struct shard_plan plans[] = {{.tp = 1, .pp = 1, .lanes = 1, .ends = {-1}},
                                          {.tp = 2, .pp = 1, .lanes = 1, .ends = {-1}},
                                          {.tp = 3, .pp = 2, .lanes = 1, .ends = {1, -1}},
                                          {.tp = 5, .pp = 1, .lanes = 1, .ends = {-1}, .ranks_per_node = 2},
                                          {.tp = 1, .pp = 2, .lanes = 1, .ends = {1, -1}},
                                          {.tp = 2, .pp = 1, .lanes = 2, .ends = {-1}},
                                          {.tp = 4, .pp = 1, .lanes = 1, .ends = {-1}, .cp = 2}};

XT_TEST(every_layout_has_the_bits_of_the_checkpoint)
{
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        const struct packed_case *c = &cases[i];
        struct shard_case from = shard_golden(c->name);
        struct shard_want w;
        struct packed p;

        from.format = c->format;
        from.mla = c->mla;
        pack(&p, c->name, c->format, c->mla);
        shard_want(&w, &from, 2);
        w.c.dir = p.dir;
        w.bytes_read = 0; /* it is mapped */
        for (size_t j = 0; j < MU_COUNT(plans); j++) {
            bool is_refused = plans[j].cp > 1 && (c->mla == MU_MLA_NAIVE || strstr(c->name, "falcon_alibi"));
            if (!is_refused && (j == 0 || xt_takes(i, j)))
                shard_compare(&w, &plans[j]);
        }
        shard_want_free(&w);
    }
}

/* Experts placed by load, with copies. */
XT_TEST(experts_that_are_placed)
{
    static const struct shard_plan plan = {
        .tp = 2, .pp = 1, .lanes = 2, .ends = {-1}, .redundant = 3, .loads = SHARD_LOADS_RANDOM};
    struct shard_case from = shard_golden("mixtral");
    struct shard_want w;
    struct packed p;

    from.format = MU_WBF16;
    pack(&p, "mixtral", MU_WBF16, 0);
    shard_want(&w, &from, 2);
    w.c.dir = p.dir;
    w.bytes_read = 0;
    shard_compare(&w, &plan);
    shard_want_free(&w);
}

/* ---- memory ---- */

/* Of the heap a mapped model takes what the bill says beside its weights, and the parts it copies; nothing else while
 * it loads. */
static void load_part(const struct packed *p, const struct mu_shard *sh)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_cpu_opts cpu = {.level = "auto", .n_threads = 1};
    struct mu_model_opts o = {.format = MU_WBF16,
                              .kv_dtype = MU_F32,
                              .context_max = 64,
                              .rows_max = 9,
                              .logit_rows_max = 9,
                              .is_mapped = true,
                              .shard = sh};
    struct mu_model_sizes z;
    struct mu_weights *w;
    struct mu_device *d;
    struct mu_model *m;
    struct mu_spec s;

    rig_read_spec(&s, p->dir);
    XT_OK(mu_device_open_cpu(&d, &cpu, &err));
    XT_OK(mu_weights_open(&w, p->dir, MU_READ_DIRECT, &err));
    XT_OK(mu_model_sizes(&s, &o, d, &z, &err));
    XT_EQ(z.load_staging, 0);
    XT_CHECK(z.weights <= p->head.block_bytes);
    if (!sh)
        XT_CHECK(z.copied == 0 && z.weights + 4096 > p->head.block_bytes); /* but for the routers' biases */
    else
        XT_CHECK(z.copied > 0 && z.copied < z.weights);
    size_t before = mu_mem_bytes_used(), want = z.host + z.activations + z.logits + z.work + z.copied;
    mu_mem_peak_reset();
    XT_OK(mu_model_load(&m, &s, &o, w, d, NULL, NULL, &err));
    XT_EQ(mu_mem_bytes_used() - before, want);
    XT_EQ(mu_mem_bytes_peak() - before, want);
    mu_model_free(m);
    mu_weights_close(w);
    mu_device_close(d);
}

XT_TEST(the_bill_is_exact)
{
    static const char *const names[] = {"llama_bf16", "falcon_alibi", "deepseek_v3"};
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        struct packed p;
        pack(&p, names[i], MU_WBF16, 0);
        load_part(&p, NULL);
        for (int r = 0; r < 3; r++) {
            struct mu_shard sh = {
                .tp_rank = r, .tp_size = 3, .n_lanes = 1, .layer_end = 2, .has_embed = true, .has_head = true};
            load_part(&p, &sh);
        }
    }
}

/* The file itself, read only, in every process that maps it: so they have its pages between them. */
XT_TEST(weights_are_pages_of_the_file)
{
    struct packed p;
    struct rig a, b;
    char line[1024];
    int n = 0;

    pack(&p, "llama_bf16", MU_WBF16, 0);
    rig_open(&a, p.dir, &(struct rig_opts){.format = MU_WBF16});
    rig_open(&b, p.dir, &(struct rig_opts){.format = MU_WBF16});
    FILE *maps = fopen("/proc/self/maps", "r");
    XT_CHECK(maps);
    while (fgets(line, sizeof line, maps))
        if (strstr(line, p.file)) {
            XT_CHECK(strstr(line, " r--p "));
            n++;
        }
    fclose(maps);
    rig_close(&a);
    rig_close(&b);
    XT_EQ(n, 2);
}

/* ---- what is refused ---- */

static int open_as(const struct packed *p, enum mu_wformat format, enum mu_mla_form mla, struct mu_err *e)
{
    struct mu_cpu_opts cpu = {.level = "ref", .n_threads = 1};
    struct mu_model_opts o = {
        .format = format, .kv_dtype = MU_F32, .mla = mla, .context_max = 64, .rows_max = 4, .logit_rows_max = 4};
    struct mu_spec s = MU_SPEC_INIT;
    struct mu_weights *w = NULL;
    struct mu_device *d = NULL;
    struct mu_model *m = NULL;
    int rc = MU_OK;

    MU_TRY(read_spec(&s, p->dir, e));
    MU_TRY(mu_device_open_cpu(&d, &cpu, e));
    MU_TRY(mu_weights_open(&w, p->dir, MU_READ_DIRECT, e));
    MU_TRY(mu_model_load(&m, &s, &o, w, d, NULL, NULL, e));
out:
    mu_model_free(m);
    mu_spec_fini(&s);
    mu_weights_close(w);
    mu_device_close(d);
    return rc;
}

static void put(const struct packed *p, uint64_t at, const void *bytes, size_t n)
{
    int fd = open(p->file, O_WRONLY);
    XT_CHECK(fd >= 0 && pwrite(fd, bytes, n, (off_t)at) == (ssize_t)n);
    close(fd);
}

XT_TEST(other_formats_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct packed p;
    pack(&p, "llama_bf16", MU_WINT8, 0);
    XT_FAILS(open_as(&p, MU_WBF16, 0, &err), MU_EINVAL, "packed as int8, not bf16");
    XT_FAILS(open_as(&p, MU_WBF16, 0, &err), MU_EINVAL, "made from (model.safetensors)");
    XT_OK(open_as(&p, MU_WINT8, MU_MLA_NAIVE, &err)); /* nothing is latent in it */
    pack(&p, "deepseek_v2_lite", MU_WBF16, MU_MLA_NAIVE);
    XT_FAILS(open_as(&p, MU_WBF16, MU_MLA_ABSORBED, &err), MU_EINVAL, "the naive form of latent attention");
    XT_OK(open_as(&p, MU_WBF16, MU_MLA_NAIVE, &err));
}

XT_TEST(damaged_files_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct packed p;
    uint32_t turned = 0x04030201, order = 0x01020304, version = 7, right = MU_PACKED_VERSION;
    uint64_t length = 1u << 30;

    pack(&p, "llama_bf16", MU_WBF16, 0);
    put(&p, 8, &turned, 4);
    XT_FAILS(open_as(&p, MU_WBF16, 0, &err), MU_EUNSUPPORTED, "the other byte order");
    put(&p, 8, &length, 4);
    XT_FAILS(open_as(&p, MU_WBF16, 0, &err), MU_EFORMAT, "mark of the byte order");
    put(&p, 8, &order, 4);
    put(&p, 12, &version, 4);
    XT_FAILS(open_as(&p, MU_WBF16, 0, &err), MU_EUNSUPPORTED, "of version 7, this program knows version 1");
    put(&p, 12, &right, 4);
    XT_OK(open_as(&p, MU_WBF16, 0, &err));
    put(&p, 40, "?", 1);
    XT_FAILS(open_as(&p, MU_WBF16, 0, &err), MU_EFORMAT, "head does not have the hash");
    put(&p, 16, &length, 8);
    XT_FAILS(open_as(&p, MU_WBF16, 0, &err), MU_EFORMAT, "says its head has 1073741824 bytes");
    put(&p, 0, "NUPACKED", 8);
    XT_FAILS(open_as(&p, MU_WBF16, 0, &err), MU_EFORMAT, "does not begin as a packed model");
    XT_CHECK(truncate(p.file, 20) == 0);
    XT_FAILS(open_as(&p, MU_WBF16, 0, &err), MU_EFORMAT, "does not begin as a packed model");
}

XT_TEST(files_of_another_length_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct packed p;
    pack(&p, "llama_bf16", MU_WBF16, 0);
    uint64_t whole = MU_PACKED_ALIGN + p.head.block_bytes;
    XT_CHECK(truncate(p.file, (off_t)whole + 1) == 0);
    XT_FAILS(open_as(&p, MU_WBF16, 0, &err), MU_EFORMAT, "something was added");
    XT_CHECK(truncate(p.file, (off_t)whole - 1) == 0);
    XT_FAILS(open_as(&p, MU_WBF16, 0, &err), MU_EFORMAT, "it was cut short");
    XT_CHECK(truncate(p.file, 100) == 0);
    XT_FAILS(open_as(&p, MU_WBF16, 0, &err), MU_EFORMAT, "it was cut short");
}

/* The folder of one with the configuration of another. */
XT_TEST(another_network_is_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct packed p;
    pack(&p, "llama_bf16", MU_WBF16, 0);
    copy_config("tests/golden/llama_linear", p.dir); /* the same shapes, another rotation */
    XT_FAILS(open_as(&p, MU_WBF16, 0, &err), MU_EFORMAT, "another network than config.json beside it describes");
}

/* As another version of muster would have written it. */
XT_TEST(another_layout_is_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_packed_source source = {"model.safetensors", 3};
    struct mu_buf all = MU_BUF_INIT("a packed model", (size_t)64 << 20);
    struct packed p;

    pack(&p, "llama_bf16", MU_WBF16, 0);
    XT_OK(mu_file_read_all(&all, p.file, &err));
    struct mu_str block = {all.p + MU_PACKED_ALIGN, (size_t)p.head.block_bytes};
    struct mu_packed_what what = {&source, 1, &block, 1};
    struct mu_packed_head h = p.head;
    h.layout[3] = h.layout[3] == '0' ? '1' : '0';
    XT_OK(mu_packed_write(p.file, &h, &what, NULL, NULL, &err));
    XT_STREQ(h.hash, p.head.hash); /* in one part or in two */
    XT_FAILS(open_as(&p, MU_WBF16, 0, &err), MU_EUNSUPPORTED, "a version of muster that lays weights out differently");
    h.layout[3] = p.head.layout[3];
    block.n -= 64;
    XT_OK(mu_packed_write(p.file, &h, &what, NULL, NULL, &err));
    XT_FAILS(open_as(&p, MU_WBF16, 0, &err), MU_EFORMAT, "bytes of weights, and the network has");
    mu_buf_fini(&all);
}

XT_TEST(one_wrong_bit_is_found)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_weights *w;
    struct packed p;
    pack(&p, "llama_bf16", MU_WINT4, 0);
    XT_OK(mu_weights_open(&w, p.dir, MU_READ_DIRECT, &err));
    XT_OK(mu_weights_verify(w, &err));
    mu_weights_close(w);
    put(&p, MU_PACKED_ALIGN + p.head.block_bytes - 1, "\x5b", 1);
    XT_OK(mu_weights_open(&w, p.dir, MU_READ_DIRECT, &err));
    XT_FAILS(mu_weights_verify(w, &err), MU_EFORMAT, "is damaged: its weights have the hash");
    mu_weights_close(w);
    XT_OK(mu_weights_open(&w, "tests/golden/llama_bf16", MU_READ_DIRECT, &err));
    XT_FAILS(mu_weights_verify(w, &err), MU_EUNSUPPORTED, "no hash of its weights");
    mu_weights_close(w);
}

/* ---- failures ---- */

static int load_packed(void *arg, struct mu_err *e)
{
    return open_as(arg, MU_WINT8, 0, e);
}

static int pack_again(void *arg, struct mu_err *e)
{
    const struct packed *p = arg;
    struct mu_packed_head h;
    char file[700];
    snprintf(file, sizeof file, "%s/again", p->dir);
    return pack_to(file, &h, "tests/golden/deepseek_v3", MU_WINT8, 0, e);
}

XT_TEST(without_memory)
{
    struct packed p;
    pack(&p, "deepseek_v3", MU_WINT8, 0);
    xt_each_alloc_fails(load_packed, &p);
    xt_each_alloc_fails(pack_again, &p);
}

static int stop_when_written(void *arg, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    return *(const int *)arg;
}

XT_TEST(nothing_is_left_of_what_was_stopped)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_packed_source source = {"a", 1};
    struct mu_str block = {"0123456789", 10};
    struct mu_packed_what what = {&source, 1, &block, 1};
    struct mu_packed_head h = {.weights = "f32", .mla = "naive"};
    char path[600];
    int stop = 1;

    snprintf(path, sizeof path, "%s/x", xt_tmpdir());
    XT_FAILS(mu_packed_write(path, &h, &what, stop_when_written, &stop, &err), MU_ECANCELED, "writing was stopped");
    XT_CHECK(rmdir(xt_tmpdir()) == 0); /* empty */
}

/* ---- layouts that change change their name ---- */

#define RECORD_PATH "tests/model/packed.txt"
#define RECORDS     (sizeof recorded / sizeof recorded[0])

/* A line of the file: the layout's name and the hash of the block it gave. */
static const struct packed_case recorded[] = {
    {"llama_bf16", MU_WBF16, 0},  {"llama2", MU_WINT4, 0},      {"gpt2", MU_WINT8, 0},
    {"falcon_alibi", MU_WF32, 0}, {"qwen3", MU_WF16, 0},        {"falcon_40b", MU_WINT8, 0},
    {"mixtral", MU_WINT4, 0},     {"deepseek_v3", MU_WBF16, 0}, {"deepseek_v3_fp8", MU_WINT8, MU_MLA_NAIVE}};

static void record_line(char out[200], const struct packed_case *c)
{
    struct packed p;
    pack(&p, c->name, c->format, c->mla);
    snprintf(out, 200, "%s %s %s %s %s\n", c->name, p.head.weights, p.head.mla, p.head.layout, p.head.hash);
}

/* RECORD=1 writes the file anew, which is refused where a block has changed under a name that has not. */
XT_TEST(another_block_has_another_name)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_buf stored = MU_BUF_INIT("records", 1 << 16), now = MU_BUF_INIT("records", 1 << 16);
    int n_other = 0;

    if (mu_path_exists(RECORD_PATH))
        XT_OK(mu_file_read_all(&stored, RECORD_PATH, &err));
    for (size_t i = 0; i < RECORDS; i++) {
        char line[200], *hash;
        record_line(line, &recorded[i]);
        XT_OK(mu_buf_puts(&now, line, &err));
        n_other += !stored.p || !strstr(stored.p, line);
        hash = strrchr(line, ' ');
        *hash++ = 0;
        const char *there = stored.p ? strstr(stored.p, line) : NULL;
        XT_CHECKF(!there || strncmp(there + strlen(line) + 1, hash, strlen(hash)) == 0,
                  "%s packs into other bytes under the same name: raise MU_PACKED_LOADER_VERSION", recorded[i].name);
    }
    if (getenv("RECORD")) {
        FILE *f = fopen(RECORD_PATH, "w");
        XT_CHECK(f && fputs(now.p, f) >= 0 && fclose(f) == 0);
    } else {
        XT_CHECKF(n_other == 0, "%d of %d packed models are not as " RECORD_PATH " has them: write it anew (RECORD=1)",
                  n_other, (int)RECORDS);
    }
    mu_buf_fini(&stored);
    mu_buf_fini(&now);
}

XT_MAIN()
