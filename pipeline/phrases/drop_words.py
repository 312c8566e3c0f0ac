"""Named lists of words that make bad grounding phrases, matched on a phrase's head noun."""

from __future__ import annotations

# The list the GRIT authors gave: github.com/microsoft/unilm, issue 1421.
_GRIT_ABSTRACT = (
    "time life love freedom happiness wisdom peace justice hope courage faith understanding "
    "advantage pursuit"
)
_PRONOUNS = (
    "i me my mine myself you your yours yourself he him his himself she her hers herself it its "
    "itself we us our ours ourselves they them their theirs themselves this that these those who "
    "whom whose which what one ones someone somebody something anyone anybody anything everyone "
    "everybody everything nobody nothing none each other another both all some any"
)
_MORE_ABSTRACT = (
    "idea thought concept theory reason opinion belief truth beauty power success failure joy "
    "sadness anger fear memory dream knowledge education culture tradition history future past "
    "moment way part kind type sort lot number variety series amount bit use need fact case "
    "example experience adventure journey trip visit event opportunity challenge change quality "
    "style size shape color colour bottom front back side middle center centre edge end left "
    "right day night morning afternoon evening today tomorrow yesterday year month week hour "
    "minute second century decade season spring summer autumn fall winter "
    "monday tuesday wednesday thursday friday saturday sunday january february april june july "
    "august september october november december"
)
# Words for the picture itself. What hangs on walls (a painting, a poster, a logo) can be seen in
# a picture and stays.
_GENERIC_WEB = (
    "image picture photo photograph pic photography shot snapshot closeup close-up screenshot "
    "view scene background foreground backdrop illustration vector wallpaper stock clipart clip "
    "render rendering thumbnail footage video download copyright courtesy collection set "
    "website site link thing stuff images photos pictures pics shutterstock getty istock "
    "istockphoto alamy dreamstime flickr depositphotos unsplash pexels pixabay freepik "
    "pinterest instagram facebook youtube ebay etsy"
)

DROP_LISTS: dict[str, frozenset[str]] = {
    "grit-abstract": frozenset(_GRIT_ABSTRACT.split()),
    "pronouns": frozenset(_PRONOUNS.split()),
    "abstract": frozenset((_GRIT_ABSTRACT + " " + _MORE_ABSTRACT).split()),
    "generic": frozenset(_GENERIC_WEB.split()),
}
"""List name -> lower-case words."""

_LEADING = "a an the this that these those my your his her its our their some any each every no"
LEADING_WORDS = frozenset(_LEADING.split())
"""Words that may stand before the noun without changing what is named."""
