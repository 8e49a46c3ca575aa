//! What becomes of real-looking pages.

use std::fmt::Write;

use super::*;

fn markdown(html: &str) -> String {
    page(html).markdown
}

#[test]
fn the_page_of_a_generator_becomes_its_own_text() {
    let found = page(
        "<!DOCTYPE html><html><head><title>Moves &amp; copies | Book</title>\
         <link rel='canonical' href='https://book.example/moves'><style>p{}</style></head>\
         <body><nav>Home</nav><header><h1>Book</h1></header><main>\
         <nav class=breadcrumbs>You are here</nav>\
         <article><h1 id=moves><a class=header href='#moves'>Moves</a></h1>\
         <p>A value has <em>one</em>\n owner: <code>let a = b;</code>.<br>Then &lt;it&gt; \
         moves.<!-- psst -->\u{200b}</p><p hidden>psst</p><div aria-hidden=true>psst</div>\
         <p style='color:red; display : none'>psst</p><script>psst()</script>\
         <section id=drop><h2>Drop<a class='hash-link' href='#drop'>#</a></h2>\
         <p>See <a href='x.html'>the page</a> <img src=a.png alt='A box'></p></section>\
         <footer>Edit this page</footer></article>\
         <div>On this page</div></main><footer>© us</footer></body></html>",
    );
    assert_eq!(found.title.as_deref(), Some("Moves & copies | Book"));
    assert_eq!(found.canonical.as_deref(), Some("https://book.example/moves"));
    insta::assert_snapshot!(found.markdown, @r"
    # Moves {#moves}

    A value has one owner: `let a = b;`.
    Then \<it> moves.

    ## Drop {#drop}

    See the page A box
    ");
}

#[test]
fn a_page_without_main_loses_what_is_around_it() {
    let html = "<body><header>Site</header><aside>Ads</aside><div><h1>T</h1><p>Text</p>\
                </div><footer>Imprint</footer></body>";
    assert_eq!(markdown(html), "# T\n\nText\n");
    assert_eq!(chapter(html).markdown, "Site\n\nAds\n\n# T\n\nText\n\nImprint\n");
}

#[test]
fn ids_are_found_on_headings_in_them_before_them_and_around_them() {
    let html = "<main><h1 id=a>A</h1><h2><a name=b></a>B</h2><section id=c><div><h2>C</h2>\
        <p>text</p><h2>None</h2></div></section><a id=d></a><h3>D</h3>\
        <h3 id='has blank'>E<button id=copy>Copy</button></h3>\
        <h3>G<a class=anchor aria-hidden=true id=g href='#g'>¶</a></h3><div role=heading aria-level=4 id=f>F {x} #</div></main>";
    insta::assert_snapshot!(markdown(html), @r"
    # A {#a}

    ## B {#b}

    ## C {#c}

    text

    ## None

    ### D {#d}

    ### E

    ### G {#g}

    #### F \{x\} \# {#f}
    ");
}

#[test]
fn lists_keep_their_nesting_and_their_numbers() {
    let html = "<ul><li>one<ul><li>deep<li>deeper</ul><li><li>two</ul>\
        <ol start=9><li>nine<ol start=3><li>three</ol><li><p>ten</p><pre>a\n\nb</pre></ol>\
        <p>after</p>\
        <dl><dt>Term<dt>Name<dd>What it is<dd><p>More</p><dt>Next<dd>Last</dl>";
    insta::assert_snapshot!(markdown(html), @r"
    - one
      - deep
      - deeper
    - two

    9. nine

       3. three

    10. ten

        ```
        a

        b
        ```

    after

    - Term
      Name

      What it is

      More

    - Next

      Last
    ");
}

#[test]
fn tables_become_pipes_and_spans_are_filled() {
    let html = "<table><caption>Sizes</caption><thead><tr><th rowspan=2>Type<th colspan=2>\
        Bits</tr><tr><th>low<th>high</thead><tr><td rowspan=2>int<td>8<td><code>a|b</code>\
        <tr><td colspan=2>x | y<p>z</p></table>\
        <table><tr><td>no<td>header<tr><td>a<td>b</table>";
    insta::assert_snapshot!(markdown(html), @r"
    Sizes

    | Type | Bits / low | Bits / high |
    |---|---|---|
    | int | 8 | `a\|b` |
    | int | x \| y z | |

    | | |
    |---|---|
    | no | header |
    | a | b |
    ");
}

#[test]
fn tables_that_only_place_text_become_blocks() {
    let html = "<table class=highlighttable><tr><td class=linenos><pre>1\n2</pre></td>\
        <td><div class='highlight-rust'><pre>fn main() {\n}</pre></div></td></tr></table>\
        <table><tr><td><p>a</p><p>b</p></td></tr></table>";
    insta::assert_snapshot!(markdown(html), @r"
    ```rust
    fn main() {
    }
    ```

    a

    b
    ");
}

#[test]
fn code_keeps_its_lines_its_language_and_its_backticks() {
    let html = "<pre><code class='language-rust editable'><span class=boring>use x;\n</span>\
        fn f() {\n\n    \"```\"\n}\n</code><button>Copy</button></pre>\
        <pre class='sourceCode c'><div>int a;</div><div>int b;</div></pre>\
        <p><code>a ` b</code> and <code>``</code></p><blockquote><pre>q\n\nr</pre>\
        <p>said</p></blockquote>";
    insta::assert_snapshot!(markdown(html), @r#"
    ````rust
    fn f() {

        "```"
    }
    ````

    ```c
    int a;
    int b;
    ```

    ``a ` b`` and ``` `` ```

    > ```
    > q
    >
    > r
    > ```
    >
    > said
    "#);
}

#[test]
fn signatures_are_headings_under_the_last_one() {
    let html = "<h2 id=os>os</h2><dl class='py function'><dt class='sig' id=os.join>\
        <code>os.join</code>(<em>path</em>)<a class=headerlink href='#os.join'>¶</a></dt>\
        <dd><p>Joins.</p></dd></dl>";
    insta::assert_snapshot!(markdown(html), @r"
    ## os {#os}

    ### `os.join`(path) {#os.join}

    Joins.
    ");
}

#[test]
fn powers_formulas_and_readings_stay_apart() {
    let html = "<p>10<sup>6</sup> H<sub>2</sub>O 1<sup>st</sup> <q>so</q> \
        <ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby> <span class=katex>\
        <math><semantics><mi>a</mi><annotation encoding='application/x-tex'>a_1</annotation>\
        </semantics></math><span aria-hidden=true>a1</span></span>\
        <svg><title>Logo</title><text>x</text></svg></p>";
    insta::assert_snapshot!(
        markdown(html),
        @r"10^6 H2O 1st “so” 漢字(かんじ) $a_1$Logo"
    );
}

#[test]
fn hostile_pages_take_time_in_proportion_and_no_stack() {
    for (tag, deep) in [
        ("div", 100_000),
        ("span", 100_000),
        ("b", 100_000),
        ("ul><li", 20_000),
        ("blockquote", 20_000),
        ("table><tr><td", 20_000),
        ("dl><dd", 20_000),
    ] {
        let found = markdown(&format!("{}words", format!("<{tag}>").repeat(deep)));
        assert!(found.contains("words"), "{tag}");
        assert!(found.len() < 10_000, "{tag}: {} bytes", found.len());
    }
    let mut html = String::new();
    for n in 0..20_000 {
        write!(html, "<b a={n}><p>").unwrap();
    }
    assert!(markdown(&format!("{html}words")).contains("words"));
    let closing = "</b></p></li></table>".repeat(20_000);
    assert!(markdown(&format!("{html}{closing}words")).contains("words"));
    let spans = "<td rowspan=65534 colspan=1000>word".repeat(3);
    let rows = "<tr><td>x".repeat(5_000);
    let found = markdown(&format!("<table><tr>{spans}{rows}</table>"));
    assert!(found.len() < 5_000_000, "{} bytes", found.len());
}

#[test]
fn a_page_without_a_heading_is_called_by_its_title() {
    let titled = page("<title>On \"trees\" \\ <b></title><h2>Oaks</h2>");
    assert_eq!(
        titled.source(),
        "---\ntitle: \"On \\\"trees\\\" \\\\ <b>\"\n---\n\n## Oaks\n"
    );
    let front = crate::ingest::front_matter(&titled.source());
    assert_eq!(front.title.as_deref(), Some("On \"trees\" \\ <b>"));
    assert_eq!(page("<title>Site</title><h1>Trees</h1>").source(), "# Trees\n");
}
