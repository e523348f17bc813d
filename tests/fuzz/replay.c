/* replay.c - runs a fuzz target over the files of its corpus, so that every finding stays a test
 *
 * Usage: fuzz_x FOLDER. Without clang's libFuzzer this is main(). */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return 1;
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    uint8_t *p = malloc(n > 0 ? (size_t)n : 1); /* an exact block: one byte too far is seen by ASan */
    int bad = !p || fread(p, 1, (size_t)n, f) != (size_t)n;
    fclose(f);
    if (!bad)
        LLVMFuzzerTestOneInput(p, (size_t)n);
    free(p);
    return bad;
}

int main(int argc, char **argv)
{
    int n = 0;
    DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
    if (!d) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        if (replay(path)) {
            fprintf(stderr, "cannot read %s\n", path);
            return 1;
        }
        n++;
    }
    closedir(d);
    printf("1..1\nok 1 - %d inputs replayed\n", n);
    return n > 0 ? 0 : 1;
}
