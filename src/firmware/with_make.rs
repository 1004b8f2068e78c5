//! Building ports whose build is a makefile.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::job::{Built, Job, Product, compiler_version};
use super::plan::Recipe;
use super::record::{Boots, Emulator};
use super::{manifest, submodule};
use crate::error::Result;
use crate::upstream::make::{Make, makefile_word, prefix_maps};

/// From a port's directory to the workspace. Everything a makefile is given is relative to it, so
/// that where the workspace lies neither shows in the bytes nor has to survive make's word splitting.
const TO_WORKSPACE: &str = "../../..";

/// Builds a port as its recipe says.
pub(super) fn build(job: &Job<'_>, recipe: &Recipe) -> Result<Built> {
    job.bring_manifest_tool()?;
    let make = prepare(job, recipe);
    let facts = make.facts()?;
    job.bring_submodules(&submodule::needed(job.submodules, &facts))?;
    let frozen_modules = job.frozen_modules(&|| manifest::facts_of_make(&make))?;
    let compiler = compiler_version(&facts.compiler)?;
    job.bring_mpy_cross()?;

    job.report.step(&format!("building {}", job.label()));
    make.run(job.request.jobs, &job.workspace.log(), job.deadline)?;

    let products = recipe.products.iter().map(|(role, name)| Product {
        role: *role,
        built: job.workspace.build().join(name),
        name: (*name).to_owned(),
        offset: None,
    });
    Ok(Built {
        products: products.collect(),
        frozen_modules,
        compiler,
        emulator: recipe.emulated.then(|| emulator(&facts.emulator)).flatten(),
        esp_idf: None,
    })
}

/// The makefile of the port with everything that decides the build.
fn prepare(job: &Job<'_>, recipe: &Recipe) -> Make {
    let request = job.request;
    let mut variables: Vec<OsString> = recipe.variables.iter().map(OsString::from).collect();
    let mut set = |name: &str, value: &str| {
        variables.push(format!("{name}={TO_WORKSPACE}/{value}").into());
    };
    set("BUILD", "build");
    set("MICROPY_MPYCROSS", "tools/mpy-cross");
    set("MPY_LIB_DIR", "micropython-lib");
    if !job.modules.is_empty() {
        set("USER_C_MODULES", "user_c_modules");
    }
    if !request.manifests.is_empty() {
        set("FROZEN_MANIFEST", "manifest.py");
    }
    variables.push("MICROPY_MPYCROSS_DEPENDENCY=".into());
    let (flags, others): (Vec<&String>, Vec<&String>) =
        request.make_arguments.iter().partition(|argument| argument.starts_with("CFLAGS_EXTRA="));
    variables.extend(others.into_iter().map(OsString::from));
    let mut environment = job.environment();
    let flags = compiler_flags(job.workspace.path(), recipe, &flags);
    environment.push(("CFLAGS_EXTRA".into(), flags));
    Make { directory: job.workspace.port(&request.target.port), variables, environment }
}

/// `CFLAGS_EXTRA`: in the environment, so that makefiles can add to it.
fn compiler_flags(workspace: &Path, recipe: &Recipe, user: &[&String]) -> OsString {
    let maps = prefix_maps(workspace, ".").map(|flag| makefile_word(&flag));
    let mut flags = maps.join(OsStr::new(" "));
    let user = user.iter().filter_map(|argument| argument.split_once('=')).map(|(_, flags)| flags);
    for flag in recipe.compiler_flags.iter().map(String::as_str).chain(user) {
        flags.push(" ");
        flags.push(flag);
    }
    flags
}

fn emulator(words: &[String]) -> Option<Emulator> {
    let (program, arguments) = words.split_first()?;
    Some(Emulator { program: program.clone(), arguments: arguments.to_vec(), boots: Boots::Kernel })
}
