/* sandbox.c - opening a sandbox: options, and the proof that it holds before anything unknown runs in it */
#include "eval/sandbox.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/pool.h"
#include "eval/sandbox_int.h"

#define ARENA_MAX ((size_t)1 << 20)

static const char probe_runs[] = "print('ready')\n";

/* Ends with an error when it can see or do what it must not. */
static const char probe_holds[] =
    "import os, socket\n"
    "seen = set(os.listdir('/etc')) if os.path.isdir('/etc') else set()\n"
    "assert seen <= {'alternatives', 'ld.so.cache'}, f'/etc shows {sorted(seen)[:3]}'\n"
    "assert not os.path.exists('/proc/self'), '/proc is there'\n"
    "assert [name for _, name in socket.if_nameindex()] in ([], ['lo']), 'there is a network'\n"
    "assert os.getuid() == 65534, 'the user is not nobody'\n"
    "for place in ('/', '/usr', '/dev', '/program'):\n"
    "    try:\n"
    "        os.close(os.open(place + '/muster-probe', os.O_CREAT | os.O_WRONLY))\n"
    "    except OSError:\n"
    "        continue\n"
    "    raise SystemExit(place + ' can be written to')\n";

static void fill_defaults(struct mu_sandbox_opts *o)
{
    o->timeout_ns = o->timeout_ns ? o->timeout_ns : 10 * MU_SANDBOX_SECOND_NS;
    o->memory_bytes = o->memory_bytes ? o->memory_bytes : (size_t)1 << 30;
    o->processes = o->processes ? o->processes : 32;
    o->output_bytes = o->output_bytes ? o->output_bytes : (size_t)1 << 20;
    o->file_bytes = o->file_bytes ? o->file_bytes : (size_t)16 << 20;
    o->parallel = o->parallel ? o->parallel : mu_cores_allowed();
}

static int check(const struct mu_sandbox_opts *o, struct mu_err *e)
{
    if (o->timeout_ns < 0 || o->timeout_ns > 86400 * MU_SANDBOX_SECOND_NS)
        return mu_fail(e, MU_EINVAL, "a time limit of the sandbox of %lld ns is not between 0 and a day",
                       (long long)o->timeout_ns);
    if (o->processes < 0 || o->parallel < 0)
        return mu_fail(e, MU_EINVAL, "a sandbox of %d processes, %d at a time: neither may be below 0", o->processes,
                       o->parallel);
    return MU_OK;
}

static int fail_to_make(int rc, struct mu_err *e)
{
    char said[MU_ERR_TEXT_MAX];
    if (rc != MU_EPEER)
        return rc;
    (void)snprintf(said, sizeof said, "%s", e ? e->text : "");
    if (strstr(said, "Can't find source path"))
        return mu_fail(e, MU_EUNSUPPORTED,
                       "%s; programs run as the user nobody: install a Python that every user may read, such as the "
                       "package python3",
                       said);
    return mu_fail(
        e, MU_EUNSUPPORTED,
        "%s. Ordinary users must be allowed to make user namespaces: on the machine "
        "kernel.unprivileged_userns_clone = 1, user.max_user_namespaces above 0 and "
        "kernel.apparmor_restrict_unprivileged_userns = 0 where sysctl knows them; in a container, a seccomp "
        "profile that allows unshare and mount",
        said);
}

static int prove(struct mu_sandbox *s, struct mu_err *e)
{
    const struct mu_str program[] = {mu_str(probe_runs), mu_str(probe_holds)};
    struct mu_sandbox_outcome o[MU_COUNT(program)];
    int rc = mu_sandbox_execute(&s->command, program, MU_COUNT(program), o, NULL, e);
    if (rc != MU_OK)
        return fail_to_make(rc, e);
    if (o[0].end != MU_SANDBOX_PASSED || strcmp(o[0].last_line, "ready") != 0)
        return mu_fail(e, MU_EUNSUPPORTED, "the sandbox does not run Python: %s",
                       o[0].last_line[0] ? o[0].last_line : "it said nothing");
    if (o[1].end != MU_SANDBOX_PASSED)
        return mu_fail(e, MU_EUNSUPPORTED, "the sandbox does not hold on this machine: %s", o[1].last_line);
    return MU_OK;
}

int mu_sandbox_open(struct mu_sandbox **out, const struct mu_sandbox_opts *opts, struct mu_err *e)
{
    struct mu_sandbox_opts o = opts ? *opts : (struct mu_sandbox_opts){0};
    struct mu_sandbox *s = NULL;
    int rc = MU_OK;
    MU_TRY_RETURN(check(&o, e));
    fill_defaults(&o);
    MU_TRY_RETURN(MU_NEW(&s, "a sandbox", e));
    s->arena = (struct mu_arena)MU_ARENA_INIT("the sandbox's command line", ARENA_MAX);
    s->command = (struct mu_sandbox_command){
        .has_status = true, .timeout_ns = o.timeout_ns, .output_bytes = o.output_bytes, .parallel = o.parallel};
    MU_TRY(mu_sandbox_build_argv(s, &o, e));
    MU_TRY(prove(s, e));
    *out = s;
    return MU_OK;
out:
    mu_sandbox_close(s);
    return rc;
}

void mu_sandbox_close(struct mu_sandbox *s)
{
    if (!s)
        return;
    mu_arena_fini(&s->arena);
    mu_free(s);
}

int mu_sandbox_run(struct mu_sandbox *s, struct mu_str program, struct mu_sandbox_outcome *outcome,
                   struct mu_buf *output, struct mu_err *e)
{
    return mu_sandbox_execute(&s->command, &program, 1, outcome, output, e);
}

int mu_sandbox_run_all(struct mu_sandbox *s, const struct mu_str *programs, int n, struct mu_sandbox_outcome *outcomes,
                       struct mu_err *e)
{
    return mu_sandbox_execute(&s->command, programs, n, outcomes, NULL, e);
}
