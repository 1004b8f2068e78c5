# Frozen modules behind everything else, so that what changes in them moves nothing (src/firmware/esp32/frozen.rs).
# Included by the copy of esp32_common.cmake, before anything in it.
if(NOT CMAKE_BUILD_EARLY_EXPANSION)
    # Without a fragment of its own, the port takes the board's.
    if(NOT MICROPY_USER_LDFRAGMENTS)
        set(MICROPY_USER_LDFRAGMENTS ${MICROPY_LDFRAGMENTS})
    endif()
    configure_file(${CMAKE_CURRENT_LIST_DIR}/frozen.lf.in ${CMAKE_CURRENT_BINARY_DIR}/frozen.lf @ONLY)
    list(APPEND MICROPY_USER_LDFRAGMENTS ${CMAKE_CURRENT_BINARY_DIR}/frozen.lf)
    # A string that the linker merges with one of a module would move what comes after it.
    set_property(SOURCE ${CMAKE_BINARY_DIR}/frozen_content.c APPEND PROPERTY COMPILE_OPTIONS -fno-merge-constants)
endif()
