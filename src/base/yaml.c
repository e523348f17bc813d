/* yaml.c - events of libyaml to a json_t tree, with the place of every node beside it
 *
 * libyaml takes its memory from malloc; the tree and the places are on our heap. */
#include "base/yaml.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include <yaml.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/yaml_scalar.h"

#define TEXT_OF_(x) #x
#define TEXT_OF(x)  TEXT_OF_(x)

/* A place: of a node (what 0), of a member's key (its hash) or of an item (its index and one). */
enum place_kind { PLACE_NODE, PLACE_KEY, PLACE_ITEM };

struct place {
    const json_t *owner;
    uint64_t what;
    enum place_kind kind;
    int line;
    char *tag; /* owned; NULL */
};

struct anchor {
    char *name; /* owned */
    json_t *node;
    size_t n_nodes; /* in it, aliases expanded */
};

struct mu_yaml {
    json_t *root;
    struct place *places; /* a table of n_slots, a power of two, at most half full */
    size_t n_places, n_slots;
};

struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    bool has_event;
    struct mu_yaml *y;
    struct anchor *anchors;
    size_t n_anchors, cap_anchors;
    size_t n_nodes;
    int depth;
    const char *name;
    struct mu_err *e;
};

/* ---- places ---- */

static struct place *place_find(const struct mu_yaml *y, const json_t *owner, enum place_kind kind, uint64_t what)
{
    uint64_t key[3] = {(uint64_t)(uintptr_t)owner, what, (uint64_t)kind};
    size_t mask = y->n_slots - 1, i = mu_hash64(key, sizeof key, 0) & mask;
    for (;; i = (i + 1) & mask) {
        struct place *p = &y->places[i];
        if (!p->owner || (p->owner == owner && p->what == what && p->kind == kind))
            return p;
    }
}

static int places_grow(struct mu_yaml *y, struct mu_err *e)
{
    struct mu_yaml more = {.n_slots = y->n_slots ? y->n_slots * 2 : 256};
    MU_TRY_RETURN(MU_NEW_ARRAY(&more.places, more.n_slots, "lines of a YAML file", e));
    for (size_t i = 0; i < y->n_slots; i++)
        if (y->places[i].owner)
            *place_find(&more, y->places[i].owner, y->places[i].kind, y->places[i].what) = y->places[i];
    mu_free(y->places);
    y->places = more.places;
    y->n_slots = more.n_slots;
    return MU_OK;
}

static int place_put(struct mu_yaml *y, const json_t *owner, enum place_kind kind, uint64_t what, int line,
                     struct place **out, struct mu_err *e)
{
    if ((y->n_places + 1) * 2 > y->n_slots)
        MU_TRY_RETURN(places_grow(y, e));
    struct place *p = place_find(y, owner, kind, what);
    y->n_places += !p->owner;
    p->owner = owner;
    p->kind = kind;
    p->what = what;
    p->line = line;
    mu_free(p->tag); /* of a node that is gone: its memory was used again */
    p->tag = NULL;
    if (out)
        *out = p;
    return MU_OK;
}

static int line_of(const struct mu_yaml *y, const json_t *owner, enum place_kind kind, uint64_t what)
{
    return y->n_slots && owner ? place_find(y, owner, kind, what)->line : 0;
}

static uint64_t key_hash(const char *key, size_t n)
{
    return mu_hash64(key, n, 1);
}

/* ---- events ---- */

static int fail_at(struct reader *r, yaml_mark_t mark, int code, const char *text)
{
    return mu_fail(r->e, code, "%s, line %zu, column %zu: %s", r->name, mark.line + 1, mark.column + 1, text);
}

static int next_event(struct reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = false;
    if (yaml_parser_parse(&r->parser, &r->event)) {
        r->has_event = true;
        return MU_OK;
    }
    if (r->parser.error == YAML_MEMORY_ERROR)
        return mu_fail(r->e, MU_ENOMEM, "out of memory reading %s", r->name);
    char text[256];
    snprintf(text, sizeof text, "%s%s%s", r->parser.problem ? r->parser.problem : "cannot be read",
             r->parser.context ? " " : "", r->parser.context ? r->parser.context : "");
    if (r->parser.error == YAML_READER_ERROR)
        return mu_fail(r->e, MU_EFORMAT, "%s, byte %zu: %s", r->name, r->parser.problem_offset, text);
    return fail_at(r, r->parser.problem_mark, MU_EFORMAT, text);
}

static int count_nodes(struct reader *r, size_t n)
{
    r->n_nodes += n;
    if (r->n_nodes > MU_YAML_NODES_MAX)
        return mu_fail(r->e, MU_ELIMIT, "%s, line %zu: more than %d nodes, those of aliases counted each time", r->name,
                       r->event.start_mark.line + 1, MU_YAML_NODES_MAX);
    return MU_OK;
}

/* ---- scalars ---- */

static bool is_standard(const char *tag, const char *name)
{
    const char *prefix = "tag:yaml.org,2002:";
    return strncmp(tag, prefix, strlen(prefix)) == 0 && strcmp(tag + strlen(prefix), name) == 0;
}

/* The type a scalar has by its tag, else by its text. */
static enum mu_yaml_type scalar_type(const yaml_event_t *ev, struct mu_str s, bool *has_own_tag)
{
    static const struct {
        const char *name;
        enum mu_yaml_type type;
    } standard[] = {{"str", MU_YAML_STR}, {"null", MU_YAML_NULL},   {"bool", MU_YAML_BOOL},
                    {"int", MU_YAML_INT}, {"float", MU_YAML_FLOAT}, {"merge", MU_YAML_MERGE}};
    const char *tag = (const char *)ev->data.scalar.tag;
    *has_own_tag = false;
    if (!tag || strcmp(tag, "!") == 0)
        return ev->data.scalar.plain_implicit ? mu_yaml_resolve(s) : MU_YAML_STR;
    for (size_t i = 0; i < MU_COUNT(standard); i++)
        if (is_standard(tag, standard[i].name))
            return standard[i].type;
    *has_own_tag = true;
    return MU_YAML_STR;
}

static int number(struct reader *r, struct mu_str s, enum mu_yaml_type type, json_t **out)
{
    int64_t i = 0;
    double f = 0;
    int rc = type == MU_YAML_INT ? mu_yaml_int(s, &i, &f) : mu_yaml_float(s, &f);
    if (rc < 0)
        return fail_at(r, r->event.start_mark, MU_EFORMAT, "the text is no number, as its tag or form says");
    if (!isfinite(f))
        return fail_at(r, r->event.start_mark, MU_EUNSUPPORTED, "the number is not finite");
    *out = type == MU_YAML_INT && rc == 0 ? json_integer(i) : json_real(f);
    return MU_OK;
}

static int scalar_value(struct reader *r, enum mu_yaml_type type, struct mu_str s, json_t **out)
{
    int truth;
    *out = NULL;
    switch (type) {
    case MU_YAML_NULL:
        *out = json_null();
        break;
    case MU_YAML_BOOL:
        if (mu_yaml_bool(s, &truth) != 0)
            return fail_at(r, r->event.start_mark, MU_EFORMAT, "the text is no boolean, as its tag says");
        *out = json_boolean(truth);
        break;
    case MU_YAML_INT:
    case MU_YAML_FLOAT:
        MU_TRY_RETURN(number(r, s, type, out));
        break;
    default:
        *out = json_stringn(s.p, s.n);
    }
    return *out ? MU_OK : mu_fail_nomem(r->e, s.n, r->name);
}

static bool is_singleton(const json_t *v)
{
    return json_is_true(v) || json_is_false(v) || json_is_null(v);
}

/* Note line and own tag of a node. */
static int note_node(struct reader *r, const json_t *node, yaml_mark_t mark, const char *own_tag)
{
    struct place *p;
    if (is_singleton(node))
        return MU_OK;
    MU_TRY_RETURN(place_put(r->y, node, PLACE_NODE, 0, (int)mark.line + 1, &p, r->e));
    if (!own_tag)
        return MU_OK;
    p->tag = mu_strdup(own_tag);
    return p->tag ? MU_OK : mu_fail_nomem(r->e, strlen(own_tag), "a tag");
}

static int read_scalar(struct reader *r, json_t **out, bool *is_merge)
{
    const yaml_event_t *ev = &r->event;
    struct mu_str s = {(const char *)ev->data.scalar.value, ev->data.scalar.length};
    bool has_own_tag;
    enum mu_yaml_type type = scalar_type(ev, s, &has_own_tag);
    if (is_merge)
        *is_merge = type == MU_YAML_MERGE;
    MU_TRY_RETURN(scalar_value(r, type, s, out));
    return note_node(r, *out, ev->start_mark, has_own_tag ? (const char *)ev->data.scalar.tag : NULL);
}

/* ---- anchors ---- */

static int anchor_put(struct reader *r, const char *name, json_t *node, size_t n_nodes)
{
    if (r->n_anchors == r->cap_anchors) {
        size_t cap = r->cap_anchors ? r->cap_anchors * 2 : 16;
        struct anchor *p = mu_realloc(r->anchors, cap * sizeof *p);
        if (!p)
            return mu_fail_nomem(r->e, cap * sizeof *p, "YAML anchors");
        r->anchors = p;
        r->cap_anchors = cap;
    }
    char *copy = mu_strdup(name);
    if (!copy)
        return mu_fail_nomem(r->e, strlen(name), "YAML anchors");
    r->anchors[r->n_anchors++] = (struct anchor){copy, json_incref(node), n_nodes};
    return MU_OK;
}

static struct anchor *anchor_find(const struct reader *r, const char *name)
{
    for (size_t i = r->n_anchors; i-- > 0;)
        if (strcmp(r->anchors[i].name, name) == 0)
            return &r->anchors[i];
    return NULL;
}

static int read_alias(struct reader *r, json_t **out)
{
    const struct anchor *a = anchor_find(r, (const char *)r->event.data.alias.anchor);
    if (!a)
        return fail_at(r, r->event.start_mark, MU_EFORMAT,
                       "the alias names no anchor before it, or one that contains it");
    MU_TRY_RETURN(count_nodes(r, a->n_nodes));
    *out = json_incref(a->node);
    return MU_OK;
}

/* ---- collections ---- */

static int read_node(struct reader *r, json_t **out, bool *is_merge);

static int read_sequence(struct reader *r, json_t **out)
{
    json_t *item;
    *out = json_array();
    if (!*out)
        return mu_fail_nomem(r->e, sizeof(void *), r->name);
    const char *tag = (const char *)r->event.data.sequence_start.tag;
    MU_TRY_RETURN(note_node(r, *out, r->event.start_mark, tag && !is_standard(tag, "seq") ? tag : NULL));
    for (size_t i = 0;; i++) {
        MU_TRY_RETURN(next_event(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            return MU_OK;
        int line = (int)r->event.start_mark.line + 1;
        item = NULL;
        int rc = read_node(r, &item, NULL);
        if (rc != MU_OK) {
            json_decref(item);
            return rc;
        }
        if (json_array_append_new(*out, item) != 0)
            return mu_fail_nomem(r->e, sizeof(void *), r->name);
        MU_TRY_RETURN(place_put(r->y, *out, PLACE_ITEM, i, line, NULL, r->e));
    }
}

/* A key as text. */
static int key_text(struct reader *r, const json_t *key, yaml_mark_t mark, struct mu_buf *out)
{
    mu_buf_clear(out);
    if (json_is_string(key))
        return mu_buf_add(out, json_string_value(key), json_string_length(key), r->e);
    if (json_is_object(key) || json_is_array(key))
        return fail_at(r, mark, MU_EFORMAT, "a key must be a scalar");
    return mu_json_dump(out, key, false, r->e);
}

static int put_member(struct reader *r, json_t *object, const char *key, size_t n, json_t *value, int line)
{
    if (json_object_setn(object, key, n, value) != 0)
        return mu_fail_nomem(r->e, n, r->name);
    return place_put(r->y, object, PLACE_KEY, key_hash(key, n), line, NULL, r->e);
}

static int merge_one(struct reader *r, json_t *into, const json_t *from, yaml_mark_t mark)
{
    const char *key;
    size_t n;
    json_t *value;
    if (!json_is_object(from))
        return fail_at(r, mark, MU_EFORMAT, "<< needs a mapping or a list of mappings");
    MU_TRY_RETURN(count_nodes(r, json_object_size(from)));
    json_object_keylen_foreach((json_t *)(uintptr_t)from, key, n, value)
        MU_TRY_RETURN(put_member(r, into, key, n, value, line_of(r->y, from, PLACE_KEY, key_hash(key, n))));
    return MU_OK;
}

/* Of several mappings the first one counts, so it is put last. */
static int merge(struct reader *r, json_t *into, const json_t *value, yaml_mark_t mark)
{
    if (!json_is_array(value))
        return merge_one(r, into, value, mark);
    for (size_t i = json_array_size(value); i-- > 0;)
        MU_TRY_RETURN(merge_one(r, into, json_array_get(value, i), mark));
    return MU_OK;
}

/* One key and its value: into own, or into merged. */
static int read_pair(struct reader *r, json_t *own, json_t *merged, struct mu_buf *text)
{
    json_t *key = NULL, *value = NULL;
    yaml_mark_t mark = r->event.start_mark;
    bool is_merge = false;
    int rc;

    MU_TRY(read_node(r, &key, &is_merge));
    if (!is_merge)
        MU_TRY(key_text(r, key, mark, text));
    MU_TRY(next_event(r));
    if (is_merge) {
        MU_TRY(read_node(r, &value, NULL));
        MU_TRY(merge(r, merged, value, mark));
    } else {
        struct mu_buf mine = *text; /* the value's own keys use another buffer */
        *text = (struct mu_buf)MU_BUF_INIT("a YAML key", MU_YAML_BYTES_MAX);
        rc = read_node(r, &value, NULL);
        if (rc == MU_OK)
            rc = put_member(r, own, mine.p ? mine.p : "", mine.n, value, (int)mark.line + 1);
        mu_buf_fini(text);
        *text = mine;
    }
out:
    json_decref(key);
    json_decref(value);
    return rc;
}

/* Members that came by << stand first, as with PyYAML. */
static int add_own(struct reader *r, json_t *merged, json_t *own)
{
    const char *key;
    size_t n;
    json_t *value;
    json_object_keylen_foreach(own, key, n, value)
        MU_TRY_RETURN(put_member(r, merged, key, n, value, line_of(r->y, own, PLACE_KEY, key_hash(key, n))));
    return MU_OK;
}

static int read_mapping(struct reader *r, json_t **out)
{
    struct mu_buf text = MU_BUF_INIT("a YAML key", MU_YAML_BYTES_MAX);
    json_t *own = json_object();
    int rc;

    *out = json_object();
    if (!*out || !own) {
        rc = mu_fail_nomem(r->e, sizeof(void *), r->name);
        goto out;
    }
    const char *tag = (const char *)r->event.data.mapping_start.tag;
    MU_TRY(note_node(r, *out, r->event.start_mark, tag && !is_standard(tag, "map") ? tag : NULL));
    for (;;) {
        MU_TRY(next_event(r));
        if (r->event.type == YAML_MAPPING_END_EVENT)
            break;
        MU_TRY(read_pair(r, own, *out, &text));
    }
    MU_TRY(add_own(r, *out, own));
out:
    json_decref(own);
    mu_buf_fini(&text);
    return rc;
}

/* The node at the current event, which becomes its last one. On failure *out may hold what was made so far; it is the
 * caller's to drop either way. */
static int read_node(struct reader *r, json_t **out, bool *is_merge)
{
    size_t before = r->n_nodes;
    yaml_event_t *ev = &r->event;
    char *anchor = NULL;
    int rc;

    if (r->depth == MU_YAML_DEPTH_MAX)
        return fail_at(r, ev->start_mark, MU_ELIMIT, "nested deeper than " TEXT_OF(MU_YAML_DEPTH_MAX) " levels");
    const char *name = ev->type == YAML_SCALAR_EVENT           ? (const char *)ev->data.scalar.anchor
                       : ev->type == YAML_SEQUENCE_START_EVENT ? (const char *)ev->data.sequence_start.anchor
                       : ev->type == YAML_MAPPING_START_EVENT  ? (const char *)ev->data.mapping_start.anchor
                                                               : NULL;
    if (name && anchor_find(r, name))
        return fail_at(r, ev->start_mark, MU_EFORMAT, "the anchor is there already");
    if (name && !(anchor = mu_strdup(name)))
        return mu_fail_nomem(r->e, strlen(name), "YAML anchors");
    r->depth++;
    MU_TRY(count_nodes(r, 1));
    if (ev->type == YAML_ALIAS_EVENT)
        MU_TRY(read_alias(r, out));
    else if (ev->type == YAML_SEQUENCE_START_EVENT)
        MU_TRY(read_sequence(r, out));
    else if (ev->type == YAML_MAPPING_START_EVENT)
        MU_TRY(read_mapping(r, out));
    else
        MU_TRY(read_scalar(r, out, is_merge));
    if (anchor)
        MU_TRY(anchor_put(r, anchor, *out, r->n_nodes - before));
out:
    r->depth--;
    mu_free(anchor);
    return rc;
}

/* ---- documents ---- */

static int read_stream(struct reader *r)
{
    MU_TRY_RETURN(next_event(r)); /* stream start */
    MU_TRY_RETURN(next_event(r));
    if (r->event.type == YAML_STREAM_END_EVENT) {
        r->y->root = json_null();
        return MU_OK;
    }
    MU_TRY_RETURN(next_event(r)); /* after document start */
    MU_TRY_RETURN(read_node(r, &r->y->root, NULL));
    MU_TRY_RETURN(next_event(r)); /* document end */
    MU_TRY_RETURN(next_event(r));
    if (r->event.type != YAML_STREAM_END_EVENT)
        return fail_at(r, r->event.start_mark, MU_EFORMAT, "a second document begins; one a file is expected");
    return MU_OK;
}

static void reader_fini(struct reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    yaml_parser_delete(&r->parser);
    for (size_t i = 0; i < r->n_anchors; i++) {
        mu_free(r->anchors[i].name);
        json_decref(r->anchors[i].node);
    }
    mu_free(r->anchors);
}

int mu_yaml_parse(struct mu_yaml **out, struct mu_str text, const char *name, struct mu_err *e)
{
    struct reader r = {.name = name, .e = e};
    int rc;

    mu_json_init();
    if (text.n > MU_YAML_BYTES_MAX)
        return mu_fail(e, MU_ELIMIT, "%s: %zu bytes, at most %zu are allowed", name, text.n, MU_YAML_BYTES_MAX);
    if (!yaml_parser_initialize(&r.parser))
        return mu_fail(e, MU_ENOMEM, "out of memory reading %s", name);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
    MU_TRY(MU_NEW(&r.y, "a YAML file", e));
    MU_TRY(read_stream(&r));
    *out = r.y;
    r.y = NULL;
out:
    mu_yaml_free(r.y);
    reader_fini(&r);
    return rc;
}

int mu_yaml_load(struct mu_yaml **out, const char *path, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a YAML file", MU_YAML_BYTES_MAX);
    int rc;
    MU_TRY(mu_file_read_all(&text, path, e));
    MU_TRY(mu_yaml_parse(out, mu_buf_str(&text), path, e));
out:
    mu_buf_fini(&text);
    return rc;
}

void mu_yaml_free(struct mu_yaml *y)
{
    if (!y)
        return;
    for (size_t i = 0; i < y->n_slots; i++)
        mu_free(y->places[i].tag);
    mu_free(y->places);
    json_decref(y->root);
    mu_free(y);
}

json_t *mu_yaml_root(const struct mu_yaml *y)
{
    return y->root;
}

int mu_yaml_line(const struct mu_yaml *y, const json_t *node)
{
    return line_of(y, node, PLACE_NODE, 0);
}

int mu_yaml_key_line(const struct mu_yaml *y, const json_t *object, const char *key)
{
    return json_object_get(object, key) ? line_of(y, object, PLACE_KEY, key_hash(key, strlen(key))) : 0;
}

int mu_yaml_item_line(const struct mu_yaml *y, const json_t *array, size_t i)
{
    return i < json_array_size(array) ? line_of(y, array, PLACE_ITEM, i) : 0;
}

const char *mu_yaml_tag(const struct mu_yaml *y, const json_t *node)
{
    return y->n_slots && node ? place_find(y, node, PLACE_NODE, 0)->tag : NULL;
}
