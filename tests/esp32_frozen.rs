//! Where frozen modules are placed in an ESP32's program: what CMake is told, with the real CMake and a port and an
//! ESP-IDF made up by the test. What comes of it with the real ones is in `esp32_real.rs`.

mod common;
#[path = "common/esp32_ground.rs"]
mod esp32_ground;

use std::fs;
use std::process::Command;

use common::command::stderr;
use common::require;
use esp32_ground::{Ground, program, write};

/// As much of ESP-IDF's CMake as the port needs: a component that is looked at twice, first for what it requires.
const PROJECT: &str = r#"
cmake_minimum_required(VERSION 3.16)
file(WRITE ${CMAKE_BINARY_DIR}/sdkconfig "CONFIG_IDF_TARGET=\"esp32c3\"\n")
include(${CMAKE_CURRENT_LIST_DIR}/boards/${MICROPY_BOARD}/mpconfigboard.cmake)
project(micropython NONE)
execute_process(COMMAND ${CMAKE_COMMAND} -DCMAKE_BUILD_EARLY_EXPANSION=1 -P ${CMAKE_CURRENT_LIST_DIR}/main_esp32c3/CMakeLists.txt
    RESULT_VARIABLE failed)
if(failed)
    message(FATAL_ERROR "the component cannot be looked at early")
endif()
set(COMPONENT_NAME main_esp32c3)
add_subdirectory(main_esp32c3)
"#;

const COMPONENT: &str = "include(${CMAKE_CURRENT_LIST_DIR}/../esp32_common.cmake)\n";

/// The port's way to take linker fragments, and what has become of them.
const COMMON: &str = r#"
if(MICROPY_USER_LDFRAGMENTS)
    set(MICROPY_LDFRAGMENTS ${MICROPY_USER_LDFRAGMENTS})
endif()
if(CMAKE_BUILD_EARLY_EXPANSION)
    return()
endif()
set(seen "")
foreach(fragment ${MICROPY_LDFRAGMENTS})
    file(READ ${fragment} text)
    string(APPEND seen "${text}")
endforeach()
get_property(options SOURCE ${CMAKE_BINARY_DIR}/frozen_content.c PROPERTY COMPILE_OPTIONS)
file(WRITE ${CMAKE_BINARY_DIR}/fragments "${seen}")
file(WRITE ${CMAKE_BINARY_DIR}/options "${options}")
"#;

fn ground(common: &str) -> Ground {
    let ground = Ground::new();
    fs::remove_file(ground.path("bin/cmake")).unwrap();
    program(&ground.path("bin/ninja"), "[ \"$1\" = --version ] && echo 1.11.1");
    let port = ground.path("micropython/ports/esp32");
    write(&port.join("CMakeLists.txt"), PROJECT);
    write(&port.join("main_esp32c3/CMakeLists.txt"), COMPONENT);
    write(&port.join("esp32_common.cmake"), common);
    ground
}

/// What the port's CMake saw: the fragments, and the options of what frozen modules become.
#[track_caller]
fn seen(ground: &Ground, command: &mut Command) -> (String, String) {
    // There is nothing to be built, so it ends where products are looked for.
    let output = command.arg("--keep-build").output().unwrap();
    let read = |name: &str| fs::read_to_string(ground.path("work/out.build/build").join(name));
    let fragments = read("fragments").unwrap_or_else(|_| panic!("{}", stderr(&output)));
    (fragments, read("options").unwrap())
}

#[test]
fn frozen_modules_are_placed_last_by_the_ports_own_means() {
    if !require("cmake") {
        return;
    }
    let ground = ground(COMMON);
    let (fragments, options) = seen(&ground, &mut ground.complete());
    assert_eq!(fragments.matches("[mapping:").count(), 1, "{fragments}");
    assert_eq!(options, "-fno-merge-constants");
    // The archive is that of the component which CMake configured, whatever it is called.
    assert!(fragments.contains("\narchive: libmain_esp32c3.a\n"), "{fragments}");
    for placed in ["frozen_content (default);", "rodata -> flash_rodata ALIGN(4096, post)"] {
        assert!(fragments.contains(placed), "{placed}: {fragments}");
    }
    // Upstream's own files are as they were.
    let common = ground.path("micropython/ports/esp32/esp32_common.cmake");
    assert_eq!(fs::read_to_string(common).unwrap(), COMMON);
}

#[test]
fn the_fragments_of_boards_and_users_stay() {
    if !require("cmake") {
        return;
    }
    let ground = ground(COMMON);
    let own = ground.path("own.lf");
    write(&own, "[mapping:own]\n");
    let board = ground.path("micropython/ports/esp32/boards/SOME_C3/mpconfigboard.cmake");
    let by_user = format!("MICROPY_USER_LDFRAGMENTS={}", own.display());
    let by_board = format!("set(IDF_TARGET esp32c3)\nset(MICROPY_LDFRAGMENTS {})\n", own.display());
    for (user, board_file) in
        [(Some(by_user), "set(IDF_TARGET esp32c3)\n".to_owned()), (None, by_board)]
    {
        write(&board, &board_file);
        let mut command = ground.complete();
        command.args(user.iter().flat_map(|value| ["--make-arg", value]));
        let (fragments, _) = seen(&ground, &mut command);
        assert!(
            fragments.contains("[mapping:own]") && fragments.contains("frozen_content"),
            "{fragments}"
        );
    }
}

#[test]
fn a_port_that_takes_no_fragments_is_left_alone_and_so_is_one_that_shall_be() {
    if !require("cmake") {
        return;
    }
    let older = COMMON.replace("MICROPY_USER_LDFRAGMENTS", "ANOTHER_NAME");
    for (common, more) in [(older.as_str(), &[][..]), (COMMON, &["--frozen-last", "off"])] {
        let ground = ground(common);
        let (fragments, options) = seen(&ground, ground.complete().args(more));
        assert_eq!((fragments.as_str(), options.as_str()), ("", ""));
        let copy = ground.path("work/out.build/micropython/ports/esp32/esp32_common.cmake");
        assert_eq!(fs::read_to_string(copy).unwrap(), common);
    }
}
