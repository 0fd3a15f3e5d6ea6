//! Templates in kubectl's dialect; what kubectl itself makes of them is in the tests on the cluster.

use pod_quarantine::plugin::jsonpath::Template;
use serde_json::json;

fn filled(template: &str) -> Result<String, String> {
    let value = json!({
        "kind": "List",
        "none": null,
        "a.b": "dotted",
        "items": [
            { "name": "web-0", "held": true, "restarts": 3, "labels": { "app": "web", "b": "<&>" } },
            { "name": "web-1", "held": false, "restarts": 0, "labels": { "app": "api" }, "node": "n" },
        ],
    });
    let template = Template::parse(template).map_err(|mistake| mistake.to_string())?;
    template.fill(&value).map_err(|mistake| mistake.to_string())
}

#[test]
fn a_template_is_text_and_what_is_found() {
    for (template, text) in [
        ("plain .items", "plain .items"),
        ("{.kind}", "List"),
        ("{$.kind}-{@.kind}", "List-List"),
        ("{.items[*].name}", "web-0 web-1"),
        (
            "{.items[0].labels}",
            r#"{"app":"web","b":"\u003c\u0026\u003e"}"#,
        ),
        ("{.items[-1:].name}{'\\n'}", "web-1\n"),
        ("{.items[0,1].restarts}", "3 0"),
        ("{.items[0]['name','held']}", "web-0 true"),
        (r"{.a\.b}", "dotted"),
        ("{.none}{.missing}{.kind.x}", "null"),
        ("{..app}", "web api"),
        ("{.items[?(@.held==true)].name}", "web-0"),
        ("{.items[?(@.restarts<1)].name}", "web-1"),
        ("{.items[?(@.node)].name}", "web-1"),
        (r#"{.items[?(@.labels.app=="web")].name}"#, "web-0"),
        (
            r#"{range .items[*]}{.name}{"\t"}{.labels.app}{"\n"}{end}."#,
            "web-0\tweb\nweb-1\tapi\n.",
        ),
        ("{range .missing[*]}{.name}{end}none", "none"),
        (r#"{"\u00e9\x41\101\""}"#, "\u{e9}AA\""),
    ] {
        assert_eq!(filled(template).as_deref(), Ok(text), "{template}");
    }
}

#[test]
fn a_mistake_in_a_template_is_told() {
    for (template, why) in [
        ("{.kind", "unclosed action"),
        ("{.items[x]}", "invalid array index x"),
        ("{.items[0}", "unterminated array"),
        ("{\"a}", "unterminated quoted string"),
        ("{^}", "unrecognized character in action: U+005E '^'"),
        (
            "{end}",
            "executing jsonpath \"{end}\": not in range, nothing to end",
        ),
        (
            "{hello}",
            "executing jsonpath \"{hello}\": unrecognized identifier hello",
        ),
        (
            "{.items[5]}",
            "executing jsonpath \"{.items[5]}\": array index out of bounds: index 5, length 2",
        ),
        (
            "{.items[?(@.name>1)]}",
            "executing jsonpath \"{.items[?(@.name>1)]}\": incompatible types for comparison",
        ),
    ] {
        assert_eq!(filled(template), Err(why.to_owned()), "{template}");
    }
}
