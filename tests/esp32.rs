//! The esp32 port: what is checked before anything is compiled, with trees made up by the tests.

mod common;
#[path = "common/esp32_ground.rs"]
mod esp32_ground;

use std::fs;
use std::process::Command;

use common::command::{fail, failed, holds, names_in, stderr};
use esp32_ground::{Ground, MANIFEST, mpb, program, write};

#[test]
fn a_tree_that_is_no_esp_idf_is_refused() {
    let ground = Ground::new();
    ground.refuses(&mut ground.command("SOME_C3"), 2, &["none was given", "--idf DIR", "IDF_PATH"]);
    let mut command = ground.command("SOME_C3");
    command.arg("--idf").arg(ground.path("nowhere"));
    ground.refuses(&mut command, 3, &["cannot find ESP-IDF at", "nowhere", "--idf DIR"]);
    let mut command = ground.command("SOME_C3");
    command.arg("--idf").arg(ground.path("micropython"));
    ground.refuses(&mut command, 3, &["is no ESP-IDF tree", "tools/cmake/version.cmake"]);
    // The environment's is found too.
    let mut command = ground.command("SOME_C3");
    command.env("IDF_PATH", ground.path("micropython"));
    ground.refuses(&mut command, 3, &["is no ESP-IDF tree"]);

    fs::remove_dir_all(ground.path("idf/components/lwip/lwip")).unwrap();
    fs::remove_file(ground.path("idf/components/heap/tlsf/README.md")).unwrap();
    let words = [
        "lacks submodules: components/lwip/lwip components/heap/tlsf",
        "submodule update --init --recursive",
    ];
    ground.refuses(&mut ground.complete(), 3, &words);
    write(&ground.path("idf/tools/cmake/version.cmake"), "set(IDF_VERSION_MAJOR five)\n");
    ground.refuses(&mut ground.complete(), 3, &["version.cmake does not say a version"]);
}

#[test]
fn places_that_esp_idf_cannot_hold_are_refused() {
    let ground = Ground::new();
    let spaced = ground.path("esp idf");
    fs::rename(ground.path("idf"), &spaced).unwrap();
    let mut command = ground.command("SOME_C3");
    command.arg("--idf").arg(&spaced);
    ground.refuses(&mut command, 3, &["esp idf", "characters that its build files cannot hold"]);
    fs::rename(&spaced, ground.path("idf")).unwrap();

    let place = ground.path("an öther");
    fs::create_dir(&place).unwrap();
    ground.refuses(ground.complete().current_dir(&place), 3, &["an öther", "--out"]);
    assert_eq!(names_in(&place), Vec::<String>::new());
}

#[test]
fn a_compiler_or_python_that_will_not_do_is_refused() {
    let ground = Ground::new();
    let compiler = ground.path("bin/riscv32-esp-elf-gcc");
    fs::remove_file(&compiler).unwrap();
    let words = ["riscv32-esp-elf-gcc, is not on PATH or does not run", "install.sh esp32c3"];
    ground.refuses(&mut ground.complete(), 3, &words);
    program(&compiler, "exit 1");
    ground.refuses(&mut ground.complete(), 3, &words);
    ground.compiler("gcc 1");

    program(&ground.path("bin/python"), "echo idf_component_manager kconfgen");
    let words = [
        "lacks packages",
        "idf-component-manager, esp-idf-kconfig",
        "-m pip install",
        "--python FILE",
    ];
    ground.refuses(&mut ground.complete(), 3, &words);
    program(&ground.path("bin/python"), "echo 'not today' >&2; exit 1");
    ground.refuses(
        &mut ground.complete(),
        3,
        &["is no Python that runs: not today", "--python FILE"],
    );
    fs::remove_file(ground.path("bin/python")).unwrap();
    let words = ["bin/python is not installed", "--python FILE"];
    ground.refuses(&mut ground.complete(), 3, &words);
}

#[test]
fn the_python_of_the_build_is_the_one_that_was_named() {
    let ground = Ground::new();
    let python = "[ \"$1\" = -c ] || echo \"CMake Error: python got $*\" >&2";
    program(&ground.path("bin/python"), python);
    ground.cmake("python one 'two three'; exit 1");
    let mut by_name = ground.command("SOME_C3");
    by_name.args(["--python", "python", "--time-limit", "60", "--idf"]).arg(ground.path("idf"));
    by_name.arg("--components").arg(ground.path("components"));
    for mut command in [ground.complete(), by_name] {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        assert!(stderr(&output).contains("python got one two three"), "{}", stderr(&output));
    }
}

#[test]
fn flags_of_the_user_are_added_to_those_of_the_build() {
    let ground = Ground::new();
    ground.cmake("for argument; do echo \"CMake Error: $argument\" >&2; done; exit 1");
    let mut command = ground.complete();
    command.args(["--make-arg", "CMAKE_C_FLAGS=-DONE=1", "--make-arg", "MICROPY_PY_BTREE=0"]);
    assert_eq!(command.output().unwrap().status.code(), Some(4));
    let log = fs::read_to_string(ground.path("work/out.log")).unwrap();
    let of = |name: &str| -> Vec<&str> {
        let name = format!("CMake Error: -D{name}=");
        log.lines().filter_map(|line| line.strip_prefix(&name)).collect()
    };
    let [flags] = of("CMAKE_C_FLAGS")[..] else { panic!("{log}") };
    assert!(flags.starts_with("-ffile-prefix-map=/") && flags.ends_with(" -DONE=1"), "{flags}");
    assert_eq!(of("MICROPY_PY_BTREE"), ["0"]);
    assert_eq!(of("CMAKE_CXX_FLAGS").len(), 1);
}

#[test]
fn chips_and_boards_that_cannot_be_built_are_refused() {
    let ground = Ground::new();
    let with_idf = |board: &str| {
        let mut command = ground.command(board);
        command.arg("--idf").arg(ground.path("idf")).arg("--python").arg(ground.path("bin/python"));
        command
    };
    ground.refuses(&mut with_idf("SOME_X9"), 3, &["ESP-IDF 5.3.0 does not know the chip esp32x9"]);
    ground.refuses(&mut with_idf("SOME"), 3, &["ESP-IDF 5.3.0 does not know the chip esp32\n"]);
    for list in ["['linux', 'esp32c3', 'esp32c61']", "[\n    'linux',\n    'esp32c3',\n]"] {
        let text = format!("SUPPORTED_TARGETS = ['esp32']\nPREVIEW_TARGETS = {list}\n");
        write(&ground.path("idf/tools/idf_py_actions/constants.py"), &text);
        let words = ["ESP-IDF 5.3.0 has the chip esp32c3 as a preview only", "newer ESP-IDF"];
        ground.refuses(&mut with_idf("SOME_C3"), 3, &words);
    }
    let mut command = with_idf("SOME_C3");
    command.args(["--make-arg", "MICROPY_BOARD=SOME"]);
    ground.refuses(&mut command, 2, &["MICROPY_BOARD is set by the board's name"]);
}

#[test]
fn a_failure_of_cmake_is_told_and_with_it_which_submodules_are_absent() {
    let ground = Ground::new();
    let says = "CMake Error at x/CMakeLists.txt:3 (message):\n  Missing\n  it.\nCall Stack:\n";
    ground.cmake(&format!("printf '{says}' >&2; exit 1"));
    let modules = ["lwip/lwip", "mqtt/esp-mqtt", "spiffs/spiffs"];
    let text = modules.map(|it| format!("[submodule \"x\"]\n\tpath = components/{it}\n"));
    write(&ground.path("idf/.gitmodules"), &text.concat());
    write(&ground.path("idf/components/spiffs/spiffs/x.c"), "");
    let output = ground.complete().output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    let expected = "error: CMake Error at x/CMakeLists.txt:3 (message): Missing it.\n";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("for want of ESP-IDF's components/mqtt/esp-mqtt: `git -C"), "{text}");
}

#[test]
fn components_have_to_be_those_of_the_lock() {
    let ground = Ground::new();
    let words = [
        "needs the ESP-IDF component espressif/mdns 1.1.0",
        "vendor --micropython",
        "--target esp32c3",
    ];
    ground.refuses(&mut ground.with_idf(), 2, &words);
    let mut command = ground.with_idf();
    command.arg("--components").arg(ground.path("idf"));
    ground.refuses(
        &mut command,
        3,
        &["does not hold the ESP-IDF component espressif/mdns", "vendor"],
    );

    // What its files are decides, whatever the file beside them says.
    let source = ground.path("components/espressif__mdns/mdns.c");
    fs::write(&source, "int evil;\n").unwrap();
    ground.refuses(
        &mut ground.complete(),
        5,
        &["espressif__mdns: its hash differs from the lock", "vendor"],
    );
    fs::write(&source, "int mdns;\n").unwrap();
    fs::write(ground.path("components/espressif__mdns/more.c"), "").unwrap();
    ground.refuses(&mut ground.complete(), 5, &["its hash differs from the lock"]);
}

#[test]
fn a_lock_has_to_fit_manifest_and_esp_idf() {
    let ground = Ground::new();
    let lockfiles = ground.path("micropython/ports/esp32/lockfiles");
    let hash =
        fs::read_to_string(ground.path("components/espressif__mdns/.component_hash")).unwrap();
    ground.lock(&hash, ">=5.4");
    ground.refuses(
        &mut ground.complete(),
        3,
        &["espressif/mdns", "needs ESP-IDF >=5.4", "is 5.3.0"],
    );
    ground.lock(&hash, ">=5.0");

    let manifest = ground.path("micropython/ports/esp32/main/idf_component.yml");
    fs::write(&manifest, MANIFEST.replace("~1.1.0", "~1.2.0")).unwrap();
    let words = [
        "lock ports/esp32/lockfiles/dependencies.lock.esp32c3 is stale",
        "ports/esp32/main/idf_component.yml",
    ];
    ground.refuses(&mut ground.complete(), 3, &words);
    fs::write(&manifest, MANIFEST).unwrap();

    fs::write(lockfiles.join("dependencies.lock.esp32c3"), "version: 9.0.0\n").unwrap();
    ground.refuses(&mut ground.complete(), 3, &["dependencies.lock.esp32c3"]);
    fs::remove_dir_all(&lockfiles).unwrap();
    let words = ["MicroPython v1.28.0 has no lock of ESP-IDF components for esp32c3", "v1.26.1"];
    ground.refuses(&mut ground.complete(), 3, &words);
}

#[test]
fn what_user_c_modules_need_has_to_be_in_the_lock() {
    let ground = Ground::new();
    let module = ground.path("modules/needy");
    write(&module.join("micropython.cmake"), "");
    let needs = module.join("idf_component.yml");
    let with_module = || {
        let mut command = ground.complete();
        command.arg("--user-c-modules").arg(ground.path("modules"));
        command
    };
    let builds = |command: &mut Command| {
        let said = stderr(&command.output().unwrap());
        assert!(said.contains("this is where the real one begins"), "{said}");
        fs::remove_file(ground.path("work/out.log")).unwrap();
    };
    // What the tree's lock has already is enough.
    for enough in ["idf: \">=5.0\"", "espressif/mdns: \">=1.0.5\"", "mdns: \"*\""] {
        write(&needs, &format!("dependencies:\n  {enough}\n"));
        builds(&mut with_module());
    }
    for more in ["idf: \">=5.4\"", "mdns: \">=1.1.1\"", "other/part: \"*\""] {
        write(&needs, &format!("dependencies:\n  {more}\n"));
        let manifest = format!("--manifest {}", needs.display());
        let words = ["the user C modules ask for", "idf_component.yml", &manifest, "--idf"];
        ground.refuses(&mut with_module(), 3, &words);
    }

    // A lock of the user's own, made by the command of the hint.
    write(&needs, "dependencies:\n  mdns: \">=1.0.5\"\n");
    let lock = ground.path("dependencies.lock.esp32c3");
    let mut command = mpb();
    command.arg("lock").arg("--micropython").arg(ground.path("micropython"));
    command.args(["--target", "esp32c3", "--idf"]).arg(ground.path("idf"));
    command.arg("--manifest").arg(&needs).arg("--out").arg(&lock);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    builds(with_module().arg("--lock").arg(&lock));

    let vendor = format!("`micropython-builder vendor --lock {} --out", lock.display());
    let mut without = ground.with_idf();
    without.arg("--user-c-modules").arg(&module).arg("--lock").arg(&lock);
    ground.refuses(&mut without, 2, &["no components were given", &vendor]);
    let words = ["is stale: it was not made from", "what these user C modules ask for"];
    write(&needs, "dependencies:\n  mdns: \">=1.0.6\"\n");
    ground.refuses(with_module().arg("--lock").arg(&lock), 3, &words);

    let text = fs::read_to_string(&lock).unwrap();
    write(&lock, &text.replace("target: esp32c3", "target: esp32s3"));
    let words = [lock.to_str().unwrap(), "is for esp32s3, not for esp32c3", "lock --micropython"];
    ground.refuses(with_module().arg("--lock").arg(&lock), 3, &words);
}

#[test]
fn an_esp_idf_that_is_too_old_is_refused_and_an_unusual_one_warned_about() {
    let ground = Ground::new();
    ground.idf_version("5.2.2");
    let words = ["MicroPython v1.28.0 needs ESP-IDF >=5.3.0", "is 5.2.2", "checkout v5.5.1"];
    ground.refuses(&mut ground.complete(), 3, &words);

    let fails = |words: &[&str], absent: &[&str]| {
        let output = ground.complete().output().unwrap();
        let text = stderr(&output);
        failed(&output, 4, &["CMake Error: this is where the real one begins", "out.log"]);
        holds(&text, words);
        for word in absent {
            assert!(!text.contains(word), "{word:?} is in:\n{text}");
        }
        assert_eq!(names_in(&ground.path("work")), ["out.log"]);
    };
    ground.idf_version("5.3.0");
    fails(&[], &["warning: "]);
    ground.idf_version("5.3.7");
    fails(
        &[
            "warning: upstream does not build MicroPython v1.28.0 with ESP-IDF 5.3.7",
            "(best v5.5.1)",
        ],
        &[],
    );
    ground.idf_version("5.3.0");
    ground.compiler("riscv32-esp-elf-gcc (crosstool-NG esp-12.2.0_20230208) 12.2.0");
    fails(
        &[
            "warning: ESP-IDF 5.3.0 recommends riscv32-esp-elf-gcc of esp-13.2.0_20240530",
            "esp-12.2.0",
        ],
        &[],
    );
}

#[test]
fn a_partition_table_that_does_not_fit_is_refused_before_compiling() {
    let ground = Ground::new();
    ground.cmake(
        "while [ \"$1\" != -B ]; do shift; done; mkdir -p \"$2\"\n\
         echo 'CONFIG_PARTITION_TABLE_FILENAME=\"micropython-builder-partitions.csv\"' > \"$2/sdkconfig\"\n\
         echo 'CONFIG_ESPTOOLPY_FLASHSIZE=\"4MB\"' >> \"$2/sdkconfig\"",
    );
    let table = ground.path("table.csv");
    let refuses = |text: &str, words: &[&str]| {
        fs::write(&table, text).unwrap();
        let mut command = ground.complete();
        command.arg("--partition-table").arg(&table);
        fail(command, 3, words);
        assert_eq!(names_in(&ground.path("work")), Vec::<String>::new());
    };
    let named = format!("the partition table {}", table.display());
    refuses("nvs, data, nvs, 0x9000, 0x6000,\nfactory, app, factory, 0x10000, 8M,\n", &[&named]);
    refuses("nvs, data\n", &[&named]);
    let mut command = ground.complete();
    command.args(["--partition-table", "nowhere.csv"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("cannot read nowhere.csv"), "{}", stderr(&output));
}

#[test]
fn a_chip_that_cmake_sees_differently_is_noticed() {
    let ground = Ground::new();
    ground.cmake(
        "while [ \"$1\" != -B ]; do shift; done; mkdir -p \"$2\"\n\
         echo 'CONFIG_IDF_TARGET=\"esp32s3\"' > \"$2/sdkconfig\"",
    );
    let words =
        ["with the chip esp32c3, but CMake configured it for esp32s3", "set(IDF_TARGET esp32s3)"];
    ground.refuses(&mut ground.complete(), 3, &words);
}
