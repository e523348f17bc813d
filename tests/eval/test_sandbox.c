/* The sandbox: what may pass passes, what must not get out does not, and nothing outlives its program. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/sandbox.h"
#include "xt.h"

#define SECOND_NS ((int64_t)1000000000)

/* Limits that a test can reach. Where no sandbox can be made (containers without user namespaces) the test skips. */
static struct mu_sandbox *open_small(int seconds)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_sandbox *s = NULL;
    struct mu_sandbox_opts o = {.timeout_ns = seconds * SECOND_NS,
                                .memory_bytes = (size_t)256 << 20,
                                .processes = 16,
                                .output_bytes = 100000,
                                .file_bytes = (size_t)1 << 20};
    int rc = mu_sandbox_open(&s, &o, &err);
    if (rc == MU_ENOENT || rc == MU_EUNSUPPORTED)
        xt_skip("%s", err.text);
    XT_CHECKF(rc == MU_OK, "%s", err.text);
    return s;
}

static struct mu_sandbox_outcome run(const char *program, int seconds, struct mu_buf *output)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_sandbox *s = open_small(seconds);
    struct mu_sandbox_outcome o;
    int rc = mu_sandbox_run(s, mu_str(program), &o, output, &err);
    mu_sandbox_close(s);
    XT_CHECKF(rc == MU_OK, "%s", err.text);
    return o;
}

static void expect(const char *program, int seconds, enum mu_sandbox_end end, const char *last_line)
{
    struct mu_sandbox_outcome o = run(program, seconds, NULL);
    XT_CHECKF(o.end == end, "ended %d (status %d), not %d: %s", o.end, o.status, end, o.last_line);
    if (last_line)
        XT_STREQ(o.last_line, last_line);
}

XT_TEST(a_program_that_ends_passes)
{
    expect("print('one')\nprint('two')\n", 10, MU_SANDBOX_PASSED, "two");
    expect("", 10, MU_SANDBOX_PASSED, "");
    expect("import math, json, re, collections, itertools, typing, hashlib, random, datetime\n"
           "open('notes.txt', 'w').write('kept nowhere')\nprint(open('notes.txt').read())",
           10, MU_SANDBOX_PASSED, "kept nowhere");
    expect("import threading, subprocess\nt = threading.Thread(target=print)\nt.start(); t.join()\n"
           "print(subprocess.run(['/bin/echo', 'child'], capture_output=True).stdout.decode())",
           10, MU_SANDBOX_PASSED, "child");
}

XT_TEST(one_that_fails_says_why)
{
    expect("assert 1 == 2, 'one is not two'", 10, MU_SANDBOX_FAILED, "AssertionError: one is not two");
    expect("def broken(:", 10, MU_SANDBOX_FAILED, "SyntaxError: invalid syntax");
    struct mu_sandbox_outcome o = run("import sys; sys.exit(7)", 10, NULL);
    XT_EQ(o.end, MU_SANDBOX_FAILED);
    XT_EQ(o.status, 7);
    o = run("import os; os.abort()", 10, NULL);
    XT_EQ(o.end, MU_SANDBOX_KILLED);
    XT_EQ(o.status, 6);
    expect("import sys; sys.stdout.buffer.write(b'odd \\xff\\x01 bytes\\n\\n')", 10, MU_SANDBOX_PASSED, "odd ?? bytes");
}

XT_TEST(an_endless_one_is_ended)
{
    int64_t began = mu_now_ns(mu_clock_real());
    expect("print('begun', flush=True)\nwhile True: pass", 2, MU_SANDBOX_TIMED_OUT, "begun");
    expect("import signal, time\n"
           "for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)\n"
           "while True: time.sleep(1)",
           2, MU_SANDBOX_TIMED_OUT, NULL);
    XT_CHECK(mu_now_ns(mu_clock_real()) - began < 60 * SECOND_NS);
}

XT_TEST(a_fork_bomb_stays_small)
{
    expect("import os\nn = 0\n"
           "try:\n"
           "    while n < 1000:\n"
           "        if os.fork() == 0:\n"
           "            import time; time.sleep(60)\n"
           "        n += 1\n"
           "except OSError:\n"
           "    pass\n"
           "assert n <= 16, f'{n} children'\n"
           "print('held')\n",
           10, MU_SANDBOX_PASSED, "held");
    /* The real thing: every child forks on. Its limit is the clock. */
    expect("import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n", 2,
           MU_SANDBOX_TIMED_OUT, NULL);
}

XT_TEST(memory_is_bounded)
{
    expect("x = bytearray(1 << 30)", 10, MU_SANDBOX_FAILED, "MemoryError");
    expect("x = []\nwhile True: x.append(bytearray(1 << 20))", 20, MU_SANDBOX_FAILED, "MemoryError");
}

XT_TEST(files_are_private_and_bounded)
{
    char program[512], path[64];
    (void)snprintf(path, sizeof path, "/tmp/muster-escape-%ld", (long)getpid());
    (void)snprintf(program, sizeof program, "open('%s', 'w').write('here')\nprint(open('%s').read())", path, path);
    expect(program, 10, MU_SANDBOX_PASSED, "here");
    XT_CHECK(!mu_path_exists(path));

    expect("open('big', 'wb').write(b'x' * (4 << 20))", 10, MU_SANDBOX_FAILED, NULL);
    expect("for i in range(64): open(f'part{i}', 'wb').write(b'x' * 65536)", 10, MU_SANDBOX_FAILED,
           "OSError: [Errno 28] No space left on device");
    expect("keep = [open(f'f{i}', 'w') for i in range(1000)]", 10, MU_SANDBOX_FAILED, NULL);
    expect("import os\n"
           "for place in ('/', '/usr', '/usr/lib', '/dev', '/dev/shm', '/program', '/etc', '/bin'):\n"
           "    try:\n"
           "        open(place + '/muster-probe', 'w')\n"
           "    except OSError:\n"
           "        continue\n"
           "    raise SystemExit(place)\n"
           "print('read-only')",
           10, MU_SANDBOX_PASSED, "read-only");
    XT_CHECK(!mu_path_exists("/usr/muster-probe"));
}

XT_TEST(the_machine_is_out_of_sight)
{
    char program[1024];
    const char *dir = xt_tmpdir();
    (void)snprintf(
        program, sizeof program,
        "import os\n"
        "hidden = ['/root', '/home', '/etc/shadow', '/etc/passwd', '/proc/self', '/sys', '/var', '%s', '%s']\n"
        "print([p for p in hidden if os.path.exists(p)], os.getcwd(), os.listdir('.'), os.getuid())\n",
        dir, getenv("HOME") ? getenv("HOME") : "/root");
    expect(program, 10, MU_SANDBOX_PASSED, "[] /tmp [] 65534");
    expect("import os; print(sorted(k for k in os.environ if k not in ('PATH', 'HOME', 'TMPDIR', 'LANG', 'LC_CTYPE', "
           "'PWD', "
           "'PYTHONHASHSEED', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS')))",
           10, MU_SANDBOX_PASSED, "[]");
    /* No descriptor of ours but the three standard ones. */
    expect("import os\n"
           "def is_open(fd):\n"
           "    try:\n"
           "        os.fstat(fd)\n"
           "        return True\n"
           "    except OSError:\n"
           "        return False\n"
           "print([fd for fd in range(64) if is_open(fd)])",
           10, MU_SANDBOX_PASSED, "[0, 1, 2]");
}

XT_TEST(there_is_no_network)
{
    expect("import socket\n"
           "for family, address in ((socket.AF_INET, ('192.0.2.1', 80)), (socket.AF_INET, ('127.0.0.1', 22))):\n"
           "    try:\n"
           "        socket.socket(family).connect(address)\n"
           "    except OSError as x:\n"
           "        print(x.__class__.__name__, end=' ')\n"
           "try:\n"
           "    socket.getaddrinfo('example.com', 80)\n"
           "except OSError as x:\n"
           "    print(x.__class__.__name__)\n",
           10, MU_SANDBOX_PASSED, "OSError ConnectionRefusedError gaierror");
}

XT_TEST(privileges_do_not_come_back)
{
    expect(
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.unshare(0x10000000), libc.mount(b'none', b'/tmp', b'tmpfs', 0, None), libc.setuid(0), os.getuid())",
        10, MU_SANDBOX_PASSED, "-1 -1 -1 65534");
}

XT_TEST(output_is_bounded)
{
    struct mu_buf output = MU_BUF_INIT("output", 1 << 20);
    struct mu_sandbox_outcome o = run("while True: print('x' * 1000)", 20, &output);
    size_t n = output.n;
    mu_buf_fini(&output);
    XT_EQ(o.end, MU_SANDBOX_OUTPUT);
    XT_EQ(n, 100000);
}

XT_TEST(nothing_outlives_its_program)
{
    /* A daemon twice forked into a session of its own, holding our pipe: it must be gone when the run returns. */
    int64_t began = mu_now_ns(mu_clock_real());
    expect("import os, time\n"
           "if os.fork() == 0:\n"
           "    os.setsid()\n"
           "    if os.fork() == 0:\n"
           "        time.sleep(60)\n"
           "    os._exit(0)\n"
           "os.wait()\n"
           "print('parent done')",
           30, MU_SANDBOX_PASSED, "parent done");
    XT_CHECK(mu_now_ns(mu_clock_real()) - began < 25 * SECOND_NS);
    /* One that closes what it could be heard by is still waited for, and ended. */
    expect("import os, time\nos.close(1); os.close(2)\ntime.sleep(60)", 2, MU_SANDBOX_TIMED_OUT, NULL);
}

XT_TEST(many_at_a_time_keep_their_order)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_sandbox *s = open_small(20);
    char text[40][64];
    struct mu_str program[40];
    struct mu_sandbox_outcome outcome[40];
    for (int i = 0; i < 40; i++) {
        (void)snprintf(text[i], sizeof text[i], "print('program %d')\nassert %d %% 3", i, i);
        program[i] = mu_str(text[i]);
    }
    int rc = mu_sandbox_run_all(s, program, 40, outcome, &err);
    mu_sandbox_close(s);
    XT_CHECKF(rc == MU_OK, "%s", err.text);
    for (int i = 0; i < 40; i++) {
        char want[64];
        (void)snprintf(want, sizeof want, "program %d", i);
        XT_EQ(outcome[i].end, i % 3 ? MU_SANDBOX_PASSED : MU_SANDBOX_FAILED);
        XT_STREQ(outcome[i].last_line, i % 3 ? want : "AssertionError");
    }
}

XT_TEST(impossible_options_are_refused)
{
    struct mu_err err = MU_ERR_INIT;
    struct mu_sandbox *s = NULL;
    XT_FAILS(mu_sandbox_open(&s, &(struct mu_sandbox_opts){.timeout_ns = -1}, &err), MU_EINVAL, "time limit");
    XT_FAILS(mu_sandbox_open(&s, &(struct mu_sandbox_opts){.processes = -1}, &err), MU_EINVAL, "processes");
    mu_sandbox_close(open_small(10)); /* skips where bubblewrap is missing */
    XT_FAILS(mu_sandbox_open(&s, &(struct mu_sandbox_opts){.python = "/nowhere/python3"}, &err), MU_ENOENT,
             "/nowhere/python3");
    XT_FAILS(mu_sandbox_open(&s, &(struct mu_sandbox_opts){.python = "/bin/true"}, &err), MU_EUNSUPPORTED,
             "name another interpreter");
}

static int open_and_run(void *arg, struct mu_err *e)
{
    struct mu_sandbox *s = NULL;
    struct mu_sandbox_outcome o;
    (void)arg;
    int rc = mu_sandbox_open(&s, NULL, e);
    if (rc == MU_OK)
        rc = mu_sandbox_run(s, MU_STR("print(1)"), &o, NULL, e);
    mu_sandbox_close(s);
    return rc;
}

XT_TEST(failing_allocations_leave_no_process)
{
    mu_sandbox_close(open_small(10));
    xt_each_alloc_fails(open_and_run, NULL);
    XT_EQ(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

/* The next line of a file of objects, one a line. */
static int next_line(struct mu_str text, size_t *at, struct mu_str *line)
{
    const char *end = *at < text.n ? memchr(text.p + *at, '\n', text.n - *at) : NULL;
    size_t n = *at >= text.n ? 0 : (end ? (size_t)(end - text.p) : text.n) - *at;
    *line = (struct mu_str){text.p + *at, n};
    *at += n + 1;
    return n > 0;
}

XT_TEST(humaneval_reference_solutions_pass)
{
    const char *path = xt_data("eval/humaneval/HumanEval.jsonl");
    struct mu_err err = MU_ERR_INIT;
    struct mu_sandbox *s = NULL;
    struct mu_buf file = MU_BUF_INIT("HumanEval", 64 << 20), program[200];
    struct mu_sandbox_outcome outcome[200];
    struct mu_str text[200], line;
    size_t at = 0;
    int n = 0, passed = 0, rc = mu_sandbox_open(&s, &(struct mu_sandbox_opts){.timeout_ns = 60 * SECOND_NS}, &err);
    if (rc == MU_ENOENT || rc == MU_EUNSUPPORTED)
        xt_skip("%s", err.text);
    XT_OK(rc);
    XT_OK(mu_file_read_all(&file, path, &err));
    while (n < 200 && next_line(mu_buf_str(&file), &at, &line)) {
        json_t *doc;
        const char *prompt, *solution, *test, *entry;
        XT_OK(mu_json_parse(&doc, line, path, &err));
        XT_OK(mu_json_string(doc, "prompt", &prompt, path, &err));
        XT_OK(mu_json_string(doc, "canonical_solution", &solution, path, &err));
        XT_OK(mu_json_string(doc, "test", &test, path, &err));
        XT_OK(mu_json_string(doc, "entry_point", &entry, path, &err));
        program[n] = (struct mu_buf)MU_BUF_INIT("a program", 1 << 20);
        XT_OK(mu_buf_printf(&program[n], &err, "%s%s\n%s\ncheck(%s)\n", prompt, solution, test, entry));
        text[n] = mu_buf_str(&program[n]);
        n++;
        json_decref(doc);
    }
    int64_t began = mu_now_ns(mu_clock_real());
    rc = mu_sandbox_run_all(s, text, n, outcome, &err);
    double seconds = (double)(mu_now_ns(mu_clock_real()) - began) / 1e9;
    mu_sandbox_close(s);
    mu_buf_fini(&file);
    for (int i = 0; i < n; i++) {
        mu_buf_fini(&program[i]);
        passed += outcome[i].end == MU_SANDBOX_PASSED;
        if (outcome[i].end != MU_SANDBOX_PASSED)
            xt_note("problem %d: end %d, status %d: %s", i, outcome[i].end, outcome[i].status, outcome[i].last_line);
    }
    XT_CHECKF(rc == MU_OK, "%s", err.text);
    xt_note("%d reference solutions in %.1f s", n, seconds);
    XT_EQ(n, 164);
    XT_EQ(passed, 164);
}

XT_MAIN()
