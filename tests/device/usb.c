/* Gives a host program the serial ports of a simulated USB, which the kernel does not know: preloaded into it, what
 * it looks up of /sys/class/tty is looked up in the directory that SIMULATED_USB names, and so are the files of /dev
 * that are there. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Where a path really is. */
static const char *real(const char *path, char *place)
{
    static const char ports[] = "/sys/class/tty", devices[] = "/dev/tty";
    const char *usb = getenv("SIMULATED_USB");
    if (!usb || !path)
        return path;
    if (!strncmp(path, ports, sizeof ports - 1)) {
        snprintf(place, PATH_MAX, "%s/class/tty%s", usb, path + sizeof ports - 1);
        return place;
    }
    if (strncmp(path, devices, sizeof devices - 1))
        return path;
    snprintf(place, PATH_MAX, "%s%s", usb, path);
    return NEXT(faccessat)(AT_FDCWD, place, F_OK, AT_SYMLINK_NOFOLLOW) ? path : place;
}

DIR *opendir(const char *path)
{
    char place[PATH_MAX];
    return NEXT(opendir)(real(path, place));
}

int open64(const char *path, int flags, ...)
{
    char place[PATH_MAX];
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = va_arg(arguments, mode_t);
    va_end(arguments);
    return NEXT(open64)(real(path, place), flags, mode);
}

int open(const char *path, int flags, ...)
{
    char place[PATH_MAX];
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = va_arg(arguments, mode_t);
    va_end(arguments);
    return NEXT(open)(real(path, place), flags, mode);
}

int stat64(const char *path, struct stat64 *status)
{
    char place[PATH_MAX];
    return NEXT(stat64)(real(path, place), status);
}

int statx(int directory, const char *path, int flags, unsigned mask, struct statx *status)
{
    char place[PATH_MAX];
    return NEXT(statx)(directory, real(path, place), flags, mask, status);
}

char *realpath(const char *path, char *resolved)
{
    char place[PATH_MAX];
    const char *found = real(path, place);
    /* A device is itself, and no link to a terminal. */
    if (found == place && !strncmp(path, "/dev/", 5))
        return resolved ? strcpy(resolved, path) : strdup(path);
    return NEXT(realpath)(found, resolved);
}
