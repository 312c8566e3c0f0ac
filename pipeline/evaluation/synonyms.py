"""Other words for a category: "woman" is a person where labels are judged by COCO gold.

The built-in table is short and written for this project: plain English nouns for COCO's categories.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import yaml

from schemas.errors import ConfigError, reason_of

Synonyms = Mapping[str, Collection[str]]
"""Category -> head nouns that mean it, all in lower case."""

BUILT_IN: Synonyms = {
    name: frozenset(words.split())
    for name, words in {
        "person": "people human man woman boy girl child kid baby toddler infant adult teenager "
        "guy gentleman lady player batter pitcher catcher umpire surfer skier snowboarder "
        "skateboarder skater rider cyclist biker pedestrian worker chef cook waiter waitress "
        "policeman officer soldier fireman farmer driver student teacher spectator bride groom "
        "couple mother father mom dad son daughter sister brother grandmother grandfather "
        "tourist passenger customer",
        "bicycle": "bike",
        "motorcycle": "motorbike moped scooter",
        "airplane": "plane aeroplane aircraft jet airliner",
        "car": "sedan taxi cab suv automobile hatchback",
        "truck": "lorry pickup van",
        "boat": "ship sailboat canoe kayak yacht ferry rowboat",
        "bird": "pigeon seagull gull duck goose parrot owl swan sparrow eagle chicken",
        "cat": "kitten kitty",
        "dog": "puppy pup",
        "horse": "pony foal stallion",
        "sheep": "lamb ram ewe",
        "cow": "bull calf cattle ox",
        "bear": "cub",
        "couch": "sofa loveseat",
        "cell phone": "phone cellphone smartphone mobile",
        "tv": "television monitor screen",
        "laptop": "notebook",
        "dining table": "table",
        "handbag": "purse",
        "backpack": "rucksack",
        "sports ball": "ball football baseball basketball soccerball",
        "donut": "doughnut",
        "refrigerator": "fridge",
        "potted plant": "plant houseplant",
        "traffic light": "stoplight",
        "hair drier": "hairdryer",
        "cup": "mug",
    }.items()
}


def read_synonyms(path: str) -> Synonyms:
    """The table of a JSON or YAML file: `{"person": ["woman", "man"]}`.

    Raises:
        ConfigError: the file cannot be read, or is not a map from names to lists of words.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"synonyms {path!r} cannot be read: {reason_of(error)}") from error
    if not isinstance(content, dict):
        raise ConfigError(
            f'synonyms {path!r} must be a map such as {{"person": ["woman", "man"]}}, '
            f"got {content!r:.100}"
        )
    for name, words in content.items():
        known = isinstance(words, list) and all(isinstance(w, str) and w.strip() for w in words)
        if not isinstance(name, str) or not known:
            raise ConfigError(
                f"synonyms {path!r}: {name!r} must have a list of words, got {words!r:.100}"
            )
    found: dict[str, frozenset[str]] = {}
    for name, words in content.items():
        key = name.lower().strip()
        found[key] = found.get(key, frozenset()).union(word.lower().strip() for word in words)
    return found
