//! Quiet hours: the same moment in many places.

use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::messaging::ledger::Exempt;
use crate::messaging::nanp::AREAS;

fn phone(text: &str) -> PhoneNumber {
    PhoneNumber::parse(text, None).unwrap()
}

fn wall(text: &str) -> Wall {
    Wall(text.parse::<Timestamp>().unwrap().as_millisecond())
}

fn offer(now: &str, number: &str, zone: Option<&str>, place: Option<&str>) -> String {
    let number = phone(number);
    let to = Recipient { number: &number, zone, place };
    let now = Now::at(0, wall(now).0);
    match next_allowed(now, to, Purpose::Marketing, &Policy::default()) {
        Allowed::At(at) => at.rfc3339(),
        other => format!("{other:?}"),
    }
}

#[test]
fn an_offer_waits_for_the_morning_where_the_person_is() {
    let seattle = "+12065550101";
    assert_eq!(offer("2026-11-17T16:59:59Z", seattle, None, None), "2026-11-17T17:00:00.000Z");
    assert_eq!(offer("2026-11-17T17:00:00Z", seattle, None, None), "Now");
    assert_eq!(offer("2026-11-18T03:59:59Z", seattle, None, None), "Now");
    assert_eq!(offer("2026-11-18T04:00:00Z", seattle, None, None), "2026-11-18T17:00:00.000Z");
    assert_eq!(offer("2026-11-17T16:00:00Z", "+12125550101", None, None), "Now", "New York is up");
}

#[test]
fn replies_never_wait() {
    let number = phone("+12065550101");
    let to = Recipient { number: &number, zone: None, place: None };
    for wall_sure in [true, false] {
        let night = Now { wall_sure, ..Now::at(0, wall("2026-12-25T10:00:00Z").0) };
        for purpose in [Purpose::Reply, Purpose::Informational, Purpose::Exempt(Exempt::Emergency)] {
            assert_eq!(next_allowed(night, to, purpose, &Policy::default()), Allowed::Now);
        }
    }
    let unsure = Now { wall_sure: false, ..Now::at(0, wall("2026-11-17T20:00:00Z").0) };
    assert_eq!(next_allowed(unsure, to, Purpose::Marketing, &Policy::default()), Allowed::ClockUnsure);
}

#[test]
fn a_phone_that_moved_is_quiet_in_both_places() {
    let maine = "+12075550101";
    assert_eq!(
        offer("2026-11-17T14:00:00Z", maine, Some("America/Los_Angeles"), Some("CA")),
        "2026-11-17T17:00:00.000Z"
    );
    assert_eq!(
        offer("2026-11-18T01:00:00Z", maine, Some("America/Los_Angeles"), Some("CA")),
        "2026-11-18T17:00:00.000Z"
    );
}

#[test]
fn stricter_states_and_their_sundays_are_kept() {
    assert_eq!(offer("2026-11-20T23:00:00Z", "+14015550101", None, None), "2026-11-21T15:00:00.000Z");
    assert_eq!(offer("2026-11-21T22:00:00Z", "+14015550101", None, None), "2026-11-23T14:00:00.000Z");
    assert_eq!(offer("2026-11-22T16:00:00Z", "+12145550101", None, None), "2026-11-22T18:00:00.000Z");
    assert_eq!(
        offer("2026-11-22T16:00:00Z", "+13125550101", None, None),
        "Now",
        "Illinois has no such Sunday"
    );
    assert_eq!(offer("2026-11-20T18:00:00Z", "+16055550101", None, None), "Now");
    assert_eq!(
        offer("2026-11-21T18:00:00Z", "+16055550101", None, None),
        "2026-11-23T16:00:00.000Z",
        "South Dakota's law names weekdays alone"
    );
}

#[test]
fn an_unknown_place_is_every_place() {
    for number in ["+18005550101", "+18885550101"] {
        assert_eq!(offer("2026-11-17T15:00:00Z", number, None, None), "2026-11-17T20:00:00.000Z");
        assert_eq!(offer("2026-11-17T22:59:00Z", number, None, None), "Now");
        assert_eq!(offer("2026-11-17T23:00:00Z", number, None, None), "2026-11-18T20:00:00.000Z");
    }
    assert_eq!(offer("2026-11-17T15:00:00Z", "+18005550101", Some("America/New_York"), Some("NY")), "Now");
    assert_eq!(offer("2026-11-17T15:00:00Z", "+4930123456", None, None), "PlaceUnknown");
    assert_eq!(offer("2026-11-17T15:00:00Z", "+4930123456", Some("Europe/Berlin"), None), "Now");
    assert_eq!(offer("2026-11-17T15:00:00Z", "+12065550101", Some("Mars/Olympus"), None), "PlaceUnknown");
}

#[test]
fn holidays_are_quiet_where_they_are_observed_too() {
    assert_eq!(offer("2026-11-26T20:00:00Z", "+12065550101", None, None), "2026-11-27T17:00:00.000Z");
    let holidays = [
        (2026, 1, 1),
        (2026, 1, 19),
        (2026, 2, 16),
        (2026, 5, 25),
        (2026, 6, 19),
        (2026, 7, 3),
        (2026, 7, 4),
        (2026, 9, 7),
        (2026, 10, 12),
        (2026, 11, 11),
        (2026, 11, 26),
        (2026, 12, 25),
        (2027, 7, 5),
        (2021, 12, 31),
    ];
    for (y, m, d) in holidays {
        assert!(is_holiday(date(y, m, d)), "{y}-{m}-{d}");
    }
    let year = (0..365).filter(|d| is_holiday(date(2026, 1, 1) + d.days())).count();
    assert_eq!(year, 12, "eleven, and July 4 is observed on a Friday");
}

#[test]
fn the_shops_own_days_and_hours_count() {
    let number = phone("+12065550101");
    let to = Recipient { number: &number, zone: None, place: None };
    let policy = Policy { hours: (10, 12), holidays: [date(2026, 11, 18)].into() };
    let now = Now::at(0, wall("2026-11-17T21:00:00Z").0);
    let then = Allowed::At(wall("2026-11-19T18:00:00Z"));
    assert_eq!(next_allowed(now, to, Purpose::Marketing, &policy), then);
    let closed = Policy { hours: (12, 12), ..policy };
    assert_eq!(next_allowed(now, to, Purpose::Marketing, &closed), Allowed::Never);
}

#[test]
fn the_hour_that_summer_time_moves_is_moved() {
    assert_eq!(offer("2026-03-07T16:30:00Z", "+12065550101", None, None), "2026-03-07T17:00:00.000Z");
    assert_eq!(offer("2026-03-08T15:30:00Z", "+12065550101", None, None), "2026-03-08T16:00:00.000Z");
}

#[test]
fn every_code_stands_once_and_every_zone_exists() {
    let mut seen = BTreeSet::new();
    for area in AREAS {
        for code in area.codes {
            assert!((201..990).contains(code) && seen.insert(code), "{code}");
        }
        for zone in area.zones {
            assert!(TimeZone::get(zone).is_ok(), "{zone}");
        }
    }
    assert!(seen.len() > 400, "{}", seen.len());
    for place in PLACES {
        assert!(AREAS.iter().any(|a| a.place == place.name), "{}", place.name);
        for (law, federal) in place.hours.iter().zip(FEDERAL) {
            assert!(law.0 >= law.1 || (law.0 >= federal.0 && law.1 <= federal.1), "{}", place.name);
        }
    }
}

fn any_number() -> impl Strategy<Value = String> {
    let codes: Vec<u16> = AREAS.iter().flat_map(|a| a.codes.iter().copied()).chain([800, 888, 555]).collect();
    prop::sample::select(codes).prop_map(|code| format!("+1{code}5550101"))
}

proptest! {
    #[test]
    fn no_offer_goes_outside_the_hours_of_any_zone(
        number in any_number(), minutes in 0..1_052_640_i64,
        known in prop::option::of(prop::sample::select(ANYWHERE)),
    ) {
        let number = phone(&number);
        let to = Recipient { number: &number, zone: known, place: None };
        let now = wall("2026-01-01T00:00:00Z").0 + minutes * 60_000;
        let policy = Policy::default();
        let at = match next_allowed(Now::at(0, now), to, Purpose::Marketing, &policy) {
            Allowed::Now => now,
            Allowed::At(at) => {
                prop_assert!(at.0 > now);
                at.0
            }
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        let code = number.digits()[1..4].parse().unwrap();
        let zones = area_of(code).map_or(&[][..], |a| a.zones).iter().copied().chain(known);
        for zone in zones {
            let there = Timestamp::from_millisecond(at).unwrap().to_zoned(TimeZone::get(zone).unwrap());
            prop_assert!((9..20).contains(&there.hour()) && !is_holiday(there.date()), "{}", there);
        }
        let again = next_allowed(Now::at(0, at), to, Purpose::Marketing, &policy);
        prop_assert_eq!(again, Allowed::Now, "what is promised is kept");
    }
}
