/* failure.c - classes of failure, and how one is told by its evidence */
#include "sched/failure.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "sched/slurm/jobs.h"

static const struct {
    const char *word, *meaning;
} classes[MU_FAILURES] = {
#define CLASS_ROW(name, word, meaning) [MU_FAILURE_##name] = {word, meaning},
    MU_FAILURE_MAP(CLASS_ROW)
#undef CLASS_ROW
};

const char *mu_failure_name(int f)
{
    return f >= 0 && f < MU_FAILURES ? classes[f].word : "?";
}

const char *mu_failure_meaning(int f)
{
    return f >= 0 && f < MU_FAILURES ? classes[f].meaning : "?";
}

int mu_failure_find(const char *name)
{
    for (int i = 0; i < MU_FAILURES; i++)
        if (strcmp(classes[i].word, name) == 0)
            return i;
    return -1;
}

/* ---- single pieces of evidence; NONE: it tells nothing ---- */

static enum mu_failure of_job(const struct mu_evidence *ev)
{
    switch (mu_slurm_state_of(mu_str(ev->job ? ev->job : ""))) {
    case MU_SLURM_OUT_OF_MEMORY:
        return MU_FAILURE_MEMORY;
    case MU_SLURM_NODE_FAIL:
    case MU_SLURM_BOOT_FAIL:
        return MU_FAILURE_NODE;
    case MU_SLURM_TIMEOUT:
    case MU_SLURM_DEADLINE:
        return MU_FAILURE_WALLTIME;
    case MU_SLURM_PREEMPTED:
        return MU_FAILURE_PREEMPTION;
    case MU_SLURM_CANCELLED:
    case MU_SLURM_REVOKED:
        return MU_FAILURE_CANCELLED;
    default:
        return MU_FAILURE_NONE;
    }
}

/* What drivers and libraries say where a device ran out of memory: that is no fault of the device. */
static bool says_memory(const char *text)
{
    static const char *const words[] = {"out of memory", "OUT_OF_MEMORY", "CUDA_ERROR_OUT_OF_MEMORY"};
    for (size_t i = 0; i < MU_COUNT(words); i++)
        if (strstr(text, words[i]))
            return true;
    return false;
}

/* What NVIDIA's driver and runtime say of a device that failed (Xid errors, ECC, lost from the bus). */
bool mu_failure_names_device(const char *sentence)
{
    static const char *const words[] = {"Xid ",
                                        "uncorrectable ECC",
                                        "fallen off the bus",
                                        "CUDA_ERROR_ECC_UNCORRECTABLE",
                                        "CUDA_ERROR_HARDWARE_STACK_ERROR",
                                        "unspecified launch failure"};
    for (size_t i = 0; i < MU_COUNT(words); i++)
        if (strstr(sentence, words[i]))
            return true;
    return false;
}

/* Words of comm/live.c, which watches over the ranks. A process that ended while its connection stood is no news about
 * the network: its own end tells why. */
static enum mu_failure of_sentence(const struct mu_evidence *ev)
{
    const char *text = ev->sentence ? ev->sentence : "";
    if (strstr(text, "has been silent for") || strstr(text, "cannot be reached from"))
        return ev->is_peer_reachable ? MU_FAILURE_LINK : MU_FAILURE_PARTITION;
    if (says_memory(text))
        return MU_FAILURE_MEMORY;
    return MU_FAILURE_NONE;
}

/* 128 + n is how shells, srun and mpirun hand on signal n. */
static int signal_of(const struct mu_evidence *ev)
{
    if (ev->signal)
        return ev->signal;
    return ev->has_exit && ev->exit_status > 128 && ev->exit_status < 128 + NSIG ? ev->exit_status - 128 : 0;
}

static enum mu_failure of_signal(const struct mu_evidence *ev)
{
    switch (signal_of(ev)) {
    case 0:
        return MU_FAILURE_NONE;
    case SIGBUS: /* also a mapped file that was cut, and a page that could not be had */
    case SIGSEGV:
    case SIGILL:
    case SIGFPE:
    case SIGABRT:
    case SIGTRAP:
    case SIGSYS:
        return MU_FAILURE_APPLICATION;
    case SIGXFSZ:
        return MU_FAILURE_STORAGE;
    case SIGXCPU:
        return MU_FAILURE_WALLTIME;
    case SIGTERM:
    case SIGINT:
    case SIGHUP:
    case SIGUSR1:
    case SIGUSR2:
        return ev->is_warned ? MU_FAILURE_WALLTIME : ev->job ? MU_FAILURE_PREEMPTION : MU_FAILURE_KILLED;
    default:
        return MU_FAILURE_KILLED;
    }
}

/* "rank 3 on node7 (process 4711) ended", "... gave up: ..." (comm/live.c) */
static enum mu_failure of_peer(const struct mu_evidence *ev)
{
    const char *text = ev->sentence ? ev->sentence : "";
    return strstr(text, ") ended")     ? MU_FAILURE_KILLED
           : strstr(text, ") gave up") ? MU_FAILURE_APPLICATION
                                       : MU_FAILURE_LINK;
}

/* muster's own statuses, include/muster/err.h. */
static enum mu_failure of_status(const struct mu_evidence *ev)
{
    if (!ev->has_exit || ev->exit_status == 0)
        return MU_FAILURE_NONE;
    for (int code = 1; code < MU_CODE_N; code++) {
        if (mu_code_exit_status(code) != ev->exit_status)
            continue;
        switch (code) {
        case MU_ENOMEM:
            return MU_FAILURE_MEMORY;
        case MU_ENOSPC:
        case MU_EIO:
        case MU_ECHANGED:
            return MU_FAILURE_STORAGE;
        case MU_ECANCELED:
            return ev->is_warned ? MU_FAILURE_WALLTIME : MU_FAILURE_CANCELLED;
        case MU_EPEER:
            return of_peer(ev);
        case MU_ETIMEDOUT:
            return MU_FAILURE_LINK;
        default:
            return MU_FAILURE_APPLICATION;
        }
    }
    return MU_FAILURE_APPLICATION;
}

/* ---- together ---- */

static enum mu_failure told(enum mu_failure f, char why[MU_WHY_MAX], const char *by, const char *words)
{
    if (why)
        snprintf(why, MU_WHY_MAX, "%s%s%.200s", by, words && *words ? ": " : "", words ? words : "");
    return f;
}

static enum mu_failure by_end(const struct mu_evidence *ev, char why[MU_WHY_MAX])
{
    char how[64];
    int signal = signal_of(ev);
    if (signal)
        snprintf(how, sizeof how, "signal %d ended it", signal);
    else
        snprintf(how, sizeof how, "it ended with status %d", ev->exit_status);
    enum mu_failure f = signal ? of_signal(ev) : of_status(ev);
    return f ? told(f, why, how, ev->sentence) : told(MU_FAILURE_NONE, why, "nothing tells of a failure", NULL);
}

/* The surest first: what somebody did on purpose, what Slurm and the kernel know, what the hardware says, then what may
 * be a consequence of something else. */
enum mu_failure mu_failure_classify(const struct mu_evidence *ev, char why[MU_WHY_MAX])
{
    enum mu_failure job = of_job(ev), sentence = of_sentence(ev);
    if (ev->is_asked)
        return told(MU_FAILURE_CANCELLED, why, "it was stopped on request", NULL);
    if (ev->is_oom_killed)
        return told(MU_FAILURE_MEMORY, why, "the kernel killed it for its memory", NULL);
    if (job != MU_FAILURE_NONE)
        return told(job, why, "Slurm's state of its job", ev->job);
    if (ev->is_node_down)
        return told(MU_FAILURE_NODE, why, "its node is down", ev->sentence);
    if (ev->device && says_memory(ev->device))
        return told(MU_FAILURE_MEMORY, why, "its device", ev->device);
    if (ev->device)
        return told(MU_FAILURE_DEVICE, why, "its device", ev->device);
    if (sentence != MU_FAILURE_NONE)
        return told(sentence, why, "the watch over ranks", ev->sentence);
    return by_end(ev, why);
}
