/* test_models.c - one server with several models, over real sockets: who is asked, who is open, who waits, who must go
 */
#include "models_fixture.h"

#include <pthread.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/mem.h"

/* ---- the same bits ---- */

/* What each says when it is the only model of a server. */
static void ask_alone(const char *model, char **want, int n)
{
    struct fixture f;
    models_begin_one(&f, model);
    for (int i = 0; i < n; i++)
        want[i] = ask(&f, model, 40 + i);
    models_end_one(&f);
}

enum { ASKS = 6 };

static void ask_both_at_once(const struct fixture *f, char *want[2][ASKS])
{
    static const char *const names[] = {LLAMA, DSV3};
    int fd[2 * ASKS];
    for (int i = 0; i < 2 * ASKS; i++)
        fd[i] = ask_begin(f, names[i % 2], 40 + i / 2);
    for (int i = 0; i < 2 * ASKS; i++) {
        char *got = choices_of(fd[i]);
        XT_STREQ(got, want[i % 2][i / 2]);
        mu_free(got);
    }
}

XT_TEST(two_models_asked_at_once_say_what_they_say_alone)
{
    struct fixture f;
    char *want[2][ASKS];
    struct mu_resident_totals t;
    mu_json_init();
    ask_alone(LLAMA, want[0], ASKS);
    ask_alone(DSV3, want[1], ASKS);
    XT_CHECK(strcmp(want[0][0], want[1][0]) != 0);
    models_begin_both(&f);
    check_state(&f, LLAMA, "\"state\": \"absent\"");
    ask_both_at_once(&f, want);
    ask_both_at_once(&f, want);
    check_state(&f, LLAMA, "\"state\": \"ready\"");
    check_state(&f, DSV3, "\"state\": \"ready\"");
    XT_EQ(metric(&f, "muster_model_opens_total", LLAMA), 1);
    XT_EQ(metric(&f, "vllm:generation_tokens_total", LLAMA), 2 * ASKS * 12);
    XT_EQ(metric(&f, "vllm:generation_tokens_total", DSV3), 2 * ASKS * 12);
    models_end(&f);

    models_begin_tight(&f); /* now only one of them has room at a time */
    ask_both_at_once(&f, want);
    ask_both_at_once(&f, want);
    mu_residents_totals(f.r, &t);
    XT_CHECKF(t.evictions_room >= 1 && t.bytes_peak <= f.x.bytes_max, "%llu evictions",
              (unsigned long long)t.evictions_room);
    models_end(&f);
    for (int i = 0; i < 2 * ASKS; i++)
        mu_free(want[i % 2][i / 2]);
}

/* ---- room ---- */

XT_TEST(the_longest_unused_goes_when_another_needs_its_room)
{
    struct fixture f;
    models_begin_tight(&f);
    size_t before = mu_mem_bytes_used();
    ask_ok(&f, LLAMA);
    ask_ok(&f, DSV3);
    check_state(&f, LLAMA, "\"state\": \"absent\"");
    check_state(&f, DSV3, "\"state\": \"ready\"");
    XT_EQ(metric(&f, "muster_model_evictions_total", LLAMA), 1);
    XT_EQ(metric(&f, "muster_model_open", LLAMA), 0);
    XT_CHECK(metric(&f, "muster_models_memory_bytes", NULL) <= (double)f.x.bytes_max);
    XT_CHECKF(mu_mem_bytes_used() - before <= f.x.bytes_max, "%zu bytes", mu_mem_bytes_used() - before);
    ask_ok(&f, LLAMA);
    XT_EQ(metric(&f, "muster_models_evictions_room_total", NULL), 2);
    XT_EQ(metric(&f, "muster_models_evictions_pressure_total", NULL), 0);
    models_end(&f);
}

XT_TEST(no_more_are_open_than_allowed_and_the_kept_one_stays)
{
    struct fixture f;
    struct mu_err err = MU_ERR_INIT;
    models_init(&f);
    f.open_max = 2;
    models_add(&f, "a=models/" LLAMA);
    models_add(&f, "b=models/" DSV3);
    models_add(&f, "c=models/" LLAMA);
    XT_OK(mu_serve_opener_keep(&f.x, "a", &err));
    models_begin(&f);
    ask_ok(&f, "a");
    ask_ok(&f, "b");
    ask_ok(&f, "c");
    check_state(&f, "a", "\"state\": \"ready\", \"kept\": true");
    check_state(&f, "b", "\"state\": \"absent\", \"kept\": false");
    check_state(&f, "c", "\"state\": \"ready\"");
    models_end(&f);
}

XT_TEST(a_model_in_use_is_not_evicted_and_others_wait_for_it)
{
    struct fixture f;
    struct mu_err err = MU_ERR_INIT;
    void *held;
    models_begin_tight(&f);
    XT_OK(mu_residents_use(f.r, LLAMA, 0, &held, &err));
    int fd = ask_waiting(&f, DSV3);
    sleep_ms(150);
    ask_ok(&f, LLAMA); /* which is open */
    XT_EQ(metric(&f, "muster_model_requests_opening", DSV3), 1);
    check_state(&f, LLAMA, "\"state\": \"ready\"");
    mu_residents_done(f.r, held);
    mu_free(choices_of(fd));
    check_state(&f, LLAMA, "\"state\": \"absent\"");
    models_end(&f);
}

struct busy {
    const struct fixture *f;
    atomic_bool is_over;
    int n;
};

enum { IN_HAND = 6 };

static int ask_long_begin(const struct fixture *f, int max_tokens)
{
    char body[256];
    snprintf(body, sizeof body,
             "{\"model\": \"" LLAMA "\", \"prompt\": [0, 40], \"max_tokens\": %d, \"ignore_eos\": true}", max_tokens);
    return hc_post_begin(f->port, "/v1/completions", body);
}

/* Requests that end one after the other, and each is followed by another at once: there is always one in hand. */
static void *keep_busy(void *arg)
{
    struct busy *b = arg;
    int fd[IN_HAND];
    for (int i = 0; i < IN_HAND; i++)
        fd[i] = ask_long_begin(b->f, 20 * (i + 1));
    for (b->n = 0; !atomic_load(&b->is_over); b->n++) {
        mu_free(choices_of(fd[b->n % IN_HAND]));
        fd[b->n % IN_HAND] = ask_long_begin(b->f, 120);
    }
    for (int i = 0; i < IN_HAND; i++)
        mu_free(choices_of(fd[i]));
    return NULL;
}

XT_TEST(a_model_that_is_never_idle_gives_way_after_a_while)
{
    struct fixture f;
    pthread_t t;
    models_begin_tight(&f);
    struct busy b = {.f = &f};
    XT_EQ(pthread_create(&t, NULL, keep_busy, &b), 0);
    while (metric(&f, "muster_model_open", LLAMA) == 0)
        sleep_ms(10);
    for (int i = 0; i < 2; i++)
        ask_ok(&f, DSV3);
    atomic_store(&b.is_over, true);
    pthread_join(t, NULL);
    XT_CHECKF(b.n > IN_HAND, "%d answers", b.n);
    XT_CHECK(metric(&f, "muster_model_opens_total", LLAMA) >= 2);
    models_end(&f);
}

/* ---- names ---- */

XT_TEST(unknown_names_and_no_name_are_refused_with_the_known_ones)
{
    struct fixture f;
    models_init(&f);
    models_add(&f, "small=models/" LLAMA);
    models_add(&f, "other=models/" DSV3);
    models_begin(&f);
    check_refused(hc_post(f.port, "/v1/completions", "{\"model\": \"big\", \"prompt\": [0]}"), 404,
                  "\"message\": \"the model big is not here; this server has small, other\", \"type\": "
                  "\"invalid_request_error\", \"param\": \"model\", \"code\": \"model_not_found\"");
    check_refused(hc_post(f.port, "/v1/completions", "{\"prompt\": [0]}"), 400, "model is needed");
    check_refused(hc_post(f.port, "/v1/completions", "{\"model\": 7, \"prompt\": [0]}"), 400, "must be a string");
    check_refused(hc_post(f.port, "/v1/completions", "{\"model\": \"small\\u0000\", \"prompt\": [0]}"), 404, "zero");
    check_refused(hc_post(f.port, "/tokenize", "{\"prompt\": \"x\"}"), 400, "model is needed");
    check_refused(hc_get(f.port, "/v1/models/big"), 404, "model_not_found");
    check_refused(hc_get(f.port, "/tokenizer_info"), 400, "model is needed");
    check_refused(hc_get(f.port, "/tokenizer_info?model=big"), 404, "model_not_found");
    XT_EQ(metric(&f, "muster_model_opens_total", "small"), 0); /* no refusal opens anything */
    check_refused(hc_get(f.port, "/tokenizer_info?model=small"), 200, "\"model_max_length\": 128");
    check_refused(hc_post(f.port, "/tokenize", "{\"model\": \"other\", \"prompt\": \"x\"}"), 200, "\"tokens\"");
    struct hc_reply r = hc_get(f.port, "/v1/models");
    json_t *v = parse(r.body), *data = json_object_get(v, "data");
    XT_EQ(json_array_size(data), 2);
    XT_STREQ(json_string_value(json_object_get(json_array_get(data, 0), "id")), "small");
    XT_STREQ(json_string_value(json_object_get(json_array_get(data, 1), "id")), "other");
    json_decref(v);
    hc_free(&r);
    models_end(&f);
}

XT_TEST(names_come_from_the_text_or_the_path)
{
    struct mu_err err = MU_ERR_INIT;
    char name[MU_RESIDENT_NAME_MAX];
    const char *path;
    struct fixture f;
    XT_OK(mu_serve_name_split("a=models/" LLAMA, name, &path, &err));
    XT_CHECK(strcmp(name, "a") == 0 && strcmp(path, "models/" LLAMA) == 0);
    XT_OK(mu_serve_name_split("models/" LLAMA "/.", name, &path, &err));
    XT_STREQ(name, LLAMA);
    XT_OK(mu_serve_name_split("models/x=y", name, &path, &err));
    XT_CHECK(strcmp(name, "x=y") == 0 && strcmp(path, "models/x=y") == 0);
    XT_FAILS(mu_serve_name_split("=models", name, &path, &err), MU_EUSAGE, "NAME=PATH");
    XT_FAILS(mu_serve_name_split("a=", name, &path, &err), MU_EUSAGE, "NAME=PATH");
    models_init(&f);
    models_add(&f, "models/" LLAMA);
    XT_FAILS(mu_serve_opener_add(&f.x, LLAMA "=models/" DSV3, &err), MU_EUSAGE, "two models are called");
    f.x.bytes_max = 1000000;
    XT_FAILS(mu_serve_opener_check(&f.x, &err), MU_ENOMEM, "1000000 are allowed for all models");
}

static bool is_ahead(const struct fixture *f, int i, bool is_kept)
{
    return f->x.entry[i].is_preloaded && f->x.entry[i].is_kept == is_kept;
}

XT_TEST(what_is_opened_ahead_and_what_is_kept_is_told_by_name)
{
    struct mu_err err = MU_ERR_INIT;
    struct fixture f;
    models_init_both(&f);
    XT_FAILS(mu_serve_opener_preload(&f.x, "nobody", &err), MU_EUSAGE, "--preload nobody: no --model has that name");
    XT_FAILS(mu_serve_opener_keep(&f.x, "nobody", &err), MU_EUSAGE, "--keep nobody: no --model has that name");
    XT_OK(mu_serve_opener_preload(&f.x, LLAMA, &err));
    XT_CHECK(is_ahead(&f, 0, false) && !f.x.entry[1].is_preloaded);
    XT_OK(mu_serve_opener_keep(&f.x, DSV3, &err));
    XT_CHECK(is_ahead(&f, 0, false) && is_ahead(&f, 1, true));
    models_init_both(&f);
    XT_OK(mu_serve_opener_preload(&f.x, "all", &err));
    XT_CHECK(is_ahead(&f, 0, false) && is_ahead(&f, 1, false));
    XT_OK(mu_serve_opener_keep(&f.x, "all", &err));
    XT_CHECK(is_ahead(&f, 0, true) && is_ahead(&f, 1, true));
}

/* ---- faults ---- */

static void link_all(const char *dir, const char *model)
{
    static const char *const files[] = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
                                        "tokenizer_config.json"};
    char from[512], to[512], here[256];
    XT_CHECK(getcwd(here, sizeof here) != NULL);
    mkdir(dir, 0755);
    for (size_t i = 0; i < MU_COUNT(files); i++) {
        snprintf(from, sizeof from, "%s/models/%s/%s", here, model, files[i]);
        snprintf(to, sizeof to, "%s/%s", dir, files[i]);
        XT_EQ(symlink(from, to), 0);
    }
}

static void unlink_all(const char *dir)
{
    char command[512];
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    XT_EQ(system(command), 0);
}

XT_TEST(a_model_whose_folder_vanished_fails_alone_and_comes_back)
{
    struct fixture f;
    char dir[300], text[400];
    models_init(&f);
    snprintf(dir, sizeof dir, "%s/gone", xt_tmpdir());
    link_all(dir, LLAMA);
    snprintf(text, sizeof text, "gone=%s", dir);
    models_add(&f, text);
    models_add(&f, "models/" DSV3);
    f.retry_ns = 1;
    f.open_max = 1;
    models_begin(&f);
    ask_ok(&f, "gone");
    unlink_all(dir);
    ask_ok(&f, "gone"); /* it is in memory */
    ask_ok(&f, DSV3);   /* no longer */
    ask_refused(&f, "gone", 503, "\"code\": \"model_not_loaded\"");
    check_state(&f, "gone", "\"state\": \"failed\"");
    check_state(&f, "gone", dir); /* in the sentence */
    XT_CHECK(metric(&f, "muster_model_failures_total", "gone") >= 1);
    ask_ok(&f, DSV3);
    XT_CHECK(mu_serve_is_alive(f.serve));
    link_all(dir, LLAMA);
    ask_ok(&f, "gone");
    models_end(&f);
}

XT_TEST(the_line_for_a_model_is_bounded_and_others_are_answered_meanwhile)
{
    struct fixture f;
    int fd[3];
    models_init_both(&f);
    f.o.load_queue_max = 3;
    models_begin(&f);
    ask_ok(&f, LLAMA);
    atomic_store(&f.is_stuck, true);
    for (int i = 0; i < 3; i++)
        fd[i] = ask_begin(&f, DSV3, 40 + i);
    await_metric(&f, "muster_model_requests_opening", DSV3, 3);
    ask_refused(&f, DSV3, 503, "too many requests wait for models");
    ask_ok(&f, LLAMA);
    close(fd[2]); /* leaves the line */
    await_metric(&f, "muster_model_requests_opening", DSV3, 2);
    atomic_store(&f.is_stuck, false);
    for (int i = 0; i < 2; i++)
        mu_free(choices_of(fd[i]));
    XT_EQ(metric(&f, "muster_http_requests_refused_total", NULL), 1);
    XT_EQ(metric(&f, "muster_http_requests_gone_total", DSV3), 1);
    models_end(&f);
}

XT_TEST(who_waits_too_long_for_a_model_is_told_so)
{
    struct fixture f;
    models_init_both(&f);
    f.o.load_ns = 200 * MS;
    models_begin(&f);
    atomic_store(&f.is_stuck, true);
    ask_refused(&f, DSV3, 503, "model_not_ready"); /* while the open still runs */
    atomic_store(&f.is_stuck, false);
    await_metric(&f, "muster_model_open", DSV3, 1);
    ask_ok(&f, DSV3);
    models_end(&f);

    models_init_both(&f);
    f.o.request_ns = 200 * MS;
    models_begin(&f);
    atomic_store(&f.is_stuck, true);
    ask_refused(&f, DSV3, 504, "timeout");
    atomic_store(&f.is_stuck, false);
    models_end(&f);
}

XT_TEST(closing_refuses_those_who_wait_for_a_model)
{
    struct fixture f;
    struct mu_err err = MU_ERR_INIT;
    void *held;
    models_begin_tight(&f);
    XT_OK(mu_residents_use(f.r, LLAMA, 0, &held, &err));
    int fd = ask_waiting(&f, DSV3);
    XT_CHECK(!mu_serve_drain(f.serve, 0));
    mu_serve_close(f.serve);
    check_refused(hc_end(fd), 503, "stopped before");
    mu_residents_done(f.r, held);
    mu_residents_close(f.r);
    XT_EQ(mu_mem_bytes_used(), f.heap);
}

/* ---- the machine's memory ---- */

XT_TEST(under_pressure_idle_models_give_back_and_then_go_but_for_the_kept)
{
    struct fixture f;
    struct mu_err err = MU_ERR_INIT;
    models_init_both(&f);
    XT_OK(mu_serve_opener_keep(&f.x, LLAMA, &err));
    models_begin(&f);
    ask_ok(&f, LLAMA);
    ask_ok(&f, DSV3);
    char *before = ask(&f, LLAMA, 40);
    XT_EQ(metric(&f, "muster_kv_pages_given_back", LLAMA), 0);
    XT_CHECK(metric(&f, "muster_kv_pages_cached", LLAMA) > 0);
    atomic_store(&f.wanted, 1);
    await_metric(&f, "muster_models_trims_total", NULL, 2);
    XT_CHECK(metric(&f, "muster_kv_pages_given_back", LLAMA) > 0);
    XT_EQ(metric(&f, "muster_kv_pages_cached", LLAMA), 0);
    await_metric(&f, "muster_models_evictions_pressure_total", NULL, 1);
    check_state(&f, DSV3, "\"state\": \"absent\"");
    char *after = ask(&f, LLAMA, 40); /* used again: it will be trimmed again */
    XT_STREQ(after, before);
    await_metric(&f, "muster_models_trims_total", NULL, 3);
    check_state(&f, LLAMA, "\"state\": \"ready\"");
    mu_free(before);
    mu_free(after);
    models_end(&f);
}

XT_MAIN()
