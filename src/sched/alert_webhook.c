/* alert_webhook.c - an alert by POST to a URL (alert.h)
 *
 * A connection of its own for each try: alerts are rare, and what is kept open in between would only go stale. Any
 * status of 200 to 299 is well; what the server says besides is not looked at. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/wire.h"
#include "sched/alert_int.h"

#define ANSWER_BYTES_MAX ((size_t)4 << 10)

/* Where the host begins and ends, user and password left out; NULL: no such URL. */
static const char *host_of(const char *url, size_t *n)
{
    const char *scheme_end = strstr(url, "://"), *host = scheme_end ? scheme_end + 3 : NULL;
    bool is_known = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
    if (!is_known || !host)
        return NULL;
    size_t end = strcspn(host, "/?#");
    for (size_t i = end; i-- > 0;) {
        if (host[i] == '@') {
            host += i + 1;
            end -= i + 1;
            break;
        }
    }
    *n = end;
    return end > 0 ? host : NULL;
}

bool mu_alert_webhook_name(const char *url, char *out, size_t bytes)
{
    size_t n;
    const char *host = host_of(url, &n);
    if (!host)
        return false;
    snprintf(out, bytes, "%s://%.*s", strncmp(url, "https", 5) == 0 ? "https" : "http", (int)MU_MIN(n, bytes), host);
    return true;
}

/* libcurl's sentence, where it quotes nothing but the host. */
static int fail_call(const struct mu_alert_target *t, const struct mu_exchange *x, struct mu_err *e)
{
    size_t n;
    const char *host = host_of(t->where, &n), *rest = host ? host + n : "", *user = strstr(t->where, "://");
    bool has_user = user && host && host > user + 3;
    bool quotes = (strlen(rest) > 1 && strstr(x->err.text, rest + 1)) || has_user;
    return mu_fail(e, x->code, "%s", quotes ? "it could not be asked" : x->err.text);
}

static int judge(const struct mu_alert_target *t, const struct mu_exchange *x, bool *may_again, struct mu_err *e)
{
    *may_again = x->verdict == MU_VERDICT_RETRY;
    if (x->code != MU_OK)
        return fail_call(t, x, e);
    if (x->status >= 200 && x->status < 300)
        return MU_OK;
    if (x->status >= 300 && x->status < 400)
        return mu_fail(e, MU_EPEER, "it leads elsewhere (status %d), which is not followed: give the URL it leads to",
                       x->status);
    return mu_fail(e, MU_EPEER, "it answered with status %d", x->status);
}

static int run_exchange(struct mu_alert_target *t, struct mu_wire *w, struct mu_exchange *x, int64_t begin_ns,
                        bool *may_again, struct mu_err *e)
{
    MU_TRY_RETURN(mu_wire_start(w, x, e));
    for (;;) {
        MU_TRY_RETURN(mu_wire_pump(w, e));
        if (x->is_done)
            return judge(t, x, may_again, e);
        int64_t left = mu_alert_until_ns(t, begin_ns) - mu_now_ns(mu_clock_real());
        if (left <= 0) {
            *may_again = true;
            return mu_fail(e, MU_ETIMEDOUT, "it did not answer in time");
        }
        MU_TRY_RETURN(mu_wire_wait(w, MU_MIN(left, MU_ALERT_LOOK_NS), e));
    }
}

int mu_alert_send_webhook(struct mu_alert_target *t, struct mu_str body, int64_t begin_ns, bool *may_again,
                          struct mu_err *e)
{
    struct mu_exchange x = {
        .url = t->where, .body = body, .drops_rest = true, .answer = MU_BUF_INIT("the answer", ANSWER_BYTES_MAX)};
    struct mu_wire_opts o = {
        .exchanges_max = 1, .connect_ns = mu_alert_until_ns(t, begin_ns) - begin_ns, .clock = mu_clock_real()};
    struct mu_wire *w = NULL;
    struct mu_err why = MU_ERR_INIT;
    *may_again = false;
    if (o.connect_ns <= 0)
        return mu_fail(e, MU_ETIMEDOUT, "there was no time left");
    int rc = mu_wire_open(&w, &o, &why);
    if (rc == MU_OK)
        rc = run_exchange(t, w, &x, begin_ns, may_again, &why);
    if (rc != MU_OK)
        mu_fail(e, rc, "%s", strstr(why.text, t->where) ? "it could not be asked" : why.text);
    mu_wire_stop(&x);
    mu_wire_close(w);
    mu_buf_fini(&x.answer);
    return rc;
}
