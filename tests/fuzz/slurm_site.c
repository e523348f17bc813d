/* slurm_site.c - fuzz target: any text as a site profile; what is read makes a script in which no text ends its line */
#include <stdint.h>
#include <stdlib.h>

#include "sched/slurm/script.h"

static const char *const argv[] = {"muster", NULL};

static void write_script(const struct mu_site *s)
{
    struct mu_slurm_script x = {
        .site = s, .title = s->name, .name = s->name, .folder = "/f", .time_s = 60, .n_parts = 1};
    struct mu_buf out = MU_BUF_INIT("a script", MU_SLURM_SCRIPT_MAX);
    struct mu_err e;
    int n = 0, body = 0;
    x.part[0] = (struct mu_slurm_part){.partition = &s->partition[0],
                                       .nodes = 1,
                                       .tasks = 1,
                                       .tasks_per_node = 1,
                                       .cpus_per_task = 1,
                                       .is_linked = true,
                                       .argv = argv};
    if (mu_slurm_script_write(&out, &x, &e) == MU_OK) {
        for (const char *p = out.p; p && strncmp(p, "\n\n", 2) != 0; p = strchr(p + 1, '\n'), n++)
            body += p > out.p && p[1] != '#' && p[1] != '\n';
        if (n > 20 || body > 0)
            abort();
    }
    mu_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mu_site *s = NULL;
    struct mu_err e;
    if (mu_site_parse(&s, (struct mu_str){(const char *)data, n}, "fuzz", &e) == MU_OK)
        write_script(s);
    mu_site_free(s);
    return 0;
}
