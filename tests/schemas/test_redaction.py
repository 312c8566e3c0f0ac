"""What may be shown of a text that holds somebody's keys, or tries to write on the terminal."""

from __future__ import annotations

import pytest

from schemas.redaction import printable, redact, shown


@pytest.mark.parametrize(
    "text, left",
    [
        ("https://me:secret@host/x.jpg", "https://***@host/x.jpg"),
        ("https://token-secret@host/x", "https://***@host/x"),
        ("s3://me:p@secret@host/x", "s3://***@host/x"),
        ("get 'http://a:secret@b/c' failed", "get 'http://***@b/c' failed"),
        ("https://h/x?X-Amz-Signature=secret&w=3", "https://h/x?X-Amz-Signature=***&w=3"),
        (
            "https://h/x?w=3&x-amz-security-token=secret#f",
            "https://h/x?w=3&x-amz-security-token=***#f",
        ),
        ("https://h/x?X-Goog-Credential=secret%2F1", "https://h/x?X-Goog-Credential=***"),
        ("https://h/x?sig=secret%3D", "https://h/x?sig=***"),
        ("https://h/x?sig=secret: gone", "https://h/x?sig=***: gone"),
        ("https://h/x?access_token=secret", "https://h/x?access_token=***"),
        ("https://h/x?api-key=secret;q=1", "https://h/x?api-key=***;q=1"),
        ("https://h/?u=a&amp;Signature=secret&amp;b=1", "https://h/?u=a&amp;Signature=***&amp;b=1"),
        ("Authorization: Bearer secretsecret", "Authorization: Bearer ***"),
        ("{'authorization': 'token secretsecret'}", "{'authorization': 'token ***'}"),
        ("bearer s3cretsecret", "bearer ***"),
        ("X-Api-Key: secretsecret", "X-Api-Key: ***"),
        ("aws_secret_access_key = secretsecret", "aws_secret_access_key = ***"),
        ("the token hf_secretSecretSecret is refused", "the token *** is refused"),
        ("https://h/x?x-oss-signature=secret&q-signature=secret", None),
        ("https://h/x?x-oss-credential=secret%2F1&X-Tos-Credential=secret", None),
        ("https://h/x#access_token=secret", "https://h/x#access_token=***"),
        ("https://h/?u=http%3A%2F%2Fg%2Fx%3Fsig%3Dsecret%26b%3D1", None),
        ("https://h/?u=http%3a%2f%2fme%3asecret%40g%2Fx", "https://h/?u=http%3a%2f%2f***%40g%2Fx"),
        ('"https://h/x?a=1\\u0026Signature=secret\\u0026b=1"', None),
        ("mongodb://root:pa/secret@h/db", "mongodb://***@h/db"),
    ],
)
def test_keys_are_left_out(text: str, left: str | None) -> None:
    left = left or text.replace("%2F1", "").replace("secret", "***")
    assert redact(text) == left
    assert redact(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "a dog and a cat @ home",
        "https://h/a@b.jpg?width=3&page=2",
        "mail me@example.org about a=b",
        "https://h/x.jpg#me@home",
        "the key=value pairs",
        "s3://bucket/runs/1",
        "basic photograph,2019",
        "Basic training of bearers, a ring bearer in a tuxedo, Bearer certificates",
        "http://h:8080/a@b.jpg and http://[::1]:80/a@b.jpg",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert redact(text) == text


def test_control_characters_are_written_out() -> None:
    assert printable("a\x1b[31mred\x07\r\x9b2J\x00") == "a\\x1b[31mred\\x07\\r\\x9b2J\\x00"
    assert printable("x\u202egpj.exe") == "x\\u202egpj.exe"
    assert (
        printable("two\nlines\tand a tab, caf\xe9 \u4e2d")
        == "two\nlines\tand a tab, caf\xe9 \u4e2d"
    )
    assert printable("half \ud800").isascii()
    assert shown("\x1b]0;https://a:b@c\x07") == "\\x1b]0;https://***@c\\x07"
