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

/// The obvious way: every word of the text against every word of every address, letter by letter.
mod obvious {
    use super::*;

    pub fn masked(addresses: &[Address], text: &str) -> String {
        let lines: Vec<Written> = addresses.iter().map(|address| Written::read(&address.lines)).collect();
        let postcodes = addresses.iter().filter_map(|address| address.postcode.as_deref()).map(Written::read);
        let postcodes: Vec<Written> = postcodes.filter(|postcode| !postcode.letters.is_empty()).collect();
        let written = Written::read(text);
        let (mut masked, mut from, mut place) = (String::new(), 0, 0);
        while place < written.words.len() {
            let whole = postcodes.iter().filter_map(|postcode| {
                common(&written, place, postcode, 0).filter(|(_, covered)| *covered == postcode.words.len())
            });
            let pieces = lines.iter().flat_map(|lines| {
                let piece =
                    |first| common(&written, place, lines, first).filter(|(_, words)| tells(lines, first, *words));
                (0..lines.words.len()).filter_map(piece).collect::<Vec<_>>()
            });
            if let Some(last) = whole.chain(pieces).map(|(last, _)| last).max() {
                masked.push_str(&text[from..written.words[place].bytes.0]);
                masked.push_str(WITHHELD);
                from = written.words[last].bytes.1;
                place = last;
            }
            place += 1;
        }
        masked + &text[from..]
    }

    fn common(text: &Written, place: usize, address: &Written, first: usize) -> Option<(usize, usize)> {
        let (here, there) = (text.words[place].letters.0, address.words[first].letters.0);
        let of = |written: &Written, from: usize, to: usize| written.letters[from..to].to_vec();
        let pairs = (place..text.words.len()).flat_map(|last| (first..address.words.len()).map(move |end| (last, end)));
        let same = pairs.filter(|(last, end)| {
            of(text, here, text.words[*last].letters.1) == of(address, there, address.words[*end].letters.1)
        });
        same.max().map(|(last, end)| (last, end - first + 1))
    }

    fn tells(lines: &Written, first: usize, covered: usize) -> bool {
        let words = &lines.words[first..first + covered];
        let letters = &lines.letters[words[0].letters.0..words[covered - 1].letters.1];
        let is_part = words[0].opens_part && lines.words.get(first + covered).is_none_or(|word| word.opens_part);
        let long = letters.len() >= LETTERS_MIN;
        let with_figure = covered > 1 && letters.iter().any(|letter| letter.is_numeric());
        let in_words = letters.iter().any(|letter| letter.is_alphabetic());
        in_words && ((covered > 1 && long) || (is_part && (long || with_figure)))
    }
}

/// What repeats itself costs no more than so many steps a letter, and shows nothing of the address.
#[test]
fn what_repeats_itself_without_end_is_masked_within_bounds() {
    let only_figures = "1 ".repeat(1_000);
    let cases = [
        (only_figures.as_str(), "1 ".repeat(5_000)),
        (&format!("{only_figures} a"), "1 ".repeat(5_000)),
        (&format!("{only_figures} a"), format!("{} a", "1 ".repeat(2_500))),
        (&"a ".repeat(1_000), "a ".repeat(5_000)),
        (&"a, ".repeat(1_300), "a ".repeat(5_000)),
        (&"ab a b ".repeat(500), "ab".repeat(5_000)),
        (&"road 1 ".repeat(500), "rd one ".repeat(1_000)),
    ];
    for (lines, text) in cases {
        let address = |lines: &str| Address { lines: lines.to_owned(), postcode: None, confidential: true };
        let others = (0..20).map(|nth| address(&format!("{nth} {lines}"))).collect::<Vec<_>>();
        for addresses in [&[address(lines)][..], &others] {
            let (withheld, written) = (Withheld::of(addresses.iter()), Written::read(&text));
            let Steps(most) = Steps::for_text(&written);
            let mut steps = Steps(most);
            let masked = withheld.masked_within(&text, &written, &mut steps);
            assert!(most - steps.0 <= written.letters.len() * STEPS_PER_LETTER + STEPS_BESIDES);
            if masked.is_err() {
                assert_eq!(withheld.masked(&text), TEXT_WITHHELD);
            }
        }
    }
}

/// Nobody's words are lost for it that anybody would write.
#[test]
fn two_hundred_addresses_in_a_long_text_are_found_one_by_one() {
    let lines = |nth: usize| format!("Flat {nth}, {nth} Refuge Road, Crewe");
    let addresses = (0..200).map(|nth| Address { lines: lines(nth), postcode: None, confidential: true });
    let withheld = Withheld::of(addresses.collect::<Vec<_>>().iter());
    let text =
        (0..200).map(|nth| format!("On the road to Crewe again, and then at {}. ", lines(nth))).collect::<String>();
    let expected = "On the road to Crewe again, and then at [address withheld]. ".repeat(200);
    assert_eq!(withheld.masked(&text), expected);
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
    fn it_finds_what_the_obvious_way_finds(
        lines in prop::collection::vec("([ab1]{1,3}|road|rd|street)([ ,][ab1]{1,2}| rd){0,5}", 0..4),
        postcode in prop::option::of("[ab1]{0,2} ?[ab1]{0,2}"),
        text in "(([ab1]{1,4}|road|Rd|st|abab)[ ,.]?){0,12}",
    ) {
        let of = |lines: &String| Address { lines: lines.clone(), postcode: postcode.clone(), confidential: true };
        let addresses: Vec<Address> = lines.iter().map(of).collect();
        prop_assert_eq!(Withheld::of(addresses.iter()).masked(&text), obvious::masked(&addresses, &text));
    }

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
