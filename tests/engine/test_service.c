/* test_service.c - records of services: read, distrusted, watched, announced */
#include "service_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/process.h"
#include "engine/service/announce.h"

#define MS ((int64_t)1000000)

/* ---- the record ---- */

static char *spelled(const struct mu_service_record *r)
{
    struct mu_err err = MU_ERR_INIT;
    json_t *o;
    mu_json_init();
    XT_OK(mu_service_record_json(r, true, &o, &err));
    char *text = json_dumps(o, 0);
    json_decref(o);
    return text;
}

XT_TEST(a_record_is_read_as_it_was_written)
{
    struct sf f;
    struct mu_service_record r = sf_record(), again;
    struct mu_err err = MU_ERR_INIT;
    struct stat st;
    sf_begin(&f);
    XT_OK(mu_service_write(&f.folder, &r, true, &err));
    XT_CHECK(stat(f.file, &st) == 0);
    XT_EQ(st.st_mode & 0777, 0600);
    XT_OK(mu_service_read(&f.folder, SF_NAME, &again, &err));
    XT_CHECK(memcmp(&again, &r, sizeof r) == 0);
    sf_end(&f);
}

XT_TEST(secrets_are_left_out_where_they_are_not_wanted)
{
    struct mu_service_record r = sf_record();
    struct mu_err err = MU_ERR_INIT;
    json_t *o;
    mu_json_init();
    XT_OK(mu_service_record_json(&r, false, &o, &err));
    XT_CHECK(!json_object_get(o, "token") && !json_object_get(o, "id"));
    XT_STREQ(json_string_value(json_object_get(o, "name")), SF_NAME);
    json_decref(o);
}

/* One member of a good record is another. */
static void check_refused(const char *key, json_t *value, const char *want)
{
    struct mu_service_record r = sf_record();
    struct mu_err err = MU_ERR_INIT;
    json_t *o;
    mu_json_init();
    XT_OK(mu_service_record_json(&r, true, &o, &err));
    if (value)
        json_object_set_new(o, key, value);
    else
        json_object_del(o, key);
    char *text = json_dumps(o, 0);
    json_decref(o);
    int rc = mu_service_record_parse(&r, mu_str(text), &err);
    mu_free(text);
    XT_CHECKF(rc == MU_EFORMAT, "%s: %d %s", key, rc, err.text);
    XT_CHECKF(strstr(err.text, key) && strstr(err.text, want), "%s: %s", key, err.text);
    XT_CHECK(!strstr(err.text, SF_TOKEN));
}

XT_TEST(members_that_cannot_be_are_refused_by_name)
{
    char *long_name = NULL;
    check_refused("port", json_integer(0), "");
    check_refused("port", json_integer(65536), "");
    check_refused("port", json_string("80"), "");
    check_refused("port", NULL, "");
    check_refused("address", json_string("host/../x"), "a host's name");
    check_refused("address", json_string("user@host"), "a host's name");
    check_refused("address", json_string("host?x"), "a host's name");
    check_refused("address", json_string(""), "a host's name");
    check_refused("name", json_string("../etc"), "a name of letters");
    check_refused("name", json_string(".hidden"), "a name of letters");
    check_refused("id", json_string("xyz"), "in hexadecimal");
    check_refused("token", json_string("aabb"), "in hexadecimal");
    check_refused("token", json_string(SF_TOKEN "\r\nX-Other: 1"), "in hexadecimal");
    check_refused("token", json_string(SF_TOKEN SF_TOKEN), "in hexadecimal");
    check_refused("model", json_string("a\x1b[2J"), "a model's name");
    check_refused("weights", json_string("f 32"), "a format");
    check_refused("tokenizer", json_string("00112233445566778"), "at most 16");
    check_refused("beats", json_integer(-1), "");
    check_refused("context", json_real(1.5), "");
    check_refused("pid", json_integer(0), "");
    check_refused("muster", json_string("service 2"), "service 1");
    XT_CHECK(asprintf(&long_name, "%0300d", 7) == 300);
    check_refused("host", json_string(long_name), "at most 255");
    free(long_name);
}

XT_TEST(what_is_no_object_is_no_record)
{
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "7",
                                        "null",
                                        "{\"muster\": \"service 1\"}",
                                        "{\"a\":1,\"a\":2}",
                                        "\xff\xfe",
                                        "{\"name\": \"\\u0000\"}"};
    struct mu_service_record r;
    struct mu_err err = MU_ERR_INIT;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        XT_CHECKF(mu_service_record_parse(&r, mu_str(texts[i]), &err) == MU_EFORMAT, "%s", texts[i]);
}

/* ---- names and folders ---- */

XT_TEST(a_place_is_a_folder_and_a_name)
{
    static const struct {
        const char *text, *folder, *name;
    } good[] = {{"/a/b/x", "/a/b", "x"}, {"b/x-1", "b", "x-1"}, {"/x", "/", "x"}, {"./x.y", ".", "x.y"}};
    static const char *const bad[] = {"", "/a/", "a b", "a/..", ".x", "-x", "a/b\n"};
    char folder[MU_SERVICE_PATH_MAX], name[MU_SERVICE_NAME_MAX + 1];
    struct mu_err err = MU_ERR_INIT;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        XT_OK(mu_service_place(good[i].text, folder, name, &err));
        XT_STREQ(folder, good[i].folder);
        XT_STREQ(name, good[i].name);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        XT_CHECKF(mu_service_place(bad[i], folder, name, &err) == MU_EUSAGE, "%s", bad[i]);
    XT_CHECK(setenv("MUSTER_SERVICES", "/srv/s", 1) == 0);
    XT_OK(mu_service_place("x", folder, name, &err));
    XT_STREQ(folder, "/srv/s");
    unsetenv("MUSTER_SERVICES");
}

XT_TEST(a_folder_others_write_to_is_refused)
{
    struct sf f;
    struct mu_service_folder again;
    struct mu_err err = MU_ERR_INIT;
    static const struct {
        mode_t mode;
        int rc;
    } cases[] = {{0700, MU_OK}, {0755, MU_OK}, {0770, MU_EINVAL}, {0777, MU_EINVAL}, {01777, MU_EINVAL}};
    sf_begin(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        XT_CHECK(chmod(f.path, cases[i].mode) == 0);
        int rc = mu_service_folder_open(&again, f.path, false, &err);
        XT_CHECKF(rc == cases[i].rc, "mode %o: %d %s", (unsigned)cases[i].mode, rc, err.text);
        XT_CHECK(rc == MU_OK || strstr(err.text, "chmod go-w"));
        mu_service_folder_close(&again);
    }
    if (geteuid() == 0) {
        XT_CHECK(chmod(f.path, 0700) == 0 && chown(f.path, 12345, (gid_t)-1) == 0);
        XT_EQ(mu_service_folder_open(&again, f.path, false, &err), MU_EINVAL);
        XT_CHECKF(strstr(err.text, "belongs to user 12345"), "%s", err.text);
    }
    sf_end(&f);
}

XT_TEST(a_folder_is_made_for_its_owner_alone)
{
    struct sf f;
    struct mu_service_folder made;
    struct mu_err err = MU_ERR_INIT;
    struct stat st;
    char path[256], above[128];
    sf_begin(&f);
    snprintf(above, sizeof above, "%s/a", f.path);
    snprintf(path, sizeof path, "%s/b", above);
    mode_t mask = umask(0);
    XT_EQ(mu_service_folder_open(&made, path, false, &err), MU_ENOENT);
    int rc = mu_service_folder_open(&made, path, true, &err);
    umask(mask);
    XT_OK(rc);
    XT_CHECK(fstat(made.fd, &st) == 0);
    XT_EQ(st.st_mode & 0777, 0700);
    mu_service_folder_close(&made);
    XT_CHECK(rmdir(path) == 0 && rmdir(above) == 0);
    sf_end(&f);
}

/* ---- hostile files ---- */

static void check_distrusted(const struct sf *f, int code, const char *want)
{
    struct mu_service_record r;
    struct mu_err err = MU_ERR_INIT;
    int rc = mu_service_read(&f->folder, SF_NAME, &r, &err);
    XT_CHECKF(rc == code && strstr(err.text, want), "%d %s", rc, err.text);
    XT_CHECKF(!strstr(err.text, SF_TOKEN), "%s", err.text);
}

static void write_text(const struct sf *f, const char *text, size_t n, mode_t mode)
{
    int fd = open(f->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    XT_CHECK(fd >= 0 && write(fd, text, n) == (ssize_t)n && fchmod(fd, mode) == 0);
    close(fd);
}

XT_TEST(a_record_that_others_may_read_is_not_used)
{
    struct sf f;
    struct mu_service_record r = sf_record();
    sf_begin(&f);
    for (mode_t bit = 01; bit <= 040; bit <<= 1) {
        sf_write(&f, &r);
        XT_CHECK(chmod(f.file, 0600 | bit) == 0);
        check_distrusted(&f, MU_EINVAL, "holds a token that others may read");
    }
    if (geteuid() == 0) {
        XT_CHECK(chmod(f.file, 0600) == 0 && chown(f.file, 12345, (gid_t)-1) == 0);
        check_distrusted(&f, MU_EINVAL, "belongs to user 12345");
    }
    sf_end(&f);
}

XT_TEST(a_record_that_is_no_plain_file_is_not_used)
{
    struct sf f;
    struct mu_service_record r = sf_record();
    char other[128];
    sf_begin(&f);
    check_distrusted(&f, MU_ENOENT, "no service " SF_NAME);
    snprintf(other, sizeof other, "%s/other", f.path);
    sf_write(&f, &r);
    XT_CHECK(link(f.file, other) == 0);
    check_distrusted(&f, MU_EINVAL, "one name");
    XT_CHECK(unlink(f.file) == 0 && symlink(other, f.file) == 0);
    check_distrusted(&f, MU_EINVAL, "symbolic link");
    XT_CHECK(unlink(f.file) == 0 && unlink(other) == 0 && mkfifo(f.file, 0600) == 0);
    check_distrusted(&f, MU_EINVAL, "not a plain file");
    XT_CHECK(unlink(f.file) == 0 && mkdir(f.file, 0700) == 0);
    check_distrusted(&f, MU_EINVAL, "not a plain file");
    sf_end(&f);
}

XT_TEST(a_record_that_is_huge_or_rubbish_is_not_used)
{
    struct sf f;
    struct mu_service_record r = sf_record();
    static char huge[MU_SERVICE_RECORD_BYTES_MAX + 1];
    sf_begin(&f);
    memset(huge, ' ', sizeof huge);
    write_text(&f, huge, sizeof huge, 0600);
    check_distrusted(&f, MU_EINVAL, "at most 16384");
    memset(huge, '[', sizeof huge);
    write_text(&f, huge, sizeof huge - 1, 0600);
    check_distrusted(&f, MU_EFORMAT, "reading");
    write_text(&f, "", 0, 0600);
    check_distrusted(&f, MU_EFORMAT, "reading");
    snprintf(r.name, sizeof r.name, "other");
    char *text = spelled(&r);
    write_text(&f, text, strlen(text), 0600);
    mu_free(text);
    check_distrusted(&f, MU_EFORMAT, "says that it is the service other");
    sf_end(&f);
}

XT_TEST(only_records_are_listed)
{
    struct sf f;
    struct mu_service_record r = sf_record();
    struct mu_err err = MU_ERR_INIT;
    char(*names)[MU_SERVICE_NAME_MAX + 1] = NULL;
    char other[128];
    int n = 0, fd;
    sf_begin(&f);
    sf_write(&f, &r);
    snprintf(r.name, sizeof r.name, "a");
    sf_write(&f, &r);
    snprintf(other, sizeof other, "%s/.night-1.01234567.tmp", f.path);
    XT_CHECK((fd = open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) >= 0 && close(fd) == 0);
    XT_OK(mu_service_names(&f.folder, &names, &n, &err));
    XT_EQ(n, 2);
    XT_STREQ(names[0], "a");
    XT_STREQ(names[1], SF_NAME);
    mu_free(names);
    XT_CHECK(unlink(other) == 0);
    sf_end(&f);
}

/* ---- life ---- */

#define SILENT (90000 * MS)

XT_TEST(life_is_told_by_change_and_never_by_clocks)
{
    struct mu_service_watch w = {.id = ""};
    struct mu_service_record r = sf_record();
    r.heartbeat = 1; /* a clock that is decades behind */
    mu_service_watch_see(&w, &r, 0);
    XT_EQ(mu_service_state(&w, &r, 0, SILENT), MU_SERVICE_UNKNOWN);
    mu_service_watch_see(&w, &r, SILENT - 1);
    XT_EQ(mu_service_state(&w, &r, SILENT - 1, SILENT), MU_SERVICE_UNKNOWN);
    r.heartbeat = INT32_MAX; /* a clock alone is no sign of life */
    mu_service_watch_see(&w, &r, SILENT);
    XT_EQ(mu_service_state(&w, &r, SILENT, SILENT), MU_SERVICE_SILENT);
    r.beats--; /* an old file shown for a while: it moved all the same */
    mu_service_watch_see(&w, &r, SILENT + 1);
    XT_EQ(mu_service_state(&w, &r, SILENT + 1, SILENT), MU_SERVICE_LIVE);
    memcpy(r.id, SF_ID_2, sizeof r.id);
    mu_service_watch_see(&w, &r, SILENT + 2);
    XT_EQ(mu_service_state(&w, &r, SILENT + 2, SILENT), MU_SERVICE_UNKNOWN);
    XT_EQ(w.met_ns, SILENT + 2);
}

static pid_t ended_process(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    XT_CHECK(pid > 0 && waitpid(pid, NULL, 0) == pid);
    return pid;
}

XT_TEST(a_process_of_this_machine_tells_at_once)
{
    struct mu_service_watch w = {.id = ""};
    struct mu_service_record r = sf_record_here(getpid(), mu_process_start(getpid()));
    mu_service_watch_see(&w, &r, 0);
    XT_EQ(mu_service_state(&w, &r, 0, SILENT), MU_SERVICE_LIVE);
    XT_EQ(mu_service_state(&w, &r, SILENT, SILENT), MU_SERVICE_SILENT); /* it is there, and stopped */
    r.start++;                                                          /* its number is another's now */
    XT_EQ(mu_service_state(&w, &r, 0, SILENT), MU_SERVICE_GONE);
    r = sf_record_here(ended_process(), 7);
    XT_EQ(mu_service_state(&w, &r, 0, SILENT), MU_SERVICE_GONE);
    snprintf(r.boot, sizeof r.boot, "another");
    XT_EQ(mu_service_state(&w, &r, 0, SILENT), MU_SERVICE_UNKNOWN);
}

/* ---- announcing ---- */

#define LONG_AGO (30000 * MS) /* above anything a test waits for */

struct announcer {
    struct sf f;
    char place[128];
    struct mu_announce_opts o;
    struct mu_announce *a;
};

static void an_begin(struct announcer *n, int64_t silent_ns)
{
    struct mu_err err = MU_ERR_INIT;
    *n = (struct announcer){.o = {.every_ns = 20 * MS, .silent_ns = silent_ns}};
    sf_begin(&n->f);
    snprintf(n->place, sizeof n->place, "%s/%s", n->f.path, SF_NAME);
    XT_OK(mu_announce_open(&n->a, n->place, &n->o, &err));
}

static int an_publish(struct announcer *n, struct mu_err *e)
{
    struct mu_service_record facts = sf_record();
    return mu_announce_publish(n->a, &facts, e);
}

static void an_end(struct announcer *n)
{
    mu_announce_close(n->a);
    sf_end(&n->f);
}

/* Until the record's count is above `beats`. */
static struct mu_service_record await_beat(const struct sf *f, int64_t beats)
{
    struct mu_service_record r = {.port = 0};
    for (int i = 0; i < 1000; i++) {
        if (mu_service_read(&f->folder, SF_NAME, &r, NULL) == MU_OK && r.beats > beats)
            return r;
        poll(NULL, 0, 5);
    }
    xt_fail(__FILE__, __LINE__, "the record is not renewed");
}

XT_TEST(a_service_is_found_renewed_and_gone_at_its_end)
{
    struct announcer n;
    struct mu_service_record r;
    struct mu_err err = MU_ERR_INIT;
    an_begin(&n, LONG_AGO);
    XT_EQ(mu_service_read(&n.f.folder, SF_NAME, &r, NULL), MU_ENOENT); /* not before it serves */
    XT_OK(an_publish(&n, &err));
    r = await_beat(&n.f, 2);
    XT_STREQ(r.token, mu_announce_token(n.a));
    XT_STREQ(r.id, mu_announce_id(n.a));
    XT_EQ(strlen(r.token), 64);
    XT_EQ(r.pid, getpid());
    XT_OK(mu_announce_check(n.a, &err));
    XT_CHECK(!mu_announce_trouble(n.a));
    mu_announce_close(n.a);
    n.a = NULL;
    XT_EQ(mu_service_read(&n.f.folder, SF_NAME, &r, NULL), MU_ENOENT);
    an_end(&n);
}

XT_TEST(secrets_differ_from_life_to_life)
{
    struct announcer a, b;
    an_begin(&a, LONG_AGO);
    an_begin(&b, LONG_AGO);
    XT_CHECK(strcmp(mu_announce_token(a.a), mu_announce_token(b.a)) != 0);
    XT_CHECK(strcmp(mu_announce_id(a.a), mu_announce_id(b.a)) != 0);
    an_end(&a);
    an_end(&b);
}

XT_TEST(the_name_of_a_live_service_is_refused)
{
    struct announcer n;
    struct mu_announce *other = NULL;
    struct mu_err err = MU_ERR_INIT;
    an_begin(&n, LONG_AGO);
    XT_OK(an_publish(&n, &err));
    XT_EQ(mu_announce_open(&other, n.place, &n.o, &err), MU_EINVAL);
    XT_CHECKF(strstr(err.text, "is up already"), "%s", err.text);
    an_end(&n);
}

XT_TEST(a_record_left_by_a_dead_process_is_taken_over_at_once)
{
    struct announcer n;
    struct mu_err err = MU_ERR_INIT;
    struct mu_service_record r = sf_record_here(ended_process(), 7);
    an_begin(&n, LONG_AGO);
    sf_write(&n.f, &r);
    int64_t start = mu_now_ns(mu_clock_real());
    XT_OK(an_publish(&n, &err));
    XT_CHECK(mu_now_ns(mu_clock_real()) - start < n.o.silent_ns);
    an_end(&n);
}

XT_TEST(one_left_on_another_machine_is_taken_over_after_its_silence)
{
    struct announcer n;
    struct mu_err err = MU_ERR_INIT;
    struct mu_service_record r = sf_record();
    an_begin(&n, 400 * MS);
    sf_write(&n.f, &r);
    int64_t start = mu_now_ns(mu_clock_real());
    XT_OK(an_publish(&n, &err));
    XT_CHECK(mu_now_ns(mu_clock_real()) - start >= n.o.silent_ns);
    an_end(&n);
}

static void *renew_later(void *arg)
{
    const struct sf *f = arg;
    struct mu_service_record r = sf_record();
    poll(NULL, 0, 150);
    r.beats++;
    mu_service_write(&f->folder, &r, false, NULL);
    return NULL;
}

XT_TEST(one_that_moves_meanwhile_keeps_its_name)
{
    struct announcer n;
    struct mu_err err = MU_ERR_INIT;
    struct mu_service_record r = sf_record();
    pthread_t thread;
    an_begin(&n, LONG_AGO);
    sf_write(&n.f, &r);
    XT_CHECK(pthread_create(&thread, NULL, renew_later, &n.f) == 0);
    int rc = an_publish(&n, &err);
    pthread_join(thread, NULL);
    XT_EQ(rc, MU_EINVAL);
    XT_CHECKF(strstr(err.text, "is up already: process 4711 on node7.cluster"), "%s", err.text);
    an_end(&n);
}

XT_TEST(who_lost_the_name_is_told_and_leaves_it_alone)
{
    struct announcer n;
    struct mu_err err = MU_ERR_INIT;
    struct mu_service_record r = sf_record();
    an_begin(&n, LONG_AGO);
    XT_OK(an_publish(&n, &err));
    sf_write(&n.f, &r);
    for (int i = 0; i < 1000 && mu_announce_check(n.a, &err) == MU_OK; i++) {
        sf_write(&n.f, &r); /* a renewal under way may have replaced it */
        poll(NULL, 0, 5);
    }
    XT_EQ(mu_announce_check(n.a, &err), MU_EPEER);
    XT_CHECKF(strstr(err.text, "has taken over"), "%s", err.text);
    sf_write(&n.f, &r);
    mu_announce_close(n.a);
    n.a = NULL;
    XT_OK(mu_service_read(&n.f.folder, SF_NAME, &r, &err));
    XT_STREQ(r.id, SF_ID);
    an_end(&n);
}

XT_TEST(a_record_taken_away_by_hand_comes_back)
{
    struct announcer n;
    struct mu_err err = MU_ERR_INIT;
    an_begin(&n, LONG_AGO);
    XT_OK(an_publish(&n, &err));
    struct mu_service_record r = await_beat(&n.f, 0);
    XT_CHECK(unlink(n.f.file) == 0);
    await_beat(&n.f, r.beats);
    an_end(&n);
}
