/* control_request.c - a request and an answer as a line (control.h) */
#include <string.h>

#include "base/check.h"
#include "sched/campaign_int.h"
#include "sched/control.h"

#define WHERE "a request"

static const char *const words[MU_CONTROL_ACTIONS] = {
#define WORD(name, word) word,
    MU_CONTROL_MAP(WORD)
#undef WORD
};

const char *mu_control_word(int action)
{
    return action >= 0 && action < MU_CONTROL_ACTIONS ? words[action] : "?";
}

int mu_control_find(const char *word)
{
    for (int i = 0; i < MU_CONTROL_ACTIONS; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return -1;
}

/* ---- checking ---- */

static int check_patterns(const struct mu_control_request *r, struct mu_err *e)
{
    struct mu_campaign_parts parts;
    for (int i = 0; i < r->n_patterns; i++)
        if (!mu_campaign_parts(r->pattern[i], &parts))
            return mu_fail(e, MU_EINVAL,
                           "\"%.100s\" is no pattern of tasks: MODEL/SUITE is needed, such as \"llama-7b/*\", or \"*\" "
                           "for all",
                           r->pattern[i]);
    return MU_OK;
}

int mu_control_request_check(const struct mu_control_request *r, struct mu_err *e)
{
    bool takes_tasks = r->action == MU_CONTROL_CANCEL || r->action == MU_CONTROL_PRIORITY;
    if (r->n_patterns > 0 && !takes_tasks)
        return mu_fail(e, MU_EINVAL, "%s is of the whole campaign: no tasks can be named", mu_control_word(r->action));
    if (r->n_patterns == 0 && r->action == MU_CONTROL_PRIORITY)
        return mu_fail(e, MU_EINVAL, "priority needs the tasks that get it: MODEL/SUITE, or \"*\" for all");
    return check_patterns(r, e);
}

/* ---- reading ---- */

static int read_action(struct mu_control_request *r, struct mu_err *e)
{
    const char *word;
    MU_TRY_RETURN(mu_json_string(r->tree, "action", &word, WHERE, e));
    int found = mu_control_find(word);
    if (found < 0)
        return mu_fail(e, MU_EINVAL, "there is no action \"%.40s\": status, pause, resume, cancel, priority", word);
    r->action = (enum mu_control_action)found;
    if (r->action != MU_CONTROL_PRIORITY)
        return MU_OK;
    MU_TRY_RETURN(mu_json_string(r->tree, "priority", &word, WHERE, e));
    found = mu_priority_find(word);
    if (found < 0)
        return mu_fail(e, MU_EINVAL, "there is no priority \"%.40s\": critical, high, normal, low, background", word);
    r->priority = (enum mu_priority)found;
    return MU_OK;
}

static int read_patterns(struct mu_control_request *r, struct mu_err *e)
{
    json_t *list;
    if (!mu_json_has(r->tree, "tasks"))
        return MU_OK;
    MU_TRY_RETURN(mu_json_array(r->tree, "tasks", &list, WHERE, e));
    if (json_array_size(list) == 0 || json_array_size(list) > MU_CONTROL_PATTERNS_MAX)
        return mu_fail(e, MU_EINVAL, "%zu patterns of tasks in one request: 1 to %d go", json_array_size(list),
                       MU_CONTROL_PATTERNS_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *p = json_array_get(list, i);
        if (!json_is_string(p) || strlen(json_string_value(p)) != json_string_length(p))
            return mu_fail(e, MU_EFORMAT, WHERE ": tasks must be a list of texts");
        r->pattern[r->n_patterns++] = json_string_value(p);
    }
    return MU_OK;
}

int mu_control_request_parse(struct mu_control_request *out, struct mu_str line, struct mu_err *e)
{
    int rc = MU_OK;
    *out = (struct mu_control_request){0};
    MU_TRY(mu_json_parse_strict(&out->tree, line, WHERE, e));
    if (!json_is_object(out->tree))
        MU_TRY(mu_fail(e, MU_EFORMAT, WHERE " must be a JSON object, such as {\"action\": \"pause\"}"));
    MU_TRY(read_action(out, e));
    MU_TRY(read_patterns(out, e));
    MU_TRY(mu_control_request_check(out, e));
    return MU_OK;
out:
    mu_control_request_fini(out);
    return rc;
}

void mu_control_request_fini(struct mu_control_request *r)
{
    json_decref(r->tree);
    *r = (struct mu_control_request){0};
}

/* ---- writing ---- */

int mu_control_request_print(struct mu_buf *out, const struct mu_control_request *r, struct mu_err *e)
{
    MU_TRY_RETURN(mu_buf_printf(out, e, "{\"action\":\"%s\"", mu_control_word(r->action)));
    if (r->action == MU_CONTROL_PRIORITY)
        MU_TRY_RETURN(mu_buf_printf(out, e, ",\"priority\":\"%s\"", mu_priority_name(r->priority)));
    for (int i = 0; i < r->n_patterns; i++) {
        MU_TRY_RETURN(mu_buf_puts(out, i == 0 ? ",\"tasks\":[" : ",", e));
        MU_TRY_RETURN(mu_json_dump_string(out, mu_str(r->pattern[i]), e));
    }
    return mu_buf_puts(out, r->n_patterns > 0 ? "]}\n" : "}\n", e);
}

/* ---- answers ---- */

static int code_of(const char *name)
{
    for (int code = MU_OK + 1; code < MU_CODE_N; code++)
        if (strcmp(mu_code_name(code), name) == 0)
            return code;
    return MU_EPEER;
}

int mu_control_answer_parse(json_t **out, struct mu_str line, struct mu_err *e)
{
    static const char where[] = "the orchestrator's answer";
    const char *code, *sentence;
    json_t *v = NULL;
    bool is_ok;
    int rc = MU_OK;
    *out = NULL;
    MU_TRY(mu_json_parse_strict(&v, line, where, e));
    if (!json_is_object(v))
        MU_TRY(mu_fail(e, MU_EFORMAT, "%s is no JSON object", where));
    MU_TRY(mu_json_bool(v, "ok", &is_ok, where, e));
    MU_TRY(mu_json_string(v, is_ok ? "sentence" : "error", &sentence, where, e));
    if (!is_ok) {
        MU_TRY(mu_json_string(v, "code", &code, where, e));
        MU_TRY(mu_fail(e, code_of(code), "%s", sentence));
    }
    *out = v;
    return MU_OK;
out:
    json_decref(v);
    return rc;
}
