/* record.c - see record.h: one table of members, read and written by it */
#include "engine/service/record.h"

#include "base/check.h"
#include "base/harmless.h"
#include "base/mem.h"
#include "base/utf8.h"

#define WHERE   "the record of a service"
#define VERSION "service 1"

/* ---- what a text may be ---- */

static bool has_only(const char *text, const char *allowed)
{
    return text[0] && text[strspn(text, allowed)] == '\0';
}

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS  "0123456789"

bool mu_service_name_is_good(const char *name)
{
    return strlen(name) <= MU_SERVICE_NAME_MAX && name[0] != '.' && name[0] != '-' && name[0] != '_' &&
           has_only(name, LETTERS DIGITS "._-");
}

static bool is_hex(const char *text)
{
    return has_only(text, DIGITS "abcdef");
}

static bool is_secret(const char *text)
{
    return is_hex(text) && strlen(text) % 32 == 0;
}

/* Of a URL's authority: nothing that could lead elsewhere. */
static bool is_host(const char *text)
{
    return has_only(text, LETTERS DIGITS ".:_-");
}

static bool is_word(const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p <= ' ' || *p > '~')
            return false;
    }
    return text[0] != '\0';
}

/* Where the system does not tell it is empty. */
static bool is_word_or_none(const char *text)
{
    return !text[0] || is_word(text);
}

static bool is_shown(const char *text)
{
    size_t n = strlen(text);
    uint32_t cp = 0;
    if (n == 0 || mu_utf8_valid_prefix(text, n) != n)
        return false;
    for (size_t i = 0; i < n; i += (size_t)mu_utf8_decode(text + i, n - i, &cp)) {
        if (mu_utf8_decode(text + i, n - i, &cp) == 0 || mu_letter_is_trouble(cp))
            return false;
    }
    return true;
}

/* ---- the members ---- */

struct text_member {
    const char *key;
    size_t at, bytes;
    bool (*is_good)(const char *text);
    const char *want;
    bool is_secret;
};

struct number_member {
    const char *key;
    size_t at;
    int64_t lo, hi;
};

#define AT(field) offsetof(struct mu_service_record, field)
#define TEXT(field, check, want)                                                                                       \
    {                                                                                                                  \
#field, AT(field), sizeof((struct mu_service_record *)0)->field, check, want, false                            \
    }
#define SECRET(field)                                                                                                  \
    {                                                                                                                  \
#field, AT(field), sizeof((struct mu_service_record *)0)->field, is_secret, "a secret in hexadecimal", true    \
    }

static const struct text_member texts[] = {
    TEXT(name, mu_service_name_is_good, "a name of letters, digits, \".\", \"_\" and \"-\""),
    SECRET(id),
    SECRET(token),
    TEXT(host, is_host, "a host's name"),
    TEXT(address, is_host, "a host's name or number"),
    TEXT(model, is_shown, "a model's name"),
    TEXT(engine, is_word, "a word"),
    TEXT(arch, is_word, "a word"),
    TEXT(weights_hash, is_word, "a hash"),
    TEXT(weights, is_word, "a format"),
    TEXT(kv_dtype, is_word, "a format"),
    TEXT(mla, is_word, "a word"),
    TEXT(tokenizer, is_hex, "a hash in hexadecimal"),
    TEXT(boot, is_word_or_none, "a word or nothing"),
    TEXT(space, is_word_or_none, "a word or nothing"),
};

#define SECONDS_MAX ((int64_t)1 << 40)

static const struct number_member numbers[] = {
    {"port", AT(port), 1, 65535},
    {"numerics", AT(numerics), 1, INT32_MAX},
    {"params", AT(params), 0, (int64_t)1 << 53},
    {"context", AT(context), 1, INT32_MAX},
    {"pid", AT(pid), 1, INT32_MAX},
    {"start", AT(start), 0, (int64_t)1 << 53},
    {"since", AT(since), 0, SECONDS_MAX},
    {"heartbeat", AT(heartbeat), 0, SECONDS_MAX},
    {"beats", AT(beats), 0, (int64_t)1 << 53},
    {"every", AT(every), 1, 3600},
};

/* ---- reading ---- */

static int read_text(struct mu_service_record *r, const struct text_member *m, const json_t *o, struct mu_err *e)
{
    const char *v;
    MU_TRY_RETURN(mu_json_string(o, m->key, &v, WHERE, e));
    size_t n = json_string_length(json_object_get(o, m->key));
    if (n != strlen(v) || n >= m->bytes || !m->is_good(v))
        return mu_fail(e, MU_EFORMAT, WHERE ": %s must be %s of at most %zu bytes", m->key, m->want, m->bytes - 1);
    memcpy((char *)r + m->at, v, n + 1);
    return MU_OK;
}

static int read_members(struct mu_service_record *r, const json_t *o, struct mu_err *e)
{
    const char *version;
    MU_TRY_RETURN(mu_json_string(o, "muster", &version, WHERE, e));
    if (strcmp(version, VERSION) != 0)
        return mu_fail(e, MU_EFORMAT, WHERE ": muster must be \"" VERSION "\"");
    for (size_t i = 0; i < MU_COUNT(texts); i++)
        MU_TRY_RETURN(read_text(r, &texts[i], o, e));
    for (size_t i = 0; i < MU_COUNT(numbers); i++) {
        const struct number_member *m = &numbers[i];
        int64_t v;
        MU_TRY_RETURN(mu_json_int(o, m->key, m->lo, m->hi, &v, WHERE, e));
        memcpy((char *)r + m->at, &v, sizeof v);
    }
    return MU_OK;
}

int mu_service_record_parse(struct mu_service_record *r, struct mu_str text, struct mu_err *e)
{
    json_t *o = NULL;
    *r = (struct mu_service_record){.port = 0};
    if (text.n > MU_SERVICE_RECORD_BYTES_MAX)
        return mu_fail(e, MU_EFORMAT, WHERE " has %zu bytes, at most %d are read", text.n, MU_SERVICE_RECORD_BYTES_MAX);
    MU_TRY_RETURN(mu_json_parse_strict(&o, text, WHERE, e));
    int rc = json_is_object(o) ? read_members(r, o, e) : mu_fail(e, MU_EFORMAT, WHERE " is no JSON object");
    json_decref(o);
    return rc;
}

/* ---- writing ---- */

int mu_service_record_json(const struct mu_service_record *r, bool with_secrets, json_t **out, struct mu_err *e)
{
    json_t *o = json_object();
    bool is_good = o && json_object_set_new(o, "muster", json_string(VERSION)) == 0;
    for (size_t i = 0; i < MU_COUNT(texts) && is_good; i++) {
        const struct text_member *m = &texts[i];
        if (with_secrets || !m->is_secret)
            is_good = json_object_set_new(o, m->key, json_string((const char *)r + m->at)) == 0;
    }
    for (size_t i = 0; i < MU_COUNT(numbers) && is_good; i++) {
        int64_t v;
        memcpy(&v, (const char *)r + numbers[i].at, sizeof v);
        is_good = json_object_set_new(o, numbers[i].key, json_integer(v)) == 0;
    }
    if (is_good) {
        *out = o;
        return MU_OK;
    }
    json_decref(o);
    return mu_fail_nomem(e, sizeof *r, WHERE);
}
