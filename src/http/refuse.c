/* refuse.c - what can be refused on the headers alone, before a byte of the body is kept */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "http/http_int.h"

static void refuse(struct mu_http_request *r, int status, const char *code, const char *sentence)
{
    r->refused = status;
    r->refusal_code = code;
    r->refusal = sentence;
}

static const char *header(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

/* ---- the route ---- */

static bool path_is(const char *pattern, const char *path)
{
    size_t n = strlen(pattern);
    if (n > 0 && pattern[n - 1] == '*')
        return strncmp(pattern, path, n - 1) == 0;
    return strcmp(pattern, path) == 0;
}

static bool method_is(const char *of_route, const char *method)
{
    return strcmp(of_route, method) == 0 || (strcmp(method, "HEAD") == 0 && strcmp(of_route, "GET") == 0);
}

static void find_route(struct mu_http_request *r, const char *method)
{
    bool has_path = false;
    for (const struct mu_http_route *t = r->s->routes; t->path && !r->route; t++) {
        if (!path_is(t->path, r->path))
            continue;
        has_path = true;
        if (method_is(t->method, method))
            r->route = t;
        else if (strlen(r->allow) + strlen(t->method) + 3 < sizeof r->allow)
            sprintf(r->allow + strlen(r->allow), "%s%s", r->allow[0] ? ", " : "", t->method);
    }
    if (r->route)
        return;
    if (!has_path)
        refuse(r, 404, "not_found", "nothing is served at this path");
    else
        refuse(r, 405, "method_not_allowed",
               "this path is served, but not by this method; the Allow header names its own");
}

/* ---- sizes ---- */

static enum MHD_Result add_size(void *arg, enum MHD_ValueKind kind, const char *key, const char *value)
{
    size_t *n = arg;
    (void)kind;
    *n += strlen(key) + (value ? strlen(value) : 0) + 4;
    return MHD_YES;
}

static void check_sizes(struct mu_http_request *r, struct MHD_Connection *c)
{
    size_t n = strlen(r->path);
    MHD_get_connection_values(c, MHD_HEADER_KIND, add_size, &n);
    MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, add_size, &n);
    if (n > r->s->o.header_bytes_max)
        refuse(r, 431, "headers_too_large", "path, query and headers are larger than this server accepts");
}

/* ---- the body ---- */

/* A page of another origin can send text/plain and forms to a loopback server without being asked; JSON it cannot. */
static bool type_is_json(const char *type)
{
    size_t n = strcspn(type, "; \t");
    return n == 16 && strncasecmp(type, "application/json", 16) == 0;
}

static void check_body(struct mu_http_request *r, struct MHD_Connection *c)
{
    const char *length = header(c, "Content-Length"), *coding = header(c, "Transfer-Encoding"),
               *type = header(c, "Content-Type");
    if (length && coding)
        refuse(r, 400, "bad_request", "Content-Length and Transfer-Encoding exclude each other");
    else if (coding && strcasecmp(coding, "chunked") != 0)
        refuse(r, 501, "not_implemented", "this server knows no other Transfer-Encoding than chunked");
    else if (!length && !coding)
        refuse(r, 411, "length_required", "the body's length is needed: send Content-Length, or chunks");
    else if (length && strtoull(length, NULL, 10) > r->s->o.body_bytes_max)
        refuse(r, 413, "body_too_large", "the body is larger than this server accepts");
    else if (!type || !type_is_json(type))
        refuse(r, 415, "unsupported_media_type", "the body must be JSON: send Content-Type: application/json");
}

void mu_http_check_headers(struct mu_http_request *r, struct MHD_Connection *c, const char *method)
{
    check_sizes(r, c);
    if (!r->refused)
        find_route(r, method);
    if (!r->refused && !r->route->is_open && !mu_http_key_is_good(r->s, header(c, "Authorization")))
        refuse(r, 401, "invalid_api_key", "a key is needed: send Authorization: Bearer KEY with one this server knows");
    r->is_known = !r->refused && !r->route->is_open;
    if (!r->refused && strcmp(r->route->method, "POST") == 0)
        check_body(r, c);
}
