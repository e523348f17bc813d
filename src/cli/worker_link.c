/* worker_link.c - see worker_link.h */
#include "cli/worker_link.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/interrupt.h"
#include "comm/launch.h"

#define LOOK_NS    100000000ll /* an interrupt is noticed so soon */
#define READ_BYTES 4096
#define BEATS      30 /* the rate is of that many */

/* At a beat. */
struct sample {
    int64_t ns, done;
};

struct mu_worker_link {
    int in, out, wake; /* wake: an eventfd, written to end the thread */
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t has_news;
    bool is_over; /* the input has ended */
    bool has_next;
    struct mu_worker_line next;
    int64_t task; /* that runs; -1: none */
    int64_t done, total;
    int64_t begun_done;          /* when computing began; -1: not yet, or more was said since */
    struct sample sample[BEATS]; /* the newest last */
    int n_samples;

    pthread_mutex_t writing; /* one line at a time */
    struct mu_buf text;

    /* The thread's own. */
    struct mu_buf read;
    bool is_skipping; /* the rest of a line that was too long */
    int64_t beat_ns, over_ns;
};

static int64_t now_ns(void)
{
    return mu_now_ns(mu_clock_real());
}

/* ---- out ---- */

/* A reader that is gone shows as the end of the input too. */
static void write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return;
        p += k;
        n -= (size_t)k;
    }
}

/* Under `writing`. Without memory for it a line is not said. */
static void say(struct mu_worker_link *l, const struct mu_worker_line *line)
{
    if (mu_worker_line_print(&l->text, line, NULL) == MU_OK && mu_buf_putc(&l->text, '\n', NULL) == MU_OK)
        write_all(l->out, l->text.p, l->text.n);
}

static double rate(const struct mu_worker_link *l)
{
    const struct sample *from = &l->sample[0], *to = &l->sample[MU_MAX(l->n_samples - 1, 0)];
    return to->ns > from->ns ? (double)(to->done - from->done) * 1e9 / (double)(to->ns - from->ns) : 0;
}

static void take_sample(struct mu_worker_link *l, int64_t ns)
{
    if (l->n_samples == BEATS)
        memmove(l->sample, l->sample + 1, (BEATS - 1) * sizeof l->sample[0]);
    else
        l->n_samples++;
    l->sample[l->n_samples - 1] = (struct sample){ns, l->done};
}

static void beat(struct mu_worker_link *l, int64_t ns)
{
    struct mu_worker_line line = {.kind = MU_LINE_ALIVE};
    pthread_mutex_lock(&l->writing); /* first: nothing is said of a task after its end */
    pthread_mutex_lock(&l->lock);
    take_sample(l, ns);
    line.task = l->task;
    line.done = (double)l->done;
    line.total = (double)l->total;
    line.per_s = rate(l);
    pthread_mutex_unlock(&l->lock);
    say(l, &line);
    pthread_mutex_unlock(&l->writing);
}

/* ---- in ---- */

static void say_ended(struct mu_worker_link *l, int64_t task, int status, double load_s, const char *why)
{
    struct mu_worker_line line = {.kind = MU_LINE_ENDED, .task = task, .status = status, .load_s = load_s};
    snprintf(line.why, sizeof line.why, "%s", why);
    say(l, &line);
}

static void refuse(struct mu_worker_link *l, const struct mu_worker_line *line)
{
    pthread_mutex_lock(&l->writing);
    say_ended(l, line->task, mu_code_exit_status(MU_EUSAGE), 0, "this worker has a task already: one at a time");
    pthread_mutex_unlock(&l->writing);
}

static void take_line(struct mu_worker_link *l, const char *text)
{
    struct mu_worker_line line;
    if (mu_worker_line_parse(&line, text, NULL) != MU_OK || line.kind != MU_LINE_TASK) {
        fprintf(stderr, "muster work: a line that is no task is left alone: %.200s\n", text);
        mu_worker_line_fini(&line);
        return;
    }
    pthread_mutex_lock(&l->lock);
    bool is_taken = !l->has_next && l->task < 0;
    if (is_taken) {
        l->next = line;
        l->has_next = true;
        pthread_cond_signal(&l->has_news);
    }
    pthread_mutex_unlock(&l->lock);
    if (is_taken)
        return;
    refuse(l, &line);
    mu_worker_line_fini(&line);
}

static void take_lines(struct mu_worker_link *l)
{
    size_t from = 0;
    for (char *end; (end = memchr(l->read.p + from, '\n', l->read.n - from)) != NULL;) {
        *end = '\0';
        if (!l->is_skipping && l->read.p[from])
            take_line(l, l->read.p + from);
        l->is_skipping = false;
        from = (size_t)(end - l->read.p) + 1;
    }
    memmove(l->read.p, l->read.p + from, l->read.n - from);
    l->read.n -= from;
    if (l->is_skipping)
        l->read.n = 0;
}

static void end_input(struct mu_worker_link *l)
{
    mu_interrupt_ask("the end of its input");
    pthread_mutex_lock(&l->lock);
    l->is_over = true;
    pthread_cond_signal(&l->has_news);
    pthread_mutex_unlock(&l->lock);
    l->over_ns = now_ns();
}

static void read_some(struct mu_worker_link *l)
{
    char p[READ_BYTES];
    ssize_t n = read(l->in, p, sizeof p);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        end_input(l);
        return;
    }
    if (mu_buf_add(&l->read, p, (size_t)n, NULL) != MU_OK) { /* too long a line, or no memory for it */
        mu_buf_clear(&l->read);
        l->is_skipping = true;
        return;
    }
    take_lines(l);
}

/* ---- the thread ---- */

/* Its last act: work that does not look up, such as scoring, is left where it is. */
static void end_when_late(const struct mu_worker_link *l, int64_t ns)
{
    int status = mu_code_exit_status(MU_ECANCELED);
    if (!l->over_ns || ns - l->over_ns < MU_WORKER_GRACE_NS)
        return;
    fprintf(stderr, "muster work: the input ended %d s ago and the work has not: stopped where it is\n",
            (int)(MU_WORKER_GRACE_NS / 1000000000));
    mu_launch_end(status);
    _exit(status);
}

static void *run(void *arg)
{
    struct mu_worker_link *l = arg;
    for (;;) {
        int64_t ns = now_ns();
        if (ns >= l->beat_ns) {
            beat(l, ns);
            l->beat_ns = ns + MU_WORKER_BEAT_NS;
        }
        end_when_late(l, ns);
        struct pollfd fd[2] = {{.fd = l->wake, .events = POLLIN}, {.fd = l->over_ns ? -1 : l->in, .events = POLLIN}};
        if (poll(fd, 2, (int)MU_MAX((l->beat_ns - ns + 999999) / 1000000, 0)) <= 0)
            continue;
        if (fd[0].revents)
            return NULL;
        if (fd[1].revents)
            read_some(l);
    }
}

/* ---- opening ---- */

/* Copies that no child inherits; in their place stand nothing to read, and standard error. */
static int take_files(struct mu_worker_link *l, struct mu_err *e)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    l->in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    l->out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    l->wake = eventfd(0, EFD_CLOEXEC);
    bool is_done = nothing >= 0 && l->in >= 0 && l->out >= 0 && l->wake >= 0 && dup2(nothing, STDIN_FILENO) >= 0 &&
                   dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
    int error = errno;
    if (nothing >= 0)
        close(nothing);
    return is_done ? MU_OK : mu_fail(e, MU_EIO, "a worker talks by its standard input and output: %s", strerror(error));
}

int mu_worker_link_open(struct mu_worker_link **out, struct mu_err *e)
{
    struct mu_worker_link *l = NULL;
    int rc = MU_OK;
    MU_TRY_RETURN(MU_NEW(&l, "a worker's link", e));
    l->in = l->out = l->wake = -1;
    l->task = -1;
    l->text = (struct mu_buf)MU_BUF_INIT("a line", MU_WORKER_TASK_BYTES);
    l->read = (struct mu_buf)MU_BUF_INIT("a line", MU_WORKER_TASK_BYTES);
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->writing, NULL);
    mu_cond_init(&l->has_news);
    MU_TRY(take_files(l, e));
    l->has_thread = pthread_create(&l->thread, NULL, run, l) == 0;
    if (!l->has_thread)
        rc = mu_fail(e, MU_ENOMEM, "no thread for a worker's signs of life");
out:
    if (rc == MU_OK)
        *out = l;
    else
        mu_worker_link_close(l);
    return rc;
}

void mu_worker_link_close(struct mu_worker_link *l)
{
    const uint64_t one = 1;
    if (!l)
        return;
    if (l->has_thread) {
        (void)!write(l->wake, &one, sizeof one);
        pthread_join(l->thread, NULL);
    }
    const int fds[] = {l->in, l->out, l->wake};
    for (size_t i = 0; i < MU_COUNT(fds); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    if (l->has_next)
        mu_worker_line_fini(&l->next);
    mu_buf_fini(&l->text);
    mu_buf_fini(&l->read);
    pthread_cond_destroy(&l->has_news);
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->writing);
    mu_free(l);
}

/* ---- tasks ---- */

static void wait_a_little(struct mu_worker_link *l)
{
    int64_t until = now_ns() + LOOK_NS;
    struct timespec t = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
    pthread_cond_timedwait(&l->has_news, &l->lock, &t);
}

bool mu_worker_link_next(struct mu_worker_link *l, struct mu_worker_line *task)
{
    pthread_mutex_lock(&l->lock);
    while (!l->has_next && !l->is_over && !mu_interrupted())
        wait_a_little(l);
    bool is_there = l->has_next && !l->is_over && !mu_interrupted();
    if (is_there) {
        *task = l->next;
        l->has_next = false;
        l->task = task->task;
        l->done = l->total = l->n_samples = 0;
        l->begun_done = -1;
    }
    pthread_mutex_unlock(&l->lock);
    return is_there;
}

void mu_worker_link_progress(struct mu_worker_link *l, int64_t done, int64_t total)
{
    pthread_mutex_lock(&l->lock);
    bool is_first = l->begun_done >= 0 && done > l->begun_done;
    l->done = done;
    l->total = total;
    if (is_first)
        l->begun_done = -1;
    pthread_mutex_unlock(&l->lock);
    if (is_first)
        beat(l, now_ns());
}

void mu_worker_link_begun(struct mu_worker_link *l, int64_t done, int64_t documents)
{
    struct mu_worker_line line = {.kind = MU_LINE_BEGUN, .done = (double)done, .documents = (double)documents};
    pthread_mutex_lock(&l->writing);
    pthread_mutex_lock(&l->lock);
    line.task = l->task;
    l->begun_done = done;
    pthread_mutex_unlock(&l->lock);
    say(l, &line);
    pthread_mutex_unlock(&l->writing);
}

void mu_worker_link_ended(struct mu_worker_link *l, int status, double load_s, const char *why)
{
    pthread_mutex_lock(&l->writing);
    pthread_mutex_lock(&l->lock);
    int64_t task = l->task;
    l->task = -1;
    l->done = l->total = l->n_samples = 0;
    pthread_mutex_unlock(&l->lock);
    say_ended(l, task, status, load_s, why);
    pthread_mutex_unlock(&l->writing);
}
