//! How an email address is read: as little form as a mail server needs.

/// RFC 5321, section 4.5.3.1.3: a path of 256 octets less its two brackets.
const MAX_BYTES: usize = 254;

/// The address in the form that we store and compare: trimmed and lower-cased. `None` when
/// it has no form of an address (one `@`, something before it, a dot inside the domain, no
/// spaces and no control characters). Whether it exists only a mail can tell.
pub fn normalise(text: &str) -> Option<String> {
    let email = text.trim().to_lowercase();
    let (local, domain) = email.split_once('@')?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '@';
    let dotted = domain.contains('.') && domain.split('.').all(|label| !label.is_empty());
    let formed =
        !local.is_empty() && dotted && !local.contains(odd) && !domain.contains(odd);
    (formed && email.len() <= MAX_BYTES).then_some(email)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_trimmed_and_lower_cased() {
        let read = |text| normalise(text).unwrap();
        assert_eq!(read("  Reader@Example.ORG\n"), "reader@example.org");
        assert_eq!(
            read("o'neil+tag@mail.example.co.uk"),
            "o'neil+tag@mail.example.co.uk"
        );
        assert_eq!(read("ÜNAL@Bücher.example"), "ünal@bücher.example");
        let longest = format!("{}@example.org", "a".repeat(242));
        assert_eq!(read(&longest), longest);
    }

    #[test]
    fn what_has_no_form_of_an_address_is_refused() {
        let long = format!("{}@example.org", "a".repeat(243));
        for text in [
            "",
            "   ",
            "@",
            "reader",
            "@example.org",
            "reader@",
            "reader@localhost",
            "reader@.org",
            "reader@example.",
            "reader@example..org",
            "a@b@example.org",
            "rea der@example.org",
            "reader@exam\tple.org",
            "rea\0der@example.org",
            "rea\u{a0}der@example.org",
            &long,
        ] {
            assert_eq!(normalise(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_twice_is_reading_once(text in ".{0,20}@.{1,10}\\.[a-zA-Z]{1,4}") {
            if let Some(email) = normalise(&text) {
                prop_assert_eq!(normalise(&email), Some(email));
            }
        }
    }
}
