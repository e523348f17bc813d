/* pass_at_k.c - the share of problems solved by one of k candidates, each run against its tests in the sandbox
 *
 * What counts as passing is what Hugging Face evaluate's code_eval counts: candidate + "\n" + test, executed in an
 * empty namespace with its output swallowed and without the functions that code_eval takes away, ends without an
 * exception, SystemExit included. Its time limit is 3 s; ours is the sandbox's. The estimator is that of Chen et al.
 * 2021 (arXiv:2107.03374, section 2.1). */
#include "eval/docs/docs_int.h"

#include <stdio.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/py/value.h"
#include "eval/sandbox.h"

#define CANDIDATES_MAX 10000 /* of one problem: repeats of a task */

/* Set as `source` and `mark` before it: the program, and what is said when it ran to its end. A program that leaves by
 * os._exit(0) never says it. */
static const char runner[] =
    "import builtins, contextlib, io, os, shutil, subprocess, sys\n"
    "say, leave = os.write, os._exit\n"
    "class Sink(io.StringIO):\n"
    "    def refuse(self, *a):\n"
    "        raise OSError('not readable')\n"
    "    read = readline = readlines = refuse\n"
    "    def readable(self, *a):\n"
    "        return False\n"
    "os.environ['OMP_NUM_THREADS'] = '1'\n"
    "for name in ('kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename renames "
    "truncate '\n"
    "             'replace unlink fchmod fchown chmod chown chroot lchflags lchmod lchown getcwd chdir').split():\n"
    "    setattr(os, name, None)\n"
    "shutil.rmtree = shutil.move = shutil.chown = subprocess.Popen = None\n"
    "builtins.exit = builtins.quit = builtins.help = None\n"
    "for name in 'ipdb joblib resource psutil tkinter'.split():\n"
    "    sys.modules[name] = None\n"
    "sink = Sink()\n"
    "sys.stdin = sink\n"
    "try:\n"
    "    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):\n"
    "        exec(source, {})\n"
    "except BaseException as x:\n"
    "    try:\n"
    "        line = f'{type(x).__name__}: {x}'\n"
    "    except BaseException:\n"
    "        line = 'an exception that cannot be shown'\n"
    "    say(1, line[:200].encode('utf-8', 'replace'))\n"
    "    leave(1)\n"
    "say(1, b'\\n' + mark.encode())\n"
    "leave(0)\n";

struct trial {
    struct mu_buf program;
    char mark[80];
};

static int write_trial(struct trial *t, struct mu_str candidate, struct mu_str test, struct mu_err *e)
{
    struct mu_buf source = MU_BUF_INIT("a program to test", MU_DOC_TEXT_MAX);
    char digest[65];
    int rc = MU_OK;
    MU_TRY(mu_doc_set(&source, candidate, e));
    MU_TRY(mu_buf_putc(&source, '\n', e));
    MU_TRY(mu_buf_add(&source, test.p, test.n, e));
    mu_sha256_hex(mu_buf_str(&source), digest);
    (void)snprintf(t->mark, sizeof t->mark, "ran to its end %s", digest);

    /* JSON's quoted texts are Python literals. */
    MU_TRY(mu_buf_puts(&t->program, "source = ", e));
    MU_TRY(mu_json_dump_string(&t->program, mu_buf_str(&source), e));
    MU_TRY(mu_buf_printf(&t->program, e, "\nmark = \"%s\"\n", t->mark));
    rc = mu_buf_puts(&t->program, runner, e);
out:
    mu_buf_fini(&source);
    return rc;
}

static int run_trials(const struct trial *t, size_t n, struct mu_sandbox *sandbox, size_t *passed, struct mu_err *e)
{
    struct mu_str *program = NULL;
    struct mu_sandbox_outcome *outcome = NULL;
    int rc = MU_OK;
    MU_TRY(MU_NEW_ARRAY(&program, n, "programs to test", e));
    MU_TRY(MU_NEW_ARRAY(&outcome, n, "outcomes of programs", e));
    for (size_t i = 0; i < n; i++)
        program[i] = mu_buf_str(&t[i].program);
    MU_TRY(mu_sandbox_run_all(sandbox, program, (int)n, outcome, e));
    *passed = 0;
    for (size_t i = 0; i < n; i++)
        *passed += outcome[i].end == MU_SANDBOX_PASSED && strcmp(outcome[i].last_line, t[i].mark) == 0;
out:
    mu_free(program);
    mu_free(outcome);
    return rc;
}

/* How many candidates of one problem pass. */
static int count_passed(const json_t *candidates, struct mu_str test, struct mu_sandbox *sandbox, size_t *passed,
                        struct mu_err *e)
{
    size_t n = json_array_size(candidates);
    struct trial *t = NULL;
    int rc = MU_OK;
    if (n > CANDIDATES_MAX)
        return mu_fail(e, MU_ELIMIT, "%zu candidates of one problem are more than %d", n, CANDIDATES_MAX);
    MU_TRY_RETURN(MU_NEW_ARRAY(&t, n, "programs to test", e));
    for (size_t i = 0; i < n; i++)
        t[i].program = (struct mu_buf)MU_BUF_INIT("a program to test", 2 * MU_DOC_TEXT_MAX);
    for (size_t i = 0; i < n; i++) {
        struct mu_str candidate;
        MU_TRY(mu_doc_item(candidates, i, &candidate, e));
        MU_TRY(write_trial(&t[i], candidate, test, e));
    }
    rc = run_trials(t, n, sandbox, passed, e);
out:
    for (size_t i = 0; i < n; i++)
        mu_buf_fini(&t[i].program);
    mu_free(t);
    return rc;
}

/* 1 - C(n - c, k) / C(n, k), as a product. */
static double estimate(size_t n, size_t c, int64_t k)
{
    double missed = 1.0;
    if ((int64_t)(n - c) < k)
        return 1.0;
    for (size_t i = n - c + 1; i <= n; i++)
        missed *= 1.0 - (double)k / (double)i;
    return 1.0 - missed;
}

/* One "pass@k", left out when a problem has fewer candidates than k. */
static int put_share(json_t *object, const size_t *n, const size_t *c, size_t problems, int64_t k, struct mu_err *e)
{
    char name[40];
    double sum = 0;
    for (size_t i = 0; i < problems; i++) {
        if ((int64_t)n[i] < k)
            return MU_OK;
        sum += estimate(n[i], c[i], k);
    }
    (void)snprintf(name, sizeof name, "pass@%lld", (long long)k);
    return mu_doc_put(object, name, json_real(problems ? sum / (double)problems : 0), e);
}

static int put_shares(const json_t *ks, const size_t *n, const size_t *c, size_t problems, json_t **out,
                      struct mu_err *e)
{
    json_t *object = json_object();
    int rc = object ? MU_OK : mu_fail_nomem(e, sizeof(json_t), "pass@k");
    for (size_t i = 0; rc == MU_OK && i < json_array_size(ks); i++) {
        json_int_t k = json_integer_value(json_array_get(ks, i));
        rc = k >= 1 ? put_share(object, n, c, problems, k, e)
                    : mu_fail(e, MU_EINVAL, "item %zu of k is no whole number of at least 1", i);
    }
    if (rc == MU_OK)
        *out = object;
    else
        json_decref(object);
    return rc;
}

int mu_doc_pass_at_k(const json_t *references, const json_t *predictions, const json_t *k, struct mu_sandbox *sandbox,
                     json_t **out, struct mu_err *e)
{
    size_t problems = json_array_size(references), *n = NULL, *c = NULL;
    int rc = MU_OK;
    if (!sandbox)
        return mu_fail(e, MU_EUSAGE,
                       "this task runs programs that the model wrote; allow it with --confirm-run-unsafe-code");
    if (json_array_size(predictions) != problems)
        return mu_fail(e, MU_EINVAL, "pass@k: %zu tests for %zu lists of candidates", problems,
                       json_array_size(predictions));
    MU_TRY(MU_NEW_ARRAY(&n, problems, "counts of candidates", e));
    MU_TRY(MU_NEW_ARRAY(&c, problems, "counts of candidates", e));
    for (size_t i = 0; i < problems; i++) {
        struct mu_str test;
        MU_TRY(mu_doc_item(references, i, &test, e));
        n[i] = json_array_size(json_array_get(predictions, i));
        MU_TRY(count_passed(json_array_get(predictions, i), test, sandbox, &c[i], e));
    }
    rc = put_shares(k, n, c, problems, out, e);
out:
    mu_free(n);
    mu_free(c);
    return rc;
}
