/* device.c - what every kind of device shares: closing and the scratch of ops */
#include "tensor/device.h"

#include "base/check.h"

int mu_device_reserve_work(struct mu_device *d, size_t bytes, struct mu_err *e)
{
    void *p = NULL;
    if (bytes <= d->work_bytes)
        return MU_OK;
    MU_TRY_RETURN(d->dev->alloc(d, &p, bytes, "scratch of operators", e));
    d->dev->free(d, d->work);
    d->work = p;
    d->work_bytes = bytes;
    return MU_OK;
}

void mu_device_close(struct mu_device *d)
{
    if (!d)
        return;
    d->dev->free(d, d->work);
    d->dev->close(d);
}
