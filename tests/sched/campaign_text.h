/* campaign_text.h - campaigns out of texts, for their tests */
#ifndef CAMPAIGN_TEXT_H
#define CAMPAIGN_TEXT_H

#include <stdio.h>

#include "sched/campaign.h"
#include "xt.h"

static struct mu_campaign_faults faults;

/* Must be read without a fault; the caller's. */
__attribute__((unused)) static struct mu_campaign *campaign_in(const char *text, const struct mu_campaign_world *w)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign *c = NULL;
    XT_OK(mu_campaign_parse(&c, mu_str(text), "c.yaml", w, &faults, &err));
    XT_EQ(faults.n_all, 0);
    return c;
}

__attribute__((unused)) static struct mu_campaign *campaign_of(const char *text)
{
    return campaign_in(text, NULL);
}

/* The text must have exactly these faults: n times a line and a part of its sentence. */
struct want {
    int line;
    const char *part;
};

__attribute__((unused)) static void faults_in(const char *text, const struct mu_campaign_world *w,
                                              const struct want *want, int n)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign *c = NULL;
    int rc = mu_campaign_parse(&c, mu_str(text), "c.yaml", w, &faults, &err);
    for (int i = 0; i < faults.n; i++)
        xt_note("line %d: %s", faults.fault[i].line, faults.fault[i].sentence);
    XT_CHECKF(rc == MU_EFORMAT || rc == MU_EINVAL, "%s: %s", mu_code_name(rc), err.text);
    XT_CHECK(c == NULL);
    XT_EQ(faults.n_all, n);
    for (int i = 0; i < n && i < MU_CAMPAIGN_FAULTS_MAX; i++) {
        XT_STREQ(faults.fault[i].path, "c.yaml");
        XT_EQ(faults.fault[i].line, want[i].line);
        XT_CHECKF(strstr(faults.fault[i].sentence, want[i].part), "the sentence \"%s\" lacks \"%s\"",
                  faults.fault[i].sentence, want[i].part);
    }
    XT_CHECKF(strstr(err.text, want[0].part), "the first sentence \"%s\" lacks \"%s\"", err.text, want[0].part);
}

#define FAULTS(text, w, ...)                                                                                           \
    faults_in(text, w, (const struct want[]){__VA_ARGS__},                                                             \
              (int)(sizeof((const struct want[]){__VA_ARGS__}) / sizeof(struct want)))

/* The ids in order, blanks between them, must be these. */
__attribute__((unused)) static void ids_are(const struct mu_campaign *c, const char *want)
{
    char got[4096] = "";
    for (int i = 0; i < c->n_tasks; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i > 0 ? " " : "", c->task[i].id);
    XT_STREQ(got, want);
}

/* A task by its name. */
__attribute__((unused)) static const struct mu_campaign_task *task_of(const struct mu_campaign *c, const char *id)
{
    int i = mu_campaign_find(c, id);
    XT_CHECKF(i >= 0, "there is no task %s", id);
    return &c->task[i];
}

/* "a/x b/x": what the task waits for. */
__attribute__((unused)) static void waits_for(const struct mu_campaign *c, const char *id, const char *want)
{
    char got[4096] = "";
    int32_t list[64];
    int n = mu_campaign_befores(c, mu_campaign_find(c, id), list, 64);
    XT_CHECK(n <= 64);
    for (int i = 0; i < n; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i > 0 ? " " : "", c->task[list[i]].id);
    XT_STREQ(got, want);
}

#endif
