"""The coloured caption."""

from __future__ import annotations

from pipeline.images.palette import phrase_hex
from pipeline.review.app.caption_markup import LINE_CHARS, caption_markup


def span(start: int, end: int) -> dict[str, int]:
    return {"start": start, "end": end}


def marked(index: int, text: str) -> str:
    return f'<span style="color:{phrase_hex(index)}"><b>{text}</b></span>'


def test_nothing_and_no_phrases() -> None:
    assert caption_markup("", []) == ""
    assert caption_markup("a dog", []) == "a dog"


def test_phrases_get_the_colour_of_their_position_not_of_their_place() -> None:
    text = caption_markup("a dog and a café", [span(10, 16), span(0, 5)])
    assert text == f"{marked(1, 'a dog')} and {marked(0, 'a café')}"


def test_a_caption_cannot_write_markup() -> None:
    text = caption_markup("<b>a & b</b>", [span(3, 8)])
    assert text == f"&lt;b&gt;{marked(0, 'a &amp; b')}&lt;/b&gt;"


def test_a_phrase_within_another_shows_and_no_text_is_lost() -> None:
    text = caption_markup("a red dog", [span(0, 9), span(2, 5)])
    assert text == f"{marked(0, 'a ')}{marked(1, 'red')}{marked(0, ' dog')}"
    assert caption_markup("abc", [span(0, 2), span(1, 3)]) == f"{marked(0, 'a')}{marked(1, 'bc')}"
    assert caption_markup("abc", [span(1, 9), span(2, 2), span(-1, 2)]) == "abc"


def test_astral_characters_count_as_one() -> None:
    assert caption_markup("😀 犬", [span(2, 3)]) == f"😀 {marked(0, '犬')}"


def test_long_captions_break_at_spaces() -> None:
    word = "x" * LINE_CHARS
    assert caption_markup(f"{word} {word} y", []) == f"{word}<br>{word}<br>y"
