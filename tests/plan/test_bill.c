/* test_bill.c - sums, choices and sentences of the memory bill, over a model whose sizes are simple */
#include "xt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "plan/bill.h"

#define MIB ((size_t)1 << 20)

/* 1000 MiB of f32 weights, 64 KiB of f32 cache a token, 1 MiB of activations a row, 2 MiB of logits a row. */
static int sizes(void *arg, const struct mu_bill_limits *l, struct mu_model_sizes *out, struct mu_err *e)
{
    static const size_t eighths[] = {32, 16, 16, 8, 4};
    if (l->rows == 13)
        return mu_fail(e, MU_EUNSUPPORTED, "13 rows");
    *out = (struct mu_model_sizes){
        .weights = 1000 * MIB * eighths[l->weights] / 32,
        .weights_holders = arg ? *(const int *)arg : 0,
        .host = 64 * 1024,
        .load_staging = 100 * MIB,
        .activations = (size_t)l->rows * MIB,
        .work = 5 * MIB + (size_t)l->context * 1024,
        .logits = (size_t)l->logit_rows * 2 * MIB,
        .kv_page = (l->kv_dtype == MU_F32 ? 64 : 32) * 1024 * MU_KV_PAGE,
    };
    return MU_OK;
}

static size_t tables(void *arg, const struct mu_bill_limits *l)
{
    (void)arg;
    return (size_t)l->pages * 128 + (size_t)l->sequences * 1024;
}

static struct mu_bill_ask ask_of(size_t mib_max)
{
    return (struct mu_bill_ask){.limits = {.weights = MU_WF32, .kv_dtype = MU_F32},
                                .context_model = 4096,
                                .bytes_max = mib_max * MIB,
                                .bytes_max_from = "--max-memory",
                                .bytes_in_use = 3 * MIB,
                                .bytes_requests = 7 * MIB,
                                .model_sizes = sizes,
                                .table_bytes = tables};
}

static struct mu_bill make(const struct mu_bill_ask *ask)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_bill b;
    XT_OK(mu_bill_make(&b, ask, &err));
    return b;
}

static size_t sum(const struct mu_bill *b, enum mu_bill_phase phase)
{
    size_t n = 0;
    for (int i = 0; i < b->n_lines; i++)
        n += b->lines[i].phase == MU_BILL_ALWAYS || b->lines[i].phase == phase ? b->lines[i].bytes : 0;
    return n;
}

static bool says(const struct mu_bill *b, const char *part)
{
    for (int i = 0; i < b->n_choices; i++) {
        if (strstr(b->choices[i], part))
            return true;
    }
    return false;
}

XT_TEST(lines_add_up_to_the_phases)
{
    struct mu_bill_ask ask = ask_of(0);
    struct mu_bill b = make(&ask);
    XT_EQ(sum(&b, MU_BILL_LOADING), b.bytes_loading);
    XT_EQ(sum(&b, MU_BILL_RUNNING), b.bytes_running);
    XT_EQ(b.bytes_peak, b.bytes_running);
    XT_CHECK(b.fits);
    XT_CHECK(b.n_lines > 1 && strcmp(b.lines[1].name, "model") == 0);
    XT_EQ(b.lines[1].bytes, 64 * 1024);
    XT_EQ(b.limits.context, 4096);
    XT_EQ(b.limits.rows, MU_BILL_ROWS_WANTED);
    XT_EQ(b.limits.sequences, MU_BILL_SEQUENCES_WANTED);
    XT_EQ(b.limits.pages, MU_BILL_KV_TOKENS_WANTED / MU_KV_PAGE);
    XT_CHECK(says(&b, "context 4096: the model's own"));
    XT_CHECK(strstr(b.verdict, "no limit was given"));
}

XT_TEST(no_more_cache_than_all_sequences_can_fill)
{
    struct mu_bill_ask ask = ask_of(0);
    ask.limits.sequences = 2;
    ask.limits.context = 1000; /* 63 pages */
    struct mu_bill b = make(&ask);
    XT_EQ(b.limits.pages, 126);
    XT_CHECK(says(&b, "KV cache of 2016 tokens: the default"));
    ask.limits.sequences = 1;
    b = make(&ask);
    XT_EQ(b.limits.pages, 63);
    XT_CHECK(says(&b, "KV cache of 1008 tokens: one whole context"));
}

/* Sixteen requests of 52 tokens at most. */
XT_TEST(no_more_cache_than_the_known_work_can_fill)
{
    struct mu_bill_ask ask = ask_of(0);
    struct mu_bill usual = make(&ask);
    ask.work = (struct mu_bill_work){.requests = 16, .longest = 52, .tokens = 544};
    struct mu_bill b = make(&ask);
    XT_EQ(b.limits.pages, 49); /* (544 + 16 * 15) / 16 */
    XT_EQ(b.limits.context, usual.limits.context);
    XT_EQ(usual.bytes_running - b.bytes_running, (usual.limits.pages - 49) * (64 * 1024 * MU_KV_PAGE + 128));
    XT_CHECK(says(&b, "KV cache of 784 tokens: room for all requests at a time"));
    ask.work.tokens = 16 * 52; /* alike: 4 pages each */
    XT_EQ(make(&ask).limits.pages, 64);
    ask.work = (struct mu_bill_work){.requests = 5000, .longest = 52, .tokens = 200000}; /* fills any */
    XT_EQ(make(&ask).limits.pages, usual.limits.pages);
    ask.work = (struct mu_bill_work){.requests = INT64_MAX, .longest = INT64_MAX, .tokens = INT64_MAX};
    XT_EQ(make(&ask).limits.pages, usual.limits.pages);
    ask.work = (struct mu_bill_work){.requests = 16}; /* how many is not how long */
    XT_EQ(make(&ask).limits.pages, usual.limits.pages);
    ask.limits.pages = 300; /* asked for by number */
    ask.work = (struct mu_bill_work){.requests = 1, .longest = 10, .tokens = 10};
    XT_EQ(make(&ask).limits.pages, 300);
}

/* Of any requests: all have their pages at a time, or the cache is what it was without knowing them. */
XT_TEST(known_requests_always_have_room)
{
    uint32_t seed = 7;
    for (int round = 0; round < 2000; round++) {
        struct mu_bill_ask ask = ask_of(0);
        int owners = ask.page_owners = 1 << round % 4;
        int64_t usual = make(&ask).limits.pages, need = 0;
        int n = 1 + round % 150;
        ask.work.requests = n;
        for (int i = 0; i < n; i++) {
            seed = seed * 1664525 + 1013904223;
            int64_t tokens = 1 + (seed >> 8) % (i % 7 ? 60 : 900);
            ask.work.tokens += tokens;
            ask.work.longest = tokens > ask.work.longest ? tokens : ask.work.longest;
            need += mu_shard_pages_for(owners, (tokens + MU_KV_PAGE - 1) / MU_KV_PAGE);
        }
        struct mu_bill b = make(&ask);
        XT_EQ(b.limits.pages % owners, 0);
        XT_CHECKF(b.limits.pages <= usual, "%lld pages, not the usual %lld", (long long)b.limits.pages,
                  (long long)usual);
        XT_CHECKF(b.limits.pages == usual || b.limits.pages >= need, "%lld pages for %d requests that take %lld",
                  (long long)b.limits.pages, n, (long long)need);
        XT_CHECK(mu_bill_sequence_max(&b.limits, owners) >= ask.work.longest);
    }
}

XT_TEST(short_memory_keeps_room_for_the_longest_known_request)
{
    struct mu_bill_ask ask = ask_of(1300);
    ask.limits.rows = 64;
    ask.limits.context = 4096; /* 256 MiB of cache: too much */
    XT_CHECK(!make(&ask).fits);
    ask.work = (struct mu_bill_work){.requests = 200, .longest = 300, .tokens = 60000};
    struct mu_bill b = make(&ask);
    XT_CHECK(b.fits);
    XT_CHECK(b.limits.pages >= 19 && b.limits.pages < 256);
    XT_EQ(b.limits.context, 4096);
    ask.work = (struct mu_bill_work){.requests = 1, .longest = 4000, .tokens = 4000};
    XT_CHECK(!make(&ask).fits);
}

XT_TEST(a_copy_that_ranks_share_is_billed_in_parts)
{
    struct mu_bill_ask ask = ask_of(0);
    struct mu_bill whole = make(&ask);
    int holders = 3;
    ask.arg = &holders;
    struct mu_bill b = make(&ask);
    XT_STREQ(whole.lines[0].note, "f32, packed");
    XT_STREQ(b.lines[0].note, "f32, packed; a share of one copy for 3 ranks");
    XT_EQ(b.lines[0].bytes, (1000 * MIB + 2) / 3);
    XT_EQ(whole.bytes_peak - b.bytes_peak, 1000 * MIB - b.lines[0].bytes);
    XT_EQ(sum(&b, MU_BILL_LOADING), b.bytes_loading);
    holders = 1;
    XT_EQ(make(&ask).bytes_peak, whole.bytes_peak);
}

XT_TEST(loading_can_be_the_peak)
{
    struct mu_bill_ask ask = ask_of(0);
    ask.limits.context = 16;
    ask.limits.pages = 1;
    struct mu_bill b = make(&ask);
    XT_CHECK(b.bytes_loading > b.bytes_running);
    XT_EQ(b.bytes_peak, b.bytes_loading);
}

XT_TEST(the_cache_takes_what_is_left_and_no_more)
{
    for (size_t mib = 1650; mib < 3000; mib += 61) {
        struct mu_bill_ask ask = ask_of(mib);
        struct mu_bill b = make(&ask);
        XT_CHECK(b.fits);
        XT_CHECK(b.bytes_peak <= mib * MIB);
        XT_CHECK(b.limits.pages * MU_KV_PAGE >= b.limits.context);
        if (b.limits.pages * MU_KV_PAGE < MU_BILL_KV_TOKENS_WANTED) {
            struct mu_bill_ask more = ask;
            more.limits = b.limits;
            more.limits.pages++;
            XT_CHECK(!make(&more).fits);
            XT_CHECK(says(&b, "what the memory allowed leaves"));
        }
    }
}

XT_TEST(short_memory_cuts_rows_then_logits_then_context)
{
    struct mu_bill_ask ask = ask_of(1500);
    struct mu_bill b = make(&ask);
    XT_CHECK(b.fits);
    XT_CHECK(b.limits.rows < MU_BILL_ROWS_WANTED);
    XT_EQ(b.limits.context, 4096);
    XT_CHECK(says(&b, "more do not fit"));

    ask = ask_of(1150);
    b = make(&ask);
    XT_CHECK(b.fits);
    XT_EQ(b.limits.rows, MU_BILL_ROWS_MIN);
    XT_EQ(b.limits.logit_rows, MU_BILL_LOGIT_ROWS_MIN);
    XT_EQ(b.limits.context, 1024);
    XT_CHECK(b.limits.sequences <= b.limits.rows);
    XT_CHECK(says(&b, "context 1024: the memory allowed has no room for 4096"));
}

XT_TEST(what_was_asked_for_is_never_changed)
{
    struct mu_bill_ask ask = ask_of(1150);
    ask.limits.context = 4096;
    ask.limits.rows = 64;
    ask.limits.sequences = 8;
    ask.limits.pages = 300;
    struct mu_bill b = make(&ask);
    XT_CHECK(!b.fits);
    XT_EQ(b.limits.context, 4096);
    XT_EQ(b.limits.rows, 64);
    XT_EQ(b.limits.sequences, 8);
    XT_EQ(b.limits.pages, 300);
    XT_EQ(b.n_choices, 0);
    XT_EQ(b.bytes_max, 1150 * MIB);
}

XT_TEST(the_sentence_names_the_largest_item_and_the_ways_out)
{
    struct mu_bill_ask ask = ask_of(700);
    struct mu_bill b = make(&ask);
    XT_CHECK(!b.fits);
    XT_CHECK(strstr(b.verdict, "700 MiB are allowed (--max-memory)"));
    XT_CHECK(strstr(b.verdict, "most goes to weights (1000 MiB)"));
    XT_CHECK(strstr(b.verdict, "It fits with bf16 weights"));

    ask = ask_of(250);
    b = make(&ask);
    XT_CHECK(strstr(b.verdict, "int4 weights"));

    ask = ask_of(100);
    b = make(&ask);
    XT_CHECK(strstr(b.verdict, "Not even int4 weights"));

    ask = ask_of(1350); /* a context of 4096 takes 256 MiB of cache */
    ask.limits.context = 4096;
    ask.limits.rows = 64;
    b = make(&ask);
    XT_CHECK(!b.fits);
    XT_CHECK(strstr(b.verdict, "a batch of 16 rows"));
    XT_CHECK(strstr(b.verdict, "a context of 2048"));
    XT_CHECK(strstr(b.verdict, "the KV cache in bf16"));

    ask = ask_of(1500);
    ask.limits.pages = 4096;
    b = make(&ask);
    XT_CHECK(strstr(b.verdict, "leave it open"));
}

XT_TEST(errors_of_the_model_come_through)
{
    struct mu_bill_ask ask = ask_of(0);
    struct mu_err err = MU_ERR_INIT;
    struct mu_bill b;
    ask.limits.rows = 13;
    XT_FAILS(mu_bill_make(&b, &ask, &err), MU_EUNSUPPORTED, "13 rows");
}

XT_TEST(printed_and_as_json)
{
    struct mu_bill_ask ask = ask_of(2000);
    struct mu_bill b = make(&ask);
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    mu_bill_print(&b, f);
    fclose(f);
    XT_CHECK(strstr(text, "weights        1000 MiB  f32, packed"));
    XT_CHECK(strstr(text, "100 MiB  while loading, then freed"));
    XT_CHECK(strstr(text, "chosen: context 4096"));
    free(text);

    json_t *j = mu_bill_json(&b);
    XT_CHECK(j != NULL);
    XT_EQ(json_integer_value(json_object_get(j, "bytes_peak")), b.bytes_peak);
    XT_EQ(json_array_size(json_object_get(j, "lines")), b.n_lines);
    XT_CHECK(json_is_true(json_object_get(j, "fits")));
    XT_STREQ(json_string_value(json_object_get(json_object_get(j, "limits"), "weights")), "f32");
    json_decref(j);
}

XT_TEST(bytes_are_written_for_people)
{
    char t[24];
    XT_STREQ(mu_bytes_text(t, 0), "0 B");
    XT_STREQ(mu_bytes_text(t, 1023), "1023 B");
    XT_STREQ(mu_bytes_text(t, 1536), "1.50 KiB");
    XT_STREQ(mu_bytes_text(t, 12 * MIB), "12.0 MiB");
    XT_STREQ(mu_bytes_text(t, (size_t)5 << 40), "5.00 TiB");
}

XT_MAIN()
