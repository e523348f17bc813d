/* test_matrix_part.c - parts of packed matrices: the bytes of packing the part by itself */
#include "tensor_test.h"

#include "tensor/matrix_int.h"

static void random_rows(float *w, int64_t n, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++)
        w[i] = xt_randf(&seed);
}

struct cut {
    int64_t n_out, n_in, tile_k;         /* of the whole */
    int64_t row0, rows, tile0, tile_end; /* of the part; tile_end 0: all inputs from tile0 on */
};

/* Whole panels, lanes of two panels, an end inside a panel, one row; first, middle and last tiles, short last ones. */
static const struct cut cuts[] = {
    {64, 96, 32, 16, 32, 0, 0},  {64, 96, 32, 0, 64, 1, 2},    {70, 100, 20, 5, 40, 0, 0},
    {70, 100, 20, 48, 22, 2, 5}, {33, 130, 64, 7, 3, 1, 2},    {33, 130, 64, 0, 33, 2, 3},
    {40, 77, 12, 15, 1, 3, 0},   {40, 77, 12, 32, 8, 0, 0},    {48, 172, 172, 16, 20, 0, 0},
    {31, 257, 4, 1, 30, 10, 33}, {96, 640, 128, 80, 16, 4, 5}, {17, 33, 48, 16, 1, 0, 0}};

static size_t bytes_of(const struct mu_matrix *m, size_t *scales)
{
    struct mu_cut c = mu_cut_of(m->n_in, m->tile_k);
    *scales = m->scale ? (size_t)(mu_panels_of(m->n_out) * c.n_groups * MU_PANEL) * sizeof(float) : 0;
    return (size_t)mu_panels_of(m->n_out) * mu_panel_bytes(m->format, &c);
}

static void compare(const struct cut *c, enum mu_wformat f)
{
    int64_t col0 = c->tile0 * c->tile_k, end = c->tile_end ? MU_MIN(c->tile_end * c->tile_k, c->n_in) : c->n_in;
    float *w = tt_alloc((size_t)(c->n_out * c->n_in) * sizeof *w);
    float *part = tt_alloc((size_t)(c->rows * (end - col0)) * sizeof *part);

    random_rows(w, c->n_out * c->n_in, (uint64_t)(c->n_out * c->n_in));
    for (int64_t r = 0; r < c->rows; r++)
        memcpy(part + r * (end - col0), w + (c->row0 + r) * c->n_in + col0, (size_t)(end - col0) * sizeof *part);
    struct mu_matrix whole = tt_matrix(f, c->n_out, c->n_in, c->tile_k, w, NULL);
    struct mu_matrix want = tt_matrix(f, c->rows, end - col0, c->tile_k, part, NULL), got = want;
    size_t scales, data = bytes_of(&want, &scales);

    got.data = tt_alloc(data + 64);
    got.scale = want.scale ? tt_alloc(scales + 64) : NULL;
    memset(got.data, 0x5a, data);
    mu_matrix_copy_part(&got, &whole, c->row0, col0, 1, mu_panels_of(c->rows)); /* panels may be anybody's */
    mu_matrix_copy_part(&got, &whole, c->row0, col0, 0, 1);
    XT_CHECKF(memcmp(got.data, want.data, data) == 0, "%s, rows %d on, inputs %d on: other data", mu_wformat_name(f),
              (int)c->row0, (int)col0);
    XT_CHECKF(scales == 0 || memcmp(got.scale, want.scale, scales) == 0, "%s, rows %d on, inputs %d on: other scales",
              mu_wformat_name(f), (int)c->row0, (int)col0);
    if (mu_matrix_part(&got, &whole, c->row0, col0)) {
        XT_CHECK(col0 == 0 && end == c->n_in && c->row0 % MU_PANEL == 0);
        XT_CHECK(memcmp(got.data, want.data, data) == 0);
        XT_CHECK(scales == 0 || memcmp(got.scale, want.scale, scales) == 0);
    }
    tt_free_all();
}

XT_TEST(a_part_is_what_packing_it_gives)
{
    for (size_t i = 0; i < MU_COUNT(cuts); i++)
        for (int f = 0; f < MU_WFORMAT_N; f++)
            compare(&cuts[i], (enum mu_wformat)f);
}

/* A part that ends inside a panel would have lanes of its neighbours: it is not in place. */
XT_TEST(only_whole_panels_with_all_inputs_are_in_place)
{
    static const struct {
        int64_t row0, rows, n_in;
        bool is_in_place;
    } parts[] = {{0, 40, 64, true},  {16, 16, 64, true}, {32, 8, 64, true},  {16, 24, 64, true},
                 {16, 8, 64, false}, {8, 16, 64, false}, {0, 40, 32, false}, {16, 16, 32, false}};
    float *w = tt_alloc(40 * 64 * sizeof *w);
    random_rows(w, 40 * 64, 3);
    struct mu_matrix whole = tt_matrix(MU_WBF16, 40, 64, 32, w, NULL);
    for (size_t i = 0; i < MU_COUNT(parts); i++) {
        struct mu_matrix part = {.format = MU_WBF16, .n_out = parts[i].rows, .n_in = parts[i].n_in, .tile_k = 32};
        XT_EQ(mu_matrix_part(&part, &whole, parts[i].row0, 0), parts[i].is_in_place);
    }
    tt_free_all();
}

XT_MAIN()
