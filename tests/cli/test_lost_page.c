/* test_lost_page.c - a mapped file that is cut short ends the program with a sentence and a status of its own */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/lost_page.h"
#include "xt.h"

#define BYTES 65536

/* In a process of its own, whose standard error goes to fd. */
static void lose_a_page(const char *path, int fd)
{
    int file = open(path, O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, BYTES) != 0 || dup2(fd, STDERR_FILENO) < 0)
        _exit(99);
    const volatile char *p = mmap(NULL, BYTES, PROT_READ, MAP_PRIVATE, file, 0);
    if (p == MAP_FAILED || p[BYTES - 1] != 0 || ftruncate(file, 0) != 0)
        _exit(98);
    mu_lost_page_watch();
    _exit(p[BYTES - 1] == 0 ? 97 : 96);
}

XT_TEST(a_lost_page_is_told)
{
    char path[600], told[400] = "";
    int ends[2], status = 0;

    snprintf(path, sizeof path, "%s/mapped", xt_tmpdir());
    XT_CHECK(pipe(ends) == 0);
    fflush(NULL);
    pid_t child = fork();
    XT_CHECK(child >= 0);
    if (child == 0)
        lose_a_page(path, ends[1]);
    close(ends[1]);
    ssize_t n = read(ends[0], told, sizeof told - 1);
    close(ends[0]);
    XT_CHECK(waitpid(child, &status, 0) == child && n > 0);
    XT_CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == mu_code_exit_status(MU_ECHANGED), "status %x", status);
    XT_CHECKF(strstr(told, "the packed model was cut short"), "\"%s\"", told);
}

XT_MAIN()
