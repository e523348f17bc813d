/* test_campaign_include.c - campaigns of several files */
#include "campaign_text.h"

#include <stdlib.h>
#include <sys/stat.h>

static char root[512];

static void put(const char *name, const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *f = fopen(path, "w");
    XT_CHECKF(f, "cannot write %s", path);
    fputs(text, f);
    fclose(f);
}

static void begin(void)
{
    char path[1024];
    snprintf(root, sizeof root, "%s", xt_tmpdir());
    snprintf(path, sizeof path, "%s/site", root);
    mkdir(path, 0700);
}

static int load(const char *name, struct mu_campaign **c, struct mu_err *e)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", root, name);
    *c = NULL;
    int rc = mu_campaign_load(c, path, NULL, &faults, e);
    for (int i = 0; i < faults.n; i++)
        xt_note("%s, line %d: %s", faults.fault[i].path, faults.fault[i].line, faults.fault[i].sentence);
    return rc;
}

static void fault_is(int i, const char *file, int line, const char *part)
{
    const char *slash = strrchr(faults.fault[i].path, '/');
    XT_STREQ(slash ? slash + 1 : faults.fault[i].path, file);
    XT_EQ(faults.fault[i].line, line);
    XT_CHECKF(strstr(faults.fault[i].sentence, part), "\"%s\" lacks \"%s\"", faults.fault[i].sentence, part);
}

XT_TEST(what_is_included_comes_first_and_counts_less)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign *c;
    begin();
    put("main.yaml", "include: [site/models.yaml, site/policy.yaml]\noutput: mine\nmodels: [own]\nsuites: [x]\n"
                     "budgets: {gpu_hours: 7}\nfailures: {node: stop}\nsettings: [{for: own/x, priority: high}]\n");
    put("site/models.yaml", "include: more.yaml\nmodels: [a]\n");
    put("site/more.yaml", "models: [z]\noutput: theirs\n");
    put("site/policy.yaml", "include: [more.yaml, ../site/../site/models.yaml]\nbudgets: {gpu_hours: 5, walltime: 1d}\n"
                            "failures: {node: rejoin, device: replan}\n"
                            "settings: [{priority: low, timeout: 1h}]\n");
    XT_OK(load("main.yaml", &c, &err));
    ids_are(c, "z/x a/x own/x"); /* each file once */
    XT_STREQ(c->name, "main");
    XT_STREQ(c->output, "mine");
    XT_NEAR(c->budgets.gpu_hours, 7, 0);
    XT_NEAR(c->budgets.walltime_s, 86400, 0);
    XT_EQ(c->n_failures, 2);
    XT_EQ(c->failure[0].first, MU_ACTION_STOP);
    XT_EQ(task_of(c, "own/x")->policy.priority, MU_PRIORITY_HIGH);
    XT_NEAR(task_of(c, "own/x")->policy.timeout_s, 3600, 0);
    XT_EQ(task_of(c, "a/x")->policy.priority, MU_PRIORITY_LOW);
    XT_EQ(c->n_files, 4);
    mu_campaign_free(c);
}

XT_TEST(faults_name_their_file)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign *c;
    begin();
    put("main.yaml", "include: part.yaml\noutput: o\nmodels:\n- a\n- b\nsuites: [x]\nsettings:\n- {for: c/x}\n");
    put("part.yaml", "models:\n- b\nsettings:\n- priority: urgent\n");
    XT_FAILS(load("main.yaml", &c, &err), MU_EFORMAT, "main.yaml, line 5: there are two models \"b\", the first in ");
    XT_EQ(faults.n_all, 3);
    fault_is(0, "main.yaml", 5, "part.yaml, line 2");
    fault_is(1, "main.yaml", 8, "\"c/x\" names no task");
    fault_is(2, "part.yaml", 4, "priority is \"urgent\"");
}

XT_TEST(circles_of_files)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign *c;
    begin();
    put("main.yaml", "output: o\nmodels: [a]\nsuites: [x]\ninclude:\n- site/one.yaml\n- ./main.yaml\n");
    put("site/one.yaml", "include: two.yaml\n");
    put("site/two.yaml", "include:\n- ../site/one.yaml\n");
    XT_FAILS(load("main.yaml", &c, &err), MU_EFORMAT, "in a circle");
    XT_EQ(faults.n_all, 2);
    fault_is(0, "main.yaml", 6, "main.yaml includes ");
    fault_is(1, "two.yaml", 2, "/site/one.yaml includes ");
    XT_CHECK(strstr(faults.fault[1].sentence, "/site/two.yaml, which includes "));
}

XT_TEST(files_that_are_not_there_or_no_yaml)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign *c;
    begin();
    put("main.yaml", "output: o\nmodels: [a]\nsuites: [x]\ninclude:\n- nowhere.yaml\n- bad.yaml\n- list.yaml\n- 5\n");
    put("bad.yaml", "models: [\n");
    put("list.yaml", "- a\n");
    XT_FAILS(load("main.yaml", &c, &err), MU_EFORMAT, "include must be a text or a list");
    put("main.yaml", "output: o\nmodels: [a]\nsuites: [x]\ninclude:\n- nowhere.yaml\n- bad.yaml\n- list.yaml\n");
    XT_FAILS(load("main.yaml", &c, &err), MU_EFORMAT, "nowhere.yaml");
    XT_EQ(faults.n_all, 3);
    fault_is(1, "main.yaml", 6, "bad.yaml, line 2");
    fault_is(2, "list.yaml", 0, "a mapping with models");
}

XT_TEST(files_too_deep_and_too_many)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_campaign *c;
    char name[64], text[128];
    begin();
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof name, "f%d.yaml", i);
        snprintf(text, sizeof text, "include: f%d.yaml\n%s", i + 1,
                 i == 0 ? "output: o\nmodels: [a]\nsuites: [x]\n" : "");
        put(name, text);
    }
    XT_FAILS(load("f0.yaml", &c, &err), MU_EFORMAT, "at most 64 files, 8 deep");
    XT_EQ(faults.n_all, 1);
    fault_is(0, "f8.yaml", 1, "f9.yaml is not read");
    char *all = calloc(1, 8192);
    strcpy(all, "output: o\nmodels: [a]\nsuites: [x]\ninclude:\n");
    for (int i = 0; i < 64; i++) {
        snprintf(name, sizeof name, "g%d.yaml", i);
        put(name, "weight: 2\n");
        sprintf(all + strlen(all), "- %s\n", name);
    }
    put("main.yaml", all);
    XT_FAILS(load("main.yaml", &c, &err), MU_EFORMAT, "g63.yaml is not read");
    fault_is(0, "main.yaml", 68, "at most 64 files");
    free(all);
}

XT_MAIN()
