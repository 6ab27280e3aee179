//! Data: where a number of the North American Numbering Plan was given out, by area code, and when the law of each
//! place lets marketing through.
//!
//! The area codes are as of 2026; a code with two zones names both. A code that is missing here counts as one without
//! a place, which is stricter. Each window is narrower than federal law (47 CFR 64.1200(c)(1): 8 to 21 h), and none is
//! legal advice. Where guides differ, the narrowest counts. Other countries of the plan and codes without a place (800,
//! 833, …) are not here.
//!
//! Looked up in November 2026. Read in the statutes: CA (Pub. Util. Code 2872(c)), SD (SDCL 37-30-28: weekdays alone),
//! UT (13-25a-103(3): neither Sundays nor holidays), WA (RCW 19.158.040(2)); those of CA and SD, as IL's 9 h, are for
//! calls by machines, and count here for every text. In guides of 2025 and 2026: AL CT FL IL KY LA MA MD MI MN MS (one
//! says its hours are central time; the zone is so anyhow) NJ (one guide alone) NM NV OK PA (its Saturday in one guide
//! alone) RI TX WY (its statute could not be read). Not settled: Rhode Island's Sunday (closed here, 10 to 17 h in one
//! guide); states' own holidays beyond the federal ones; frequency caps (three a day in FL and OK), which are nowhere
//! kept. Of the overlays since 2023, 235, 679, 821 and 975 were seen in their commissions' or carriers' notices; 274,
//! 329, 350, 353, 357, 369, 457, 471, 686, 728, 835, 837, 861 and others were not: no list of the plan's administrator
//! could be read. A code that stands at a wrong place here is the one mistake that is not on the strict side.

/// A place with one law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Postal abbreviation: `WA`.
    pub name: &'static str,
    /// Monday to Friday, Saturday, Sunday.
    pub hours: [Hours; 3],
}

/// Hours of a day, the end excluded; the same number twice is a closed day.
pub type Hours = (i8, i8);

/// Federal law, and the rule of every place that is not in [`PLACES`].
pub const FEDERAL: [Hours; 3] = [(8, 21); 3];
const CLOSED: Hours = (0, 0);

/// Places with narrower windows than federal law.
pub const PLACES: &[Place] = &[
    Place { name: "AL", hours: [(8, 20), (8, 20), CLOSED] },
    Place { name: "CA", hours: [(9, 21); 3] },
    Place { name: "CT", hours: [(9, 20); 3] },
    Place { name: "FL", hours: [(8, 20); 3] },
    Place { name: "IL", hours: [(9, 21); 3] },
    Place { name: "KY", hours: [(10, 21); 3] },
    Place { name: "LA", hours: [(8, 20), (8, 20), CLOSED] },
    Place { name: "MA", hours: [(8, 20); 3] },
    Place { name: "MD", hours: [(8, 20); 3] },
    Place { name: "MI", hours: [(9, 21); 3] },
    Place { name: "MN", hours: [(9, 21); 3] },
    Place { name: "MS", hours: [(8, 20), (8, 20), CLOSED] },
    Place { name: "NJ", hours: [(8, 20); 3] },
    Place { name: "NM", hours: [(9, 21); 3] },
    Place { name: "NV", hours: [(9, 20); 3] },
    Place { name: "OK", hours: [(8, 20); 3] },
    Place { name: "PA", hours: [(8, 21), (8, 12), (8, 21)] },
    Place { name: "RI", hours: [(9, 18), (10, 17), CLOSED] },
    Place { name: "SD", hours: [(9, 21), CLOSED, CLOSED] },
    Place { name: "TX", hours: [(9, 21), (9, 21), (12, 21)] },
    Place { name: "UT", hours: [(8, 21), (8, 21), CLOSED] },
    Place { name: "WA", hours: [(8, 20); 3] },
    Place { name: "WY", hours: [(8, 20); 3] },
];

/// One row of the plan: a place, its zones, its area codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Postal abbreviation of the state, territory or province.
    pub place: &'static str,
    /// Every zone that is used there.
    pub zones: &'static [&'static str],
    /// Area codes.
    pub codes: &'static [u16],
}

const EAST: &[&str] = &["America/New_York"];
const CENTRAL: &[&str] = &["America/Chicago"];
const MOUNTAIN: &[&str] = &["America/Denver"];
const WEST: &[&str] = &["America/Los_Angeles"];
const EAST_CENTRAL: &[&str] = &["America/New_York", "America/Chicago"];
const CENTRAL_MOUNTAIN: &[&str] = &["America/Chicago", "America/Denver"];
const MOUNTAIN_WEST: &[&str] = &["America/Boise", "America/Los_Angeles"];

/// The zones of the fifty states: what an unknown place may be.
pub const ANYWHERE: &[&str] = &[
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Anchorage",
    "Pacific/Honolulu",
];

const fn area(place: &'static str, zones: &'static [&'static str], codes: &'static [u16]) -> Area {
    Area { place, zones, codes }
}

/// The plan.
pub const AREAS: &[Area] = &[
    area("AL", CENTRAL, &[205, 251, 256, 334, 659, 938]),
    area("AK", &["America/Anchorage", "America/Adak"], &[907]),
    area("AZ", &["America/Phoenix"], &[480, 520, 602, 623]),
    area("AZ", &["America/Phoenix", "America/Denver"], &[928]),
    area("AR", CENTRAL, &[327, 479, 501, 870]),
    area(
        "CA",
        WEST,
        &[209, 213, 279, 310, 323, 341, 350, 357, 369, 408, 415, 424, 442, 510, 530, 559, 562, 619],
    ),
    area(
        "CA",
        WEST,
        &[626, 628, 650, 657, 661, 669, 707, 714, 747, 760, 805, 818, 820, 831, 837, 840, 858, 909],
    ),
    area("CA", WEST, &[916, 925, 949, 951]),
    area("CO", MOUNTAIN, &[303, 719, 720, 970, 983]),
    area("CT", EAST, &[203, 475, 860, 959]),
    area("DE", EAST, &[302]),
    area("DC", EAST, &[202, 771]),
    area(
        "FL",
        EAST,
        &[239, 305, 321, 324, 352, 386, 407, 561, 645, 656, 689, 727, 728, 754, 772, 786, 813, 863],
    ),
    area("FL", EAST, &[904, 941, 954]),
    area("FL", EAST_CENTRAL, &[448, 850]),
    area("GA", EAST, &[229, 404, 470, 478, 678, 706, 762, 770, 912, 943]),
    area("HI", &["Pacific/Honolulu"], &[808]),
    area("ID", MOUNTAIN_WEST, &[208, 986]),
    area(
        "IL",
        CENTRAL,
        &[217, 224, 309, 312, 331, 447, 464, 618, 630, 708, 730, 773, 779, 815, 847, 861, 872],
    ),
    area("IN", EAST, &[260, 317, 463, 765]),
    area("IN", EAST_CENTRAL, &[219, 574, 812, 930]),
    area("IA", CENTRAL, &[319, 515, 563, 641, 712]),
    area("KS", CENTRAL, &[316, 913]),
    area("KS", CENTRAL_MOUNTAIN, &[620, 785]),
    area("KY", EAST, &[502, 859]),
    area("KY", EAST_CENTRAL, &[270, 364, 606]),
    area("LA", CENTRAL, &[225, 318, 337, 457, 504, 985]),
    area("ME", EAST, &[207]),
    area("MD", EAST, &[227, 240, 301, 410, 443, 667]),
    area("MA", EAST, &[339, 351, 413, 508, 617, 774, 781, 857, 978]),
    area("MI", EAST, &[231, 248, 269, 313, 517, 586, 616, 679, 734, 810, 947, 989]),
    area("MI", EAST_CENTRAL, &[906]),
    area("MN", CENTRAL, &[218, 320, 507, 612, 651, 763, 924, 952]),
    area("MS", CENTRAL, &[228, 471, 601, 662, 769]),
    area("MO", CENTRAL, &[235, 314, 417, 557, 573, 636, 660, 816, 975]),
    area("MT", MOUNTAIN, &[406]),
    area("NE", CENTRAL_MOUNTAIN, &[308]),
    area("NE", CENTRAL, &[402, 531]),
    area("NV", WEST, &[702, 725]),
    area("NV", &["America/Los_Angeles", "America/Denver"], &[775]),
    area("NH", EAST, &[603]),
    area("NJ", EAST, &[201, 551, 609, 640, 732, 848, 856, 862, 908, 973]),
    area("NM", MOUNTAIN, &[505, 575]),
    area(
        "NY",
        EAST,
        &[212, 315, 329, 332, 347, 363, 516, 518, 585, 607, 624, 631, 646, 680, 716, 718, 838, 845],
    ),
    area("NY", EAST, &[914, 917, 929, 934]),
    area("NC", EAST, &[252, 336, 472, 704, 743, 828, 910, 919, 980, 984]),
    area("ND", CENTRAL_MOUNTAIN, &[701]),
    area("OH", EAST, &[216, 220, 234, 283, 326, 330, 380, 419, 436, 440, 513, 567, 614, 740, 937]),
    area("OK", CENTRAL, &[405, 539, 572, 580, 918]),
    area("OR", WEST, &[503, 971]),
    area("OR", MOUNTAIN_WEST, &[458, 541]),
    area("PA", EAST, &[215, 223, 267, 272, 412, 445, 484, 570, 582, 610, 717, 724, 814, 835, 878]),
    area("RI", EAST, &[401]),
    area("SC", EAST, &[803, 821, 839, 843, 854, 864]),
    area("SD", CENTRAL_MOUNTAIN, &[605]),
    area("TN", EAST, &[865]),
    area("TN", EAST_CENTRAL, &[423, 931]),
    area("TN", CENTRAL, &[615, 629, 731, 901]),
    area(
        "TX",
        CENTRAL,
        &[210, 214, 254, 281, 325, 346, 361, 409, 430, 432, 469, 512, 621, 682, 713, 726, 737],
    ),
    area("TX", CENTRAL, &[806, 817, 830, 832, 903, 936, 940, 945, 956, 972, 979]),
    area("TX", CENTRAL_MOUNTAIN, &[915]),
    area("UT", MOUNTAIN, &[385, 435, 801]),
    area("VT", EAST, &[802]),
    area("VA", EAST, &[276, 434, 540, 571, 686, 703, 757, 804, 826, 948]),
    area("WA", WEST, &[206, 253, 360, 425, 509, 564]),
    area("WV", EAST, &[304, 681]),
    area("WI", CENTRAL, &[262, 274, 353, 414, 534, 608, 715, 920]),
    area("WY", MOUNTAIN, &[307]),
    area("PR", &["America/Puerto_Rico"], &[787, 939]),
    area("VI", &["America/St_Thomas"], &[340]),
    area("GU", &["Pacific/Guam"], &[671]),
    area("MP", &["Pacific/Saipan"], &[670]),
    area("AS", &["Pacific/Pago_Pago"], &[684]),
    area("AB", &["America/Edmonton"], &[368, 403, 587, 780, 825]),
    area("BC", &["America/Vancouver", "America/Edmonton"], &[236, 250, 257, 604, 672, 778]),
    area("MB", &["America/Winnipeg"], &[204, 431, 584]),
    area("NB", &["America/Moncton"], &[428, 506]),
    area("NL", &["America/St_Johns", "America/Halifax"], &[709, 879]),
    area("NS", &["America/Halifax"], &[782, 902]),
    area("ON", &["America/Toronto"], &[226, 249, 289, 343, 365, 382, 416, 437, 519, 548, 613, 647, 683, 705]),
    area("ON", &["America/Toronto"], &[742, 753, 905, 942]),
    area("ON", &["America/Toronto", "America/Winnipeg"], &[807]),
    area("QC", &["America/Toronto", "America/Halifax"], &[367, 418, 581]),
    area("QC", &["America/Toronto"], &[263, 354, 438, 450, 468, 514, 579, 819, 873]),
    area("SK", &["America/Regina"], &[306, 474, 639]),
    area("YT", &["America/Whitehorse", "America/Edmonton", "America/Winnipeg", "America/Iqaluit"], &[867]),
];

/// Where an area code is; `None` when it has no place or is not known.
#[must_use]
pub fn area_of(code: u16) -> Option<&'static Area> {
    AREAS.iter().find(|a| a.codes.contains(&code))
}

/// The window of a place.
#[must_use]
pub fn hours_of(place: &str) -> [Hours; 3] {
    PLACES.iter().find(|p| p.name == place).map_or(FEDERAL, |p| p.hours)
}
