// What this port is: everything that native modules and upstream's tests of them use, and no hardware.

#include <alloca.h>
#include <stdint.h>

#define MICROPY_CONFIG_ROM_LEVEL        (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

#define MICROPY_PERSISTENT_CODE_LOAD    (1)
#if PORT_WINDOWED
#define MICROPY_EMIT_XTENSAWIN          (1)
#else
#define MICROPY_EMIT_XTENSA             (1)
#endif

#define MICROPY_ENABLE_GC               (1)
#define MICROPY_NLR_SETJMP              (1)
#define MICROPY_LONGINT_IMPL            (MICROPY_LONGINT_IMPL_MPZ)
#define MICROPY_FLOAT_IMPL              (MICROPY_FLOAT_IMPL_FLOAT)
#define MICROPY_STACK_CHECK             (1)
#define MICROPY_VFS                     (1)
#define MICROPY_READER_VFS              (1)

#define MICROPY_ENABLE_SCHEDULER        (0)
#define MICROPY_KBD_EXCEPTION           (0)
#define MICROPY_HELPER_REPL             (0)
#define MICROPY_PY_ASYNCIO              (0)
#define MICROPY_PY_BUILTINS_HELP        (0)
#define MICROPY_PY_BUILTINS_INPUT       (0)
#define MICROPY_PY_MACHINE              (0)
#define MICROPY_PY_OS                   (0)
// Upstream's tests test the module of that name, which must not be there already.
#define MICROPY_PY_RANDOM               (0)
#define MICROPY_PY_SELECT               (0)
#define MICROPY_PY_SYS_PLATFORM         "linux-user"
#define MICROPY_PY_SYS_STDFILES         (0)
#define MICROPY_PY_TIME                 (0)

#define MICROPY_HW_BOARD_NAME           "qemu-xtensa"
#if PORT_WINDOWED
#define MICROPY_HW_MCU_NAME             "xtensawin"
#else
#define MICROPY_HW_MCU_NAME             "xtensa"
#endif

// picolibc has no log2 for single precision.
#define MP_NEED_LOG2                    (1)
#define MP_SSIZE_MAX                    (0x7fffffff)

// Releases up to v1.25 leave these to the port.
typedef intptr_t mp_int_t;
typedef uintptr_t mp_uint_t;
typedef long mp_off_t;

#define MP_STATE_PORT MP_STATE_VM
