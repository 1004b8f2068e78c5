/* Gives pseudo-terminals the modem lines DTR and RTS, which the kernel does not: preloaded into a host
 * program, it carries them to the simulated device whose port that is. The device listens on an abstract
 * socket that has the terminal's number in its name; terminals without such a device are as always. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

enum { PTY_MAJOR = 136, GET = 0, SET, RAISE, LOWER };

/* Asks the device; the new state of the lines, or -1 when there is none. */
static int ask(int terminal, unsigned char what, int bits)
{
    struct stat status;
    if (fstat(terminal, &status) || !S_ISCHR(status.st_mode) || major(status.st_rdev) != PTY_MAJOR)
        return -1;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "simulated-device-%u",
                          minor(status.st_rdev));
    int device = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (device < 0)
        return -1;
    unsigned char message[2] = { what, (unsigned char)bits }, answer;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    int result = -1;
    if (!connect(device, (struct sockaddr *)&address, size) && send(device, message, 2, MSG_NOSIGNAL) == 2
        && recv(device, &answer, 1, 0) == 1)
        result = answer;
    close(device);
    return result;
}

int ioctl(int descriptor, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    int *argument = va_arg(arguments, int *);
    va_end(arguments);
    int state = -1;
    switch (request) {
    case TIOCMGET:
        state = ask(descriptor, GET, 0);
        if (state >= 0)
            *argument = state;
        break;
    case TIOCMSET:
        state = ask(descriptor, SET, *argument);
        break;
    case TIOCMBIS:
        state = ask(descriptor, RAISE, *argument);
        break;
    case TIOCMBIC:
        state = ask(descriptor, LOWER, *argument);
        break;
    }
    if (state >= 0)
        return 0;
    int (*next)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    return next(descriptor, request, argument);
}
