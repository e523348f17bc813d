/* sandbox_args.c - the command line of the sandbox: what is seen, what is cut off, what is limited
 *
 * Bubblewrap makes the namespaces: a user, PID, network, IPC and host name space of its own, an empty root that is
 * read-only and holds /usr, the links beside it, the interpreter and a small private /tmp. prlimit, inside, sets the
 * limits: there the count of processes is that of the namespace (Linux 5.14; before, it counts all of the user's
 * processes, which is stricter). The kernel holds root to no such count, so root first becomes nobody by setpriv. */
#include "eval/sandbox_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

#define ARGS_MAX      128
#define TOOL_WAIT_NS  ((int64_t)30000000000)
#define TOOL_SAYS_MAX ((size_t)64 << 10)

struct args {
    struct mu_sandbox *s;
    const char **v;
    int n;
    bool is_full;
};

static void add(struct args *a, const char *word)
{
    a->is_full |= a->n + 1 >= ARGS_MAX;
    if (!a->is_full)
        a->v[a->n++] = word;
}

static void add3(struct args *a, const char *option, const char *x, const char *y)
{
    add(a, option);
    add(a, x);
    if (y)
        add(a, y);
}

/* A text that lives as long as the sandbox. */
static int keep(struct mu_sandbox *s, struct mu_str text, const char **out, struct mu_err *e)
{
    *out = mu_arena_strdup(&s->arena, text, e);
    return *out ? MU_OK : e ? e->code : MU_ENOMEM;
}

/* "--as=123" */
static int add_number(struct args *a, const char *option, uint64_t value, struct mu_err *e)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%s%llu", option, (unsigned long long)value);
    const char *kept;
    MU_TRY_RETURN(keep(a->s, mu_str(text), &kept, e));
    add(a, kept);
    return MU_OK;
}

/* A program of the machine: the usual folders first, then PATH. */
static bool find_program(const char *name, char *path, size_t room)
{
    char folders[4096];
    const char *more = getenv("PATH");
    (void)snprintf(folders, sizeof folders, "/usr/bin:/bin:/usr/sbin:/usr/local/bin:%s", more ? more : "");
    char *rest = NULL;
    for (char *dir = strtok_r(folders, ":", &rest); dir; dir = strtok_r(NULL, ":", &rest)) {
        (void)snprintf(path, room, "%s/%s", dir, name);
        if (dir[0] == '/' && access(path, X_OK) == 0)
            return true;
    }
    return false;
}

static int need_program(struct mu_sandbox *s, const char *name, const char *package, const char **out, struct mu_err *e)
{
    char path[4352];
    if (find_program(name, path, sizeof path))
        return keep(s, mu_str(path), out, e);
    return mu_fail(e, MU_ENOENT,
                   "%s is not installed, and what a model wrote runs only inside the sandbox that it helps to make: "
                   "install the package %s",
                   name, package);
}

/* What a tool of the machine says, outside of any sandbox. */
static int ask(const char *const *argv, struct mu_buf *said, struct mu_err *e)
{
    struct mu_sandbox_command c = {
        .argv = argv, .timeout_ns = TOOL_WAIT_NS, .output_bytes = TOOL_SAYS_MAX, .parallel = 1};
    struct mu_sandbox_outcome outcome;
    struct mu_str nothing = {"", 0};
    MU_TRY_RETURN(mu_sandbox_execute(&c, &nothing, 1, &outcome, said, e));
    return outcome.end == MU_SANDBOX_PASSED ? MU_OK
                                            : mu_fail(e, MU_EPEER, "%s does not run: %s", argv[0], outcome.last_line);
}

/* /lib and its like: links into /usr where the system is merged, folders of their own elsewhere. */
static int add_system(struct args *a, struct mu_err *e)
{
    static const char *const beside[] = {"/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin"};
    add3(a, "--ro-bind", "/usr", "/usr");
    for (size_t i = 0; i < MU_COUNT(beside); i++) {
        char target[256];
        ssize_t n = readlink(beside[i], target, sizeof target - 1);
        if (n > 0) {
            const char *kept;
            MU_TRY_RETURN(keep(a->s, (struct mu_str){target, (size_t)n}, &kept, e));
            add3(a, "--symlink", kept, beside[i]);
        } else if (access(beside[i], X_OK) == 0) {
            add3(a, "--ro-bind", beside[i], beside[i]);
        }
    }
    add3(a, "--ro-bind-try", "/etc/alternatives", "/etc/alternatives");
    add3(a, "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache");
    return MU_OK;
}

static bool is_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* What is bound can be read by what runs: not a folder that holds the user's own. */
static int check_folder(const char *folder, const char *python, struct mu_err *e)
{
    const char *home = getenv("HOME");
    if (!home || home[0] != '/' || is_below(folder, "/usr") || !is_below(home, folder))
        return MU_OK;
    return mu_fail(e, MU_EUNSUPPORTED,
                   "%s is installed in %s, which holds the home folder %s: programs in the sandbox could read all of "
                   "it; name another interpreter",
                   python, folder, home);
}

/* The folders an interpreter outside of /usr lives in; *python becomes the interpreter itself. */
static int add_python(struct args *a, const char **python, struct mu_err *e)
{
    const char *const argv[] = {*python,
                                "-I",
                                "-B",
                                "-c",
                                "import os, sys\n"
                                "print(sys.executable, sys.prefix, sys.base_prefix, sep='\\n')\n"
                                "print(os.path.dirname(os.path.dirname(os.path.realpath(sys.executable))))",
                                NULL};
    struct mu_buf said = MU_BUF_INIT("what an interpreter says", TOOL_SAYS_MAX);
    char *line[4] = {NULL}, *rest = NULL;
    const char *text;
    int rc = MU_OK;
    MU_TRY(ask(argv, &said, e));
    MU_TRY(keep(a->s, mu_buf_str(&said), &text, e));
    for (int i = 0; i < 4; i++)
        line[i] = strtok_r(i ? NULL : (char *)text, "\n", &rest);
    if (!line[3] || strcmp(line[1], "/") == 0 || strcmp(line[2], "/") == 0 || strcmp(line[3], "/") == 0) {
        rc = mu_fail(e, MU_EUNSUPPORTED, "%s does not say in which folder it is installed; name another interpreter",
                     *python);
        goto out;
    }
    for (int i = 1; i < 4; i++)
        MU_TRY(check_folder(line[i], *python, e));
    *python = line[0];
    for (int i = 1; i < 4; i++)
        if (!is_below(line[i], "/usr"))
            add3(a, "--ro-bind", line[i], line[i]);
out:
    mu_buf_fini(&said);
    return rc;
}

static void add_namespaces(struct args *a, const char *help)
{
    static const char *const words[] = {"--unshare-user",
                                        "--unshare-ipc",
                                        "--unshare-pid",
                                        "--unshare-net",
                                        "--unshare-uts",
                                        "--unshare-cgroup-try",
                                        "--die-with-parent",
                                        "--new-session",
                                        "--uid",
                                        "65534",
                                        "--gid",
                                        "65534",
                                        "--cap-drop",
                                        "ALL",
                                        "--hostname",
                                        "sandbox",
                                        "--json-status-fd",
                                        "4"};
    for (size_t i = 0; i < MU_COUNT(words); i++)
        add(a, words[i]);
    if (strstr(help, "--disable-userns")) /* 0.8: no user namespaces inside, a favourite way to kernel bugs */
        add(a, "--disable-userns");
}

/* The program and a place to write. Bubblewrap before 0.7 cannot bound that place: then there is none. */
static int add_files(struct args *a, const char *help, size_t file_bytes, struct mu_err *e)
{
    add3(a, "--dev", "/dev", NULL);
    add3(a, "--remount-ro", "/dev", NULL);
    add3(a, "--ro-bind-data", "3", "/program/main.py");
    if (strstr(help, "--size")) {
        add(a, "--size");
        MU_TRY_RETURN(add_number(a, "", file_bytes, e));
        add3(a, "--tmpfs", "/tmp", NULL);
    } else {
        add3(a, "--dir", "/tmp", NULL);
    }
    add3(a, "--chdir", "/tmp", NULL);
    add3(a, "--remount-ro", "/", NULL);
    return MU_OK;
}

/* prlimit sets them and becomes the interpreter. */
static int add_limits(struct args *a, const char *prlimit, const struct mu_sandbox_opts *o, struct mu_err *e)
{
    add(a, prlimit);
    /* one more for bubblewrap's own first process */
    MU_TRY_RETURN(add_number(a, "--nproc=", (uint64_t)o->processes + 1, e));
    MU_TRY_RETURN(add_number(a, "--as=", o->memory_bytes, e));
    MU_TRY_RETURN(add_number(a, "--cpu=", (uint64_t)(o->timeout_ns / MU_SANDBOX_SECOND_NS + 2), e));
    MU_TRY_RETURN(add_number(a, "--fsize=", o->file_bytes, e));
    add(a, "--nofile=64");
    add(a, "--core=0");
    add(a, "--");
    return MU_OK;
}

static int add_root_drop(struct args *a, struct mu_err *e)
{
    const char *setpriv;
    MU_TRY_RETURN(need_program(a->s, "setpriv", "util-linux", &setpriv, e));
    add3(a, setpriv, "--reuid", "65534");
    add3(a, "--regid", "65534", "--clear-groups");
    add(a, "--");
    return MU_OK;
}

static int find_python(struct mu_sandbox *s, const char *wanted, const char **out, struct mu_err *e)
{
    if (!wanted)
        return need_program(s, "python3", "python3", out, e);
    MU_TRY_RETURN(keep(s, mu_str(wanted), out, e));
    return access(wanted, X_OK) == 0 ? MU_OK : mu_fail(e, MU_ENOENT, "there is no interpreter %s", wanted);
}

static int fill(struct args *a, const struct mu_sandbox_opts *o, const char *help, const char *bwrap, struct mu_err *e)
{
    const char *prlimit, *python;
    MU_TRY_RETURN(need_program(a->s, "prlimit", "util-linux", &prlimit, e));
    MU_TRY_RETURN(find_python(a->s, o->python, &python, e));
    if (geteuid() == 0)
        MU_TRY_RETURN(add_root_drop(a, e));
    add(a, bwrap);
    add_namespaces(a, help);
    MU_TRY_RETURN(add_system(a, e));
    MU_TRY_RETURN(add_python(a, &python, e));
    MU_TRY_RETURN(add_files(a, help, o->file_bytes, e));
    add(a, "--");
    MU_TRY_RETURN(add_limits(a, prlimit, o, e));
    add(a, python);
    add3(a, "-s", "-B", "/program/main.py");
    return a->is_full ? mu_fail(e, MU_EINTERNAL, "the sandbox's command line has more than %d words", ARGS_MAX) : MU_OK;
}

int mu_sandbox_build_argv(struct mu_sandbox *s, const struct mu_sandbox_opts *o, struct mu_err *e)
{
    struct args a = {.s = s, .v = mu_arena_array(&s->arena, ARGS_MAX + 1, sizeof *a.v, e)};
    struct mu_buf help = MU_BUF_INIT("what bwrap --help says", TOOL_SAYS_MAX);
    const char *bwrap;
    int rc = a.v ? MU_OK : e ? e->code : MU_ENOMEM;
    if (rc == MU_OK)
        rc = need_program(s, "bwrap", "bubblewrap", &bwrap, e);
    if (rc == MU_OK)
        rc = ask((const char *const[]){bwrap, "--help", NULL}, &help, e);
    if (rc == MU_OK)
        rc = fill(&a, o, mu_buf_str(&help).p, bwrap, e);
    s->command.argv = a.v;
    mu_buf_fini(&help);
    return rc;
}
