"""Make text of proposers and programs fit to be shown: it is hostile until it has been here."""

import re
from functools import cache

from markdown_it import MarkdownIt
from markupsafe import Markup

# Colours and cursor moves (CSI), titles and links (OSC), other escapes, and what else a terminal
# obeys; tab and line feed stay.
_TERMINAL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
# Controls, and marks that change the direction of text, which make a source read otherwise than it
# runs.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    r"""Text without what a terminal would obey and without marks that turn its direction.

    >>> plain("\x1b[31mred\x1b[0m\r\n\x1b]8;;http://a\x07link"), plain("a\u202eb")
    ('red\nlink', 'ab')
    """
    return without_unseen(_TERMINAL.sub("", text))


def without_unseen(text: str) -> str:
    """Text, or a page, without single characters that are obeyed and not shown."""
    return _UNSEEN.sub("", text)


def markdown(text: str) -> Markup:
    r"""Markdown as HTML: tags in it are shown as text, links lead to http and https only.

    >>> markdown("*ok* <b>x</b> [a](javascript:alert(1))")
    Markup('<p><em>ok</em> &lt;b&gt;x&lt;/b&gt; [a](javascript:alert(1))</p>\n')
    """
    return Markup(_parser().render(plain(text)))


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    parser.validateLink = _harmless  # type: ignore[method-assign]
    parser.add_render_rule("link_open", _link_open)
    return parser


def _harmless(address: str) -> bool:
    """A page of the web, or one of this lab's; two slashes would begin another host's name."""
    return bool(re.match(r"https?://|/(?![/\\])|#", address, re.IGNORECASE))


def _link_open(renderer, tokens, index, options, environment) -> str:
    if not str(tokens[index].attrs["href"]).startswith(("/", "#")):
        tokens[index].attrSet("rel", "noopener noreferrer nofollow")
        tokens[index].attrSet("target", "_blank")
    return renderer.renderToken(tokens, index, options, environment)
