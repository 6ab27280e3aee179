//! Templates and data that mean harm: nothing panics, overflows the stack or runs away.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::{
    Limits, NoteKind, Options, Partials, RenderContext, RenderError, Template, Weight, render,
};
use super::{context, kinds, lax};

#[test]
fn more_than_fifteen_iterations_are_rendered_and_noted() {
    let rendered = render("{% for i in (1..16) %}x{% endfor %}", &Options::default(), &context(&json!({})));
    assert_eq!(rendered.text.len(), 16);
    assert_eq!(kinds(&rendered.notes), [NoteKind::Limit]);
    assert_eq!(rendered.notes.first().map(|note| note.weight), Some(Weight::Warning));
}

#[test]
fn huge_ranges_and_endless_growth_end_early() {
    let none = json!({});
    let ends = |source: &str| render(source, &Options::default(), &context(&none));
    let huge = ends("{% for i in (1..10000000000) %}x{% endfor %}done");
    assert_eq!(huge.text.len(), 1004);
    assert_eq!(kinds(&huge.notes), [NoteKind::Failed]);
    assert_eq!(ends("[{{ (1..10000000000) | join: ',' }}]").text, "[]");
    assert_eq!(ends("{{ (1..10000000000) | size }}").text, "10000000000");
    let grown = ends(
        "{% assign a = 'xxxxxxxxxxxxxxxx' %}{% for i in (1..100) %}{% assign a = a | append: a %}{% endfor %}{{ a | size }}",
    );
    assert!(!grown.notes.is_empty());
    let nested = "{% for a in (1..1000) %}".repeat(6) + "x" + &"{% endfor %}".repeat(6);
    let template = Template::parse(&nested, &Options::default()).unwrap();
    assert!(matches!(
        template.render(&context(&none)),
        Err(RenderError::Steps { .. } | RenderError::Output { .. })
    ));
    assert!(ends(&nested).text.len() > 1000, "what was rendered before the limit is kept");
    let amplified = ends(
        "{% assign a = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' %}{% assign a = a | replace: 'a', a \
        | replace: 'a', a | replace: 'a', a | replace: 'a', a %}{{ a | size }}",
    );
    assert_eq!(kinds(&amplified.notes), [NoteKind::Failed]);
}

#[test]
fn a_profile_of_megabytes_goes_through_to_json() {
    let globals = json!({ "profile": { "notes": "x".repeat(3 << 20) } });
    let limits = Limits { output_bytes: 4 << 20, ..Limits::default() };
    let context = RenderContext { limits, ..context(&globals) };
    let rendered = render("{{ profile | to_json }}", &Options::default(), &context);
    assert_eq!((rendered.text.len(), kinds(&rendered.notes)), ((3 << 20) + 12, Vec::new()));
}

#[test]
fn reading_long_texts_costs_steps_wherever_they_are_read() {
    let grow = "{% assign s = 'x' %}{% for i in (1..17) %}{% assign s = s | append: s %}{% endfor %}";
    for read in [
        "{{ s.size }}",
        "{% if s == blank %}{% endif %}",
        "{% if s < s %}{% endif %}",
        "{% if s contains 'y' %}{% endif %}",
        "{% cycle s: 1, 2 %}",
        "{% case s %}{% when s %}{% endcase %}",
        "{% assign k = s | plus: 1 %}",
        "{% assign k = 'x' | append: s | size %}",
        "{% for x in (s..1) %}{% endfor %}",
        "{% for x in (1..2) limit: s %}{% endfor %}",
    ] {
        let source = format!("{grow}{{% for i in (1..900) %}}{read}{{% endfor %}}");
        let none = json!({});
        let end = Template::parse(&source, &Options::default()).unwrap().render(&context(&none));
        assert!(matches!(end, Err(RenderError::Steps { .. })), "{read}: {end:?}");
    }
}

#[test]
fn deep_templates_are_refused_or_fit_a_small_stack() {
    let worker = std::thread::Builder::new().stack_size(768 * 1024).spawn(|| {
        let none = json!({"a": {"a": "a"}});
        let depths = [39, 41, 20_000];
        let mut refused = Vec::new();
        for depth in depths {
            for (open, close) in [
                ("{% if true %}", "{% endif %}"),
                ("{% for i in (1..2) limit: 1 %}", "{% endfor %}"),
                ("{% capture x %}", "{% endcapture %}"),
                ("{% case 1 %}{% when 1 %}", "{% endcase %}"),
                ("{% tablerow i in (1..1) %}", "{% endtablerow %}"),
            ] {
                let source = open.repeat(depth) + "x" + &close.repeat(depth);
                match Template::parse(&source, &Options::default()) {
                    Ok(template) => drop(template.render(&context(&none))),
                    Err(_) => refused.push(depth),
                }
            }
            drop(lax(&format!("{{{{ {}'a'{} }}}}", "a[".repeat(depth), "]".repeat(depth)), &none));
            drop(lax(&format!("{{{{ {}1{} }}}}", "(".repeat(depth), "..2)".repeat(depth)), &none));
            drop(lax(&format!("{{% {}echo 'a' %}}", "liquid ".repeat(depth)), &none));
            drop(lax(&format!("{{{{ 'a' {} }}}}", "| upcase ".repeat(depth)), &none));
            drop(lax(&format!("{{% if a {} %}}{{% endif %}}", "and a ".repeat(depth)), &none));
        }
        refused
    });
    let refused = worker.unwrap().join().unwrap();
    assert_eq!(refused, [[41; 5], [20_000; 5]].concat());
}

#[test]
fn partials_that_nest_blocks_fit_a_small_stack() {
    let body = "{% if true %}".repeat(8) + "{% include 'p' %}{% render 'p' %}" + &"{% endif %}".repeat(8);
    let worker = std::thread::Builder::new().stack_size(768 * 1024).spawn(move || {
        let partials = Partials::parse([("p", body.as_str())], &Options::default());
        let none = json!({});
        let context = RenderContext { partials: Some(&partials), ..context(&none) };
        render("{% include 'p' %}", &Options::default(), &context).notes
    });
    assert_eq!(kinds(&worker.unwrap().join().unwrap()), [NoteKind::Limit]);
}

#[test]
fn templates_can_be_shared_between_threads() {
    fn is_shareable<T: Send + Sync>(_: &T) {}
    is_shareable(&Template::parse("{{ a | upcase }}", &Options::default()).unwrap());
}

#[test]
fn long_broken_templates_parse_in_linear_time() {
    // Each of these would take minutes if any search started over for every piece.
    for piece in [
        "{{",
        "{%",
        "{{ a | ",
        "{{ \"a",
        "{% x ! ",
        "{% for a in b ! ! ! ! ",
        "{%raw%}",
        "{%- comment -%}",
        "{%if a%}",
    ] {
        let source = piece.repeat(900_000 / piece.len());
        let result = Template::parse(&source, &Options::default());
        assert!(result.map_or(true, |template| template.notes().len() <= 110));
    }
}

const WORDS: &str = "{{ }} {% %} {%- -%} {{- -}} if endif else elsif unless endunless case when endcase for \
    endfor in limit: offset: continue reversed tablerow endtablerow cols: assign capture endcapture comment \
    endcomment raw endraw doc enddoc increment decrement cycle ifchanged endifchanged echo liquid # render include \
    break with as and or contains == != < >= = | : , . .. [ ] ( ) ' \" 'a' 1 -1 0 2.5 \
    99999999999999999999999999999999999999999999 a a.b a.0x l o nil blank empty true forloop.index \
    forloop.parentloop loop slice sort where map join split date '%Y%5N%z' 'now' plus times divided_by modulo round \
    truncate truncatewords replace append uniq sum first last size json strip_html escape_once url_decode \
    base64_decode '<a&amp;%zz' é😀 \u{0}";

const CALLS: &str = "slice: -3, 99|sort|sort: 'b'|where: 'b', 1|map: 'b'|join: 'é'|split: ''|date: '%c %-5Q'|\
    plus: 170141183460469231731687303715884105727|times: 9e99|times: -1.5|divided_by: 0|modulo: -0.0|round: 99|\
    round: -99|truncate: 2, '😀'|truncatewords: -1|replace: '', 'x'|append: l|uniq|sum|first|last|size|json|\
    strip_html|escape_once|url_decode|base64_decode|base64_encode|reverse|compact: 'b'|concat: l|ceil|floor|abs|\
    at_least: 'x'|find_index: 'b'|has: 1|reject: 'b'|slice(1, 2)|capitalize|url_encode|sort_natural";

const VALUES: &str = "a|l|o|s|d|n|f|(1..3)|(-1..a)|'<é&amp;\u{1F600}'|-170141183460469231731687303715884105728|1.5|\
    nil|blank|o['k']|l[-1].b|s.first|forloop|'2025-12-25'|'%E9'";

fn one_of(list: &'static str, separator: char) -> impl Strategy<Value = &'static str> {
    prop::sample::select(list.split(separator).collect::<Vec<_>>())
}

fn fragment() -> impl Strategy<Value = String> {
    let spaces = prop::sample::select(vec!["", " ", "\n"]);
    prop::collection::vec((one_of(WORDS, ' '), spaces), 0..60)
        .prop_map(|words| words.into_iter().flat_map(|(word, space)| [word, space]).collect())
}

/// A value through some filters, everywhere a value may stand.
fn tags() -> impl Strategy<Value = String> {
    let calls = prop::collection::vec(one_of(CALLS, '|'), 0..5);
    (one_of(VALUES, '|'), calls).prop_map(|(value, calls)| {
        let calls: String = calls.iter().map(|call| format!(" | {call}")).collect();
        [
            format!("{{{{ {value}{calls} }}}}"),
            format!("{{% for x in {value} limit: 3 %}}{{% assign y = x{calls} %}}{{{{ y }}}}{{% endfor %}}"),
            format!("{{% if {value} > a or {value} contains s %}}1{{% endif %}}"),
            format!("{{% tablerow x in {value} cols: 2 %}}{{{{ x{calls} }}}}{{% endtablerow %}}"),
        ]
        .concat()
    })
}

fn data() -> Json {
    json!({
        "a": 3,
        "l": [{"b": 1}, {"b": "x"}, {"b": null}, 2, "s", [1, [2]], 1.5, true, null],
        "s": "héllo wörld",
        "o": {"k": [1, 2], "size": 7},
        "d": "March 14, 2016",
        "n": i64::MIN,
        "f": 1.0e300,
    })
}

fn small(globals: &Json) -> RenderContext<'_> {
    let limits = Limits { steps: 20_000, output_bytes: 10_000, ..Limits::default() };
    RenderContext { limits, ..context(globals) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_template_panics_and_lax_parsing_is_total(source in fragment()) {
        let globals = data();
        for options in [Options::default(), Options::seed()] {
            let template = Template::parse(&source, &options);
            prop_assert!(template.is_ok());
            let rendered = render(&source, &options, &small(&globals));
            prop_assert!(rendered.text.len() <= 10_000);
        }
        if let Ok(template) = Template::parse(&source, &Options::strict()) {
            drop(template.render(&small(&globals)));
        }
    }

    #[test]
    fn no_filter_panics_on_any_value(source in tags()) {
        let globals = data();
        let rendered = render(&source, &Options::seed(), &small(&globals));
        prop_assert!(rendered.text.len() <= 10_000);
        if let Ok(template) = Template::parse(&source, &Options::strict()) {
            drop(template.render(&small(&globals)));
        }
    }

    #[test]
    fn text_without_markup_is_itself(text in "[^{]{0,200}") {
        prop_assert_eq!(lax(&text, &json!({})), text);
    }

    #[test]
    fn arithmetic_agrees_with_whole_numbers(a in -1_000_000_i64..1_000_000, b in -1000_i64..1000) {
        let globals = json!({"a": a, "b": b});
        let text = lax("{{ a | plus: b }},{{ a | minus: b }},{{ a | times: b }}", &globals);
        prop_assert_eq!(text, format!("{},{},{}", a + b, a - b, a * b));
        if b != 0 {
            let floor = a.div_euclid(b) - i64::from(b < 0 && a.rem_euclid(b) != 0);
            let text = lax("{{ a | divided_by: b }},{{ a | modulo: b }}", &globals);
            prop_assert_eq!(text, format!("{},{}", floor, a - floor * b));
        }
    }

    #[test]
    fn dates_never_panic(text in "[0-9A-Za-z:,/ +.-]{0,24}", format in "[%a-zA-Z0-9^#_:-]{0,16}") {
        let globals = json!({"t": text, "f": format});
        drop(lax("{{ t | date: f }}{{ 'now' | date: f }}", &globals));
    }
}
