//! The names of jinja2's filters.

const KNOWN: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "forceescape",
    "format",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
];
// Named, so that a template that uses one is told so, rather than that jinja2 has no such filter.
const UNSUPPORTED: &[&str] = &[
    "filesizeformat",
    "groupby",
    "pprint",
    "random",
    "striptags",
    "urlize",
    "wordwrap",
    "xmlattr",
];

/// Filters that make HTML-safe text, which escapes what is added to it later.
pub(super) const MARKUP: [&str; 4] = ["safe", "e", "escape", "forceescape"];

/// Refuses names that are no filter of jinja2, or none that a chat template may use.
pub(super) fn check(name: &str) -> Result<(), String> {
    if KNOWN.contains(&name) {
        return Ok(());
    }
    let unsupported = UNSUPPORTED.contains(&name);
    Err(if unsupported {
        format!("the filter {name} is not supported in a chat template")
    } else {
        format!("no filter named {name:?}")
    })
}
