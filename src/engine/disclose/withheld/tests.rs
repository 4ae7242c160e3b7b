//! An address is found however it is written, and nothing else is taken for it.

use proptest::prelude::*;

use super::*;

fn withheld() -> Withheld {
    let address = |lines: &str, postcode: Option<&str>| Address {
        lines: lines.to_owned(),
        postcode: postcode.map(str::to_owned),
        confidential: true,
    };
    let addresses = [address("1 Refuge Road, Crewe", Some("CW1 1AA")), address("Flat 3, The Old Mill\nNantwich", None)];
    Withheld::of(addresses.iter())
}

#[test]
fn an_address_is_found_however_it_is_written() {
    let cases = [
        ("at 1, Refuge Road.", "at [address withheld]."),
        ("at 1 refuge Rd., Crewe, with her", "at [address withheld], with her"),
        ("1  Refuge-Road; RefugeRoad", "[address withheld]; [address withheld]"),
        ("near Refuge Rd", "near [address withheld]"),
        ("CW1-1AA or cw11aa, cw1.1aa", "[address withheld] or [address withheld], [address withheld]"),
        ("apt 3 at the old   mill", "[address withheld] at [address withheld]"),
        ("He drove to Nantwich.", "He drove to [address withheld]."),
        ("É 1 Refuge Road É", "É [address withheld] É"),
    ];
    let withheld = withheld();
    for (text, expected) in cases {
        assert_eq!(withheld.masked(text), expected);
    }
}

#[test]
fn nothing_else_is_taken_for_it() {
    let withheld = withheld();
    for text in
        ["School is in Crewe, 1 mile from the road.", "CW1 1AB", "CW1", "She took 3, the mill is closed.", "", "1"]
    {
        assert_eq!(withheld.masked(text), text);
    }
}

proptest! {
    #[test]
    fn blanks_punctuation_and_short_forms_hide_no_address(
        gaps in prop::collection::vec("[ ,.;:/\n-]{1,3}", 3),
        gap in "[ ,.-]{0,3}",
        street in prop::sample::select(vec!["Road", "Rd", "rd", "ROAD"]),
        upper in any::<bool>(),
    ) {
        let [first, second, third] = &gaps[..] else { return Ok(()) };
        let text = format!("safe: 1{first}Refuge{second}{street}{third}Crewe cw1{gap}1aa safe");
        let text = if upper { text.to_uppercase() } else { text };
        let masked = withheld().masked(&text).to_lowercase();
        prop_assert!(!masked.contains("refuge") && !masked.contains('1'), "{masked}");
        prop_assert!(masked.starts_with("safe: [") && masked.ends_with("] safe"), "{masked}");
    }

    #[test]
    fn what_stands_around_it_stays(text in "\\PC{0,40}") {
        let masked = withheld().masked(&format!("{text} 1 Refuge Road"));
        prop_assert!(masked.ends_with(WITHHELD));
        prop_assert_eq!(Withheld::default().masked(&text), text);
    }
}
