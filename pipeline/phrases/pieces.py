"""Where one thing that a caption says ends and the next begins: no phrase runs across.

Alt texts come as lines, class lists as "cat. dog.", tags as "cat | dog": a parser that reads them
as one sentence makes one noun phrase of two names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.phrases.cut_words import FILE_ENDS

_LINE_ENDS = "\x00-\x1f\x7f-\x9f\u2028\u2029"
_EMOJI = "\u231a-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
_OTHER_STOPS = "…。！？；｡．｜|•·●▪■◦‣∙"  # noqa: RUF001 - stops and list signs of any script
_LINK_ENDS = "com|org|net|edu|gov|info|html?|jpe?g|png|gif|webp|php|co|io"
_TAGS = "a|abbr|address|article|aside|audio|b|big|blockquote|body|br|button"
_TAGS += "|caption|center|cite|code|col|dd|del|details|div|dl|dt|em|figcaption"
_TAGS += "|figure|font|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input"
_TAGS += "|ins|kbd|label|li|link|main|mark|meta|nav|nobr|noscript|ol|option|p"
_TAGS += "|path|picture|pre|q|s|samp|script|section|select|small|source|span"
_TAGS += "|strong|style|sub|sup|svg|summary|table|tbody|td|textarea|tfoot|th"
_TAGS += "|thead|time|title|tr|tt|u|ul|var|video|wbr"
_TAGS += "|bos|end|eos|pad|sos|start|unk"  # what captioners write around and between words
_ATTRIBUTE = r"\s+[a-z-]+=(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>]+)"
_COLOURS = (
    "black white grey gray red green blue yellow orange brown pink purple gold silver beige tan"
)
_NO_COLOUR = "".join(rf"(?<!\b{colour})" for colour in _COLOURS.split())
"""A "black&white cat" is one cat."""
_BEFORE_PRICES = (
    "a an the my our your his her its their this that these those some several many one two three "
    "four five six seven eight nine ten old new crisp single"
)
_NOT_WITHIN = "".join(rf"(?<!\b{word}\s)" for word in _BEFORE_PRICES.split())
"""What a price behind them is said of follows: "two $100 bills"."""
_SIGNS = re.escape("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + "‘’“”„«»、，"  # noqa: RUF001
_BORDER = re.compile(
    rf"[{_LINE_ENDS}{_OTHER_STOPS}]+"
    rf"|[{_EMOJI}][{_EMOJI}\u200d\ufe0e\ufe0f\U000e0020-\U000e007f]*"
    r"|(?:<img\b[^<>]{0,300}?\s)?\balt\s*=\s*[\"']"  # what it holds is a caption
    rf"|[\"'](?:\s*/?>|(?:{_ATTRIBUTE})+(?:\s*/?>)?)"  # the tag's rest
    rf"|</?(?:{_TAGS})\b[^<>\n]{{0,300}}>"
    rf"|</[a-z][\w:-]*\s*>|<[a-z][\w:-]*(?:{_ATTRIBUTE})+\s*/?>|<[a-z]\w*:\w+\s*/?>"
    r"|<(?=[a-z]+>)|(?<=[a-z])>"
    rf"|(?<=[a-z]{{2}}){_NO_COLOUR}\+(?=[a-z]{{2}})"
    rf"|(?-i:(?<=[a-z]{{3}}){_NO_COLOUR}(?<!\brock)&(?![a-z]+;)(?=[a-z]{{3}}))"  # one name: R&B
    "|\\d\ufe0f?\u20e3"
    r"|(?<=\s)(?:-{1,3}|[–—~]|//?|\\|>|»|→|\*|=)(?=\s)"  # noqa: RUF001 - a sign that stands alone
    rf"|(?<=[a-z]{{2}})[.;!?](?=(?!(?:{_LINK_ENDS})\b)(?:[a-z]{{2}}|a\s))"  # "cat.dog"
    rf"|(?<=\s)[.;!?](?=(?!(?:{_LINK_ENDS}|net)\b)[a-z]{{2}})"  # "cat .dog"
    r"|(?<!\\[rn])(?:\\r|\\n)+(?=\w)"  # a line end that was written out
    r"|&(?:amp|quot|nbsp|lt|gt|bull|middot|ndash|mdash|hellip|laquo|raquo|#160|#8226);"
    r"|(?:(?m:^)[ \t]*|(?<=[\s,;]))\(?\d{1,3}(?:\)|\.(?=\s+[a-z]))(?=\s)"  # "1) cat 2. dog"
    r"|(?<!\S)[:;=]['-]?(?:[()\[\]]+|[dp])(?!\S)"  # a face
    rf"|(?=[$€£]\d)(?<!\S){_NOT_WITHIN}[$€£]\d[\d,.]*(?!\S)"
    rf"|(?=\d{{1,3}}(?:\.\d+)?\s?% off\b)(?<!\S){_NOT_WITHIN}[\d.]+\s?% off"
    # a line of signs; a parser takes each for a word
    rf"|(?P<sign>[{_SIGNS}])(?P=sign){{3,}}|(?:[{_SIGNS}]\s?){{8,}}",
    re.IGNORECASE,
)
_AWAITING = (
    "the a an my our your his her its their this that these those some in on of with and at by to "
    "from near over under behind beside into for new favorite favourite"
)
_NO_TAG_AFTER = "".join(rf"(?<!\b{word})" for word in _AWAITING.split())
_NO_TAG_HERE = _NO_TAG_AFTER.replace(")", r"\s)")
"""What a word must follow: a sign before that word makes no tag of it."""
_LINK = re.compile(
    rf"(?<!\S){_NO_TAG_HERE}[#@]\w+(?=\s+[#@]\w)"  # in a row of tags
    rf"|(?<=[\w.!?,]){_NO_TAG_AFTER}\s+[#@]\w+(?=\s*$)"
    r"|(?<![^\s(\[])(?:(?:https?://|www\.)[^\s<>]+"
    rf"|[^\s()\[\]<>\"'=]+\.(?:com|org|net|{FILE_ENDS})(?![\w.]))"
    r"(?![^<>\n]{0,300}>)",  # not within a tag of HTML
    re.IGNORECASE,
)
_MAX_LINK_CHARS = 1_000
_WORD_BEFORE, _WORD_AFTER = re.compile(r"\S*\Z"), re.compile(rf"\S{{0,{_MAX_LINK_CHARS}}}")
_SIZES = "hot cold warm small medium large big mini tall short old new"
_NO_SIZE = "".join(rf"(?<!\b{size})" for size in _SIZES.split())
_ITEM = rf"(?!(?:{'|'.join(_AWAITING.split())})\b)[\w-]+(?: [\w-]+)?, ?"
_REMOTE = re.compile(rf"(?m:^)(?:{_ITEM})*?remote,", re.IGNORECASE)
"""In a list; the parser takes it for an adjective, as in "this remote, quiet beach"."""
_SLASHED = re.compile(
    rf"(?<![\w/])[a-z]{{3,}}{_NO_COLOUR}{_NO_SIZE}(?:/[a-z]{{3,}}){{2,}}(?![\w/])", re.IGNORECASE
)
"""Three and more words; of two, as in "a black/white dog", both may be said of one thing."""


_PLAIN = re.compile(r"[A-Za-z0-9]+(?:(?:'? |['-]|, ?)[A-Za-z0-9]+)*(?: ?\.)? ?")


def is_plain(text: str) -> bool:
    """True for words between single spaces, with a full stop at most: one piece, read as it is.

    Most captions that people wrote are, and are told so in a tenth of the time.
    """
    return _PLAIN.fullmatch(text) is not None and "remote," not in text.lower()


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """(offset, text) of what lies between line ends, list signs, tags and emoji; never blank.

    A web address or the name of a file is a piece of its own.
    """
    start = 0
    for end, after in _borders(text):
        if text[start:end].strip():
            yield start, text[start:end]
        start = after
    if text[start:].strip():
        yield start, text[start:]


def _borders(text: str) -> Iterator[tuple[int, int]]:
    """What parts two pieces, in order; of no width on both sides of a link."""
    at = 0
    for link in _LINK.finditer(text):
        yield from _borders_within(text, at, link.start())
        yield link.start(), link.start()
        yield link.end(), link.end()
        at = link.end()
    yield from _borders_within(text, at, len(text))


def _borders_within(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    slashes = [
        (place, place + 1)
        for word in _SLASHED.finditer(text, start, end)
        for place in range(word.start(), word.end())
        if text[place] == "/"
    ]
    found = [
        (border.start(), border.end())
        for border in _BORDER.finditer(text, start, end)
        if not _is_in_link(text, border.start())
    ]
    remotes = [(found.end() - 1, found.end()) for found in _REMOTE.finditer(text, start, end)]
    yield from sorted({*found, *slashes, *remotes})


def _is_in_link(text: str, place: int) -> bool:
    """Whether the word around `place` is a web address or a path with a drive."""
    before = _WORD_BEFORE.search(text, max(0, place - _MAX_LINK_CHARS), place)
    after = _WORD_AFTER.match(text, place)
    word = (before[0] if before else "") + (after[0] if after else "")
    return "://" in word or ":\\" in word or word.startswith("www.")
