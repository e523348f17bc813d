/* bits.c - the file of hashes: reading, comparing, writing anew */
#include "bits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tensor/numerics.h"
#include "xt.h"

#define LINE_MAX_BYTES 160

static const char head[] =
    "# Hashes of outputs, bit for bit. They hold for one numerics version (src/tensor/numerics.h), on every level and\n"
    "# with every compiler. Not to be edited by hand: RECORD=1 build/release/bin/%s writes the file anew.\n";

static struct bits_row *row_of(struct bits *b, const char *name)
{
    int i = 0;
    while (i < b->n && strcmp(b->row[i].name, name) != 0)
        i++;
    if (i == b->n) {
        XT_CHECKF(b->n < BITS_MAX, "%s: more than %d names", b->path, BITS_MAX);
        XT_CHECKF(strlen(name) < BITS_NAME_MAX, "the name %s is longer than %d", name, BITS_NAME_MAX - 1);
        b->row[b->n] = (struct bits_row){.stored = 0};
        strcpy(b->row[b->n++].name, name);
    }
    return &b->row[i];
}

static void read_line(struct bits *b, const char *line)
{
    char name[BITS_NAME_MAX];
    uint64_t hash;
    if (line[0] == '#' || sscanf(line, "numerics %d", &b->version) == 1)
        return;
    XT_CHECKF(sscanf(line, "%63s %" SCNx64, name, &hash) == 2, "%s: \"%s\" is no name with a hash", b->path, line);
    struct bits_row *r = row_of(b, name);
    r->stored = hash;
    r->is_stored = true;
}

void bits_open(struct bits *b, const char *path)
{
    char line[LINE_MAX_BYTES];
    *b = (struct bits){.path = path};
    FILE *f = fopen(path, "r");
    if (!f) {
        XT_CHECKF(getenv("RECORD"), "%s is not here: run from the repository's root; RECORD=1 writes it", path);
        return;
    }
    while (fgets(line, sizeof line, f))
        read_line(b, line);
    fclose(f);
    XT_CHECKF(b->version > 0, "%s names no numerics version", path);
}

void bits_add(struct bits *b, const char *name, const char *who, uint64_t hash)
{
    struct bits_row *r = row_of(b, name);
    XT_CHECKF(!r->is_computed || r->computed == hash, "%s: %s gives other bits than the first that computed it", name,
              who);
    r->computed = hash;
    r->is_computed = true;
}

static int count(const struct bits *b, bool (*is)(const struct bits_row *), const char **first)
{
    int n = 0;
    for (int i = b->n - 1; i >= 0; i--) {
        if (is(&b->row[i])) {
            *first = b->row[i].name;
            n++;
        }
    }
    return n;
}

static bool has_moved(const struct bits_row *r)
{
    return r->is_stored && r->is_computed && r->stored != r->computed;
}

static bool is_new(const struct bits_row *r)
{
    return !r->is_stored;
}

static bool is_gone(const struct bits_row *r)
{
    return !r->is_computed;
}

static void write_anew(const struct bits *b)
{
    FILE *f = fopen(b->path, "w");
    XT_CHECKF(f, "%s: %s", b->path, strerror(errno));
    fprintf(f, head, program_invocation_short_name);
    fprintf(f, "numerics %d\n", MU_NUMERICS_VERSION);
    for (int i = 0; i < b->n; i++) {
        if (b->row[i].is_computed)
            fprintf(f, "%s %016" PRIx64 "\n", b->row[i].name, b->row[i].computed);
    }
    XT_CHECKF(fclose(f) == 0, "%s: %s", b->path, strerror(errno));
    xt_note("%s is written for numerics version %d", b->path, MU_NUMERICS_VERSION);
}

void bits_close(struct bits *b)
{
    const char *first = "", *version = "MU_NUMERICS_VERSION (src/tensor/numerics.h)";
    int moved = count(b, has_moved, &first);
    XT_CHECKF(!moved || b->version != MU_NUMERICS_VERSION,
              "the bits of %s and %d more of %d moved while the version stays %d: undo that, or raise the numerics "
              "version, %s, in the same commit and write %s anew: RECORD=1 %s",
              first, moved - 1, b->n, b->version, version, b->path, program_invocation_name);
    if (getenv("RECORD")) {
        write_anew(b);
        return;
    }
    XT_CHECKF(b->version == MU_NUMERICS_VERSION,
              "%s holds the bits of numerics version %d, and this is version %d: RECORD=1 %s writes it anew", b->path,
              b->version, MU_NUMERICS_VERSION, program_invocation_name);
    XT_CHECKF(!count(b, is_new, &first), "%s lacks %s: RECORD=1 %s adds it", b->path, first, program_invocation_name);
    XT_CHECKF(!count(b, is_gone, &first), "%s has %s, which nothing computes now: RECORD=1 %s drops it", b->path, first,
              program_invocation_name);
}
