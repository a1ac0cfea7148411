//! Characters above U+FFFF that were written as the two halves of a UTF-16 surrogate pair.
//!
//! Java stores text as UTF-16, and some of its serialisers encode each half separately: as a
//! reference in XML, or as three bytes (CESU-8). Together the halves can only mean one character. A
//! single half means none.

/// The character of a pair. `None` unless `high` is a first half and `low` a second one.
pub(super) fn join(high: u32, low: u32) -> Option<char> {
    let halves = [u16::try_from(high).ok()?, u16::try_from(low).ok()?];
    let mut decoded = char::decode_utf16(halves);
    // Two characters that are not halves are not a pair.
    decoded.next()?.ok().filter(|_| decoded.next().is_none())
}

/// Whether a code is a first half.
pub(super) fn is_high(code: u32) -> bool {
    (0xd800..0xdc00).contains(&code)
}

/// Converts CESU-8 to UTF-8: characters may be written as two halves of three bytes each. `None`
/// for every other encoding.
pub(super) fn from_cesu_8(bytes: &[u8]) -> Option<String> {
    // Six bytes become four, so the result is never longer.
    let mut utf_8 = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        // No character of UTF-8 begins like this: after 0xed comes at most 0x9f.
        let pair = rest
            .split_at_checked(6)
            .and_then(|(six, after)| Some((pair_of_bytes(six)?, after)));
        if let Some((character, after)) = pair {
            utf_8.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            rest = after;
        } else {
            utf_8.push(*first);
            rest = after;
        }
    }
    // A single half was copied unchanged, and is refused here.
    String::from_utf8(utf_8).ok()
}

fn pair_of_bytes(six: &[u8]) -> Option<char> {
    let &[0xed, a, b, 0xed, c, d] = six else {
        return None;
    };
    let half = |middle: u8, last: u8| {
        let is_half = middle & 0xe0 == 0xa0 && last & 0xc0 == 0x80;
        is_half.then(|| 0xd000 | u32::from(middle & 0x3f) << 6 | u32::from(last & 0x3f))
    };
    join(half(a, b)?, half(c, d)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Java's modified UTF-8: each UTF-16 unit is encoded separately.
    fn cesu_8(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for character in text.chars() {
            if character.len_utf16() == 1 {
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            for unit in character.encode_utf16(&mut [0; 2]) {
                let [high, low] = unit.to_be_bytes();
                bytes.extend([0xed, 0x80 | (high & 15) << 2 | low >> 6, 0x80 | low & 63]);
            }
        }
        bytes
    }

    #[test]
    fn a_pair_is_one_character_and_anything_else_is_rejected() {
        assert_eq!(join(0xd83d, 0xde00), Some('😀'));
        assert_eq!(
            (join(0xd800, 0xdc00), join(0xdbff, 0xdfff)),
            (Some('\u{10000}'), Some('\u{10ffff}'))
        );
        for (high, low) in [
            (0xde00, 0xd83d),
            (0xd83d, 0xd83d),
            (0xd83d, 0x41),
            (0x41, 0x42),
            (0x41, 0xde00),
            (0x1_d83d, 0xde00),
        ] {
            assert_eq!(join(high, low), None, "{high:x} {low:x}");
        }
        assert!(is_high(0xd800) && is_high(0xdbff) && !is_high(0xd7ff) && !is_high(0xdc00));
    }

    #[test]
    fn halves_in_bytes_are_joined_and_a_single_half_is_rejected() {
        assert_eq!(
            from_cesu_8(b"a\xed\xa0\xbd\xed\xb8\x80b").as_deref(),
            Some("a😀b")
        );
        for bytes in [
            &b"\xed\xa0\xbd"[..],
            b"\xed\xb8\x80",
            b"\xed\xb8\x80\xed\xa0\xbd",
            b"\xed\xa0\xbda\xed\xb8\x80",
            b"\xed\xa0\xbd\xed\xb8",
            b"\xed\xa0\xbd\xf0\x9f\x98\x80",
            b"\xff",
            // NUL in the modified UTF-8 of Java.
            b"\xc0\x80",
        ] {
            assert_eq!(from_cesu_8(bytes), None, "{}", bytes.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn every_text_reads_back_from_cesu_8_and_utf_8_stays(text in any::<String>()) {
            prop_assert_eq!(from_cesu_8(&cesu_8(&text)), Some(text.clone()));
            prop_assert_eq!(from_cesu_8(text.as_bytes()), Some(text));
        }
    }
}
