// What MicroPython asks a core's description, from v1.28 on; Debian's compiler comes without one.
#define XCHAL_HAVE_WINDOWED PORT_WINDOWED
