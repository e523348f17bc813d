/* Documents from files: JSON, CSV, columns, splits, hub names in data folders. Expected values are what the datasets
 * library (5.2, pandas 2) made of the same texts. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/dataset.h"
#include "eval/dataset_int.h"
#include "xt.h"

static struct mu_err err;

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    for (char *p = path + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        mkdir(path, 0700);
        *p = '/';
    }
    FILE *f = fopen(path, "wb");
    XT_CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void rows_are(json_t *rows, const char *want)
{
    struct mu_buf text = MU_BUF_INIT("rows", 1 << 20);
    XT_OK(mu_json_dump(&text, rows, false, &err));
    XT_STREQ(text.p, want);
    mu_buf_fini(&text);
}

static void json_gives(const char *text, const char *field, const char *want)
{
    mu_json_init();
    json_t *rows = json_array();
    XT_OK(mu_dataset_json(mu_str(text), "x.jsonl", field, rows, &err));
    XT_OK(mu_dataset_columns(rows, &err));
    rows_are(rows, want);
    json_decref(rows);
}

static void csv_gives(const char *text, const char *want)
{
    mu_json_init();
    json_t *rows = json_array();
    XT_OK(mu_dataset_csv(mu_str(text), "x.csv", ',', rows, &err));
    XT_OK(mu_dataset_columns(rows, &err));
    rows_are(rows, want);
    json_decref(rows);
}

XT_TEST(json_lines_get_all_columns_in_order_of_appearance)
{
    json_gives("{\"b\":1,\"a\":\"x\"}\n\n{\"a\":\"y\",\"c\":2.5}\r\n{\"b\":2.5}", NULL,
               "[{\"b\": 1.0, \"a\": \"x\", \"c\": null}, {\"b\": null, \"a\": \"y\", \"c\": 2.5}, "
               "{\"b\": 2.5, \"a\": null, \"c\": null}]");
    json_gives("{\"t\":1}\n{\"t\":\"x\"}\n", NULL, "[{\"t\": 1}, {\"t\": \"x\"}]");
    json_gives("", NULL, "[]");
}

XT_TEST(numbers_are_alike_inside_lists_and_objects)
{
    json_gives("{\"t\":[1,2.5]}\n{\"t\":[]}\n{\"t\":[3]}\n", NULL,
               "[{\"t\": [1.0, 2.5]}, {\"t\": []}, {\"t\": [3.0]}]");
    json_gives("{\"d\":{\"y\":1}}\n{\"d\":{\"x\":2,\"y\":3}}\n{\"d\":null}\n", NULL,
               "[{\"d\": {\"y\": 1}}, {\"d\": {\"x\": 2, \"y\": 3}}, {\"d\": null}]");
}

XT_TEST(json_array_and_field)
{
    json_gives(" [{\"b\":1,\"a\":\"x\"},\n{\"a\":\"y\",\"c\":2}]", NULL,
               "[{\"b\": 1, \"a\": \"x\", \"c\": null}, {\"b\": null, \"a\": \"y\", \"c\": 2}]");
    json_gives("{\"data\":[{\"t\":1},{\"u\":2}],\"v\":1}", "data",
               "[{\"t\": 1, \"u\": null}, {\"t\": null, \"u\": 2}]");
}

XT_TEST(json_faults_name_file_and_line)
{
    mu_json_init();
    json_t *rows = json_array();
    XT_FAILS(mu_dataset_json(mu_str("{\"a\":1}\n{\"a\":"), "x.jsonl", NULL, rows, &err), MU_EFORMAT, "x.jsonl, line 2");
    XT_FAILS(mu_dataset_json(mu_str("\n\n{\"a\":1}\n7\n"), "x.jsonl", NULL, rows, &err), MU_EFORMAT, "line 4");
    XT_FAILS(mu_dataset_json(mu_str("{\"a\":\"\xff\"}"), "x.jsonl", NULL, rows, &err), MU_EFORMAT, "line 1");
    XT_FAILS(mu_dataset_json(mu_str("[1]"), "x.json", NULL, rows, &err), MU_EFORMAT, "item 0 is no object");
    XT_FAILS(mu_dataset_json(mu_str("{\"examples\":[]}"), "x.json", "data", rows, &err), MU_EFORMAT, "\"examples\"");
    json_decref(rows);
}

XT_TEST(csv_has_the_types_of_pandas)
{
    csv_gives("a,b,c,d,e\n1,1.5,True,x,\n2,,False,\"y\nz \"\"q\"\"\",\n",
              "[{\"a\": 1, \"b\": 1.5, \"c\": true, \"d\": \"x\", \"e\": null}, "
              "{\"a\": 2, \"b\": null, \"c\": false, \"d\": \"y\\nz \\\"q\\\"\", \"e\": null}]");
    csv_gives("a,b\n1,NA\n2,x\n", "[{\"a\": 1, \"b\": null}, {\"a\": 2, \"b\": \"x\"}]");
    csv_gives("a,b\n1,01\n2,2\n", "[{\"a\": 1, \"b\": 1}, {\"a\": 2, \"b\": 2}]");
    csv_gives("a,b\n1,true\n,false\n", "[{\"a\": 1.0, \"b\": true}, {\"a\": null, \"b\": false}]");
    csv_gives("a,b,c\n1,2\n", "[{\"a\": 1, \"b\": 2, \"c\": null}]");
    csv_gives("a,b\n 1, x\n\n2,y\n", "[{\"a\": 1, \"b\": \" x\"}, {\"a\": 2, \"b\": \"y\"}]");
    csv_gives("a\n0x10\n1_000\n", "[{\"a\": \"0x10\"}, {\"a\": \"1_000\"}]");
    csv_gives("a,b\n1e3,None\n2,null\n", "[{\"a\": 1000.0, \"b\": null}, {\"a\": 2.0, \"b\": null}]");
    csv_gives("a,b\n+1,.5\n-2,5.\n", "[{\"a\": 1, \"b\": 0.5}, {\"a\": -2, \"b\": 5.0}]");
    csv_gives("a,b\n1,True\n2,\n", "[{\"a\": 1, \"b\": true}, {\"a\": 2, \"b\": null}]");
}

XT_TEST(csv_quoting_and_names)
{
    csv_gives("a,b\r\n1,\"tr\"\"ue\"x\r\n2,\"x\"y\r\n",
              "[{\"a\": 1, \"b\": \"tr\\\"uex\"}, {\"a\": 2, \"b\": \"xy\"}]");
    csv_gives("a,a,\n1,2,3\n", "[{\"a\": 1, \"a.1\": 2, \"Unnamed: 2\": 3}]");
    csv_gives("\xef\xbb\xbf\"a\",\"b\"\n\"1\",\"2\"\n", "[{\"a\": 1, \"b\": 2}]");
}

XT_TEST(csv_faults)
{
    mu_json_init();
    json_t *rows = json_array();
    XT_FAILS(mu_dataset_csv(mu_str("a,b\n1,2\n1,2,3\n"), "x.csv", ',', rows, &err), MU_EFORMAT, "line 3: 3 fields");
    XT_FAILS(mu_dataset_csv(mu_str("a,b\n1,\"2\n\n"), "x.csv", ',', rows, &err), MU_EFORMAT, "line 2");
    XT_FAILS(mu_dataset_csv(mu_str("a\n1\n\xff\n"), "x.csv", ',', rows, &err), MU_EFORMAT, "line 3: bytes");
    XT_FAILS(mu_dataset_csv(mu_str("a\n1\ninf\n"), "x.csv", ',', rows, &err), MU_EUNSUPPORTED, "not finite");
    json_decref(rows);
}

/* ---- tasks ---- */

static struct mu_task task_of(const char *dir, const char *path, const char *name, const char *kwargs)
{
    static char file[1024];
    struct mu_task t = {.name = "t", .dataset_path = path, .dataset_name = name};
    snprintf(file, sizeof file, "%s/t.yaml", dir);
    t.path = file;
    mu_json_init();
    t.config = json_object();
    if (kwargs)
        json_object_set_new(t.config, "dataset_kwargs", json_loads(kwargs, 0, NULL));
    return t;
}

static void loads(const struct mu_task *t, const char *split, const char *const *dirs, int n, const char *want)
{
    json_t *docs = NULL;
    XT_OK(mu_dataset_load(t, split, true, dirs, n, &docs, &err));
    rows_are(docs, want);
    json_decref(docs);
}

XT_TEST(named_files_by_split)
{
    const char *dir = xt_tmpdir();
    json_t *docs = NULL;
    write_file(dir, "a.jsonl", "{\"q\":1}\n");
    write_file(dir, "b.jsonl", "{\"q\":2}\n");
    write_file(dir, "c.csv", "q;r\n1;x\n");
    struct mu_task t =
        task_of(dir, "json", NULL, "{\"data_files\":{\"test\":[\"a.jsonl\",\"b.jsonl\"],\"dev\":\"*.jsonl\"}}");
    loads(&t, "test", NULL, 0, "[{\"q\": 1}, {\"q\": 2}]");
    loads(&t, "dev", NULL, 0, "[{\"q\": 1}, {\"q\": 2}]");
    XT_FAILS(mu_dataset_load(&t, "train", true, NULL, 0, &docs, &err), MU_ENOENT, "no split train; it has test, dev");
    json_decref(t.config);
    t = task_of(dir, "csv", NULL, "{\"data_files\":\"c.csv\",\"sep\":\";\"}");
    loads(&t, "train", NULL, 0, "[{\"q\": 1, \"r\": \"x\"}]");
    json_decref(t.config);
    t = task_of(dir, "json", NULL, "{\"data_files\":{\"test\":\"none.jsonl\"}}");
    XT_FAILS(mu_dataset_load(&t, "test", true, NULL, 0, &docs, &err), MU_ENOENT, "none.jsonl");
    json_decref(t.config);
    t = task_of(dir, "json", NULL, "{\"data_files\":{\"test\":\"https://x.org/a.jsonl\"}}");
    XT_FAILS(mu_dataset_load(&t, "test", true, NULL, 0, &docs, &err), MU_EUNSUPPORTED, "on the network");
    json_decref(t.config);
    t = task_of(dir, "json", NULL, NULL);
    XT_FAILS(mu_dataset_load(&t, "test", true, NULL, 0, &docs, &err), MU_EFORMAT, "data_files");
    json_decref(t.config);
}

XT_TEST(hub_names_in_data_folders)
{
    const char *dir = xt_tmpdir();
    json_t *docs = NULL;
    write_file(dir, "org/set/main/test.jsonl", "{\"q\":1}\n");
    write_file(dir, "org/set/main/test.parquet", "PAR1");
    write_file(dir, "org/set/main/train-00001-of-00002.csv", "q\n2\n");
    write_file(dir, "org/set/main/train-00000-of-00002.csv", "q\n1\n");
    write_file(dir, "org/set/main/validation.parquet", "PAR1");
    write_file(dir, "org/set/data/other/test.tsv", "q\tr\n1\t2\n");
    struct mu_task t = task_of(dir, "org/set", "main", NULL);
    loads(&t, "test", &dir, 1, "[{\"q\": 1}]");
    loads(&t, "train", &dir, 1, "[{\"q\": 1}, {\"q\": 2}]");
    XT_FAILS(mu_dataset_load(&t, "validation", true, &dir, 1, &docs, &err), MU_EUNSUPPORTED,
             "mirror_datasets.py DIR org/set:main");
    XT_FAILS(mu_dataset_load(&t, "dev", true, &dir, 1, &docs, &err), MU_ENOENT, "there are: ");
    XT_FAILS(mu_dataset_load(&t, "test", true, NULL, 0, &docs, &err), MU_ENOENT, "--data-dir");
    t.dataset_name = "other";
    loads(&t, "test", &dir, 1, "[{\"q\": 1, \"r\": 2}]");
    json_decref(t.config);
}

static int load_once(void *arg, struct mu_err *e)
{
    json_t *docs = NULL;
    int rc = mu_dataset_load(arg, "test", true, NULL, 0, &docs, e);
    json_decref(docs);
    return rc;
}

XT_TEST(every_failed_allocation_is_told)
{
    const char *dir = xt_tmpdir();
    write_file(dir, "a.jsonl", "{\"q\":1,\"r\":[1,{\"x\":2}]}\n{\"q\":2.5}\n");
    write_file(dir, "a.csv", "q,r\n1,x\n2,\"y\n\"\n");
    struct mu_task t = task_of(dir, "json", NULL, "{\"data_files\":{\"test\":\"a.jsonl\"}}");
    xt_each_alloc_fails(load_once, &t);
    json_decref(t.config);
    t = task_of(dir, "csv", NULL, "{\"data_files\":{\"test\":\"a.csv\"}}");
    xt_each_alloc_fails(load_once, &t);
    json_decref(t.config);
}

XT_MAIN()
