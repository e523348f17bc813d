/* load_hash.c - the hash of a model's content, made while its bytes pass through staging
 *
 * Every row of every tensor read is hashed by itself (XXH3, 128 bits), seeded by its tensor (name, type, shape) and
 * its number; the rows' hashes are added. So neither the order of files, shards and chunks nor the number of threads
 * matters, and threads hash what they have just read. The network's description (rope, eps, heads ...) is hashed with
 * them: the same tensors under another config are another model. Not a defence against somebody who wants a
 * collision. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h> /* the same hashes, by the widest registers there are */
#else
#include <xxhash.h>
#endif

#include "base/check.h"
#include "base/hash.h"
#include "model/load_int.h"

#define ROW_STEP UINT64_C(0x9E3779B97F4A7C15) /* odd, so that every row of a tensor has another seed */

static uint64_t tensor_seed(const struct mu_tensor_info *t)
{
    uint64_t seed = mu_hash64(t->name, strlen(t->name), 0);
    seed = mu_hash64(t->stored, strlen(t->stored), seed);
    return mu_hash64(t->dims, (size_t)t->n_dims * sizeof t->dims[0], seed);
}

void mu_content_add_rows(struct mu_content *c, const struct mu_source *s, const char *rows, size_t row_bytes, int64_t r,
                         int64_t n)
{
    uint64_t seed = tensor_seed(s->t), low = 0, high = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t row = (uint64_t)mu_source_row(s, r + i);
        XXH128_hash_t h = XXH3_128bits_withSeed(rows + (size_t)i * row_bytes, row_bytes, seed + row * ROW_STEP);
        low += h.low64;
        high += h.high64;
    }
    atomic_fetch_add_explicit(&c->low, low, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->high, high, memory_order_relaxed);
}

/* ---- the description ---- */

/* A chain of hashes over numbers as text, so that padding, widths and the order of bytes play no part. */
static void add_text(XXH128_hash_t *h, const char *what)
{
    char s[96];
    int n = snprintf(s, sizeof s, "%016" PRIx64 "%016" PRIx64 "%s", (uint64_t)h->high64, (uint64_t)h->low64, what);
    *h = XXH3_128bits(s, (size_t)n);
}

static void add_int(XXH128_hash_t *h, int64_t v)
{
    char s[32];
    snprintf(s, sizeof s, "%" PRId64, v);
    add_text(h, s);
}

static void add_real(XXH128_hash_t *h, double v)
{
    char s[32];
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    snprintf(s, sizeof s, "%016" PRIx64, bits); /* not %a: its point is the locale's */
    add_text(h, s);
}

static void add_rope(XXH128_hash_t *h, const struct mu_rope_spec *r)
{
    const int64_t ints[] = {r->style, r->dim, r->scaling, r->is_truncated, r->original_context};
    const double reals[] = {r->theta,     r->factor,    r->low_freq_factor, r->high_freq_factor,
                            r->beta_fast, r->beta_slow, r->attention_factor};
    for (size_t i = 0; i < MU_COUNT(ints); i++)
        add_int(h, ints[i]);
    for (size_t i = 0; i < MU_COUNT(reals); i++)
        add_real(h, reals[i]);
    for (int i = 0; i < r->dim / 2; i++) {
        add_real(h, (double)r->short_factor[i]);
        add_real(h, (double)r->long_factor[i]);
    }
}

static void add_layer(XXH128_hash_t *h, const struct mu_layer_spec *l)
{
    const struct mu_moe_spec *m = &l->moe;
    const int64_t ints[] = {
        l->attn,         l->n_heads,   l->n_kv_heads,   l->dk,           l->dv,          l->q_lora,
        l->kv_lora,      l->dk_nope,   l->dk_rope,      l->window,       l->block,       l->mlp,
        l->act,          l->ffn,       l->has_qkv_bias, l->has_out_bias, l->has_qk_norm, m->top_k,
        l->has_mlp_bias, m->n_experts, m->ffn,          m->router,       m->n_shared,    m->is_group_score_top2sum,
        m->n_groups,     m->has_bias,  m->top_groups,   m->is_normalised};
    for (size_t i = 0; i < MU_COUNT(ints); i++)
        add_int(h, ints[i]);
    add_real(h, (double)l->scale);
    add_real(h, m->scaling);
}

/* What mu_spec_same_network() compares, without the context the config allows and the type it names for the file:
 * neither changes what is computed. */
static void add_spec(XXH128_hash_t *h, const struct mu_spec *s)
{
    const int64_t ints[] = {s->vocab,         s->hidden,   s->n_layers, s->norm.kind,      s->norm.is_zero_centred,
                            s->norm.has_bias, s->position, s->is_tied,  s->fp8_block_rows, s->fp8_block_cols};
    for (size_t i = 0; i < MU_COUNT(ints); i++)
        add_int(h, ints[i]);
    add_real(h, (double)s->norm.eps);
    add_real(h, (double)s->latent_norm_eps);
    if (s->position == MU_POS_ROPE)
        add_rope(h, &s->rope);
    for (int i = 0; i < s->n_layers; i++)
        add_layer(h, &s->layers[i]);
}

void mu_content_name(const struct mu_content *c, const struct mu_spec *s, char out[MU_CONTENT_HASH_BYTES])
{
    XXH128_hash_t h = {atomic_load(&c->low), atomic_load(&c->high)};
    add_spec(&h, s);
    snprintf(out, MU_CONTENT_HASH_BYTES, "%016" PRIx64 "%016" PRIx64, (uint64_t)h.high64, (uint64_t)h.low64);
}
