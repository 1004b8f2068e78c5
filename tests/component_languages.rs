//! The small languages of manifests and locks (versions, conditions, YAML): the component manager's
//! own code and PyYAML are the oracles.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/oracle.rs"]
mod oracle;

use micropython_builder::component::condition::{Condition, Situation};
use micropython_builder::component::version::{Spec, Version};
use micropython_builder::component::yaml::{self, Style};
use oracle::{Dice, ask};
use serde_json::{Value, json};

const SPECS: &str = r#"
import json, sys
from idf_component_tools.semver import SimpleSpec, Version
q = json.load(sys.stdin)
def version(text):
    try: return Version(text)
    except ValueError: return None
versions = [version(v) for v in q['versions']]
specs = []
for text in q['specs']:
    try: spec = SimpleSpec(text)
    except (ValueError, AssertionError): specs.append(None); continue
    specs.append([spec.match(v) for v in versions if v] + [spec.contains_prerelease])
known = [v for v in versions if v]
print(json.dumps({'known': [v is not None for v in versions], 'specs': specs,
                  'order': [[a < b for b in known] for a in known], 'text': [str(v) for v in known]}))
"#;

#[test]
fn versions_are_what_the_manager_takes_them_for() {
    let Some(python) = common::python(&["idf_component_tools"]) else { return };
    let versions = [
        "0.0.0",
        "0.0.1",
        "0.0.2",
        "0.1.0",
        "0.1.9",
        "0.2.0",
        "1.0.0-rc.1",
        "1.0.0-rc.2",
        "1.0.0-alpha",
        "1.0.0-10",
        "1.0.0-9",
        "1.0.0",
        "1.0.0~1-rc",
        "1.0.0~1",
        "1.0.0~10",
        "1.0.1",
        "1.2.0",
        "1.2.3",
        "1.2.3~2",
        "1.2.3+b",
        "1.2.3-pre+b",
        "2.0.0-rc",
        "2.0.0",
        "10.0.0",
        "1.0",
        "1.0.0.0",
        "01.0.0",
        "1.0.0-",
        "1.0.0~",
        "v1.0.0",
        "1.0.0-01",
        "1.0.0-a..b",
        "",
    ];
    let operators = ["", "=", "==", "!=", "<", "<=", ">", ">=", "^", "~", "~="];
    let targets = [
        "*",
        "0",
        "1",
        "1.2",
        "1.2.3",
        "0.1.0",
        "0.0.1",
        "1.0.0~1",
        "1.0.0-rc.1",
        "1.0.0-",
        "1.2.3+b",
        "1.2.3+",
        "1.*",
        "1.2.*",
        "2.0.0",
        "01",
        "1.2.3.4",
        "1.2~1",
        "1.*.3",
        "1.0.0-a_b",
        "x",
    ];
    let mut specs: Vec<String> = operators
        .iter()
        .flat_map(|it| targets.iter().map(move |target| format!("{it}{target}")))
        .collect();
    for text in [">=1.0,<2.0", ">=1.0, <2", "^1.0.0,!=1.2.3", "", ",", ">=1.0.0-rc.1,<1.0.1", "=>1"]
    {
        specs.push(text.to_owned());
    }
    let answer = ask(&python, SPECS, &json!({"versions": versions.to_vec(), "specs": specs}));
    let parsed: Vec<Option<Version>> = versions.iter().map(|it| it.parse().ok()).collect();
    assert_eq!(json!(parsed.iter().map(Option::is_some).collect::<Vec<_>>()), answer["known"]);
    let known: Vec<Version> = parsed.into_iter().flatten().collect();
    assert_eq!(json!(known.iter().map(ToString::to_string).collect::<Vec<_>>()), answer["text"]);
    for (text, expected) in specs.iter().zip(answer["specs"].as_array().unwrap()) {
        let Ok(spec) = text.parse::<Spec>() else {
            assert!(expected.is_null(), "{text:?} is refused, the manager takes it");
            continue;
        };
        assert!(!expected.is_null(), "{text:?} is taken, the manager refuses it");
        let mut found: Vec<bool> = known.iter().map(|version| spec.matches(version)).collect();
        found.push(spec.names_prerelease());
        assert_eq!(json!(found), *expected, "{text}");
    }
    for (left, row) in known.iter().zip(answer["order"].as_array().unwrap()) {
        for (right, less) in known.iter().zip(row.as_array().unwrap()) {
            // Builds have no order there, and one here so that sets are possible.
            if left.to_string().contains('+') == right.to_string().contains('+') {
                assert_eq!(left < right, less.as_bool().unwrap(), "{left} < {right}");
            }
        }
    }
}

const CONDITIONS: &str = r#"
import json, sys
from idf_component_tools.manifest.if_parser import parse_if_clause
answers = []
for text in json.load(sys.stdin):
    try: answers.append(parse_if_clause(text).get_value())
    except Exception: answers.append(None)
print(json.dumps(answers))
"#;

#[test]
fn conditions_hold_when_the_manager_says_so() {
    let Some(python) = common::python(&["idf_component_tools"]) else { return };
    let mut texts: Vec<String> = [
        "target == esp32s3 && idf_version >=5 && target == esp32",
        "target == esp32 || target == esp32c3 || target == esp32s3",
        "(target == esp32) || (idf_version == 5.5.1)",
        "target == esp32s3 || target == x && idf_version <5",
        "target in esp32s3",
        "target in [\"esp32s3\",esp32]",
        "target not in [esp32]",
        "5 in [5]",
        "5 == 5",
        "5 == True",
        "True == True",
        "abc == abc",
        "abc < abd",
        "1.2.3 >= 1.0",
        "abc >= 1.0",
        "target in [esp32 s3]",
        "target in []",
        "target in",
        "target",
        "",
        "target == a b c",
        "a == b c == d",
        "(target == x",
        "((target == esp32s3))",
        "target > esp32",
        "0x10 == 16",
        "target == esp32s3 &&",
        "target==esp32s3",
        "idf_version >= 5.3.0, <6",
        "idf_version in [5.5.1]",
    ]
    .map(str::to_owned)
    .to_vec();
    for operator in ["<=", "<", ">=", ">", "~=", "~", "==", "!=", "=", "^"] {
        for version in ["5", "5.5", "5.5.1", "5.3.0", "\"5.5.1\"", "6.0", "x"] {
            texts.push(format!("idf_version {operator} {version}"));
        }
    }
    let answers = ask(&python, CONDITIONS, &json!(texts));
    let situation =
        Situation { target: "esp32s3".to_owned(), idf_version: "5.5.1".parse().unwrap() };
    for (text, expected) in texts.iter().zip(answers.as_array().unwrap()) {
        let found = Condition::parse(text).and_then(|it| it.holds(&situation)).ok();
        assert_eq!(json!(found), *expected, "{text}");
    }
}

const DUMPS: &str = r#"
import json, sys, yaml
q = json.load(sys.stdin)
print(json.dumps([[yaml.dump(v, default_flow_style=False),
                   yaml.dump(v, default_flow_style=False, width=2048, allow_unicode=True)] for v in q]))
"#;

#[test]
fn yaml_is_written_as_pyyaml_writes_it() {
    let Some(python) = common::python(&["yaml"]) else { return };
    let pieces = [
        "a",
        "b c",
        " ",
        "  ",
        "\n",
        "\t",
        ":",
        ": ",
        "#",
        " #",
        "'",
        "\"",
        "\\",
        "é",
        "日本語",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "😀",
        "-",
        "- ",
        "?",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&x",
        "*x",
        "!x",
        "|",
        ">",
        "%",
        "@",
        "`",
        "---",
        "...",
        "null",
        "yes",
        "No",
        "1",
        "1.5",
        "0x1f",
        "017",
        "1_0",
        "1:30",
        "2024-01-02",
        "2024-01-02 03:04:05",
        "=",
        "<<",
        "~",
        "~1.1",
        "\0",
        "\u{7}",
        "\u{1b}",
        "\u{a0}",
        "word and another word",
        "a longer run of words that makes lines reach the width at which they are folded into two",
    ];
    let mut dice = Dice(77);
    let mut values: Vec<Value> = pieces.iter().map(|it| json!({ "k": it })).collect();
    for _ in 0..3000 {
        let text: String = dice.some(&pieces, 6).concat();
        values.push(match dice.roll(5) {
            0 => json!({ "key": text, "list": [text, [text, {"a": text}], {"b": [text], "c": {}}, []] }),
            1 => json!({ "nested": {"deeper": {"deepest": text}}, "n": 1, "t": true, "z": null }),
            2 => json!([text, {"k": text}]),
            _ => json!({ "k": text }),
        });
    }
    let answers = ask(&python, DUMPS, &json!(values));
    for (value, expected) in values.iter().zip(answers.as_array().unwrap()) {
        for (style, expected) in [Style::REGISTRY, Style { core_schema: false, ..Style::LOCK }]
            .into_iter()
            .zip(expected.as_array().unwrap())
        {
            assert_eq!(yaml::dump(value, style).unwrap(), expected.as_str().unwrap(), "{value}");
        }
    }
}
