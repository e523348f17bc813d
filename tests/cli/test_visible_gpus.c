/* test_visible_gpus.c - which GPU of those that Slurm shows is a rank's own */
#include <stdlib.h>

#include "cli/visible_gpus.h"
#include "xt.h"

static struct mu_err err;

static bool is_at(const char *list, int place, const char *wanted)
{
    return mu_str_eq(mu_gpus_at(mu_str(list), place), mu_str(wanted));
}

XT_TEST(places_in_a_list)
{
    XT_CHECK(is_at("4,5,6", 0, "4") && is_at("4,5,6", 2, "6") && is_at("4,5,6", 3, "") && is_at("", 0, ""));
    XT_CHECK(is_at("GPU-8f2a,MIG-11,", 1, "MIG-11") && is_at("GPU-8f2a,MIG-11,", 2, ""));
}

static const char *kept(const char *shown, const char *places, int rank)
{
    if (shown)
        setenv("CUDA_VISIBLE_DEVICES", shown, 1);
    else
        unsetenv("CUDA_VISIBLE_DEVICES");
    XT_OK(mu_gpus_keep(places, rank, NULL, &err));
    return getenv("CUDA_VISIBLE_DEVICES");
}

/* By the list that Slurm shows, whatever numbers it has: a job may hold the last GPUs of its node. */
XT_TEST(each_rank_keeps_its_own)
{
    XT_STREQ(kept("2,3", "0", 0), "2");
    XT_STREQ(kept("2,3", "0,1,0", 1), "3");
    XT_STREQ(kept("2,3", "0,1,0", 2), "2");
    XT_STREQ(kept("GPU-a,GPU-b", "1", 0), "GPU-b");
}

/* Parts of a node's cores that are called devices: more of them than GPUs, or no GPU. */
XT_TEST(devices_that_are_no_gpus)
{
    XT_STREQ(kept("0", "3", 0), "0");
    XT_CHECK(!kept(NULL, "3", 0));
}

XT_TEST(places_that_say_nothing_of_a_rank)
{
    XT_FAILS(mu_gpus_keep("0,1", 2, NULL, &err), MU_EUSAGE, "--gpus \"0,1\": rank 2 needs a number from 0 to 63");
    XT_FAILS(mu_gpus_keep("0,x", 1, NULL, &err), MU_EUSAGE, "rank 1 needs a number");
    XT_FAILS(mu_gpus_keep("64", 0, NULL, &err), MU_EUSAGE, "from 0 to 63");
}

XT_MAIN()
