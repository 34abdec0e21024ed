/* Preloaded into a server by tests: syncs that lie, or that fail.
 *
 * BLAZEDB_TEST_SYNC=skip     every fsync and fdatasync returns at once, having done nothing
 * BLAZEDB_TEST_SYNC=fail:N   the N-th one from the start of the process fails with EIO
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_long count;

static int act(const char *name, int fd)
{
    const char *fault = getenv("BLAZEDB_TEST_SYNC");
    if (fault && strcmp(fault, "skip") == 0)
        return 0;
    if (fault && strncmp(fault, "fail:", 5) == 0 && atomic_fetch_add(&count, 1) + 1 == atol(fault + 5)) {
        errno = EIO;
        return -1;
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(fd);
}

int fsync(int fd)
{
    return act("fsync", fd);
}

int fdatasync(int fd)
{
    return act("fdatasync", fd);
}
