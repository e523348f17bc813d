/* layout.c - text form, places and shards; what is legal is in layout_check.c, stages are cut in layout_stages.c */
#include "plan/layout.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/nearest.h"

#define PART_MAX 64 /* bytes of "key=value" */

static const char *const keys[] = {"tp", "pp", "dp", "ep", "cp", NULL};

static int *field(struct mu_layout *l, int key)
{
    int *const fields[] = {&l->tp, &l->pp, &l->dp, &l->ep, &l->cp};
    return fields[key];
}

static int find_key(struct mu_str name)
{
    for (int k = 0; keys[k]; k++) {
        if (mu_str_eq(name, mu_str(keys[k])))
            return k;
    }
    return -1;
}

/* One "tp=4". */
static int parse_part(struct mu_layout *l, struct mu_str part, const char *text, struct mu_err *e)
{
    char copy[PART_MAX];
    const char *equals = memchr(part.p, '=', part.n);

    if (!equals || part.n >= PART_MAX)
        return mu_fail(e, MU_EUSAGE, "layout \"%.80s\": \"" MU_STR_FMT "\" is not a key and a number, such as tp=4",
                       text, (int)MU_MIN(part.n, PART_MAX), part.p);
    struct mu_str name = {part.p, (size_t)(equals - part.p)};
    int key = find_key(name);
    if (key < 0)
        return mu_fail(e, MU_EUSAGE,
                       "layout \"%.80s\": there is no \"" MU_STR_FMT "\"; tp, pp, dp, ep and cp are known", text,
                       MU_STR_ARG(name));
    if (*field(l, key) != 0)
        return mu_fail(e, MU_EUSAGE, "layout \"%.80s\": %s is given twice", text, keys[key]);
    size_t n = part.n - name.n - 1;
    memcpy(copy, equals + 1, n);
    copy[n] = 0;
    char *end;
    long v = strtol(copy, &end, 10);
    if (copy[0] < '0' || copy[0] > '9' || *end || v < 1 || v > MU_COMM_RANKS_MAX)
        return mu_fail(e, MU_EUSAGE, "layout \"%.80s\": %s is \"%s\"; a number from 1 to %d is needed", text, keys[key],
                       copy, MU_COMM_RANKS_MAX);
    *field(l, key) = (int)v;
    return MU_OK;
}

static int check_ranks(const struct mu_layout *l, const char *text, int ranks, struct mu_err *e)
{
    int64_t n = (int64_t)l->dp * l->pp * l->tp;
    if (n > MU_COMM_RANKS_MAX)
        return mu_fail(e, MU_EUSAGE, "layout \"%.80s\": dp x pp x tp is %lld ranks; at most %d are possible", text,
                       (long long)n, MU_COMM_RANKS_MAX);
    if (l->ep > l->tp && (l->ep % l->tp != 0 || l->dp % mu_layout_lanes(l) != 0))
        return mu_fail(e, MU_EUSAGE,
                       "layout \"%.80s\": ep is %d; above tp=%d it must be a multiple of tp, and dp=%d a multiple of "
                       "ep / tp",
                       text, l->ep, l->tp, l->dp);
    if (l->cp > MU_ATTN_STRANDS || l->tp % l->cp != 0)
        return mu_fail(e, MU_EUSAGE,
                       "layout \"%.80s\": cp is %d; at most %d ranks share a KV cache, and cp must divide tp=%d", text,
                       l->cp, MU_ATTN_STRANDS, l->tp);
    if (ranks > 0 && n != ranks)
        return mu_fail(e, MU_EUSAGE, "layout \"%.80s\": dp x pp x tp is %lld ranks, but there are %d", text,
                       (long long)n, ranks);
    return MU_OK;
}

int mu_layout_parse(struct mu_layout *out, const char *text, int ranks, struct mu_err *e)
{
    *out = (struct mu_layout){0};
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        MU_TRY_RETURN(parse_part(out, (struct mu_str){p, n}, text, e));
        p += n;
        if (!*p)
            break;
    }
    for (int k = 0; keys[k]; k++) {
        if (*field(out, k) == 0 && field(out, k) != &out->dp)
            *field(out, k) = 1;
    }
    if (out->dp == 0) {
        int64_t group = (int64_t)out->tp * out->pp;
        out->dp = ranks > 0 && ranks % group == 0 ? (int)(ranks / group) : mu_layout_lanes(out);
    }
    return check_ranks(out, text, ranks, e);
}

int mu_layout_print(const struct mu_layout *l, struct mu_buf *out, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_printf(out, e, "tp=%d", l->tp));
    if (l->pp > 1)
        MU_TRY_RETURN(mu_buf_printf(out, e, ",pp=%d", l->pp));
    if (l->dp > 1)
        MU_TRY_RETURN(mu_buf_printf(out, e, ",dp=%d", l->dp));
    if (l->ep > 1)
        MU_TRY_RETURN(mu_buf_printf(out, e, ",ep=%d", l->ep));
    return l->cp > 1 ? mu_buf_printf(out, e, ",cp=%d", l->cp) : MU_OK;
}

struct mu_layout_place mu_layout_place_of(const struct mu_layout *l, int rank)
{
    int lanes = mu_layout_lanes(l);
    struct mu_layout_place p = {.t = rank % l->tp};
    rank /= l->tp;
    p.lane = rank % lanes;
    rank /= lanes;
    p.stage = rank % l->pp;
    p.replica = rank / l->pp;
    return p;
}

int mu_layout_rank_of(const struct mu_layout *l, const struct mu_layout_place *p)
{
    return ((p->replica * l->pp + p->stage) * mu_layout_lanes(l) + p->lane) * l->tp + p->t;
}

void mu_layout_shard(const struct mu_layout *l, const struct mu_spec *s, int rank, struct mu_shard *out)
{
    struct mu_layout cut = *l;
    struct mu_layout_place p = mu_layout_place_of(l, rank);
    if (l->stage_end[l->pp - 1] == 0)
        mu_layout_cut_stages(&cut, s);
    *out = (struct mu_shard){.tp_rank = p.t,
                             .tp_size = l->tp,
                             .cp_size = mu_layout_cp(l),
                             .lane = p.lane,
                             .n_lanes = mu_layout_lanes(l),
                             .layer_begin = p.stage > 0 ? cut.stage_end[p.stage - 1] : 0,
                             .layer_end = cut.stage_end[p.stage],
                             .has_embed = p.stage == 0,
                             .has_head = p.stage == l->pp - 1};
}
