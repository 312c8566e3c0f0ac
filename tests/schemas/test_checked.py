"""What checked dataclasses refuse, and in which words."""

from __future__ import annotations

import json
import pickle
from dataclasses import field, replace
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from schemas.checked import (
    Count,
    NotNegative,
    Share,
    checked,
    from_json,
    from_object,
    to_plain,
)
from schemas.errors import ConfigError, DataError


@checked(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A part."""

    spokes: Count = 24
    grip: Share = 0.5
    kind: Literal["front", "back"] = "front"


@checked(frozen=True, slots=True, kw_only=True)
class Cart:
    """A whole with parts."""

    name: str
    wheels: tuple[Wheel, ...] = ()
    size: tuple[float, float] = (1.0, 2.0)
    load: NotNegative | None = None
    marks: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    is_old: bool = False
    spare: Wheel = field(default_factory=Wheel)
    version: int = 1

    def __post_init__(self) -> None:
        if len(self.wheels) == 1:
            raise ValueError("one wheel is not enough")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "cart.name is missing"),
        ({"name": 3}, "cart.name must be text, got 3"),
        ({"name": None}, "cart.name must be text, got None"),
        ({"name": "a", "whels": []}, "cart.whels is unknown; allowed: is_old, load, marks, name"),
        (
            {"name": "a", "spare": {"spokes": 10**400}},
            r"cart.spare.spokes: must be below 2\*\*63, got one of 1329 bits",
        ),
        ({"name": "a", "wheels": 3}, "cart.wheels must be a list, got 3"),
        ({"name": "a", "wheels": [3]}, r"cart.wheels\[0\] must be an object, got 3"),
        ({"name": "a", "wheels": [{}]}, "cart: one wheel is not enough"),
        (
            {"name": "a", "wheels": [{}, {"spokes": 0}]},
            r"cart.wheels\[1\].spokes must be a whole number >= 1, got 0",
        ),
        ({"name": "a", "spare": {"spokes": "9"}}, "cart.spare.spokes must be a whole .* got '9'"),
        ({"name": "a", "spare": {"spokes": True}}, "cart.spare.spokes must be a whole .* got True"),
        ({"name": "a", "spare": {"spokes": 2.5}}, "cart.spare.spokes must be a whole .* got 2.5"),
        ({"name": "a", "spare": {"grip": 1.5}}, r"cart.spare.grip must be in \[0, 1\], got 1.5"),
        (
            {"name": "a", "spare": {"kind": "side"}},
            "cart.spare.kind must be one of 'front', 'back', got 'sid",
        ),
        ({"name": "a", "spare": {"x": 1}}, "cart.spare.x is unknown; allowed: grip, kind, spokes"),
        ({"name": "a", "size": [1]}, "cart.size must have 2 entries, got 1"),
        ({"name": "a", "size": [1, 2, 3]}, "cart.size must have 2 entries, got 3"),
        ({"name": "a", "size": [1, "2"]}, "cart.size must be a number, got '2'"),
        ({"name": "a", "load": -1}, "cart.load must be a number >= 0, got -1"),
        ({"name": "a", "load": float("nan")}, "cart.load must be a number >= 0, got nan"),
        ({"name": "a", "load": float("inf")}, "cart.load must be a number >= 0, got inf"),
        ({"name": "a", "marks": [0.5, 1]}, r"cart.marks must be in \(0, 1\), got 1"),
        ({"name": "a", "marks": "0.5"}, "cart.marks must be a list of numbers, got '0.5'"),
        ({"name": "a", "is_old": 1}, "cart.is_old must be true or false, got 1"),
    ],
)
def test_a_refusal_names_field_value_and_what_is_allowed(fields: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        from_object(Cart, fields, where="cart.")


def test_a_wrong_value_is_refused_where_it_is_made() -> None:
    with pytest.raises(ConfigError, match=r"^grip must be in \[0, 1\], got 2"):
        Wheel(grip=2)
    with pytest.raises(ConfigError, match="^one wheel is not enough$"):
        Cart(name="a", wheels=(Wheel(),))
    with pytest.raises(ConfigError, match=r"^grip must be in \[0, 1\], got -1"):
        replace(Wheel(), grip=-1)


def test_it_comes_back_from_json_and_through_a_process_border() -> None:
    cart = Cart(name="caf\udce9", wheels=(Wheel(), Wheel(spokes=3)), load=2)
    text = json.dumps(to_plain(cart))
    assert from_json(Cart, text, where="c.json") == cart
    assert from_object(Cart, json.loads(text), where="") == cart
    assert pickle.loads(pickle.dumps(cart)) == cart


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "c.json is not JSON"),
        (b"\xff\xfe\xfa", "c.json is not JSON"),
        ("[]", "c.json must hold a JSON object, got list"),
        ('{"nam": "a", "version": 2}', "c.json has version 2; this glipforge reads version 1"),
        ('{"version": 1}', "c.json is not a cart: name is missing"),
        ('{"name": "\\ud800", "version": 1, "x": 2}', "c.json is not a cart: x is unknown"),
    ],
)
def test_a_damaged_file_is_named(text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_json(Cart, text, where="c.json", what="cart", version=1, error=DataError)
