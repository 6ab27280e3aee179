//! Behaviour that the flows rely on. What hostile templates get is in `hostile`.

mod hostile;

use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};

use super::{Note, NoteKind, Options, Partials, RenderContext, Template, Weight, lint, render};
use crate::types::Wall;

/// 2026-11-20 10:00:00 UTC.
const NOW: Wall = Wall(1_795_168_800_000);

fn context(globals: &Json) -> RenderContext<'_> {
    RenderContext::new(globals, TimeZone::UTC, NOW)
}

fn lax(source: &str, globals: &Json) -> String {
    render(source, &Options::default(), &context(globals)).text
}

fn seed(source: &str, globals: &Json) -> String {
    render(source, &Options::seed(), &context(globals)).text
}

fn strict(source: &str, globals: &Json) -> Result<String, String> {
    let template = Template::parse(source, &Options::strict()).map_err(|e| e.to_string())?;
    template.render(&context(globals)).map_err(|e| e.to_string())
}

fn kinds(notes: &[Note]) -> Vec<NoteKind> {
    notes.iter().map(|note| note.kind).collect()
}

fn shop() -> Json {
    json!({
        "flow": {"variables": {
            "customerProfile": {"equipment": (1..=12).map(|n| json!({
                "equipment_id": format!("E{n}"), "make": "Stihl", "model": format!("MS {n}"),
                "serial_number": format!("SN{n}"), "status": if n % 2 == 0 { "in_progress" } else { "active" },
                "parts_catalog": [
                    {"description": "Chain", "part_number": "C1", "price": 24.5, "popularity": 2},
                    {"description": "Bar", "part_number": "B1", "price": 40.0, "popularity": 1}]
            })).collect::<Vec<_>>()},
            "selectedEquipmentId": "E3",
            "orders": [{"order_id": "P-1", "status": "shipped", "items": [
                {"description": "Chain"}, {"description": "Bar"}, {"description": "Plug"}]}],
            "due": "2025-12-25"
        }}
    })
}

#[test]
fn missing_variables_are_blank_and_reckon_as_nothing() {
    let none = json!({});
    assert_eq!(lax("[{{ a }}{{ a.b.c }}{{ a[0] }}{{ a | plus: 1 }}{{ a | default: 'x' }}]", &none), "[1x]");
    assert_eq!(lax("{% if a.b == 'x' %}y{% else %}n{% endif %}", &none), "n");
    assert_eq!(lax("{% for x in a.b %}y{% else %}none{% endfor %}", &none), "none");
    assert_eq!(lax("[{{ a | sort | where: 'x' | split: ',' | first | upcase }}]", &none), "[]");
}

#[test]
fn white_space_after_a_dot_is_no_error() {
    let globals = json!({"flow": {"variables": {"x": "hi"}}, "widgets": {"a": {"Digits": "1"}}});
    assert_eq!(lax("{{flow.variables. x}}", &globals), "hi");
    assert_eq!(lax("{% if widgets. a.Digits == '1' %}one{% endif %}", &globals), "one");
    assert_eq!(lax("{{ flow\n .variables\n.x }}", &globals), "hi");
}

#[test]
fn names_and_positions_after_a_dot_may_begin_with_a_digit() {
    let globals =
        json!({"widgets": {"2nd_menu": {"Digits": "1"}, "3": {"x": "three"}}, "l": ["a", ["b", "c"]]});
    assert_eq!(lax("{{ widgets.2nd_menu.Digits }}{{ widgets.3.x }}", &globals), "1three");
    assert_eq!(lax("{{ l.0 }}{{ l.1.0 }}{{ l[1].1 }}{{ l.7 }}", &globals), "abc");
    assert!(strict("{{ l.0 }}", &globals).is_err());
}

#[test]
fn lists_and_objects_print_as_json_where_customers_are_served() {
    let globals = json!({"a": [1, "b", null, 2.0], "o": {"k": "v\"", "z": {"y": []}}});
    assert_eq!(lax("{{ a }} {{ o }}", &globals), r#"[1,"b",null,2.0] {"k":"v\"","z":{"y":[]}}"#);
    assert_eq!(lax("{{ o.k | to_json }} {{ nope | json }}", &globals), r#""v\"" null"#);
    assert_eq!(lax("{{ 'a,b' | split: ',' | to_json }}", &globals), r#"["a","b"]"#);
    assert_eq!(strict("{{ a }}", &globals), Ok("1b2.0".to_owned()));
}

#[test]
fn an_unknown_filter_passes_its_input_through_and_is_noted() {
    let rendered = render("{{ 'a' | shout: 3 | upcase }}", &Options::default(), &context(&json!({})));
    assert_eq!(rendered.text, "A");
    assert_eq!(kinds(&rendered.notes), [NoteKind::UnknownFilter]);
    assert!(rendered.notes.iter().all(|note| note.message.contains("`shout`")));
}

#[test]
fn a_failing_filter_is_blank_for_the_customer_and_an_error_for_the_strict() {
    let rendered = render("[{{ 1 | divided_by: 0 }}]", &Options::default(), &context(&json!({})));
    assert_eq!(rendered.text, "[]");
    assert_eq!(kinds(&rendered.notes), [NoteKind::Failed]);
    assert_eq!(
        strict("\n{{ 1 | divided_by: 0 }}", &json!({})),
        Err("line 2: divided_by: division by zero".to_owned())
    );
}

#[test]
fn wrong_numbers_of_arguments_pass_the_input_through() {
    assert_eq!(lax("{{ 'ab' | slice }}|{{ 'ab' | upcase: 1, 2 }}", &json!({})), "ab|AB");
    let rendered = render("{{ 'ab' | slice }}", &Options::default(), &context(&json!({})));
    assert_eq!(kinds(&rendered.notes), [NoteKind::Arguments]);
    assert_eq!(kinds(&lint("{{ 'ab' | slice }}{{ 'ab' | upcase: 1 }}")), [NoteKind::Arguments; 2]);
    assert!(strict("{{ 'ab' | upcase: 1 }}", &json!({})).is_err());
}

#[test]
fn decimals_are_reckoned_as_people_do() {
    let none = json!({"price": 19.99, "qty": "3"});
    assert_eq!(lax("{{ price | times: qty }}", &none), "59.97");
    assert_eq!(lax("{{ 0.1 | plus: 0.2 }} {{ 10.0 }} {{ 7 | divided_by: 2 }}", &none), "0.3 10.0 3");
    assert_eq!(
        lax("{{ 0.3 | divided_by: 0.1 }} {{ -7 | divided_by: 2 }} {{ -7 | modulo: 3 }}", &none),
        "3.0 -4 2"
    );
    assert_eq!(
        lax("{{ 2.675 | round: 2 }} {{ -2.5 | round }} {{ 1250 | round: -2 }}", &none),
        "2.68 -3 1300"
    );
    assert_eq!(lax("{{ 100000000000000000000.5 | plus: 0 }} {{ 0.00001 }}", &none), "1.0e+20 1.0e-05");
}

#[test]
fn prices_get_two_places_in_plain_liquid() {
    let source = "{% assign cents = price | times: 100 | round %}${{ cents | divided_by: 100 }}.\
        {{ cents | modulo: 100 | prepend: '00' | slice: -2, 2 }}";
    for (price, shown) in
        [(json!(12.5), "$12.50"), (json!("84.99"), "$84.99"), (json!(3), "$3.00"), (json!(0.1), "$0.10")]
    {
        assert_eq!(lax(source, &json!({ "price": price })), shown);
    }
}

#[test]
fn what_a_customer_types_compares_as_a_number_in_lax_mode_only() {
    let globals = json!({"inbound": {"Body": " 12 "}, "word": "ten"});
    assert_eq!(
        lax("{% if inbound.Body > 9 %}y{% endif %}{% if 9 < inbound.Body %}y{% endif %}", &globals),
        "yy"
    );
    assert_eq!(lax("{% if word > 9 %}y{% else %}n{% endif %}", &globals), "n");
    assert!(strict("{% if inbound.Body > 9 %}y{% endif %}", &globals).is_err());
}

#[test]
fn a_condition_that_cannot_be_read_does_not_hold() {
    let globals = json!({"a": "x"});
    assert_eq!(lax("{% if not a %}1{% elsif a = 'x' %}2{% endif %}", &globals), "2");
    assert_eq!(lax("{% unless a == %}1{% else %}2{% endunless %}", &globals), "2");
    assert_eq!(
        kinds(&lint("{% if a = 'x' %}{% endif %}{% if a startswith 'x' %}{% endif %}")),
        [NoteKind::Syntax; 2]
    );
}

#[test]
fn broken_structure_still_renders_what_can_be_rendered() {
    let globals = json!({"a": "x", "l": [1, 2]});
    assert_eq!(lax("Hi {{ a }} {{ a", &globals), "Hi x {{ a");
    assert_eq!(lax("{% if a %}yes {{ a }}", &globals), "yes x");
    assert_eq!(lax("{% raw %}{{ a }}", &globals), "{{ a }}");
    assert_eq!(lax("{% for i in l %}{{ i }}{% endfor %}{% endif %}{% nonsense %}!", &globals), "12!");
    let notes = lint("{{ a }}\n{% if a %}\n{% frob %}{{ b");
    assert_eq!(kinds(&notes), [NoteKind::Unclosed, NoteKind::UnknownTag, NoteKind::Unclosed]);
    assert_eq!(notes.iter().map(|n| n.line).collect::<Vec<_>>(), [3, 3, 2]);
    assert!(notes.iter().all(|note| note.weight == Weight::Error));
    for source in ["{{ a", "{% if a %}", "{% endif %}", "{% frob %}", "{{ a b }}", "{% assign x %}"] {
        assert!(strict(source, &globals).is_err(), "{source}");
    }
}

#[test]
fn the_seeds_equipment_list_shows_ten_numbered_lines_in_its_dialect() {
    let source = "{% for equipment in flow.variables.customerProfile.equipment | slice(0, 10) %}\n\
        {{loop.index}}. {{equipment.make}} {{equipment.model}} - SN: {{equipment.serial_number}} - {{equipment.status}}\n\
        {% endfor %}";
    let text = seed(source, &shop());
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 10);
    assert_eq!(lines.first(), Some(&"1. Stihl MS 1 - SN: SN1 - active"));
    assert_eq!(lines.last(), Some(&"10. Stihl MS 10 - SN: SN10 - in_progress"));
    // Plain Liquid prints all twelve without a number, as the real engines do; the lint says what to write.
    assert_eq!(lax(source, &shop()).matches("SN:").count(), 12);
    let notes = lint(source);
    assert_eq!(kinds(&notes), [NoteKind::SeedDialect; 2]);
    assert_eq!(
        notes.iter().filter_map(|note| note.rewrite.as_deref()).collect::<Vec<_>>(),
        [
            "{% assign items = flow.variables.customerProfile.equipment | slice: 0, 10 %}{% for equipment in items %}",
            "forloop"
        ]
    );
}

#[test]
fn the_seeds_assignments_work_in_its_dialect() {
    let source = "{% assign topParts = flow.variables.customerProfile.equipment | where: \"equipment_id\", \
        flow.variables.selectedEquipmentId | first %}{% assign sortedParts = topParts.parts_catalog | sort: \"popularity\" \
        | slice(0, 10) %}{% for part in sortedParts %}{{loop.index}}. {{part.description}} - #{{part.part_number}} - \
        ${{part.price}};{% endfor %}";
    assert_eq!(seed(source, &shop()), "1. Bar - #B1 - $40.0;2. Chain - #C1 - $24.5;");
    assert_eq!(
        seed(
            "{% assign partsOrders = flow.variables.orders | slice(0, 10) %}{% for order in partsOrders %}#{{order.order_id}} \
             - {{order.items[0].description}}{% if order.items.size > 1 %} (+{{order.items.size | minus: 1}} more){% endif %}\
             {% endfor %} {{partsOrders.size | plus: 2}}. Main Menu",
            &shop()
        ),
        "#P-1 - Chain (+2 more) 3. Main Menu"
    );
    let notes = lint("{% assign a = b | slice(0, 10) %}");
    assert_eq!(notes.iter().map(|note| note.rewrite.as_deref()).collect::<Vec<_>>(), [Some("slice: 0, 10")]);
}

#[test]
fn a_variable_called_loop_is_not_an_alias() {
    let globals = json!({"l": ["a"], "loop": {"index": "mine"}});
    assert_eq!(seed("{{ loop.index }}{% for loop in l %}{{ loop }}{% endfor %}", &globals), "minea");
    assert_eq!(lint("{{ loop.index }}"), []);
}

#[test]
fn dates_are_read_as_people_and_programs_write_them() {
    let none = json!({"t": 1_152_098_955});
    for (text, expected) in [
        ("2025-12-25", "Dec 25 2025 00:00"),
        ("2025-12-25T10:00:00Z", "Dec 25 2025 10:00"),
        ("2025-12-25T10:00:00.123-08:00", "Dec 25 2025 18:00"),
        ("2025-12-25 23:30:00 +0200", "Dec 25 2025 21:30"),
        ("Thu, 25 Dec 2025 10:00:00 -0800", "Dec 25 2025 18:00"),
        ("March 14, 2016", "Mar 14 2016 00:00"),
        ("14th mar 2016 3:30 pm", "Mar 14 2016 15:30"),
        ("12/25/2025 12am", "Dec 25 2025 00:00"),
        ("14-Mar-16", "Mar 14 2016 00:00"),
        ("1152098955", "Jul 05 2006 11:29"),
        ("now", "Nov 20 2026 10:00"),
        ("4:05pm", "Nov 20 2026 16:05"),
        ("next tuesday", "next tuesday"),
        ("2025-13-45", "2025-13-45"),
        ("555-1234", "555-1234"),
        ("", ""),
    ] {
        assert_eq!(lax(&format!("{{{{ '{text}' | date: '%b %d %Y %H:%M' }}}}"), &none), expected, "{text}");
    }
    assert_eq!(
        lax("{{ t | date: '%m/%d/%Y' }}{{ nope | date: '%Y' }}{{ t | date: '' }}", &none),
        "07/05/20061152098955"
    );
}

#[test]
fn dates_print_in_the_shops_zone() {
    let none = json!({});
    let zone = TimeZone::get("America/Los_Angeles").unwrap();
    let context = RenderContext::new(&none, zone, NOW);
    let show = |source: &str| render(source, &Options::default(), &context).text;
    assert_eq!(
        show("{{ '2025-12-26T02:00:00Z' | date: '%b %d, %-I:%M %p %Z %z %:z' }}"),
        "Dec 25, 6:00 PM PST -0800 -08:00"
    );
    assert_eq!(show("{{ '2025-07-04' | date: '%F %T %Z' }}"), "2025-07-04 00:00:00 PDT");
    assert_eq!(show("{{ 'today' | date: '%A %-d %B, %l%P' }}"), "Friday 20 November,  2am");
}

#[test]
fn strftime_knows_flags_and_widths_and_no_width_fills_the_memory() {
    let none = json!({});
    for (format, expected) in [
        ("%-d/%-m/%y", "5/3/24"),
        ("%e %k %l", " 5  7  7"),
        ("%^a %^B %#p", "TUE MARCH am"),
        ("%j %U %W %V %G %u %w", "065 09 10 10 2024 2 2"),
        ("%010Y|%_5m|%3N|%L", "0000002024|    3|006|006"),
        ("%s", "1709622549"),
        ("%D %R %r", "03/05/24 07:09 07:09:09 AM"),
        ("%c|%x %X", "Tue Mar  5 07:09:09 2024|03/05/24 07:09:09"),
        ("%Q %", "%Q %"),
        ("%999999999d", &format!("{:064}", 5)),
    ] {
        let source = format!("{{{{ '2024-03-05T07:09:09.006' | date: '{format}' }}}}");
        assert_eq!(lax(&source, &none), expected, "{format}");
    }
}

#[test]
fn partials_come_from_the_callers_map() {
    let partials =
        Partials::parse([("hi", "Hi {{ name }}{{ x }}"), ("me", "{% render 'me' %}")], &Options::default());
    let globals = json!({"x": "!"});
    let context = RenderContext { partials: Some(&partials), ..context(&globals) };
    let show = |source: &str| render(source, &Options::default(), &context);
    assert_eq!(show("{% render 'hi', name: 'Ann' %}").text, "Hi Ann");
    assert_eq!(show("{% include 'hi', name: 'Ann' %}").text, "Hi Ann!");
    assert_eq!(kinds(&show("{% include 'gone' %}").notes), [NoteKind::Failed]);
    assert_eq!(kinds(&show("{% render 'me' %}").notes), [NoteKind::Limit]);
}
