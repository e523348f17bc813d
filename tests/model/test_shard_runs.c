/* test_shard_runs.c - how layers are cut among ranks: everything held exactly once, or wherever it is needed */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "rig.h"
#include "model/slots.h"

static const int sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 71, 100, 300};

static const struct {
    int heads, kv_heads, dv;
} shapes[] = {{64, 8, 128}, {64, 64, 128}, {71, 1, 64}, {232, 8, 64}, {128, 128, 128}, {32, 32, 96}, {3, 1, 10},
              {5, 5, 10},   {3, 3, 12},    {1, 1, 64},  {12, 12, 3},  {40, 8, 80},     {6, 2, 12},   {25, 5, 1}};

static const int64_t ffns[] = {1, 3, 10, 44, 52, 80, 512, 600, 1408, 11008, 18432, 28672};

/* Nearest multiple of unit and of 4 to the lesser of 128 and a sixteenth, by looking at all of them. */
static int64_t best_tile(int64_t n_in, int64_t unit)
{
    int64_t aim = n_in / 16 < 128 ? n_in / 16 : 128, best = 0;
    for (int64_t t = unit; t <= 4 * unit + 256; t += unit)
        if (t % 4 == 0 && (best == 0 || llabs(t - aim) <= llabs(best - aim)))
            best = t;
    return best;
}

XT_TEST(tiles_are_the_nearest_that_cuts_allow)
{
    for (size_t i = 0; i < MU_COUNT(shapes); i++) {
        struct mu_layer_spec l = {.n_heads = shapes[i].heads, .n_kv_heads = shapes[i].kv_heads, .dv = shapes[i].dv};
        bool is_apart = shapes[i].kv_heads == 8 && (l.n_heads == 232 || l.n_heads == 40); /* 29 and 5 heads a group */
        XT_EQ(mu_shard_o_tile(&l), is_apart ? l.dv : best_tile((int64_t)l.n_heads * l.dv, l.dv));
    }
    for (size_t i = 0; i < MU_COUNT(ffns); i++)
        XT_EQ(mu_shard_down_tile(ffns[i]), best_tile(ffns[i], 1));
    XT_EQ(mu_shard_down_tile(11008), 128); /* large models keep the tile of everything else */
    XT_EQ(mu_shard_o_tile(&(struct mu_layer_spec){.n_heads = 64, .n_kv_heads = 8, .dv = 128}), 128);
}

static void check_heads(const struct mu_layer_spec *l, int size)
{
    int64_t at = 0, group = l->n_heads / l->n_kv_heads;
    for (int r = 0; r < size; r++) {
        struct mu_shard sh = {.tp_rank = r, .tp_size = size, .n_lanes = 1};
        struct mu_run heads = mu_shard_heads(&sh, l), kv = mu_shard_kv_heads(&sh, l);
        XT_EQ(heads.begin, at);
        at += heads.n;
        if (at < l->n_heads)
            XT_EQ(at * l->dv % mu_shard_o_tile(l), 0); /* cuts lie between tiles */
        XT_EQ(kv.n > 0, heads.n > 0);
        for (int64_t h = heads.begin; h < at; h++)
            XT_CHECK(h / group >= kv.begin && h / group < kv.begin + kv.n);
        if (heads.n > 0)
            XT_CHECK(kv.begin == heads.begin / group && kv.begin + kv.n == (at - 1) / group + 1);
    }
    XT_EQ(at, l->n_heads);
}

XT_TEST(heads_follow_the_tiles_of_their_output)
{
    for (size_t i = 0; i < MU_COUNT(shapes); i++)
        for (size_t j = 0; j < MU_COUNT(sizes); j++) {
            struct mu_layer_spec l = {.n_heads = shapes[i].heads, .n_kv_heads = shapes[i].kv_heads, .dv = shapes[i].dv};
            check_heads(&l, sizes[j]);
        }
}

/* Ranks that share a cache hold the KV heads that any of them reads. */
XT_TEST(a_group_holds_what_its_heads_read)
{
    static const int tp[] = {2, 4, 6, 8, 16}, cp[] = {2, 4, 3, 2, 8};
    for (size_t i = 0; i < MU_COUNT(shapes) * MU_COUNT(tp); i++) {
        size_t a = i / MU_COUNT(tp), b = i % MU_COUNT(tp);
        struct mu_layer_spec l = {.n_heads = shapes[a].heads, .n_kv_heads = shapes[a].kv_heads, .dv = shapes[a].dv};
        int64_t group = l.n_heads / l.n_kv_heads;
        for (int first = 0; first < tp[b]; first += cp[b]) {
            int64_t lo = l.n_kv_heads, hi = 0;
            for (int r = first; r < first + cp[b]; r++) {
                struct mu_shard one = {.tp_rank = r, .tp_size = tp[b], .n_lanes = 1};
                struct mu_run heads = mu_shard_heads(&one, &l);
                if (heads.n > 0) {
                    lo = MU_MIN(lo, heads.begin / group);
                    hi = MU_MAX(hi, (heads.begin + heads.n - 1) / group + 1);
                }
            }
            for (int r = first; r < first + cp[b]; r++) {
                struct mu_shard sh = {.tp_rank = r, .tp_size = tp[b], .cp_size = cp[b], .n_lanes = 1};
                struct mu_run kv = mu_shard_kv_heads(&sh, &l);
                XT_EQ(kv.n, MU_MAX(hi - lo, 0));
                XT_CHECK(kv.n == 0 || kv.begin == lo);
            }
        }
    }
}

XT_TEST(pages_lie_where_their_strands_are)
{
    for (int cp = 1; cp <= MU_ATTN_STRANDS; cp++) {
        int32_t cuts[MU_ATTN_STRANDS + 1];
        int64_t held[MU_ATTN_STRANDS] = {0}, most = 0;
        mu_shard_strands(cp, cuts);
        XT_CHECK(cuts[0] == 0 && cuts[cp] == MU_ATTN_STRANDS);
        for (int r = 0; r < cp; r++)
            XT_CHECK(cuts[r] < cuts[r + 1]); /* nobody is without */
        for (int64_t page = 0; page < 100; page++) {
            int owner = mu_shard_page_owner(cp, page);
            int64_t strand = page / 4 % 8; /* 4 pages of 16 keys a tile, 8 strands */
            XT_CHECK(strand >= cuts[owner] && strand < cuts[owner + 1]);
            held[owner]++;
            for (int r = 0; r < cp; r++) {
                XT_EQ(mu_shard_pages_of(cp, r, page + 1), held[r]);
                most = MU_MAX(most, held[r]);
            }
            XT_EQ(mu_shard_pages_for(cp, page + 1), most * cp);
        }
    }
}

/* 232 heads over 8 KV heads: every rank of 8 or 16 reads one KV head, none is held by more ranks than must. */
XT_TEST(odd_groups_are_cut_at_their_borders)
{
    struct mu_layer_spec l = {.n_heads = 232, .n_kv_heads = 8, .dv = 64};
    for (int size = 8; size <= 16; size += 8)
        for (int r = 0; r < size; r++) {
            struct mu_shard sh = {.tp_rank = r, .tp_size = size, .n_lanes = 1};
            struct mu_run kv = mu_shard_kv_heads(&sh, &l);
            XT_EQ(kv.n, 1);
            XT_EQ(kv.begin, r * 8 / size);
        }
}

XT_TEST(inputs_and_vocabulary_are_covered_once)
{
    static const int64_t vocabs[] = {1, 7, 16, 96, 128, 50257, 128256, 256000};
    for (size_t j = 0; j < MU_COUNT(sizes); j++) {
        struct mu_shard sh = {.tp_size = sizes[j], .n_lanes = 1};
        for (size_t i = 0; i < MU_COUNT(ffns); i++) {
            int64_t at = 0;
            for (sh.tp_rank = 0; sh.tp_rank < sh.tp_size; sh.tp_rank++) {
                struct mu_run r = mu_shard_ffn(&sh, ffns[i]);
                XT_EQ(r.begin, at);
                at += r.n;
            }
            XT_EQ(at, ffns[i]);
        }
        for (size_t i = 0; i < MU_COUNT(vocabs); i++) {
            int64_t at = 0;
            for (sh.tp_rank = 0; sh.tp_rank < sh.tp_size; sh.tp_rank++) {
                struct mu_run r = mu_shard_vocab(&sh, vocabs[i]);
                XT_EQ(r.begin, at);
                at += r.n;
                XT_CHECK(r.n <= vocabs[i] / sh.tp_size + 32);
            }
            XT_EQ(at, vocabs[i]);
        }
    }
}

XT_TEST(experts_lie_in_blocks)
{
    static const int experts[] = {1, 5, 8, 9, 160, 256};
    for (size_t i = 0; i < MU_COUNT(experts); i++) {
        struct mu_moe_spec m = {.n_experts = experts[i]};
        for (int tp = 1; tp <= 6; tp++) {
            for (int lanes = 1; lanes <= 70; lanes += 1 + lanes / 3) {
                struct mu_shard sh = {.tp_size = tp, .n_lanes = lanes};
                int64_t at = 0;
                for (int r = 0; r < tp * lanes; r++) {
                    sh.lane = r / tp;
                    sh.tp_rank = r % tp;
                    struct mu_run held = mu_shard_experts(&sh, &m);
                    XT_EQ(held.begin, at);
                    at += held.n;
                    XT_CHECK(held.n <= (experts[i] + tp * lanes - 1) / (tp * lanes));
                    for (int64_t x = held.begin; x < at; x++)
                        XT_EQ(mu_shard_expert_rank(&sh, &m, (int)x), r);
                }
                XT_EQ(at, experts[i]);
            }
        }
    }
}

/* ---- slots ---- */

struct paint {
    const struct mu_spec *s;
    int tp, lanes, cut; /* layers of the first of two stages */
};

static bool is_copied(enum mu_slot slot)
{
    return slot == MU_SLOT_POSITIONS || slot == MU_SLOT_Q_A || slot == MU_SLOT_KV_A || slot == MU_SLOT_ROUTER;
}

static struct mu_shard shard_at(const struct paint *p, int rank)
{
    int stage = rank / (p->tp * p->lanes);
    return (struct mu_shard){.tp_rank = rank % p->tp,
                             .tp_size = p->tp,
                             .lane = rank / p->tp % p->lanes,
                             .n_lanes = p->lanes,
                             .layer_begin = stage ? p->cut : 0,
                             .layer_end = stage ? p->s->n_layers : p->cut,
                             .has_embed = stage == 0,
                             .has_head = stage == 1};
}

/* How many ranks hold each element of a slot. */
static void count_holders(const struct paint *p, const struct mu_slot_use *u, unsigned char *n)
{
    struct mu_slot_use piece[MU_TREE_ROOTS_MAX];
    int64_t cols = MU_MAX(u->n_in, 1);
    for (int rank = 0; rank < 2 * p->tp * p->lanes; rank++) {
        struct mu_shard sh = shard_at(p, rank);
        struct mu_model_opts o = {.shard = &sh};
        int pieces = mu_slot_pieces(p->s, &o, u, piece);
        for (int i = 0; i < pieces; i++) {
            XT_CHECK(piece[i].n_out > 0 && piece[i].row0 + piece[i].n_out <= u->n_out);
            XT_CHECK(piece[i].col0 + MU_MAX(piece[i].n_in, 1) <= cols && piece[i].tile_k == u->tile_k);
            XT_CHECK(piece[i].piece == i && piece[i].n_out_whole == u->n_out && piece[i].n_in_whole == u->n_in);
            for (int64_t r = 0; r < piece[i].n_out; r++)
                for (int64_t c = 0; c < MU_MAX(piece[i].n_in, 1); c++)
                    n[(piece[i].row0 + r) * cols + piece[i].col0 + c]++;
        }
    }
}

static int paint_use(void *arg, const struct mu_slot_use *u)
{
    const struct paint *p = arg;
    int64_t n = u->n_out * MU_MAX(u->n_in, 1);
    bool is_expert = u->slot >= MU_SLOT_EXPERT_GATE && u->slot <= MU_SLOT_EXPERT_DOWN;
    bool is_kv = u->slot == MU_SLOT_K || u->slot == MU_SLOT_V;
    bool is_row_cut = u->slot == MU_SLOT_Q || u->slot == MU_SLOT_GATE || u->slot == MU_SLOT_UP;
    bool is_copy = is_copied(u->slot) || (u->n_in == 0 && !is_row_cut);
    int once = is_expert ? 1 : p->lanes, want = is_copy ? p->lanes * p->tp : once;
    unsigned char *holders = calloc(1, (size_t)n);

    if (u->slot == MU_SLOT_EMBED && p->s->is_tied)
        want *= 2; /* on the first stage and the last */
    count_holders(p, u, holders);
    for (int64_t i = 0; i < n; i++) {
        if (is_kv)
            XT_CHECK(holders[i] >= p->lanes && holders[i] <= p->lanes * p->tp);
        else
            XT_CHECKF(holders[i] == want, "slot %d, layer %d, index %d, element %d is held %d times, not %d", u->slot,
                      u->layer, u->index, (int)i, holders[i], want);
    }
    free(holders);
    return MU_OK;
}

XT_TEST(every_weight_is_held)
{
    static const char *const names[] = {"gpt2",        "falcon_alibi", "falcon_40b",       "llama_bias",     "qwen3",
                                        "llama3_rope", "mixtral",      "deepseek_v2_lite", "deepseek_v3_fp8"};
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        struct mu_spec s;
        char dir[128];
        snprintf(dir, sizeof dir, "tests/golden/%s", names[i]);
        rig_read_spec(&s, dir);
        for (int tp = 1; tp <= 8; tp++) {
            struct mu_model_opts whole = {.mla = i % 2 ? MU_MLA_NAIVE : MU_MLA_ABSORBED};
            struct paint p = {&s, tp, 1 + (int)(i + (size_t)tp) % 3, tp % 3};
            XT_EQ(mu_slots_each(&s, &whole, paint_use, &p), MU_OK);
        }
        mu_spec_fini(&s);
    }
}

XT_MAIN()
