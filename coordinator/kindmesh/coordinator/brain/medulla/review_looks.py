"""What a value looks like, whatever it is called: an address, a link, a path, a command, the id of a thing, a time.

Several rules ask this about every value of a step, so the answers about short values are kept. Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

SHORT: Final = 256
"""Characters of a value up to which what was found out about it is kept."""

_EMAIL: Final = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+\.[a-z]{2,}", re.IGNORECASE)
_LINK: Final = re.compile(
    r"(?:\b[a-z][a-z0-9+.-]{1,15}://\S+)|(?:\bwww\.\S+)|"
    r"(?:\b(?:[a-z0-9-]+\.)+(?:com|net|org|io|de|uk|ru|cn|info|biz|co|app|dev|xyz|top|"
    r"example|test|eu|fr|me|tv|onion|site|online|club|shop|link)\b\S*)",
    re.IGNORECASE,
)
_PHONE: Final = re.compile(r"(?<![\w.:-])\+?\d[\d\s()./-]{6,}\d(?![\w:])")
_IBAN: Final = re.compile(r"\b[A-Z]{2}\d{2}(?:\s?[A-Z0-9]{2,4}){3,8}\b")
_WALLET: Final = re.compile(r"\b(?:0x[0-9a-fA-F]{30,}|bc1[a-z0-9]{20,}|[13][a-km-zA-HJ-NP-Z1-9]{25,34})\b")
_IP: Final = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?![\w.])")
_PATH_VALUE: Final = re.compile(r"(?:~|\.{0,2})/[\w.~/-]+|[A-Za-z]:\\\S+")
_FILE_VALUE: Final = re.compile(
    r"(?:[\w.~-][\w.~ -]*/)*[\w~-][\w.~ -]*\.(?:pdf|txt|md|docx?|xlsx?|csv|jpe?g|png|gif|heic|mp3|mp4|mov|wav|zip|json|"
    r"ya?ml|log|py|sh|html?|xml|od[tsp]|pptx?|ics|vcf|key|pem|kdbx|env|db)",
    re.IGNORECASE,
)
_SHELL_VALUE: Final = re.compile(
    r"\b(?:rm\s+-|sudo\s|curl\s|wget\s|bash\s+-c|sh\s+-c|powershell|chmod\s)|[`|;]\s*\w+\s+-|\$\("
)
_ENTITY: Final = re.compile(r"[a-z_]{2,32}\.[a-z0-9_]{1,64}")
_DATE: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?|"
    r"\d{1,2}:\d{2}(:\d{2})?|\d{1,2}[./]\d{1,2}[./]\d{2,4}"
)


def addresses(text: str) -> list[str]:
    """Addresses, links, numbers of telephones and accounts that a text contains."""
    return list(_short_addresses(text) if len(text) <= SHORT else _addresses(text))


def _addresses(text: str) -> list[str]:
    found: list[str] = []
    left = text
    for pattern in (_EMAIL, _LINK, _IBAN, _WALLET, _IP, _PHONE):
        found += [one[0].strip().rstrip(".,;:!?)") for one in pattern.finditer(left)]
        left = pattern.sub(" ", left)
    return [one for one in found if not _DATE.fullmatch(one)]


_short_addresses = lru_cache(maxsize=2048)(_addresses)


def look(value: Any) -> str:
    """What a whole value looks like: `recipient`, `link`, `shell`, `path`, `entity`, `date`, or empty."""
    if not isinstance(value, str):
        return ""
    return _short_look(value) if len(value) <= SHORT else _look(value)


def _look(value: str) -> str:
    text = value.strip()
    if _DATE.fullmatch(text):
        return "date"
    if _FILE_VALUE.fullmatch(text):
        return "path"
    if _ENTITY.fullmatch(text) and not _LINK.fullmatch(text):
        return "entity"
    if _EMAIL.fullmatch(text) or _IBAN.fullmatch(text) or _WALLET.fullmatch(text) or _PHONE.fullmatch(text):
        return "recipient"
    if _LINK.fullmatch(text) or _IP.fullmatch(text):
        return "link"
    if _PATH_VALUE.fullmatch(text):
        return "path"
    return "shell" if _SHELL_VALUE.search(text) else ""


_short_look = lru_cache(maxsize=4096)(_look)

__all__ = ["SHORT", "addresses", "look"]
