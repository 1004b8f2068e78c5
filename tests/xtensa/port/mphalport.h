#include <stddef.h>

#include "py/mpconfig.h"

// There is no clock.
static inline mp_uint_t mp_hal_ticks_ms(void) {
    return 0;
}
