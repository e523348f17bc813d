/* watch.c - see watch.h */
#include "engine/service/watch.h"

#include <stdio.h>
#include <unistd.h>

#include "base/process.h"

void mu_service_know_self(struct mu_service_record *r)
{
    if (gethostname(r->host, sizeof r->host - 1) != 0 || !r->host[0])
        snprintf(r->host, sizeof r->host, "localhost");
    r->pid = getpid();
    r->start = mu_process_start(r->pid);
    if (r->start < 0)
        r->start = 0;
    mu_proc_line("/proc/sys/kernel/random/boot_id", r->boot, sizeof r->boot);
    ssize_t n = readlink("/proc/self/ns/pid", r->space, sizeof r->space - 1);
    r->space[n > 0 ? n : 0] = '\0';
}

void mu_service_watch_see(struct mu_service_watch *w, const struct mu_service_record *r, int64_t now_ns)
{
    if (strcmp(w->id, r->id) != 0) {
        *w = (struct mu_service_watch){.beats = r->beats, .met_ns = now_ns, .moved_ns = now_ns};
        memcpy(w->id, r->id, sizeof w->id);
    } else if (w->beats != r->beats) {
        w->beats = r->beats;
        w->moved_ns = now_ns;
        w->has_moved = true;
    }
}

/* Only where both see the same processes, and the system says so. */
static enum mu_service_state look_at_process(const struct mu_service_record *r)
{
    struct mu_service_record self = {.port = 0};
    mu_service_know_self(&self);
    if (!self.boot[0] || !self.space[0] || strcmp(self.boot, r->boot) != 0 || strcmp(self.space, r->space) != 0)
        return MU_SERVICE_UNKNOWN;
    int64_t start = mu_process_start(r->pid);
    if (start == -1 || (start > 0 && r->start > 0 && start != r->start))
        return MU_SERVICE_GONE;
    return start > 0 && start == r->start ? MU_SERVICE_LIVE : MU_SERVICE_UNKNOWN;
}

enum mu_service_state mu_service_state(const struct mu_service_watch *w, const struct mu_service_record *r,
                                       int64_t now_ns, int64_t silent_ns)
{
    enum mu_service_state process = look_at_process(r);
    if (process == MU_SERVICE_GONE)
        return MU_SERVICE_GONE;
    if (now_ns - w->moved_ns >= silent_ns) /* stopped, or cut off from its storage */
        return MU_SERVICE_SILENT;
    return w->has_moved ? MU_SERVICE_LIVE : process;
}
