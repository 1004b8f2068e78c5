//! C modules made up at random: several files that all have constants at the same places, strings, tables
//! of pointers, variables, and code that chooses among them; and the same C as a program, which says what
//! the right answers are.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::process::Command;

use super::oracle::Dice;

/// How many answers are compared.
pub const ANSWERS: u32 = 24;

/// The C files of a module, but for what is different between a module and a program.
pub struct Generated {
    parts: Vec<String>,
    qstrs: usize,
}

impl Generated {
    /// Makes a module up.
    pub fn new(dice: &mut Dice) -> Generated {
        let count = 2 + dice.roll(5);
        let parts = (0..count).map(|number| part(dice, number, count)).collect();
        Generated { parts, qstrs: dice.roll(150) }
    }

    /// Parts that were written by hand: each defines `int32_t part_N(int32_t)`.
    pub fn of(parts: &[&str]) -> Generated {
        Generated { parts: parts.iter().map(|&part| part.to_owned()).collect(), qstrs: 3 }
    }

    fn files(&self, main: String) -> BTreeMap<String, String> {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for (number, part) in self.parts.iter().enumerate() {
            files.insert(format!("part_{number}.c"), format!("#include <stdint.h>\n{part}"));
        }
        files.insert("main.c".to_owned(), main);
        files
    }

    /// What calls all parts in turn with what the one before returned.
    fn chain(&self) -> String {
        let mut text = String::new();
        for number in 0..self.parts.len() {
            writeln!(text, "int32_t part_{number}(int32_t);").unwrap();
        }
        text.push_str("static int32_t chain(int32_t x) {\n");
        for number in 0..self.parts.len() {
            writeln!(text, "    x = part_{number}(x);").unwrap();
        }
        text + "    return x & 0x3fffffff;\n}\n"
    }

    /// The files of a module with a function `calc`.
    pub fn module(&self) -> BTreeMap<String, String> {
        let mut stores = String::new();
        for number in 0..self.qstrs {
            let name = format!("MP_QSTR_name_{number}");
            writeln!(stores, "    mp_store_global({name}, MP_OBJ_NEW_QSTR({name}));").unwrap();
        }
        let main = format!(
            "#include \"py/dynruntime.h\"\n\
             void *memset(void *s, int c, size_t n) {{ return mp_fun_table.memset_(s, c, n); }}\n\
             void *memcpy(void *d, const void *s, size_t n) {{ return mp_fun_table.memmove_(d, s, n); }}\n\
             {}\
             static mp_obj_t calc(mp_obj_t x) {{\n\
                 return mp_obj_new_int(chain(mp_obj_get_int(x)));\n\
             }}\n\
             static MP_DEFINE_CONST_FUN_OBJ_1(calc_obj, calc);\n\
             mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {{\n\
                 MP_DYNRUNTIME_INIT_ENTRY\n{stores}\
                 mp_store_global(MP_QSTR_calc, MP_OBJ_FROM_PTR(&calc_obj));\n\
                 MP_DYNRUNTIME_INIT_EXIT\n\
             }}\n",
            self.chain()
        );
        self.files(main)
    }

    /// The right answers: those of the same C, compiled as a program of this machine.
    pub fn answers(&self) -> String {
        let main = format!(
            "#include <stdint.h>\n#include <stdio.h>\n{}\
             int main(void) {{\n\
                 printf(\"[\");\n\
                 for (int i = 0; i < {ANSWERS}; i++) printf(i ? \", %d\" : \"%d\", (int)chain(i));\n\
                 printf(\"]\\n\");\n\
             }}\n",
            self.chain()
        );
        let directory = tempfile::tempdir().unwrap();
        let mut compile = Command::new("gcc");
        compile.current_dir(directory.path()).args(["-O1", "-fwrapv", "-o", "program"]);
        for (name, text) in self.files(main) {
            fs::write(directory.path().join(&name), text).unwrap();
            compile.arg(name);
        }
        assert!(compile.status().unwrap().success(), "{compile:?}");
        let output = Command::new(directory.path().join("program")).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What prints the answers of a module in MicroPython.
    pub fn script(name: &str) -> String {
        format!("import {name}\nprint([{name}.calc(i) for i in range({ANSWERS})])")
    }
}

fn numbers(dice: &mut Dice, count: usize, limit: usize) -> String {
    (0..count).map(|_| dice.roll(limit).to_string()).collect::<Vec<_>>().join(", ")
}

/// A part. Sizes are powers of two: no processor here needs its compiler's runtime for them.
fn part(dice: &mut Dice, number: usize, count: usize) -> String {
    let size = 4 << dice.roll(4);
    let mask = size - 1;
    let ty = *dice.one(&["int32_t", "uint16_t", "uint8_t", "int8_t"]);
    let limit = if ty.ends_with("8_t") { 100 } else { 30_000 };
    let words: Vec<String> = (0..4)
        .map(|_| format!("\"{:08x}{}\"", dice.roll(1 << 30), "z".repeat(dice.roll(9))))
        .collect();
    let offset = dice.roll(16);
    let other = dice.roll(count);
    let bss = 8 << dice.roll(4);
    let mut steps = vec![
        format!("h += table[h & {mask}];"),
        format!("h = (h << 5) - h + (uint8_t)words[h & 3][(h >> 4) & 7];"),
        "h += calls[(h >> 1) & 1](h);".to_owned(),
        format!("h += (shared_{other} + {offset})[h & 15];"),
        format!(
            "variables_{number}[h & {}] += h; h ^= variables_{number}[(h >> 3) & {}];",
            bss - 1,
            bss - 1
        ),
        "{ static const uint8_t lut[16] = {LUT}; h += lut[h & 15]; }"
            .replace("LUT", &numbers(dice, 16, 256)),
        format!(
            "h += (uint8_t)(((h & 4) ? \"{}\" : \"tail of {number}\") + 1)[h & 3];",
            "abcdef".repeat(1 + dice.roll(3))
        ),
        format!(
            "{{ int32_t (*volatile f)(int32_t) = {}; h += f(h); }}",
            dice.one(&["mix", "turn"])
        ),
    ];
    let cases: String = (0..9)
        .map(|case| {
            format!(
                "case {case}: h {}= {}; break; ",
                dice.one(&["+", "^", "-"]),
                dice.roll(1 << 20)
            )
        })
        .collect();
    steps.push(format!("switch (h & 15) {{ {cases}default: h += table[3]; }}"));
    let mut body = String::new();
    for _ in 0..6 + dice.roll(6) {
        writeln!(body, "    {}", dice.one(&steps)).unwrap();
    }
    format!(
        "static const {ty} table[{size}] = {{{}}};\n\
         static const char *const words[4] = {{{}}};\n\
         const int32_t shared_{number}[32] = {{{}}};\n\
         extern const int32_t shared_{other}[32];\n\
         uint32_t variables_{number}[{bss}];\n\
         static int32_t mix(int32_t x) {{ return x ^ {}; }}\n\
         static int32_t turn(int32_t x) {{ return x + {}; }}\n\
         static int32_t (*const calls[2])(int32_t) = {{mix, turn}};\n\
         int32_t part_{number}(int32_t x) {{\n    uint32_t h = x;\n    \
         h += words[0][0] + calls[0](h) + table[0] + variables_{number}[0];\n{body}    return h;\n}}\n",
        numbers(dice, size, limit),
        words.join(", "),
        numbers(dice, 32, 1 << 30),
        dice.roll(1 << 20),
        dice.roll(1 << 20),
    )
}

// Each test program uses some of these.
const _: fn(&[&str]) -> Generated = Generated::of;
const _: fn(&Generated) -> String = Generated::answers;
const _: fn(&str) -> String = Generated::script;
