/* test_orchestrate_poison.c - documents that kill whoever computes them are found, skipped and told; nobody else is */
#include "sched/orchestrate.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/file.h"
#include "campaign_text.h"
#include "fake_launcher.h"
#include "xt.h"

#define SEC      1000000000ll
#define CRASH    (FAKE_DIES + 128 + SIGSEGV)
#define KILL     (FAKE_DIES + 128 + SIGKILL)
#define CAMPAIGN "output: out\nmodels: [a]\nsuites: [{name: x, tasks: x}, {name: y, tasks: y}]\n"

#define ALONE "output: out\nmodels: [a]\nsuites: [{name: x, tasks: x}]\n"

static const char *const NODES[] = {"n0", "n1"};

struct play {
    struct fake_launcher f;
    struct fake_documents x; /* of a/x */
    struct mu_campaign *c;
    struct mu_fleet_device device[2];
    int n_devices;
    int stops_after; /* news; 0: never */
    int n_news, n_kind[MU_EVENT_KIND_END];
    struct mu_counts counts;
    struct mu_err err;
    char folder[600], skipped[MU_EVENT_TEXT_MAX];
};

static bool has_had_enough(void *arg)
{
    const struct play *p = arg;
    return p->stops_after > 0 && p->n_news >= p->stops_after;
}

static void hear(void *arg, const struct mu_news *n)
{
    struct play *p = arg;
    p->n_news++;
    p->n_kind[n->kind]++;
    if (n->kind == MU_EVENT_REQUEST_SKIPPED)
        snprintf(p->skipped, sizeof p->skipped, "%s", n->why);
}

static void begin(struct play *p, const char *name, const char *text, const struct fake_documents *x)
{
    *p = (struct play){.n_devices = 1, .x = *x};
    p->x.task = "a/x";
    p->c = campaign_of(text);
    snprintf(p->folder, sizeof p->folder, "%s/%s", xt_tmpdir(), name);
    mkdir(p->folder, 0777);
    for (int i = 0; i < 2; i++)
        p->device[i] = (struct mu_fleet_device){.node = i, .tasks_max = 1, .memory = INT64_C(1) << 30, .speed = 1};
    fake_launcher_init(&p->f, NULL, 0);
    p->f.documents = &p->x;
    p->f.n_documents = 1;
}

static int play(struct play *p)
{
    struct mu_orchestra o = {.campaign = p->c,
                             .output = p->folder,
                             .program = "/bin/muster",
                             .launcher = &p->f.l,
                             .clock = &p->f.clock,
                             .nodes = NODES,
                             .devices = p->device,
                             .n_devices = p->n_devices,
                             .cores = 8,
                             .is_stopped = has_had_enough,
                             .told = hear,
                             .arg = p};
    p->n_news = 0;
    p->err = (struct mu_err)MU_ERR_INIT;
    return mu_orchestrate(&o, &p->counts, &p->err);
}

static void end(struct play *p)
{
    mu_campaign_free(p->c);
}

static int count_words(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == ' ';
    return n;
}

/* Both tasks finished, and of a/x exactly `skip` was left out; all else was answered. */
static void check_found(struct play *p, const char *skip, int n)
{
    XT_EQ(play(p), MU_OK);
    XT_EQ(p->counts.by_state[MU_TASK_FINISHED], 2);
    XT_EQ(p->counts.skipped_requests, n);
    XT_STREQ(p->x.skip, skip);
    for (int i = 0; i < p->x.n; i++) {
        char key[16];
        snprintf(key, sizeof key, " %d ", i);
        XT_CHECKF(p->x.answered[i] == !strstr(skip, key), "document %d", i);
    }
}

XT_TEST(one_that_kills_is_found_wherever_it_stands)
{
    static const int all[] = {0, 1, 7, 10, 13, 19};
    for (size_t i = 0; i < MU_COUNT(all); i++) {
        int guilty = all[i];
        struct play p;
        char name[32], skip[16];
        snprintf(name, sizeof name, "one%d", guilty);
        snprintf(skip, sizeof skip, " %d ", guilty);
        begin(&p, name, CAMPAIGN, &(struct fake_documents){.n = 20, .deadly = {guilty}, .n_deadly = 1, .death = CRASH});
        check_found(&p, skip, 1);
        /* Two that died, log2 and two or three proofs, the rest. */
        XT_CHECKF(count_words(p.x.parts) <= 2 + 6 + 2 + 1, "%s", p.x.parts);
        XT_CHECKF(strncmp(p.x.parts, "all all 0-9 ", 12) == 0, "%s", p.x.parts);
        XT_EQ(p.n_kind[MU_EVENT_SEARCH_BEGUN], 1);
        XT_CHECKF(strstr(p.skipped, "killed each worker"), "%s", p.skipped);
        end(&p);
    }
}

XT_TEST(what_it_may_die_of)
{
    static const int deaths[] = {CRASH, KILL, FAKE_DIES + 128 + SIGABRT, FAKE_STUBBORN, FAKE_SILENT};
    for (size_t i = 0; i < MU_COUNT(deaths); i++) {
        struct play p;
        char name[32];
        snprintf(name, sizeof name, "death%zu", i);
        begin(&p, name, CAMPAIGN "settings: [{timeout: 100s}]\n",
              &(struct fake_documents){.n = 9, .deadly = {4}, .n_deadly = 1, .death = deaths[i]});
        check_found(&p, " 4 ", 1);
        end(&p);
    }
}

/* The first device it breaks is taken out, the second is not: two that break under it are its work. */
XT_TEST(what_breaks_devices_is_found_before_all_are_out)
{
    struct play p;
    begin(&p, "xid", CAMPAIGN, &(struct fake_documents){.n = 9, .deadly = {4}, .n_deadly = 1, .death = FAKE_DIES + 1});
    p.n_devices = 2;
    p.f.says = "Xid 31: MMU fault";
    check_found(&p, " 4 ", 1);
    XT_EQ(p.counts.devices_out, 1);
    end(&p);
}

/* Batches are halved first; what changes the numbers is not done for one document. */
XT_TEST(memory_without_end_is_made_smaller_first_and_never_int8)
{
    struct play p;
    begin(&p, "memory",
          "output: out\nmodels: [{model: a, batch_size: 4}]\nsuites: [{name: x, tasks: x}, {name: y, tasks: y}]\n"
          "settings: [{shrink: [smaller_batch, int8]}]\n",
          &(struct fake_documents){.n = 9, .deadly = {4}, .n_deadly = 1, .death = 7});
    check_found(&p, " 4 ", 1);
    XT_EQ(p.counts.degraded, 2);
    end(&p);
}

XT_TEST(two_are_found_one_after_the_other)
{
    struct play p;
    begin(&p, "two", CAMPAIGN, &(struct fake_documents){.n = 20, .deadly = {3, 17}, .n_deadly = 2, .death = CRASH});
    check_found(&p, " 17 3 ", 2);
    XT_EQ(p.n_kind[MU_EVENT_SEARCH_BEGUN], 2);
    end(&p);
}

/* It answers others each time, so that nothing looks stuck: it is searched before it is given up. */
XT_TEST(one_that_lets_others_through_is_found)
{
    struct play p;
    begin(&p, "late", CAMPAIGN,
          &(struct fake_documents){.n = 20, .deadly = {11}, .n_deadly = 1, .death = CRASH, .answers_others = true});
    check_found(&p, " 11 ", 1);
    end(&p);
}

/* Nobody else is at work: the device is put to the proof by the search itself. */
XT_TEST(the_first_of_all_is_found_too)
{
    struct play p;
    begin(&p, "first", ALONE, &(struct fake_documents){.n = 8, .deadly = {0}, .n_deadly = 1, .death = CRASH});
    XT_EQ(play(&p), MU_OK);
    XT_EQ(p.counts.by_state[MU_TASK_FINISHED], 1);
    XT_STREQ(p.x.skip, " 0 ");
    XT_STREQ(p.x.parts, "all all 0-3 0-1 0-0 0-0 7-7 all ");
    end(&p);
}

/* Whatever computes on one of two devices dies, and nothing tells of it. Who is run there is innocent. */
XT_TEST(a_device_that_kills_makes_nobody_guilty)
{
    for (int bad = 0; bad < 2; bad++) {
        struct play p;
        begin(&p, bad ? "second" : "bad", ALONE,
              &(struct fake_documents){.n = 8, .death = CRASH, .bad_node = NODES[bad]});
        p.n_devices = 2;
        XT_EQ(play(&p), MU_OK);
        XT_EQ(p.counts.skipped_requests, 0);
        end(&p);
    }
}

XT_TEST(where_all_die_the_task_fails_as_it_would)
{
    struct play p;
    begin(&p, "all", CAMPAIGN, &(struct fake_documents){.n = 8, .death = CRASH, .kills = 1000});
    XT_EQ(play(&p), MU_OK);
    XT_EQ(p.counts.by_state[MU_TASK_FAILED], 1);
    XT_EQ(p.counts.by_state[MU_TASK_FINISHED], 1);
    XT_EQ(p.counts.skipped_requests, 0);
    XT_EQ(p.n_kind[MU_EVENT_SEARCH_ENDED], 1);
    end(&p);
}

XT_TEST(two_that_must_meet_are_not_accused)
{
    struct play p;
    begin(&p, "meet", CAMPAIGN, &(struct fake_documents){.n = 8, .pair = {3, 4}, .death = CRASH});
    XT_EQ(play(&p), MU_OK);
    XT_EQ(p.counts.by_state[MU_TASK_FINISHED], 2); /* each has been answered while the other was not there */
    XT_EQ(p.counts.skipped_requests, 0);
    end(&p);
}

/* Somebody kills workers, whatever they do. */
XT_TEST(random_kills_make_nobody_guilty)
{
    for (int kills = 1; kills <= 5; kills++) {
        struct play p;
        char name[32];
        snprintf(name, sizeof name, "kills%d", kills);
        begin(&p, name, CAMPAIGN, &(struct fake_documents){.n = 16, .death = KILL, .kills = kills});
        check_found(&p, " ", 0);
        XT_EQ(p.n_kind[MU_EVENT_SEARCH_BEGUN], kills >= 2);
        end(&p);
    }
}

XT_TEST(nothing_changes_where_nobody_dies)
{
    struct play p;
    begin(&p, "none", CAMPAIGN, &(struct fake_documents){.n = 16});
    check_found(&p, " ", 0);
    XT_STREQ(p.x.parts, "all ");
    end(&p);
}

XT_TEST(give_up_is_as_it_was_and_tries_are_a_limit)
{
    static const struct fake_documents three = {.n = 16, .deadly = {2, 7, 9}, .n_deadly = 3, .death = CRASH};
    struct play p;
    begin(&p, "giveup", CAMPAIGN "failures: {poison_request: give_up}\n", &three);
    XT_EQ(play(&p), MU_OK);
    XT_EQ(p.counts.by_state[MU_TASK_FAILED], 1);
    XT_EQ(p.n_kind[MU_EVENT_SEARCH_BEGUN], 0);
    end(&p);
    begin(&p, "limit", CAMPAIGN "failures: {poison_request: {first: isolate, tries: 2, then: give_up}}\n", &three);
    XT_EQ(play(&p), MU_OK);
    XT_EQ(p.counts.by_state[MU_TASK_FAILED], 1);
    XT_EQ(p.counts.skipped_requests, 2);
    end(&p);
}

/* Stopped again and again after some news: what probes told is not asked again. */
XT_TEST(a_restart_goes_on_with_the_search)
{
    int n_probes = 0;
    for (int stop = 0; stop <= 4; stop += stop ? 1 : 2) {
        struct play p;
        char name[32];
        int rc = MU_ECANCELED;
        snprintf(name, sizeof name, "restart%d", stop);
        begin(&p, name, CAMPAIGN, &(struct fake_documents){.n = 32, .deadly = {21}, .n_deadly = 1, .death = CRASH});
        for (int round = 0; round < 60 && rc != MU_OK; round++) {
            p.stops_after = p.n_kind[MU_EVENT_SEARCH_BEGUN] > 0 ? stop : 6;
            rc = play(&p);
            XT_CHECKF(rc == MU_OK || rc == MU_ECANCELED, "%s", p.err.text);
        }
        XT_EQ(rc, MU_OK);
        XT_EQ(p.counts.by_state[MU_TASK_FINISHED], 2);
        XT_EQ(p.counts.skipped_requests, 1);
        XT_STREQ(p.x.skip, " 21 ");
        XT_EQ(p.n_kind[MU_EVENT_SEARCH_BEGUN], 1);
        if (stop == 0)
            n_probes = p.n_kind[MU_EVENT_PROBE_ENDED];
        XT_EQ(p.n_kind[MU_EVENT_PROBE_ENDED], n_probes);
        end(&p);
    }
}

XT_MAIN()
